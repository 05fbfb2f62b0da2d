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
