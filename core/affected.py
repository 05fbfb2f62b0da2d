"""Which leads a change can affect, and the facts that they alone rest on.

A decision about a lead rests on its own versions, on its account's and those of accounts with
the domain of its e-mail address, on the activities that count
for it, and on those of the records that it stands for. Nothing else of the facts moves it, so
scoring some leads by the facts of those leads gives what scoring all of them gives.
"""

from dataclasses import replace
from datetime import datetime

import ibis
from ibis import _
from ibis.expr.types import Table

from core.facts import ACCOUNTS, LEADS, as_of
from core.known import Facts
from core.matching import domain

CHANGED = ibis.schema({"connection": "string", "table_name": "string", "id": "string"})
"""What names a changed record: a lead, one that was merged away, or an account."""

_KEY = ["connection", "lead_id"]
AFFECTED = ibis.schema(dict.fromkeys(_KEY, "string"))
"""What names an affected lead."""


def affected(changed: Table, facts: Facts, at: datetime) -> Table:
    """The leads whose decision rests on the changed records: connection, lead_id, each once.

    Where a record stands for another, both are named. `changed` has the columns of CHANGED,
    `facts` those known at `at`.
    """
    named = _leads(changed.filter(_.table_name == LEADS.name), "id")
    accounts = changed.filter(_.table_name == ACCOUNTS.name).select("connection", account_id="id")
    members = _members(accounts, facts, at)
    merged = facts.aliases.filter(_.table_name == LEADS.name)
    survivors = merged.semi_join(named, ["connection", ("id", "lead_id")])
    mine = ibis.union(named, _leads(members, "id"), _leads(survivors, "survivor"), distinct=True)
    mine = mine.view()
    followers = merged.semi_join(mine, ["connection", ("survivor", "lead_id")])
    return mine.union(_leads(followers, "id"), distinct=True)


def _members(accounts: Table, facts: Facts, at: datetime) -> Table:
    """The leads of accounts: those that name one, or one that was merged into it, and those whose
    domain is or was one's."""
    merged = facts.aliases.filter(_.table_name == ACCOUNTS.name).semi_join(
        accounts, ["connection", ("survivor", "account_id")]
    )
    accounts = accounts.union(merged.select("connection", account_id="id").cast(accounts.schema()))
    accounts = accounts.view()
    leads = as_of(facts.leads, at)
    known = facts.accounts.semi_join(accounts, ["connection", ("id", "account_id")])
    domains = known.filter(_.domain.notnull()).select("connection", "domain").distinct()
    dated = leads.mutate(domain=domain(leads.email))
    named = dated.semi_join(accounts, ["connection", "account_id"])
    return named.union(dated.semi_join(domains, ["connection", "domain"]))


def only(facts: Facts, leads: Table) -> Facts:
    """The facts that decide some leads, as `affected` names them; accounts are kept whole."""
    aliases = facts.aliases
    merged = aliases.semi_join(leads, ["connection", ("survivor", "lead_id")])
    firms = aliases.filter(_.table_name == ACCOUNTS.name).cast(merged.schema())
    return replace(
        facts,
        leads=facts.leads.semi_join(leads, ["connection", ("id", "lead_id")]),
        activities=facts.activities.semi_join(leads, _KEY),
        aliases=merged.filter(_.table_name != ACCOUNTS.name).union(firms),
    )


def _leads(table: Table, column: str) -> Table:
    return table.select("connection", lead_id=column).cast(AFFECTED)
