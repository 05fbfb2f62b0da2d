"""The criteria that a lead met, in the words of the model file that decided.

Marketing and sales read the same text: nobody writes down a second time what a rule means.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from core.earning import BehaviourRule, FitRule
from core.explain import Explanation
from core.gates import Criterion
from core.rules import Model
from core.stages import AT_SALES, Stage


def met(model: Model, stage: str | None, found: Explanation) -> list[str]:
    """A line for what gave the lead its stage, and one for each rule that it met, most points
    first: `pricing-page +20: {type: page_view, asset: /pricing}`."""
    rules: list[FitRule | BehaviourRule | Criterion] = [*model.fit_rules, *model.behaviour]
    rules += model.gates.criteria if model.gates else ()
    said = {
        rule.id: text(rule.when.model_dump(mode="json", by_alias=True, exclude_defaults=True))
        for rule in rules
    }
    counted = [line for line in found.lines if line.rule in said and line.raw >= 0]
    reached = _reached(model, stage, found.score, {line.rule for line in counted})
    return [*reached, *(f"{line.rule} {line.points:+}: {said[line.rule]}" for line in counted)]


def _reached(model: Model, stage: str | None, score: Decimal, rules: set[str]) -> Iterator[str]:
    """What gave a lead its stage: a threshold, or what it did."""
    wanted, keep = model.thresholds, model.thresholds.keep
    if stage in AT_SALES:
        start, kept, marks = wanted.sql, keep and keep.sql, model.stages.fast_lane
    elif stage == Stage.PQL:
        start, kept, marks = None, None, model.stages.pql
    elif stage == Stage.MQL:
        start, kept, marks = wanted.mql, keep and keep.mql, ()
    else:
        return
    if start is not None and score >= (kept or start):
        again = f", kept from {kept:f}" if kept is not None else ""
        yield f"{stage} from {start:f} points{again}: it has {score:f}"
    if did := [mark for mark in marks if mark in rules]:
        yield f"{stage} by what it did: {', '.join(did)}"


def text(said: Any) -> str:
    """A condition as the model file has it: {industry: technology, employees: {at_least: 50}}."""
    if isinstance(said, dict):
        if said.keys() == {"equals"}:
            return text(said["equals"])
        return "{" + ", ".join(f"{name}: {text(value)}" for name, value in said.items()) + "}"
    if isinstance(said, list):
        items = ", ".join(map(text, said))
        return items if len(said) == 1 else f"[{items}]"
    return str(said).lower() if isinstance(said, bool) else str(said)
