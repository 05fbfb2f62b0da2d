"""Points for how long something has held: a field of the lead, or the stage we gave it.

How long a condition has held is read from the versions of the lead: since the first of the
unbroken run of versions, up to now, in which it holds; its account counts as it is now. What it
asks of the past has held since the stage was decided, and since the lead last became qualified.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Self

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import IntegerValue, Table, Value
from pydantic import Field, model_validator

from core.conditions import LeadCondition
from core.contributions import NO_EVENTS, contributions, matched
from core.facts import TIME
from core.points import Duration, Part, Points, RuleId, units

_BEGAN = {"past.stage": "past.since", "past.mqls": "past.qualified"}
"""Since when what a condition asks of the past has been so."""

_SPAN = ("valid_from", "valid_to")
_KEYS = ("connection", "lead_id", "number")


class AgeingRule(Part):
    """Points for how long a condition has held without a break."""

    id: RuleId = Field(description="Name of the rule, as explanations show it.")
    points: Points = Field(description="Points it gives; negative takes away.")
    when: LeadCondition = Field(description="What must hold all that time.")
    after: Duration | None = Field(None, description="Once, when it has held for so long.")
    every: Duration | None = Field(None, description="Again for every such span it has held.")
    cap: Points | None = Field(
        None, gt=0, description="The most points that all spans together give, or take."
    )

    @property
    def step(self) -> timedelta:
        """The time after which the points change, and with `every` change again."""
        found = self.after or self.every
        assert found is not None, "a rule has one of the two"
        return found

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.after is None) == (self.every is None):
            raise ValueError("an ageing rule needs either after or every")
        if not self.points:
            raise ValueError("an ageing rule needs points")
        if self.cap is not None and self.after is not None:
            raise ValueError("cap needs every: what counts once is its own cap")
        if self.cap is not None and self.cap < abs(self.points):
            raise ValueError(
                f"cap {self.cap:f} is below the {abs(self.points):f} points of one span"
            )
        return self


def columns(rules: Iterable[AgeingRule]) -> frozenset[str]:
    """The columns of the versions of leads that these rules read."""
    asked = frozenset[str]().union(*(rule.when.columns() for rule in rules))
    return asked | frozenset(_SPAN) | {_BEGAN[name] for name in asked & _BEGAN.keys()}


def ageing(rules: Sequence[AgeingRule], versions: Table, at: datetime) -> Table:
    """The contributions of ageing rules as of `at`.

    `versions`: connection, lead_id and `columns(rules)` of every version of a lead that began by
    `at`. A span is over at the exact second.
    """
    rows = _held(rules, versions, at)
    amount = _spans(rows, at) * rows.size
    counted = rows.mutate(amount=amount, kept=(amount > rows.cap).ifelse(rows.cap, amount))
    return contributions(
        counted.filter(counted.amount > 0),
        part=ibis.literal("ageing"),
        raw=_.amount * _.sign,
        decay_loss=ibis.literal(0, "int64"),
        cap_loss=(_.amount - _.kept) * _.sign,
        points=_.kept * _.sign,
        **NO_EVENTS,
    )


def due(rules: Sequence[AgeingRule], versions: Table, since: datetime, at: datetime) -> Table:
    """The leads for which a span of a rule ends after `since`, at or before `at`, so that time
    alone changes their points: connection, lead_id. `versions` as for `ageing`."""
    rows = _held(rules, versions, at)
    return rows.filter(_spans(rows, at) != _spans(rows, since)).select(*_KEYS[:2]).distinct()


def _held(rules: Sequence[AgeingRule], versions: Table, at: datetime) -> Table:
    """Each lead and rule whose condition holds at `at`, with its `start` and the rule's terms."""
    times = (*_SPAN, *_BEGAN.values())
    signatures = versions.select(
        *(c for c in versions.columns if c not in ("connection", "lead_id", *times))
    ).distinct()
    asked = ([(rule.when.holds(signatures), number)] for number, rule in enumerate(rules))
    found = matched(versions, signatures, asked)
    order = ibis.window(group_by=_KEYS, order_by=found.valid_from)
    before = found.valid_to.lag().over(order)
    found = found.mutate(
        first=before.isnull() | (before != found.valid_from),
        open=found.valid_to.isnull() | (found.valid_to > ibis.literal(at, type=TIME)),
    )
    runs = found.group_by(*_KEYS).aggregate(
        start=found.valid_from.max(where=found["first"]),
        open=found.open.any(),
        **{began: found[began].max() for began in _BEGAN.values() if began in found.columns},
    )
    for asks, began in _BEGAN.items():
        if began in runs.columns:
            numbers = [n for n, rule in enumerate(rules) if asks in rule.when.columns()]
            later = runs.number.isin(numbers) & (runs[began] > runs.start)
            runs = runs.mutate(start=later.ifelse(runs[began], runs.start))
    return runs.filter(runs.open).join(_terms(rules), "number")


def _spans(rows: Table, at: datetime) -> IntegerValue:
    """How many spans are over at `at`."""
    spans = (ibis.literal(int(at.timestamp())) - _second(rows.start)) // rows.step
    return (spans > rows.most).ifelse(rows.most, spans).cast("int64")


def _second(moment: Value) -> Value:
    """The first whole second at or after an instant."""
    whole = moment.truncate("s")
    return whole.epoch_seconds() + (moment > whole).cast("int64")


def _terms(rules: Sequence[AgeingRule]) -> Table:
    """What holds of each rule: its `step` in seconds, the `most` spans that count (null: all), the
    `size` and `sign` of its points, and its `cap`, in units."""

    def row(number: int, rule: AgeingRule) -> dict[str, Any]:
        return {
            "number": number,
            "rule": rule.id,
            "step": int(rule.step.total_seconds()),
            "most": 1 if rule.after else None,
            "size": abs(units(rule.points)),
            "sign": 1 if rule.points > 0 else -1,
            "cap": None if rule.cap is None else units(rule.cap),
        }

    numbers = {name: pa.int64() for name in ("step", "most", "size", "sign", "cap")}
    schema = pa.schema({"number": "int32", "rule": "string", **numbers})
    rows = [row(number, rule) for number, rule in enumerate(rules)]
    return ibis.memtable(pa.Table.from_pylist(rows, schema))
