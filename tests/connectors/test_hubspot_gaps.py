"""Readings from HubSpot that nearly go wrong: a call that hangs, a record on two pages."""

from collections.abc import Iterator

import pytest

from connectors.errors import BudgetSpent
from connectors.hubspot import activities, client, walk
from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault
from sync.facts_store import FactsStore
from sync.pull import Reader, pull
from sync.stop import Stop
from tests.hubspot import Account, account


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
