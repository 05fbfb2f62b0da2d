"""What the facts say of leads as of an instant: which there are, what they and the records merged
into them did, and the columns that conditions read.
"""

import re
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_

import ibis
from ibis import _
from ibis.expr.types import Table, Value

from core import matching
from core.accounts import targeted
from core.events import EVENT, settled
from core.facts import LEADS, TIME, as_of
from core.operators import NOW
from core.past import PREFIX, Past
from core.past import column as past_column
from core.rules import Model

PLACE = ("country", "region", "us_region")
"""What a lead takes from its account only as a whole: a lead in Japan does not become European."""

FROM_ACCOUNT = ("industry", "employees", "revenue", *PLACE, "technologies")
"""What a lead takes from its account where it does not say so itself."""

VALID = ("valid_from", "valid_to")

CONTACT = ("connection", "id", "email", "phone")

MATCHED = ("connection", "id", "email", "account_id")
"""What tells the account that a lead belongs to."""

PLACES = ("connection", "id", "account_id", "by_domain")
"""The account of a lead, and whether the domain of its e-mail address told it."""

ELSEWHERE = ("account.", PREFIX)
"""What the names of columns begin with that are not the lead's own."""

FREE = "free_mail"
"""The column that says whether a lead's e-mail address is one that anybody can have."""

Keep = Callable[[Table], Table]
"""Gives a table that is read more than once back as one that is computed once."""


@dataclass(frozen=True)
class Facts:
    """The facts tables (`core.facts`) as Ibis expressions: stored, in all their versions.

    `aliases` has the columns of `core.facts.ALIASES`. `persons` says which leads are one person
    (`core.identity.Persons.members`), and `companies` which accounts are one company
    (`core.identity.companies`), where that is told. `places` (`placed`), `heirs` (`inherited`),
    `events` (`settled_events`), `wide` (`known_columns`, perhaps more of them) and `channels`
    (`core.scoring.Scored.channels`) are there where they were worked out before.
    """

    leads: Table
    accounts: Table
    activities: Table
    aliases: Table
    persons: Table | None = None
    companies: Table | None = None
    places: Table | None = None
    heirs: Table | None = None
    events: Table | None = None
    wide: Table | None = None
    channels: Table | None = None


def unkept(table: Table) -> Table:
    """Keep nothing: right where all is one query, whose engine sees by itself what is shared."""
    return table


def living(facts: Facts, at: datetime) -> Table:
    """The leads as of `at`, with what tells whether they are leads at all: connection, id, email,
    phone."""
    return as_of(facts.leads.select(*CONTACT, *VALID), at).drop(*VALID)


def inherited(facts: Facts, at: datetime) -> Table:
    """The activities of merged and converted records that count for the survivor: the columns of
    `core.events.EVENT`, occurred_at, survivor.

    Not those that the CRM shows for the survivor as well: they count once. Records that were
    still leads of their own as of `at` keep their activities.
    """
    if facts.heirs is not None:
        return facts.heirs
    gone = facts.aliases.filter(_.table_name == LEADS.name).select(
        "connection", "survivor", lead_id="id", own=False
    )
    gone = gone.anti_join(living(facts, at), ["connection", ("lead_id", "id")])
    named = gone.union(
        gone.mutate(lead_id=gone.survivor, own=True).distinct().select(*gone.columns)
    )
    seen = facts.activities.select(*EVENT, "occurred_at").join(named, ["connection", "lead_id"])
    once = seen.group_by("connection", "object_type", "id", "survivor").aggregate(
        own=seen.own.any(), lead_id=seen.lead_id.min(), occurred_at=seen.occurred_at.min()
    )
    return once.filter(~once.own).select(*EVENT, "occurred_at", "survivor")


def settled_events(facts: Facts, at: datetime) -> Table:
    """The events of leads up to `at` (`core.events.settled`)."""
    if facts.events is not None:
        return facts.events
    return settled(facts.activities, inherited(facts, at), at)


def belonging(facts: Facts, at: datetime, columns: Iterable[str] = ()) -> Table:
    """The leads as of `at`, each with the account it belongs to (`core.matching.matched`); with
    all their columns, or with some and those that matching reads."""
    leads = facts.leads
    if columns:
        leads = leads.select(*sorted({*MATCHED, *VALID, *columns}))
    leads = as_of(leads, at)
    if facts.places is None:
        return _employed(leads, facts, at)
    return leads.drop("account_id").join(facts.places, ["connection", "id"]).view()


def placed(facts: Facts, at: datetime) -> Table:
    """The account that each lead belongs to as of `at`: PLACES."""
    return belonging(facts, at, MATCHED).select(*PLACES)


def _employed(leads: Table, facts: Facts, at: datetime) -> Table:
    people = matching.surviving(leads, facts.aliases)
    firms = facts.accounts.select("connection", "id", "domain", *VALID)
    return matching.matched(people, as_of(firms, at)).view()


def companies(model: Model | None, facts: Facts, at: datetime) -> Table:
    """The accounts as of `at`, and whether each is a `target` of the model, if one is given."""
    section = model.accounts if model else None
    return targeted(section.targets if section else None, as_of(facts.accounts, at), at)


def known_columns(
    wanted: Set[str],
    facts: Facts,
    at: datetime,
    past: Past | None = None,
    model: Model | None = None,
) -> Table:
    """`lead_columns` of the facts as of `at`; which accounts are targets, the model says."""
    if facts.wide is not None:
        return facts.wide.select("connection", "lead_id", *sorted(wanted))
    leads = belonging(facts, at, _own(wanted))
    return lead_columns(wanted, leads, companies(model, facts, at), at, past)


def known_versions(
    wanted: Set[str],
    facts: Facts,
    at: datetime,
    past: Past | None = None,
    model: Model | None = None,
) -> Table:
    """`lead_columns` of every version of every lead that began by `at`."""
    began = facts.leads.filter(facts.leads.valid_from <= ibis.literal(at, type=TIME))
    people = _employed(began, facts, at)
    return lead_columns(wanted, people, companies(model, facts, at), at, past)


def _own(wanted: Set[str]) -> set[str]:
    """The columns of leads themselves that the `wanted` ones are made of."""
    names = {name for name in wanted if name not in {NOW, FREE} and not name.startswith(ELSEWHERE)}
    placed = PLACE if names.intersection(PLACE) else ()
    return {name.split(".")[0] for name in names}.union(placed)


def _theirs(wanted: Set[str]) -> set[str]:
    """The columns of accounts that the `wanted` ones are made of."""
    named = {name.split(".")[1] for name in wanted if name.startswith("account.")}
    taken = {name for name in wanted if name in FROM_ACCOUNT}
    return named | taken | set(PLACE if taken.intersection(PLACE) else ())


def lead_columns(
    wanted: Set[str], leads: Table, accounts: Table, at: datetime, past: Past | None = None
) -> Table:
    """The columns that lead conditions read as of `at`, with connection and lead_id.

    `leads` are those of `belonging`, `accounts` those of `companies`. What the lead does not say,
    its account may. What was decided before is `past.<column>`.
    """
    theirs = sorted({"connection", "id", *_theirs(wanted)})
    accounts = accounts.select(*theirs).rename("account.{name}")
    joined = leads.left_join(
        accounts,
        [
            leads.connection == accounts["account.connection"],
            leads.account_id == accounts["account.id"],
        ],
    )
    before = None
    if past and any(name.startswith(PREFIX) for name in wanted):
        before = past.stages.rename("past.{name}")
        same = [leads.connection == before["past.connection"], leads.id == before["past.lead_id"]]
        joined = joined.left_join(before, same)

    def column(name: str) -> Value:
        if name == NOW:
            return ibis.literal(at, type=TIME)
        if name == FREE:
            return matching.free_mail(joined.email)
        if name.startswith(PREFIX):
            return past_column(None if before is None else joined, name.removeprefix(PREFIX))
        if entry := re.fullmatch(r"((?:account\.)?(?:origins|custom))\.(.+)", name):
            return joined[entry[1]].get(entry[2])
        if name in PLACE:
            placed = reduce(or_, (joined[part].notnull() for part in PLACE))
            return placed.ifelse(joined[name], joined[f"account.{name}"])
        if name in FROM_ACCOUNT:
            return joined[name].coalesce(joined[f"account.{name}"])
        return joined[name]

    columns = {name: column(name) for name in sorted(wanted)}
    # A view, because Ibis 12 binds the columns of a join chain wrongly when it is joined again.
    return joined.select("connection", lead_id="id", **columns).view()
