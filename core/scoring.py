"""A model over facts: every contribution to every score, as one relational expression.

The score of a lead is the plain sum of its contributions, one for each rule that matched, in
whole units of 1/10,000 point. Nothing here runs anything: the result are Ibis expressions.

Cost follows matches, not rules: conditions are put to the *distinct* values of the columns they
read, and only what they match is joined and summed; see `core.events`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import Table

from core.ageing import ageing
from core.ageing import columns as ageing_columns
from core.behaviour import behaviour, unmeasured
from core.checklists import check
from core.conditions import undecided
from core.contributions import NO_EVENTS, capped, contributions, matched
from core.counting import BETWEEN
from core.decision import UNIT
from core.earning import BestOf, FitRule
from core.events import until
from core.gates import Criterion, standing
from core.icp import fit as icp_match
from core.known import (
    Facts,
    Keep,
    inherited,
    known_columns,
    known_versions,
    living,
    settled_events,
    unkept,
)
from core.past import Past, overridden
from core.points import Grain, units
from core.reach import THOUSAND, room
from core.rules import Model
from core.sections import Stages


@dataclass(frozen=True)
class Scored:
    """What a model says of the facts as of an instant.

    `contributions`: connection, lead_id, rule, part (fit, behaviour, ageing, gate or override),
    events, first and last (their times), evidence (id of the latest event; these four are null
    where no activity is counted), raw, decay_loss, cap_loss (points before weighting, so that raw
    - decay_loss - cap_loss is what counts) and points, weighted. A rule that matched but is worth
    nothing any more has a row with 0 points. What caps and limits take has rows of its own:
    `cap:<group>`, `limit:<part>`, `limit:until`, `limit:nightly`; so has what is not counted:
    `ignored:<rule>`, `reset:<rule>`.

    `scores`: connection, lead_id, fit and behaviour (before weighting), score (the sum of the
    points of its contributions), how many rules mark each of the model's `stages` for it, standing
    (`core.gates`) and because of which criteria, one row for each lead.

    `rejected`: connection, lead_id of records with neither contact data nor any activity: they
    are not leads, and are not scored.

    `channels`: contributions of each lead and channel as if they were a lead of their own
    (`core.counting.by_channel`); None: they are not asked for.
    """

    contributions: Table
    scores: Table
    rejected: Table
    channels: Table | None = None


def score(
    model: Model,
    facts: Facts,
    at: datetime,
    past: Past | None = None,
    keep: Keep = unkept,
    *,
    channels: bool = False,
) -> Scored:
    """Score every lead by the facts as of `at` (aware, whole seconds), and what was decided before
    it; each channel of every lead as well, if asked."""
    rejected = keep(not_leads(facts, at))
    leads = living(facts, at).anti_join(rejected, ["connection", ("id", "lead_id")])
    wide = known_columns(asked(model), facts, at, past, model)
    parts = []
    if _rules(model):
        parts.append(_fit(model, wide))
        parts += limits(model, "fit", parts[0])
    if model.behaviour or model.measures:
        fit = ibis.union(*parts).filter(_.part == "fit") if parts else None
        events = settled_events(facts, at)
        did = behaviour(model, facts.activities, events, at, fit, channels=channels)
        parts += [did, *limits(model, "behaviour", did)]
    if model.ageing:
        held = versions(model, facts, at, past)
        parts.append(ageing(model.ageing, held, facts.aliases, at, past))
    if (left := room(model)) is not None:
        parts.append(_rest(left, ibis.union(*parts)))
    if model.scale:
        parts.append(_scaled(model.scale.top or model.most, leads, ibis.union(*parts)))
    if past and past.overrides is not None:
        parts.append(overridden(past.overrides, ibis.union(*parts)))
    lines = keep(ibis.union(*parts))
    return Scored(
        contributions=lines.semi_join(leads, ["connection", ("lead_id", "id")]),
        scores=standing(model.gates, model.disqualify, _scores(model, leads, lines), wide),
        rejected=rejected,
        channels=lines.filter(lines.lead_id.contains(BETWEEN)) if channels else None,
    )


def not_leads(facts: Facts, at: datetime) -> Table:
    """Records with neither contact data nor any activity: connection, lead_id."""
    people = living(facts, at)
    rejected = people.filter(people.email.isnull(), people.phone.isnull()).select(
        "connection", lead_id="id"
    )
    moved = until(inherited(facts, at), at).select("connection", lead_id="survivor")
    for did in (until(facts.activities, at), moved):
        rejected = rejected.anti_join(did, ["connection", "lead_id"])
    return rejected


def limits(model: Model, part: str, lines: Table) -> Iterator[Table]:
    """What brings a whole part of the scores within its bounds."""
    limit = getattr(model.limits, part)
    if limit.cap is not None or limit.floor is not None:
        grain = Grain(getattr(model.weights, part))
        counted = lines.raw - lines.decay_loss - lines.cap_loss
        mine = lines.filter(lines.part == part).select(
            "connection", "lead_id", amount=counted // grain.raw
        )
        yield capped(mine, f"limit:{part}", grain, part=part, cap=limit.cap, floor=limit.floor)


def _rest(left: Decimal, lines: Table) -> Table:
    """What keeps everything but table stakes and sizes between zero and `left`."""
    rest = lines.filter(lines.part.isin(["fit", "behaviour", "ageing"]))
    points = rest.select("connection", "lead_id", amount="points")
    whole = Grain(Decimal(1))
    return capped(points, "limit:rest", whole, part="gate", cap=left, floor=Decimal(0))


def _scaled(top: Decimal | None, leads: Table, lines: Table) -> Table:
    """What brings each lead's sum to a whole number from 1 (no points) to 100 (`top` or more)."""
    assert top is not None, "a model with a scale has a top"
    sums = lines.group_by("connection", "lead_id").aggregate(sum=lines.points.sum())
    every = leads.select("connection", lead_id="id").left_join(sums, ["connection", "lead_id"])
    rows = every.select("connection", "lead_id", sum=sums["sum"].coalesce(0).cast("int64"))
    steps = (rows["sum"] * 99 // units(top)).cast("int64")
    scaled = ibis.cases((steps < 0, 1), (steps > 99, 100), else_=steps + 1) * UNIT
    return contributions(
        rows,
        rule=ibis.literal("scale:100"),
        part=ibis.literal("gate"),
        raw=ibis.literal(0, "int64"),
        decay_loss=ibis.literal(0, "int64"),
        cap_loss=rows["sum"] - scaled,
        points=scaled - rows["sum"],
        **NO_EVENTS,
    )


def versions(model: Model, facts: Facts, at: datetime, past: Past | None = None) -> Table:
    """What the ageing rules of a model read, of every version of every lead that began by `at`."""
    return known_versions(ageing_columns(model.ageing), facts, at, past, model)


def unknown(model: Model, facts: Facts, at: datetime, past: Past | None = None) -> Table:
    """The fit rules, criteria and measures that missing facts leave undecided: connection,
    lead_id, rule."""
    people = living(facts, at)
    parts = [_undecided(model, facts, at, past)] if _rules(model) else []
    if model.measures:
        events = settled_events(facts, at)
        parts.append(unmeasured(model, facts.activities, events, people, at))
    if not parts:
        return people.select("connection", lead_id="id", rule=ibis.null("string")).limit(0)
    return ibis.union(*parts)


def _undecided(model: Model, facts: Facts, at: datetime, past: Past | None) -> Table:
    rules = _rules(model)
    wide = known_columns(asked(model), facts, at, past, model)
    signatures = _signatures(wide)
    gaps = ([(undecided(rule.when.holds(signatures)), number)] for number, rule in enumerate(rules))
    found = matched(wide, signatures, gaps)
    return found.join(_fit_worth(model), "number").select("connection", "lead_id", "rule")


def checklists(model: Model, facts: Facts, at: datetime, past: Past | None = None) -> Table:
    """How far each lead has come on each of the model's checklists: see `core.checklists.check`.

    The model must have one.
    """
    asked = (rule.when.columns() for rules in model.checklists.values() for rule in rules)
    wanted = frozenset[str]().union(*asked)
    return check(model.checklists, known_columns(wanted, facts, at, past, model))


def icp_fit(model: Model, facts: Facts, at: datetime, past: Past | None = None) -> Table:
    """Whether each lead's company and person are the ideal ones: see `core.icp.fit`.

    The model must say what they are.
    """
    assert model.icp is not None, "the model has an icp section"
    return icp_match(model.icp, known_columns(model.icp.columns(), facts, at, past, model))


def _signatures(wide: Table) -> Table:
    return wide.drop("connection", "lead_id").distinct()


def _rules(model: Model) -> list[FitRule | Criterion]:
    """Everything that a lead may earn points by for what it is; numbered in this order."""
    return [*model.fit_rules, *(model.gates.criteria if model.gates else ()), *model.sizes]


def _scores(model: Model, leads: Table, lines: Table) -> Table:
    counts = _.raw - _.decay_loss - _.cap_loss
    sums = lines.group_by("connection", "lead_id").aggregate(
        fit=counts.sum(where=_.part == "fit"),
        behaviour=counts.sum(where=_.part == "behaviour"),
        score=_.points.sum(),
        **{
            stage: _.count(where=_.rule.isin(marks)) if marks else ibis.literal(0)
            for stage, marks in model.stages
        },
    )
    numbers = ("fit", "behaviour", "score", *Stages.model_fields)
    every = leads.select("connection", lead_id="id")
    return every.left_join(sums, ["connection", "lead_id"]).select(
        "connection",
        "lead_id",
        **{c: sums[c].coalesce(0).cast("int64") for c in numbers},
    )


def asked(model: Model) -> frozenset[str]:
    """The columns that conditions on leads read."""
    rules = (*_rules(model), *model.disqualify)
    return frozenset[str]().union(*(rule.when.columns() for rule in rules))


def _fit(model: Model, wide: Table) -> Table:
    signatures = _signatures(wide)
    rules = _rules(model)
    numbers = {rule.id: number for number, rule in enumerate(rules)}
    items: list[list[FitRule | Criterion]] = [
        list(item.ranked) if isinstance(item, BestOf) else [item] for item in model.fit
    ]
    items += [[rule] for rule in (model.gates.criteria if model.gates else ())]
    items += [list(model.sizes)] if model.sizes else []
    best = (((rule.when.holds(signatures), numbers[rule.id]) for rule in group) for group in items)
    found = matched(wide, signatures, best)
    return contributions(
        found.join(_fit_worth(model), "number"),
        decay_loss=ibis.literal(0, "int64"),
        cap_loss=ibis.literal(0, "int64"),
        **NO_EVENTS,
    )


def _fit_worth(model: Model) -> Table:
    """The points of each fit rule and criterion in units: raw, and weighted."""
    worth = [
        ("fit", rule.id, rule.points, rule.points * model.weights.fit) for rule in model.fit_rules
    ]
    if gates := model.gates:
        worth += [("gate", rule.id, gates.worth, gates.worth) for rule in gates.criteria]
    for place, rule in enumerate(model.sizes, start=1):
        worth.append(("gate", rule.id, place * THOUSAND, place * THOUSAND))
    rows = [
        {"number": n, "part": part, "rule": id_, "raw": units(raw), "points": units(points)}
        for n, (part, id_, raw, points) in enumerate(worth)
    ]
    kinds = {"number": "int32", "part": "string", "rule": "string"}
    schema = pa.schema({**kinds, "raw": "int64", "points": "int64"})
    return ibis.memtable(pa.Table.from_pylist(rows, schema))
