"""Readings from HubSpot that nearly go wrong: a call that hangs, a record on two pages."""

from collections.abc import Iterator

import pytest

from connectors.hubspot import client, walk
from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault
from sync.facts_store import FactsStore
from sync.pull import pull
from sync.report import Step
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
    with FactsStore(":memory:") as facts:
        pull(
            own.connect(),
            facts,
            own.clock,
            Step("pull"),
            Stop(),
            lambda stage, done, _: said.append((stage, done)),
        )
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
        pull(own.connect(), facts, own.clock, Step("pull"), Stop(), lambda *_: None)
        assert facts.counts("marketing")["activities"] == 250
