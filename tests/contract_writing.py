"""The part of the contract that is about writing and reading back: see `tests.contract`."""

from datetime import timedelta

import pytest

from connectors.base import Entry, EntryKind, Status, WriteResult
from connectors.errors import ConnectorError, OutcomeUnknown, QuotaExhausted
from connectors.sandbox.crm import Kind
from core.decision import Output
from tests.world import World, entries, lead_streams, live, mirrored, populate, ready, reported

SCORED = {
    "score": "98.5",
    "tier": "A",
    "stage": "MQL",
    "reason": "98.5: title +15, Zoë's industry +20",
    "model": "weighted 1a2b3c",
    "scored_at": "2026-03-01T12:00:00Z",
}


def refusal(world: World, entry: Entry) -> ConnectorError | None:
    """What becomes of adding an entry, where it is not just taken."""
    try:
        world.connector.add_entry(entry)
    except ConnectorError as error:
        return error
    return None


class WriteContract:
    """What writing and reading back promise."""

    def test_written_is_read_back(self, world: World) -> None:
        """What was written is read back in the same canonical text, with the new stamp told."""
        ready(world)
        lead = world.lead(owner=None)
        change = world.change(lead, **SCORED, owner=world.id(world.rep))
        (result,) = world.write(change)
        assert (result.status, result.change, result.survivor) == (Status.WRITTEN, change, None)
        assert result.modified_at is None or result.modified_at.utcoffset() == timedelta(0)
        assert world.held(lead) == change.values

    def test_read_back_is_what_a_pull_shows(self, world: World) -> None:
        """U09: values of anybody read the same both ways: a difference is an edit in between."""
        ready(world)
        lead = world.lead()
        world.write(world.change(lead, **{**SCORED, "tier": "b ", "score": "7.10", "reason": "Ü"}))
        world.clock.tick()
        shown = dict(mirrored(world).leads()[world.id(lead)]["present"])
        held = world.held(lead)
        assert {output: shown.get(output) for output in held} == held
        assert (held[Output.TIER], held[Output.SCORE]) == ("b", "7.1")

    def test_one_result_for_each_change(self, world: World) -> None:
        """D07: more changes than a call takes go in as many calls; each has one result."""
        ready(world)
        size = world.connector.capabilities.write_batch
        leads = world.leads(min(size, 1_000) + 1)
        changes = [world.change(r, score=str(n)) for n, r in enumerate(leads)]
        world.connector.fields(changes[0].object_type)
        before = world.connector.usage.calls.get("write", 0)
        results = world.write(*changes)
        assert len(results) == len(changes)
        assert {r.change.id: r.status for r in results} == {c.id: Status.WRITTEN for c in changes}
        assert world.connector.usage.calls.get("write", 0) - before == -(-len(changes) // size)
        held = world.connect().read_back(changes[0].object_type, [c.id for c in changes])
        assert {key: values[Output.SCORE] for key, values in held.items()} == {
            c.id: c.values[Output.SCORE] for c in changes
        }

    def test_refused_record_stands_alone(self, world: World) -> None:
        """One refused record is told by its id with the CRM's reason, and stops no other."""
        ready(world)
        live(world)
        leads = world.leads(5)
        changes = [world.change(r, tier="A", owner=world.id(world.rep)) for r in leads]
        changes[2] = world.change(leads[2], tier="A", owner=world.id(leads[0]))
        results = {r.change.id: r for r in world.write(*changes)}
        refused = results.pop(world.id(leads[2]))
        assert refused.status is Status.REFUSED
        assert refused.code or refused.reason
        assert "@" not in refused.reason
        assert {r.status for r in results.values()} == {Status.WRITTEN}
        assert [world.held(r)[Output.TIER] for r in leads] == ["A", "A", None, "A", "A"]

    def test_job_of_nobody(self, world: World) -> None:
        """Of a job that the CRM does not know nothing is known, and nothing is made up."""
        ready(world)
        changes = [world.change(lead, tier="A") for lead in world.leads(2)]
        results = list(world.connector.conclude("75000000000000AAAA", changes))
        assert [(r.change, r.status) for r in results] == [(c, Status.UNKNOWN) for c in changes]

    def test_unknown_id_is_refused(self, world: World) -> None:
        """A record that is not there, and one that is deleted, are refused."""
        ready(world)
        there, gone = world.leads(2)
        world.crm.delete(gone)
        world.clock.tick()
        changes = [world.change(record, tier="A") for record in (gone, there)]
        statuses = {r.change.id: r.status for r in world.write(*changes)}
        assert statuses == {world.id(there): Status.WRITTEN, world.id(gone): Status.REFUSED}

    def test_only_named_fields_are_sent(self, world: World) -> None:
        """A write leaves every field alone that it does not name."""
        ready(world)
        lead = world.lead(title="Director")
        world.write(world.change(lead, **SCORED))
        world.write(world.change(lead, tier="B"))
        held = world.held(lead)
        assert (held[Output.TIER], held[Output.SCORE]) == ("B", "98.5")
        assert held[Output.OWNER] == world.id(world.rep)
        world.clock.tick()
        row = mirrored(world).leads()[world.id(lead)]
        assert (row["title"], row["last_name"]) == ("Director", "Muster")

    def test_none_clears(self, world: World) -> None:
        """None empties a field."""
        ready(world)
        lead = world.lead()
        world.write(world.change(lead, **SCORED))
        (result,) = world.write(world.change(lead, tier=None, score=None))
        assert result.status is Status.WRITTEN
        held = world.held(lead)
        assert (held[Output.TIER], held[Output.SCORE], held[Output.STAGE]) == (None, None, "MQL")

    def test_lost_answer_is_settled_or_unknown(self, world: World) -> None:
        """A write whose answer is lost is found to be written, or told to be unknown."""
        ready(world)
        live(world)
        lead = world.lead()
        world.connector.fields(world.address(lead)[0])
        world.lose_answer()
        (result,) = world.write(world.change(lead, tier="A"))
        assert result.status in (Status.WRITTEN, Status.UNKNOWN)
        assert world.held(lead)[Output.TIER] == "A"

    def test_what_ends_a_write_loses_no_result(self, world: World) -> None:
        """U05, D01: what was sent is told, whatever comes after; what is not told was not sent."""
        ready(world)
        live(world)
        leads = world.leads(4)
        world.connector.fields(world.address(leads[0])[0])
        results: list[WriteResult] = []
        with world.broken_off(), pytest.raises(QuotaExhausted):
            results.extend(world.connector.write([world.change(r, tier="A") for r in leads]))
        told = {result.change.id: result.status for result in results}
        held = [world.id(lead) for lead in leads if world.held(lead)[Output.TIER] == "A"]
        assert len(held) == 2
        assert told == dict.fromkeys(held, Status.WRITTEN)

    def test_merged_record_is_never_written_unsaid(self, world: World) -> None:
        """A write to a merged record is refused, or lands on the survivor and says so."""
        ready(world)
        reported(world)
        winner, loser = world.leads(2)
        world.crm.merge(winner, loser)
        world.clock.tick()
        (result,) = world.write(world.change(loser, tier="A"))
        survivor = mirrored(world).final(world.id(loser))
        if result.status is Status.WRITTEN:
            assert result.survivor == survivor
        else:
            assert result.status is Status.REFUSED
        held = world.connect().read_back(world.address(winner)[0], [survivor])[survivor]
        assert (held[Output.TIER] == "A") is (result.status is Status.WRITTEN)

    def test_read_back_of_gone_and_merged(self, world: World) -> None:
        """What is gone is absent; what was merged answers under the id asked for."""
        ready(world)
        reported(world)
        winner, loser, gone, there = world.leads(4)
        world.write(world.change(winner, tier="A"), world.change(there, tier="C"))
        world.crm.delete(gone)
        world.crm.merge(winner, loser)
        world.clock.tick()
        object_type = world.address(there)[0]
        held = world.connector.read_back(object_type, [world.id(r) for r in (loser, gone, there)])
        tiers = {key: values[Output.TIER] for key, values in held.items()}
        assert tiers == {world.id(loser): "A", world.id(there): "C"}

    def test_stand_ins(self, world: World) -> None:
        """Who stands for a merged and a converted record is told, and nobody for another one."""
        ready(world)
        reported(world)
        winner, loser, gone, converted = world.leads(4)
        world.crm.delete(gone)
        world.crm.merge(winner, loser)
        contact = world.crm.convert(converted)
        world.clock.tick()
        object_type = world.address(winner)[0]
        ids = [world.id(record) for record in (winner, loser, gone, converted)]
        assert world.connector.stand_ins(object_type, ids) == {
            world.id(loser): world.id(winner),
            world.id(converted): world.id(contact),
        }

    def test_own_write_comes_back_as_present(self, world: World) -> None:
        """What was written is present, in canonical text, in the next pull (the echo)."""
        ready(world)
        lead, other = world.leads(2)
        world.clock.tick()
        mirror = mirrored(world)
        change = world.change(lead, **SCORED, owner=world.id(world.rep))
        world.write(change)
        world.clock.tick()
        mirror.pull(world.connector, world.clock())
        rows = mirror.leads()
        assert dict(rows[world.id(lead)]["present"] or {}) == change.values
        assert "tier" not in dict(rows[world.id(other)]["present"] or {})

    def test_objects_are_those_that_leads_are(self, world: World) -> None:
        """The object types that can be written are those that leads come from, no others."""
        ready(world)
        populate(world)
        objects = set(world.connector.capabilities.objects)
        assert {row["object_type"] for row in mirrored(world).table("leads")} == objects

    def test_queue_is_assigned_as_declared(self, world: World) -> None:
        """A queue can be given records of the object types declared for it, and no others."""
        ready(world)
        queue = world.crm.add(Kind.QUEUE, {"name": "Inbound"})
        for lead in (world.lead(), world.lead(Kind.CONTACT)):
            change = world.change(lead, owner=world.id(queue))
            (result,) = world.write(change)
            declared = change.object_type in world.connector.capabilities.queue_objects
            assert (result.status is Status.WRITTEN) is declared

    def test_entries_are_found_by_their_mark(self, world: World) -> None:
        """A task and a note are put on a record, once each, and told from any other entry."""
        entries(world)
        lead, other = world.leads(2)
        task = world.entry(lead, EntryKind.TASK, "k1")
        note = world.entry(lead, EntryKind.NOTE, "k2")
        assert not world.connector.has_entry(task)
        for entry in (task, note):
            world.connector.add_entry(entry)
            assert world.connect().has_entry(entry)
        assert not world.connector.has_entry(world.entry(lead, EntryKind.TASK, "k"))
        assert not world.connector.has_entry(world.entry(other, EntryKind.TASK, "k1"))
        made = list(world.crm.records(Kind.ACTIVITY))
        assert [record.values["people"] for record in made] == [[lead.number]] * 2
        assert [record.values["owner"] for record in made] == [world.rep.number] * 2

    def test_entries_are_no_activities(self, world: World) -> None:
        """What we put on a record does not come back as something that the lead did; that it is
        there is told."""
        entries(world)
        lead = world.lead()
        theirs = {"type": "task", "at": world.clock(), "subject": "Call", "people": [lead.number]}
        own = world.crm.add(Kind.ACTIVITY, theirs)
        for kind in EntryKind:
            world.connector.add_entry(world.entry(lead, kind, kind))
        world.clock.tick()
        assert [row["id"] for row in mirrored(world).table("activities")] == [world.id(own)]
        ours = {world.id(record) for record in world.crm.records(Kind.ACTIVITY)} - {world.id(own)}
        streams = (s for s in world.connector.streams() if s.table == "activities")
        pages = (p for s in streams for p in world.connector.pull(s, None, world.clock()))
        assert {record for page in pages for record in page.ours} == ours

    def test_entry_whose_answer_is_lost(self, world: World) -> None:
        """An entry whose answer is lost is told to be unknown, and is found afterwards."""
        entries(world)
        entry = world.entry(world.lead(), EntryKind.TASK, "k1")
        world.connector.now()
        world.lose_answer()
        assert isinstance(refusal(world, entry), OutcomeUnknown)
        assert world.connector.has_entry(entry)

    def test_entry_on_nothing_is_refused(self, world: World) -> None:
        """An entry on a record that is gone is refused: it is not there for sure."""
        entries(world)
        lead = world.lead()
        world.crm.delete(lead)
        world.clock.tick()
        refused = refusal(world, world.entry(lead, EntryKind.NOTE, "k1"))
        assert refused is not None
        assert not isinstance(refused, OutcomeUnknown)
        assert not list(world.crm.records(Kind.ACTIVITY))

    def test_usage_counts_calls(self, world: World) -> None:
        """Calls are counted by class; what is not called is not counted."""
        ready(world)
        fresh = world.connect()
        assert fresh.usage.total == 0
        lead = world.lead()
        list(fresh.write([world.change(lead, tier="A")]))
        assert fresh.usage.calls.get("write") == 1
        before = fresh.usage.calls.get("read", 0) + fresh.usage.calls.get("search", 0)
        world.clock.tick()
        for stream in lead_streams(fresh):
            list(fresh.pull(stream, None, world.clock()))
        assert fresh.usage.calls.get("read", 0) + fresh.usage.calls.get("search", 0) > before
        assert fresh.usage.calls.get("write") == 1
