"""The part of config.yaml that says who is given which leads: pools, claims, working time, caps."""

from datetime import date, time
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from connectors.settings import Settings
from core.conditions import LeadCondition
from core.mistakes import refuse
from core.roster import By
from sync.service_settings import Interval

PASS_ON, WAIT = "pool", "wait"
"""What a fallback can be but an owner: the general pool, or nobody until somebody can."""


def _share(value: object) -> object:
    return {"owner": value} if isinstance(value, str) else value


class PoolOwner(Settings):
    """An owner who is given leads: e-mail address or CRM id, and a weight."""

    owner: str = Field(description="E-mail address of the owner, or its id in the CRM.")
    weight: int = Field(1, gt=0, description="Share of the leads: 2 gets twice what 1 gets.")


Share = Annotated[PoolOwner, BeforeValidator(_share)]


def _somebody(owners: tuple[PoolOwner, ...]) -> tuple[PoolOwner, ...]:
    if not owners:
        raise ValueError("name at least one owner")
    return owners


Shares = Annotated[tuple[Share, ...], AfterValidator(_somebody)]


class Pool(Settings):
    """Owners who share leads, and how."""

    owners: Shares = Field(description="Who gets its leads, in the order of equal turns.")
    by: By = Field(
        By.TURNS,
        description="Whose turn it is. turns: weighted round robin; load: whoever has the fewest "
        "open leads for the weight.",
    )
    daily_cap: int | None = Field(
        None, gt=0, description="Most leads it gives by turn in a day; left out: any number."
    )
    total_cap: int | None = Field(
        None, gt=0, description="Most open leads its owners have together; left out: any number."
    )
    fallback: str = Field(
        WAIT,
        description="Who gets what none of its owners can take now: an owner; a queue, from which "
        "they are routed as soon as somebody can; wait: nobody until then.",
    )
    catch_up: bool = Field(
        False,
        description="Whether an owner who was away gets afterwards what was missed; false: time "
        "away leaves no debt.",
    )


Area = Annotated[str, AfterValidator(lambda area: area.strip().lower())]
"""An area of interest, as the models name it: without regard to case."""


class Territory(Pool):
    """Leads for which a condition holds go to owners of their own."""

    name: str = Field(min_length=1, description="Name of the territory, as reasons show it.")
    when: LeadCondition | None = Field(
        None, description="Which leads are in it; the first territory that fits counts."
    )
    models: tuple[str, ...] = Field(
        (), description="Names of models (segments): only leads that one of them scored."
    )
    areas: tuple[Area, ...] = Field(
        (), description="Areas of interest (products): only leads whose first area is one of them."
    )
    fallback: str = Field(
        PASS_ON,
        description="As of a pool; pool: the general pool, also for what it says about itself.",
    )

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if self.when is None and not self.models and not self.areas:
            raise ValueError("say which leads are in it: when, models or areas")
        return self


class Day(StrEnum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEK = tuple(Day)


class Hours(Settings):
    """Hours of work, in local time; an end that is not after the start is on the next day."""

    days: tuple[Day, ...] = Field(WEEK[:5], min_length=1, description="Days of the week.")
    start: time = Field(alias="from", description="When work begins: 09:00.")
    end: time = Field(alias="to", description="When it ends: 17:30.")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"no time zone is called {name}; say it as in Europe/Berlin") from None
    return name


Zone = Annotated[str, AfterValidator(_zone)]


class Leave(Settings):
    """Days away."""

    start: date = Field(alias="from", description="First day away.")
    end: date = Field(alias="to", description="Last day away.")

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"ends on {self.end}, before it begins on {self.start}")
        return self


class Terms(Settings):
    """When owners work, and how many leads each is given."""

    time_zone: Zone | None = Field(
        None, description="Where the days of holidays, caps and hours are counted. Default: UTC."
    )
    hours: Hours | None = Field(
        None, description="When leads are given by turn; left out: at any hour."
    )
    holidays: tuple[date, ...] = Field((), description="Days on which nothing is given.")
    daily_cap: int | None = Field(
        None, gt=0, description="Most leads for each owner in a day; left out: any number."
    )
    total_cap: int | None = Field(
        None, gt=0, description="Most open leads each owner has at a time; left out: any number."
    )


class OwnerTerms(Terms):
    """What is different for one owner; holidays are added to everyone's."""

    leave: tuple[Leave, ...] = Field((), description="When the owner is away.")


class NamedAccounts(Settings):
    """Accounts whose leads go to one owner before all others."""

    owner: str = Field(description="E-mail address of the owner, or its id in the CRM.")
    accounts: tuple[str, ...] = Field(
        min_length=1, description="Domains of the accounts, or their record ids."
    )


class Sla(Settings):
    """How soon a lead that was handed to sales is to be called."""

    within: Interval = Field(description="Time to the first call: 15 minutes, 2 hours.")
    by: tuple[str, ...] = Field(
        ("call",), min_length=1, description="Types of activities that count as the call."
    )
    reassign: bool = Field(
        False, description="Whether a lead that was not called in time is given to somebody else."
    )


def _as_pool(value: object) -> object:
    return {"owners": value} if isinstance(value, (list, tuple)) else value


class Routing(Settings):
    """Who is given leads: who has a claim to the account, else the territory's, else the pool's."""

    stages: tuple[str, ...] = Field(("SQL",), description="Stages whose leads get an owner.")
    pool: Annotated[
        Pool, BeforeValidator(_as_pool, json_schema_input_type=Pool | tuple[Share, ...])
    ] = Field(
        description="Who gets leads that nobody else has a claim to: a list of owners, or a pool."
    )
    territories: tuple[Territory, ...] = Field((), description="Pools by condition.")
    unassigned_owners: tuple[str, ...] = Field(
        (),
        description="Owners (e-mail, name or id) whose leads count as nobody's, such as the "
        "integration user; queues always do.",
    )
    named_accounts: tuple[NamedAccounts, ...] = Field(
        (), description="Accounts whose leads go to an owner before all others."
    )
    sticky: bool = Field(
        False, description="Whether the leads of an account go to whoever was given the last one."
    )
    everyone: Terms = Field(Terms(), description="When owners work, and their caps.")
    owners: dict[str, OwnerTerms] = Field(
        {}, description="What is different for an owner, by e-mail address or CRM id."
    )
    open_leads: LeadCondition | None = Field(
        None,
        description="Which leads count as open, of those in a routed stage and not converted; "
        "left out: all of them.",
    )
    sla: Sla | None = Field(None, description="How soon leads are to be called; none: not asked.")
    champions: LeadCondition | None = Field(
        None,
        description="Customers who speak for us: they are kept apart, and no rep is given them; "
        "left out: nobody is.",
    )

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        names = [territory.name for territory in self.territories]
        again = [n for n, name in enumerate(names) if name in names[:n]]
        refuse(
            (("territories", n, "name"), f"another territory is called {names[n]}") for n in again
        )
        return self

    @property
    def conditions(self) -> list[LeadCondition]:
        """The conditions by which leads come to territories, or are kept apart."""
        return [*(t.when for t in self.territories if t.when), *filter(None, (self.champions,))]

    def named(self) -> dict[tuple[str | int, ...], str]:
        """Every owner that is named as one who is given leads, by its place in this section."""
        found: dict[tuple[str | int, ...], str] = {}
        pools: list[tuple[tuple[str | int, ...], Pool]] = [(("pool",), self.pool)]
        pools += [(("territories", n), pool) for n, pool in enumerate(self.territories)]
        for place, pool in pools:
            listed = (*place, "owners")
            found |= {(*listed, n): share.owner for n, share in enumerate(pool.owners)}
            if pool.fallback not in (PASS_ON, WAIT):
                found[*place, "fallback"] = pool.fallback
        found |= {("named_accounts", n): one.owner for n, one in enumerate(self.named_accounts)}
        return found | {("owners", owner): owner for owner in self.owners}
