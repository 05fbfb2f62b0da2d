"""Readings from HubSpot that nearly go wrong: a call that hangs, a record on two pages, one that
does not say when it went."""

from collections.abc import Iterator

import pytest

from connectors.base import Change, Page, RowProblem, Status
from connectors.errors import BudgetSpent
from connectors.hubspot import activities, client, walk
from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.http import Fault
from core.decision import Output
from sync.facts_store import FactsStore
from sync.pull import Reader, pull
from sync.stop import Stop
from tests.hubspot import Account, account
from tests.lacking import lacking


@pytest.fixture
def own() -> Iterator[Account]:
    """An account with 250 calls, more than two pages of a list hold."""
    with account() as own:
        for n in range(250):
            call = {"type": "call", "at": own.clock(), "people": [], "subject": f"C{n}"}
            own.crm.add(Kind.ACTIVITY, call)
        own.clock.tick()
        yield own


def test_a_call_that_hangs_in_the_engagements(
    own: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D17: the call ends by its own time-out and is made again; each page says how far it is."""
    monkeypatch.setattr(client, "TIMEOUT", (1.0, 0.2))
    monkeypatch.setattr(walk, "PAGE", 100)
    hangs = Fault("/objects/calls/?$", method="GET", skip=1, delay=1.0)
    own.server.faults.append(hangs)
    said: list[tuple[str, int]] = []

    def told(stage: str, done: int, _total: int | None) -> None:
        said.append((stage, done))

    with FactsStore(":memory:") as facts:
        pull(Reader(own.connect(), facts, own.clock, Stop(), progress=told))
        assert facts.counts("marketing")["activities"] == 250
    assert hangs.hit == 1
    assert ("marketing: pull calls", 250) in said
    assert {f"marketing: pull {stream.name}" for stream in own.connect().streams()} == {
        stage for stage, _ in said
    }


def test_a_record_on_two_pages_counts_once(own: Account) -> None:
    """Records move between pages while a list is read: one that comes twice is one."""
    own.fail(name="repeated-row", times=None)
    with FactsStore(":memory:") as facts:
        pull(Reader(own.connect(), facts, own.clock, Stop()))
        assert facts.counts("marketing")["activities"] == 250


@pytest.mark.slow
@pytest.mark.parametrize("name", ["contacts", "email_events", "form_submissions"])
def test_a_small_budget_gets_there_in_the_end(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """D10: what each run may ask is a part of what there is to read: as each goes on from what was
    stored, they read all of it together, and the last sees what the first would have seen."""
    monkeypatch.setattr(client, "EVENTS_PAGE", 50)
    monkeypatch.setattr(client, "SUBMISSIONS_PAGE", 10)
    monkeypatch.setattr(activities, "PAGE", 30)
    with account() as own, FactsStore(":memory:") as facts:
        for n in range(2_300):
            values = {"last_name": f"P{n}", "email": f"p{n}@buyer.example"}
            who = own.crm.add(Kind.LEAD, values)
            for kind in ("email_open", "email_click", "form_submission") if n < 260 else ():
                did = {
                    "type": kind,
                    "at": own.clock(),
                    "people": [who.number],
                    "asset": f"F{n % 3}",
                }
                own.crm.add(Kind.ACTIVITY, {**did, "asset": f"F{n % 3}"})
        own.clock.tick()
        runs = 0
        while True:
            connector = own.connect()
            (stream,) = (s for s in connector.streams() if s.name == name)
            connector.usage.budget = connector.usage.total + 12
            runs += 1
            try:
                pull(Reader(connector, facts, own.clock, Stop()), [stream])
                break
            except BudgetSpent:
                assert runs < 10
        assert runs > 2
        held = facts.counts("marketing")
        every = {"contacts": 2_300, "email_events": 520, "form_submissions": 260}
        assert held["leads" if name == "contacts" else "activities"] == every[name]


@pytest.fixture
def three() -> Iterator[tuple[Account, list[Record]]]:
    """An account with three contacts."""
    with account() as own:
        people = [own.crm.add(Kind.LEAD, {"last_name": f"P{n}"}) for n in range(3)]
        own.clock.tick()
        yield own, people


def only_page(own: Account, name: str) -> Page:
    """The one page that a stream has."""
    connector = own.connect()
    (stream,) = (s for s in connector.streams() if s.name == name)
    (page,) = connector.pull(stream, None, own.clock())
    return page


def test_an_archived_record_without_a_time(three: tuple[Account, list[Record]]) -> None:
    """D05: it is told by its id and stays for now; the others that are archived go."""
    own, (undated, gone, _kept) = three
    own.crm.delete(undated)
    own.crm.delete(gone)
    around = lacking("archivedAt")
    own.server.faults.append(Fault("/objects/contacts", "GET", times=None, around=around))
    page = only_page(own, "contacts/archived")
    assert [removed.id for removed in page.removed] == [str(gone.number)]
    reason = "is missing: there is no archivedAt"
    assert page.rejected == (RowProblem(str(undated.number), "removed_at", reason),)


def test_a_merged_record_without_a_time(three: tuple[Account, list[Record]]) -> None:
    """D05: it is told by its id and read; what went into it stays for now, and what went into
    another one goes."""
    own, (undated, dated, other) = three
    first, second = (own.crm.add(Kind.LEAD, {"last_name": f"Q{n}"}) for n in range(2))
    own.crm.merge(undated, first)
    own.crm.merge(dated, second)
    around = lacking("updatedAt")
    own.server.faults.append(Fault("/objects/contacts", "GET", times=None, around=around))
    page = only_page(own, "contacts")
    assert [(removed.id, removed.survivor) for removed in page.removed] == [
        (str(second.number), str(dated.number))
    ]
    reason = "is missing: there is no updatedAt"
    assert page.rejected == (RowProblem(str(undated.number), "removed_at", reason),)
    assert page.rows["id"].to_pylist() == [str(r.number) for r in (undated, dated, other)]


def test_a_written_record_without_a_time(three: tuple[Account, list[Record]]) -> None:
    """What HubSpot took is written, though the answer does not say when."""
    own, people = three
    connector = own.connect()
    assert connector.create_fields(connector.missing_fields()) == []
    own.server.faults.append(Fault("/contacts/batch/update", around=lacking("updatedAt")))
    changes = [Change("contacts", str(p.number), {Output.SCORE: "5"}) for p in people]
    results = list(connector.write(changes))
    assert [result.status for result in results] == [Status.WRITTEN] * 3
    assert [result.modified_at for result in results].count(None) == 1
