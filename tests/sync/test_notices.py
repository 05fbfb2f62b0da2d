"""The outbox of hand-offs in the ledger."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Change, Status, WriteResult
from core.decision import Decision, Output
from core.past import surge
from sync.ledger import Ledger
from sync.ledger_notices import Notice, Sending
from sync.ledger_rows import RunStatus
from sync.ledger_surges import Surging
from tests.core.golden import T0

MINUTE = timedelta(minutes=1)
TOLD = {"SQL": ("task", "webhook")}


def decided(who: str, stage: str | None = "SQL", minutes: int = 0) -> Decision:
    """A decision that gives a lead a stage."""
    at = T0 + minutes * MINUTE
    return Decision("crm", who, "Lead", 10_000, None, stage, "1", "m", at)


def opened(url: str) -> Ledger:
    """A ledger with a run in it."""
    ledger = Ledger(url)
    ledger.start("r1", "sync", model="m", at=T0)
    return ledger


def due(ledger: Ledger, minutes: float = 0, limit: int = 9) -> list[str]:
    """The leads that the channel can be told of."""
    found = ledger.notices.due("crm", "webhook", limit, T0 + minutes * MINUTE)
    return [notice.lead_id for notice in found]


def only(ledger: Ledger, lead: str) -> Notice:
    """What is to be told of a lead by the channel."""
    (found,) = (n for n in ledger.notices.waiting() if (n.lead_id, n.way) == (lead, "webhook"))
    return found


def test_a_hand_off_is_to_be_told_once_each_way(url: str) -> None:
    """One notice for each way, whatever is decided again; in the order of the hand-offs, so many
    at a time. Each has a key that is its own, and stays the same."""
    with opened(url) as ledger:
        ledger.decide("r1", [decided("L2"), decided("L3", "MQL")], TOLD)
        ledger.decide("r1", [decided("L1", minutes=1), decided("L2", minutes=1)], TOLD)
        ledger.decide("r1", [decided("L2", "MQL", 2)], TOLD)
        ledger.decide("r1", [decided("L2", "SQL", 3)], TOLD)
        assert [(n.lead_id, n.way) for n in ledger.notices.waiting()] == [
            ("L2", "task"), ("L2", "webhook"), ("L1", "task"), ("L1", "webhook"),
        ]  # fmt: skip
        assert due(ledger) == ["L2", "L1"]
        assert due(ledger, limit=1) == ["L2"]
        keys = {notice.key for notice in ledger.notices.waiting()}
        assert len(keys) == 4
        ledger.notices.sending(only(ledger, "L1"))
        assert {notice.key for notice in ledger.notices.waiting()} == keys


def test_what_is_not_acknowledged_is_tried_again_later(url: str) -> None:
    """After a minute, then two; what was tried least comes first. One that was sent when the
    process died is due at once, and known to have been sent."""
    with opened(url) as ledger:
        ledger.decide("r1", [decided("L1"), decided("L2", minutes=1)], TOLD)
        for tries, wait in enumerate((1, 2, 4), start=1):
            notice = only(ledger, "L1")
            ledger.notices.sending(notice)
            ledger.notices.failed(notice, "timed out", at=T0)
            notice = only(ledger, "L1")
            assert (notice.tries, notice.error) == (tries, "timed out")
            assert due(ledger, wait - 0.1) == ["L2"]
            assert due(ledger, wait) == ["L2", "L1"]
        ledger.notices.sending(only(ledger, "L2"))
        assert (only(ledger, "L2").state, only(ledger, "L2").tries) == (Sending.SENT, 1)
        assert due(ledger) == ["L2"]
        for state, lead in ((Sending.TOLD, "L1"), (Sending.DROPPED, "L2")):
            ledger.notices.settle(only(ledger, lead), state, at=T0)
        assert due(ledger, 99) == []


def test_nobody_is_told_of_what_the_crm_has_not_taken(url: str) -> None:
    """S066: not of a lead whose write was refused or never answered, until it is written."""
    with opened(url) as ledger:
        ledger.decide("r1", [decided("L1"), decided("L2")], TOLD)
        changes = [Change("Lead", who, {Output.TIER: "A"}) for who in ("L1", "L2")]
        ledger.intend("r1", "crm", [(c, None) for c in changes], at=T0)
        assert due(ledger) == []
        results = [
            WriteResult(change, status, "LOCKED", "why")
            for change, status in zip(changes, (Status.UNKNOWN, Status.REFUSED), strict=True)
        ]
        ledger.settle("r1", "crm", results, at=T0)
        assert due(ledger) == []
        ledger.settle("r1", "crm", [WriteResult(c, Status.WRITTEN) for c in changes], at=T0)
        assert due(ledger) == ["L1", "L2"]


def test_a_run_that_ended_early_leaves_no_notice_that_nobody_saw(url: str) -> None:
    """Where it had sent nothing, hand-off and notice go together; once a notice was sent, both
    stay, so that it is not sent again by a hand-off anew."""
    with opened(url) as ledger:
        ledger.decide("r1", [decided("L1")], TOLD)
        ledger.finish("r1", RunStatus.FAILED, at=T0, counts={}, calls={})
        assert (ledger.notices.waiting(), ledger.past.handoffs()) == ([], [])
        ledger.start("r2", "sync", model="m", at=T0)
        ledger.decide("r2", [decided("L1", minutes=1)], TOLD)
        ledger.notices.sending(only(ledger, "L1"))
        ledger.close_dead_runs(at=T0)
        ledger.start("r3", "sync", model="m", at=T0)
        ledger.decide("r3", [decided("L1", minutes=2)], TOLD)
        assert len(ledger.past.handoffs()) == 1
        assert [(n.way, n.tries) for n in ledger.notices.waiting()] == [("task", 0), ("webhook", 1)]


HOUR = timedelta(hours=1)
RISING = Surging(30 * 10_000, 24 * HOUR, ("webhook",))


def scored(points: int, hours: int) -> Decision:
    """A decision some hours after T0."""
    return replace(decided("L1", None), score=points * 10_000, scored_at=T0 + hours * HOUR)


def test_a_surge_is_told_once(url: str) -> None:
    """S172: a rise by 30 points within 24 hours, in one step or several, is flagged and told once;
    29 are none, nor is a slow rise, nor the first score of all. A day later it may surge anew."""
    with opened(url) as ledger:
        told = []
        path = {0: 50, 1: 79, 10: 75, 23: 80, 30: 100, 40: 90, 47: 125, 60: 125, 72: 155, 100: 180}
        for hours, points in path.items():
            for _again in range(2):
                ledger.decide("r1", [scored(points, hours)], {}, {}, RISING)
            told.append(len(ledger.notices.waiting()))
        assert told == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3]
        found = ledger.surges.of("crm", "L1", T0 + 50 * HOUR)
        assert str(found) == "+45 points, seen at 2026-01-03 11:00 UTC"
        assert {n.kind for n in ledger.notices.waiting()} == {"surge"}
        ledger.finish("r1", RunStatus.FAILED, at=T0, counts={}, calls={})
        assert ledger.surges.of("crm", "L1", T0 + 999 * HOUR) is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 99)), max_size=9), st.integers(0, 99))
def test_a_rise_is_above_the_lowest_score_of_the_window(
    steps: list[tuple[int, int]], score: int
) -> None:
    """S172: by what was in force in any hour of the window, its beginning included."""
    scores = [(T0 + hour * HOUR, value) for hour, value in sorted(dict(steps).items())]
    at, hours = T0 + 61 * HOUR, range(61 - 24, 61)
    in_force = [
        [value for then, value in scores if then <= T0 + hour * HOUR][-1:] for hour in hours
    ]
    known = [value for found in in_force for value in found]
    assert surge(scores, score, at, 24 * HOUR) == score - min(known, default=score)
