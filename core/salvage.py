"""What can be made of a model file in which something is wrong: the rest, without those parts."""

from collections.abc import Iterable, Mapping, Set
from typing import Any, get_origin

from core.mistakes import Place
from core.rules import Model

STAND_INS: Mapping[str, Any] = {"name": "unnamed", "thresholds": {"mql": 1, "sql": 2}}
"""What is read where a section is wrong that no model can be without; nothing looks at it."""


def cut(place: Place) -> Place:
    """What to leave out where something is wrong: a rule or an entry, else the whole section."""
    field = Model.model_fields.get(str(place[0])) if place else None
    many = field is not None and get_origin(field.annotation) in (tuple, dict)
    return place[:2] if many else place[:1]


def broken(cuts: Iterable[Place]) -> Set[str]:
    """The sections that are not whole without some parts: all, where it is not known which."""
    sections = {str(place[0]) for place in cuts}
    return sections if sections <= Model.model_fields.keys() else {*Model.model_fields, *sections}
