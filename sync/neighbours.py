"""Some records and everybody in their accounts, as of an instant: what explanations are made of.

The few facts that matter to them are copied out of the store once, and scored once; whatever is
then said of a lead, its colleagues and its account reads these small tables.
"""

import gc
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import ibis
from ibis import _
from ibis.expr.types import StringValue, Table

from core.events import done_by
from core.facts import ACCOUNTS, as_of
from core.identity import Identity, companies
from core.known import MATCHED, VALID, Facts, Keep, placed
from core.matching import domain, sure
from core.past import Past
from core.persons import shared
from core.propensity import Accounts, propensity
from core.rules import Model
from core.segments import scoring_accounts
from core.verdict import Judged, judge
from core.visitors import visits
from sync.decide import aliases_of, all_of, facts_of, past_of, with_gone
from sync.facts_store import FactsStore
from sync.session import Session

Row = dict[str, Any]

FIRM = ("connection", "object_type", "id", "parent_id", "name", "domain")
"""What tells of an account which leads and other accounts belong to it."""


@dataclass(frozen=True)
class Neighbours:
    """What is known, and what the models say, of the neighbourhood of some records as of `at`.

    `versions` are the leads in all their versions, `people` those as of then, with the account of
    each (`core.known.placed`), `firms` the accounts, `verdicts` those of `judged`. `accounts`
    is None where no model scores accounts. `keep` copies what is read more than once into a table
    that lives as long.
    """

    session: Session
    at: datetime
    past: Past | None
    facts: Facts
    versions: tuple[Row, ...]
    people: tuple[Row, ...]
    firms: tuple[Row, ...]
    judged: Judged
    verdicts: tuple[Row, ...]
    accounts: Accounts | None
    keep: Keep


@contextmanager
def neighbours(session: Session, records: Collection[str], at: datetime) -> Iterator[Neighbours]:
    """Leads or accounts with all leads of the accounts, in every connection that has them, and
    with the other records of these persons.

    Of many records together it takes little longer than of one.
    """
    at = at.replace(microsecond=0)
    everything = facts_of(session.facts, at)
    with ExitStack() as stack:
        stack.enter_context(_in_a_hurry())

        def keep(table: Table) -> Table:
            return stack.enter_context(table.cache())

        identity = session.config.identity
        near, accounts = _near(everything, records, at, identity)
        leads = all_of(identity, session.segments, everything, near, at)
        whole = with_gone(everything, leads)
        model = scoring_accounts(session.segments)
        mine = replace(
            everything,
            leads=session.facts.versions(whole),
            activities=keep(_did(session.facts, everything, at, model, whole, accounts)),
            aliases=keep(aliases_of(everything, leads)),
        )
        mine = shared(identity, mine, at, keep)
        if identity:
            mine = replace(mine, activities=keep(mine.activities))
        versions = _rows(mine.leads.mutate(host=domain(_.email)))
        facts = _apart(mine, versions, accounts, keep)
        places = keep(placed(facts, at))
        facts = replace(facts, places=places)
        past = past_of(session.ledger, None, at, session.segments, whole)
        judged = judge(session.segments, facts, at, past, keep)
        scored = propensity(model, judged, judged.facts, at, past) if model else None
        if scored:
            scored = replace(scored, scores=keep(scored.scores))
        yield Neighbours(
            session, at, past, facts,
            versions, tuple(_people(places, versions, at)), _rows(as_of(facts.accounts, at)),
            judged, _rows(judged.verdicts), scored, keep,
        )  # fmt: skip


@contextmanager
def _in_a_hurry() -> Iterator[None]:
    """Spare what only pays off for large tables and long runs.

    With these few rows most of the time is Ibis's own. DuckDB takes nested selects apart as well;
    and of the many small objects nearly all live, so that little garbage would be found.
    """
    fusing, collecting = ibis.options.sql.fuse_selects, gc.isenabled()
    ibis.options.sql.fuse_selects = False
    gc.disable()
    try:
        yield
    finally:
        ibis.options.sql.fuse_selects = fusing
        if collecting:
            gc.enable()


def _near(
    facts: Facts, records: Collection[str], at: datetime, identity: Identity | None
) -> tuple[set[str], set[str]]:
    """The ids of the leads around some records, and of their accounts and those merged with these,
    or a few more: which of them belong together, matching says.

    It is asked of few rows each time: everything at once would be one long look at all leads.
    """
    alive = as_of(facts.leads.select(*MATCHED, *VALID), at)
    firms = as_of(facts.accounts.select(*FIRM, *VALID), at)
    named = alive.filter(_.id.isin(sorted(records)))
    mine = _rows(named.select("id", "account_id", host=domain(_.email)))
    leads = {row["id"] for row in mine}
    accounts = {row["account_id"] for row in mine if row["account_id"]}
    hosts = {row["host"] for row in mine if row["host"] and not row["account_id"]}
    if hosts:
        accounts |= _column(sure(firms.filter(_.domain.isin(sorted(hosts)))).found)
    accounts = _with_merged(facts.aliases, accounts.union(records))
    if identity and identity.accounts:
        one = companies(firms)
        together = one.filter(_.account_id.isin(sorted(accounts)))
        others = _column(one.semi_join(together, "company").account_id)
        accounts = _with_merged(facts.aliases, accounts | others)
    known = _rows(firms.filter(_.id.isin(sorted(accounts))).select("id", "domain"))
    if not known and not any(row["account_id"] for row in mine):
        return leads, set()
    leads |= _column(alive.filter(_.account_id.isin(sorted(accounts))).id)
    if domains := {row["domain"] for row in known if row["domain"]}:
        domains = _column(sure(firms.filter(_.domain.isin(sorted(domains)))).domain)
    if domains:
        nobodys = alive.filter(_.account_id.isnull(), domain(_.email).isin(sorted(domains)))
        leads |= _column(nobodys.id)
    return leads, accounts


def _with_merged(aliases: Table, accounts: set[str]) -> set[str]:
    """Some accounts, those that stand for them, and those that were merged into one of these."""
    named = sorted(accounts)
    merged = aliases.filter(
        _.table_name == ACCOUNTS.name, _.id.isin(named) | _.survivor.isin(named)
    )
    found = accounts.union(*((row["id"], row["survivor"]) for row in _rows(merged)))
    return found if found == accounts else _with_merged(aliases, found)


def _rows(table: Table) -> tuple[Row, ...]:
    return tuple(table.to_pyarrow().to_pylist())


def _column(values: StringValue) -> set[str]:
    """The values of a column but null, each once."""
    return {value for value in values.to_pyarrow().to_pylist() if value is not None}


def _people(places: Table, versions: Iterable[Row], at: datetime) -> Iterator[Row]:
    """The leads as of then, with the account of each."""
    accounts = {(place["connection"], place["id"]): place for place in _rows(places)}
    for lead in versions:
        if lead["valid_from"] <= at and (lead["valid_to"] is None or lead["valid_to"] > at):
            yield lead | accounts[lead["connection"], lead["id"]]


def _did(
    store: FactsStore,
    facts: Facts,
    at: datetime,
    model: Model | None,
    leads: Collection[str],
    accounts: Collection[str],
) -> Table:
    """What some leads and accounts did, found among all that is stored; with it the visits of
    nobody that come from networks of these accounts, as theirs."""
    did = as_of(done_by(store.did(leads, accounts), leads, accounts), at).drop(*VALID)
    networks = model.accounts.networks if model and model.accounts else None
    if networks is None:
        return did
    found = visits(networks, facts.activities, as_of(facts.accounts, at))
    theirs = found.filter(found.account_id.isin(sorted(accounts)))
    return did.union(theirs.select(did.columns).cast(did.schema()))


def _apart(facts: Facts, leads: Iterable[Row], named: Collection[str], keep: Keep) -> Facts:
    """The same facts, and of the accounts a copy of those that these leads may belong to: they are
    `named` with all that were merged into them, or the leads name them."""
    others = {row["account_id"] for row in leads if row["account_id"]} - {*named}
    ids = {*named, *(_with_merged(facts.aliases, others) if others else ())}
    hosts = {row["host"] for row in leads if row["host"]}
    perhaps = _.id.isin(sorted(ids)) | _.domain.isin(sorted(hosts))
    alike = facts.accounts.filter(perhaps).select("connection", "id").distinct()
    accounts = keep(facts.accounts.semi_join(alike, ["connection", "id"]))
    return replace(facts, accounts=accounts)
