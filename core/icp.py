"""The ideal customer profile: the company to sell to, and the person there to talk to.

Both are shown apart from each other and from the score; a profile gives no points.
"""

from enum import StrEnum

import ibis
from ibis.expr.types import BooleanValue, StringValue, Table
from pydantic import Field

from core.conditions import CompanyCondition, LeadCondition
from core.points import Part


class Match(StrEnum):
    """Whether somebody is who a profile asks for."""

    MATCH = "match"
    NO_MATCH = "no match"
    UNKNOWN = "unknown"


class Icp(Part):
    """The ideal company and the ideal person."""

    company: CompanyCondition = Field(description="What the account must be.")
    persona: LeadCondition = Field(description="What the person must be.")

    def columns(self) -> frozenset[str]:
        """The columns that both conditions read."""
        return self.company.columns() | self.persona.columns()


def fit(icp: Icp, wide: Table) -> Table:
    """Each lead's company and person against the profile: connection, lead_id, company, persona.

    Both are texts of `Match`; a lead without an account has an unknown company. `wide` holds
    connection, lead_id and all columns that the profile reads.
    """
    return wide.select(
        "connection",
        "lead_id",
        company=_match(icp.company.holds(wide)),
        persona=_match(icp.persona.holds(wide)),
    )


def _match(holds: BooleanValue) -> StringValue:
    return ibis.cases(
        (holds, Match.MATCH.value), (~holds, Match.NO_MATCH.value), else_=Match.UNKNOWN.value
    )
