"""What a lead did that does not count: activities to ignore, and all that a reset silences.

Each has a line of its own without points, so that an explanation shows what was left out.
"""

import ibis
from ibis import _
from ibis.expr.types import Table, Value
from pydantic import Field

from core.conditions import ActivityCondition
from core.contributions import contributions
from core.events import LEAD, wide
from core.points import Part, RuleId

_NOTHING = dict.fromkeys(("raw", "decay_loss", "cap_loss", "points"), ibis.literal(0, "int64"))


class Ignored(Part):
    """Activities that no rule counts; the explanation lists them with no points."""

    id: RuleId = Field(description="Name of the rule, as explanations show it.")
    when: ActivityCondition = Field(description="Which activities are not counted.")


class Reset(Part):
    """Activities that undo all behaviour up to them: the lead begins anew."""

    id: RuleId = Field(description="Name of the rule, as explanations show it.")
    when: ActivityCondition = Field(description="Which activities reset the lead.")


def counted(
    ignored: tuple[Ignored, ...], resets: tuple[Reset, ...], events: Table
) -> tuple[Table, list[Table]]:
    """The events that count, and the contributions that name the others.

    `ignored:<id>` has the ignored events. `reset:<id>` has the events up to and including the
    lead's last reset, whose time and record it names; an ignored activity resets nothing.
    """
    lines = [_ignored(rule, events) for rule in ignored]
    for rule in ignored:
        read = wide(events, rule.when.columns())
        events = read.filter(~rule.when.holds(read).fill_null(False)).select(events.columns)
    if not resets:
        return events, lines
    last = _last(resets, events)
    dated = events.left_join(last, LEAD).select(events, *(last[c] for c in _RESET)).view()
    after = dated.filter(dated.reset_at.isnull() | (dated.occurred_at > dated.reset_at))
    return after.drop(*_RESET), [*lines, _silenced(dated)]


_RESET = ("reset", "reset_at", "reset_by")


def _ignored(rule: Ignored, events: Table) -> Table:
    """A line for the events of each lead that a rule leaves out."""
    read = wide(events, rule.when.columns())
    hidden = read.filter(rule.when.holds(read))
    rows = hidden.group_by(*LEAD).aggregate(
        events=_.count(),
        first=_.occurred_at.min(),
        last=_.occurred_at.max(),
        evidence=_latest(hidden.id, hidden),
    )
    return _line(rows, ibis.literal(f"ignored:{rule.id}"))


def _last(resets: tuple[Reset, ...], events: Table) -> Table:
    """Each lead's last reset: by which rule, when, and by which activity."""
    columns = frozenset[str]().union(*(rule.when.columns() for rule in resets))
    read = wide(events, columns)
    named = read.mutate(reset=ibis.cases(*((r.when.holds(read), r.id) for r in resets)))
    found = named.filter(named.reset.notnull())
    return found.group_by(*LEAD).aggregate(
        reset=_latest(found.reset, found),
        reset_at=found.occurred_at.max(),
        reset_by=_latest(found.id, found),
    )


def _silenced(dated: Table) -> Table:
    before = dated.filter(dated.occurred_at <= dated.reset_at)
    rows = before.group_by(*LEAD, "reset", "reset_by").aggregate(
        events=before.count(), first=before.occurred_at.min(), last=before.reset_at.max()
    )
    return _line(rows.mutate(evidence=rows.reset_by), "reset:" + rows.reset)


def _latest(value: Value, events: Table) -> Value:
    return value.argmax(ibis.struct({"at": events.occurred_at, "id": events.id}))


def _line(rows: Table, name: Value) -> Table:
    return contributions(rows, rule=name, part=ibis.literal("behaviour"), **_NOTHING)
