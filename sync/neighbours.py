"""A record and everybody in its account, as of an instant: what explanations are made of.

The few facts that matter to them are copied out of the store once, and scored once; whatever is
then said of a lead, its colleagues and its account reads these small tables.
"""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ibis import _
from ibis.expr.types import Table

from core.facts import as_of
from core.identity import Identity, companies
from core.matching import domain
from core.past import Past
from core.persons import shared
from core.propensity import Accounts, propensity
from core.scoring import Facts, Keep, belonging
from core.segments import scoring_accounts
from core.verdict import Judged, judge
from sync.decide import about, all_of, facts_of, past_of
from sync.session import Session

Row = dict[str, Any]


@dataclass(frozen=True)
class Neighbours:
    """What is known, and what the models say, of one record's neighbourhood as of `at`.

    `people` are the leads as of then, with the account of each (`core.scoring.belonging`), `firms`
    the accounts; `accounts` is None where no model scores accounts.
    """

    session: Session
    record: str
    at: datetime
    past: Past | None
    facts: Facts
    people: tuple[Row, ...]
    firms: tuple[Row, ...]
    judged: Judged
    accounts: Accounts | None


@contextmanager
def neighbours(session: Session, record: str, at: datetime) -> Iterator[Neighbours]:
    """A lead or an account with all leads of the account, in every connection that has it, and
    with the other records of these persons."""
    at = at.replace(microsecond=0)
    everything = facts_of(session.facts, at)
    with ExitStack() as stack:

        def keep(table: Table) -> Table:
            return stack.enter_context(table.cache())

        identity = session.config.identity
        near, accounts = _near(everything, record, at, identity)
        leads = all_of(identity, session.segments, everything, near, at)
        mine = shared(identity, about(everything, leads, accounts), at, keep)
        facts = _apart(mine, accounts, keep)
        past = past_of(session.ledger, None, at, session.segments, leads)
        judged = judge(session.segments, facts, at, past, keep)
        model = scoring_accounts(session.segments)
        scored = propensity(model, judged, judged.facts, at, past) if model else None
        if scored:
            scored = replace(scored, scores=keep(scored.scores))
        people = tuple(belonging(facts, at).to_pyarrow().to_pylist())
        firms = tuple(as_of(facts.accounts, at).to_pyarrow().to_pylist())
        yield Neighbours(session, record, at, past, facts, people, firms, judged, scored)


def _near(
    facts: Facts, record: str, at: datetime, identity: Identity | None
) -> tuple[set[str], set[str]]:
    """The ids of the leads around a record, and of their accounts."""
    alone = replace(facts, leads=facts.leads.filter(_.id == record))
    named = belonging(alone, at).account_id.to_pyarrow().to_pylist()
    accounts = {record, *filter(None, named)}
    if identity and identity.accounts:
        one = companies(as_of(facts.accounts, at))
        mine = one.filter(_.account_id.isin(sorted(accounts)))
        accounts |= set(one.semi_join(mine, "company").account_id.to_pyarrow().to_pylist())
    merged = facts.aliases.filter(_.survivor.isin(sorted(accounts))).id.to_pyarrow().to_pylist()
    firms = as_of(facts.accounts, at).filter(_.id.isin(sorted(accounts)), _.domain.notnull())
    domains = set(firms.domain.to_pyarrow().to_pylist())
    known = as_of(facts.leads, at)
    # More than those of the account: whether a domain is that of one account alone, matching says.
    perhaps = known.account_id.isin(sorted({*accounts, *merged}))
    if domains:
        perhaps |= known.account_id.isnull() & domain(known.email).isin(sorted(domains))
    ids = known.filter(perhaps | (known.id == record)).id.to_pyarrow().to_pylist()
    near = replace(facts, leads=facts.leads.filter(_.id.isin(sorted(ids))))
    people = belonging(near, at).select("id", "account_id").to_pyarrow().to_pylist()
    return {p["id"] for p in people if p["id"] == record or p["account_id"] in accounts}, accounts


def _apart(facts: Facts, named: Collection[str], keep: Keep) -> Facts:
    """Copies of the facts, and of the accounts those that these leads may belong to."""
    leads, activities, aliases = map(keep, (facts.leads, facts.activities, facts.aliases))
    domains = leads.select(domain=domain(leads.email)).distinct().domain.to_pyarrow().to_pylist()
    ids = {*named, *leads.account_id.to_pyarrow().to_pylist()}
    survivors = aliases.filter(_.id.isin(sorted(filter(None, ids)))).survivor
    ids |= set(survivors.to_pyarrow().to_pylist())
    accounts = facts.accounts
    perhaps = accounts.id.isin(sorted(filter(None, ids))) | accounts.domain.isin(
        sorted(filter(None, domains))
    )
    alike = accounts.filter(perhaps).select("connection", "id").distinct()
    accounts = keep(accounts.semi_join(alike, ["connection", "id"]))
    return replace(facts, leads=leads, accounts=accounts, activities=activities, aliases=aliases)
