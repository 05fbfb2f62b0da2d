"""Scores from 1 to 100, ranking by company size, and the matrix of fit and behaviour."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from core.decision import UNIT
from core.rules import Model, parse
from core.scoring import unknown
from core.segments import Segment
from tests.core.golden import World, activity, lead
from tests.core.test_past import past

SIZES = [
    {"id": "small", "when": {"employees": {"below": 100}}},
    {"id": "medium", "when": {"employees": {"below": 1000}}},
    {"id": "large", "when": {"employees": {"at_least": 1000}}},
]
CALL = {"id": "call", "points": 1, "when": {"type": "call"}, "count": "each", "cap": 999}


def model(**content: Any) -> Model:
    """A model in which each call is a point."""
    base = {"name": "m", "thresholds": {"mql": 50, "sql": 100}, "behaviour": [CALL]}
    return parse({**base, **content})


def calls(number: int, who: str = "x") -> list[Any]:
    """So many calls of a lead."""
    return [activity(f"{who}{n}", who, "call") for n in range(number)]


@pytest.mark.parametrize(
    ("employees", "points", "score", "size"),
    [
        (5000, 62, 3062, "large"),
        (10, 0, 1000, "small"),
        (5000, 0, 3000, "large"),
        (500, 100, 2100, "medium"),
        (None, 62, 62, None),
    ],
)
def test_thousand_digit(employees: int | None, points: int, score: int, size: str | None) -> None:
    """S108: the thousands are the size, the rest the points, and lines and reason say which is
    which; no size is no thousand, and is told as unknown."""
    rules = model(sizes=SIZES)
    world = World([lead("x", employees=employees)], calls(points))
    (found,) = world.scores(rules).values()
    assert found == score * UNIT
    thousands, rest = divmod(found // UNIT, 1000)
    lines = {rule: row["points"] for (_lead, rule), row in world.contributions(rules).items()}
    ranked = [None, *(one["id"] for one in SIZES)]
    paid = {ranked[thousands]: thousands * 1000 * UNIT, "call": rest * UNIT}
    assert lines == {rule: units for rule, units in paid.items() if units}
    assert (ranked[thousands], rest) == (size, points)
    biggest = sorted(lines.items(), key=lambda line: -line[1])
    parts = [f"{rule} +{units // UNIT}" for rule, units in biggest]
    assert world.reasons(rules) == {"x": f"{score}: {', '.join(parts)}"}
    gaps = {row["rule"] for row in world.rows(world.asked(unknown, rules))}
    assert gaps == (set() if employees else {"small", "medium", "large"})


def test_size_comes_before_points() -> None:
    """S108: a large company without points ranks above a medium one with 100."""
    people = [lead("large", employees=5000), lead("medium", employees=500)]
    scores = World(people, calls(100, "medium")).scores(model(sizes=SIZES))
    assert scores == {"large": 3000 * UNIT, "medium": 2100 * UNIT}


def test_negative_points_do_not_lower_the_size() -> None:
    """S108: large with less than nothing is still large."""
    rules = model(sizes=SIZES, behaviour=[{"id": "call", "points": -5, "when": {"type": "call"}}])
    world = World([lead("x", employees=5000)], calls(1))
    assert world.scores(rules) == {"x": 3000 * UNIT}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"behaviour": [{**CALL, "cap": 1000}]}, "sizes leave 999 points .* up to 1000"),
        ({"behaviour": [{**CALL, "cap": None}]}, "the rules give without end"),
        ({"scale": {}}, "sizes and scale each decide"),
        ({"gates": {"criteria": [{"id": "a", "when": {"title": "x"}}]}}, "gates and sizes each"),
        ({"sizes": [], "scale": {}, "behaviour": [{**CALL, "cap": None}]}, "scale: .* say top"),
        ({"matrix": {"fit": {"A": 1, "D": 0}, "behaviour": {"1": 1, "4": 1}}}, "best first"),
        ({"matrix": {"fit": {"A": 1}, "behaviour": {"1": 1, "4": 0}}}, "at least 2"),
        ({"matrix": {"fit": {"A": 1, "D": 0}}}, "either behaviour or stage"),
        (
            {"matrix": {"fit": {"A": 1, "D": 0}, "stage": {"1": "MQL"}, "behaviour": {"1": 1}}},
            "at least 2",
        ),
        (
            {"matrix": {"fit": {"A": 1, "D": 0}, "stage": {"1": "MQL", "2": ["SQL", "MQL"]}}},
            "stage MQL has two labels",
        ),
        ({"matrix": {"fit": {"A": 1, "D": 0}, "stage": {"1": "SLQ", "2": "none"}}}, "SLQ"),
        (
            {"matrix": {"fit": {"A": 1, "D": 0}, "behaviour": {"1": 1, "4": 0}}, "tiers": {"A": 1}},
            "matrix and tiers both",
        ),
    ],
)
def test_scales_that_cannot_mean_what_they_say(change: Any, said: str) -> None:
    """S108: more than 999 points beside the size is an error of the model."""
    with pytest.raises(ValidationError, match=said):
        model(**{"sizes": SIZES, **change})


@pytest.mark.parametrize(
    ("content", "most"),
    [
        ({}, "999"),
        ({"weights": {"behaviour": "0.5"}}, "499.5"),
        ({"limits": {"behaviour": {"cap": 40}}}, "40"),
        ({"behaviour": [{**CALL, "count": "once", "cap": None}]}, "1"),
        ({"behaviour": [{**CALL, "group": "g"}], "groups": {"g": {"cap": 7}}}, "7"),
        ({"behaviour": [{**CALL, "points": -1, "cap": None}]}, "0"),
        ({"fit": [{"best_of": [{"id": "a", "points": 3, "when": {"title": "a"}},
                               {"id": "b", "points": 9, "when": {"title": "b"}}]},
                  {"id": "c", "points": -4, "when": {"title": "c"}}]}, "1008"),
    ],
)  # fmt: skip
def test_the_most_that_rules_can_give(content: dict[str, Any], most: str) -> None:
    assert model(**content).most == Decimal(most)


@pytest.mark.parametrize(
    ("number", "score"), [(0, 1), (1, 2), (40, 50), (79, 98), (80, 100), (200, 100)]
)
def test_a_score_from_1_to_100(number: int, score: int) -> None:
    """S107: no points are 1, the most points 100, and the lines add up."""
    rules = model(behaviour=[{**CALL, "cap": 80}], scale={})
    world = World([lead("x")], calls(number))
    assert world.scores(rules) == {"x": score * UNIT}
    assert sum(row["points"] for row in world.contributions(rules).values()) == score * UNIT
    wider = model(behaviour=[{**CALL, "cap": 80}], scale={"top": 160})
    assert world.scores(wider)["x"] == (1 + min(number, 80) * 99 // 160) * UNIT


def test_points_below_zero_are_1_on_the_scale() -> None:
    """S107: clamped at the low end."""
    bad = {"id": "call", "points": -5, "when": {"type": "call"}}
    world = World([lead("x")], calls(1))
    assert world.scores(model(behaviour=[bad], scale={"top": 10})) == {"x": UNIT}


@pytest.mark.parametrize(
    ("fit", "number", "grade"),
    [("a", 40, "A1"), ("a", 0, "A4"), ("b", 20, "B2"), (None, 40, "D1"), (None, 0, "D4"),
     ("bad", 0, "D4")],
)  # fmt: skip
def test_a_matrix_of_fit_and_behaviour(fit: str | None, number: int, grade: str) -> None:
    """D67: two dimensions kept apart: A1 is best, D4 worst."""
    points = {"a": 30, "b": 20, "bad": -10}
    rules = model(
        fit=[{"id": k, "points": p, "when": {"title": k}} for k, p in points.items()],
        matrix={
            "fit": {"A": 30, "B": 20, "C": 10, "D": 0},
            "behaviour": {1: 40, 2: 20, 3: 5, 4: 0},
        },
    )
    world = World([lead("x", title=fit)], calls(number))
    (row,) = world.verdicts(rules)
    assert row["tier"] == grade


def test_a_matrix_of_fit_and_stage() -> None:
    """S205: how well a lead fits, by how far it has come: A1 is best, D4 worst; what has no label
    of its own, a lead that is ruled out among it, has the last."""
    points = {"a": 30, "b": 20, "bad": -5, "out": 30}
    five = {"id": "five", "points": 0, "when": {"type": "call"}, "at": {"nth": 5}}
    rules = model(
        fit=[{"id": k, "points": p, "when": {"title": k}} for k, p in points.items()],
        behaviour=[CALL, five],
        stages={"iql": ["five"]},
        disqualify=[{"id": "off", "when": {"title": "out"}}],
        matrix={
            "fit": {"A": 30, "B": 20, "C": 10, "D": 0},
            "stage": {1: ["SQL", "SQL pending"], 2: ["MQL", "PQL"], 3: "IQL", 4: "none"},
        },
    )
    table: list[tuple[str | None, int, str | None, str]] = [
        ("a", 70, None, "A1"), ("a", 20, None, "A2"), ("b", 20, None, "B3"), ("b", 1, None, "B4"),
        ("b", 30, None, "B2"), (None, 100, None, "D1"), (None, 0, None, "D4"),
        ("bad", 5, None, "D3"), (None, 0, "SQL", "D1"), ("out", 70, None, "A4"),
    ]  # fmt: skip
    cases = {f"{fit} {number} {by_hand}": (fit, number) for fit, number, by_hand, _grade in table}
    world = World(
        [lead(who, title=fit) for who, (fit, _number) in cases.items()],
        [event for who, (_fit, number) in cases.items() for event in calls(number, who)],
    )
    by_hand = {"lead_id": "None 0 SQL", "stage": "SQL"}
    for known in (None, past(overrides=[by_hand])):
        rows = world.rows(world.judged(Segment(rules), past=known).verdicts)
        expected = [grade if known or not said else "D4" for _fit, _number, said, grade in table]
        tiers = {row["lead_id"]: row["tier"] for row in rows}
        assert [tiers[who] for who in cases] == expected
