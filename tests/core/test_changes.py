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
    ],
)  # fmt: skip
def test_differences_are_said_in_the_model_s_terms(
    changed: dict[str, Any], lines: list[str]
) -> None:
    """U04 D74: thresholds, tiers, weights, decays and rules by their names, and nothing else."""
    assert changes(model(), model(**changed)) == lines


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
