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
    NO_CONSENT = "No consent"
    FROZEN = "No consent, frozen"


HELD_OUT = (Stage.UNUSABLE, Stage.DUPLICATE)
"""What hygiene keeps out of score and route."""

WITHHELD = (Stage.NO_CONSENT, Stage.FROZEN)
"""Who may not be scored: what was written is cleared, or left as it is."""

UNSCORED = (*HELD_OUT, *WITHHELD)
"""Who has no score, and a reason in its place."""

RULED_OUT = (Stage.PENDING, Stage.INELIGIBLE, Stage.DISQUALIFIED, *UNSCORED)
"""What a lead is not passed on from: it is out, or may be, for all that is known."""

AT_SALES = (Stage.SQL, Stage.SQL_PENDING)
"""What the upper threshold leads to."""

QUALIFIED = (Stage.MQL, Stage.PQL, *AT_SALES)
"""The stages of a qualified lead: from entering any of them to leaving them all is one cycle."""
