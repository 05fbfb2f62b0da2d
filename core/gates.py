"""What a lead must be whatever it does: table stakes, and disqualifiers.

Each criterion that is met is worth so many points that everything else together, kept below that
number, cannot make up for one. What is not known is neither met nor failed: the lead is pending.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Self

import ibis
from ibis.expr.types import BooleanValue, StringValue, Table
from pydantic import Field, model_validator

from core.conditions import LeadCondition, undecided
from core.points import Part, Points, RuleId


class Standing(StrEnum):
    """Whether a lead may become a customer at all."""

    OPEN = "open"
    PENDING = "pending"
    INELIGIBLE = "ineligible"
    DISQUALIFIED = "disqualified"


class Criterion(Part):
    """Something a lead, or its account, must be; or must not be."""

    id: RuleId = Field(description="Name of the criterion, as explanations show it.")
    when: LeadCondition = Field(description="What must hold for it.")


class Gates(Part):
    """Table stakes: criteria that nothing else makes up for."""

    criteria: tuple[Criterion, ...] = Field(min_length=1, description="The criteria.")
    at_least: int | None = Field(
        None, ge=1, description="How many of them must be met; left out: all."
    )
    worth: Points = Field(
        Decimal(100),
        ge=0,
        description="Points of each one met. All else together is kept between 0 and one point "
        "less. 0: the criteria give no points, and limit none.",
    )

    @property
    def needed(self) -> int:
        """How many criteria must be met."""
        return self.at_least or len(self.criteria)

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        if self.needed > len(self.criteria):
            raise ValueError(f"at_least {self.at_least}: there are {len(self.criteria)} criteria")
        if 0 < self.worth < 1:
            raise ValueError("worth must be 0, or 1 or more")
        return self


def standing(
    gates: Gates | None, disqualify: tuple[Criterion, ...], scores: Table, wide: Table
) -> Table:
    """`scores` with each lead's `standing`, and `because` of which criteria.

    `wide` holds connection, lead_id and all columns that the criteria read. A disqualifier that
    is not known to hold does not hold.
    """
    if not (gates or disqualify):
        return scores.mutate(standing=ibis.literal(Standing.OPEN.value), because=ibis.literal(""))
    out = {rule.id: rule.when.holds(wide).fill_null(False) for rule in disqualify}
    criteria = {rule.id: rule.when.holds(wide) for rule in gates.criteria} if gates else {}
    met = ibis.literal(0)
    for holds in criteria.values():
        met = met + holds.fill_null(False).cast("int64")
    gaps = ibis.literal(0)
    for holds in criteria.values():
        gaps = gaps + undecided(holds).cast("int64")
    needed = gates.needed if gates else 0
    failed = names({name: ~holds.fill_null(True) for name, holds in criteria.items()})
    open_ = names({name: undecided(holds) for name, holds in criteria.items()})
    cases = [
        (names(out) != "", Standing.DISQUALIFIED.value, names(out)),
        (met >= needed, Standing.OPEN.value, ibis.literal("")),
        (met + gaps < needed, Standing.INELIGIBLE.value, failed),
    ]
    standings = wide.select(
        "connection",
        "lead_id",
        standing=ibis.cases(*((c, s) for c, s, _why in cases), else_=Standing.PENDING.value),
        because=ibis.cases(*((c, why) for c, _s, why in cases), else_=open_),
    )
    return scores.join(standings, ["connection", "lead_id"])


def names(found: Mapping[str, BooleanValue]) -> StringValue:
    """The names of the conditions that hold, in order, with commas between them."""
    text = ibis.literal("")
    for name, holds in found.items():
        text = text + ibis.ifelse(holds, f", {name}", "")
    return text.substr(2)
