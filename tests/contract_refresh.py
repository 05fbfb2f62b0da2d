"""The part of the contract that is about fields without a stamp: see `tests.contract`."""

from dataclasses import replace

import pytest

from connectors.errors import MappingError
from connectors.sandbox.crm import Kind
from connectors.settings import FieldMapping
from tests.world import World, mirrored, rated, recalculate


class RefreshContract:
    """What naming, looking at and reading again promise."""

    def test_fields_without_a_stamp_are_declared(self, world: World) -> None:
        """D22: fields that the CRM calculates are told, and those that the mapping names; of what
        every CRM has none is. It costs no call once the fields are known."""
        assert not any(map(world.connector.unstamped, world.connector.streams()))
        for stream in rated(world):
            assert stream.only == {"custom.rating"}
            before = world.connector.usage.total
            assert world.connector.unstamped(stream) == stream.only
            assert world.connector.usage.total == before

    def test_a_name_that_is_not_mapped(self, world: World) -> None:
        """D22: it is a problem in a check, and an error in a refresh."""
        streams = rated(world)
        misspelt = world.connect(mapping=FieldMapping(unstamped=("No_Such__c",)))
        assert any("unstamped names No_Such__c" in problem.what for problem in misspelt.check())
        with pytest.raises(MappingError, match="unstamped names No_Such__c"):
            misspelt.unstamped(streams[0])

    def test_narrow_pull_shows_what_it_names(self, world: World) -> None:
        """D22: a stream narrowed to some fields shows them as they now are, of every record that
        lives, at the price that is told."""
        streams = rated(world)
        changed, gone, *_ = world.leads(world.page + 1)
        contact = world.lead(Kind.CONTACT)
        mirrored(world)
        recalculate(world, changed, "gold")
        recalculate(world, contact, "silver")
        world.crm.delete(gone)
        world.clock.tick()
        shown: dict[str, dict[str, str]] = {}
        for stream in streams:
            count = world.connector.count(stream, None)
            price, before = (
                world.connector.price(stream, None, count),
                {**world.connector.usage.calls},
            )
            for page in world.connector.pull(stream, None, world.clock()):
                assert page.stream == stream
                shown |= {row["id"]: dict(row["custom"] or ()) for row in page.rows.to_pylist()}
            assert world.connector.usage.since(before) == price.calls
        living = [world.id(record) for record in world.crm.records(Kind.LEAD, Kind.CONTACT)]
        ratings = {world.id(changed): "gold", world.id(contact): "silver"}
        assert {key: held.get("rating") for key, held in shown.items()} == {
            key: ratings.get(key) for key in living
        }

    def test_read_again(self, world: World) -> None:
        """D22: records are shown again by their ids, whole and as they now are; one that is gone
        is not."""
        streams = [replace(stream, only=frozenset()) for stream in rated(world)]
        leads = world.leads(3)
        people = [*leads, world.lead(Kind.CONTACT, email="c@buyer.example")]
        mirrored(world)
        for record in people:
            recalculate(world, record, "gold")
        world.clock.tick()
        world.crm.delete(leads[0])
        expected = mirrored(world).leads()
        again: dict[str, object] = {}
        for stream in streams:
            ids = [i for kind, i in map(world.address, people) if kind == stream.name]
            page = world.connector.read_again(stream, ids)
            assert page.stream == stream
            again |= {row["id"]: row for row in page.rows.to_pylist()}
        assert again == expected
        assert len(again) == 3
