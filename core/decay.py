"""What an event loses as it ages: in one step or several, in a straight line, or by half-lives.

A step falls at an exact instant. The two gradual kinds move once for every whole day of age, so
that a score does not flicker between two cycles.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal, localcontext
from itertools import count, takewhile
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from core.points import Days, Duration, Grain, Part, Points, Share

DAY = timedelta(days=1)


class Step(Part):
    """What an event loses, in one step, once it is strictly older than `after`.

    Either its points are multiplied by `factor`, or `minus` is taken off, never below zero; with
    `repeat` so again from what is left, each time that so long has passed.
    """

    after: Duration = Field(description="The age up to which an event keeps its points.")
    factor: Share | None = Field(None, lt=1, description="Share of the points it keeps.")
    minus: Points | None = Field(None, gt=0, description="Points it loses.")
    unless_engaged: bool = Field(
        False, description="It keeps its points if an activity of a later day earned points."
    )
    repeat: bool = Field(False, description="The same again whenever `after` has passed again.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.factor is None) == (self.minus is None):
            raise ValueError("a decay needs either factor or minus")
        return self

    def left(self, points: Decimal) -> Decimal:
        """What remains of an event's points after the step; of repeated ones, in the end."""
        return points * 0 if self.repeat else self._once(points)

    def course(self, points: Decimal, grain: Grain) -> Iterator[int]:
        """What repeated steps leave of an event's points, in grains: before the first of them,
        after it, and so on, until nothing is left."""
        amount = grain.of(points)
        while amount:
            yield amount
            amount = grain.of(self._once(grain.points(amount)))

    def age(self, seconds: Any) -> Any:
        """How many turns an event has taken at an age in seconds, rounded up: steps."""
        return (seconds - 1) // int(self.after.total_seconds())

    def _once(self, points: Decimal) -> Decimal:
        if self.factor is not None:
            return points * self.factor
        assert self.minus is not None
        return max(points - self.minus, Decimal(0))


class Gradual(Part):
    """An event loses some of its points every day until nothing is left."""

    def kept(self, points: Decimal, days: int) -> Decimal:
        """What an event keeps of its points at an age in whole days."""
        raise NotImplementedError

    def age(self, seconds: Any) -> Any:
        """How many turns an event has taken at an age in seconds: whole days."""
        return seconds // int(DAY.total_seconds())

    def left(self, points: Decimal) -> Decimal:
        """What remains of an event's points in the end: nothing."""
        return points * 0

    def course(self, points: Decimal, grain: Grain) -> Iterator[int]:
        """What is left of an event's points, in grains, on each day of its age, until none are."""
        return takewhile(bool, (grain.of(self.kept(points, days)) for days in count()))


class Linear(Gradual):
    """An event loses the same share of its points every day, and has none left after `over`."""

    over: Days = Field(description="The age, in whole days, at which nothing is left.")

    def kept(self, points: Decimal, days: int) -> Decimal:
        """What an event keeps of its points at an age in whole days."""
        whole = self.over // DAY
        # Divided last: a third of 30 points, rounded before, would be less than 10.
        return points * max(whole - days, 0) / whole


class HalfLife(Gradual):
    """An event loses half of its points in every `half_life`, bit by bit from day to day."""

    half_life: Days = Field(description="The age, in whole days, at which half is left.")

    def kept(self, points: Decimal, days: int) -> Decimal:
        """What an event keeps of its points at an age in whole days."""
        halvings, rest = divmod(days, self.half_life // DAY)
        with localcontext(prec=40) as context:
            exponent = Decimal(-rest) / (self.half_life // DAY)
            return points * context.power(Decimal(2), exponent) / (1 << halvings)


def _kind(value: Any) -> str:
    named = value.keys() if isinstance(value, dict) else getattr(type(value), "model_fields", ())
    return next((key for key in ("over", "half_life") if key in named), "after")


Decay = Annotated[
    Annotated[Step, Tag("after")]
    | Annotated[Linear, Tag("over")]
    | Annotated[HalfLife, Tag("half_life")],
    Discriminator(_kind),
]
