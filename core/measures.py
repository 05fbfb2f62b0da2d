"""Measures: points for all matching activities of a lead together.

How many there were, what share of others they are, how long the lead has been silent since, how
much time it spent. Amounts are whole numbers, and a share is compared by cross-multiplication,
so no threshold is decided by a rounded number.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Self

import ibis
import pyarrow as pa
from ibis.expr.types import BooleanValue, Table, Value
from pydantic import AfterValidator, Field, model_validator

from core.conditions import ActivityCondition
from core.contributions import contributions
from core.events import LEAD, matches, seconds_old
from core.facts import TIME
from core.points import Duration, Grain, Part, Points, RuleId


def _rising(steps: dict[Decimal, Decimal]) -> dict[Decimal, Decimal]:
    if any(low >= high for low, high in pairwise(steps)):
        raise ValueError("must be listed lowest first, each beginning above the one before")
    return {start.normalize(): points for start, points in steps.items()}


Start = Annotated[Decimal, Field(ge=0, max_digits=15, decimal_places=6)]
Steps = Annotated[dict[Start, Points], Field(min_length=1), AfterValidator(_rising)]

KINDS = ("count", "share", "silence", "duration")


class Measure(Part):
    """Points for all matching activities of a lead together: by exactly one kind of measure."""

    id: RuleId = Field(description="Name of the rule, as explanations show it.")
    count: ActivityCondition | None = Field(None, description="Measures how many of these are.")
    share: ActivityCondition | None = Field(
        None, description="Measures how many of these are to those that `of` names."
    )
    of: ActivityCondition | None = Field(
        None, description="What the share is of; where there is none, the share is unknown."
    )
    silence: ActivityCondition | None = Field(
        None, description="Measures whole days since the last of these; unknown without any."
    )
    duration: ActivityCondition | None = Field(
        None, description="Measures how many seconds these took; unknown where none says."
    )
    within: Duration | None = Field(None, description="Older events do not count at all.")
    steps: Steps | None = Field(
        None, description="What is reached, lowest first, and its points: the highest step pays."
    )
    every: int | None = Field(
        None, ge=1, description="Pays `points` each time that so many are full."
    )
    points: Points | None = Field(None, description="Points of each `every`; negative takes away.")
    cap: Points | None = Field(
        None, gt=0, description="The most points that `every` gives, or takes."
    )

    @property
    def kind(self) -> str:
        """What is measured."""
        return next(kind for kind in KINDS if getattr(self, kind))

    @property
    def conditions(self) -> list[ActivityCondition]:
        """What is measured, and for a share what it is of."""
        return [c for c in (getattr(self, self.kind), self.of) if c]

    @property
    def amounts(self) -> list[Decimal]:
        """Every number of points that the model says here."""
        given = (self.points, self.bound, *(self.steps or {}).values())
        return [points for points in given if points is not None]

    @property
    def bound(self) -> Decimal | None:
        """What `every` comes to at its cap: below zero where it takes points."""
        if self.cap is None or self.points is None:
            return None
        return self.cap.copy_sign(self.points)

    @property
    def most(self) -> Decimal | None:
        """The most points that it gives, 0 if it only takes; None: no end to it."""
        return max(Decimal(0), *self.amounts) if self._ends(1) else None

    @property
    def least(self) -> Decimal | None:
        """The least points that it gives, 0 if it never takes any; None: no end to it."""
        return min(Decimal(0), *self.amounts) if self._ends(-1) else None

    def _ends(self, sign: int) -> bool:
        return not self.points or self.points * sign < 0 or self.cap is not None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        given = [kind for kind in KINDS if getattr(self, kind)]
        if len(given) != 1:
            yield f"a measure has one of {', '.join(KINDS)}; here: {', '.join(given) or 'none'}"
        if bool(self.share) != bool(self.of):
            yield "share and of go together: share: {type: email_open}, of: {type: email_sent}"
        if (self.steps is None) == (self.every is None):
            yield "a measure pays either by steps or by every"
        if (self.every is None) != (self.points is None):
            yield "every and points go together; steps name their own points"
        if self.every and self.share:
            yield "a share pays by steps, not by every"
        if self.cap is not None and self.points is None:
            yield "cap needs every; steps end by themselves"
        if self.cap is not None and self.points and self.cap < abs(self.points):
            yield f"cap {self.cap:f} is below the {abs(self.points):f} points of one {self.every}"
        if (self.count or self.duration) and self.steps and 0 in self.steps:
            yield "a step at 0 needs share or silence: where nothing happened, nothing is measured"


def measured(
    measures: Sequence[Measure], grain: Grain, activities: Table, events: Table, at: datetime
) -> Table:
    """The contributions of all measures as of `at`.

    Their evidence are the activities measured; of a share, those above the line. Nothing is
    contributed by what is unknown, or has not reached the first step.
    """
    rows = _amounts(measures, activities, events, at)
    worth = [case for number, m in enumerate(measures) for case in _worth(number, m, grain, rows)]
    names = ibis.cases(*((rows.measure == n, m.id) for n, m in enumerate(measures)))
    rows = rows.mutate(
        rule=names,
        gross=ibis.cases(*((holds, gross) for holds, gross, _kept in worth)).cast("int64"),
        kept=ibis.cases(*((holds, kept) for holds, _gross, kept in worth)).cast("int64"),
    )
    reached = rows.filter(rows.gross.notnull())
    return contributions(
        reached,
        part=ibis.literal("behaviour"),
        raw=reached.gross * grain.raw,
        decay_loss=ibis.literal(0, "int64"),
        cap_loss=(reached.gross - reached.kept) * grain.raw,
        points=reached.kept * grain.weighted,
    )


def known(measures: Sequence[Measure], activities: Table, events: Table, at: datetime) -> Table:
    """The measures that the facts decide for each lead: connection, lead_id, rule."""
    rows = _amounts(measures, activities, events, at)
    names = ibis.cases(*((rows.measure == n, m.id) for n, m in enumerate(measures)))
    return rows.select(*LEAD, rule=names)


def _amounts(measures: Sequence[Measure], activities: Table, events: Table, at: datetime) -> Table:
    """What each measure comes to for each lead where it is known: `amount` of `whole`s."""
    asked = [(number, m, c) for number, m in enumerate(measures) for c in m.conditions]
    terms = [
        {
            "number": place,
            "measure": number,
            "above": condition is not measure.of,
            "since": at - measure.within if measure.within else None,
        }
        for place, (number, measure, condition) in enumerate(asked)
    ]
    kinds = {"number": "int32", "measure": "int32", "above": "bool", "since": TIME.to_pyarrow()}
    table = ibis.memtable(pa.Table.from_pylist(terms, pa.schema(kinds)))
    conditions = [condition for _number, _measure, condition in asked]
    found = matches(activities, events, conditions, {"duration"}).join(table, "number")
    found = found.filter(found.since.isnull() | (found.occurred_at >= found.since))
    latest = ibis.struct({"at": found.occurred_at, "id": found.id})
    sums = found.group_by(*LEAD, "measure").aggregate(
        events=found.above.sum(),
        others=(~found.above).sum(),
        seconds=found.duration.sum(where=found.above),
        first=found.occurred_at.min(where=found.above),
        last=found.occurred_at.max(where=found.above),
        evidence=found.id.argmax(latest, where=found.above),
    )
    amounts = {
        "count": sums.events,
        "share": (sums.others > 0).ifelse(sums.events, None),
        # By the same whole days as gradual decay.
        "silence": seconds_old(sums["last"], at) // 86_400,
        "duration": sums.seconds,
    }
    by_kind = [(sums.measure == n, amounts[m.kind]) for n, m in enumerate(measures)]
    rows = sums.mutate(
        amount=ibis.cases(*by_kind),
        whole=(sums.others > 0).ifelse(sums.others, 1),
    )
    return rows.filter(rows.amount.notnull())


def _worth(
    number: int, measure: Measure, grain: Grain, rows: Table
) -> Iterator[tuple[BooleanValue, Any, Any]]:
    """When a measure pays, and what: before its cap, and after; the first that holds counts."""
    mine = rows.measure == number
    for start, points in reversed((measure.steps or {}).items()):
        top, bottom = start.as_integer_ratio()
        reached = rows.amount * bottom >= rows.whole * top
        yield mine & reached, grain.of(points), grain.of(points)
    if measure.every and measure.points is not None:
        times = rows.amount // measure.every
        gross = times * grain.of(measure.points)
        yield mine & (times > 0), gross, _held(gross, measure, grain)


def _held(gross: Value, measure: Measure, grain: Grain) -> Value:
    if measure.bound is None:
        return gross
    nearer = ibis.least if measure.bound > 0 else ibis.greatest
    return nearer(gross, grain.of(measure.bound))
