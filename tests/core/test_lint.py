"""Lint: each smell has a fixture, and what is sound has none."""

from decimal import Decimal
from typing import Any

import pytest

from core.allowed import exclude
from core.covering import covers
from core.lint import fired, lint, silent, unscored
from core.rules import Model, parse
from core.unmapped import unmapped
from tests.core.golden import GOLDEN_LEADS, World, activity, golden, weighted

BOSS = {"id": "boss", "points": 60, "when": {"seniority": "executive"}}
PAPER = {"id": "paper", "points": 45, "when": {"type": "download"}}


def model(*behaviour: dict[str, Any], fit: Any = (BOSS,), **content: Any) -> Model:
    """A sound model: 105 points can be had, and no rule alone reaches 70."""
    base = {"name": "m", "thresholds": {"mql": 70, "sql": 100}, "fit": list(fit)}
    return parse({**base, "behaviour": [PAPER, *behaviour], **content})


def rule(id: str, points: Any, **content: Any) -> dict[str, Any]:
    """A behaviour rule."""
    when = content.pop("when", {"type": id})
    return {"id": id, "points": points, "when": when, **content}


def best(*rules: tuple[int, Any]) -> list[Any]:
    """Fit rules r0, r1 ... of which the best counts, and the sound one."""
    group = [{"id": f"r{n}", "points": p, "when": when} for n, (p, when) in enumerate(rules)]
    return [BOSS, {"best_of": group}]


SMELLS = {
    "threshold": (model(thresholds={"mql": 70, "sql": 106}), ("thresholds", "sql"), "out of reach"),
    "weight": (model(weights={"fit": "0.5"}), ("thresholds", "sql"), "all rules together give 75"),
    "tier": (model(tiers={"S": 200, "A": 0}), ("tiers", "S"), "out of reach"),
    "low tier": (model(tiers={"A": 0, "B": -5}), ("tiers", "B"), "no score is below 0"),
    "shadowed": (
        model(fit=best((9, {"title": {"contains": "sales"}}), (5, {"title": "Head of Sales"}))),
        ("fit", 1, "best_of", 1), "r1 is dead: r0",
    ),
    "shadowed by order": (
        model(fit=best((5, {"employees": {"at_least": 50}}), (5, {"employees": {"above": 50}}))),
        ("fit", 1, "best_of", 1), "r1 is dead: r0",
    ),
    "no points": (model(rule("call", 0)), ("behaviour", 1, "points"), "gives no points"),
    "empty range": (
        model(fit=[BOSS, {**BOSS, "id": "x", "when": {"employees": {"above": 9, "below": 9}}}]),
        ("fit", 1, "when"), "never holds",
    ),
    "alone": (
        model(rule("blog", 7, when={"asset": "/blog"}, count="each")),
        ("behaviour", 1), "alone reaches mql 70: 10 events do",
    ),
    "alone at once": (model(rule("call", 70)), ("behaviour", 1), "call alone reaches mql 70"),
    "unused decay": (
        model(decays={"old": {"after": "9 days", "factor": "0.5"}}),
        ("decays", "old"), "used by no rule",
    ),
    "idle decay": (
        model(rule("call", 5, decay="old", within="9 days"),
              decays={"old": {"after": "9 days", "factor": "0.5"}}),
        ("behaviour", 1, "decay"), "leave the window",
    ),
    "shallow above deep": (
        model(rule("blog", 50, when={"type": "page_view", "asset": {"starts_with": "/blog"}})),
        ("behaviour", 1, "points"), "more than the 45 of paper",
    ),
}  # fmt: skip


@pytest.mark.parametrize("smell", SMELLS)
def test_each_smell_is_found(smell: str) -> None:
    """U20 S135 S147: out of reach, dead, shadowed, enough alone (10 blog visits), idle, odd."""
    smelly, place, text = SMELLS[smell]
    found = lint(smelly)
    assert [(f.place, text in f.what) for f in found if f.place == place] == [(place, True)]
    assert all(f.advice for f in found)


@pytest.mark.parametrize(
    "sound",
    [
        model(),
        model(rule("blog", 7, when={"asset": "/blog"}, count="each", cap=63)),
        model(rule("email_open", 40), rule("email_click", 40)),
        model(rule("call", -5), tiers={"A": 0, "B": -5}),
        model(rule("trial_started", 0), stages={"pql": ["trial_started"]}),
        model(rule("email_open", 50, when={"type": "email_open", "area": "hr"})),
        model(fit=best((9, {"title": {"contains": "vp"}}), (5, {"title": {"contains": "head"}}))),
        model(fit=best((9, {"employees": {"at_least": 50}}), (5, {"employees": {"below": 50}}))),
    ],
)
def test_what_is_sound_is_left_alone(sound: Model) -> None:
    """U20: no smell, no finding."""
    assert lint(sound) == []


def test_ten_blog_visits_alone() -> None:
    """S147: the worked example is warned of its blog rule, and no longer once it has a cap."""
    findings = [f for f in lint(weighted()) if "blog" in f.what]
    assert [f.what for f in findings] == ["rule blog alone reaches mql 50: 10 events do"]
    rules = weighted().model_dump(mode="python", by_alias=True, exclude_defaults=True)["behaviour"]
    capped = [{**r, "cap": Decimal(25)} if r["id"] == "blog" else r for r in rules]
    assert not [f for f in lint(weighted(behaviour=capped)) if "blog" in f.what]


@pytest.mark.parametrize(
    ("wide", "narrow", "covered"),
    [
        ({"title": {"contains": "vp"}}, {"title": {"contains": ["vp sales", "SVP"]}}, True),
        ({"title": {"contains": "vp"}}, {"title": {"contains": ["vp sales", "ceo"]}}, False),
        ({"title": {"starts_with": "vp"}}, {"title": {"contains": "vp"}}, False),
        ({"title": {"starts_with": "vp"}}, {"title": "VP Sales"}, True),
        ({"title": {"known": True}}, {"title": "CEO"}, True),
        ({"title": {"known": False}}, {"title": {"known": True}}, False),
        ({"country": ["DE", "FR"]}, {"country": "FR"}, True),
        ({"country": "DE"}, {"country": ["DE", "FR"]}, False),
        ({"country": "DE"}, {"country": "DE", "industry": "retail"}, True),
        ({"country": "DE", "industry": "retail"}, {"country": "DE"}, False),
        ({"employees": {"at_least": 50}}, {"employees": {"at_least": 50, "below": 90}}, True),
        ({"employees": {"above": 50}}, {"employees": {"at_least": 50}}, False),
        ({"employees": {"at_most": 50}}, {"employees": {"below": 50}}, True),
        ({"employees": {"below": 50}}, {"employees": [10, 50]}, False),
        ({"employees": {"below": 50}}, {"employees": [10, 49]}, True),
        ({"not": {"country": "DE"}}, {"country": "FR"}, False),
        ({"any": [{"country": "DE"}]}, {"any": [{"country": "DE"}]}, True),
        ({"account": {"country": "DE"}}, {"account": {"country": "DE", "type": "x"}}, True),
    ],
)
def test_a_condition_that_covers_another(wide: Any, narrow: Any, covered: bool) -> None:
    """U20: only what holds in every case counts as covered."""
    rules = [{"id": f"r{n}", "points": 1, "when": w} for n, w in enumerate((wide, narrow))]
    first, second = model(fit=rules).fit_rules
    assert covers(first.when, second.when) is covered


@pytest.mark.parametrize(
    ("one", "other", "excluded"),
    [
        ({"country": "DE"}, {"country": ["fr ", "IT"]}, True),
        ({"country": "DE"}, {"country": ["FR", " de"]}, False),
        ({"country": "DE"}, {"country": {"starts_with": "F"}}, True),
        ({"country": "DE"}, {"industry": "retail"}, False),
        ({"country": "DE", "industry": "retail"}, {"country": "FR"}, True),
        ({"employees": {"below": 50}}, {"employees": {"at_least": 50}}, True),
        ({"employees": {"at_most": 50}}, {"employees": {"at_least": 50}}, False),
        ({"employees": {"above": 90}}, {"employees": {"at_least": 10, "below": 50}}, True),
        ({"employees": 10}, {"employees": 20}, True),
        ({"not": {"country": "DE"}}, {"country": "DE"}, True),
    ],
)
def test_conditions_that_exclude_each_other(one: Any, other: Any, excluded: bool) -> None:
    """Only what never holds together counts, from either side."""
    rules = [{"id": f"r{n}", "points": 1, "when": w} for n, w in enumerate((one, other))]
    first, second = (rule.when for rule in model(fit=rules).fit_rules)
    assert (exclude(first, second), exclude(second, first)) == (excluded, excluded)


def test_a_condition_on_an_unmapped_field() -> None:
    """U20: said with the rule and the field; what an account may fill is mapped there."""
    fit = [
        {"id": "a", "points": 1, "when": {"industry": "retail", "custom": {"budget": "x"}}},
        {"id": "b", "points": 1, "when": {"not": {"account": {"type": "customer"}}}},
    ]
    asked = model(rule("call", 1, when={"area": "hr"}), fit=fit)
    mapped = {"leads": {"title"}, "accounts": {"industry"}, "activities": {"type"}}
    assert [(f.place, f.what.split(",")[0]) for f in unmapped(asked, mapped)] == [
        (("fit", 0, "when"), "rule a asks for custom.budget"),
        (("fit", 1, "when"), "rule b asks for account.type"),
        (("behaviour", 1, "when"), "rule call asks for area"),
    ]
    everything = {"leads": {"custom.budget"}, "accounts": {"industry", "type"},
                  "activities": {"type", "area"}}  # fmt: skip
    assert unmapped(asked, everything) == []


def test_observed_types_without_a_rule_are_counted() -> None:
    """S104: with their number, the most frequent first; a type that a rule may match is not."""
    events = [activity(f"c{n}", "cto", "call") for n in range(3)]
    events += [activity("m", "cto", "meeting"), activity("d", "cto", "download")]
    world = World(GOLDEN_LEADS, [*events, activity("v", "cto", "page_view", asset="/x")])
    found = world.rows(unscored(weighted(), world.facts.activities))
    assert [tuple(row.values()) for row in found] == [("call", 3), ("meeting", 1)]
    long_calls = rule("long", 1, when={"type": "call", "duration": {"at_least": 600}})
    found = world.rows(unscored(model(long_calls), world.facts.activities))
    assert [row["type"] for row in found] == ["meeting", "page_view"]


def test_a_rule_that_fires_for_nobody() -> None:
    """U20: over the golden leads all rules of the example fire but one."""
    world = golden()
    names = {row["rule"] for row in world.rows(fired(world.scored(weighted())))}
    assert [f.what.split()[1] for f in silent(weighted(), names)] == ["industry-education"]


RATE = {"share": {"type": "email_open"}, "of": {"type": "email_sent"}}
MEASURES = {
    "out of reach": ({**RATE, "steps": {1: 4}}, None, ("thresholds", "sql"), "together give 109"),
    "alone": (
        {"count": {"type": "call"}, "every": 5, "points": 1},
        None, ("measures", 0), "rule m alone reaches mql 70",
    ),
    "no points": ({"count": {"type": "call"}, "steps": {5: 0}}, None, ("measures", 0), "no points"),
    "never": (
        {"count": {"type": "w", "attended": {"above": 0.5, "below": 0.5}}, "steps": {5: 1}},
        None, ("measures", 0, "count"), "rule m never holds",
    ),
    "low tier": (
        {"silence": {"type": "call"}, "every": 5, "points": -1, "cap": 4},
        {"A": -4, "B": -9}, ("tiers", "B"), "no score is below -4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("smell", MEASURES)
def test_measures_smell_too(smell: str) -> None:
    """U20: bounds of a model know its measures; a measure can be dead, or enough alone."""
    measure, tiers, place, text = MEASURES[smell]
    thresholds = {"mql": 70, "sql": 110 if smell == "out of reach" else 100}
    smelly = model(measures=[{"id": "m", **measure}], tiers=tiers or {}, thresholds=thresholds)
    found = [f for f in lint(smelly) if f.place == place]
    assert [text in f.what for f in found] == [True]
    assert lint(model(measures=[{"id": "m", **RATE, "steps": {0.5: 10}}])) == []


def test_measures_and_resets_ask_for_mapped_fields() -> None:
    """U20 S104: what they ask for must be mapped; a type that one of them reads is scored."""
    measure = {"id": "m", "share": {"area": "hr"}, "of": {"type": "call"}, "steps": {1: 1}}
    reset = {"id": "r", "when": {"type": "gone", "attended": {"above": 0}}}
    asked = model(measures=[measure], reset=[reset])
    mapped = {"leads": {"seniority"}, "accounts": set(), "activities": {"type", "duration"}}
    assert [(f.place, f.what.split(",")[0]) for f in unmapped(asked, mapped)] == [
        (("measures", 0, "share"), "rule m asks for area"),
        (("reset", 0, "when"), "rule r asks for length"),
    ]
    other = model(measures=[{**measure, "share": {"type": "email_open"}}])
    events = [activity("a", "cto", kind) for kind in ("call", "email_open", "meeting")]
    found = World(GOLDEN_LEADS, events)
    assert [row["type"] for row in found.rows(unscored(other, found.facts.activities))] == [
        "meeting"
    ]
    assert [f.place for f in silent(asked, {"boss", "paper"})] == [("measures", 0)]
