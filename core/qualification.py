"""Stage and tier: pure functions of the unrounded score and of what sales has accepted."""

from datetime import datetime
from enum import StrEnum

import ibis
from ibis import _
from ibis.expr.types import Table

from core.facts import TIME, as_of
from core.points import units
from core.rules import Model
from core.scoring import Facts


class Stage(StrEnum):
    """How far a lead is on its way to sales; below MQL it has no stage."""

    MQL = "MQL"
    SQL_PENDING = "SQL pending"
    SQL = "SQL"


def qualify(model: Model, scores: Table, facts: Facts, at: datetime) -> Table:
    """`scores` of a model with `tier` and `stage` (text, null for none) as of `at`.

    Thresholds are inclusive and compared with the exact score: 49.9999 points are no MQL at 50.
    In vetted mode an SQL is `SQL pending` until sales has accepted the lead.
    """
    mql, sql = units(model.thresholds.mql), units(model.thresholds.sql)
    stage = ibis.cases((_.score >= sql, Stage.SQL.value), (_.score >= mql, Stage.MQL.value))
    if model.sql.mode == "vetted":
        accepted = as_of(facts.leads, at).select("connection", "accepted_at", lead_id="id")
        scores = scores.left_join(accepted, ["connection", "lead_id"]).select(
            scores, accepted.accepted_at
        )
        vetted = (_.accepted_at <= ibis.literal(at, type=TIME)).fill_null(False)
        pending = (_.score >= sql) & ~vetted
        stage = pending.ifelse(Stage.SQL_PENDING.value, stage)
    tiers = [(_.score >= units(start), name) for name, start in model.tiers.items()]
    tier = ibis.cases(*tiers) if tiers else ibis.null("string")
    return scores.mutate(tier=tier, stage=stage).drop(*({"accepted_at"} & set(scores.columns)))
