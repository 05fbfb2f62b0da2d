"""What time alone can change: every boundary exact, and no model taken for known that is not."""

from dataclasses import replace
from datetime import timedelta
from importlib import resources
from typing import Any

import ibis
import pytest
import yaml

from core.due import Span, due, foreseen
from core.earning import BehaviourRule
from core.facts import TIME
from core.rules import Model, parse
from tests.core.golden import LONG_AGO, T0, World, activity, lead
from tests.core.test_presets import NAMES

DAY = timedelta(days=1)
CALL = {"id": "call", "points": 8, "when": {"type": "call"}}
STEP = {"decays": {"d": {"after": "2 days", "factor": 0.5}}}
LINE = {"decays": {"d": {"over": "4 days"}}}
HALF = {"decays": {"d": {"half_life": "1 day"}}}


def model(rule: dict[str, Any], **more: Any) -> Model:
    """A model of one behaviour rule."""
    thresholds = {"mql": 50, "sql": 100}
    return parse({"name": "m", "behaviour": [rule], "thresholds": thresholds, **more})


FADING = {**CALL, "decay": "d"}
NOW = timedelta()
CASES: dict[str, Any] = {
    "to-come": (CALL, {}, -DAY, [(0, 1, True), (1, 2, False)]),
    "within": (
        {**CALL, "within": "3 days"}, {}, NOW, [(2, 3, False), (3, 3.5, True), (4, 5, False)],
    ),
    "step": (FADING, STEP, NOW, [(1, 2, False), (2, 2.5, True), (3, 9, False)]),
    "line": (
        FADING, LINE, NOW, [(0.5, 0.9, False), (0.5, 1, True), (3, 4, True), (4, 9, False)],
    ),
    "silent": (
        {**CALL, "points": -8, "silent": "2 days", "count": "each"}, {}, NOW,
        [(1, 1.9, False), (1, 2, True), (2, 3.9, False), (3, 4, True), (9, 10, True)],
    ),
    "half": (
        FADING, HALF, NOW, [(0.5, 0.9, False), (2, 3, True), (16, 17, True), (17, 99, False)],
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_time_passes_a_boundary(name):
    """U12: a lead is due when time changes its score, to the second, and not before or after.

    Events of no rule are never due, however old they get.
    """
    rule, more, ago, spans = CASES[name]
    events = [activity("e", "l", "call", T0 - ago), activity("f", "m", "visit", T0)]
    world = World([lead("l"), lead("m")], events)
    known = {"valid_from": ibis.literal(LONG_AGO, TIME), "valid_to": ibis.null(TIME)}
    facts = replace(world.facts, aliases=world.facts.aliases.mutate(**known))
    for since, at, expected in spans:
        span = Span(T0 + since * DAY, T0 + at * DAY)
        found = {row["id"] for row in world.rows(due(model(rule, **more), facts, span))}
        assert found == ({"l"} if expected else set()), (since, at)
        scores = [world.scores(model(rule, **more), moment) for moment in (span.since, span.at)]
        assert (scores[0] != scores[1]) == expected, (since, at)


SECOND = timedelta(seconds=1)
TURNS: dict[str, tuple[dict[str, Any], list[timedelta]]] = {
    # Just when an event counts otherwise: points 8 are 80000 units, through with after 17 halvings.
    "within": ({"within": "3 days"}, [3 * DAY + SECOND]),
    "step": ({"decay": "step"}, [2 * DAY + SECOND]),
    "again": ({"decay": "again"}, [n * 2 * DAY + SECOND for n in (1, 2, 17)]),
    "line": ({"decay": "line"}, [n * DAY for n in (1, 3, 4)]),
    "half": ({"decay": "half"}, [n * DAY for n in (1, 16, 17)]),
    "silent": ({"points": -8, "silent": "2 days", "count": "each"}, [n * 2 * DAY for n in (1, 9)]),
}
TURNING = {
    "step": {"after": "2 days", "factor": 0.5},
    "again": {"after": "2 days", "factor": 0.5, "repeat": True},
    "line": {"over": "4 days"},
    "half": {"half_life": "1 day"},
}


ENDLESS = ("silent", "days")


def every_turn() -> tuple[Model, dict[str, list[timedelta]]]:
    """A model with all of these rules, and measures; of each the ages at which it turns."""
    rules = [
        {"id": name, "points": 8, "when": {"type": name}, **more}
        for name, (more, _turns) in TURNS.items()
    ]
    measures = [
        {"id": "days", "silence": {"type": "days"}, "every": 1, "points": -1},
        {"id": "count", "count": {"type": "count"}, "within": "3 days", "steps": {1: 5}},
    ]
    rest = {"decays": TURNING, "measures": measures, "thresholds": {"mql": 50, "sql": 100}}
    turns = {name: turns for name, (_more, turns) in TURNS.items()}
    turns |= {"days": [DAY, 99 * DAY], "count": [3 * DAY + SECOND]}
    return parse({"name": "m", "behaviour": rules, **rest}), turns


def due_of(world: World, rules: Model, span: Span) -> set[str]:
    """Who is due in a span."""
    known = {"valid_from": ibis.literal(LONG_AGO, TIME), "valid_to": ibis.null(TIME)}
    facts = replace(world.facts, aliases=world.facts.aliases.mutate(**known))
    return {row["id"] for row in world.rows(due(rules, facts, span))}


def test_a_lead_is_due_in_the_very_second() -> None:
    """U12: of events that are a second younger or older than at a turn, or half a second, those and
    no others are due in a second that changes their points; also where a measure counts days."""
    rules, turns = every_turn()
    expected, leads, events = set(), [], []
    for kind, ages in turns.items():
        for age in (turn + near * SECOND for turn in ages for near in (-2, -1, -0.5, 0, 0.5, 1)):
            name = f"{kind}-{age}"
            leads.append(lead(name))
            events.append(activity(name, name, kind, T0 + SECOND - age))
            # As old as a turn at the end of the second, and not at its beginning.
            if any(turn - SECOND < age <= turn for turn in ages):
                expected.add(name)
    world = World(leads, events)
    before, after = (world.scores(rules, at) for at in (T0, T0 + SECOND))
    assert {name for name in before if before[name] != after[name]} == expected
    assert due_of(world, rules, Span(T0, T0 + SECOND)) == expected


def test_nobody_is_due_after_the_last_turn() -> None:
    """U12: what is through with its decay, or out of its window, makes nobody due ever after."""
    rules, turns = every_turn()
    last = {kind: max(ages) for kind, ages in turns.items() if kind not in ENDLESS}
    did = [activity(kind, kind, kind, T0 - age) for kind, age in last.items()]
    world = World([lead(kind) for kind in last], did)
    assert due_of(world, rules, Span(T0 - SECOND, T0)) == last.keys()
    assert due_of(world, rules, Span(T0, T0 + 99 * DAY)) == set()


def test_what_came_as_a_span_began_turns_within_it() -> None:
    """U12: an event at the very instant of the last decision is as old as the span is long."""
    rules, turns = every_turn()
    world = World([lead(kind) for kind in turns], [activity(k, k, k, T0) for k in turns])
    assert due_of(world, rules, Span(T0, T0 + 2 * DAY)) >= {"line", "half", *ENDLESS}


@pytest.mark.parametrize("name", NAMES)
def test_presets_are_foreseen(name):
    """The presets are rescored incrementally."""
    text = resources.files("core.presets").joinpath(f"{name}.yaml").read_text()
    assert foreseen(parse(yaml.safe_load(text)))


def test_a_word_that_is_not_known_is_not_foreseen():
    """A model is foreseen until it uses a word of the language that core.due does not know."""

    class Decaying(BehaviourRule):
        doubled: bool = False

    Decaying.__name__ = "BehaviourRule"
    plain, other = (Decaying.model_validate({**CALL, **more}) for more in ({}, {"doubled": True}))
    whole = model(CALL)
    assert foreseen(whole.model_copy(update={"behaviour": (plain,)}))
    assert not foreseen(whole.model_copy(update={"behaviour": (other,)}))
