"""Which records are one person: across connections, and as Lead beside Contact within one.

A record is known by handles: its e-mail address, and what configured keys say of it. Records that
share a handle are one person if each is the only one of its connection and object type that has
it; a handle that two of them claim joins nobody. Links add up to groups. A group never holds two
records of one connection and object type: where links contradict each other in this way, those by
key count and those by address do not, and where keys contradict each other, none does.

Nothing here is likeness: what is only alike is proposed (`core.likeness`), and joins nobody.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Self

import ibis
from ibis import _
from ibis.expr.types import StringValue, Table
from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from core.folding import folded, trimmed
from core.matching import FREE_MAIL, domain
from core.points import Part

_COLUMN = r"^(id|custom\..+)$"


def _column(name: str) -> str:
    if not re.fullmatch(_COLUMN, name):
        raise ValueError(f"write custom.{name or 'NAME'}, or id for the record's own id")
    return name


Column = Annotated[
    str, AfterValidator(_column), WithJsonSchema({"type": "string", "pattern": _COLUMN})
]

EMAIL = "email"
"""The way of the handle that is an e-mail address; that of a key names its columns."""

CONTRADICTION = "contradiction"
"""In the place of a way: each link would do by itself, and together they cannot all be right."""

RECORD = ("connection", "lead_id")

_HANDLE = ("way", "handle")

_ROUNDS = 5
"""How far a group's name travels from record to record: as far as a group of three connections
with leads and contacts each can reach. A longer chain of links counts as a contradiction."""


class Identity(Part):
    """What makes records of several connections one person."""

    email: bool = Field(True, description="Whether an equal e-mail address does.")
    keys: tuple[dict[str, Column], ...] = Field(
        (),
        description="Connection -> column that holds the same value for the same person: `id`, "
        "or custom.<name> as mapped, such as {marketing: custom.sales_id, sales: id}.",
    )

    accounts: bool = Field(
        False,
        description="Whether accounts of several connections are one company by their web domain, "
        "or by their name where it belongs to no two domains: its contacts then count for each.",
    )

    @model_validator(mode="after")
    def _links_something(self) -> Self:
        if not (self.email or self.keys):
            raise ValueError("say email: true, or name keys: else nothing makes a person")
        if any(len(key) < 2 for key in self.keys):
            raise ValueError("a key names a column in each of two connections, or more")
        return self


@dataclass(frozen=True)
class Persons:
    """Who is whom among the leads of an instant.

    `members`: connection, lead_id, object_type, person, for each record that is not alone; the
    person is named by the first of its records by connection and id, `<connection> <id>`.
    `unclear`: connection, lead_id, object_type, way, claim, for each record that a handle names
    and does not join: because several of one kind claim it, or because links contradict each
    other. Records of one claim share it.
    """

    members: Table
    unclear: Table


def handles(identity: Identity, leads: Table) -> Table:
    """The handles of some versions of leads: connection, lead_id, object_type, way, handle."""
    parts = [_of(leads, way, value) for way, value in _ways(identity, leads)]
    every = ibis.union(*parts)
    return every.filter(every.handle.notnull(), every.handle != "")


def persons(identity: Identity, leads: Table) -> Persons:
    """Who is whom among `leads`, the rows of one instant."""
    every = handles(identity, leads)
    usable, claimed = _told_apart(every)
    joined = _joined(usable, _ROUNDS if len(identity.keys) + identity.email > 1 else 1)
    members, unclear = joined.members, claimed.union(joined.unclear)
    if identity.email and identity.keys:
        by_key, _claimed = _told_apart(every.filter(every.way != EMAIL))
        again = _joined(by_key.semi_join(joined.unclear, RECORD), _ROUNDS)
        members = members.union(again.members)
    return Persons(members, unclear)


def companies(accounts: Table) -> Table:
    """Which accounts are one company among the rows of one instant: connection, account_id,
    company, for each that is not alone.

    By web domain, or by name where no two domains have it. Of accounts of one connection that a
    hierarchy joins, the one at the top claims the domain and name that they share. The rest is as
    for persons: what two accounts of one connection claim joins nobody.
    """
    known = accounts.select(
        "connection",
        "object_type",
        "parent_id",
        lead_id="id",
        name=folded(accounts.name),
        domain=accounts.domain.notin(FREE_MAIL).ifelse(accounts.domain, None),
    )
    domains = known.group_by("name").aggregate(domains=known.domain.nunique())
    sure = known.semi_join(domains.filter(domains.domains <= 1), "name")
    ways = (("domain", known, known.domain), ("name", sure, sure.name))
    columns = (*RECORD, "object_type", "parent_id")
    # A join tells fewer columns to be null than there may be: cast, all may.
    parts = [
        rows.select(*columns, way=ibis.literal(way), handle=handle).cast(
            dict.fromkeys(columns, "string")
        )
        for way, rows, handle in ways
    ]
    every = ibis.union(*parts).filter(_.handle.notnull(), _.handle != "")
    above = every.select("connection", *_HANDLE, parent_id="lead_id")
    heads = every.anti_join(above, ["connection", "parent_id", *_HANDLE]).drop("parent_id")
    usable, _claimed = _told_apart(heads)
    members = _joined(usable, _ROUNDS).members
    return members.select("connection", account_id="lead_id", company="person")


def address(email: StringValue) -> StringValue:
    """What tells a mailbox from others: case does not; at Gmail, neither do dots and +tags."""
    plain = folded(email)
    local = plain.re_extract(r"^([^@]+)@[^@]+$", 1)
    host = domain(plain)
    box = local.re_replace(r"\+.*$", "").replace(".", "") + "@gmail.com"
    google = host.isin(("gmail.com", "googlemail.com"))
    return ((local == "") | (host == "")).ifelse(None, google.ifelse(box, plain))


def _ways(identity: Identity, leads: Table) -> Iterator[tuple[str, StringValue]]:
    """Each way to be known, and its handle."""
    if identity.email:
        yield EMAIL, address(leads.email)
    for key in identity.keys:
        columns = (
            (leads.connection == connection, _value(leads, column))
            for connection, column in key.items()
        )
        yield (
            "key " + " = ".join(f"{c}.{column}" for c, column in key.items()),
            ibis.cases(*columns),
        )


def _value(leads: Table, column: str) -> StringValue:
    if column == "id":
        return leads.id
    return trimmed(leads.custom.get(column.removeprefix("custom.")))


def _of(leads: Table, way: str, handle: StringValue) -> Table:
    return leads.select(
        "connection", "object_type", lead_id="id", way=ibis.literal(way), handle=handle
    )


def _told_apart(every: Table) -> tuple[Table, Table]:
    """The handles that join records, and those that several of one kind claim."""
    kind = every.connection + " " + every.object_type
    claims = every.group_by(*_HANDLE).aggregate(records=every.count(), kinds=kind.nunique())
    shared = every.join(claims.filter(claims.records > 1), _HANDLE)
    usable = shared.filter(shared.records == shared.kinds).select(every.columns)
    claimed = shared.filter(shared.records != shared.kinds)
    return usable, claimed.select(*RECORD, "object_type", "way", claim=claimed.handle)


def _joined(usable: Table, rounds: int) -> Persons:
    """The groups that handles make of records, each named by the first of its records."""
    links = usable.mutate(
        record=usable.connection + " " + usable.lead_id,
        kind=usable.connection + " " + usable.object_type,
    )
    links = links.mutate(person=links.record)
    for _round in range(rounds):
        links = links.mutate(person=_.person.min().over(group_by=_HANDLE))
        links = links.mutate(person=_.person.min().over(group_by=RECORD))
    links = links.mutate(
        first=_.person.min().over(group_by=_HANDLE), last=_.person.max().over(group_by=_HANDLE)
    )
    groups = links.group_by("person").aggregate(
        sure=(_.record.nunique() == _.kind.nunique()) & (_.first == _.last).all()
    )
    told = links.join(groups, "person")
    members = told.filter(told.sure).select(*RECORD, "object_type", "person").distinct()
    unclear = told.filter(~told.sure).mutate(way=ibis.literal(CONTRADICTION))
    return Persons(
        members, unclear.select(*RECORD, "object_type", "way", claim="person").distinct()
    )
