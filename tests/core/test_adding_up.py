"""Every point of a score is a line of its explanation, whatever the model says."""

from collections import defaultdict
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from core.decision import UNIT
from core.rules import Model, parse
from core.segments import Segment
from core.verdict import judge
from tests.core.golden import T0, World, activity, lead
from tests.core.test_past import past

DAY = timedelta(days=1)
KINDS = ("call", "email_open", "page_view", "trial")
PEOPLE = "uvwxyz"
FIELDS: dict[str, tuple[Any, ...]] = {
    "title": ("CTO", "Clerk", None),
    "employees": (10, 500, None),
    "region": ("europe", "asia", None),
}
FIT = (
    {"title": "CTO"},
    {"employees": {"at_least": 100}},
    {"region": "europe"},
    {"not": {"region": "asia"}},
    {"past": {"mqls": {"above": 0}}},
)
DECAYS = {
    "step": {"after": "3 days", "factor": "0.5"},
    "spared": {"after": "2 days", "minus": 1, "unless_engaged": True},
    "line": {"over": "9 days"},
    "half": {"half_life": "2 days"},
}
CRITERIA = [{"id": f"c{n}", "when": when} for n, when in enumerate(FIT[:3])]
MEANINGS: tuple[dict[str, Any], ...] = (
    {},
    {"gates": {"criteria": CRITERIA, "at_least": 2}},
    {"gates": {"criteria": CRITERIA, "worth": 0}},
    {"sizes": CRITERIA[:2]},
    {"scale": {"top": 30}},
)
"""What the digits of a score may mean: each of them but one."""
GRADES: tuple[dict[str, Any], ...] = (
    {"tiers": {"A": 40, "B": 10, "C": -50}},
    {"matrix": {"fit": {"A": 5, "B": 0}, "behaviour": {"1": 10, "2": 0}}},
)
WAYS: tuple[dict[str, Any], ...] = ({}, {"nightly_floor": 0}, {"until": 25}, {"floor": -5})
AMOUNT = st.integers(-9, 15).filter(bool)


@st.composite
def did(draw: st.DrawFn) -> dict[str, Any]:
    """What a behaviour rule says beside its id."""
    points = draw(AMOUNT)
    rule: dict[str, Any] = {"points": points, "when": {"type": draw(st.sampled_from(KINDS))}}
    counts = ("once", "each", {"per": "day"}, {"per": "session"}, {"per": "3 days"})
    rule["count"] = draw(st.sampled_from(counts))
    if rule["count"] != "once" and points > 0:
        rule["cap"] = points + draw(st.integers(1, 30))
    if points > 1 and draw(st.booleans()):
        rule["decay"] = draw(st.sampled_from([*DECAYS]))
    if draw(st.booleans()):
        rule["within"] = f"{draw(st.integers(1, 9))} days"
    return rule


@st.composite
def aged(draw: st.DrawFn) -> dict[str, Any]:
    """What an ageing rule says beside its id."""
    points, when = draw(AMOUNT), draw(st.sampled_from(FIT))
    if draw(st.booleans()):
        return {"points": points, "when": when, "after": f"{draw(st.integers(1, 9))} days"}
    return {"points": points, "when": when, "every": "2 days", "cap": abs(points) * 3}


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A model of any of the parts that give, take or bound points."""
    named: dict[str, Any] = {}
    kinds = (("fit", "f", FIT_RULES), ("behaviour", "b", did()), ("ageing", "a", aged()))
    for section, letter, rule in kinds:
        rules = draw(st.lists(rule, min_size=section != "ageing", max_size=3))
        named[section] = [{"id": f"{letter}{n}", **said} for n, said in enumerate(rules)]
    if len(named["fit"]) > 1 and draw(st.booleans()):
        named["fit"] = [{"best_of": named["fit"][:2]}, *named["fit"][2:]]
    if draw(st.booleans()):
        named["measures"] = [
            {"id": "busy", "count": {"type": "call"}, "steps": {1: 2, 3: draw(st.integers(3, 9))}},
            {"id": "quiet", "silence": {"type": "call"}, "every": 2, "points": -1, "cap": 4},
        ]  # fmt: skip
    limits = {"behaviour": draw(st.sampled_from(WAYS)), "fit": {"cap": draw(st.integers(0, 20))}}
    weights = {"behaviour": draw(st.sampled_from(["1", "0.5"]))}
    thresholds = {"mql": 1000, "sql": 2000, "keep": {"mql": 900, "sql": 1900}}
    base = {"name": "m", "thresholds": thresholds, "decays": DECAYS, "reset": RESET}
    digits, grades = draw(st.sampled_from(MEANINGS)), draw(st.sampled_from(GRADES))
    return parse({**base, **named, "limits": limits, "weights": weights, **digits, **grades})


RESET = [{"id": "left", "when": {"type": "left"}}]
FIT_RULES = st.builds(lambda p, when: {"points": p, "when": when}, AMOUNT, st.sampled_from(FIT))
EVENTS = st.lists(
    st.tuples(
        st.sampled_from([*KINDS * 3, "left"]), st.integers(0, 12 * 24), st.sampled_from(PEOPLE)
    ),
    max_size=40,
)
BASE = st.tuples(*(st.fixed_dictionaries({k: st.sampled_from(v) for k, v in FIELDS.items()})
                   for _ in PEOPLE))  # fmt: skip
BY_HAND = st.dictionaries(
    st.sampled_from(PEOPLE),
    st.sampled_from([{"points": -7 * UNIT}, {"score": 55 * UNIT}, {"stage": "SQL"}]),
    min_size=1,
    max_size=3,
)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(models(), BASE, EVENTS, BY_HAND)
def test_the_lines_of_any_model_add_up(
    model: Model,
    base: tuple[dict[str, Any], ...],
    events: list[tuple[str, int, str]],
    by_hand: dict[str, dict[str, Any]],
) -> None:
    """U02: rules of every section, gates, sizes, a scale, grades, ageing and what people decided by
    hand: the score of each lead is the sum of its lines, and each line what is left of its raw
    points."""
    hour = timedelta(hours=1)
    rows = [activity(f"e{n}", who, kind, T0 - h * hour) for n, (kind, h, who) in enumerate(events)]
    world = World([lead(who, **had) for who, had in zip(PEOPLE, base, strict=True)], rows)
    stages = [{"lead_id": who, "stage": "MQL", "since": T0 - 5 * DAY, "mqls": 1,
               "qualified": T0 - 5 * DAY} for who in PEOPLE[:2]]  # fmt: skip
    known = past(stages, [{"lead_id": who, **said} for who, said in by_hand.items()])
    judged = judge((Segment(model),), world.facts, T0, known)
    sums: dict[str, int] = defaultdict(int)
    for line in world.rows(judged.contributions):
        sums[line["lead_id"]] += line["points"]
        share = model.weights.behaviour if line["part"] == "behaviour" else 1
        kept = line["raw"] - line["decay_loss"] - line["cap_loss"]
        assert line["points"] == kept * share, line
    scores = {row["lead_id"]: row["score"] for row in world.rows(judged.verdicts)}
    assert scores.keys() == set(PEOPLE)
    assert scores == {who: sums[who] for who in PEOPLE}
    for who, said in by_hand.items():
        assert scores[who] == said.get("score", scores[who])
