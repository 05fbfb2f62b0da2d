"""The activities that count as events, and which conditions hold for each of them.

Cost follows matches, not rules: the conditions of all rules are put to the *distinct* activity
signatures (the few columns that conditions read), which yields (signature, rule) pairs, and
activities join them.
"""

from collections.abc import Iterable, Sequence, Set
from datetime import datetime, timedelta
from functools import reduce
from operator import and_

import ibis
from ibis.expr.types import BooleanValue, Table, Value

from core.conditions import ActivityCondition
from core.contributions import matched
from core.facts import TIME

LEAD = ("connection", "lead_id")

EMAILS = ("email", "email_sent", "email_reply")
"""The types of activities that are an e-mail; opens and clicks are something done with one."""

_RESIDUAL = frozenset({"duration", "length"})
"""The activity fields that are not part of a signature: nearly every call has its own."""


def until(events: Table, at: datetime) -> Table:
    """The events up to and including `at`."""
    return events.filter(events.occurred_at <= ibis.literal(at, type=TIME))


def unrepeated(events: Table) -> Table:
    """The events, each e-mail once, though several tools logged it for the same person.

    The same e-mail has the same message id or, where one of them has none, the same second and
    subject. The first that was logged stays. Where no e-mail says either, nothing is compared.
    """
    mail = events.filter(
        events.type.isin(EMAILS), events.message_id.notnull() | events.subject.notnull()
    )
    logged = [mail.occurred_at, mail.object_type, mail.id]
    alike = [*LEAD, mail.occurred_at.truncate("s"), mail.subject.strip().lower()]
    placed = mail.mutate(
        of_id=ibis.row_number().over(group_by=[*LEAD, "message_id"], order_by=logged),
        of_subject=ibis.row_number().over(
            group_by=alike, order_by=[mail.message_id.isnull(), *logged]
        ),
    )
    again = placed.message_id.notnull().ifelse(
        placed.of_id > 0, placed.subject.notnull() & (placed.of_subject > 0)
    )
    key = [*LEAD, "object_type", "id"]
    # A view, because Ibis 12 binds the columns of a join chain wrongly when it is joined again.
    return events.anti_join(placed.filter(again).select(key), key).view()


def matches(
    activities: Table,
    events: Table,
    conditions: Sequence[ActivityCondition],
    also: Set[str] = frozenset(),
) -> Table:
    """Each event with the `number` of every condition that holds for it.

    Columns: connection, lead_id, id, occurred_at, number, those named in `also`, and those that
    conditions read. `activities` hold every signature that `events` have.
    """
    rules = [list(condition.conjuncts()) for condition in conditions]
    columns = {"type"}.union(*(part.columns for rule in rules for part in rule))
    signatures = _columns(activities, columns - _RESIDUAL).distinct()
    decided = (
        [(_all(part.holds(signatures) for part in rule if not part.columns & _RESIDUAL), number)]
        for number, rule in enumerate(rules)
    )
    wanted = columns | also | {*LEAD, "id", "occurred_at"}
    found = matched(_columns(events, wanted), signatures, decided)
    rest = [
        (found.number != number) | part.holds(found)
        for number, rule in enumerate(rules)
        for part in rule
        if part.columns & _RESIDUAL
    ]
    return found.filter(rest) if rest else found


def wide(events: Table, names: Set[str]) -> Table:
    """Events with further columns that conditions read."""
    return events.mutate(**{name: column(events, name) for name in sorted(names)})


def column(events: Table, name: str) -> Value:
    """A column by the name that conditions have for it."""
    _before, custom, field = name.rpartition("custom.")
    return events.custom.get(field) if custom else events[name]


def interval(duration: timedelta) -> Value:
    """A duration as Ibis has it."""
    return ibis.interval(seconds=int(duration.total_seconds()))


def _columns(events: Table, names: Set[str]) -> Table:
    return events.select(**{name: column(events, name) for name in sorted(names)})


def _all(conditions: Iterable[BooleanValue]) -> BooleanValue:
    return reduce(and_, conditions, ibis.literal(True))
