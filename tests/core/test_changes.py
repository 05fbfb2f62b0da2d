"""Differences between models, in the model's own terms."""

from typing import Any

import pytest

from core.changes import changes
from core.rules import Model, parse

BASE: dict[str, Any] = {
    "name": "m",
    "fit": [
        {"id": "tech", "points": 20, "when": {"industry": "technology"}},
        {
            "best_of": [
                {"id": "boss", "points": 15, "when": {"seniority": "executive"}},
                {"id": "lead", "points": 10, "when": {"seniority": "manager"}},
            ]
        },
    ],
    "behaviour": [
        {"id": "pricing-page", "points": 20, "when": {"asset": "/pricing"}, "within": "30 days"},
        {"id": "blog", "points": 5, "when": {"asset": "/blog"}, "count": "each", "decay": "old"},
    ],
    "decays": {"old": {"after": "30 days", "factor": "0.5"}},
    "thresholds": {"mql": 50, "sql": 100},
    "tiers": {"A": 100, "B": 0},
}


MEASURE: dict[str, Any] = {"id": "rate", "count": {"type": "call"}, "steps": {"0.50": 10}}


def model(**content: Any) -> Model:
    """The base, some of its keys replaced."""
    return parse({**BASE, **content})


def rule(number: int, **content: Any) -> list[dict[str, Any]]:
    """The behaviour rules, one of them changed."""
    rules = [dict(item) for item in BASE["behaviour"]]
    rules[number].update(content)
    return rules


@pytest.mark.parametrize(
    ("changed", "lines"),
    [
        ({}, []),
        ({"thresholds": {"mql": 60, "sql": 100}}, ["threshold mql: 50 -> 60"]),
        ({"name": "n"}, ["model: name m -> n"]),
        ({"sql": {"mode": "vetted"}}, ["model: sql mode score -> vetted"]),
        ({"weights": {"fit": "0.5"}}, ["weight fit: 1 -> 0.5"]),
        ({"tiers": {"A": 90, "C": 0}},
         ["tier A: 100 -> 90", "tier C: added (0)", "tier B: removed"]),
        ({"decays": {"old": {"after": "36 hours", "minus": 2}}},
         ["decay old: after 30 days -> 36 hours", "decay old: minus none -> 2",
          "decay old: factor 0.5 -> none"]),
        ({"behaviour": rule(0, points=25)}, ["rule pricing-page: points 20 -> 25"]),
        ({"behaviour": rule(0, within="90 days")},
         ["rule pricing-page: within 30 days -> 90 days"]),
        ({"behaviour": rule(1, cap=25)}, ["rule blog: cap none -> 25"]),
        ({"fit": [{**BASE["fit"][0], "class": "ideal"}, *BASE["fit"][1:]]},
         ["rule tech: class none -> ideal"]),
        ({"behaviour": rule(0, when={"asset": "/prices"})},
         ['rule pricing-page: when {"asset": {"equals": ["/pricing"]}} -> '
          '{"asset": {"equals": ["/prices"]}}']),
        ({"behaviour": BASE["behaviour"][:1]}, ["rule blog: removed"]),
        ({"fit": BASE["fit"][:1] + BASE["fit"][1]["best_of"]},
         ["rule boss: best of boss, lead -> none", "rule lead: best of boss, lead -> none"]),
        ({"behaviour": BASE["behaviour"][::-1]}, ["rules: another order"]),
        ({"behaviour": rule(1, count={"per": "90 days"})},
         ["rule blog: count per none -> 90 days", "rule blog: count each -> none"]),
        ({"behaviour": rule(1, count={"per": "session"})},
         ["rule blog: count per none -> session", "rule blog: count each -> none"]),
        ({"measures": [MEASURE]},
         ['rule rate: added (count {"type": {"equals": ["call"]}}, steps 0.5 10)']),
        ({"reset": [{"id": "gone", "when": {"type": "gone"}}]},
         ['rule gone: added (when {"type": {"equals": ["gone"]}})']),
        ({"limits": {"behaviour": {"until": 300, "nightly_floor": 0}}},
         ["model: limits behaviour nightly_floor none -> 0",
          "model: limits behaviour until none -> 300"]),
    ],
)  # fmt: skip
def test_differences_are_said_in_the_model_s_terms(
    changed: dict[str, Any], lines: list[str]
) -> None:
    """U04 D74: thresholds, tiers, weights, decays and rules by their names, and nothing else."""
    assert changes(model(), model(**changed)) == lines


def test_lists_are_said_as_in_the_file() -> None:
    """D74: checks and stages by their words there."""
    hygiene = {"hold": ["internal", "junk-name"]}
    matrix = {"fit": {"A": 30, "B": 0}, "stage": {"1": ["SQL", "PQL"], "2": "none"}}
    said = changes(model(), model(hygiene=hygiene, matrix=matrix, tiers={}))
    assert "model: hygiene hold none -> [internal, junk-name]" in said
    assert "model: matrix stage 1 none -> [SQL, PQL]" in said
    assert "model: matrix stage 2 none -> [none]" in said


def test_what_means_the_same_is_no_difference() -> None:
    """D74: a default written out, or points written otherwise, is the same version."""
    same = model(sql={"mode": "score"}, behaviour=rule(0, points="20.0", count="once"))
    assert same.version == model().version
    assert changes(model(), same) == []


def test_a_new_rule_is_said_whole() -> None:
    """D74: what was added says what it gives, and for what."""
    extra = {"id": "demo", "points": 40, "when": {"type": "demo_requested"}}
    (line,) = changes(model(), model(behaviour=[*BASE["behaviour"], extra]))
    assert (
        line
        == 'rule demo: added (points 40, when {"type": {"equals": ["demo_requested"]}}, count once)'
    )


def test_a_measure_is_compared_step_by_step() -> None:
    """D74: another step, or other points of one, by its own words; 0.50 is 0.5."""
    old = model(measures=[MEASURE])
    assert old.version == model(measures=[{**MEASURE, "steps": {"0.5": 10}}]).version
    new = model(measures=[{**MEASURE, "steps": {"0.5": 12, "0.8": 20}, "within": "9 days"}])
    assert changes(old, new) == [
        "rule rate: within none -> 9 days",
        "rule rate: steps 0.5 10 -> 12",
        "rule rate: steps 0.8 none -> 20",
    ]
