"""The laws that every scoring model obeys, against the words of the requirements."""

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decay import Step
from core.decision import UNIT
from core.model import Activity
from core.rules import Model, parse
from tests.core.golden import T0, World, activity, lead

PEOPLE = "uvwxyz"
KINDS = ("call", "email_open", "page_view", "webinar_attended")
DECAYS = {
    "half": {"after": "3 days", "factor": 0.5},
    "minus": {"after": "2 days", "minus": 3},
    "silent": {"after": "2 days", "minus": 3, "unless_engaged": True},
    "again": {"after": "2 days", "factor": 0.7, "repeat": True},
}


@st.composite
def rules_of(draw: st.DrawFn, decays: tuple[str, ...]) -> dict[str, Any]:
    """A behaviour rule."""
    points = draw(st.integers(1, 9))
    rule: dict[str, Any] = {"points": points, "when": {"type": draw(st.sampled_from(KINDS))}}
    if decay := draw(st.sampled_from((None, *decays))):
        rule["decay"] = decay
    if draw(st.booleans()):
        rule["count"] = "each"
        if cap := draw(st.sampled_from((0, 2, 5))):
            rule["cap"] = points + cap
    if draw(st.booleans()):
        rule["within"] = f"{draw(st.integers(1, 6))} days"
    return rule


def models(*decays: str) -> st.SearchStrategy[Model]:
    """Models of up to five behaviour rules and a weight."""
    named = st.lists(rules_of(decays), min_size=1, max_size=5).map(
        lambda rules: [{"id": f"r{n}", **rule} for n, rule in enumerate(rules)]
    )
    weights = st.sampled_from(["1", "0.5", "0.4"]).map(lambda w: {"behaviour": w})
    base = {"name": "m", "thresholds": {"mql": 50, "sql": 100}, "decays": DECAYS}
    return st.builds(lambda r, w: parse({**base, "behaviour": r, "weights": w}), named, weights)


EVENTS = st.lists(
    st.builds(
        lambda kind, hours, who: (kind, T0 - timedelta(hours=hours), who),
        st.sampled_from(KINDS),
        st.integers(0, 8 * 24),
        st.sampled_from(PEOPLE),
    ),
    max_size=40,
)
LAW = settings(max_examples=6, deadline=None)


def history(events: list[tuple[str, datetime, str]]) -> list[Activity]:
    """Activities with ids in the order given."""
    return [activity(f"e{n:02}", who, kind, at) for n, (kind, at, who) in enumerate(events)]


def expected(rules: Model, events: list[Activity], who: str) -> int:
    """The score by the words of the requirements, one lead and one event at a time."""
    total = 0

    def earns(rule: Any, event: Activity) -> bool:
        (kind,) = rule.when.type.equals
        fresh = rule.within is None or event.occurred_at >= T0 - rule.within
        return bool(event.lead_id == who and event.type == kind and fresh)

    scored = [e for e in events if any(earns(rule, e) for rule in rules.behaviour)]
    scored = [event for event in scored if event.lead_id == who]
    for rule in rules.behaviour:
        worth = []
        for event in events:
            if not earns(rule, event):
                continue
            decay = rules.decays[rule.decay] if rule.decay else None
            assert decay is None or isinstance(decay, Step)
            old = decay is not None and event.occurred_at < T0 - decay.after
            engaged = any(other.occurred_at.date() > event.occurred_at.date() for other in scored)
            if decay and decay.unless_engaged and engaged:
                old = False
            left = rules.left(rule)
            if decay and decay.repeat:
                left, turns = rule.points, -((event.occurred_at - T0) // decay.after) - 1
                for _turn in range(turns):
                    left = rules.grain.points(rules.grain.of(left * Decimal("0.7")))
            worth.append(left if old else rule.points)
        points = sum(worth) if rule.count == "each" else max(worth, default=Decimal(0))
        if rule.cap is not None:
            points = min(points, rule.cap)
        total += int(points * rules.weights.behaviour * UNIT)
    return total


@LAW
@given(models(*DECAYS), EVENTS)
def test_the_engine_says_what_the_requirements_say(
    rules: Model, events: list[tuple[str, datetime, str]]
) -> None:
    """S151 S152: set-wise scores equal those reckoned event by event."""
    rows = history(events)
    scores = World(list(map(lead, PEOPLE)), rows).scores(rules)
    assert scores == {who: expected(rules, rows, who) for who in PEOPLE}


@pytest.mark.slow
@LAW
@given(models(*DECAYS), EVENTS, st.integers())
def test_contributions_add_up_in_any_order(
    rules: Model, events: list[tuple[str, datetime, str]], seed: int
) -> None:
    """D48 S020: the score is the sum of its lines, each of them explained, in any row order."""
    rows = history(events)
    world = World(list(map(lead, PEOPLE)), rows)
    lines = world.contributions(rules)
    for who, score in world.scores(rules).items():
        assert score == sum(row["points"] for (whose, _), row in lines.items() if whose == who)
    for row in lines.values():
        counted = row["raw"] - row["decay_loss"] - row["cap_loss"]
        assert row["points"] == counted * rules.weights.behaviour
        assert min(row["decay_loss"], row["cap_loss"], counted) >= 0
    Random(seed).shuffle(rows)
    assert World(list(map(lead, reversed(PEOPLE))), rows).contributions(rules) == lines


@pytest.mark.slow
@LAW
@given(models("half", "minus"), EVENTS.filter(bool), st.integers(1, 200))
def test_an_older_event_never_counts_more(
    rules: Model, events: list[tuple[str, datetime, str]], hours: int
) -> None:
    """S136: the same event with an older date gives no more."""
    kind, at, who = events[0]
    older = [(kind, at - timedelta(hours=hours), who), *events[1:]]
    now = World(list(map(lead, PEOPLE)), history(events)).scores(rules)
    then = World(list(map(lead, PEOPLE)), history(older)).scores(rules)
    assert then[who] <= now[who]
