"""Whom to call, in which order, when again; and whom not to call, and why.

A lead is called at the cadence of its tier, until it was tried in vain as often as its tier is
worth. An attempt is a call that we made since somebody there last answered.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ibis import _
from ibis.expr.types import Table

from core.folding import folded
from core.past import Answer
from core.routing import CHAMPION
from core.stages import RULED_OUT

OURS = ("note", "task", "email_sent")
"""The types of activities that are a rep's own, whatever their direction."""

ANSWERS = ("email_reply", "meeting")
"""The types of activities that are an answer by themselves."""


@dataclass(frozen=True)
class Cadence:
    """How often the leads of a tier are called, and how often in vain; None: without end."""

    every: timedelta
    attempts: int | None = None


@dataclass(frozen=True)
class Tried:
    """The attempts to reach a lead since it last answered, and when it was last called at all."""

    attempts: int = 0
    last: datetime | None = None


@dataclass(frozen=True)
class Call:
    """When a lead is to be called next; `not_called` says why never, and is empty else."""

    due: datetime | None
    not_called: str = ""


def attempts(events: Table, answered: Collection[str]) -> Table:
    """What was tried of each lead that was ever called: connection, lead_id, attempts, last.

    `events` are activities up to an instant; `answered` are the outcomes, in lower case, that say
    that a call was answered.
    """
    ours = (_.type == "call") & (_.direction != "inbound").fill_null(True)
    spoke = folded(_.outcome).isin(sorted(answered)).fill_null(False)
    reached = _.type.isin(ANSWERS) | ((_.type == "call") & (~ours | spoke))
    key = ["connection", "lead_id"]
    touches = events.select(*key, "occurred_at", ours=ours, reached=reached).filter(
        _.ours | _.reached
    )
    answers = touches.group_by(key).aggregate(heard=_.occurred_at.max(where=_.reached))
    both = touches.inner_join(answers, key).select(touches, answers.heard)
    in_vain = both.ours & (both.heard.isnull() | (both.occurred_at > both.heard))
    counted = both.group_by(key).aggregate(
        attempts=in_vain.cast("int64").sum(), last=both.occurred_at.max(where=both.ours)
    )
    return counted.filter(counted["last"].notnull())


def active(events: Table) -> Table:
    """When each lead did something last, what reps did left out: connection, lead_id, active_at."""
    theirs = events.filter(
        (_.direction != "outbound").fill_null(True), ~_.type.isin(OURS), _.lead_id != ""
    )
    return theirs.group_by("connection", "lead_id").aggregate(active_at=_.occurred_at.max())


def call(
    stage: str | None,
    tier: str | None,
    since: datetime,
    tried: Tried,
    cadences: Mapping[str, Cadence],
    answer: Answer | None = None,
    *,
    champion: bool = False,
) -> Call:
    """When a lead, as it is `since` some time, is to be called next. `answer` is what sales said
    of it since it was handed off; a `champion` is not called."""
    cadence = cadences.get(tier or "")
    if stage in RULED_OUT:
        return Call(None, stage or "")
    if champion:
        return Call(None, CHAMPION)
    if answer is not None and not answer.accepted:
        return Call(None, str(answer))
    if cadence is None:
        return Call(None, f"tier {tier} is not called" if tier else "without a tier")
    if cadence.attempts is not None and tried.attempts >= cadence.attempts:
        return Call(None, f"exhausted: {tried.attempts} attempts without an answer")
    return Call(tried.last + cadence.every if tried.last else since)
