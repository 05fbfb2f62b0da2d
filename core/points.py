"""The scalars of a model file: exact points, shares, durations and periods."""

import re
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
)

from core.decision import UNIT

LARGEST = 1_000_000
"""The most points one rule may give: sums of many events still fit 64-bit integers."""


def units(points: Decimal) -> int:
    """Points in whole units of 1/10,000. ValueError: they do not come out even."""
    scaled = points * UNIT
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{points} is not a whole number of 1/10,000 point")
    return int(scaled)


def _exact(points: Decimal) -> Decimal:
    units(points)
    return points.normalize()


def _duration(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d{1,7}) (day|hour)s?", value.strip())
    if not match:
        raise ValueError("a duration is a whole number of days or hours, such as 30 days")
    return timedelta(**{f"{match[2]}s": int(match[1])})


def _months(value: object) -> object:
    match = re.fullmatch(r"(\d+) months?", value.strip()) if isinstance(value, str) else None
    if not match:
        raise ValueError("this must be a whole number of months, such as 6 months")
    return int(match[1])


def _whole_days(value: timedelta) -> timedelta:
    if value % timedelta(days=1):
        raise ValueError("this must be a whole number of days")
    return value


def _bare(name: str) -> str:
    if name.startswith("custom."):
        raise ValueError(f"write {name.removeprefix('custom.')}: it is a custom field always")
    return name


Points = Annotated[Decimal, Field(ge=-LARGEST, le=LARGEST), AfterValidator(_exact)]
Duration = Annotated[
    timedelta, Field(gt=timedelta(), le=timedelta(days=36_500)), BeforeValidator(_duration)
]
Days = Annotated[Duration, AfterValidator(_whole_days)]
Months = Annotated[int, Field(ge=1, le=120), BeforeValidator(_months)]
Share = Annotated[Decimal, Field(ge=0, le=1), AfterValidator(_exact)]
CustomName = Annotated[str, Field(min_length=1), AfterValidator(_bare)]
"""The name of a further field, as it stands under `custom`."""
RuleId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=32)]


class Part(BaseModel):
    """A part of the model file; frozen, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Period(StrEnum):
    """A calendar period, in UTC; a week begins on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"

    @property
    def unit(self) -> Any:
        """What Ibis truncates a time to."""
        return self.value[0].upper()


def _span(value: object) -> str:
    if value == "session":
        return "session"
    if isinstance(value, int) or (isinstance(value, str) and value.endswith(("month", "months"))):
        return "calendar" if value == "month" else "months"
    days = isinstance(value, timedelta) or (isinstance(value, str) and value[:1].isdigit())
    return "days" if days else "calendar"


Span = Annotated[
    Annotated[Period, Tag("calendar")]
    | Annotated[Literal["session"], Tag("session")]
    | Annotated[Days, Tag("days")]
    | Annotated[Months, Tag("months")],
    Discriminator(_span),
]
"""A calendar period, a session, or whole days or months counted from a first event."""


class Grain:
    """The smallest amount whose weighted points are whole units too.

    A weight is p/q in lowest terms: points that are a whole number of q units weigh in at a whole
    number of p units for each of them. So amounts are counted in grains, and no engine divides.
    """

    def __init__(self, weight: Decimal) -> None:
        ratio = Fraction(weight)
        self.raw = ratio.denominator
        """Units of one grain before weighting."""
        self.weighted = ratio.numerator
        """Units of one grain after weighting."""

    def points(self, amount: int) -> Decimal:
        """Whole grains in points."""
        return Decimal(amount * self.raw) / UNIT

    def of(self, points: Decimal) -> int:
        """Points in whole grains, rounded down towards zero."""
        return int(points * UNIT / self.raw)
