"""Duplicates: records of one CRM that have the same e-mail address.

They are one group. Of each group one record stands for all: a contact before a lead, then the one
that was created first, then the smaller id; so it stays the same whatever is done with the others.
"""

from datetime import datetime

import ibis
from ibis import _
from ibis.expr.types import Table

from core.affected import AFFECTED
from core.facts import LEADS, as_of
from core.identity import address
from core.known import Facts

_GROUP = ("connection", "mailbox")
_UNQUALIFIED = "Lead"
"""The object of people who are no contacts yet, where a CRM has one."""


def duplicates(people: Table) -> Table:
    """The records of `people` that another one stands for: connection, lead_id, survivor."""
    named = people.select(
        "connection", "created_at", lead_id="id", mailbox=address(people.email),
        unqualified=people.object_type == _UNQUALIFIED,
    ).filter(_.mailbox.notnull())  # fmt: skip
    several = named.group_by(*_GROUP).having(_.count() > 1).aggregate()
    rows = named.semi_join(several, _GROUP)
    order = [_.unqualified, _.created_at.isnull(), _.created_at, _.lead_id]
    window = ibis.window(group_by=_GROUP, order_by=order)
    placed = rows.mutate(survivor=_.lead_id.first().over(window))
    return placed.filter(_.lead_id != _.survivor).select("connection", "lead_id", "survivor")


def with_duplicates(leads: Table, facts: Facts, at: datetime) -> Table:
    """Some leads and those that share, or by any version shared, an address with one of them.

    `leads` and the result have the columns of `core.affected.AFFECTED`; records that now stand for
    one of them are among them.
    """
    every = facts.leads.semi_join(leads, ["connection", ("id", "lead_id")])
    theirs = every.select("connection", mailbox=address(every.email)).distinct()
    people = as_of(facts.leads, at).mutate(mailbox=address(_.email))
    alike = people.semi_join(theirs.filter(_.mailbox.notnull()), _GROUP)
    found = leads.union(alike.select("connection", lead_id="id").cast(AFFECTED), distinct=True)
    merged = facts.aliases.filter(_.table_name == LEADS.name)
    followers = merged.semi_join(found.view(), ["connection", ("survivor", "lead_id")])
    named = followers.select("connection", lead_id="id").cast(AFFECTED)
    return found.union(named, distinct=True)


def standing_for(aliases: Table, found: Table) -> Table:
    """`aliases` and duplicates as aliases: what stood for a duplicate, its survivor stands for.

    All have the columns of `core.facts.ALIASES`, `found` those of `duplicates`.
    """
    own = found.select(
        "connection", table_name=ibis.literal(LEADS.name), id="lead_id", survivor="survivor"
    )
    people = aliases.table_name == LEADS.name
    named = aliases.select("connection", "table_name", "id", former="survivor").mutate(
        lead_id=people.ifelse(aliases.survivor, ibis.null("string"))
    )
    joined = named.left_join(found, ["connection", "lead_id"])
    moved = joined.select(
        connection=joined.connection, table_name=joined.table_name, id=joined.id,
        survivor=joined.survivor.coalesce(joined.former),
    )  # fmt: skip
    return moved.cast(own.schema()).union(own)
