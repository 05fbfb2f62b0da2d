"""Everything decided about one lead, as one value, and the names of what is written of it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

UNIT = 10_000
"""Points are kept as whole numbers of 1/10,000 point."""


class Output(StrEnum):
    """What leadgauge writes of a decision; each is mapped to one CRM field."""

    SCORE = "score"
    TIER = "tier"
    STAGE = "stage"
    REASON = "reason"
    MODEL = "model"
    SCORED_AT = "scored_at"
    OWNER = "owner"
    AREA = "area"
    BUYER_STAGE = "buyer_stage"


OPTIONAL = frozenset({Output.AREA, Output.BUYER_STAGE})
"""Outputs that are written only where the configuration gives them a field."""


@dataclass(frozen=True)
class Decision:
    """What was decided about one lead at one instant.

    `score` is in units of 1/10,000 point. `owner_id` is None where no owner is to be given:
    the present one then stays, and `owner_reason` says why. `area` of interest and `buyer_stage`
    are decided only where they are written. `probability` is what was predicted of the lead, from 0
    to 1: it stands beside the score, and nothing is decided by it. `fit` and `behaviour` are what
    these parts of the score come to before they are weighted, in the same units.
    """

    connection: str
    lead_id: str
    object_type: str
    score: int
    tier: str | None
    stage: str | None
    reason: str
    model: str
    scored_at: datetime
    owner_id: str | None = None
    owner_reason: str = ""
    area: str | None = None
    buyer_stage: str | None = None
    probability: Decimal | None = None
    fit: int | None = None
    behaviour: int | None = None

    @property
    def points(self) -> Decimal:
        """The score in points, exact."""
        return Decimal(self.score) / UNIT
