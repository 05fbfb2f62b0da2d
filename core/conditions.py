"""The conditions of a model file: a closed set of operators over lead, account and activity.

A condition is a mapping from fields to tests; all of them must hold:

    when: {industry: technology, employees: {at_least: 50, below: 1000}}

A bare value means equal, a list means one of. `all`, `any` and `not` combine conditions. Every
condition becomes an Ibis boolean with three values: it is NULL where a field that decides it is
not known, so that `not` of an unknown stays unknown. Text is compared trimmed and without regard
to case.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from operator import and_, or_
from types import UnionType
from typing import Any, Literal, Self, get_args, get_origin

from ibis.expr.types import BooleanValue, Table, Value
from pydantic import Field, create_model, model_validator

from core.model import Account, Activity, Lead, Row
from core.operators import (
    TESTS,
    AttendedTest,
    Clause,
    CustomTest,
    FlagTest,
    NumberTest,
    OneOf,
    Test,
    TextTest,
    ValueTest,
)
from core.stages import Stage


def _test_fields(model: type[Row], names: Iterable[str]) -> Any:
    """A base class with the named fields of a model type, each with the test for its type."""
    fields: dict[str, Any] = {}
    for name in names:
        field = model.model_fields[name]
        options = [a for a in get_args(field.annotation) if a is not type(None)]
        kind = options[0] if options and get_origin(field.annotation) is UnionType else None
        test = TESTS[get_origin(kind) or kind or field.annotation]
        fields[name] = (test | None, Field(None, description=field.description))
    return create_model(f"{model.__name__}Tests", __base__=Clause, **fields)


class Fields(Clause):
    """Tests of the fields of one row."""

    custom: dict[str, CustomTest] = Field({}, description="Tests of further mapped fields.")

    @model_validator(mode="before")
    @classmethod
    def _by_field(cls, value: object) -> object:
        if isinstance(value, (Mapping, Clause)):
            return value
        raise ValueError("say what must hold, by field: {industry: technology}")

    def tests(self) -> Iterator[tuple[str, Test]]:
        """The name of every column tested here, with its test."""
        for name, test in self:
            if isinstance(test, Test):
                yield name, test
        for name, test in self.custom.items():
            yield f"custom.{name}", test


@dataclass(frozen=True)
class Conjunct:
    """One of the parts of a condition that must all hold, and the columns it reads."""

    columns: frozenset[str]
    holds: Callable[[Table], BooleanValue]


class Condition(Fields):
    """Tests of fields, and of conditions in turn; all of them must hold."""

    all_: tuple[Self, ...] = Field((), alias="all", description="All of these hold.")
    any_: tuple[Self, ...] = Field((), alias="any", description="At least one of these holds.")
    not_: Self | None = Field(None, alias="not", description="This does not hold.")

    def conjuncts(self) -> Iterator[Conjunct]:
        """The parts that must all hold, each with the columns it reads."""
        for name, test in self.tests():
            yield Conjunct(test.reads(name), partial(test.ask, name))
        for condition in self.all_:
            yield Conjunct(condition.columns(), condition.holds)
        if self.any_:
            columns = (condition.columns() for condition in self.any_)
            yield Conjunct(frozenset().union(*columns), self._any_holds)
        if self.not_:
            inner = self.not_
            yield Conjunct(inner.columns(), lambda table: ~inner.holds(table))

    def columns(self) -> frozenset[str]:
        """The columns that this condition reads."""
        return frozenset().union(*(part.columns for part in self.conjuncts()))

    def holds(self, table: Table) -> BooleanValue:
        """True, false, or NULL where a column that decides it is not known."""
        return reduce(and_, (part.holds(table) for part in self.conjuncts()))

    def _any_holds(self, table: Table) -> BooleanValue:
        return reduce(or_, (condition.holds(table) for condition in self.any_))


def undecided(holds: BooleanValue) -> BooleanValue:
    """Whether a condition is unknown: neither true nor false."""
    # As a number: Ibis 12 puts no brackets around `NOT a` and `a IN (b)` before IS NULL.
    return holds.cast("int64").isnull()


_UNTESTED = {"id", "modified_at", "custom", "present", "origins", "sources"}
"""No fields to test: ids, what our own writes move, and maps, which are tested by name."""

_LeadTests = _test_fields(Lead, (n for n in Lead.model_fields if n not in _UNTESTED))
_ActivityTests = _test_fields(
    Activity,
    ("type", "asset", "campaign", "area", "channel", "direction", "outcome", "duration"),
)


class Sourced(Fields):
    """Tests of fields, and of where the values of those with several sources come from."""

    origins: dict[str, TextTest] = Field(
        {}, description="Tests of a field's origin, where it is mapped to several sources."
    )

    def tests(self) -> Iterator[tuple[str, Test]]:
        """The tests of fields, then those of origins under `origins.<field>`."""
        yield from super().tests()
        yield from ((f"origins.{name}", test) for name, test in self.origins.items())


_AccountColumns = _test_fields(Account, (n for n in Account.model_fields if n not in _UNTESTED))


class _AccountTests(_AccountColumns):  # type: ignore[valid-type,misc]
    target: FlagTest | None = Field(
        None, description="Whether it is on the model's list of target accounts."
    )


class AccountFields(_AccountTests, Sourced):
    """Tests of the account's own fields."""


class StageTest(ValueTest):
    """A stage, or `none`."""

    equals: OneOf[Stage | Literal["none"]] | None = Field(
        None, description="Is this stage, or one of a list; none: it has none."
    )

    def _parts(self, value: Value) -> Iterator[BooleanValue]:
        if self.equals:
            yield value.isin([str(stage) for stage in self.equals])


class PastFields(Clause):
    """Tests of what was decided about the lead before."""

    stage: StageTest | None = Field(None, description="The stage it was last given.")
    mqls: NumberTest | None = Field(None, description="How many times it became qualified.")


class AccountCondition(_AccountTests, Sourced, Condition):
    """A condition on an account."""


class CompanyCondition(_AccountTests, Sourced, Condition):
    """A condition on the account that a lead belongs to."""

    def tests(self) -> Iterator[tuple[str, Test]]:
        """The tests of the account's own fields, under `account.<field>`."""
        yield from ((f"account.{name}", test) for name, test in super().tests())


class LeadCondition(_LeadTests, Sourced, Condition):  # type: ignore[valid-type,misc]
    """A condition on a lead, and on the account it belongs to."""

    free_mail: FlagTest | None = Field(
        None,
        description="Whether its e-mail address is one that anybody can have (Gmail).",
    )
    account: AccountFields | None = Field(None, description="Tests of the account's own fields.")
    past: PastFields | None = Field(None, description="Tests of what was decided before.")

    def tests(self) -> Iterator[tuple[str, Test]]:
        """The lead's tests, then the account's and the past's under `account.` and `past.`."""
        yield from super().tests()
        if self.past:
            yield from ((f"past.{n}", test) for n, test in self.past if isinstance(test, Test))
        if self.account:
            yield from ((f"account.{name}", test) for name, test in self.account.tests())


class ActivityCondition(_ActivityTests, Condition):  # type: ignore[valid-type,misc]
    """A condition on one activity."""

    attended: AttendedTest | None = Field(
        None, description="The share of its planned length that was attended: duration by length."
    )
