"""The in-memory connector keeps the contract, and stages trouble as it says."""

from datetime import timedelta

import pytest

from connectors.base import Change, Status
from connectors.errors import OutcomeUnknown, QuotaExhausted, TemporaryError
from connectors.sandbox.crm import Crm, Kind
from connectors.sandbox.memory import MemoryConnector
from connectors.settings import ConnectionSettings, FieldMapping, WrittenField
from core.decision import Output
from core.diff import Policy
from tests.contract import ConnectorContract
from tests.memory import memory_world
from tests.world import Clock, Mirror, World


class TestMemory(ConnectorContract):
    """S119: the in-memory connector passes the contract."""

    @pytest.fixture
    def world(self) -> World:
        """A CRM of small pages."""
        return memory_world(MemoryConnector)


def crm_with_lead() -> tuple[Crm, str]:
    """A CRM with one lead, and its id."""
    crm = Crm(Clock())
    record = crm.add(Kind.LEAD, {"last_name": "Muster", "plan": "Gold"})
    return crm, str(record.number)


def tier(record_id: str, value: str | None = "A") -> Change:
    """A change of one lead's tier."""
    return Change("lead", record_id, {Output.TIER: value})


def test_locked_record_is_transient() -> None:
    """A record that is locked is refused for now, and not written."""
    crm, lead = crm_with_lead()
    connector = MemoryConnector("memory", crm, locked={lead})
    connector.create_fields(connector.missing_fields())
    assert [r.status for r in connector.write([tier(lead)])] == [Status.TRANSIENT]
    assert connector.read_back("lead", [lead])[lead][Output.TIER] is None


def test_lost_answer_is_unknown_and_written() -> None:
    """A write whose answer is lost is unknown, though the CRM carried it out."""

    def lose(_: str) -> None:
        raise OutcomeUnknown("connection lost")

    crm, lead = crm_with_lead()
    connector = MemoryConnector("memory", crm, after=lose)
    connector.create_fields(connector.missing_fields())
    assert [r.status for r in connector.write([tier(lead)])] == [Status.UNKNOWN]
    assert connector.read_back("lead", [lead])[lead][Output.TIER] == "A"


@pytest.mark.parametrize("error", [QuotaExhausted("no more today"), TemporaryError("away")])
def test_trouble_before_a_write_leaves_the_rest_unsent(error: Exception) -> None:
    """What the CRM refuses before a call is raised: results so far stand, nothing more is sent."""
    crm, lead = crm_with_lead()
    other = str(crm.add(Kind.LEAD, {"last_name": "Muster"}).number)
    writes = []

    def second_fails(kind: str) -> None:
        writes.extend([kind] if kind == "write" else [])
        if len(writes) > 1:
            raise error

    connector = MemoryConnector(
        "memory", crm, write_batch=1, before=second_fails, sleep=lambda _: None
    )
    connector.create_fields(connector.missing_fields())
    results = connector.write([tier(lead), tier(other)])
    assert next(results).status is Status.WRITTEN
    with pytest.raises(type(error)):
        next(results)
    writes.clear()
    assert connector.read_back("lead", [other])[other][Output.TIER] is None


def test_settings_name_fields_and_leave_outputs_out() -> None:
    """An output goes to the field the settings name; one of policy `never` goes nowhere."""
    crm, lead = crm_with_lead()
    write = {
        Output.TIER: WrittenField(field="grade"),
        Output.REASON: WrittenField(field="reason", policy=Policy.NEVER),
    }
    mapping = FieldMapping(leads={"custom.plan": "plan", "title": None})
    connector = MemoryConnector("memory", crm, ConnectionSettings(write=write, mapping=mapping))
    missing = {new.output: new.name for new in connector.missing_fields()}
    assert missing[Output.TIER] == "grade"
    assert Output.REASON not in missing
    connector.create_fields(connector.missing_fields())
    crm.custom[Kind.LEAD]["plan"] = crm.custom[Kind.CONTACT]["plan"] = {
        "label": "Plan",
        "kind": "text",
    }
    list(connector.write([tier(lead)]))
    (record,) = crm.records(Kind.LEAD)
    assert record.values["grade"] == "A"
    mirror = Mirror()
    opened = MemoryConnector("memory", crm, ConnectionSettings(write=write, mapping=mapping))
    mirror.pull(opened, crm.clock() + timedelta(seconds=1))
    row = mirror.leads()[lead]
    assert (dict(row["custom"]), dict(row["present"])) == ({"plan": "Gold"}, {"tier": "A"})


def test_values_that_humans_gave_are_canonical() -> None:
    """A number that was typed with needless zeros reads as the one that was meant."""
    crm, lead = crm_with_lead()
    connector = MemoryConnector("memory", crm)
    connector.create_fields(connector.missing_fields())
    (record,) = crm.records(Kind.LEAD)
    crm.update(record, {"score": "98.50", "tier": " "})
    held = connector.read_back("lead", [lead])[lead]
    assert (held[Output.SCORE], held[Output.TIER]) == ("98.5", None)
