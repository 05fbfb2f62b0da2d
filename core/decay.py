"""What an event loses as it ages: in one step, in a straight line, or by half-lives.

A step falls at an exact instant. The two gradual kinds move once for every whole day of age, so
that a score does not flicker between two cycles.
"""

from datetime import timedelta
from decimal import Decimal, localcontext
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from core.points import Days, Duration, Part, Points, Share

DAY = timedelta(days=1)


class Step(Part):
    """What an event loses, in one step, once it is strictly older than `after`.

    Either its points are multiplied by `factor`, or `minus` is taken off, never below zero.
    """

    after: Duration = Field(description="The age up to which an event keeps its points.")
    factor: Share | None = Field(None, lt=1, description="Share of the points it keeps.")
    minus: Points | None = Field(None, gt=0, description="Points it loses.")
    unless_engaged: bool = Field(
        False, description="It keeps its points if an activity of a later day earned points."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.factor is None) == (self.minus is None):
            raise ValueError("a decay needs either factor or minus")
        return self

    def left(self, points: Decimal) -> Decimal:
        """What remains of an event's points after the step."""
        if self.factor is not None:
            return points * self.factor
        assert self.minus is not None
        return max(points - self.minus, Decimal(0))


class Linear(Part):
    """An event loses the same share of its points every day, and has none left after `over`."""

    over: Days = Field(description="The age, in whole days, at which nothing is left.")

    def share(self, days: int) -> Decimal:
        """The share of its points that an event keeps at an age in whole days."""
        whole = self.over // DAY
        return max(Decimal(whole - days) / whole, Decimal(0))

    def left(self, points: Decimal) -> Decimal:
        """What remains of an event's points in the end: nothing."""
        return points * 0


class HalfLife(Part):
    """An event loses half of its points in every `half_life`, bit by bit from day to day."""

    half_life: Days = Field(description="The age, in whole days, at which half is left.")

    def share(self, days: int) -> Decimal:
        """The share of its points that an event keeps at an age in whole days."""
        halvings, rest = divmod(days, self.half_life // DAY)
        with localcontext(prec=40) as context:
            exponent = Decimal(-rest) / (self.half_life // DAY)
            return context.power(Decimal(2), exponent) / (1 << halvings)

    def left(self, points: Decimal) -> Decimal:
        """What remains of an event's points in the end: nothing."""
        return points * 0


def _kind(value: Any) -> str:
    named = value.keys() if isinstance(value, dict) else getattr(type(value), "model_fields", ())
    return next((key for key in ("over", "half_life") if key in named), "after")


Gradual = Linear | HalfLife
Decay = Annotated[
    Annotated[Step, Tag("after")]
    | Annotated[Linear, Tag("over")]
    | Annotated[HalfLife, Tag("half_life")],
    Discriminator(_kind),
]
