"""Which events of a rule are counted together: calendar periods, sessions, and runs.

Events have connection, lead_id, number of the rule, occurred_at and id. Engines are expected to
tell calendar periods in UTC, the time zone that Ibis gives its DuckDB sessions.
"""

from datetime import timedelta

import ibis
from ibis.expr.types import Table, Value

from core.events import LEAD, interval
from core.points import Period
from core.rules import Model

RULE = (*LEAD, "number")

PAUSE = timedelta(minutes=30)
"""An event that much later than the one before, or more, begins another session."""


def periods(model: Model, events: Table) -> Table:
    """Events with the `period` that each is counted in; as they are, if no rule tells any.

    A period is named by a time in it, and is null for rules that tell none. Sessions, and days
    counted from the first event, are told by all events: before any is left out for its age.
    """
    calendar: list[tuple[Value, Value]] = []
    spans: dict[int, timedelta] = {}
    sessions: list[int] = []
    for number, rule in enumerate(model.behaviour):
        group = model.groups[rule.group] if rule.group else None
        span = rule.span or (group and group.per)
        if isinstance(span, Period):
            start = events.occurred_at.truncate(span.unit).cast(events.occurred_at.type())
            calendar.append((events.number == number, start))
        elif isinstance(span, timedelta):
            spans[number] = span
        elif span:
            sessions.append(number)
    if not (calendar or spans or sessions):
        return events
    told = events.filter(events.number.notin([*spans, *sessions])) if spans or sessions else events
    untold = ibis.null(events.occurred_at.type())
    parts = [told.mutate(period=ibis.cases(*calendar) if calendar else untold)]
    if sessions:
        parts.append(_sessions(events.filter(events.number.isin(sessions))))
    if spans:
        parts.append(_spans(events.filter(events.number.isin(list(spans))), spans))
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def _sessions(events: Table) -> Table:
    """Events with the beginning of their session."""
    order = ibis.window(group_by=RULE, order_by=["occurred_at", "id"])
    before = events.occurred_at.lag().over(order)
    begins = before.isnull() | (before <= events.occurred_at - interval(PAUSE))
    rows = events.mutate(begun=begins.ifelse(events.occurred_at, None))
    so_far = ibis.cumulative_window(group_by=RULE, order_by=["occurred_at", "id"])
    return rows.mutate(period=rows.begun.max().over(so_far)).drop("begun")


def _spans(events: Table, spans: dict[int, timedelta]) -> Table:
    """Events with the first event of the so many days that they fall in."""
    start = events.occurred_at.min().over(ibis.window(group_by=RULE))
    rows = events.mutate(start=start)
    age = _seconds(rows.occurred_at) - _seconds(rows.start)
    places = (
        (rows.number == number, age // int(span.total_seconds())) for number, span in spans.items()
    )
    rows = rows.mutate(place=ibis.cases(*places).cast("int64"))
    first = rows.occurred_at.min().over(ibis.window(group_by=[*RULE, "place"]))
    return rows.mutate(period=first).drop("start", "place")


def _seconds(time: Value) -> Value:
    return time.truncate("s").epoch_seconds()


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
