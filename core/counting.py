"""Which events of a rule are counted together: calendar periods, sessions, and runs; and the
silences between them.

Events have connection, lead_id, number of the rule, occurred_at and id. Engines are expected to
tell calendar periods in UTC, the time zone that Ibis gives its DuckDB sessions.
"""

from datetime import datetime, timedelta

import ibis
from ibis.expr.types import Table, Value

from core.events import LEAD, interval
from core.facts import TIME
from core.folding import folded
from core.points import Period
from core.rules import Model

RULE = (*LEAD, "number")

BETWEEN = "\x1f"
"""The unit separator: between a lead's id and an area or channel, where both together stand for a
lead."""

NO_CHANNEL = "unknown"
"""The channel of activities that name none."""

PAUSE = timedelta(minutes=30)
"""An event that much later than the one before, or more, begins another session."""


def periods(model: Model, events: Table) -> Table:
    """Events with the `period` that each is counted in; as they are, if no rule tells any.

    A period is named by a time in it, and is null for rules that tell none. Sessions, and days
    counted from the first event, are told by all events: before any is left out for its age.
    """
    calendar: list[tuple[Value, Value]] = []
    spans: dict[int, timedelta | int] = {}
    sessions: list[int] = []
    for number, rule in enumerate(model.behaviour):
        group = model.groups[rule.group] if rule.group else None
        span = rule.span or (group and group.per)
        if isinstance(span, Period):
            start = events.occurred_at.truncate(span.unit).cast(events.occurred_at.type())
            calendar.append((events.number == number, start))
        elif span == "session":
            sessions.append(number)
        elif span:
            spans[number] = span
    if not (calendar or spans or sessions):
        return events
    told = events.filter(events.number.notin([*spans, *sessions])) if spans or sessions else events
    untold = ibis.null(events.occurred_at.type())
    parts = [told.mutate(period=ibis.cases(*calendar) if calendar else untold)]
    if sessions:
        parts.append(_sessions(events.filter(events.number.isin(sessions))))
    if spans:
        parts.append(_spans(events.filter(events.number.isin(list(spans))), spans))
    return ibis.union(*parts)


def by_channel(model: Model, events: Table) -> Table:
    """Events, and those of rules without `silent` once more: their lead and `channel` together
    are counted as if they were a lead of their own."""
    every = events.select(*RULE, "occurred_at", "id")
    silent = [number for number, rule in enumerate(model.behaviour) if rule.silent]
    single = events.filter(events.number.notin(silent)) if silent else events
    channel = folded(single.channel).nullif("").fill_null(NO_CHANNEL)
    theirs = single.mutate(lead_id=single.lead_id + BETWEEN + channel)
    return every.union(theirs.select(every.columns))


def _sessions(events: Table) -> Table:
    """Events with the beginning of their session."""
    order = ibis.window(group_by=RULE, order_by=["occurred_at", "id"])
    before = events.occurred_at.lag().over(order)
    begins = before.isnull() | (before <= events.occurred_at - interval(PAUSE))
    rows = events.mutate(begun=begins.ifelse(events.occurred_at, None))
    so_far = ibis.cumulative_window(group_by=RULE, order_by=["occurred_at", "id"])
    return rows.mutate(period=rows.begun.max().over(so_far)).drop("begun")


def _spans(events: Table, spans: dict[int, timedelta | int]) -> Table:
    """Events with the first event of the so many days or months that they fall in."""
    start = events.occurred_at.min().over(ibis.window(group_by=RULE))
    rows = events.mutate(start=start)
    places = (
        (
            rows.number == number,
            _months(rows) // span if isinstance(span, int) else _age(rows) // _whole(span),
        )
        for number, span in spans.items()
    )
    rows = rows.mutate(place=ibis.cases(*places))
    first = rows.occurred_at.min().over(ibis.window(group_by=[*RULE, "place"]))
    return rows.mutate(period=first).drop("start", "place")


def _age(rows: Table) -> Value:
    """Seconds from `start`."""
    return _seconds(rows.occurred_at) - _seconds(rows.start)


def _months(rows: Table) -> Value:
    """Full months from `start`: each is over at the same day and time of the next, or where that
    has no such day, when it ends."""
    months = [time.year() * 12 + time.month() for time in (rows.start, rows.occurred_at)]
    into = [_seconds(t) - _seconds(t.truncate("M")) for t in (rows.start, rows.occurred_at)]
    return months[1] - months[0] - (into[1] < into[0]).cast("int64")


def _seconds(time: Value) -> Value:
    return time.truncate("s").epoch_seconds()


def _whole(span: timedelta) -> int:
    return int(span.total_seconds())


def silences(model: Model, events: Table, at: datetime) -> Table:
    """Events, in the place of those of a rule with `silent` the ends of its silences up to `at`.

    Each is so long, or a multiple of it, after an event, and before the next, in whole seconds; it
    has the id of that event.
    """
    asked = {n: rule.silent for n, rule in enumerate(model.behaviour) if rule.silent}
    if not asked:
        return events
    mine = events.number.isin(list(asked))
    steps = events.filter(mine)
    order = ibis.window(group_by=RULE, order_by=["occurred_at", "id"])
    steps = steps.mutate(
        until=steps.occurred_at.lead().over(order),
        span=ibis.cases(*((steps.number == n, _whole(span)) for n, span in asked.items())),
    )
    end = ibis.coalesce(steps.until, ibis.literal(at, type=TIME))
    gap = _seconds(end) - _seconds(steps.occurred_at) - steps.until.notnull().cast("int64")
    rows = steps.mutate(most=gap // steps.span)
    rows = rows.filter(rows.most > 0)
    ends = rows.mutate(turn=ibis.range(1, rows.most + 1).unnest())
    start = ends.occurred_at.truncate("s")
    ends = ends.mutate(occurred_at=start + (ends.turn * ends.span).as_interval("s"))
    told = ends.select(*events.columns).cast(events.schema())
    return events.filter(~mine).union(told)


def runs(model: Model, events: Table) -> Table:
    """Of the events of rules with `at`, only those that complete a run."""
    asked = {n: rule.at for n, rule in enumerate(model.behaviour) if rule.at is not None}
    if not asked:
        return events
    mine = events.number.isin(list(asked))
    steps = events.filter(mine)
    order = ibis.window(group_by=RULE, order_by=[steps.occurred_at, steps.id])
    place = ibis.row_number().over(order) + 1
    fires = []
    for number, run in asked.items():
        completes = place == run.nth
        if run.within:
            start = steps.occurred_at.lag(run.nth - 1).over(order)
            completes = start >= steps.occurred_at - interval(run.within)
        fires.append((steps.number == number, completes))
    marked = steps.mutate(completes=ibis.cases(*fires))
    return events.filter(~mine).union(marked.filter(marked.completes).drop("completes"))
