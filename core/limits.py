"""Bounds of the parts of a score: of a part as a whole, and of the path that behaviour took.

A path is told as of now: from what each event is worth today, in the order in which events came.
A cap binds on the way: what is over it at an instant is not gained then.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ibis
from ibis.expr.types import IntegerColumn, Table
from pydantic import Field

from core.contributions import lost
from core.events import LEAD
from core.points import Grain, Part, Period, Points, units


class Limit(Part):
    """Bounds of the points of a whole part, before weighting."""

    cap: Points | None = Field(None, ge=0, description="The most it gives.")
    floor: Points | None = Field(None, le=0, description="The least it gives.")


class BehaviourLimit(Limit):
    """Bounds of the behaviour points: of all together, and on the way to them."""

    nightly_floor: Points | None = Field(
        None, le=0, description="No day in UTC ends below this: what is missing is forgiven."
    )
    until: Points | None = Field(
        None,
        gt=0,
        description="Events after the instant at which fit and behaviour have passed this do "
        "not count.",
    )

    @property
    def on_the_way(self) -> bool:
        """Whether it matters in which order events came."""
        return self.nightly_floor is not None or self.until is not None


class Limits(Part):
    """Bounds of the parts of a score."""

    fit: Limit = Field(Limit(), description="Bounds of all fit points together.")
    behaviour: BehaviourLimit = Field(
        BehaviourLimit(), description="Bounds of all behaviour points together."
    )


class Group(Part):
    """Behaviour rules that share a cap."""

    cap: Points = Field(ge=0, description="The most that its rules together give.")
    per: Period | None = Field(
        None, description="The cap holds anew in every calendar period; left out: over all time."
    )


def gains(events: Table, rules: Table, groups: Mapping[str, Group], grain: Grain) -> Table:
    """What behaviour gained at each instant: connection, lead_id, occurred_at, gain in grains.

    `events` have connection, lead_id, number of the rule, occurred_at, worth and, where a rule
    pays by the period, period. `rules` say of each number whether each event pays, its cap and
    its group. The gains of a lead add up to what its rules and the caps of groups give.
    """
    keys = [*LEAD, "number", *({"period"} & set(events.columns))]
    instants = events.group_by(*keys, "occurred_at").aggregate(
        total=events.worth.sum(), best=events.worth.max()
    )
    rows = instants.mutate(best=instants.best.max().over(_so_far(keys)))
    before = rows.best.lag().over(ibis.window(group_by=keys, order_by="occurred_at"))
    rows = rows.mutate(before=before.coalesce(0))
    rows = rows.join(rules, "number").select(rows, rules.each, rules.cap, rules.group)
    gain = rows.each.ifelse(rows.total, rows.best - rows.before)
    rows = _clipped(rows.mutate(gain=gain), [*LEAD, "number"])
    if groups:
        rows = _by_group(rows, groups, grain)
    return rows.group_by(*LEAD, "occurred_at").aggregate(gain=rows.gain.sum())


def _by_group(rows: Table, groups: Mapping[str, Group], grain: Grain) -> Table:
    """What each group gained at each instant, as far as its cap lets it."""
    caps = ((rows.group == name, grain.of(group.cap)) for name, group in groups.items())
    spells = [
        (rows.group == name, rows.occurred_at.truncate(group.per.unit))
        for name, group in groups.items()
        if group.per
    ]
    endless = ibis.null(rows.occurred_at.type())
    spelled = rows.mutate(
        cap=ibis.cases(*caps).cast("int64"), spell=ibis.cases(*spells) if spells else endless
    )
    keys = [*LEAD, "group", "spell"]
    sums = spelled.group_by(*keys, "cap", "occurred_at").aggregate(gain=spelled.gain.sum())
    return _clipped(sums, keys)


def _clipped(rows: Table, keys: Sequence[str]) -> Table:
    """What is gained of `gain` until the sum of each of the keys reaches its `cap`."""
    rows = rows.mutate(total=_running(rows, keys))
    before = rows.total - rows.gain
    kept = ibis.least(rows.total, rows.cap) - ibis.least(before, rows.cap)
    return rows.mutate(gain=rows.cap.isnull().ifelse(rows.gain, kept))


def path(limit: BehaviourLimit, grain: Grain, gained: Table, fit: Table | None) -> Iterator[Table]:
    """The contributions `limit:until` and `limit:nightly` of leads with these gains.

    `fit` has the contributions of the fit part; None: no lead has any. The day under way counts
    as one that has ended.
    """
    if limit.until is not None:
        level = _level(limit, grain, gained, fit)
        rows = level.mutate(passed=level.points.max().over(_so_far(LEAD)) > units(limit.until))
        gone = rows.filter(rows.passed)
        loss = gone.group_by(*LEAD).aggregate(loss=gone.gain.sum())
        yield lost(loss, "limit:until", grain)
        gained = rows.filter(~rows.passed)
    if limit.nightly_floor is not None:
        days = gained.group_by(*LEAD, occurred_at=gained.occurred_at.truncate("D"))
        sums = days.aggregate(gain=gained.gain.sum())
        totals = sums.mutate(total=_running(sums, LEAD))
        floor = grain.of(limit.nightly_floor)
        lowest = totals.group_by(*LEAD).aggregate(loss=totals.total.min() - floor)
        yield lost(lowest.filter(lowest.loss < 0), "limit:nightly", grain)


def _level(limit: BehaviourLimit, grain: Grain, gained: Table, fit: Table | None) -> Table:
    """The gains with the `points` of fit and behaviour, in units, just before each of them."""
    rows = gained.mutate(total=_running(gained, LEAD))
    before = rows.total - rows.gain
    if limit.nightly_floor is not None:
        floor = grain.of(limit.nightly_floor)
        order = ibis.window(group_by=LEAD, order_by="occurred_at")
        day = rows.occurred_at.truncate("D")
        last = day.lead().over(order) != day
        rows = rows.mutate(ended=last.fill_null(False).ifelse(rows.total, None))
        earlier = ibis.window(group_by=LEAD, order_by="occurred_at", preceding=(None, 1))
        lowest = rows.ended.min().over(earlier)
        forgiven = (lowest < floor).fill_null(False).ifelse(floor - lowest, 0)
        before = rows.total - rows.gain + forgiven
    rows = rows.mutate(points=before * grain.raw)
    if fit is None:
        return rows
    counts = fit.raw - fit.decay_loss - fit.cap_loss
    sums = fit.group_by(*LEAD).aggregate(fit=counts.sum())
    joined = rows.left_join(sums, LEAD).select(rows, sums.fit)
    return joined.mutate(points=joined.points + joined.fit.coalesce(0))


def _running(rows: Table, keys: Sequence[str]) -> IntegerColumn:
    """The sum of `gain` up to each instant; a key has one row for an instant."""
    return rows.gain.sum().over(_so_far(keys))


def _so_far(keys: Sequence[str]) -> Any:
    return ibis.cumulative_window(group_by=keys, order_by="occurred_at")
