"""What lint finds: something suspicious in a valid model, and where it stands."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from core.conditions import Condition
from core.earning import BehaviourRule, FitRule
from core.mistakes import Place, dotted
from core.rules import Model


@dataclass(frozen=True)
class Finding:
    """Something suspicious, where it stands, and what to do. `severity`: error or warning."""

    severity: str
    place: Place
    what: str
    advice: str


def placed_rules(model: Model) -> Iterator[tuple[Place, FitRule | BehaviourRule]]:
    """Every fit and behaviour rule with its place in the model file."""
    yield from model.placed_fit()
    for number, rule in enumerate(model.behaviour):
        yield ("behaviour", number), rule


Placed = tuple[Place, str, Condition]
"""A condition: its place, and what asks for it."""


def placed_conditions(value: BaseModel) -> Iterator[Placed]:
    """Every condition of a model or another file, wherever it is: its place, what asks for it,
    the condition.

    What asks is a rule, by its id; of a section without rules, its place.
    """
    return _conditions(value, (), "")


def _conditions(value: object, place: Place, rule: str) -> Iterator[Placed]:
    if isinstance(value, Condition):
        yield place, f"rule {rule}" if rule else dotted(place), value
        return
    if isinstance(value, BaseModel):
        rule = getattr(value, "id", rule)
        inner: Iterator[tuple[str | int, object]] = iter(value)
    elif isinstance(value, Mapping):
        inner = iter(value.items())
    elif isinstance(value, tuple):
        inner = iter(enumerate(value))
    else:
        return
    for key, part in inner:
        yield from _conditions(part, (*place, key), rule)
