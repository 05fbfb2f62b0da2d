"""Writing to HubSpot contacts: few calls, one result for each record, nothing lost or doubled."""

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.base import Change, Status, WriteResult
from connectors.errors import TemporaryError
from connectors.hubspot.connector import HubSpotConnector
from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.http import Fault, Request, Response
from connectors.settings import WrittenField
from core.decision import Output
from core.diff import Policy
from tests.hubspot import Account, account


@pytest.fixture
def own() -> Iterator[Account]:
    """A fresh account with the written fields."""
    with account() as made:
        connector = made.connect()
        assert connector.create_fields(connector.missing_fields()) == []
        made.server.requests.clear()
        yield made


def contacts(own: Account, count: int) -> list[Record]:
    given = ({"last_name": "Muster", "email": f"p{n}@buyer.example"} for n in range(count))
    return [own.crm.add(Kind.LEAD, values) for values in given]


def change(record: Record, **values: str | None) -> Change:
    return Change("contacts", str(record.number), {Output(n): v for n, v in values.items()})


def send(connector: HubSpotConnector, *changes: Change) -> dict[str, WriteResult]:
    """The result of each change, by the id that was asked for."""
    results = list(connector.write(changes))
    assert len(results) == len(changes)
    return {result.change.id: result for result in results}


UPDATE = "/batch/update"


def test_2_000_contacts_cost_20_calls(own: Account) -> None:
    """D41, D07: 100 a call, by our own chunking; the library has none."""
    everyone = contacts(own, 2_000)
    connector = own.connect()
    results = send(connector, *(change(r, score="98.5", tier="A") for r in everyone))
    assert {result.status for result in results.values()} == {Status.WRITTEN}
    assert connector.usage.calls == {"write": 20}
    assert len(own.server.requests) == 20


def test_only_what_is_given_is_sent_and_none_clears(own: Account) -> None:
    """D36: by record id, and nothing is ever created."""
    (who,) = contacts(own, 1)
    connector = own.connect()
    send(connector, change(who, score="12.5", tier="A", scored_at="2026-03-01T12:00:00Z"))
    own.clock.tick()
    result = send(connector, change(who, tier=None))[str(who.number)]
    assert result.modified_at == own.clock()
    held = connector.read_back("contacts", [str(who.number)])[str(who.number)]
    assert held == {
        Output.SCORE: "12.5",
        Output.TIER: None,
        Output.STAGE: None,
        Output.REASON: None,
        Output.MODEL: None,
        Output.SCORED_AT: "2026-03-01T12:00:00Z",
        Output.OWNER: None,
    }
    assert [path for method, path in own.server.requests if method != "GET"] == [
        f"/crm/v3/objects/contacts{UPDATE}",
        f"/crm/v3/objects/contacts{UPDATE}",
        "/crm/v3/objects/contacts/batch/read",
    ]
    assert len(list(own.crm.records(Kind.LEAD))) == 1


def test_bad_records_of_a_batch_stand_alone(own: Account) -> None:
    """D06: HubSpot refuses 100 for one and names only the first; each bad one is reported."""
    everyone = contacts(own, 100)
    connector = own.connect()
    bad = {everyone[n].number for n in (3, 4, 77)}
    changes = [change(r, owner="987654" if r.number in bad else None, tier="A") for r in everyone]
    results = send(connector, *changes)
    refused = {int(i): r for i, r in results.items() if r.status is Status.REFUSED}
    assert refused.keys() == bad
    assert {r.code for r in refused.values()} == {"INVALID_OWNER_ID"}
    assert {r.reason for r in refused.values()} == {"hubspot_owner_id: INVALID_OWNER_ID"}
    assert sum(r.status is Status.WRITTEN for r in results.values()) == 97
    # Halving costs at most twice the depth of the tree for each bad record.
    assert connector.usage.calls["write"] <= 1 + 3 * 2 * 7


def test_refusal_of_a_whole_batch_that_is_no_record_s_fault(own: Account) -> None:
    """D04: a conflict of the moment refuses a batch once; the halves are written."""
    everyone = contacts(own, 10)
    own.fail(name="conflict")
    results = send(own.connect(), *(change(r, tier="A") for r in everyone))
    assert {r.status for r in results.values()} == {Status.WRITTEN}


def test_property_that_vanished_in_a_run(own: Account) -> None:
    """It would be refused for every record: that is told in one call, and the rest is written."""
    everyone = contacts(own, 100)
    del own.crm.custom[Kind.CONTACT]["leadgauge_tier"]
    own.crm.revision += 1
    connector = own.connect()
    changes = [change(r, score="1", **({"tier": "A"} if r.number % 2 else {})) for r in everyone]
    results = send(connector, *changes)
    refused = [r for r in results.values() if r.status is Status.REFUSED]
    assert {r.reason for r in refused} == {"leadgauge_tier: PROPERTY_DOESNT_EXIST"}
    assert {Output.TIER in r.change.values for r in refused} == {True}
    assert sum(r.status is Status.WRITTEN for r in results.values()) == 50 == len(refused)
    assert connector.usage.calls == {"write": 2}


def test_record_that_is_gone(own: Account) -> None:
    """D03, D05: a missing id refuses itself alone, with the reason."""
    kept, gone = contacts(own, 2)
    own.crm.delete(gone, bump=False)
    connector = own.connect()
    results = send(connector, change(kept, tier="A"), change(gone, tier="A"))
    assert results[str(kept.number)].status is Status.WRITTEN
    refused = results[str(gone.number)]
    assert (refused.status, refused.code) == (Status.REFUSED, "OBJECT_NOT_FOUND")
    assert connector.usage.calls == {"write": 1}
    assert connector.read_back("contacts", [str(gone.number)]) == {}


def test_write_to_a_merged_record_lands_on_its_survivor(own: Account) -> None:
    kept, loser, survivor = contacts(own, 3)
    own.crm.merge(survivor, loser)
    connector = own.connect()
    results = send(connector, change(kept, tier="B"), change(loser, tier="A"))
    result = results[str(loser.number)]
    assert (result.status, result.survivor) == (Status.WRITTEN, str(survivor.number))
    assert results[str(kept.number)].survivor is None
    held = connector.read_back("contacts", [str(loser.number), str(survivor.number)])
    assert held[str(loser.number)] == held[str(survivor.number)]
    assert held[str(loser.number)][Output.TIER] == "A"


def test_merged_record_that_cannot_be_looked_up_is_unknown(own: Account) -> None:
    """It was sent, so it is not reported as if it had not been."""
    loser, survivor = contacts(own, 2)
    own.crm.merge(survivor, loser)
    own.server.faults.append(Fault("/batch/read", times=None, response=Response(503, b"")))
    (result,) = send(own.connect(), change(loser, tier="A")).values()
    assert result.status is Status.UNKNOWN


def test_lost_answer_is_read_back_and_not_sent_again(own: Account) -> None:
    everyone = contacts(own, 100)
    own.server.faults.append(Fault(UPDATE, drop="after"))
    results = send(own.connect(), *(change(r, score="7", tier="A") for r in everyone))
    assert {r.status for r in results.values()} == {Status.WRITTEN}
    assert all(r.modified_at == own.clock() for r in results.values())
    assert len(own.calls(UPDATE)) == 1


def test_request_that_never_arrived_is_sent_once_more(own: Account) -> None:
    everyone = contacts(own, 30)
    own.server.faults.append(Fault(UPDATE, drop="before"))
    results = send(own.connect(), *(change(r, tier="A") for r in everyone))
    assert {r.status for r in results.values()} == {Status.WRITTEN}
    assert len(own.calls(UPDATE)) == 2


def test_what_arrived_at_the_second_try_ends_nothing(own: Account) -> None:
    """The second answer is lost too, and all that was sent is there: the rest is sent."""
    everyone = contacts(own, 130)
    own.server.faults += [Fault(UPDATE, drop="before"), Fault(UPDATE, drop="after")]
    results = send(own.connect(concurrency=1), *(change(r, tier="A") for r in everyone))
    assert {r.status for r in results.values()} == {Status.WRITTEN}
    assert len(own.calls(UPDATE)) == 3


def test_record_that_held_a_part_before_is_sent_again(own: Account) -> None:
    """One value that was there already is no proof that the write arrived."""
    (who,) = contacts(own, 1)
    send(own.connect(), change(who, tier="A"))
    own.server.faults.append(Fault(UPDATE, drop="before"))
    results = send(own.connect(), change(who, tier="A", score="7"))
    assert {r.status for r in results.values()} == {Status.WRITTEN}
    assert (
        own.connect().read_back("contacts", [str(who.number)])[str(who.number)][Output.SCORE] == "7"
    )


@pytest.mark.parametrize("again", ["/batch/update", "/batch/"])
def test_outcome_that_stays_unknown_is_told(own: Account, again: str) -> None:
    """Also when the records cannot be read back."""
    everyone = contacts(own, 3)
    own.server.faults.append(Fault(again, times=None, drop="before"))
    results = send(own.connect(), *(change(r, tier="A") for r in everyone))
    assert {r.status for r in results.values()} == {Status.UNKNOWN}
    assert len(own.calls(UPDATE)) <= 2


def test_locked_records_are_waited_for(own: Account) -> None:
    (who,) = contacts(own, 1)
    own.fail(name="locked", times=2)
    assert send(own.connect(), change(who, tier="A"))[str(who.number)].status is Status.WRITTEN
    assert own.timer.waits == [2.0, 2.0]


def test_records_that_stay_locked_are_transient(own: Account) -> None:
    everyone = contacts(own, 3)
    own.fail(name="locked", times=None)
    results = send(own.connect(), *(change(r, tier="A") for r in everyone))
    assert {r.status for r in results.values()} == {Status.TRANSIENT}


def test_lasting_overload_leaves_the_rest_unsent(own: Account) -> None:
    """U05: what was acknowledged stays told; what got no answer is unknown and ends the writing."""
    everyone = contacts(own, 350)
    busy = Response(503, b"")
    own.server.faults.append(Fault(UPDATE, skip=1, times=None, response=busy))
    results: list[WriteResult] = []
    with pytest.raises(TemporaryError):
        results.extend(own.connect(concurrency=1).write([change(r, tier="A") for r in everyone]))
    told = [r.status for r in results]
    assert told == [Status.WRITTEN] * 100 + [Status.UNKNOWN] * 100
    assert len(own.calls(UPDATE)) == 3


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 524])
def test_a_write_that_was_carried_out_is_not_sent_again(own: Account, status: int) -> None:
    """U05: after a status that does not prove the contrary the records are read back first."""
    everyone = contacts(own, 3)

    def carried_out(face: Any, request: Request) -> Response:
        face(request)
        return Response(status, b"<html>", {"Content-Type": "text/html"})

    own.server.faults.append(Fault(UPDATE, around=carried_out))
    results = send(own.connect(), *(change(r, tier="A") for r in everyone))
    assert {r.status for r in results.values()} == {Status.WRITTEN}
    assert len(own.calls(UPDATE)) == 1


@pytest.mark.parametrize(
    ("write", "where", "what"),
    [
        ({"tier": "hs_email_domain"}, "contacts.hs_email_domain", "read-only"),
        ({"score": "phone"}, "contacts.phone", "score is a number"),
        ({"scored_at": "jobtitle"}, "contacts.jobtitle", "scored_at is a datetime"),
        ({"owner": "jobtitle"}, "contacts.jobtitle", "owner is a reference"),
        ({"reason": "no_such"}, "contacts.no_such", "does not exist"),
    ],
)
def test_check_finds_what_cannot_be_written(
    own: Account, write: dict[str, Any], where: str, what: str
) -> None:
    connector = own.connect(write={o: WrittenField(field=name) for o, name in write.items()})
    (problem,) = [p for p in connector.check() if p.severity == "error"]
    assert problem.where == where
    assert what in problem.what


def test_output_that_is_not_written_needs_no_field(own: Account) -> None:
    never = WrittenField(field="no_such", policy=Policy.NEVER)
    connector = own.connect(write={Output.TIER: never})
    assert connector.check() == []
    assert connector.missing_fields() == []
    assert Output.TIER not in connector.written_fields("contacts")


def test_numbers_and_times_are_compared_in_one_form(own: Account) -> None:
    """HubSpot says 12.0 and milliseconds; what is equal must not look different."""
    (who,) = contacts(own, 1)
    sent = change(who, score="107", scored_at="2026-03-01T12:00:00Z")
    connector = own.connect(write={Output.SCORE: WrittenField(field="annualrevenue")})
    send(connector, sent)
    (stream,) = [s for s in connector.streams() if s.name == "contacts"]
    (page,) = connector.pull(stream, None, own.clock())
    present = dict(page.rows.to_pylist()[0]["present"])
    held = connector.read_back("contacts", [str(who.number)])[str(who.number)]
    for output, value in sent.values.items():
        assert present[output] == held[output] == value
