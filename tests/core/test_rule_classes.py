"""Rules that say what they are: essential or nice to have, far from buying or near to it."""

from datetime import timedelta
from typing import Any

import pytest

from core.decision import UNIT
from core.lint import lint
from core.rules import Model, parse
from tests.core.golden import T0, World, lead

ESSENTIAL = {"id": "industry", "points": 20, "class": "essential",
             "when": {"industry": "technology"}}  # fmt: skip
TYPICAL = {"id": "stack", "points": 5, "class": "typical",
           "when": {"technologies": {"contains": "salesforce"}}}  # fmt: skip
BUDGET = {"id": "budget", "points": 10, "class": "ideal",
          "when": {"custom": {"budget": {"at_least": 50000}}}}  # fmt: skip
SOON = {"id": "soon", "points": 8, "class": "ideal",
        "when": {"custom": {"start": {"within_next": "90 days"}}}}  # fmt: skip
BOSS = {"id": "boss", "points": 15, "class": "essential", "when": {"seniority": "executive"}}


def model(*fit: Any, **content: Any) -> Model:
    """A model of these fit rules."""
    base = {"name": "m", "thresholds": {"mql": 20, "sql": 40}, "fit": list(fit)}
    return parse({**base, **content})


def judged(rules: Model, **fields: Any) -> tuple[float, str | None, str]:
    """Score, stage and standing of one lead."""
    world = World([lead("x", **fields)])
    (row,) = world.verdicts(rules)
    return row["score"] / UNIT, row["stage"], row["standing"]


@pytest.mark.parametrize(
    ("technologies", "score"), [(("salesforce",), 25), (("sap",), 20), ((), 20), (None, 20)]
)
def test_a_typical_quality_adds_points_and_never_gates(technologies: Any, score: int) -> None:
    """S101: who has it gets points; who lacks it, or is not known to have it, stays open and
    keeps the stage that the rest gives, beside table stakes as well."""
    fields = {"industry": "technology", "technologies": technologies}
    assert judged(model(ESSENTIAL, TYPICAL), **fields) == (score, "MQL", "open")
    gates = {"worth": 0, "criteria": [{"id": "tech", "when": {"industry": "technology"}}]}
    assert judged(model(ESSENTIAL, TYPICAL, gates=gates), **fields) == (score, "MQL", "open")


@pytest.mark.parametrize(
    ("budget", "start", "score"),
    [
        ("50000", None, 10),
        ("49999.99", None, 0),
        (None, T0 + timedelta(days=90), 8),
        (None, T0 + timedelta(days=90, seconds=1), 0),
        (None, T0 - timedelta(seconds=1), 0),
        ("75000", T0, 18),
        (None, None, 0),
    ],
)
def test_ideal_traits(budget: str | None, start: Any, score: int) -> None:
    """S102: a budget of X or more, and a timeframe of 90 days or less, to the last second."""
    custom = {"budget": budget, "start": start and start.strftime("%Y-%m-%dT%H:%M:%SZ")}
    given = {name: value for name, value in custom.items() if value}
    assert judged(model(BUDGET, SOON), custom=given or None)[0] == score


def odd(rules: Model) -> list[tuple[tuple[str | int, ...], str]]:
    """What lint says is out of proportion, with its place."""
    words = ("which is essential", "nearer to buying")
    return [(f.place, f.what) for f in lint(rules) if f.what.endswith(words)]


@pytest.mark.parametrize(
    ("fit", "found"),
    [
        ([ESSENTIAL, BOSS, {**BUDGET, "points": 15}], None),
        ([ESSENTIAL, BOSS, {**BUDGET, "points": 16}], "ideal and gives 16 points, more weight than "
         "the 15 of boss, which is essential"),
        ([ESSENTIAL, BOSS, {**TYPICAL, "points": -16}], "typical and gives -16 points"),
        ([{**ESSENTIAL, "points": -20}, {**TYPICAL, "points": 21}], "than the -20 of industry"),
        ([TYPICAL, {**BUDGET, "points": 30}], None),
        ([ESSENTIAL, {**BUDGET, "points": 30, "class": "essential"}], None),
        ([{**ESSENTIAL}, {"id": "x", "points": 30, "when": {"country": "DE"}}], None),
    ],
)  # fmt: skip
def test_a_nice_to_have_that_outweighs_an_essential(fit: list[Any], found: str | None) -> None:
    """S098: only rules that say their class are compared, by what they move either way."""
    odds = odd(model(*fit))
    assert len(odds) == bool(found)
    if found:
        assert odds[0][0] == ("fit", len(fit) - 1, "points")
        assert found in odds[0][1]


@pytest.mark.parametrize(
    ("ranked", "found"),
    [
        ([(1, 2), (2, 2), (5, 9)], []),
        ([(5, 9), (1, 2), (3, 4)], []),
        ([(1, 2), (1, 7), (3, 4)], [("r1", "r2")]),
        ([(1, 10), (2, 9), (3, 8)], [("r0", "r2"), ("r1", "r2")]),
        ([(None, 99), (1, 2), (2, 3)], []),
        ([(2, 0), (1, -5)], []),
        ([(2, -5), (1, 0)], [("r1", "r0")]),
    ],
)
def test_points_fall_with_the_distance_to_buying(
    ranked: list[tuple[int | None, int]], found: list[tuple[str, str]]
) -> None:
    """S164: points never fall as the declared proximity rises; each rule that gives more than a
    nearer one is named with the least of those."""
    rules = [
        {"id": f"r{n}", "points": points, "when": {"type": f"t{n}"}, "proximity": rank}
        for n, (rank, points) in enumerate(ranked)
    ]
    odds = odd(model(ESSENTIAL, behaviour=rules))
    assert [(what.split()[1], what.split("of ")[1].split(",")[0]) for _place, what in odds] == found
    assert [place for place, _what in odds] == [
        ("behaviour", int(far[1]), "points") for far, _near in found
    ]


def test_a_declared_proximity_counts_more_than_a_type() -> None:
    """S135 S164: who says that an opened e-mail is near to buying is not told otherwise."""
    mail = {"id": "mail", "points": 9, "when": {"type": "email_open"}}
    demo = {"id": "demo", "points": 3, "when": {"type": "demo_requested"}}
    assert len(odd(model(ESSENTIAL, behaviour=[mail, demo]))) == 1
    said = [{**mail, "proximity": 4}, {**demo, "proximity": 1}]
    assert odd(model(ESSENTIAL, behaviour=said)) == []
