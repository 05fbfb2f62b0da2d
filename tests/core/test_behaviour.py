"""Counting, runs, caps and gradual decay of behaviour points."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import Any

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decay import Linear
from core.decision import UNIT
from core.model import Activity
from core.points import Grain
from core.rules import Model, parse
from tests.core.golden import T0, World, activity, lead

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
VIEW = {"id": "view", "points": 10, "when": {"type": "page_view"}}
RUN = {**VIEW, "at": {"nth": 3, "within": "7 days"}}
CALL = {"id": "call", "points": 7, "when": {"type": "call"}, "count": "each"}
EACH = {**VIEW, "count": "each"}


def model(*rules: dict[str, Any], **content: Any) -> Model:
    """A model of behaviour rules."""
    thresholds = {"mql": 50, "sql": 100}
    return parse({"name": "m", "thresholds": thresholds, "behaviour": list(rules), **content})


def views(*times: datetime, kind: str = "page_view") -> list[Activity]:
    """One activity of the lead at each of these times."""
    return [activity(f"{kind}{n}", "x", kind, at) for n, at in enumerate(times)]


def points(rules: Model, events: list[Activity], at: datetime = T0) -> Decimal:
    """Points of the lead."""
    return Decimal(World([lead("x")], events).scores(rules, at)["x"]) / UNIT


def days(*ages: float) -> list[datetime]:
    """The instants so many days before T0."""
    return [T0 - age * DAY for age in ages]


@pytest.mark.parametrize(
    ("ages", "score"),
    [
        ((0, 3, 7), 10),
        ((0, 3, 7.001), 0),
        ((0, 15, 30), 0),
        ((0, 1), 0),
        ((0, 1, 2, 3, 4, 5), 10),
        ((20, 23, 26, 1), 10),
    ],
)
def test_a_run_of_events_in_a_window(ages: tuple[float, ...], score: int) -> None:
    """S075 S103: three pricing visits in 7 days fire once, at the third; three in 30 do not."""
    assert points(model(RUN), views(*days(*ages))) == score


def test_a_run_fires_at_the_nth_event_and_not_before() -> None:
    """S103: two visits give nothing yet; the third is the evidence, the fourth adds nothing."""
    rules = model({**VIEW, "at": {"nth": 3}})
    events = views(*days(9, 5, 2, 1))
    for at, score in ((T0 - 3 * DAY, 0), (T0 - 2 * DAY, 10), (T0, 10)):
        assert points(rules, events, at) == score
    row = World([lead("x")], events).contributions(rules)["x", "view"]
    assert (row["evidence"], row["events"], row["first"]) == ("page_view2", 1, T0 - 2 * DAY)


def test_a_run_is_of_one_person() -> None:
    events = [activity(f"e{n}", who, "page_view") for n, who in enumerate("xxyy")]
    assert World([lead("x"), lead("y")], events).scores(model(RUN)) == {"x": 0, "y": 0}


def test_points_go_down_with_a_negative_rule() -> None:
    """S103: negative behaviour lowers the score."""
    careers = {"id": "jobs", "points": -10, "when": {"type": "jobs"}, "count": {"per": "day"}}
    events = views(T0, T0 - SECOND, T0 - DAY, kind="jobs")
    assert points(model(careers), events) == -20


NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "times", "paid"),
    [
        ("day", [NEW_YEAR, NEW_YEAR + 11 * SECOND, NEW_YEAR - SECOND], 2),
        ("week", [datetime(2025, 12, 29, tzinfo=UTC), NEW_YEAR], 1),
        ("week", [datetime(2025, 12, 28, 23, 59, tzinfo=UTC), NEW_YEAR], 2),
        ("month", [NEW_YEAR, NEW_YEAR - SECOND, NEW_YEAR - 30 * DAY], 2),
        ("quarter", [NEW_YEAR, NEW_YEAR - SECOND, NEW_YEAR - 91 * DAY], 2),
        ("year", [NEW_YEAR, NEW_YEAR - SECOND, NEW_YEAR - 364 * DAY], 2),
    ],
)
def test_one_event_a_period(period: str, times: list[datetime], paid: int) -> None:
    """D45: once a day, week, month, quarter or year of the calendar in UTC."""
    rules = model({**VIEW, "count": {"per": period}})
    row = World([lead("x")], views(*times)).contributions(rules)["x", "view"]
    assert row["points"] == row["raw"] == paid * 10 * UNIT
    assert (row["events"], row["first"], row["last"]) == (len(times), min(times), max(times))
    assert row["evidence"] == f"page_view{times.index(max(times))}"


def test_the_best_event_of_a_period_is_paid() -> None:
    """D45 S136: a period pays what its freshest event is still worth, and a cap holds for all."""
    decays = {"half": {"after": "12 hours", "factor": 0.5}}
    rules = model({**VIEW, "count": {"per": "day"}, "decay": "half"}, decays=decays)
    events = views(T0, T0 - 12 * timedelta(hours=1), T0 - DAY, T0 - DAY - SECOND)
    assert points(rules, events, T0) == 15
    assert points(rules, events, T0 + 13 * timedelta(hours=1)) == 10
    capped = model({**VIEW, "count": {"per": "day"}, "cap": 15})
    assert points(capped, events) == 15


def lines(rules: Model, events: list[Activity]) -> dict[str, Decimal]:
    """The points of every line of the lead."""
    found = World([lead("x")], events).contributions(rules)
    return {rule: Decimal(row["points"]) / UNIT for (_, rule), row in found.items()}


def test_rules_of_a_group_share_a_cap() -> None:
    """D65: what is over the cap is a line of its own, and the lines add up."""
    rules = [{**EACH, "group": "web"}, {**CALL, "group": "web"}]
    grouped = model(*rules, groups={"web": {"cap": 25}}, weights={"behaviour": "0.4"})
    events = [*views(*days(1, 2)), *views(*days(1, 2, 3), kind="call")]
    assert lines(grouped, events) == {
        "view": Decimal(8), "call": Decimal("8.4"), "cap:web": Decimal("-6.4"),
    }  # fmt: skip
    assert points(grouped, events) == 10
    assert lines(grouped, events[:2]) == {"view": Decimal(8)}


def test_a_cap_by_the_quarter() -> None:
    """D65: each quarter gives at most the cap; the excess of one is not made up by another."""
    rules = [{**EACH, "group": "web"}, {**CALL, "group": "web", "count": {"per": "day"}}]
    grouped = model(*rules, groups={"web": {"cap": 25, "per": "quarter"}})
    late, early = datetime(2025, 12, 31, tzinfo=UTC), datetime(2025, 11, 1, tzinfo=UTC)
    events = [*views(late, early, early, T0), *views(late, late, T0, kind="call")]
    assert lines(grouped, events) == {"view": 40, "call": 14, "cap:web": -12}
    assert points(grouped, events) == 42


def test_a_whole_part_has_bounds() -> None:
    """D65: the behaviour part gives at most its cap and at least its floor."""
    rules = [EACH, {**CALL, "points": -30}]
    bounded = model(*rules, limits={"behaviour": {"cap": 25, "floor": 0}})
    assert points(bounded, views(*days(1, 2))) == 20
    assert points(bounded, views(*days(1, 2, 3))) == 25
    assert lines(bounded, views(*days(1, 2), kind="call")) == {"call": -60, "limit:behaviour": 60}


def test_the_fit_part_has_bounds() -> None:
    fit = [
        {"id": name, "points": 40, "when": {name: {"known": True}}} for name in ("email", "title")
    ]
    bounded = model(fit=fit, limits={"fit": {"cap": 70}}, weights={"fit": "0.5"})
    world = World([lead("x", title="CTO"), lead("y")])
    assert world.scores(bounded) == {"x": 35 * UNIT, "y": 20 * UNIT}
    assert world.contributions(bounded)["x", "limit:fit"]["cap_loss"] == 10 * UNIT


def test_points_expire() -> None:
    """D66: gone once the event is older than 180 days, and not before."""
    rules = model({**EACH, "within": "180 days"})
    assert points(rules, views(T0), T0 + 180 * DAY) == 10
    assert points(rules, views(T0), T0 + 180 * DAY + SECOND) == 0


@pytest.mark.parametrize(
    ("decay", "age", "left"),
    [
        ({"over": "90 days"}, 0, "10"),
        ({"over": "90 days"}, 0.999, "10"),
        ({"over": "90 days"}, 1, "9.8888"),
        ({"over": "90 days"}, 45, "5"),
        ({"over": "90 days"}, 89, "0.1111"),
        ({"over": "90 days"}, 90, "0"),
        ({"over": "90 days"}, 900, "0"),
        ({"half_life": "30 days"}, 0, "10"),
        ({"half_life": "30 days"}, 1, "9.7715"),
        ({"half_life": "30 days"}, 30, "5"),
        ({"half_life": "30 days"}, 60, "2.5"),
        ({"half_life": "30 days"}, 75, "1.7677"),
        ({"half_life": "30 days"}, 3000, "0"),
    ],
)
def test_gradual_decay(decay: dict[str, str], age: float, left: str) -> None:
    """S136: by whole days of age, to 1/10,000 point, rounded down."""
    rules = model({**EACH, "decay": "slow"}, decays={"slow": decay})
    world = World([lead("x")], views(*days(age)))
    assert Decimal(world.scores(rules)["x"]) / UNIT == Decimal(left)
    row = world.contributions(rules)["x", "view"]
    assert Decimal(row["raw"] - row["decay_loss"]) / UNIT == Decimal(left)


@pytest.mark.parametrize("weight", ["1", "0.4", "0.75"])
def test_a_straight_line_is_exact(weight: str) -> None:
    """S136: 18 points have just 6 left after 20 of 30 days, and not 5.9999: every day of a line is
    what its fraction is, rounded down once."""
    grain = Grain(Decimal(weight))
    for span, points in product((3, 7, 30, 90, 365), range(1, 101, 17)):
        line = Linear.model_validate({"over": f"{span} days"})
        left = [int(points * UNIT * Fraction(span - n, span) / grain.raw) for n in range(span)]
        assert list(line.course(Decimal(points), grain)) == left


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(
    st.lists(st.integers(0, 200), max_size=12),
    st.sampled_from(["1", "0.4", "0.75"]),
    st.sampled_from([{"over": "40 days"}, {"half_life": "7 days"}]),
    st.booleans(),
)
def test_gradual_decay_by_hand(ages: list[int], weight: str, decay: Any, once: bool) -> None:
    """S136 D48: every event on its own, in exact fractions; weighted points stay whole units."""
    rule = {**VIEW, "count": "once" if once else "each", "decay": "slow"}
    rules = model(rule, decays={"slow": decay}, weights={"behaviour": weight})
    grain = Fraction(weight).denominator
    span = int(next(iter(decay.values())).split()[0])
    worth = []
    for age in ages:
        share = max(Fraction(span - age, span), Fraction(0))
        if "half_life" in decay:
            share = Fraction(2) ** -(age // span) * Fraction(2 ** (-(age % span) / span))
        worth.append(int(10 * UNIT * share / grain) * grain)
    kept = max(worth, default=0) if once else sum(worth)
    world = World([lead("x")], views(*days(*ages)))
    assert world.scores(rules)["x"] == kept * Fraction(weight)
    for row in world.contributions(rules).values():
        assert row["points"] == (row["raw"] - row["decay_loss"]) * Fraction(weight)


def test_everything_compiles_for_spark() -> None:
    rules = model(
        RUN,
        {**CALL, "group": "talk", "decay": "slow"},
        {**EACH, "id": "daily", "count": {"per": "day"}, "decay": "webinar"},
        groups={"talk": {"cap": 25, "per": "quarter"}},
        decays={
            "slow": {"half_life": "30 days"},
            "webinar": {"after": "9 days", "minus": 1, "unless_engaged": True},
        },
        limits={"behaviour": {"cap": 99}},
    )
    world = World([lead("x")], [*views(*days(1, 2, 3)), *views(*days(1, 2, 3, 95), kind="call")])
    assert lines(rules, views(*days(1, 2, 3)))["view"] == 10
    assert "SELECT" in str(ibis.to_sql(world.scored(rules).scores, dialect="pyspark"))


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["page_view", "call"]), st.integers(0, 900)), max_size=25),
    st.integers(2, 4),
    st.sampled_from([1, 24, 100]),
)
def test_counting_by_hand(events: list[tuple[str, int]], nth: int, hours: int) -> None:
    """D45 D65 S075 D48: days, runs and caps reckoned event by event; the lines add up."""
    rules = model(
        {**VIEW, "id": "daily", "count": {"per": "day"}, "group": "web"},
        {**CALL, "group": "web"},
        {**RUN, "at": {"nth": nth, "within": f"{hours} hours"}},
        groups={"web": {"cap": 30, "per": "week"}},
        limits={"behaviour": {"cap": 90}},
    )
    history = [
        activity(f"e{n:02}", "x", kind, T0 - timedelta(hours=age))
        for n, (kind, age) in enumerate(events)
    ]
    seen = sorted(e.occurred_at for e in history if e.type == "page_view")
    calls = [e.occurred_at.date() for e in history if e.type == "call"]
    by_week: dict[tuple[int, int], int] = {}
    paid = [(day, 10) for day in {at.date() for at in seen}] + [(day, 7) for day in calls]
    for day, worth in paid:
        week = day.isocalendar()[:2]
        by_week[week] = by_week.get(week, 0) + worth
    runs = zip(seen, seen[nth - 1 :], strict=False)
    total = sum(min(worth, 30) for worth in by_week.values())
    total += 10 * any(last - first <= timedelta(hours=hours) for first, last in runs)
    found = lines(rules, history)
    assert sum(found.values()) == points(rules, history) == min(total, 90)
