"""A model over facts: every contribution to every score, as one relational expression.

The score of a lead is the plain sum of its contributions, one for each rule that matched, in
whole units of 1/10,000 point. Nothing here runs anything: the result are Ibis expressions.

Cost follows matches, not rules: the conditions of all behaviour rules are put to the *distinct*
activity signatures (the few columns that conditions read), which yields (signature, rule) pairs;
activities join them and are counted by (lead, rule). How many of these events are past their
decay's step then settles the points, because before and after the step all events of a rule
are worth the same.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import BooleanValue, Table, Value

from core.facts import LEADS, TIME, as_of
from core.rules import BehaviourRule, BestOf, Model, units

RESIDUAL = "duration"
"""The one activity field that is not part of a signature: nearly every call has its own."""

FROM_ACCOUNT = ("industry", "employees", "revenue", "country", "region", "technologies")
"""What a lead takes from its account where it does not say so itself."""

CONTRIBUTIONS = ibis.schema(
    {
        "connection": "string",
        "lead_id": "string",
        "rule": "string",
        "part": "string",
        "events": "int64",
        "first": TIME,
        "last": TIME,
        "evidence": "string",
        "raw": "int64",
        "decay_loss": "int64",
        "cap_loss": "int64",
        "points": "int64",
    }
)

NUMBERS = "array<int32>"
"""Rules go by their number until the end, fit and behaviour rules each from 0."""

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
        rejected = rejected.anti_join(_until(events, at), ["connection", "lead_id"])
    leads = people.anti_join(rejected, ["connection", ("id", "lead_id")])
    parts = []
    if model.fit:
        parts.append(_fit(model, people, as_of(facts.accounts, at)))
    if model.behaviour:
        parts.append(_behaviour(model, facts.activities, moved, at))
    contributions = ibis.union(*parts) if len(parts) > 1 else parts[0]
    return Scored(
        contributions=contributions.semi_join(leads, ["connection", ("lead_id", "id")]),
        scores=_scores(leads, contributions),
        rejected=rejected,
    )


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
    found = _matched(wide, signatures, undecided)
    return found.join(_fit_worth(model), "number").select("connection", "lead_id", "rule")


def _scores(leads: Table, contributions: Table) -> Table:
    counts = _.raw - _.decay_loss - _.cap_loss
    sums = contributions.group_by("connection", "lead_id").aggregate(
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


def _until(events: Table, at: datetime) -> Table:
    return events.filter(events.occurred_at <= ibis.literal(at, type=TIME))


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
    matched = _matched(wide, signatures, best)
    return _contributions(
        matched.join(_fit_worth(model), "number"),
        part=ibis.literal("fit"),
        events=ibis.null("int64"),
        first=ibis.null(TIME),
        last=ibis.null(TIME),
        evidence=ibis.null("string"),
        decay_loss=ibis.literal(0, "int64"),
        cap_loss=ibis.literal(0, "int64"),
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


def _matched(
    table: Table, signatures: Table, groups: Iterable[Iterable[tuple[BooleanValue, int]]]
) -> Table:
    """Each row of `table` with the `number` of every rule that it matches.

    `signatures` are the distinct values of the columns that decide, `groups` conditions on them,
    each with its number: of each group the first that holds counts. The numbers are flattened
    from arrays of one or none, because DuckDB and Spark agree on them without a lambda.
    """
    none = ibis.literal([], NUMBERS)
    found = [
        ibis.cases(*((holds, ibis.literal([n], NUMBERS)) for holds, n in group), else_=none)
        for group in groups
    ]
    numbered = signatures.mutate(number=ibis.array(found).flatten().unnest())
    same = [table[column].identical_to(numbered[column]) for column in signatures.columns]
    return table.join(numbered, same).select(table, "number")


def _contributions(table: Table, **columns: Value) -> Table:
    """The columns of CONTRIBUTIONS, some of them given."""
    return table.mutate(**columns).select(*CONTRIBUTIONS).cast(CONTRIBUTIONS)


def _behaviour(model: Model, activities: Table, moved: Table, at: datetime) -> Table:
    events = _counting(model, activities, moved, at)
    rows = _counted(model, events).join(_worth(model), "number")
    fresh = rows.once.ifelse((rows.events > rows.old).cast("int64"), rows.events - rows.old)
    old = rows.once.ifelse(1 - fresh, rows.old)
    raw = rows.once.ifelse(1, rows.events) * rows.fresh_raw
    decayed = fresh * rows.fresh_raw + old * rows.old_raw
    kept = (decayed > rows.cap_raw).ifelse(rows.cap_raw, decayed)
    weighted = fresh * rows.fresh_points + old * rows.old_points
    points = (weighted > rows.cap_points).ifelse(rows.cap_points, weighted)
    return _contributions(
        rows,
        part=ibis.literal("behaviour"),
        raw=raw,
        decay_loss=raw - decayed,
        cap_loss=decayed - kept,
        points=points,
    )


def _worth(model: Model) -> Table:
    """What an event of each behaviour rule is worth, in units: raw, and weighted as points."""

    def row(number: int, rule: BehaviourRule) -> dict[str, object]:
        worth = {"fresh": rule.points, "old": model.left(rule), "cap": rule.cap}
        raw = {f"{k}_raw": None if p is None else units(p) for k, p in worth.items()}
        weight = model.weights.behaviour
        points = {f"{k}_points": None if p is None else units(p * weight) for k, p in worth.items()}
        return {"number": number, "rule": rule.id, "once": rule.count == "once", **raw, **points}

    amounts = [f"{k}_{unit}" for k in ("fresh", "old", "cap") for unit in ("raw", "points")]
    schema = pa.schema(
        {"number": "int32", "rule": "string", "once": "bool", **dict.fromkeys(amounts, "int64")}
    )
    rows = [row(number, rule) for number, rule in enumerate(model.behaviour)]
    return ibis.memtable(pa.Table.from_pylist(rows, schema))


def _counted(model: Model, events: Table) -> Table:
    """For each lead and rule: how many events count, how many of them are past the decay step."""
    old = events.occurred_at < events.step
    counted = events.group_by("connection", "lead_id", "number").aggregate(
        events=events.count(),
        old=events.count(where=old & ~events.saved),
        first=events.occurred_at.min(),
        last=events.occurred_at.max(),
        evidence=events.id.argmax(ibis.struct({"at": events.occurred_at, "id": events.id})),
    )
    if not any(decay.unless_engaged for decay in model.decays.values()):
        return counted
    lost = _unsaved(model, events.filter(old, events.saved), events)
    rows = counted.left_join(lost, ["connection", "lead_id", "number"]).select(counted, lost.lost)
    return rows.mutate(old=rows.old + rows.lost.coalesce(0))


def _unsaved(model: Model, risky: Table, events: Table) -> Table:
    """How many `risky` events no later engagement saves from their decay, by lead and rule.

    Engagement is any event that earns points; the lead's last one saves every earlier event,
    but none of its own instant.
    """
    earning = [number for number, rule in enumerate(model.behaviour) if rule.points > 0]
    engaged = (
        events.filter(events.number.isin(earning))
        .join(risky.select("connection", "lead_id").distinct(), ["connection", "lead_id"])
        .group_by("connection", "lead_id")
        .aggregate(occurred_at=_.occurred_at.max())
    )
    last = risky.join(engaged, ["connection", "lead_id", "occurred_at"])
    return last.group_by("connection", "lead_id", "number").aggregate(lost=_.count())


def _counting(model: Model, activities: Table, moved: Table, at: datetime) -> Table:
    """Every event with every rule that counts it: connection, lead_id, number of the rule,
    occurred_at, id, and from `_windows` the rule's step and saved."""
    rules = [list(rule.when.conjuncts()) for rule in model.behaviour]
    columns = {"type"}.union(*(part.columns for rule in rules for part in rule))
    signatures = _event_columns(activities, columns - {RESIDUAL}).distinct()
    decided = (
        [(_all(part.holds(signatures) for part in rule if RESIDUAL not in part.columns), number)]
        for number, rule in enumerate(rules)
    )
    keys = {"connection", "lead_id", "id", "occurred_at"}
    events = _event_columns(_until(activities.union(moved), at), columns | keys)
    matched = _matched(events, signatures, decided).join(_windows(model, at), "number")
    return matched.filter(
        matched.since.isnull() | (matched.occurred_at >= matched.since),
        *(
            (matched.number != number) | part.holds(matched)
            for number, rule in enumerate(rules)
            for part in rule
            if RESIDUAL in part.columns
        ),
    )


def _event_columns(events: Table, names: Set[str]) -> Table:
    def column(name: str) -> Value:
        _before, custom, field = name.rpartition("custom.")
        return events.custom.get(field) if custom else events[name]

    return events.select(**{name: column(name) for name in sorted(names)})


def _all(conditions: Iterable[BooleanValue]) -> BooleanValue:
    return reduce(and_, conditions, ibis.literal(True))


def _windows(model: Model, at: datetime) -> Table:
    """For each behaviour rule: `since` when events count, the `step` of its decay, and whether
    later engagement has them `saved` from it."""

    def row(number: int, rule: BehaviourRule) -> dict[str, object]:
        decay = model.decays[rule.decay] if rule.decay else None
        return {
            "number": number,
            "since": at - rule.within if rule.within else None,
            "step": at - decay.after if decay else None,
            "saved": decay is not None and decay.unless_engaged,
        }

    instant = TIME.to_pyarrow()
    schema = pa.schema({"number": "int32", "since": instant, "step": instant, "saved": "bool"})
    rows = [row(number, rule) for number, rule in enumerate(model.behaviour)]
    return ibis.memtable(pa.Table.from_pylist(rows, schema))
