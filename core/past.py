"""What was decided before, as an argument of what is decided now, and all that rests on it.

A decision takes the past as it was just before its instant: the last stage of every lead, how
often it became qualified, when it last left, what people have overridden by hand, and whom sales
accepted. So a lead keeps its stage while its score dips (`keep`), does not come back too soon
(`cool_down`), and a replay with the past of its date says what was said then.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Self

import ibis
from ibis.expr.types import BooleanValue, Table, Value
from pydantic import Field

from core.conditions import Condition
from core.contributions import NO_EVENTS, contributions
from core.decision import UNIT
from core.facts import TIME
from core.points import Part, Points, units
from core.stages import QUALIFIED

STAGES = ibis.schema(
    {
        "connection": "string",
        "lead_id": "string",
        "stage": "string",
        "since": TIME,
        "mqls": "int64",
        "qualified": TIME,
        "left": TIME,
    }
)
"""What was decided of each lead that ever had a stage: the last `stage` (null: none) and `since`
when, `mqls`: how many times it became qualified, when it last became `qualified`, and when it last
`left` the qualified stages."""

SPELLS = ibis.schema(
    {
        "connection": "string",
        "lead_id": "string",
        "stage": "string",
        "mqls": "int64",
        "since": TIME,
        "until": TIME,
    }
)
"""Every `stage` that was decided of a lead (null: none), `since` when and `until` when (null: to
this day), and how many times it had become qualified by then, as `mqls`."""

OVERRIDES = ibis.schema(
    {
        "connection": "string",
        "lead_id": "string",
        "points": "int64",
        "score": "int64",
        "stage": "string",
    }
)
"""What people decided by hand and is in force, at most one row for each lead; one of the last
three columns is given: points to add, the score, both in units of 1/10,000 point, or the stage;
none of them: the lead is usable, whatever hygiene finds."""

ACCEPTED = ibis.schema({"connection": "string", "lead_id": "string"})
"""The leads that sales has said it accepts, and has not rejected since."""

PREFIX = "past."
NO_STAGE = "none"
"""How conditions call the stage of a lead that has none: our own past is never unknown."""

_NEVER: Mapping[str, Value] = {
    "stage": ibis.literal(NO_STAGE),
    "mqls": ibis.literal(0, "int64"),
    "since": ibis.null(TIME),
    "qualified": ibis.null(TIME),
}


@dataclass(frozen=True)
class Past:
    """What was decided before an instant: the columns of STAGES, of OVERRIDES (None: none is
    in force), of SPELLS (None: nobody ever had another stage than the last), and of ACCEPTED
    (None: nobody is, or no model asks)."""

    stages: Table
    overrides: Table | None = None
    spells: Table | None = None
    accepted: Table | None = None


class Kind(StrEnum):
    """What a person decides by hand."""

    POINTS = "points"
    SCORE = "score"
    STAGE = "stage"
    USABLE = "usable"


@dataclass(frozen=True)
class Override:
    """A person's word on one lead, in force from `at` until it is removed, or `until`.

    `value` is a number of points, or a stage; "yes" for one that is usable. `reason` and `by` are
    that person's own words.
    """

    connection: str
    lead_id: str
    kind: Kind
    value: str
    reason: str
    by: str
    at: datetime
    until: datetime
    removed_at: datetime | None = None
    removed_by: str | None = None

    def __str__(self) -> str:
        what = f"{self.kind} {self.value}"
        if self.kind is Kind.POINTS:
            what = f"{Decimal(self.value):+f} points"
        if self.kind is Kind.USABLE:
            what = "usable"
        return f"{what} by {self.by} until {self.until:%Y-%m-%d %H:%M} UTC: {self.reason}"


@dataclass(frozen=True)
class Answer:
    """What sales made of a lead that it was handed in a `cycle`; `reason` and `by` are a person's
    own words. `stage` and `score` (in units) are what leadgauge held of it then."""

    connection: str
    lead_id: str
    cycle: int
    accepted: bool
    reason: str
    by: str
    at: datetime
    stage: str | None
    score: int

    def __str__(self) -> str:
        what = "accepted" if self.accepted else "rejected"
        return f"{what} by {self.by}" + (f": {self.reason}" if self.reason else "")

    @property
    def machine(self) -> str:
        """What leadgauge held of the lead then."""
        return f"{self.stage or 'no stage'}, {Decimal(self.score) / UNIT:f} points"


@dataclass(frozen=True)
class Surge:
    """A fast `rise` of a score, in units of 1/10,000 point, seen at an instant."""

    rise: int
    at: datetime

    def __str__(self) -> str:
        return f"{Decimal(self.rise) / UNIT:+f} points, seen at {self.at:%Y-%m-%d %H:%M} UTC"


def surge(
    scores: Sequence[tuple[datetime, int]], score: int, at: datetime, within: timedelta
) -> int:
    """By how much a `score` at an instant is above the lowest of the time `within` before it.

    `scores` are those decided before it, oldest first, each in force until the next. 0: there are
    none, so nothing rose.
    """
    start = at - within
    recent = [value for then, value in scores if then > start]
    older = [value for then, value in scores if then <= start]
    lowest = min([*older[-1:], *recent], default=score)
    return score - lowest


@dataclass(frozen=True)
class History:
    """What one lead went through before an instant.

    `stage` was decided last (None: none), at `since`; it became qualified `mqls` times, and last
    `left` the qualified stages; `cooling` is until when it cannot be qualified again. `handoffs`
    are the instants it was handed to sales, oldest first; `override` is what is in force by hand,
    `answer` what sales said of it last, `surge` the last fast rise of its score.
    """

    stage: str | None = None
    since: datetime | None = None
    mqls: int = 0
    left: datetime | None = None
    handoffs: tuple[datetime, ...] = ()
    override: Override | None = None
    cooling: datetime | None = None
    answer: Answer | None = None
    surge: Surge | None = None

    def cooled(self, cool_down: timedelta | None, at: datetime) -> Self:
        """This history as of `at` under a model's cool-down."""
        if cool_down is None or self.left is None or self.stage in QUALIFIED:
            return self
        end = self.left + cool_down
        return replace(self, cooling=end) if end > at else self


class Keep(Part):
    """The scores below which a stage that a lead already has is lost again."""

    mql: Points | None = Field(
        None, gt=0, description="A qualified lead stays one from here; left out: as thresholds.mql."
    )
    sql: Points | None = Field(
        None, gt=0, description="An SQL stays one from here; left out: as thresholds.sql."
    )

    def misplaced(self, mql: Decimal, sql: Decimal) -> str | None:
        """What is wrong with these beside the thresholds."""
        for name, kept, start in (("mql", self.mql, mql), ("sql", self.sql, sql)):
            if kept is not None and kept >= start:
                return f"keep.{name} {kept:f} must be below {name} {start:f}"
        least = self.mql or mql
        if self.sql is not None and self.sql <= least:
            return f"keep.sql {self.sql:f} must be above the {least:f} that keeps an mql"
        return None


def asks(conditions: Iterable[Condition]) -> bool:
    """Whether any condition reads what was decided before."""
    return any(name.startswith(PREFIX) for when in conditions for name in when.columns())


def spells(past: Past) -> Table:
    """The SPELLS of every lead that ever had a stage, from the time on when it had none yet, which
    has no `since`."""
    had = past.spells
    if had is None:
        had = past.stages.mutate(until=ibis.null(TIME)).select(*SPELLS)
    first = had.group_by("connection", "lead_id").aggregate(until=had.since.min())
    never = {"stage": ibis.null("string"), "mqls": ibis.literal(0, "int64")}
    begun = first.mutate(**never, since=ibis.null(TIME)).select(*SPELLS)
    return had.select(*SPELLS).cast(SPELLS).union(begun.cast(SPELLS))


def column(stages: Table | None, name: str) -> Value:
    """A column that conditions call `past.<name>`; None, or no row: nothing was ever decided."""
    if stages is None:
        return _NEVER[name]
    return stages[PREFIX + name].coalesce(_NEVER[name])


def remembered(scores: Table, past: Past) -> Table:
    """`scores` with the stage that each lead `had`, and when it last `left` the qualified ones."""
    known = past.stages.select("connection", "lead_id", "left", had="stage")
    rows = scores.left_join(known, ["connection", "lead_id"])
    return rows.select(scores, known.had, known.left)


def start(threshold: Decimal, kept: Decimal | None, had: Value, stages: tuple[str, ...]) -> Value:
    """The score, in units, from which a lead has a stage: less for one that had one of `stages`."""
    if kept is None:
        return ibis.literal(units(threshold))
    return had.isin(stages).ifelse(units(kept), units(threshold))


def cooling(rows: Table, cool_down: timedelta, at: datetime) -> BooleanValue:
    """Whether a lead's `stage` would make it qualified again too soon after it left."""
    back = rows.stage.isin(QUALIFIED) & ~rows.had.isin(QUALIFIED).fill_null(False)
    return (back & (rows.left > ibis.literal(at - cool_down, type=TIME))).fill_null(False)


def interval(duration: timedelta) -> Any:
    """A duration to add to an instant."""
    return ibis.interval(seconds=int(duration.total_seconds()))


def overridden(overrides: Table, lines: Table) -> Table:
    """The contribution `override` of each lead that a person decided about.

    `lines` are all other contributions: a score that is set is what they lack or have too much.
    A stage that is set gives no points.
    """
    sums = lines.group_by("connection", "lead_id").aggregate(sum=lines.points.sum())
    rows = overrides.left_join(sums, ["connection", "lead_id"]).select(
        overrides, sum=sums["sum"].coalesce(0)
    )
    points = rows.score.isnull().ifelse(rows.points.coalesce(0), rows.score - rows["sum"])
    return contributions(
        rows,
        rule=ibis.literal("override"),
        part=ibis.literal("override"),
        raw=points,
        decay_loss=ibis.literal(0, "int64"),
        cap_loss=ibis.literal(0, "int64"),
        points=points,
        **NO_EVENTS,
    )


def due(
    stages: Table, cool_down: timedelta | None, since: datetime, at: datetime, *, asked: bool
) -> Iterator[Table]:
    """The leads of which the past alone can change what was decided at `since`, if it is decided
    again at `at`: connection, lead_id.

    Their cool-down ends after `since`, and by `at`; or, where conditions `asked` for past stages,
    their stage changed at `since` or later, which the decision at `since` did not know. `keep`
    needs nothing: by equal facts a lead keeps just what it was given. Ageing by past stages is
    found by `core.ageing.due`, overrides and answers by the ledger.
    """
    named = stages.select("connection", "lead_id", "since", "left")
    if asked:
        moved = named.filter(named.since >= ibis.literal(since, type=TIME))
        yield moved.select("connection", "lead_id")
    if cool_down is not None:
        ended = named.filter(
            named.left > ibis.literal(since - cool_down, type=TIME),
            named.left <= ibis.literal(at - cool_down, type=TIME),
        )
        yield ended.select("connection", "lead_id")
