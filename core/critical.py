"""Critical behaviours: what customers did before they became customers."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import Table

from core.decision import UNIT
from core.facts import LEADS, as_of
from core.known import Facts
from core.points import units
from core.rules import Model
from core.scoring import score

HALF = Decimal("0.5")
"""The share of customers from which a behaviour is critical, unless told otherwise."""


def critical(
    model: Model, facts: Facts, outcomes: Table, at: datetime, share: Decimal = HALF
) -> Table:
    """How many customers did what each behaviour rule counts, before they became customers.

    Columns: rule, did (customers who did it), customers (how many there are), star (whether at
    least `share`, from 0 to 1, of them did), in the order of the model.

    A customer is a lead with a won outcome, from the first `closed_at` on; `outcomes` is the facts
    table, as it is now. What was done at that instant or later does not count, and how old
    it is by now does not matter. What a merged or converted record did, its survivor did.
    """
    won = customers(facts, outcomes, at)
    before = replace(facts, activities=_before(facts, won))
    ageless = tuple(rule.model_copy(update={"within": None}) for rule in model.behaviour)
    scored = score(model.model_copy(update={"behaviour": ageless}), before, at)
    counts = scored.contributions.group_by("rule").aggregate(did=_.lead_id.count())
    total = won.aggregate(customers=_.count())
    rules = _rules(model)
    rows = rules.left_join(counts, "rule").select(rules, did=counts.did.coalesce(0)).view()
    star = (_.customers > 0) & (_.did * UNIT >= _.customers * units(share))
    found = rows.cross_join(total).mutate(star=star).order_by("number")
    return found.select("rule", "did", "customers", "star")


def _rules(model: Model) -> Table:
    """The ids of the behaviour rules, numbered."""
    rows = [{"number": n, "rule": rule.id} for n, rule in enumerate(model.behaviour)]
    schema = pa.schema({"number": "int32", "rule": "string"})
    return ibis.memtable(pa.Table.from_pylist(rows, schema))


def customers(facts: Facts, outcomes: Table, at: datetime) -> Table:
    """The leads as of `at` that have become customers, and since when: won_at."""
    won = outcomes.filter(_.result == "won", _.lead_id != "", _.closed_at.notnull())
    gone = facts.aliases.filter(_.table_name == LEADS.name).select(
        "connection", "survivor", lead_id="id"
    )
    named = won.left_join(gone, ["connection", "lead_id"]).select(
        won.connection, won.closed_at, lead_id=gone.survivor.coalesce(won.lead_id)
    )
    people = as_of(facts.leads, at).select("connection", lead_id="id")
    known = named.view().semi_join(people, ["connection", "lead_id"])
    return known.group_by("connection", "lead_id").aggregate(won_at=_.closed_at.min())


def _before(facts: Facts, won: Table) -> Table:
    """What customers, and records merged into them, did before they became customers."""
    gone = facts.aliases.filter(_.table_name == LEADS.name)
    merged = gone.join(won, ["connection", ("survivor", "lead_id")]).select(
        gone.connection, won.won_at, lead_id=gone.id
    )
    everyone = won.select("connection", "won_at", "lead_id").union(merged).view()
    events = facts.activities
    dated = events.join(everyone, ["connection", "lead_id"]).select(events, everyone.won_at)
    return dated.view().filter(_.occurred_at < _.won_at).select(events.columns)
