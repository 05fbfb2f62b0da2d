"""What the numbers of a score mean: its scale, and its grades."""

from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from core.points import Part, Points


def _fall(starts: dict[str, Decimal]) -> dict[str, Decimal]:
    for (above, upper), (name, lower) in pairwise(starts.items()):
        if lower >= upper:
            raise ValueError(
                f"label {name} from {lower:f} overlaps {above} from {upper:f}: they must be listed "
                "best first, each beginning below the one before"
            )
    return starts


def _named(starts: object) -> object:
    """YAML reads a label such as 1 as a number."""
    return {str(k): v for k, v in starts.items()} if isinstance(starts, Mapping) else starts


Labels = Annotated[dict[str, Points], BeforeValidator(_named), AfterValidator(_fall)]
"""Labels and the points they begin at, best first."""


Axis = Annotated[Labels, Field(min_length=2)]


class Matrix(Part):
    """Grades of two letters, such as A1: how well a lead fits, and how much it does."""

    fit: Axis = Field(
        description="Label and the fit points it begins at, best first; the last takes all below."
    )
    behaviour: Axis = Field(
        description="Label and the behaviour points it begins at, best first; as for fit."
    )


class Scale(Part):
    """A score from 1 to 100."""

    top: Points | None = Field(
        None, gt=0, description="The points that make 100; left out: the most that rules can give."
    )
