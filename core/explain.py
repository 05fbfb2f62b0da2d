"""Why a lead has its score: every point of one lead, and a line of text for every lead."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import reduce
from operator import add
from types import MappingProxyType
from typing import Any

import ibis
from ibis import _
from ibis.expr.types import StringValue, Table, Value

from core.completeness import Completeness
from core.decision import UNIT
from core.flags import Flag, flags
from core.gates import Standing
from core.hygiene import Found
from core.icp import Match
from core.past import History
from core.profile import Profile
from core.provenance import Origin, Said, Sourced
from core.rules import Model
from core.scoring import Scored
from core.stages import Stage

SHOWN = 5
"""Contributions a reason names one by one."""

LONGEST = 255
"""Characters of a CRM text field. Five rules with ids of 32 characters fit it, unless points
run to many digits: then the end is cut off."""


def reasons(scored: Scored) -> Table:
    """One line for each lead: connection, lead_id, reason (at most 255 characters).

    `107: industry-technology +20, pricing-page +20, ... , 4 more +27` names the score, then the
    biggest contributions first, equal ones by name, and sums up the rest: it adds up. A lead that
    may not become a customer names why: `282 ineligible (service-area): ...`, and one that cannot
    be qualified again yet until when: `60 cooling down until 2026-03-31: ...`.
    """
    counting = scored.contributions.filter(_.points != 0)
    place = ibis.row_number().over(
        group_by=["connection", "lead_id"], order_by=[_.points.abs().desc(), _.rule]
    )
    ranked = counting.select("connection", "lead_id", "rule", "points", place=place)
    named = _.place < SHOWN
    items = {
        f"item_{n}": (_.rule + " " + _signed(_.points)).max(where=_.place == n)
        for n in range(SHOWN)
    }
    lines = ranked.group_by("connection", "lead_id").aggregate(
        **items, more=_.count(where=~named), rest=_.points.sum(where=~named)
    )
    rows = scored.scores.left_join(lines, ["connection", "lead_id"])
    texts = [(", " + rows[item]).fill_null("") for item in list(items)[1:]]
    more = ", " + rows.more.cast("string") + " more " + _signed(rows.rest)
    reason = reduce(
        add,
        [
            _text(rows.score),
            ibis.ifelse(
                rows.standing == Standing.OPEN.value,
                "",
                " " + rows.standing + " (" + rows.because + ")",
            ),
            _cooling(rows),
            (": " + rows.item_0).fill_null(""),
            *texts,
            (rows.more > 0).ifelse(more, "").fill_null(""),
        ],
    )
    return rows.select("connection", "lead_id", reason=reason.left(LONGEST))


def _cooling(rows: Table) -> Value:
    if "cooling" not in rows.columns:
        return ibis.literal("")
    return (" cooling down until " + rows.cooling.strftime("%Y-%m-%d")).fill_null("")


def _text(units: Value) -> StringValue:
    """Units as points in plain decimal without trailing zeros; no float is involved."""
    exact = units.cast("decimal(18, 4)") * ibis.literal(Decimal(1) / UNIT, "decimal(18, 4)")
    return exact.cast("string").re_replace(r"\.?0+$", "")


def _signed(units: Value) -> StringValue:
    return ibis.ifelse(units > 0, "+", "") + _text(units)


@dataclass(frozen=True)
class Line:
    """One rule's share in a score. `points` (weighted) = (raw - decay_loss - cap_loss) x weight.

    `events` and `last` say how many events counted and when the latest was; `evidence` is its
    record id. All three are None for a fit rule. `shown_by` is the connection that shows it, where
    it is another than the lead's. `data` says what it rests on: implicit (what the lead did),
    explicit (what it is said to be) or appended (that, bought or added by others); None for what
    is neither, such as a limit.
    """

    rule: str
    part: str
    raw: Decimal
    decay_loss: Decimal
    cap_loss: Decimal
    weight: Decimal
    points: Decimal
    events: int | None
    last: datetime | None
    evidence: str | None
    shown_by: str | None = None
    data: str | None = None


@dataclass(frozen=True)
class Subtotal:
    """What the lines of one part come to: `points` are those that `counted`, times the weight."""

    part: str
    counted: Decimal
    weight: Decimal
    points: Decimal

    def __str__(self) -> str:
        weighted = "" if self.weight == 1 else f" ({self.counted:f} x {self.weight:f})"
        return f"{self.part} {self.points:+}{weighted}"


@dataclass(frozen=True)
class Checked:
    """How far a lead has come on one sales checklist.

    `failed` is the criterion that it stopped at; `missing` are those not known, in order.
    """

    checklist: str
    met: int
    asked: int
    failed: str | None
    missing: tuple[str, ...]

    def __str__(self) -> str:
        said = f"{self.checklist}: {self.met}/{self.asked}"
        if self.failed:
            return f"{said}, failed at {self.failed}"
        return f"{said}, missing: {', '.join(self.missing)}" if self.missing else f"{said}, passed"


@dataclass(frozen=True)
class Known:
    """What is known of a lead beside its score, and where it is from.

    `completeness` is None where no fit rule reads a field, `company` and `persona` (match, no
    match, unknown) where the model has no ideal customer profile. `sourced` are the fields with
    several sources, `changed` all values of fields that changed. `person` names the other records
    of the same person, and how that is known. `findings` is what hygiene found, `duplicates` are
    the records that this one stands for.
    """

    completeness: Completeness | None = None
    company: Match | None = None
    persona: Match | None = None
    sourced: tuple[Sourced, ...] = ()
    changed: tuple[Said, ...] = ()
    person: tuple[str, ...] = ()
    findings: tuple[Found, ...] = ()
    duplicates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """Every point of one lead's score, biggest first; their sum is the score.

    `unknown` are fit rules that could not be decided, because a fact is missing. `next_stage`
    is the nearest stage by score that the lead has not reached, `missing` the points to it.
    `checklists` says how far the lead has come on each sales checklist, `history` what it went
    through before, where that is known. `misread` is the field that should hold a probability and
    holds something else; None: it does not. `profile` is None where the model asks for none;
    `known` says how much is known of the lead, and from where. `channels` are the points of
    behaviour rules by channel, each for its own activities alone. `flags` are what rules mark the
    lead with now, the latest first. `parts` are the sums of the lines by part, which add up too.
    """

    score: Decimal
    lines: tuple[Line, ...]
    unknown: tuple[str, ...]
    next_stage: Stage | None
    missing: Decimal | None
    checklists: tuple[Checked, ...] = ()
    misread: str | None = None
    history: History | None = None
    profile: Profile | None = None
    known: Known = Known()
    channels: Mapping[str, Decimal] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    parts: tuple[Subtotal, ...] = ()


def explain(
    model: Model,
    score: int,
    contributions: Sequence[Mapping[str, Any]],
    unknown: Iterable[str],
    checked: Iterable[Mapping[str, Any]] = (),
    misread: str | None = None,
    profile: Profile | None = None,
    history: History | None = None,
    channels: Iterable[Mapping[str, Any]] = (),
    known: Known = Known(),
    shown_by: Mapping[str, str | None] | None = None,
    origins: Mapping[str, str] = MappingProxyType({}),
) -> Explanation:
    """Explain one lead: its score in units, its rows of `Scored.contributions`, the ids of its
    rows in `core.scoring.unknown`, its rows of `core.scoring.checklists`, and what else is known
    of it; of `channels` its rows of `core.profile.channels`. `shown_by` says of activities that
    another connection shows which one, `origins` of fields where their values come from."""
    read = {rule.id: rule.when.columns() for rule in model.fit_rules}
    weights = {"fit": model.weights.fit, "behaviour": model.weights.behaviour}
    lines = [
        Line(
            rule=row["rule"],
            part=row["part"],
            raw=Decimal(row["raw"]) / UNIT,
            decay_loss=Decimal(row["decay_loss"]) / UNIT,
            cap_loss=Decimal(row["cap_loss"]) / UNIT,
            weight=weights.get(row["part"], Decimal(1)),
            points=Decimal(row["points"]) / UNIT,
            events=row["events"],
            last=row["last"],
            evidence=row["evidence"],
            shown_by=(shown_by or {}).get(row["evidence"]),
            data=_data(row, read, origins),
        )
        for row in contributions
    ]
    points = Decimal(score) / UNIT
    starts = ((Stage.MQL, model.thresholds.mql), (Stage.SQL, model.thresholds.sql))
    stage, start = next(((s, start) for s, start in starts if points < start), (None, points))
    return Explanation(
        score=points,
        lines=tuple(sorted(lines, key=lambda line: (-abs(line.points), line.rule))),
        unknown=tuple(unknown),
        next_stage=stage,
        missing=start - points if stage else None,
        checklists=tuple(map(_checked, checked)),
        misread=misread,
        profile=profile,
        history=history,
        channels={
            row["channel"]: Decimal(row["points"]) / UNIT
            for row in sorted(channels, key=lambda row: (-row["points"], row["channel"]))
        },
        known=known,
        flags=flags(model, contributions),
        parts=tuple(_subtotals(lines)),
    )


def _subtotals(lines: Sequence[Line]) -> Iterator[Subtotal]:
    """The parts of a score in the order in which it is made up: fit, behaviour, and what else."""
    weights = {line.part: line.weight for line in lines}
    for part in sorted(weights, key=lambda part: (part != "fit", part != "behaviour", part)):
        own = [line for line in lines if line.part == part]
        counted = sum((line.raw - line.decay_loss - line.cap_loss for line in own), Decimal(0))
        points = sum((line.points for line in own), Decimal(0))
        yield Subtotal(part, counted, weights[part], points)


def _data(
    row: Mapping[str, Any], read: Mapping[str, Set[str]], origins: Mapping[str, str]
) -> str | None:
    """What a contribution rests on; of a fit rule, `read` says which fields it reads."""
    if row["part"] == "behaviour" and row["events"]:
        return "implicit"
    if row["rule"] not in read:
        return None
    appended = any(origins.get(name) == Origin.APPENDED for name in read[row["rule"]])
    return Origin.APPENDED.value if appended else "explicit"


def _checked(row: Mapping[str, Any]) -> Checked:
    missing = tuple(row["missing"].split(", ")) if row["missing"] else ()
    return Checked(row["checklist"], row["met"], row["asked"], row["failed"], missing)
