"""Stages, hand-offs and overrides in the ledger, and what whole runs make of them."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from connectors.base import Change
from core.decision import Decision, Output
from core.past import Kind, Override
from core.rules import parse
from core.segments import Segment
from core.stages import QUALIFIED
from core.verdict import judge
from sync.ledger import Ledger
from sync.ledger_past import Handoff
from sync.ledger_rows import RunStatus
from sync.service_settings import Schedule
from sync.show import SHOWN, status
from tests.core.golden import T0, World, activity, lead

DAY = timedelta(days=1)
LATER_TABLES = (
    "stages", "handoffs", "overrides", "scored", "held", "audit", "audit_head", "states",
    "notices", "answers", "surges", "given", "turns", "rounds", "waiting", "timers",
    "rates", "quotas", "models",
)  # fmt: skip
LATER_COLUMNS = (("intents", "before"), ("quarantine", "next_try"), ("quarantine", "fields"),
                 ("sign_offs", "by"), ("intents", "job"), ("decisions", "probability"),
                 ("quarantine", "modified_at"), ("decisions", "fit"),
                 ("decisions", "behaviour"))  # fmt: skip
"""What ledgers have got since the first that had sign-offs."""


def decided(stage: str | None, days: float, who: str = "L1", crm: str = "crm") -> Decision:
    """A decision that gives a lead a stage, some days after T0."""
    at = T0 + days * DAY
    return Decision(crm, who, "Lead", 10_000, None, stage, "1", "m", at)


def opened(url: str = "sqlite://") -> Ledger:
    """A ledger with two runs in it."""
    ledger = Ledger(url)
    for run in ("r1", "r2"):
        ledger.start(run, "sync", model="m", at=T0)
    return ledger


def past(ledger: Ledger, days: float, *leads: str) -> dict[str, dict[str, Any]]:
    """What was decided before an instant, by lead."""
    rows = World([]).rows(ledger.past.before(T0 + days * DAY, leads).stages)
    return {row["lead_id"]: row for row in rows}


def test_the_past_of_an_instant_is_what_was_decided_before_it(url: str) -> None:
    """U14: stage, since when, cycles and when it last left, as of any instant; who never had a
    stage has no row, and a decision without a change adds none."""
    with opened(url) as ledger:
        path = [None, "IQL", "MQL", "SQL", "SQL", None, "Pending", "MQL", "Disqualified"]
        for day, stage in enumerate(path):
            ledger.decide("r1", [decided(stage, day), decided(None, day, "L2")])
        assert past(ledger, 1) == {}
        columns = ("stage", "mqls", "since", "qualified", "left")
        expected = {
            1.5: ("IQL", 0, 1, None, None), 3: ("MQL", 1, 2, 2, None), 4.5: ("SQL", 1, 3, 2, None),
            5.5: (None, 1, 5, 2, 5), 6.5: ("Pending", 1, 6, 2, 5), 7.5: ("MQL", 2, 7, 7, 5),
            9: ("Disqualified", 2, 8, 7, 8),
        }  # fmt: skip
        for instant, (stage, mqls, *days) in expected.items():
            row = past(ledger, instant)["L1"]
            instants = [None if n is None else T0 + n * DAY for n in days]
            assert [row[name] for name in columns] == [stage, mqls, *instants], instant
        assert past(ledger, 9, "L2") == {}
        assert past(ledger, 9, "L1") == past(ledger, 9)
        spells = World([]).rows(ledger.past.before(T0 + 8 * DAY, ["L1"], spells=True).spells)
        had = [(r["stage"], r["mqls"], r["since"], r["until"]) for r in spells]
        steps = [("IQL", 0, 1), ("MQL", 1, 2), ("SQL", 1, 3), (None, 1, 5), ("Pending", 1, 6)]
        begun = [(*step[:2], T0 + step[2] * DAY) for step in [*steps, ("MQL", 2, 7)]]
        ends = [since for *_what, since in begun[1:]] + [None]
        assert had == [(*row, end) for row, end in zip(begun, ends, strict=True)]
        (given,) = ledger.past.handoffs()
        assert given == Handoff("crm", "L1", 1, "SQL", T0 + 3 * DAY, "r1")


def test_status_says_how_many_hand_offs_there_are() -> None:
    """Those that are listed are the latest; the title counts all."""
    with opened() as ledger:
        ledger.decide("r1", [decided("SQL", 1, f"L{n}") for n in range(SHOWN + 3)])
        tables = {str(t.title): t.row_count for t in status(ledger, Schedule(), [], T0)}
    assert tables[f"\nhand-offs to sales: {SHOWN + 3}, newest first"] == SHOWN


def test_a_repeated_run_records_the_same_and_hands_nobody_off_twice(url: str) -> None:
    """S064 U14: killed after its decisions were recorded and run again, at the same instant or
    later: one change, one hand-off. However a run ended early: where it sent nothing, it leaves no
    past; where it did, it does."""
    with opened(url) as ledger:
        ledger.decide("r1", [decided("MQL", 0)])
        ledger.decide("r1", [decided("SQL", 1)])
        before = past(ledger, 9)
    with Ledger(url) as ledger:
        ledger.decide("r2", [decided("SQL", 1)])
        ledger.decide("r2", [decided("SQL", 2)])
        assert past(ledger, 9) == before
        assert [(h.cycle, h.at, h.run_id) for h in ledger.past.handoffs()] == [(1, T0 + DAY, "r1")]
        for run in ("r1", "r2"):
            ledger.finish(run, RunStatus.DONE, at=T0, counts={}, calls={})
        ledger.start("r3", "sync", model="m", at=T0)
        ledger.decide("r3", [decided(None, 3), decided("SQL", 3, "L2")])
        ledger.finish("r3", RunStatus.GUARDED, at=T0, counts={}, calls={})
        assert past(ledger, 9) == before
        ledger.start("r4", "sync", model="m", at=T0)
        ledger.decide("r4", [decided("SQL", 4, "L2"), decided("SQL", 4, "L3", "other")])
        ledger.intend("r4", "other", [(Change("Lead", "L3", {Output.SCORE: "1"}), None)], at=T0)
        assert ledger.close_dead_runs(at=T0) == ["r4"]
        assert past(ledger, 9).keys() == {"L1", "L3"}
        assert {h.lead_id for h in ledger.past.handoffs()} == {"L1", "L3"}


def test_a_decision_that_cannot_be_recorded_leaves_no_past() -> None:
    """Decisions, stages and hand-offs are one transaction."""
    with opened() as ledger:
        with pytest.raises(Exception, match="FOREIGN KEY"):
            ledger.decide("no such run", [decided("SQL", 0)])
        assert past(ledger, 1) == {}
        assert ledger.past.handoffs() == []


STAGES = st.lists(st.sampled_from([None, "IQL", "MQL", "SQL pending", "SQL", "Pending"]))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(STAGES, st.frozensets(st.sampled_from(["MQL", "SQL"]), min_size=1))
def test_one_hand_off_a_cycle(path: list[str | None], handed: frozenset[str]) -> None:
    """U14: whatever a lead goes through, it is handed off once in each cycle that reaches a stage
    of hand-off, at the first time; the cycle is how often it entered the qualified stages."""
    cycle, was = 0, None
    expected: dict[int, datetime] = {}
    with opened() as ledger:
        for day, stage in enumerate(path):
            ledger.decide("r1", [decided(stage, day)], dict.fromkeys(handed, ()))
            cycle += stage in QUALIFIED and was not in QUALIFIED
            if stage in handed and stage != was:
                expected.setdefault(cycle, T0 + day * DAY)
            was = stage
        assert {h.cycle: h.at for h in ledger.past.handoffs()} == expected
        assert ledger.past.history("crm", "L1", T0 + 99 * DAY).mqls == cycle


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kept", "cycles"), [({"keep": {"mql": 40}}, 1), ({}, 5)], ids=["keep", "without"]
)
def test_a_score_round_the_threshold_is_handed_off_once(kept: Any, cycles: int) -> None:
    """U14: 50, 45, 50, 45 ... for 30 days is one cycle and one hand-off with `keep`; without, the
    lead comes and goes, and each time is a cycle of its own."""
    rule = {"id": "visit", "points": 5, "count": "each", "within": "24 hours",
            "when": {"type": "page_view"}}  # fmt: skip
    fit = [{"id": "base", "points": 45, "when": {"email": {"known": True}}}]
    limits = {"mql": 50, "sql": 100, **kept}
    model = parse({"name": "m", "fit": fit, "behaviour": [rule], "thresholds": limits})
    visits = [activity(f"v{n}", "L1", "page_view", T0 + (6 * n - 0.1) * DAY) for n in range(5)]
    world = World([lead("L1")], visits)
    with opened() as ledger:
        scores = set()
        for day in range(0, 30, 3):
            at = T0 + day * DAY
            known = ledger.past.before(at)
            (row,) = world.rows(judge((Segment(model),), world.facts, at, known).verdicts)
            scores.add(row["score"] // 10_000)
            ledger.decide("r1", [decided(row["stage"], day)], {"MQL": ("webhook",)})
        assert scores == {45, 50}
        assert len(ledger.past.handoffs()) == len(ledger.notices.waiting()) == cycles
        assert past(ledger, 99)["L1"]["mqls"] == cycles


def said(value: str, day: float, until: float = 9, who: str = "L1") -> Override:
    """An override of points, made on a day."""
    kind = Kind.STAGE if value.isupper() else Kind.POINTS
    return Override("crm", who, kind, value, "met her", "ana", T0 + day * DAY, T0 + until * DAY)


def test_overrides_expire_and_are_kept(url: str) -> None:
    """D53: in force from when it is made (inclusive) to its end (exclusive), a removal, or the
    next; all that ever were are kept, with who ended them."""
    with opened(url) as ledger:
        ledger.past.override(said("5", 1, until=3))
        ledger.past.override(said("7", 2, who="L2"))
        ledger.past.override(said("SQL", 4, who="L2"))
        assert ledger.past.remove_override("crm", "L2", by="ben", at=T0 + 6 * DAY)
        assert not ledger.past.remove_override("crm", "L1", by=None, at=T0 + 6 * DAY)

        def in_force(day: float) -> dict[str, str]:
            return {o.lead_id: o.value for o in ledger.past.overrides(T0 + day * DAY)}

        assert [in_force(day) for day in (0.9, 1, 2, 3, 4, 5.9, 6)] == [
            {}, {"L1": "5"}, {"L1": "5", "L2": "7"}, {"L2": "7"}, {"L2": "SQL"}, {"L2": "SQL"}, {},
        ]  # fmt: skip
        kept = [(o.value, o.removed_by) for o in ledger.past.overrides()]
        assert kept == [("5", None), ("7", "ana"), ("SQL", "ben")]
        rows = World([]).rows(ledger.past.before(T0 + 2 * DAY).overrides)
        effect = {r["lead_id"]: (r["points"], r["score"], r["stage"]) for r in rows}
        assert effect == {"L1": (50_000, None, None), "L2": (70_000, None, None)}
        assert ledger.past.before(T0 + 7 * DAY).overrides is None

        def moved(since: float, at: float) -> set[str]:
            found = ledger.past.overridden_between(T0 + since * DAY, T0 + at * DAY)
            return {lead_id for _crm, lead_id in found}

        assert [moved(0, 1), moved(1, 2), moved(2, 3), moved(4, 5), moved(5, 6)] == [
            {"L1"}, {"L2"}, {"L1"}, set(), {"L2"},
        ]  # fmt: skip


def test_an_older_ledger_knows_its_past(url: str) -> None:
    """Stages and hand-offs of decisions from before there were such tables are filled in: nobody is
    handed off a second time by an upgrade."""
    path = [None, "MQL", "SQL", "MQL", None, "SQL", "SQL"]
    with opened(url) as ledger:
        for day, stage in enumerate(path):
            ledger.decide("r1", [decided(stage, day), decided("SQL", day, "L2", "other")])
        known = [past(ledger, day) for day in range(9)]
        given = ledger.past.handoffs()
    engine = create_engine(url)
    with engine.begin() as db:
        db.execute(text("DROP INDEX ix_intents_run"))
        for table, column in LATER_COLUMNS:
            db.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        for table in LATER_TABLES:
            db.execute(text(f"DROP TABLE {table}"))
        db.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    engine.dispose()
    with Ledger(url) as ledger:
        assert [past(ledger, day) for day in range(9)] == known
        assert ledger.past.handoffs() == given
        assert len(given) == 3
