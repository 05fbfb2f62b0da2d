"""Limits on the way: a floor under every day, and an end once a score has passed a mark."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.decision import UNIT
from core.model import Activity
from core.rules import Model, parse
from tests.core.golden import T0, World, activity, lead

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
GOOD = {"id": "good", "points": 40, "when": {"type": "good"}, "count": "each"}
BAD = {"id": "bad", "points": -25, "when": {"type": "bad"}, "count": "each"}
FIT = {"id": "fit", "points": 50, "when": {"industry": "retail"}}


def model(*rules: dict[str, Any], limit: dict[str, Any], **content: Any) -> Model:
    """A model with a limit of behaviour."""
    thresholds = {"mql": 50, "sql": 100}
    limits = {"behaviour": limit}
    rules_ = list(rules) or [GOOD, BAD]
    return parse(
        {"name": "m", "thresholds": thresholds, "behaviour": rules_, "limits": limits, **content}
    )


def lines(rules: Model, did: list[Activity], **fields: Any) -> dict[str, Decimal]:
    """The points of every line of the lead."""
    found = World([lead("x", **fields)], did).contributions(rules)
    return {rule: Decimal(row["points"]) / UNIT for (_, rule), row in found.items()}


def did(*events: tuple[str, float]) -> list[Activity]:
    """Activities of these types, so many days before now."""
    return [activity(f"e{n}", "x", kind, T0 - age * DAY) for n, (kind, age) in enumerate(events)]


@pytest.mark.parametrize(
    ("events", "floor", "forgiven"),
    [
        ([("bad", 2), ("good", 1)], 0, 25),
        ([("good", 2), ("bad", 1)], 0, None),
        ([("bad", 1), ("good", 1)], 0, None),
        ([("bad", 0.4), ("good", 0.6)], 0, None),
        ([("bad", 0.6), ("good", 0.4)], 0, 25),
        ([("bad", 3), ("good", 2), ("bad", 1), ("bad", 1)], 0, 35),
        ([("bad", 2), ("good", 1)], -20, 5),
        ([("bad", 0)], 0, 25),
    ],
)
def test_no_day_ends_below_the_floor(
    events: list[tuple[str, float]], floor: int, forgiven: int | None
) -> None:
    """Negatives are reset to 0 every night: forgiven once, by a line of its own."""
    found = lines(model(limit={"nightly_floor": floor}), did(*events))
    assert found.get("limit:nightly") == forgiven


@pytest.mark.parametrize(
    ("fields", "until", "counting"),
    [({}, 79, 2), ({}, 80, 3), ({"industry": "retail"}, 100, 2), ({"industry": "retail"}, 49, 0)],
)
def test_events_after_the_mark_do_not_count(
    fields: dict[str, Any], until: int, counting: int
) -> None:
    """The event that passes 300 counts, later ones do not; at exactly 300 nothing has passed."""
    rules = model(limit={"until": until}, fit=[FIT])
    found = lines(rules, did(("good", 3), ("good", 2), ("good", 1)), **fields)
    assert found["good"] + found.get("limit:until", 0) == 40 * counting


def test_events_of_one_instant_count_together() -> None:
    """There is no order within an instant; a later event that takes points counts no more."""
    rules = model(limit={"until": 30})
    assert sum(lines(rules, did(("good", 2), ("good", 2), ("bad", 2), ("bad", 1))).values()) == 55


def test_what_takes_once_takes_once_on_the_way_too() -> None:
    """U02: the first event of a rule that counts once takes its points, further ones none; in a
    group with a cap as well, where it makes room for what comes after it."""
    rules = [{**BAD, "count": "once", "group": "g"}, {**GOOD, "group": "g"}]
    groups = {"g": {"cap": 60}}
    events = did(("bad", 9), ("bad", 8), ("good", 7), ("bad", 6), ("good", 5), ("good", 4))
    low = lines(model(*rules, limit={"nightly_floor": -99}, groups=groups), events)
    assert low == {"bad": -25, "good": 120, "cap:g": -35}
    floored = lines(model(*rules, limit={"nightly_floor": 0}, groups=groups), events)
    assert floored == {**low, "limit:nightly": 25}


def test_the_best_event_of_a_rule_is_gained_as_it_comes() -> None:
    """U02: of a rule that counts once, an old event gives what is left of it, and a later one what
    it is worth more, however many come at one instant: so after the mark nothing more is gained."""
    seen = {"id": "seen", "points": 10, "when": {"type": "seen"}, "decay": "d"}
    halved = {"decays": {"d": {"after": "3 days", "factor": 0.5}}}
    events = did(("seen", 9), ("seen", 2), ("seen", 2), ("bad", 2))
    rules = model(seen, BAD, limit={"nightly_floor": 0}, **halved)
    assert lines(rules, events) == {"seen": 10, "bad": -25, "limit:nightly": 15}
    rules = model(seen, BAD, limit={"until": 4}, **halved)
    assert lines(rules, events) == {"seen": 10, "bad": -25, "limit:until": 20}


def test_a_night_forgives_nothing_of_the_day_before_it_has_ended() -> None:
    """What the night after an event makes good does not count before that event."""
    rules = model(limit={"until": 20, "nightly_floor": 0})
    assert sum(lines(rules, did(("bad", 3), ("good", 2))).values()) == 40


def test_a_lead_with_fit_alone_has_no_path() -> None:
    rules = model(limit={"until": 30, "nightly_floor": 0}, fit=[FIT])
    assert lines(rules, [], industry="retail") == {"fit": 50}


def test_path_limits_compile_for_spark() -> None:
    group = {"groups": {"all": {"cap": 90, "per": "month"}}}
    rules = model({**GOOD, "group": "all"}, limit={"until": 9, "nightly_floor": 0}, **group)
    scored = World([lead("x")]).scored(rules)
    assert "SELECT" in str(ibis.to_sql(scored.scores, dialect="pyspark"))


@pytest.mark.parametrize("limit", [{"until": 0}, {"nightly_floor": 5}, {"until": "x"}])
def test_a_limit_that_means_nothing_is_refused(limit: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model(limit=limit)


def gained(events: Iterable[Activity]) -> Decimal:
    """What the rules of the property below give for events, by the words of the reference."""
    events = list(events)
    days = {e.occurred_at.date() for e in events if e.type == "daily"}
    good = Decimal(40 * sum(e.type == "good" for e in events))
    months: dict[tuple[int, int], Decimal] = {}
    for day in days:
        months[day.year, day.month] = months.get((day.year, day.month), Decimal(0)) + 15
    total = min(good, Decimal(120)) + sum(min(month, Decimal(35)) for month in months.values())
    total -= 25 * sum(e.type == "bad" for e in events)
    once = [Decimal(5) if e.occurred_at < T0 - 3 * DAY else Decimal(10)
            for e in events if e.type == "once"]  # fmt: skip
    return total + max(once, default=Decimal(0))


def walked(rules: Model, events: list[Activity], fit: Decimal) -> Decimal:
    """Behaviour points by going through the events instant by instant, night by night."""
    limit = rules.limits.behaviour
    forgiven, gain, so_far = Decimal(0), Decimal(0), list[Activity]()
    day: Any = None

    def night() -> Decimal:
        floor = limit.nightly_floor
        return forgiven if floor is None else max(forgiven, floor - gain)

    for instant in sorted({e.occurred_at for e in events}):
        if day is not None and instant.date() != day:
            forgiven = night()
        if limit.until is not None and fit + gain + forgiven > limit.until:
            break
        so_far += [e for e in events if e.occurred_at == instant]
        gain, day = gained(so_far), instant.date()
    return gain + night()


KINDS = ["good", "bad", "bad", "daily", "once"]


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 40)), max_size=25),
    st.sampled_from([None, 40, 90, 130]),
    st.sampled_from([None, 0, -30]),
    st.sampled_from(["1", "0.4"]),
    st.booleans(),
)
def test_paths_by_hand(
    events: list[tuple[str, int]], until: int | None, floor: int | None, weight: str, fits: bool
) -> None:
    """U02: once, daily, capped, grouped and decayed rules, walked event by event."""
    rules = model(
        {**GOOD, "cap": 120},
        BAD,
        {"id": "daily", "points": 15, "when": {"type": "daily"}, "count": {"per": "day"},
         "group": "g"},
        {"id": "once", "points": 10, "when": {"type": "once"}, "decay": "half"},
        limit={"until": until, "nightly_floor": floor},
        fit=[FIT],
        groups={"g": {"cap": 35, "per": "month"}},
        decays={"half": {"after": "3 days", "factor": "0.5"}},
        weights={"behaviour": weight},
    )  # fmt: skip
    rows = [
        activity(f"e{n:02}", "x", kind, T0 - places * 9 * HOUR)
        for n, (kind, places) in enumerate(events)
    ]
    world = World([lead("x", industry="retail" if fits else None)], rows)
    fit = Decimal(50 if fits else 0)
    expected = walked(rules, rows, fit)
    assert Decimal(world.scores(rules)["x"]) / UNIT == fit + expected * Decimal(weight)
    found = sum(row["points"] for row in world.contributions(rules).values())
    assert found == world.scores(rules)["x"]
