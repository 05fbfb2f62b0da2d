"""The ledger's part in retrying, taking back and leaving to humans: on SQLite and PostgreSQL."""

from datetime import datetime, timedelta

import pytest

from connectors.base import Change, Status, WriteResult
from core.decision import Output
from sync.ledger import Ledger
from sync.ledger_rows import NOT_KEPT, Held
from sync.ledger_writes import Sent
from tests.world import START as T0

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SCORE, TIER = Output.SCORE, Output.TIER


@pytest.fixture
def ledger(url: str):
    """An open ledger with two runs in it."""
    with Ledger(url) as opened:
        for run in ("r1", "r2"):
            opened.start(run, "sync", model="m1", at=T0)
        yield opened


def change(record: str = "L1", **values: str | None) -> Change:
    return Change("Lead", record, {Output(name): text for name, text in values.items()})


def settle(ledger: Ledger, *results: tuple[Change, Status], run: str = "r1", at: datetime = T0):
    ledger.settle(run, "crm", [WriteResult(c, s, NOT_KEPT) for c, s in results], "f", at=at)


def held(record: str, output: Output, *, until: datetime | None = None) -> Held:
    return Held("crm", "Lead", record, output, "hash", T0, until)


def test_a_passing_refusal_is_tried_after_twice_as_long_each_time(ledger):
    """D43: 1 minute, 2, 4 ... and never later than 6 hours; a lasting one has no such time."""
    waits = []
    for _ in range(12):
        settle(ledger, (change(score="1"), Status.TRANSIENT))
        (entry,) = ledger.quarantine("crm")
        waits.append((entry.next_try - entry.last_seen) / MINUTE)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]
    settle(ledger, (change(score="1"), Status.REFUSED))
    (entry,) = ledger.quarantine("crm")
    assert (entry.next_try, entry.fields, entry.tries) == (None, "f", 13)
    ledger.writes.due_now([entry], at=T0 + HOUR)
    assert ledger.quarantine("crm")[0].next_try == T0 + HOUR


def test_a_record_kept_in_part_stays_in_quarantine_and_counts_its_tries(ledger):
    """D27: what was kept is last written, what was not is refused, in one settlement."""
    for hour in range(2):
        kept, lost = change(tier="A"), change(score="9")
        settle(ledger, (kept, Status.WRITTEN), (lost, Status.REFUSED), at=T0 + hour * HOUR)
    assert ledger.last_written("crm") == {"L1": {TIER: "A"}}
    (entry,) = ledger.quarantine("crm")
    assert (entry.values, entry.tries, entry.first_seen) == ({SCORE: "9"}, 2, T0)
    ledger.writes.forget_refused("other", ["L1"])
    assert ledger.quarantine("crm") == [entry]
    ledger.writes.forget_refused("crm", ["L1"])
    assert ledger.quarantine("crm") == []


def test_what_a_run_wrote_and_what_it_replaced(ledger):
    """Acknowledged writes alone, with what the fields held; None where that was not recorded."""
    first, second = change("L1", score="9", tier="A"), change("L2", score="8")
    ledger.intend("r1", "crm", [(first, {SCORE: None, TIER: "B"}), (second, None)], at=T0)
    refused = change("L3", score="7")
    ledger.intend("r1", "crm", [(refused, {SCORE: "1"})], at=T0)
    settle(ledger, (first, Status.WRITTEN), (second, Status.WRITTEN), (refused, Status.REFUSED))
    assert ledger.writes.of_run("r1") == [
        Sent("crm", "Lead", "L1", first.values, {SCORE: None, TIER: "B"}),
        Sent("crm", "Lead", "L2", second.values, None),
    ]
    ids = ["L1", "L2", "L3"]
    assert ledger.writes.later("r1", "crm", ids) == {}
    again, failed = change("L1", tier="C"), change("L2", score="1")
    ledger.intend("r2", "crm", [(again, None), (failed, None)], at=T0)
    settle(ledger, (again, Status.WRITTEN), (failed, Status.REFUSED), run="r2")
    assert ledger.writes.later("r1", "crm", ids) == {"L1": {TIER}}
    assert ledger.writes.later("r2", "crm", ids) == {}


def test_held_fields_are_those_last_seen_until_they_are_written(ledger):
    """U09: what is kept of some records replaces what was; a write of ours ends a hold."""
    ends = T0 + 5 * HOUR
    rows = [held("L1", SCORE, until=ends), held("L1", TIER), held("L2", SCORE)]
    ledger.held.keep("crm", ["L1", "L2", "L3"], rows)
    assert ledger.held.of("crm", ["L1", "L9"]) == {"L1": {SCORE: rows[0], TIER: rows[1]}}
    assert ledger.held.now(T0) == rows
    assert ledger.held.now(ends) == rows[1:]
    assert ledger.held.lapsed_between("crm", T0, ends - HOUR) == set()
    assert ledger.held.lapsed_between("crm", T0, ends) == {"L1"}
    assert ledger.held.lapsed_between("crm", ends, ends + HOUR) == set()
    ledger.held.keep("crm", ["L2"], [])
    assert ledger.held.now(T0) == rows[:2]
    settle(ledger, (change("L1", score="9"), Status.WRITTEN), (change("L1"), Status.REFUSED))
    assert ledger.held.now(T0) == [rows[1]]
