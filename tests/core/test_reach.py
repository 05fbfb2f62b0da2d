"""What lint calls out of reach is: in a table, and against all facts there can be."""

from datetime import timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.decision import UNIT
from core.lint import lint
from core.rules import Model, parse
from tests.core.golden import T0, World, activity, lead

BIG, SMALL = {"employees": {"at_least": 100}}, {"employees": {"below": 100}}
RETAIL, ENERGY = {"industry": "retail"}, {"industry": "energy"}
CALL, LOAD = {"type": "call"}, {"type": "download"}


def of(model: Model) -> set[tuple[str | int, ...]]:
    """The places that lint says are out of reach."""
    return {found.place for found in lint(model) if "out of reach" in found.what}


GAIN = {"id": "call", "points": 10, "when": CALL}
BASE: dict[str, Any] = {
    "name": "m",
    "thresholds": {"mql": 1, "sql": 2},
    "fit": [{"id": "big", "points": 10, "when": BIG}],
    "behaviour": [GAIN],
}
GATES = {"criteria": [{"id": "a", "when": RETAIL}, {"id": "b", "when": BIG}]}
SIZES = [{"id": "s", "when": SMALL}, {"id": "l", "when": BIG}]
LOSS = {"id": "jobs", "points": -5, "when": LOAD, "count": "each"}
FIVE = {"A": 250, "B": 200, "C": 130, "D": 100, "E": 0}


@pytest.mark.parametrize(
    ("change", "beyond"),
    [
        ({"tiers": {"A": 21, "B": 20, "C": 0, "D": -1}}, {"A", "D"}),
        ({"gates": GATES, "tiers": FIVE}, {"A", "C"}),
        ({"gates": GATES, "tiers": {"A": 220, "B": 0, "C": -1}}, {"C"}),
        ({"gates": GATES, "behaviour": [{**GAIN, "count": "each"}],
          "tiers": {"A": 300, "B": 299}}, {"A"}),
        ({"gates": {**GATES, "worth": 0}, "tiers": FIVE}, {"A", "B", "C", "D"}),
        ({"gates": {**GATES, "worth": 5}, "tiers": {"A": 15, "B": 14}}, {"A"}),
        ({"sizes": SIZES, "tiers": {"A": 2021, "B": 2000, "C": 1021, "D": 999}}, {"A", "C"}),
        ({"scale": {}, "tiers": {"A": 101, "B": 100, "C": 1, "D": 0}}, {"A", "D"}),
        ({"scale": {"top": 1000}, "tiers": {"A": 3, "B": 2}}, {"A"}),
        ({"behaviour": [LOSS], "tiers": {"A": 10, "B": -999}}, set()),
        ({"behaviour": [LOSS], "limits": {"behaviour": {"floor": -7}},
          "tiers": {"A": 0, "B": -7, "C": -8}}, {"C"}),
        ({"limits": {"fit": {"cap": 4}}, "tiers": {"A": 15, "B": 14}}, {"A"}),
        ({"weights": {"fit": "0.5"}, "tiers": {"A": 16, "B": 15}}, {"A"}),
        ({"behaviour": [], "weights": {"behaviour": 0}, "tiers": {"A": 11, "B": 10}}, {"A"}),
    ],
)  # fmt: skip
def test_tiers_out_of_reach(change: Any, beyond: set[str]) -> None:
    """U20: bounds know table stakes, sizes, scales, limits and weights."""
    assert {place[1] for place in of(parse({**BASE, **change}))} == beyond


def test_thresholds_and_grades_out_of_reach() -> None:
    """U20: thresholds of table stakes and scales, and both axes of a matrix."""
    marks = {"thresholds": {"mql": 220, "sql": 221}}
    assert of(parse({**BASE, **marks, "gates": GATES})) == {("thresholds", "sql")}
    marks = {"thresholds": {"mql": 100, "sql": 101}}
    assert of(parse({**BASE, **marks, "scale": {}})) == {("thresholds", "sql")}
    axis = {"A": 11, "B": 10, "C": -5}
    matrix = {"fit": axis, "behaviour": {**axis, "C": 0, "D": -1}}
    assert of(parse({**BASE, "matrix": matrix})) == {
        ("matrix", "fit", "A"),
        ("matrix", "behaviour", "A"),
        ("matrix", "behaviour", "D"),
    }


@pytest.mark.parametrize(
    ("change", "alone"),
    [
        ({"thresholds": {"mql": 10, "sql": 99}}, {"big", "call"}),
        ({"gates": GATES, "thresholds": {"mql": 100, "sql": 200}}, set()),
        ({"scale": {"top": 99}, "thresholds": {"mql": 11, "sql": 20}}, {"big", "call"}),
        ({"scale": {"top": 99}, "thresholds": {"mql": 12, "sql": 20}}, set()),
        ({"limits": {"fit": {"cap": 9}}, "thresholds": {"mql": 10, "sql": 19}}, {"call"}),
    ],
)
def test_a_rule_that_is_enough_alone(change: Any, alone: set[str]) -> None:
    """U20: what one rule comes to depends on table stakes, the scale and limits too."""
    found = [f.what.split() for f in lint(parse({**BASE, **change})) if "alone" in f.what]
    assert {words[1] for words in found} == alone


POINTS = st.sampled_from([-5, 3, 10, 40])
COUNTS = st.sampled_from(["once", "each", {"per": "day"}])
BOUND = {
    "cap": st.none() | st.sampled_from([0, 12, 30]),
    "floor": st.none() | st.sampled_from([0, -7]),
}


def fit_rule(id_: str) -> st.SearchStrategy[Any]:
    """Points for one of four facts."""
    when = st.sampled_from([BIG, SMALL, RETAIL, ENERGY])
    return st.fixed_dictionaries({"id": st.just(id_), "points": POINTS, "when": when})


def behaviour_rule(id_: str) -> st.SearchStrategy[Any]:
    """Points for calls or downloads, counted in every way."""
    return st.fixed_dictionaries(
        {"id": st.just(id_), "points": POINTS, "when": st.sampled_from([CALL, LOAD])},
        optional={"count": COUNTS, "cap": st.just(45), "group": st.just("g")},
    ).map(_capped_if_it_may_be)


def _capped_if_it_may_be(rule: dict[str, Any]) -> dict[str, Any]:
    may = rule["points"] > 0 and rule.get("count", "once") != "once"
    return {key: value for key, value in rule.items() if may or key != "cap"}


MODELS = st.fixed_dictionaries(
    {
        "name": st.just("m"),
        "fit": st.tuples(
            st.fixed_dictionaries({"best_of": st.tuples(fit_rule("f0"), fit_rule("f1"))}),
            fit_rule("f2"),
        ),
        "behaviour": st.tuples(behaviour_rule("b0"), behaviour_rule("b1")),
        "limits": st.fixed_dictionaries(
            {"fit": st.fixed_dictionaries(BOUND), "behaviour": st.fixed_dictionaries(BOUND)}
        ),
        "weights": st.sampled_from([{}, {"fit": "0.5"}, {"behaviour": "0.2"}, {"behaviour": 0}]),
        "thresholds": st.just({"mql": 1, "sql": 2}),
    },
    optional={
        "groups": st.sampled_from([{"g": {"cap": 40}}, {"g": {"cap": 60, "per": "day"}}]),
    },
)
DIGITS = st.sampled_from(
    [
        {},
        {"gates": GATES},
        {"gates": {**GATES, "worth": 0}},
        {"gates": {**GATES, "worth": 20}},
        {"sizes": SIZES},
        {"scale": {"top": 30}},
        {"scale": {"top": 2000}},
    ]
)


@pytest.fixture(scope="module")
def everyone() -> World:
    """A lead for every combination of the facts that the rules ask for."""
    deeds = [(), ("call",), ("call", "call", "call", "download"), ("download", "download")]
    people, events = [], []
    for n, (size, field, did) in enumerate(
        product((None, 5, 500), (None, "retail", "energy"), deeds)
    ):
        people.append(lead(f"x{n}", employees=size, industry=field))
        for day, kind in enumerate(did):
            at = T0 - timedelta(days=day)
            events.append(activity(f"e{n} {day}", f"x{n}", kind, at))
    return World(people, events)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(MODELS, DIGITS)
def test_nothing_that_is_reached_is_out_of_reach(
    everyone: World, content: Any, digits: Any
) -> None:
    """U20: over all facts there can be: if every score that some lead has is made a tier of its
    own, every part of it a grade, and the best of them a threshold, lint finds none of these out
    of reach."""
    try:
        model = parse({**content, **digits})
    except ValidationError:
        return
    rows = everyone.rows(everyone.scored(model).scores)
    assert len(rows) == 36
    found = {name: {row[name] for row in rows} for name in ("score", "fit", "behaviour")}
    best = max(*found["score"], 2)
    marks = {"thresholds": {"mql": points(1), "sql": points(best)}}
    tiers = {"tiers": each_alone(found["score"])}
    reached: set[tuple[Any, ...]] = {("tiers", str(score)) for score in found["score"]}
    if best in found["score"]:
        reached.add(("thresholds", "sql"))
    assert not reached & of(parse({**content, **digits, **marks, **tiers}))
    axes = ("fit", "behaviour")
    matrix = {"matrix": {axis: each_alone(found[axis]) for axis in axes}}
    reached = {("matrix", axis, str(part)) for axis in axes for part in found[axis]}
    assert not reached & of(parse({**content, **digits, **matrix}))


def points(number: int) -> str:
    """Units as points."""
    return str(Decimal(number) / UNIT)


def each_alone(found: set[int]) -> dict[str, str]:
    """A label for each number of units and no other, and labels for what lies between."""
    starts = found | {number + 1 for number in found}
    return {str(n): points(n) for n in sorted(starts, reverse=True)}
