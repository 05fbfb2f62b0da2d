"""What lint finds: something suspicious in a valid model, and where it stands."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from core.conditions import Condition
from core.earning import BehaviourRule, FitRule
from core.mistakes import Place
from core.points import Part
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


def placed_conditions(
    value: object, place: Place = (), name: str = ""
) -> Iterator[tuple[Place, str, Condition]]:
    """Every condition in a part of a model, wherever it is: place, id of its rule, condition."""
    if isinstance(value, Condition):
        yield place, name, value
        return
    if isinstance(value, Part):
        name = getattr(value, "id", name)
        inner: Iterator[tuple[str | int, object]] = iter(value)
    elif isinstance(value, Mapping):
        inner = iter(value.items())
    elif isinstance(value, tuple):
        inner = iter(enumerate(value))
    else:
        return
    for key, part in inner:
        yield from placed_conditions(part, (*place, key), name)
