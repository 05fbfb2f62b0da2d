"""The stages a lead goes through, and which of them count as qualified."""

from enum import StrEnum


class Stage(StrEnum):
    """How far a lead is on its way to sales, or what keeps it off; it may have no stage."""

    IQL = "IQL"
    MQL = "MQL"
    PQL = "PQL"
    SQL_PENDING = "SQL pending"
    SQL = "SQL"
    PENDING = "Pending"
    INELIGIBLE = "Ineligible"
    DISQUALIFIED = "Disqualified"
    UNUSABLE = "Unusable"
    DUPLICATE = "Duplicate"


HELD_OUT = (Stage.UNUSABLE, Stage.DUPLICATE)
"""What hygiene keeps out of score and route."""

RULED_OUT = (Stage.PENDING, Stage.INELIGIBLE, Stage.DISQUALIFIED, *HELD_OUT)
"""What a lead is not passed on from: it is out, or may be, for all that is known."""

AT_SALES = (Stage.SQL, Stage.SQL_PENDING)
"""What the upper threshold leads to."""

QUALIFIED = (Stage.MQL, Stage.PQL, *AT_SALES)
"""The stages of a qualified lead: from entering any of them to leaving them all is one cycle."""
