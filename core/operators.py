"""The tests of a model file: a closed set of operators, each of which becomes an Ibis boolean.

A test is NULL where the field is not known, so that `not` of an unknown stays unknown. Text is
compared trimmed and without regard to case.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from operator import and_, eq, ge, gt, le, lt, or_
from typing import Annotated, Any, ClassVar, Self, TypeVar

import ibis
import ibis.expr.datatypes as dt
from ibis.expr.types import BooleanValue, Table, Value
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from core.facts import TIME
from core.folding import folded, word
from core.networks import Network, bounds, keyed, once

T = TypeVar("T")


def _as_tuple(value: object) -> object:
    return value if isinstance(value, (list, tuple)) else (value,)


def _as_instant(value: object) -> object:
    """A date is its midnight, and a time without a zone is meant in UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(moment, datetime) and moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment


NOW = "now"
"""The column that relative tests read besides the tested one: the instant of scoring."""

Span = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3} (day|month|year)s?$")]
OneOf = Annotated[tuple[T, ...], Field(min_length=1), BeforeValidator(_as_tuple)]
Instant = Annotated[datetime, BeforeValidator(_as_instant)]
Number = Annotated[Decimal, Field(max_digits=27, decimal_places=9)]
"""A number that engines compare exactly."""


class Clause(BaseModel):
    """A part of a condition; frozen, refuses an unknown word, and must say something."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("an empty condition: say what must hold")
        return self


class Test(Clause):
    """What is asked of one field. `known` asks whether the field holds anything at all."""

    __test__: ClassVar[bool] = False
    datatype: ClassVar[dt.DataType] = dt.String()

    known: bool | None = Field(None, description="true: it holds a value; false: it is empty.")

    @property
    def relative(self) -> bool:
        """Whether it compares with the instant of scoring."""
        return False

    def reads(self, name: str) -> frozenset[str]:
        """The columns that it reads, asked of the field `name`."""
        return frozenset({name, NOW} if self.relative else {name})

    def ask(self, name: str, table: Table) -> BooleanValue:
        """Whether it holds for the field `name`.

        A custom value that cannot be read as what it is compared with is unknown.
        """
        value = table[name]
        as_text = value.type().is_string() and not self.datatype.is_string()
        now = table[NOW] if self.relative else None
        return self.holds(value.try_cast(self.datatype) if as_text else value, now)

    def holds(self, value: Value, now: Value | None) -> BooleanValue:
        """The Ibis boolean that all operators of this test hold for `value`, at `now` if it is
        relative."""
        parts = list(self._parts(value))
        if now is not None:
            parts.extend(self._relative_parts(value, now))
        if self.known is not None:
            parts.append(value.notnull() if self.known else value.isnull())
        return reduce(and_, parts)

    def _parts(self, value: Value) -> Iterator[BooleanValue]:
        raise NotImplementedError

    def _relative_parts(self, value: Value, now: Value) -> Iterator[BooleanValue]:
        raise NotImplementedError


def _mapping(value: object, example: str) -> object:
    """A test that has no bare form, as it is; ValueError with an example of it where it is not."""
    if isinstance(value, (Mapping, Test)):
        return value
    raise ValueError(f"say what is asked of it: {example}")


class ValueTest(Test):
    """A test that may be written as a bare value or a list, short for `equals`."""

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: object) -> object:
        return value if isinstance(value, Mapping) else {"equals": value}


class TextTest(ValueTest):
    """Text, trimmed and without regard to case."""

    equals: OneOf[str] | None = Field(None, description="Is this text, or one of a list.")
    contains: OneOf[str] | None = Field(None, description="Contains this text, or one of a list.")
    starts_with: OneOf[str] | None = Field(None, description="Starts so, or with one of a list.")
    in_network: OneOf[Network] | None = Field(
        None,
        description="Is an IP address of this network or range, IPv4 or IPv6, or of one of a list.",
    )

    def _parts(self, value: Value) -> Iterator[BooleanValue]:
        text = folded(value)
        if self.equals:
            yield text.isin([word(w) for w in self.equals])
        if self.contains:
            yield reduce(or_, (text.contains(word(w)) for w in self.contains))
        if self.starts_with:
            starts = (text.startswith(word(w)) for w in self.starts_with)
            yield reduce(or_, starts)
        if self.in_network:
            ranges = [*map(bounds, self.in_network)]
            yield once(
                keyed(value),
                lambda found: reduce(or_, (found.between(low, high) for low, high in ranges)),
            )


class NumberTest(ValueTest):
    """A number, compared exactly."""

    datatype: ClassVar[dt.DataType] = dt.Decimal(38, 9)

    equals: OneOf[Number] | None = Field(None, description="Is this number, or one of a list.")
    at_least: Number | None = Field(None, description="Is this number or more.")
    above: Number | None = Field(None, description="Is more than this number.")
    at_most: Number | None = Field(None, description="Is this number or less.")
    below: Number | None = Field(None, description="Is less than this number.")

    def _parts(self, value: Value) -> Iterator[BooleanValue]:
        if self.equals:
            yield value.isin([_number(number) for number in self.equals])
        for compare, bound in self._bounds():
            yield compare(value, _number(bound))

    def _bounds(self) -> Iterator[tuple[Callable[[Any, Any], Any], Decimal]]:
        pairs = ((ge, self.at_least), (gt, self.above), (le, self.at_most), (lt, self.below))
        return ((compare, bound) for compare, bound in pairs if bound is not None)


def _number(number: Decimal) -> Value:
    whole = number == number.to_integral_value()
    return ibis.literal(int(number)) if whole else ibis.literal(number, type=dt.Decimal(38, 9))


class AttendedTest(NumberTest):
    """A share of the planned length: 0.75 is three quarters. Unknown if either is not known."""

    @model_validator(mode="after")
    def _is_a_share(self) -> Self:
        for _compare, bound in (*self._bounds(), *((eq, share) for share in self.equals or ())):
            if not 0 <= bound <= 1:
                raise ValueError(
                    f"{bound:f} is no share from 0 to 1: three quarters of the length are 0.75"
                )
        return self

    def reads(self, name: str) -> frozenset[str]:  # noqa: ARG002 - it has columns of its own
        """Duration and length."""
        return frozenset({"duration", "length"})

    def ask(self, name: str, table: Table) -> BooleanValue:  # noqa: ARG002
        """Whether it holds, by cross-multiplication: nothing is divided, so nothing is rounded."""
        length = table.length.nullif(0)

        def compared(compare: Callable[[Any, Any], Any], share: Decimal) -> BooleanValue:
            top, bottom = share.as_integer_ratio()
            return compare(table.duration * bottom, length * top)

        parts = [compared(compare, bound) for compare, bound in self._bounds()]
        if self.equals:
            parts.append(reduce(or_, (compared(eq, share) for share in self.equals)))
        if self.known is not None:
            known = table.duration.notnull() & length.notnull()
            parts.append(known if self.known else ~known)
        return reduce(and_, parts)


class FlagTest(ValueTest):
    """Yes or no."""

    datatype: ClassVar[dt.DataType] = dt.Boolean()

    equals: bool | None = Field(None, description="true or false.")

    def _parts(self, value: Value) -> Iterator[BooleanValue]:
        if self.equals is not None:
            yield value == ibis.literal(self.equals)


def _interval(span: str) -> Value:
    number, unit = span.rstrip("s").split(" ")
    return ibis.interval(**{f"{unit}s": int(number)})


class TimeTest(Test):
    """An instant; a date stands for its midnight in UTC."""

    datatype: ClassVar[dt.DataType] = TIME

    since: Instant | None = Field(None, description="At this instant or later.")
    before: Instant | None = Field(None, description="Earlier than this instant.")
    at_least_ago: Span | None = Field(
        None, description="That long ago or longer: 21 years, 6 months, 90 days."
    )
    at_most_ago: Span | None = Field(None, description="Past, and not longer ago than this.")
    within_next: Span | None = Field(None, description="To come, and no further off than this.")

    @model_validator(mode="before")
    @classmethod
    def _not_bare(cls, value: object) -> object:
        return _mapping(value, "{since: 2026-01-31}, {at_most_ago: 90 days}")

    @property
    def relative(self) -> bool:
        """Whether it compares with the instant of scoring."""
        return any((self.at_least_ago, self.at_most_ago, self.within_next))

    def _relative_parts(self, value: Value, now: Value) -> Iterator[BooleanValue]:
        if self.at_least_ago:
            yield value <= now - _interval(self.at_least_ago)
        if self.at_most_ago:
            yield (value >= now - _interval(self.at_most_ago)) & (value <= now)
        if self.within_next:
            yield (value >= now) & (value <= now + _interval(self.within_next))

    def _parts(self, value: Value) -> Iterator[BooleanValue]:
        if self.since is not None:
            yield value >= ibis.literal(self.since, type=TIME)
        if self.before is not None:
            yield value < ibis.literal(self.before, type=TIME)


class ListTest(Test):
    """A list of words, such as the technologies in use."""

    contains: OneOf[str] | None = Field(None, description="Holds this word, or one of a list.")

    @model_validator(mode="before")
    @classmethod
    def _not_bare(cls, value: object) -> object:
        return _mapping(value, "{contains: salesforce}, {contains: [sap, oracle]}")

    def _parts(self, value: Value) -> Iterator[BooleanValue]:
        if self.contains:
            yield reduce(or_, (value.contains(word(w)) for w in self.contains))


def _reading(test: object) -> str:
    """Custom fields are kept as text: what they are compared with says how to read them."""
    if isinstance(test, Test):
        return type(test).__name__
    tests = test if isinstance(test, Mapping) else {"equals": test}
    if tests.keys() & TimeTest.model_fields.keys() - {"known"}:
        return TimeTest.__name__
    if tests.keys() & {"at_least", "above", "at_most", "below"}:
        return NumberTest.__name__
    operand = tests.get("equals")
    sample = operand[0] if isinstance(operand, (list, tuple)) and operand else operand
    if isinstance(sample, bool):
        return FlagTest.__name__
    number = isinstance(sample, (int, float, Decimal))
    return NumberTest.__name__ if number else TextTest.__name__


CustomTest = Annotated[
    Annotated[TextTest, Tag("TextTest")]
    | Annotated[NumberTest, Tag("NumberTest")]
    | Annotated[FlagTest, Tag("FlagTest")]
    | Annotated[TimeTest, Tag("TimeTest")],
    Discriminator(_reading),
]

TESTS: Mapping[object, type[Test]] = {
    str: TextTest,
    int: NumberTest,
    Decimal: NumberTest,
    bool: FlagTest,
    datetime: TimeTest,
    tuple: ListTest,
}
