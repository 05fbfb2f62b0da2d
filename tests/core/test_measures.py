"""Measures: points for all matching activities of a lead together."""

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
from core.scoring import unknown
from tests.core.golden import T0, World, activity, lead

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
RATE = {
    "id": "open-rate",
    "share": {"type": "email_open"},
    "of": {"type": "email_sent"},
    "steps": {"0.5": 10, "0.8": 20},
}
SILENT = {"id": "silent", "silence": {"type": "call"}, "every": 30, "points": -10}
TIERS = {"id": "engaged", "count": {"type": "page_view"}, "steps": {5: 5, 20: 15, 50: 30}}
TIME = {"id": "time", "duration": {"type": "page_view"}, "every": 600, "points": 5, "cap": 12}


def model(*measures: dict[str, Any], **content: Any) -> Model:
    """A model of measures."""
    thresholds = {"mql": 50, "sql": 100}
    return parse({"name": "m", "thresholds": thresholds, "measures": list(measures), **content})


def events(**counts: int) -> list[Activity]:
    """So many activities of each type, one an hour."""
    return [
        activity(f"{kind}{n}", "x", kind, T0 - n * timedelta(hours=1))
        for kind, count in counts.items()
        for n in range(count)
    ]


def given_line(rules: Model, did: list[Activity], at: Any = T0) -> Any:
    """The line of the only measure; None where it gives the lead none."""
    return World([lead("x")], did).contributions(rules, at).get(("x", rules.measures[0].id))


@pytest.mark.parametrize(
    ("opens", "sends", "points"),
    [(8, 10, 20), (7, 10, 10), (5, 10, 10), (4, 10, None), (4, 5, 20), (12, 10, 20), (0, 10, None)],
)
def test_a_rate_of_opens_over_sends(opens: int, sends: int, points: int | None) -> None:
    """S133: 8 opens of 10 sends is 0.8, exactly the step; the opens are the evidence."""
    line = given_line(model(RATE), events(email_open=opens, email_sent=sends))
    assert (line and line["points"]) == (points and points * UNIT)
    if line:
        found = (line["events"], line["evidence"], line["last"])
        assert found == (opens, "email_open0", T0)


def test_a_rate_of_nothing_is_unknown() -> None:
    """S133: 0 sends is unknown, not 0: a step at 0 pays for 0 of 10, and not for 0 of 0."""
    rules = model({**RATE, "steps": {0: -5, "0.5": 10}})
    for did, points, open_ in (
        (events(email_sent=10), -5, []),
        (events(email_open=3), 0, ["open-rate"]),
        ([], 0, ["open-rate"]),
    ):
        world = World([lead("x")], did)
        assert world.scores(rules) == {"x": points * UNIT}
        assert [row["rule"] for row in world.rows(world.asked(unknown, rules))] == open_


def test_thirds_are_exact() -> None:
    """S133: nothing is divided: 2 of 3 is above 0.6666 and below 0.6667."""
    for step, reached in (("0.6666", True), ("0.6667", False)):
        rules = model({**RATE, "steps": {step: 1}})
        assert bool(given_line(rules, events(email_open=2, email_sent=3))) is reached


@pytest.mark.parametrize(
    ("age", "points"),
    [
        (timedelta(), None),
        (30 * DAY - SECOND, None),
        (30 * DAY, -10),
        (89 * DAY, -20),
        (900 * DAY, -300),
    ],
)
def test_silence_costs_by_the_month(age: timedelta, points: int | None) -> None:
    """Inactivity: -10 for every 30 whole days since the last of the events, and no earlier one."""
    did = [activity("old", "x", "call", T0 - 900 * DAY), activity("new", "x", "call")]
    line = given_line(model(SILENT), did, T0 + age)
    assert (line and line["points"]) == (points and points * UNIT)


def test_silence_has_a_cap_and_needs_an_event() -> None:
    """The cap says what it takes at most; who never was active is not silent, but unknown."""
    capped = model({**SILENT, "cap": 25})
    line = given_line(capped, events(call=1), T0 + 100 * DAY)
    assert (line["raw"], line["cap_loss"], line["points"]) == (-300_000, -50_000, -250_000)
    assert given_line(capped, events(email_open=1), T0 + 100 * DAY) is None


@pytest.mark.parametrize(("count", "points"), [(4, None), (5, 5), (19, 5), (20, 15), (60, 30)])
def test_tiers_of_engagement(count: int, points: int | None) -> None:
    """Points for tiers of engagement: the highest step that is reached pays, and it alone."""
    line = given_line(model(TIERS), events(page_view=count, call=9))
    assert (line and line["points"]) == (points and points * UNIT)


def test_time_spent_is_summed_and_capped() -> None:
    """Total duration: what is not known adds nothing; a cap is exact."""
    spent = [(599, None), (600, 5), (1800, 12)]
    for seconds, points in spent:
        did = [
            activity("a", "x", "page_view", duration=seconds - 100),
            activity("b", "x", "page_view", duration=100),
            activity("c", "x", "page_view"),
            activity("d", "x", "call", duration=9000),
        ]
        line = given_line(model(TIME), did)
        assert (line and line["points"]) == (points and points * UNIT)


def test_a_window_leaves_older_events_out() -> None:
    rules = model({**RATE, "within": "10 days"})
    old = [activity(f"s{n}", "x", "email_sent", T0 - 11 * DAY) for n in range(90)]
    assert given_line(rules, [*old, *events(email_open=8, email_sent=10)])["points"] == 20 * UNIT


def test_measures_are_weighted_limited_and_mark_stages() -> None:
    """U02: a measure is a line like any other: weight, the part's limit and stages apply."""
    rules = model(
        RATE,
        TIERS,
        weights={"behaviour": "0.5"},
        limits={"behaviour": {"cap": 22}},
        stages={"iql": ["engaged"]},
    )
    world = World([lead("x")], events(email_open=1, email_sent=1, page_view=5))
    lines = {rule: row["points"] / UNIT for (_, rule), row in world.contributions(rules).items()}
    assert lines == {"open-rate": 10, "engaged": 2.5, "limit:behaviour": -1.5}
    (row,) = world.rows(world.scored(rules).scores)
    assert (row["score"], row["behaviour"], row["iql"]) == (11 * UNIT, 22 * UNIT, 1)


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        ({"id": "m", "steps": {1: 1}}, "a measure has one of"),
        ({**TIERS, "silence": {"type": "call"}}, "here: count, silence"),
        ({"id": "m", "share": {"type": "a"}, "steps": {1: 1}}, "share and of go together"),
        ({**TIERS, "of": {"type": "a"}}, "share and of go together"),
        ({"id": "m", "count": {"type": "a"}}, "either by steps or by every"),
        ({**TIERS, "every": 5, "points": 1}, "either by steps or by every"),
        ({"id": "m", "count": {"type": "a"}, "every": 5}, "every and points go together"),
        ({**TIERS, "points": 5}, "every and points go together"),
        ({**RATE, "steps": None, "every": 1, "points": 1}, "not by every"),
        ({**TIERS, "cap": 5}, "cap needs every"),
        ({**TIME, "cap": 4}, "cap 4 is below the 5 points"),
        ({**SILENT, "cap": -30}, "greater than 0"),
        ({**SILENT, "cap": 9}, "cap 9 is below the 10 points of one 30"),
        ({**TIERS, "steps": {0: 1}}, "a step at 0 needs share or silence"),
        ({**TIERS, "steps": {5: 1, 2: 2}}, "lowest first"),
        ({**TIERS, "steps": {"0.00001": 1, 2: "0.00001"}}, "1/10,000"),
        ({**TIERS, "count": {}}, "an empty condition"),
    ],
)
def test_a_measure_that_means_nothing_is_refused(measure: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        model(measure)


def test_bounds_of_measures() -> None:
    """What a model can give at most counts its measures; one without end has no most."""
    assert model(RATE, TIERS).most == 50
    assert model(RATE, TIME, SILENT).most == 32
    assert model({**TIME, "cap": None}).most is None
    half = {**TIERS, "steps": {1: "0.0001"}}
    with pytest.raises(ValidationError, match="finer than 1/10,000"):
        model(half, weights={"behaviour": "0.5"})


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 90)), max_size=30),
    st.lists(st.integers(0, 40), min_size=1, max_size=4, unique=True).map(sorted),
    st.integers(1, 40),
)
def test_measures_by_hand(did: list[tuple[str, int]], starts: list[int], every: int) -> None:
    """S133 U02: every kind reckoned in plain numbers, the lines adding up to the score."""
    steps = {Decimal(start) / 20: n + 1 for n, start in enumerate(starts)}
    days = {start: n - 2 for n, start in enumerate(starts)}
    rules = model(
        {"id": "share", "share": {"type": "a"}, "of": {"type": "b"}, "steps": steps},
        {"id": "silence", "silence": {"type": ["a", "b"]}, "steps": days},
        {"id": "count", "count": {"type": "c"}, "every": every, "points": -2, "cap": 7},
        weights={"behaviour": "0.75"},
    )
    rows = [
        activity(f"e{n:02}", "x", kind, T0 - age * DAY - n * SECOND)
        for n, (kind, age) in enumerate(did)
    ]
    counts = {kind: sum(1 for k, _ in did if k == kind) for kind in "abc"}
    total = Decimal(max(-7, -2 * (counts["c"] // every)))
    if counts["b"]:
        total += max((p for s, p in steps.items() if counts["a"] >= s * counts["b"]), default=0)
    if ages := [age for kind, age in did if kind in "ab"]:
        total += max((p for s, p in days.items() if min(ages) >= s), default=0)
    world = World([lead("x")], rows)
    assert world.scores(rules) == {"x": total * UNIT * 3 / 4}
    found = world.contributions(rules).values()
    assert sum(row["points"] for row in found) == total * UNIT * 3 / 4


def test_measures_compile_for_spark() -> None:
    world = World([lead("x")])
    rules = model(RATE, TIERS, TIME, SILENT)
    assert "SELECT" in str(ibis.to_sql(world.scored(rules).scores, dialect="pyspark"))
