"""The contract: what `connectors.base` promises, as tests that every connector passes.

A connector takes part by a subclass with a `world` fixture (see `tests.world`). Nothing here
knows a vendor; a test is skipped only where the connector's capabilities say so. That every
test can fail is shown by `tests.connectors.test_contract_bites`.
"""

from datetime import timedelta

import pytest

from connectors.base import Field, FieldKind, Status
from connectors.errors import CredentialsError, MappingError
from connectors.settings import FieldMapping
from core.decision import OPTIONAL, Output
from tests.contract_reading import ReadContract, RemovalContract, pages_of_leads
from tests.contract_refresh import RefreshContract
from tests.contract_writing import WriteContract
from tests.world import World, lead_ids, lead_streams, live, ready

USUAL = set(Output) - OPTIONAL
"""The outputs that are written without being asked for."""


class SetupContract:
    """What checking, describing and creating fields promise, and what trouble ends in."""

    def test_now(self, world: World) -> None:
        """The CRM's clock is told in UTC, for one call at most."""
        before = world.connector.usage.total
        assert world.connector.now().utcoffset() == timedelta(0)
        assert world.connector.usage.total - before <= 1

    def test_wrong_credentials(self, world: World) -> None:
        """Wrong credentials are a problem in a check, and an error in a pull."""
        live(world)
        wrong = world.connect(valid=False)
        assert [p.severity for p in wrong.check()] == ["credentials"]
        with pytest.raises(CredentialsError):
            list(wrong.pull(wrong.streams()[0], None, world.clock()))

    def test_check_only_reads(self, world: World) -> None:
        """A check changes nothing in the CRM."""
        world.lead()
        missing, revision = world.connector.missing_fields(), world.crm.revision
        world.connector.check()
        assert world.crm.revision == revision
        assert world.connect().missing_fields() == missing

    def test_fields_are_asked_for_once(self, world: World) -> None:
        """The fields of an object are read once per connector."""
        object_type = world.connector.capabilities.objects[0]
        world.lead()
        fields = world.connector.fields(object_type)
        before = world.connector.usage.total
        assert fields
        assert world.connector.fields(object_type) == fields
        assert world.connector.usage.total == before

    def test_mapped_field_that_is_not_there(self, world: World) -> None:
        """A mapped field that does not exist is named by a check, and an error in a pull."""
        world.prepare_fields()
        assert not [p for p in world.connector.check() if p.severity != "warning"]
        wrong = world.connect(mapping=FieldMapping(leads={"custom.plan": "No_Such__c"}))
        errors = [p for p in wrong.check() if p.severity == "error"]
        assert errors
        assert all("No_Such__c" in f"{p.where} {p.what}" for p in errors)
        with pytest.raises(MappingError, match="No_Such__c"):
            list(wrong.pull(lead_streams(wrong)[0], None, world.clock()))

    def test_rate_limit_in_a_pull_is_waited_out(self, world: World) -> None:
        """Being slowed down costs time, not rows."""
        live(world)
        world.leads(3)
        world.clock.tick()
        world.slow_down(2)
        assert len(set(lead_ids(pages_of_leads(world)))) == 3
        assert len(world.waits) >= 2

    def test_rate_limit_in_a_write_is_waited_out(self, world: World) -> None:
        """Being slowed down is never a failure of a record."""
        live(world)
        ready(world)
        lead = world.lead()
        world.connector.fields(world.address(lead)[0])
        world.slow_down(2)
        (result,) = world.write(world.change(lead, tier="A"))
        assert (result.status, world.held(lead)[Output.TIER]) == (Status.WRITTEN, "A")
        assert len(world.waits) >= 2

    def test_missing_fields_are_created(self, world: World) -> None:
        """What is missing is told; once created it is missing no more, and can be written."""
        if not world.connector.capabilities.can_create_fields:
            pytest.skip("cannot create fields, by its capabilities")
        missing = world.connector.missing_fields()
        assert {new.output for new in missing} == USUAL - {Output.OWNER}
        assert {new.object_type for new in missing} == set(world.connector.capabilities.objects)
        assert [p for p in world.connector.check() if p.severity == "error"]
        for object_type in world.connector.capabilities.objects:
            assert set(world.connector.written_fields(object_type)) == {Output.OWNER}
        assert world.connector.create_fields(missing) == []
        assert world.connector.missing_fields() == []
        assert world.connect().missing_fields() == []

    def test_existing_field_is_left_alone(self, world: World) -> None:
        """Creating a field that exists changes nothing of it and is no problem."""
        if not world.connector.capabilities.can_create_fields:
            pytest.skip("cannot create fields, by its capabilities")
        (tier, *_) = [f for f in world.connector.missing_fields() if f.output is Output.TIER]
        assert world.connector.create_fields([tier]) == []
        made = world.connect().fields(tier.object_type)[tier.name]
        other = type(tier)(
            tier.object_type, tier.output, tier.name, "Other", "Other", FieldKind.NUMBER
        )
        assert world.connect().create_fields([other]) == []
        assert world.connect().fields(tier.object_type)[tier.name] == made

    def test_written_fields_are_described(self, world: World) -> None:
        """Once it is there, the field of every output is told, and what it holds."""
        ready(world)
        for object_type in world.connector.capabilities.objects:
            fields: dict[Output, Field] = world.connector.written_fields(object_type)
            assert set(fields) == USUAL
            assert len({field.name for field in fields.values()}) == len(USUAL)
            assert all(field.writable for field in fields.values())
            assert fields[Output.SCORE].kind is FieldKind.NUMBER


class ConnectorContract(
    ReadContract, RemovalContract, RefreshContract, SetupContract, WriteContract
):
    """Everything a caller may rely on; the subclass gives the fixture `world`."""

    @pytest.fixture
    def world(self) -> World:
        """A fresh CRM and a connector to it."""
        raise NotImplementedError
