"""Several models: each lead is scored by the first one whose condition holds for it.

A condition that is unknown does not hold. Every model is put to its own share of the facts, so
that what a second model costs are its own leads; a single model without a condition has all.
"""

from dataclasses import dataclass, replace
from datetime import datetime

import ibis
from ibis.expr.types import Table

from core.conditions import LeadCondition
from core.known import Facts, known_columns
from core.past import Past
from core.rules import Model


@dataclass(frozen=True)
class Segment:
    """A model, and the leads it is for: those for which `when` holds, None: all that are left."""

    model: Model
    when: LeadCondition | None = None


Segments = tuple[Segment, ...]
"""In order of precedence; only the last may be without a condition."""


def shares(
    segments: Segments, facts: Facts, at: datetime, past: Past | None = None
) -> tuple[list[Facts], Facts | None]:
    """Each model's own leads as of `at` with their activities, and those that none is for.

    The latter is None where the last segment takes whatever is left. Former records, their
    activities and those of nobody are in every share: whose they are, scoring decides.
    """
    conditions = [segment.when for segment in segments if segment.when is not None]
    if not conditions:
        return [facts], None
    wanted = frozenset[str]().union(*(when.columns() for when in conditions))
    wide = known_columns(wanted, facts, at, past)
    place = ibis.cases(*((when.holds(wide), n) for n, when in enumerate(conditions)), else_=-1)
    placed = wide.select("connection", "lead_id", place=place).view()
    found = [_share(facts, placed, n) for n in range(len(conditions))]
    rest = _share(facts, placed, -1)
    return ([*found, rest], None) if len(segments) > len(conditions) else (found, rest)


def _share(facts: Facts, placed: Table, place: int) -> Facts:
    others = placed.filter(placed.place != place)
    return replace(
        facts,
        leads=facts.leads.anti_join(others, ["connection", ("id", "lead_id")]),
        activities=facts.activities.anti_join(others, ["connection", "lead_id"]),
    )


def scoring_accounts(segments: Segments) -> Model | None:
    """The first model that says how accounts are scored: it does so for all of them."""
    return next((s.model for s in segments if s.model.accounts is not None), None)


def with_model(segments: Segments, model: Model) -> Segments:
    """The segments with `model` in the place of the one of its name, or of the only one.

    Raises ValueError where there are several, and none of that name.
    """
    names = [segment.model.name for segment in segments]
    if len(segments) > 1 and model.name not in names:
        known = ", ".join(names)
        raise ValueError(f"no configured model is called {model.name} (there are: {known})")
    place = names.index(model.name) if len(segments) > 1 else 0
    return (*segments[:place], Segment(model, segments[place].when), *segments[place + 1 :])
