"""The activities that count as events, and which conditions hold for each of them.

Cost follows matches, not rules: the conditions of all rules are put to the *distinct* activity
signatures (the few columns that conditions read), which yields (signature, rule) pairs, and
activities join them.
"""

from collections.abc import Collection, Iterable, Sequence, Set
from datetime import datetime, timedelta
from functools import reduce
from operator import and_

import ibis
from ibis.expr.types import BooleanValue, Table, Value

from core.conditions import ActivityCondition
from core.contributions import matched
from core.facts import TIME
from core.folding import folded

LEAD = ("connection", "lead_id")

EVENT = ("connection", "lead_id", "object_type", "id")
"""What tells an activity of a lead from every other."""

EMAILS = ("email", "email_sent", "email_reply", "email_forward")
"""The types of activities that are an e-mail; opens and clicks are something done with one."""

_RESIDUAL = frozenset({"duration", "length"})
"""The activity fields that are not part of a signature: nearly every call has its own."""


def until(events: Table, at: datetime) -> Table:
    """The events up to and including `at`."""
    return events.filter(events.occurred_at <= ibis.literal(at, type=TIME))


def done_by(activities: Table, leads: Collection[str], accounts: Collection[str]) -> Table:
    """What some leads did, and some accounts without a person."""
    # By lead alone first, nobody among them: that is quick, and leaves few to be looked at.
    mine = activities.filter(activities.lead_id.isin(["", *sorted(leads)]))
    return mine.filter((mine.lead_id != "") | mine.account_id.isin(sorted(accounts)))


def present(activities: Table, at: datetime) -> Table:
    """The activities up to `at` as conditions read them: with `now`."""
    return until(activities, at).mutate(now=ibis.literal(at, type=TIME))


def settled(activities: Table, heirs: Table, at: datetime) -> Table:
    """The events of leads up to `at`: each of the lead it now belongs to, and each e-mail once
    though several tools logged it.

    `heirs` (see `core.known.inherited`) names the events of merged records. The same e-mail has
    the same person and message id or, where one of them has none, the same person, second and
    subject. The first that was logged stays. Where no e-mail says either, nothing is compared.
    """
    again = _again(_mail(activities, heirs, at))
    nobody = again.select(*EVENT, survivor=ibis.literal(""))
    exceptions = heirs.select(*EVENT, "survivor").anti_join(again, EVENT).union(nobody)
    known = present(activities, at)
    # One join with the few exceptions: a second look at all activities costs far more.
    joined = known.left_join(exceptions, EVENT)
    columns = {name: joined[name] for name in known.columns}
    events = joined.select(**columns | {"lead_id": joined.survivor.coalesce(joined.lead_id)})
    # A view, because Ibis 12 binds the columns of a join chain wrongly when it is joined again.
    return events.filter(events.lead_id != "").view()


def _mail(activities: Table, heirs: Table, at: datetime) -> Table:
    """The e-mails that can be told from others, each with `whose` it now is."""
    mail = until(activities, at).filter(
        activities.type.isin(EMAILS),
        activities.message_id.notnull() | activities.subject.notnull(),
    )
    joined = mail.left_join(heirs, EVENT)
    columns = {name: joined[name] for name in (*EVENT, "occurred_at", "message_id", "subject")}
    return joined.select(**columns, whose=joined.survivor.coalesce(joined.lead_id))


def _again(mail: Table) -> Table:
    """The e-mails that are one more record of another: the columns of EVENT."""
    logged = [mail.occurred_at, mail.object_type, mail.id]
    person = ["connection", "whose"]
    alike = [*person, mail.occurred_at.truncate("s"), folded(mail.subject)]
    placed = mail.mutate(
        of_id=ibis.row_number().over(group_by=[*person, "message_id"], order_by=logged),
        of_subject=ibis.row_number().over(
            group_by=alike, order_by=[mail.message_id.isnull(), *logged]
        ),
    )
    again = placed.message_id.notnull().ifelse(
        placed.of_id > 0, placed.subject.notnull() & (placed.of_subject > 0)
    )
    return placed.filter(again).select(*EVENT)


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


def seconds_old(occurred_at: Value, at: datetime) -> Value:
    """The age of an event at an instant, in whole seconds."""
    return ibis.literal(int(at.timestamp())) - occurred_at.truncate("s").epoch_seconds()


def interval(duration: timedelta) -> Value:
    """A duration as Ibis has it."""
    return ibis.interval(seconds=int(duration.total_seconds()))


def _columns(events: Table, names: Set[str]) -> Table:
    return events.select(**{name: column(events, name) for name in sorted(names)})


def _all(conditions: Iterable[BooleanValue]) -> BooleanValue:
    return reduce(and_, conditions, ibis.literal(True))
