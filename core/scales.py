"""What the numbers of a score mean: its scale, and its grades."""

from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from core.operators import OneOf
from core.points import Part, Points
from core.stages import Stage


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


def _apart(named: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    every = [str(stage) for stages in named.values() for stage in stages]
    for stage in every:
        if every.count(stage) > 1:
            raise ValueError(f"stage {stage} has two labels: give it one")
    return named


Steps = Annotated[
    dict[str, OneOf[Stage | Literal["none"]]],
    BeforeValidator(_named),
    AfterValidator(_apart),
    Field(min_length=2),
]
"""Labels and the stages they stand for, best first."""


class Matrix(Part):
    """Grades of two letters, such as A1: how well a lead fits, and how much it does, or how far it
    has come."""

    fit: Axis = Field(
        description="Label and the fit points it begins at, best first; the last takes all below."
    )
    behaviour: Axis | None = Field(
        None, description="Label and the behaviour points it begins at, best first; as for fit."
    )
    stage: Steps | None = Field(
        None,
        description="In the place of behaviour: label and its stages (none: it has no stage), best "
        "first; the last takes all others.",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.behaviour is None) == (self.stage is None):
            raise ValueError("a matrix needs either behaviour or stage beside fit")
        return self


class Scale(Part):
    """A score from 1 to 100."""

    top: Points | None = Field(
        None, gt=0, description="The points that make 100; left out: the most that rules can give."
    )
