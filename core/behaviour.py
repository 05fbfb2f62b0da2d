"""The behaviour part of a model: what every lead's activities contribute to its score.

From activities to points: what counts at all (`core.events`, `core.uncounted`), which rules it
matches, in which periods and runs (`core.counting`), what each match is worth at its age; then
matches are summed by (lead, rule), or by (lead, rule, period) first where a rule pays by the
period, and bounded (`core.limits`). What is told of all activities together is measured apart
(`core.measures`).

Amounts are counted in grains (`core.points.Grain`) until the end.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import Table, Value

from core.contributions import capped, contributions
from core.counting import BETWEEN, RULE, by_channel, periods, runs, silences
from core.decay import Gradual, Step
from core.earning import BehaviourRule
from core.events import LEAD, matches, seconds_old
from core.facts import TIME
from core.limits import gains, path
from core.measures import known, measured
from core.rules import Model
from core.uncounted import counted


def behaviour(
    model: Model,
    activities: Table,
    events: Table,
    at: datetime,
    fit: Table | None,
    *,
    channels: bool = False,
) -> Table:
    """The contributions of all behaviour rules and measures, of group caps, and of path limits.

    `events` are those of `activities` that count (`core.events.settled`). `fit` has the
    contributions of the fit part; None: there are none. With `channels` there are also those of
    each lead and channel (`core.counting.by_channel`).
    """
    events, parts = counted(model.ignore, model.reset, events)
    activities = activities.mutate(now=ibis.literal(at, type=TIME))
    if model.behaviour:
        found = _counting(model, activities, events, at, channels=channels)
        parts += _earned(model, found, at, fit, channels=channels)
    if model.measures:
        parts.append(measured(model.measures, model.grain, activities, events, at))
    return ibis.union(*parts)


def unmeasured(model: Model, activities: Table, events: Table, leads: Table, at: datetime) -> Table:
    """The measures that no facts decide: connection, lead_id, rule; a count is always known."""
    events, _lines = counted(model.ignore, model.reset, events)
    activities = activities.mutate(now=ibis.literal(at, type=TIME))
    names = {"rule": [m.id for m in model.measures if m.count is None]}
    asked = ibis.memtable(pa.table(names, pa.schema({"rule": "string"})))
    every = leads.select("connection", lead_id="id").cross_join(asked)
    return every.anti_join(known(model.measures, activities, events, at), [*LEAD, "rule"])


def _earned(
    model: Model, found: Table, at: datetime, fit: Table | None, *, channels: bool
) -> Iterator[Table]:
    """What rules give for events, and what the caps of groups and the path's limits take."""
    events = _aged(model, runs(model, found), at)
    sums = _sums(events)
    if lasting := _lasting(model):
        engaged = _engaged(model, sums, channels=channels)
        mine = sums.number.isin(lasting)
        sums = sums.filter(~mine).drop("late").union(_saved(model, sums.filter(mine), engaged))
    paid = _paid(model, sums)
    rows = _summed(paid) if "period" in paid.columns else paid
    kept = (rows.amount > rows.cap).ifelse(rows.cap, rows.amount)
    rows = rows.mutate(kept=kept.coalesce(rows.amount))
    grain = model.grain
    yield contributions(
        rows,
        part=ibis.literal("behaviour"),
        raw=rows.gross * grain.raw,
        decay_loss=(rows.gross - rows.amount) * grain.raw,
        cap_loss=(rows.amount - rows.kept) * grain.raw,
        points=rows.kept * grain.weighted,
    )
    for name, group in model.groups.items():
        table = rows.select(*LEAD, "group", amount="kept")
        if group.per:
            start = paid.period.truncate(group.per.unit)
            table = paid.select(*LEAD, "group", "amount", period=start)
        mine = table.filter(table.group == name)
        yield capped(mine, f"cap:{name}", grain, cap=group.cap)
    limit = model.limits.behaviour
    if limit.on_the_way:
        if lasting:
            saved = _saves(events, engaged)
            events = saved.mutate(recent=saved.recent | saved.saved)
        worth = _worth(model, events)
        yield from path(limit, grain, gains(worth, _rules(model), model.groups, grain), fit)


def _counting(
    model: Model, activities: Table, events: Table, at: datetime, *, channels: bool
) -> Table:
    """Every event with every rule that counts it: connection, lead_id, number of the rule,
    occurred_at, id, and the period where rules tell any."""
    also = {"channel"} if channels else frozenset[str]()
    found = matches(activities, events, [rule.when for rule in model.behaviour], also)
    found = by_channel(model, found) if channels else found
    found = periods(model, silences(model, found.select(*RULE, "occurred_at", "id"), at))
    spans = {n: rule.within for n, rule in enumerate(model.behaviour) if rule.within}
    if not spans:
        return found
    since = found.number.cases(*((n, ibis.literal(at - s, TIME)) for n, s in spans.items()))
    return found.filter(since.isnull() | (found.occurred_at >= since))


def _sums(events: Table) -> Table:
    """The events of each lead and rule together, in each period if any rule or group tells
    periods, those apart that are `late`: each time by itself. `recent` counts them."""
    keys = [*RULE, *(name for name in ("period", "late") if name in events.columns)]
    aged = {}
    if "aged" in events.columns:
        aged = {"total": _whole(_.aged.sum()), "best": _.aged.max()}
    return events.group_by(keys).aggregate(
        count=_.count(),
        recent=_.count(where=_.recent),
        **aged,
        first=_.occurred_at.min(),
        last=_.occurred_at.max(),
        evidence=_latest(events.id, events.occurred_at, events.id),
    )


def _paid(model: Model, sums: Table) -> Table:
    """What each lead is paid by each rule, in each period: `gross` is what the paid events were
    worth when they were new, `amount` what they are now."""
    rows = sums.join(_rules(model), "number")
    past = rows["count"] - rows.recent
    total = rows.recent * rows.fresh + past * rows.stale
    best = ibis.cases(
        (past == 0, rows.fresh),
        (rows.recent == 0, rows.stale),
        else_=ibis.greatest(rows.fresh, rows.stale),
    )
    if turning := [number for number, _decay in _courses(model)]:
        mine = rows.number.isin(turning)
        total, best = mine.ifelse(rows.total, total), mine.ifelse(rows.best, best)
    return rows.mutate(
        events=rows["count"],
        gross=rows.each.ifelse(rows["count"], 1) * rows.fresh,
        amount=rows.each.ifelse(total, best),
    )


def _summed(paid: Table) -> Table:
    """The periods of each lead and rule together."""
    return paid.group_by(*RULE, "rule", "cap", "group").aggregate(
        events=paid.events.sum(),
        gross=paid.gross.sum(),
        amount=paid.amount.sum(),
        first=paid["first"].min(),
        last=paid["last"].max(),
        evidence=_latest(paid.evidence, paid["last"], paid.evidence),
    )


def _latest(value: Value, time: Value, id_: Value) -> Value:
    """The value of the latest row; of several, that with the greatest id."""
    return value.argmax(ibis.struct({"at": time, "id": id_}))


def _rules(model: Model) -> Table:
    """What holds of each behaviour rule as a whole; an event is worth `fresh`, and `stale`
    past the step of its decay."""

    def row(number: int, rule: BehaviourRule) -> dict[str, Any]:
        return {
            "number": number,
            "rule": rule.id,
            "each": rule.count == "each",
            "fresh": model.grain.of(rule.points),
            "stale": model.grain.of(model.left(rule)),
            "cap": None if rule.cap is None else model.grain.of(rule.cap),
            "group": rule.group,
        }

    kinds = {"number": "int32", "rule": "string", "each": "bool", "fresh": "int64"}
    schema = pa.schema({**kinds, "stale": "int64", "cap": "int64", "group": "string"})
    rows = [row(number, rule) for number, rule in enumerate(model.behaviour)]
    return ibis.memtable(pa.Table.from_pylist(rows, schema))


def _aged(model: Model, events: Table, at: datetime) -> Table:
    """Each event with whether it is `recent`: not past the step of its decay, if that has one.

    `late` is the time of those past it that engagement might save, where a rule has such; `aged`
    is what an event is worth whose decay takes more turns than one, where a rule has such.
    """
    steps: dict[Step, list[int]] = {}
    for number, rule in enumerate(model.behaviour):
        decay = model.decays[rule.decay] if rule.decay else None
        if isinstance(decay, Step):
            steps.setdefault(decay, []).append(number)
    recent = [
        (events.number.isin(numbers), events.occurred_at >= ibis.literal(at - step.after, TIME))
        for step, numbers in steps.items()
    ]
    events = events.mutate(recent=ibis.cases(*recent, else_=True) if recent else True)
    if lasting := _lasting(model):
        late = ~events.recent & events.number.isin(lasting)
        events = events.mutate(late=late.ifelse(events.occurred_at, None))
    return _turned(model, events, at)


def _lasting(model: Model) -> list[int]:
    """The rules whose events later engagement saves from their decay."""
    decays = [model.decays[rule.decay] if rule.decay else None for rule in model.behaviour]
    return [n for n, d in enumerate(decays) if isinstance(d, Step) and d.unless_engaged]


def _engaged(model: Model, sums: Table, *, channels: bool) -> Table:
    """When each lead was last engaged: engagement is any event that earns points, in whichever
    channel."""
    earning = [number for number, rule in enumerate(model.behaviour) if rule.points > 0]
    every = len(earning) == len(model.behaviour)
    mine = sums if every else sums.filter(sums.number.isin(earning))
    times = mine.group_by(*LEAD).aggregate(engaged=mine["last"].max())
    if not channels:
        return times
    whose = times.lead_id.re_extract(f"^[^{BETWEEN}]*", 0)
    lead = ibis.window(group_by=[times.connection, whose])
    return times.mutate(engaged=times.engaged.max().over(lead))


def _saves(rows: Table, engaged: Table) -> Table:
    """Rows with whether engagement has `saved` them: the last one saves the events of every earlier
    day, but none of its own: of some events a CRM tells the day alone."""
    judged = rows.left_join(engaged, LEAD).select(rows, engaged.engaged)
    later = judged.late.truncate("D") < judged.engaged.truncate("D")
    return judged.mutate(saved=later.fill_null(False)).drop("engaged")


def _saved(model: Model, sums: Table, engaged: Table) -> Table:
    """The sums of rules whose events may be saved: late ones with the others, as recent as these
    if engagement came later."""
    rows = _saves(sums, engaged)
    rows = rows.mutate(recent=rows.saved.ifelse(rows["count"], rows.recent))
    aged = {}
    if "total" in rows.columns:
        rows = rows.join(_rules(model).select("number", "fresh"), "number")
        total = rows.saved.ifelse(rows["count"] * rows.fresh, rows.total)
        best = rows.saved.ifelse(rows.fresh, rows.best)
        aged = {"total": _whole(total.sum()), "best": best.max()}
    return rows.group_by([name for name in sums.columns if name in (*RULE, "period")]).aggregate(
        count=_whole(rows["count"].sum()),
        recent=_whole(rows.recent.sum()),
        **aged,
        first=rows["first"].min(),
        last=rows["last"].max(),
        evidence=_latest(rows.evidence, rows["last"], rows.evidence),
    )


def _whole(sum_: Value) -> Value:
    """A sum as int64: that of DuckDB is wider, and what is united with it would be as wide."""
    return sum_.cast("decimal(38, 0)").cast("int64")


def _worth(model: Model, events: Table) -> Table:
    """Each event with its `worth`, in grains."""
    rules = _rules(model).select("number", "fresh", "stale")
    rows = events.join(rules, "number").select(events, rules.fresh, rules.stale)
    courses, fresh, old = dict(_courses(model)), rows.recent, rows.stale
    if courses:
        old = rows.number.isin(list(courses)).ifelse(rows.aged, old)
        gradual = [number for number, decay in courses.items() if isinstance(decay, Gradual)]
        fresh = fresh & ~rows.number.isin(gradual)
    return rows.mutate(worth=fresh.ifelse(rows.fresh, old))


def _turned(model: Model, events: Table, at: datetime) -> Table:
    """Each event with what it is worth at its age, `aged`, where its decay takes more than one
    turn; if any rule has such a decay."""
    courses = dict(_courses(model))
    if not courses:
        return events
    kinds = {"number": "int32", "age": "int64", "aged": "int64"}
    turns = [
        {"number": number, "age": age, "aged": aged}
        for number, decay in courses.items()
        for age, aged in enumerate(decay.course(model.behaviour[number].points, model.grain))
    ]
    table = ibis.memtable(pa.Table.from_pylist(turns, pa.schema(kinds)))
    seconds = seconds_old(events.occurred_at, at)
    ages = ((number, ibis.greatest(decay.age(seconds), 0)) for number, decay in courses.items())
    dated = events.mutate(age=events.number.cases(*ages))
    joined = dated.left_join(table, ["number", "age"]).select(dated, table.aged)
    return joined.mutate(aged=joined.aged.coalesce(0)).drop("age")


def _courses(model: Model) -> Iterator[tuple[int, Gradual | Step]]:
    """The rules whose events take more turns than one, by number, with their decay."""
    for number, rule in enumerate(model.behaviour):
        decay = model.decays[rule.decay] if rule.decay else None
        if isinstance(decay, Gradual) or (decay and decay.repeat):
            yield number, decay
