"""Points for how long something has held: a field of the lead, or the stage we gave it.

How long a condition has held is read from the versions of the lead: since the first of the
unbroken run of versions, up to now, in which it holds; its account counts as it is now. What it
asks of qualifications has held since the lead last became qualified.

What it asks of the stage held while that stage was the decided one. Its points may end that very
stage, so every run in which such a condition held counts, those that are over too, and those of
records that were merged or converted into the lead: what is taken stays taken.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Self

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import IntegerValue, Table, Value
from pydantic import Field, model_validator

from core.conditions import LeadCondition
from core.contributions import NO_EVENTS, contributions, matched
from core.facts import LEADS, TIME
from core.past import NO_STAGE, Past, spells
from core.points import Duration, Part, Points, RuleId, units

_STAGE, _MQLS, _QUALIFIED = "past.stage", "past.mqls", "past.qualified"
_SPAN = ("valid_from", "valid_to")
_LEAD = ("connection", "lead_id")
_KEYS = (*_LEAD, "number")


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
    def lasts(self) -> bool:
        """Whether its points stay when the condition holds no more: it asks for a decided stage."""
        return _STAGE in self.when.columns()

    @property
    def most(self) -> Decimal | None:
        """The most points it gives, or takes, in all; None: no end to it."""
        once = self.after is not None and not self.lasts
        return abs(self.points) if once else self.cap

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
        if self.cap is not None and self.after is not None and not self.lasts:
            raise ValueError("cap needs every: what counts once is its own cap")
        if self.cap is not None and self.cap < abs(self.points):
            raise ValueError(
                f"cap {self.cap:f} is below the {abs(self.points):f} points of one span"
            )
        return self


def columns(rules: Iterable[AgeingRule]) -> frozenset[str]:
    """The columns of the versions of leads that these rules read; past stages come by spells."""
    asked = frozenset[str]().union(*(rule.when.columns() for rule in rules))
    began = {_QUALIFIED} if _MQLS in asked else set()
    return (asked | frozenset(_SPAN) | began) - {_STAGE}


def ageing(
    rules: Sequence[AgeingRule], versions: Table, aliases: Table, at: datetime, past: Past | None
) -> Table:
    """The contributions of ageing rules as of `at`.

    `versions`: connection, lead_id and `columns(rules)` of every version of a lead that began by
    `at`. `aliases`: which record stands for which by then (`core.facts.ALIASES`). A span is over at
    the exact second.
    """
    runs = _held(rules, versions, aliases, at, past)
    rows = runs.group_by(*_KEYS, "rule", "size", "sign", "cap").aggregate(
        amount=(_spans(runs, at) * runs.size).sum()
    )
    counted = rows.mutate(kept=(rows.amount > rows.cap).ifelse(rows.cap, rows.amount))
    return contributions(
        counted.filter(counted.amount > 0),
        part=ibis.literal("ageing"),
        raw=_.amount * _.sign,
        decay_loss=ibis.literal(0, "int64"),
        cap_loss=(_.amount - _.kept) * _.sign,
        points=_.kept * _.sign,
        **NO_EVENTS,
    )


def due(
    rules: Sequence[AgeingRule],
    versions: Table,
    aliases: Table,
    since: datetime,
    at: datetime,
    past: Past | None,
) -> Table:
    """The leads for which a span of a rule ends after `since`, at or before `at`, so that time
    alone changes their points: connection, lead_id. The rest as for `ageing`."""
    rows = _held(rules, versions, aliases, at, past)
    return rows.filter(_spans(rows, at) != _spans(rows, since)).select(*_LEAD).distinct()


def _held(
    rules: Sequence[AgeingRule], versions: Table, aliases: Table, at: datetime, past: Past | None
) -> Table:
    """The unbroken runs in which the condition of a rule held for a lead: `start`, `end`, whether
    it is `open` at `at`, and the rule's terms. Of rules that do not last, the open runs alone."""
    numbered = dict(enumerate(rules))
    lasting = {number: rule for number, rule in numbered.items() if rule.lasts}
    passing = {number: rule for number, rule in numbered.items() if not rule.lasts}
    parts = []
    if passing:
        runs = _runs(passing, versions, at)
        parts.append(runs.filter(runs.open))
    if lasting:
        parts.append(_runs(lasting, _handed_down(versions, aliases, past), at))
    return ibis.union(*parts).join(_terms(rules), "number")


def _runs(rules: Mapping[int, AgeingRule], versions: Table, at: datetime) -> Table:
    """The runs of versions without a gap in which the condition of a rule holds. Versions of one
    lead overlap where it stands for another that was there beside it: that time counts once."""
    signatures = versions.drop(*{*_LEAD, *_SPAN, _QUALIFIED} & {*versions.columns}).distinct()
    asked = ([(rule.when.holds(signatures), number)] for number, rule in rules.items())
    found = matched(versions, signatures, asked)
    order = {"group_by": _KEYS, "order_by": found.valid_from}
    ends = found.valid_to.coalesce(ibis.literal(datetime.max.replace(tzinfo=UTC), type=TIME))
    before = ends.max().over(ibis.window(**order, preceding=(None, 1)))
    found = found.mutate(first=(before.isnull() | (before < found.valid_from)).cast("int64"))
    found = found.mutate(
        run=found["first"].sum().over(ibis.cumulative_window(**order)),
        open=found.valid_to.isnull() | (found.valid_to > ibis.literal(at, type=TIME)),
        began=found.valid_from,
    )
    asking = [n for n, rule in rules.items() if _MQLS in rule.when.columns()]
    if asking and _QUALIFIED in found.columns:
        later = found.number.isin(asking) & (found[_QUALIFIED] > found.began)
        found = found.mutate(began=later.ifelse(found[_QUALIFIED], found.began))
    return found.group_by(*_KEYS, "run").aggregate(
        start=found.began.min(), end=found.valid_to.max(), open=found.open.any()
    )


def _handed_down(versions: Table, aliases: Table, past: Past | None) -> Table:
    """The versions with their stages (`_staged`); those of records that were merged or converted
    are the survivor's."""
    gone = aliases.filter(_.table_name == LEADS.name).select("connection", "survivor", gone="id")
    if past is not None:
        versions = versions.union(_lost(versions, gone, spells(past)))
    staged = _staged(versions, past)
    named = staged.left_join(gone, ["connection", ("lead_id", "gone")])
    kept = {name: staged[name] for name in staged.columns}
    whose = named.survivor.coalesce(staged.lead_id)
    return named.select(**(kept | {"lead_id": whose})).view()


def _lost(versions: Table, gone: Table, had: Table) -> Table:
    """A version of each record that is gone, had stages, and of which no version is held, as facts
    were pulled anew: until its last stage ended it was as its survivor is first known to be."""
    ended = had.group_by("connection", gone="lead_id").aggregate(ended=had.until.max())
    lost = gone.join(ended.filter(ended.ended.notnull()), ["connection", "gone"])
    lost = lost.anti_join(versions, ["connection", ("gone", "lead_id")])
    # As a column: what Ibis makes of a filter by a window, Spark does not understand.
    dated = versions.mutate(first=versions.valid_from.min().over(ibis.window(group_by=_LEAD)))
    oldest = dated.filter(dated.valid_from == dated["first"])
    found = oldest.join(lost, ["connection", ("lead_id", "survivor")])
    began = (found.valid_from > found.ended).ifelse(found.ended, found.valid_from)
    told = {"lead_id": found.gone, "valid_from": began, "valid_to": found.ended}
    columns = {name: found[name] for name in versions.columns} | told
    return found.select(**columns).cast(versions.schema())


def _staged(versions: Table, past: Past | None) -> Table:
    """Versions cut where the decided stage changed: each part with the stage of its own time, and
    how often the lead had been qualified by then.

    A lead that was decided about was there: before the first version that is held of it, facts may
    have been pulled anew, it was as that one says.
    """
    if past is None:
        return versions.mutate(**{_STAGE: ibis.literal(NO_STAGE)})
    lead = ibis.window(group_by=_LEAD)
    had = spells(past)
    had = had.mutate(first=had.since.min().over(lead)).rename("had_{name}")
    held = versions.mutate(oldest=versions.valid_from == versions.valid_from.min().over(lead))
    joined = held.left_join(had, [held[key] == had[f"had_{key}"] for key in _LEAD])
    early = (joined.oldest & (joined.had_first < joined.valid_from)).fill_null(False)
    joined = joined.mutate(valid_from=early.ifelse(joined.had_first, joined.valid_from))
    met = joined.filter(
        (joined.had_since < joined.valid_to).fill_null(True),
        (joined.had_until > joined.valid_from).fill_null(True),
    )
    later = (met.had_since > met.valid_from).fill_null(False)
    sooner = (met.had_until < met.valid_to).fill_null(met.valid_to.isnull())
    cut: dict[str, Value] = {
        "valid_from": later.ifelse(met.had_since, met.valid_from),
        "valid_to": sooner.ifelse(met.had_until, met.valid_to),
        _STAGE: met.had_stage.coalesce(ibis.literal(NO_STAGE)),
    }
    if _MQLS in versions.columns:
        cut[_MQLS] = met.had_mqls.coalesce(0)
    kept = {name: met[name] for name in versions.columns if name != _QUALIFIED}
    return met.select(**(kept | cut)).view()


def _spans(rows: Table, moment: datetime) -> IntegerValue:
    """How many spans of each run are over at an instant."""
    now = ibis.literal(int(moment.timestamp()))
    ended = rows.end.truncate("s").epoch_seconds()
    stop = (rows.open | (ended > now)).ifelse(now, ended)
    spans = ((stop - _second(rows.start)) // rows.step).clip(lower=0)
    return (spans > rows.most).ifelse(rows.most, spans)


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
