"""How one model differs from another, in the model's own terms."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal

from core.earning import BestOf
from core.operators import Clause
from core.points import Part
from core.rules import Model
from core.visitors import Link

ONE_OF = {"thresholds": "threshold", "tiers": "tier", "decays": "decay", "weights": "weight"}
"""What one entry of a section is called; of another section, its key is the word."""

Terms = dict[str, dict[str, str]]
"""Subject -> attribute -> text: `rule pricing-page` -> `points` -> `20`."""


def changes(old: Model, new: Model) -> list[str]:
    """Each difference as a line, in the order of the new model, then what it lacks.

    `threshold mql: 50 -> 60`, `rule pricing-page: points 20 -> 25`, `rule blog: removed`.
    """
    before, after = _terms(old), _terms(new)
    lines = []
    for subject, said in after.items():
        if subject not in before:
            lines.append(f"{subject}: added ({_listed(said)})")
            continue
        for attribute in dict.fromkeys([*said, *before[subject]]):
            was, now = (terms.get(attribute, "none") for terms in (before[subject], said))
            if was != now:
                lines.append(f"{subject}: {attribute} {was} -> {now}".replace(":  ", ": "))
    lines += [f"{subject}: removed" for subject in before if subject not in after]
    if not lines and old.version != new.version:
        lines.append("rules: another order")
    return lines


def _listed(said: Mapping[str, str]) -> str:
    return ", ".join(f"{attribute} {text}".strip() for attribute, text in said.items())


def _terms(model: Model) -> Terms:
    terms: Terms = {}
    for subject, attribute, text in _said(model, "model", ()):
        terms.setdefault(subject, {})[attribute] = text
    return terms


def _said(value: object, subject: str, path: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Everything that a part says, defaults included: subject, attribute, text."""
    if isinstance(value, BestOf):
        together = ", ".join(rule.id for rule in value.best_of)
        for rule in value.best_of:
            yield f"rule {rule.id}", "best of", together
            yield from _said(rule, subject, ())
    elif isinstance(value, Link):
        yield subject, " ".join((*path, str(value))), f"{value.confidence:f}"
    elif isinstance(value, Part):
        name = getattr(value, "id", None)
        subject, path = (f"rule {name}", ()) if name else (subject, path)
        for key, inner in value:
            if key != "id" and inner is not None:
                word = type(value).model_fields[key].alias or key
                yield from _said(inner, subject, (*path, word))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _said(inner, subject, (*path, str(key)))
    elif isinstance(value, tuple) and all(isinstance(item, Part) for item in value):
        for item in value:
            yield from _said(item, subject, path)
    else:
        section = ONE_OF.get(path[0]) if path else None
        if section:
            subject, path = f"{section} {path[1]}", path[2:]
        yield subject, " ".join(path), _text(value)


def _text(value: object) -> str:
    """A value in the words of the model file."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, Clause):
        said = value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return json.dumps(said, sort_keys=True)
    if isinstance(value, timedelta):
        days, rest = divmod(value, timedelta(days=1))
        return f"{value // timedelta(hours=1)} hours" if rest else f"{days} days"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value).lower() if isinstance(value, bool) else str(value)
