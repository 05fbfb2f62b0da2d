"""Stage and tier: pure functions of the unrounded score, what the lead is and did, and what sales
has accepted."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import ibis
from ibis import _
from ibis.expr.types import Table, Value

from core.facts import TIME, as_of
from core.gates import Standing
from core.points import units
from core.rules import Model
from core.scales import Matrix
from core.scoring import Facts


class Stage(StrEnum):
    """How far a lead is on its way to sales, or what keeps it off; it may have no stage."""

    IQL = "IQL"
    MQL = "MQL"
    PQL = "PQL"
    SQL_PENDING = "SQL pending"
    SQL = "SQL"
    PENDING = "Pending"
    INELIGIBLE = "Ineligible"
    DISQUALIFIED = "Disqualified"


RULED_OUT = (Stage.PENDING, Stage.INELIGIBLE, Stage.DISQUALIFIED)
"""What a lead is not passed on from: it is out, or may be, for all that is known."""


def qualify(model: Model, scores: Table, facts: Facts, at: datetime) -> Table:
    """`scores` of a model with `tier` and `stage` (text, null for none) as of `at`.

    Thresholds are inclusive and compared with the exact score: 49.9999 points are no MQL at 50.
    What a lead did may give it a stage whatever its score: the fast lane leads to SQL, a trial with
    its key actions to PQL; asking for information makes an IQL of a lead below MQL.
    In vetted mode an SQL is `SQL pending` until sales has accepted the lead. A lead that is ruled
    out is `Ineligible` or `Disqualified` whatever its score; one that might be, for all that is
    known, is `Pending`.
    """
    top = (_.score >= units(model.thresholds.sql)) | (_.fast_lane > 0)
    stage = ibis.cases(
        (top, Stage.SQL.value),
        (ibis.literal(bool(model.stages.pql)) & (_.pql == len(model.stages.pql)), Stage.PQL.value),
        (_.score >= units(model.thresholds.mql), Stage.MQL.value),
        (_.iql > 0, Stage.IQL.value),
    )
    if model.sql.mode == "vetted":
        scores = _with_acceptance(scores, facts, at)
        stage = (top & ~_.accepted).ifelse(Stage.SQL_PENDING.value, stage)
    stage = ibis.cases(
        (_.standing == Standing.DISQUALIFIED.value, Stage.DISQUALIFIED.value),
        (_.standing == Standing.INELIGIBLE.value, Stage.INELIGIBLE.value),
        (_.standing == Standing.PENDING.value, Stage.PENDING.value),
        else_=stage,
    )
    tier = _grade(model.matrix) if model.matrix else _label(_.score, model.tiers, None)
    return scores.mutate(tier=tier, stage=stage).drop(*({"accepted"} & set(scores.columns)))


def _with_acceptance(scores: Table, facts: Facts, at: datetime) -> Table:
    """`scores`, and whether sales has accepted each lead by then."""
    known = as_of(facts.leads, at).select("connection", "accepted_at", lead_id="id")
    rows = scores.left_join(known, ["connection", "lead_id"]).select(scores, known.accepted_at)
    accepted = (rows.accepted_at <= ibis.literal(at, type=TIME)).fill_null(False)
    return rows.mutate(accepted=accepted).drop("accepted_at")


def _label(points: Value, starts: Mapping[str, Decimal], below: str | None) -> Value:
    """The label whose start the points, in units, reach; `below` where they reach none."""
    if not starts:
        return ibis.null("string")
    cases = ((points >= units(start), name) for name, start in starts.items())
    return ibis.cases(*cases, else_=ibis.literal(below, "string"))


def _grade(matrix: Matrix) -> Value:
    worst = {axis: list(starts)[-1] for axis, starts in matrix}
    return _label(_.fit, matrix.fit, worst["fit"]) + _label(
        _.behaviour, matrix.behaviour, worst["behaviour"]
    )
