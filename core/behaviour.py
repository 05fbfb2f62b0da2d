"""The behaviour part of a model: what every lead's activities contribute to its score.

Cost follows matches, not rules: the conditions of all rules are put to the *distinct* activity
signatures (the few columns that conditions read), which yields (signature, rule) pairs;
activities join them, and each match is worth what its rule and its age say. Then matches are
summed by (lead, rule), or by (lead, rule, period) first where a rule pays by the period.

Amounts are counted in grains (`core.points.Grain`) until the end. Engines are expected to tell
calendar periods in UTC, the time zone that Ibis gives its DuckDB sessions.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from datetime import datetime, timedelta
from functools import reduce
from itertools import count, takewhile
from operator import and_
from typing import Any

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import BooleanValue, Table, Value

from core.contributions import capped, contributions, matched
from core.decay import Gradual, Step
from core.facts import TIME
from core.points import Period
from core.rules import BehaviourRule, Ignored, Model

RESIDUAL = "duration"
"""The one activity field that is not part of a signature: nearly every call has its own."""

_LEAD = ("connection", "lead_id")
_RULE = (*_LEAD, "number")
_TRUNCATE = {
    Period.DAY: "D",
    Period.WEEK: "W",
    Period.MONTH: "M",
    Period.QUARTER: "Q",
    Period.YEAR: "Y",
}


def behaviour(model: Model, activities: Table, moved: Table, at: datetime) -> Table:
    """The contributions of all behaviour rules and group caps.

    `moved` are activities that count besides `activities`; none after `at` counts.
    """
    now = ibis.literal(at, type=TIME)
    activities, moved = activities.mutate(now=now), moved.mutate(now=now)
    everything = until(activities.union(moved), at)
    unheard = [_ignored(rule, everything) for rule in model.ignore]
    for rule in model.ignore:
        activities, moved = _without(rule, activities), _without(rule, moved)
    events = _runs(model, _counting(model, activities, moved, at))
    paid = _paid(model, _worth(model, events, at))
    sums = _summed(paid) if "period" in paid.columns else paid
    kept = (sums.amount > sums.cap).ifelse(sums.cap, sums.amount)
    rows = sums.mutate(kept=kept.coalesce(sums.amount))
    grain = model.grain
    parts = [
        contributions(
            rows,
            part=ibis.literal("behaviour"),
            raw=rows.gross * grain.raw,
            decay_loss=(rows.gross - rows.amount) * grain.raw,
            cap_loss=(rows.amount - rows.kept) * grain.raw,
            points=rows.kept * grain.weighted,
        ),
        *unheard,
    ]
    for name, group in model.groups.items():
        table = rows.select(*_LEAD, "group", amount="kept")
        if group.per:
            start = paid.period.truncate(_TRUNCATE[group.per])
            table = paid.select(*_LEAD, "group", "amount", period=start)
        mine = table.filter(table.group == name)
        parts.append(capped(mine, f"cap:{name}", grain, cap=group.cap))
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def _ignored(rule: Ignored, events: Table) -> Table:
    """A line without points for the events of each lead that a rule leaves out."""
    wide = _wide(rule, events)
    hidden = wide.filter(rule.when.holds(wide))
    rows = hidden.group_by(*_LEAD).aggregate(
        events=_.count(),
        first=_.occurred_at.min(),
        last=_.occurred_at.max(),
        evidence=_.id.argmax(ibis.struct({"at": _.occurred_at, "id": _.id})),
    )
    nothing = dict.fromkeys(("raw", "decay_loss", "cap_loss", "points"), ibis.literal(0, "int64"))
    name = ibis.literal(f"ignored:{rule.id}")
    return contributions(rows, rule=name, part=ibis.literal("behaviour"), **nothing)


def _without(rule: Ignored, events: Table) -> Table:
    """The events that a rule does not leave out."""
    wide = _wide(rule, events)
    return wide.filter(~rule.when.holds(wide).fill_null(False)).select(events.columns)


def _wide(rule: Ignored, events: Table) -> Table:
    """Events with all columns that a rule reads."""
    return events.mutate(**{name: event_column(events, name) for name in rule.when.columns()})


def _paid(model: Model, events: Table) -> Table:
    """What each lead is paid by each rule, in each period if any rule or group tells periods.

    `gross` is what the paid events were worth when they were new, `amount` what they are now.
    """
    keys = list(_RULE)
    if periods := _periods(model):
        starts = [
            (_.number.isin(numbers), _.occurred_at.truncate(_TRUNCATE[period]))
            for period, numbers in periods.items()
        ]
        events = events.mutate(period=ibis.cases(*starts))
        keys.append("period")
    sums = events.group_by(keys).aggregate(
        count=_.count(),
        total=_.worth.sum(),
        best=_.worth.max(),
        first=_.occurred_at.min(),
        last=_.occurred_at.max(),
        evidence=_.id.argmax(ibis.struct({"at": _.occurred_at, "id": _.id})),
    )
    rows = sums.join(_rules(model), "number")
    return rows.mutate(
        events=rows["count"],
        gross=rows.each.ifelse(rows["count"], 1) * rows.fresh,
        amount=rows.each.ifelse(rows.total, rows.best),
    )


def _summed(paid: Table) -> Table:
    """The periods of each lead and rule together."""
    return paid.group_by(*_RULE, "rule", "cap", "group").aggregate(
        events=paid.events.sum(),
        gross=paid.gross.sum(),
        amount=paid.amount.sum(),
        first=paid["first"].min(),
        last=paid["last"].max(),
        evidence=paid.evidence.argmax(ibis.struct({"at": paid["last"], "id": paid.evidence})),
    )


def _periods(model: Model) -> Mapping[Period, list[int]]:
    """The numbers of the rules that are paid by the period, or whose group is capped by it."""
    found: dict[Period, list[int]] = {}
    for number, rule in enumerate(model.behaviour):
        group = model.groups[rule.group] if rule.group else None
        if period := rule.period or (group and group.per):
            found.setdefault(period, []).append(number)
    return found


def _rules(model: Model) -> Table:
    """What holds of each behaviour rule as a whole."""

    def row(number: int, rule: BehaviourRule) -> dict[str, Any]:
        return {
            "number": number,
            "rule": rule.id,
            "each": rule.count == "each",
            "fresh": model.grain.of(rule.points),
            "cap": None if rule.cap is None else model.grain.of(rule.cap),
            "group": rule.group,
        }

    kinds = {"number": "int32", "rule": "string", "each": "bool", "fresh": "int64"}
    schema = pa.schema({**kinds, "cap": "int64", "group": "string"})
    rows = [row(number, rule) for number, rule in enumerate(model.behaviour)]
    return ibis.memtable(pa.Table.from_pylist(rows, schema))


def _worth(model: Model, events: Table, at: datetime) -> Table:
    """Each event with its `worth` as of `at`, in grains."""
    events = _aged(model, events, at)
    past = events.occurred_at < events.step
    if not any(isinstance(d, Step) and d.unless_engaged for d in model.decays.values()):
        return events.mutate(worth=past.ifelse(events.left, events.fresh))
    risky = events.filter(past, events.saved)
    safe = events.filter(~(past & events.saved).fill_null(False))
    # Engagement is any event that earns points: the lead's last one saves every earlier event,
    # but none of its own instant.
    earning = [number for number, rule in enumerate(model.behaviour) if rule.points > 0]
    engaged = (
        events.filter(events.number.isin(earning))
        .group_by(*_LEAD)
        .aggregate(engaged=_.occurred_at.max())
    )
    judged = risky.left_join(engaged, _LEAD).select(risky, engaged.engaged)
    saved = (judged.occurred_at < judged.engaged).ifelse(judged.fresh, judged.left)
    settled = (safe.occurred_at < safe.step).ifelse(safe.left, safe.fresh)
    columns = [*_RULE, "id", "occurred_at", "worth"]
    return (
        safe.mutate(worth=settled).select(columns).union(judged.mutate(worth=saved).select(columns))
    )


def _aged(model: Model, events: Table, at: datetime) -> Table:
    """Each event with what is `left` of it once it is past its step; `fresh` falls with age."""
    curve = list(_curves(model))
    if not curve:
        return events
    kinds = {"number": "int32", "age": "int64", "aged": "int64"}
    table = ibis.memtable(pa.Table.from_pylist(curve, pa.schema(kinds)))
    seconds = ibis.literal(int(at.timestamp())) - events.occurred_at.truncate("s").epoch_seconds()
    dated = events.mutate(age=(seconds // 86_400).cast("int64"))
    joined = dated.left_join(table, ["number", "age"]).select(dated, table.aged)
    gradual = sorted({row["number"] for row in curve})
    fresh = joined.number.isin(gradual).ifelse(joined.aged.coalesce(0), joined.fresh)
    return joined.mutate(fresh=fresh).drop("age", "aged")


def _curves(model: Model) -> Iterator[Mapping[str, int]]:
    """What an event of each rule with a gradual decay is worth at each age, until nothing is."""
    for number, rule in enumerate(model.behaviour):
        decay = model.decays[rule.decay] if rule.decay else None
        if isinstance(decay, Gradual):
            values = (model.grain.of(rule.points * decay.share(days)) for days in count())
            for age, aged in enumerate(takewhile(bool, values)):
                yield {"number": number, "age": age, "aged": aged}


def _runs(model: Model, events: Table) -> Table:
    """Of the events of rules with `at`, only those that complete a run."""
    runs = {n: rule.at for n, rule in enumerate(model.behaviour) if rule.at is not None}
    if not runs:
        return events
    mine = events.number.isin(list(runs))
    steps = events.filter(mine)
    order = ibis.window(group_by=_RULE, order_by=[steps.occurred_at, steps.id])
    place = ibis.row_number().over(order) + 1
    fires = []
    for number, run in runs.items():
        completes = place == run.nth
        if run.within:
            start = steps.occurred_at.lag(run.nth - 1).over(order)
            completes = start >= steps.occurred_at - _interval(run.within)
        fires.append((steps.number == number, completes))
    marked = steps.mutate(completes=ibis.cases(*fires))
    return events.filter(~mine).union(marked.filter(marked.completes).drop("completes"))


def _interval(duration: timedelta) -> Value:
    return ibis.interval(seconds=int(duration.total_seconds()))


def _counting(model: Model, activities: Table, moved: Table, at: datetime) -> Table:
    """Every event with every rule that counts it: connection, lead_id, number of the rule,
    occurred_at, id, and what `_terms` says of the rule."""
    rules = [list(rule.when.conjuncts()) for rule in model.behaviour]
    columns = {"type"}.union(*(part.columns for rule in rules for part in rule))
    signatures = _event_columns(activities, columns - {RESIDUAL}).distinct()
    decided = (
        [(_all(part.holds(signatures) for part in rule if RESIDUAL not in part.columns), number)]
        for number, rule in enumerate(rules)
    )
    keys = {"connection", "lead_id", "id", "occurred_at"}
    events = _event_columns(until(activities.union(moved), at), columns | keys)
    found = matched(events, signatures, decided).join(_terms(model, at), "number")
    return found.filter(
        found.since.isnull() | (found.occurred_at >= found.since),
        *(
            (found.number != number) | part.holds(found)
            for number, rule in enumerate(rules)
            for part in rule
            if RESIDUAL in part.columns
        ),
    )


def until(events: Table, at: datetime) -> Table:
    """The events up to and including `at`."""
    return events.filter(events.occurred_at <= ibis.literal(at, type=TIME))


def _event_columns(events: Table, names: Set[str]) -> Table:
    return events.select(**{name: event_column(events, name) for name in sorted(names)})


def event_column(events: Table, name: str) -> Value:
    """The column of a tested activity field; that of a further mapped one is text."""
    _before, custom, field = name.rpartition("custom.")
    return events.custom.get(field) if custom else events[name]


def _all(conditions: Iterable[BooleanValue]) -> BooleanValue:
    return reduce(and_, conditions, ibis.literal(True))


def _terms(model: Model, at: datetime) -> Table:
    """What holds of each event of a behaviour rule: `since` when events count, the `step` of
    its decay and whether later engagement has them `saved` from it, and what one is worth before
    and after: `fresh` and `left`."""

    def row(number: int, rule: BehaviourRule) -> dict[str, Any]:
        decay = model.decays[rule.decay] if rule.decay else None
        step = decay if isinstance(decay, Step) else None
        return {
            "number": number,
            "since": at - rule.within if rule.within else None,
            "step": at - step.after if step else None,
            "saved": step is not None and step.unless_engaged,
            "fresh": model.grain.of(rule.points),
            "left": model.grain.of(model.left(rule)),
        }

    instant = TIME.to_pyarrow()
    kinds = {"number": "int32", "since": instant, "step": instant, "saved": "bool"}
    schema = pa.schema({**kinds, "fresh": "int64", "left": "int64"})
    rows = [row(number, rule) for number, rule in enumerate(model.behaviour)]
    return ibis.memtable(pa.Table.from_pylist(rows, schema))
