"""The accounts section of a model: what makes an account worth the attention of sales.

An account earns points for what it is, for what its people do and are, for the roles of a buying
committee that they fill, and for what nobody in particular did in its name. `core.propensity`
makes one number from 0 to 100 of it.
"""

from collections.abc import Iterable, Iterator, Set
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Annotated, Literal, Self

import ibis
from ibis.expr.types import Table
from pydantic import AfterValidator, Field, model_validator

from core import normalise
from core.conditions import AccountCondition, ActivityCondition, Condition, LeadCondition
from core.facts import TIME
from core.operators import NOW
from core.points import Part, Points, RuleId
from core.visitors import Networks

TARGET = "account.target"
"""The column by which conditions on leads ask whether the account is a target."""


class AccountRule(Part):
    """Points for what an account is."""

    id: RuleId = Field(description="Name of the rule, as explanations show it.")
    points: Points = Field(description="Points it gives; negative takes away.")
    when: AccountCondition = Field(description="What must hold of the account.")


class RollUp(Part):
    """How the points of an account's contacts become points of the account."""

    method: Literal["sum", "max", "mean", "top"] = Field(
        "sum",
        description="sum: all contacts; max: the best one; top: the best few; mean: the average, "
        "rounded down to 1/10,000 point.",
    )
    top: int | None = Field(None, ge=1, description="How many contacts `method: top` counts.")
    of: Literal["behaviour", "score"] = Field(
        "score",
        description="What is added up: each contact's score, or its behaviour points alone, "
        "before weighting.",
    )

    @property
    def name(self) -> str:
        """What explanations call it."""
        return f"rollup:{self.method}" + (f"-{self.top}" if self.top else "")

    @property
    def counted(self) -> int | None:
        """How many contacts count, the best first; None: all."""
        return 1 if self.method == "max" else self.top

    @model_validator(mode="after")
    def _says_how_many(self) -> Self:
        if (self.method == "top") != (self.top is not None):
            raise ValueError("`top: 2` says how many contacts count with method: top, and only so")
        return self


class Committee(Part):
    """The roles of a buying committee. A contact fills the first one that holds of it."""

    roles: dict[RuleId, LeadCondition] = Field(
        min_length=1, description="Roles by name, and whom they are filled by."
    )
    points: Points = Field(description="Points of each role that a contact of the account fills.")


def _domain(text: str) -> str:
    name = normalise.domain(text)
    if name is None:
        raise ValueError(f"{text!r} is no web domain")
    return name


class Targets(Part):
    """The accounts chosen beforehand: by domain, by what they are, or both."""

    domains: tuple[Annotated[str, AfterValidator(_domain)], ...] = Field(
        (), description="Web domains of target accounts."
    )
    when: AccountCondition | None = Field(
        None, description="Accounts for which this holds are targets as well."
    )

    @model_validator(mode="after")
    def _names_some(self) -> Self:
        if not self.domains and self.when is None:
            raise ValueError("say domains, when, or both")
        if self.when and "target" in self.when.columns():
            raise ValueError("when cannot ask for `target`: it is what decides it")
        return self


class Anonymous(Part):
    """Activities of an account that are nobody's: they count for the account alone."""

    when: ActivityCondition | None = Field(
        None, description="Which of them count, such as those found with enough confidence."
    )


class AccountScoring(Part):
    """How accounts are scored, from 0 to 100."""

    fit: tuple[AccountRule, ...] = Field((), description="Rules over the account's own fields.")
    rollup: RollUp = Field(RollUp(), description="How the points of contacts are added up.")
    committee: Committee | None = Field(None, description="Points for roles that are filled.")
    targets: Targets | None = Field(
        None, description="Target accounts: conditions ask `target: true` of the account."
    )
    anonymous: Anonymous | None = Field(
        None, description="Activities without a person; left out: they do not count."
    )
    networks: Networks | None = Field(
        None, description="Networks of accounts: whose the visits are that name nobody."
    )
    top: Points = Field(gt=0, description="The points that make 100.")

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        ids = [rule.id for rule in self.fit]
        for id_ in sorted({id_ for id_ in ids if ids.count(id_) > 1}):
            raise ValueError(f"two rules are called {id_}")
        if self.networks and not self.anonymous:
            raise ValueError(
                "networks tell whose visits of nobody are: add `anonymous: {}`, by which they count"
            )
        return self


def misplaced(
    section: AccountScoring | None, asked: Iterable[LeadCondition], *, behaves: bool
) -> Iterator[str]:
    """What a model says of accounts and cannot mean: `asked` are its conditions on leads,
    `behaves` whether it has behaviour rules."""
    conditions: list[Condition] = [*asked]
    if section:
        conditions += [rule.when for rule in section.fit]
        conditions += section.committee.roles.values() if section.committee else ()
    columns = frozenset[str]().union(*(when.columns() for when in conditions))
    if columns & {TARGET, "target"} and not (section and section.targets):
        yield "a condition asks whether an account is a target: say which are in accounts.targets"
    if section and section.anonymous and not behaves:
        yield "accounts.anonymous: there are no behaviour rules for such activities to match"


def readable(table: Table, columns: Set[str], at: datetime) -> Table:
    """`table` with all that conditions read of its rows as of `at`: further fields, and now."""
    further = {
        name: ibis.literal(at, type=TIME)
        if name == NOW
        else table.custom.get(name.removeprefix("custom."))
        for name in sorted(columns - set(table.columns))
    }
    return table.mutate(**further)


def targeted(targets: Targets | None, accounts: Table, at: datetime) -> Table:
    """`accounts` with `target`: whether each is one; NULL where that is not known."""
    if targets is None:
        return accounts.mutate(target=ibis.null("boolean"))
    wide = readable(accounts, targets.when.columns() if targets.when else frozenset(), at)
    ways = [wide.domain.isin(targets.domains)] if targets.domains else []
    if targets.when:
        ways.append(targets.when.holds(wide))
    return wide.select(*accounts.columns, target=reduce(or_, ways))
