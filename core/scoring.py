"""A model over facts: every contribution to every score, as one relational expression.

The score of a lead is the plain sum of its contributions, one for each rule that matched, in
whole units of 1/10,000 point. Nothing here runs anything: the result are Ibis expressions.

Cost follows matches, not rules: conditions are put to the *distinct* values of the columns they
read, and only what they match is joined and summed; see `core.behaviour`.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import datetime

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import Table, Value

from core.behaviour import behaviour, until
from core.contributions import NO_EVENTS, capped, contributions, matched
from core.facts import LEADS, as_of
from core.points import Grain, units
from core.rules import BestOf, Model

FROM_ACCOUNT = ("industry", "employees", "revenue", "country", "region", "technologies")
"""What a lead takes from its account where it does not say so itself."""

_EVENT = ("connection", "object_type", "id", "lead_id")


@dataclass(frozen=True)
class Facts:
    """The facts tables (`core.facts`) as Ibis expressions: stored, in all their versions.

    `aliases` has the columns of `core.facts.ALIASES`.
    """

    leads: Table
    accounts: Table
    activities: Table
    aliases: Table


@dataclass(frozen=True)
class Scored:
    """What a model says of the facts as of an instant.

    `contributions`: connection, lead_id, rule, part (fit or behaviour), events (null for fit),
    first and last (their times), evidence (id of the latest event), raw, decay_loss, cap_loss
    (points before weighting, so that raw - decay_loss - cap_loss is what counts) and points,
    weighted. A rule that matched but is worth nothing any more has a row with 0 points.

    `scores`: connection, lead_id, fit and behaviour (before weighting), score (the sum of the
    points of its contributions), one row for each lead.

    `rejected`: connection, lead_id of records with neither contact data nor any activity: they
    are not leads, and are not scored.
    """

    contributions: Table
    scores: Table
    rejected: Table


def score(model: Model, facts: Facts, at: datetime) -> Scored:
    """Score every lead by the facts as of `at` (aware, whole seconds)."""
    people = as_of(facts.leads, at)
    moved = _moved(facts, people)
    rejected = people.filter(people.email.isnull(), people.phone.isnull()).select(
        "connection", lead_id="id"
    )
    for events in (facts.activities, moved):
        rejected = rejected.anti_join(until(events, at), ["connection", "lead_id"])
    leads = people.anti_join(rejected, ["connection", ("id", "lead_id")])
    parts = []
    if model.fit:
        parts.append(_fit(model, people, as_of(facts.accounts, at)))
    if model.behaviour:
        parts.append(behaviour(model, facts.activities, moved, at))
    parts += _limits(model, _union(parts))
    lines = _union(parts)
    return Scored(
        contributions=lines.semi_join(leads, ["connection", ("lead_id", "id")]),
        scores=_scores(leads, lines),
        rejected=rejected,
    )


def _union(parts: list[Table]) -> Table:
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def _limits(model: Model, lines: Table) -> Iterator[Table]:
    """What brings whole parts of the scores within their bounds."""
    for part, limit in model.limits:
        if limit.cap is not None or limit.floor is not None:
            grain = Grain(getattr(model.weights, part))
            counted = lines.raw - lines.decay_loss - lines.cap_loss
            mine = lines.filter(lines.part == part).select(
                "connection", "lead_id", amount=counted // grain.raw
            )
            yield capped(mine, f"limit:{part}", grain, part=part, cap=limit.cap, floor=limit.floor)


def unknown(model: Model, facts: Facts, at: datetime) -> Table:
    """The fit rules that missing facts leave undecided: connection, lead_id, rule."""
    people = as_of(facts.leads, at)
    if not model.fit:
        return people.select("connection", lead_id="id", rule=ibis.null("string")).limit(0)
    wide = lead_columns(_asked(model), people, as_of(facts.accounts, at))
    signatures = wide.drop("connection", "lead_id").distinct()
    undecided = (
        [(rule.when.holds(signatures).isnull(), number)]
        for number, rule in enumerate(model.fit_rules)
    )
    found = matched(wide, signatures, undecided)
    return found.join(_fit_worth(model), "number").select("connection", "lead_id", "rule")


def _scores(leads: Table, lines: Table) -> Table:
    counts = _.raw - _.decay_loss - _.cap_loss
    sums = lines.group_by("connection", "lead_id").aggregate(
        fit=counts.sum(where=_.part == "fit"),
        behaviour=counts.sum(where=_.part == "behaviour"),
        score=_.points.sum(),
    )
    every = leads.select("connection", lead_id="id")
    return every.left_join(sums, ["connection", "lead_id"]).select(
        "connection",
        "lead_id",
        **{c: sums[c].coalesce(0).cast("int64") for c in ("fit", "behaviour", "score")},
    )


def _moved(facts: Facts, people: Table) -> Table:
    """The activities of merged and converted records, as activities of the survivor.

    Not those that the CRM shows for the survivor as well: they count once. Records that were
    still leads of their own as of then keep their activities.
    """
    events = facts.activities
    gone = facts.aliases.filter(_.table_name == LEADS.name).select(
        "connection", "survivor", lead_id="id", own=False
    )
    gone = gone.anti_join(people, ["connection", ("lead_id", "id")])
    named = gone.union(
        gone.mutate(lead_id=gone.survivor, own=True).distinct().select(*gone.columns)
    )
    seen = facts.activities.join(named, ["connection", "lead_id"])
    seen = seen.mutate(lead_id=seen.survivor).drop("survivor")
    rest = [column for column in events.columns if column not in _EVENT]
    once = seen.group_by(_EVENT).aggregate(
        own=seen.own.any(), **{column: seen[column].arbitrary() for column in rest}
    )
    return once.filter(~once.own).select(events.columns).cast(events.schema())


def _asked(model: Model) -> frozenset[str]:
    """The columns that fit conditions read."""
    return frozenset[str]().union(*(rule.when.columns() for rule in model.fit_rules))


def lead_columns(wanted: Set[str], leads: Table, accounts: Table) -> Table:
    """The columns that lead conditions read, with connection and lead_id.

    What the lead does not say, its account may.

    Country and region go together: a lead in Japan does not become European by its account.
    """
    accounts = accounts.rename("account.{name}")
    joined = leads.left_join(
        accounts,
        [
            leads.connection == accounts["account.connection"],
            leads.account_id == accounts["account.id"],
        ],
    )
    placed = joined.country.notnull() | joined.region.notnull()

    def column(name: str) -> Value:
        owner, custom, field = name.rpartition("custom.")
        if custom:
            return joined[f"{owner}custom"].get(field)
        if name in ("country", "region"):
            return placed.ifelse(joined[name], joined[f"account.{name}"])
        if name in FROM_ACCOUNT:
            return joined[name].coalesce(joined[f"account.{name}"])
        return joined[name]

    columns = {name: column(name) for name in sorted(wanted)}
    # A view, because Ibis 12 binds the columns of a join chain wrongly when it is joined again.
    return joined.select("connection", lead_id="id", **columns).view()


def _fit(model: Model, leads: Table, accounts: Table) -> Table:
    wide = lead_columns(_asked(model), leads, accounts)
    signatures = wide.drop("connection", "lead_id").distinct()
    numbers = {rule.id: number for number, rule in enumerate(model.fit_rules)}
    groups = (item.ranked if isinstance(item, BestOf) else [item] for item in model.fit)
    best = (((rule.when.holds(signatures), numbers[rule.id]) for rule in group) for group in groups)
    found = matched(wide, signatures, best)
    return contributions(
        found.join(_fit_worth(model), "number"),
        part=ibis.literal("fit"),
        decay_loss=ibis.literal(0, "int64"),
        cap_loss=ibis.literal(0, "int64"),
        **NO_EVENTS,
    )


def _fit_worth(model: Model) -> Table:
    """The points of each fit rule in units: raw, and weighted."""
    rows = [
        {
            "number": number,
            "rule": rule.id,
            "raw": units(rule.points),
            "points": units(rule.points * model.weights.fit),
        }
        for number, rule in enumerate(model.fit_rules)
    ]
    schema = pa.schema({"number": "int32", "rule": "string", "raw": "int64", "points": "int64"})
    return ibis.memtable(pa.Table.from_pylist(rows, schema))
