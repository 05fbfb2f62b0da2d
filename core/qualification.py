"""Stage and tier: pure functions of the unrounded score, what the lead is and did, what sales has
accepted, and what was decided before."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import ibis
from ibis import _
from ibis.expr.types import BooleanValue, Table, Value

from core.facts import LEADS, TIME, as_of
from core.gates import Standing
from core.known import Facts
from core.past import NO_STAGE, Past, cooling, interval, remembered, start
from core.points import units
from core.rules import Model
from core.scales import Matrix
from core.stages import AT_SALES, QUALIFIED, RULED_OUT, Stage

__all__ = ["RULED_OUT", "Stage", "qualify"]


def qualify(
    model: Model, scores: Table, facts: Facts, at: datetime, past: Past | None = None
) -> Table:
    """`scores` of a model with `tier` and `stage` (text, null for none) as of `at`.

    Thresholds are inclusive and compared with the exact score: 49.9999 points are no MQL at 50.
    What a lead did may give it a stage whatever its score: the fast lane leads to SQL, a trial with
    its key actions to PQL; asking for information makes an IQL of a lead below MQL.
    In vetted mode an SQL is `SQL pending` until sales has accepted the lead, in the CRM or by its
    answer, which is part of the `past`. A lead that is ruled out is `Ineligible` or `Disqualified`
    whatever its score; one that might be, for all that is known, is `Pending`.

    By the `past`, a lead keeps a stage that it had down to the model's `keep`, and is not qualified
    before its cool-down is over: `cooling` then says until when, null for all others. A stage that
    a person has set stands above all.
    """
    rows = scores
    if past and (model.thresholds.keep or model.cool_down):
        rows = remembered(rows, past)
    if model.sql.mode == "vetted":
        rows = _with_acceptance(rows, facts, at, past)
    rows = rows.mutate(stage=_reached(model, rows))
    if past and model.cool_down:
        rows = _cooled(rows, model.cool_down, at)
    stage = ibis.cases(
        (rows.standing == Standing.DISQUALIFIED.value, Stage.DISQUALIFIED.value),
        (rows.standing == Standing.INELIGIBLE.value, Stage.INELIGIBLE.value),
        (rows.standing == Standing.PENDING.value, Stage.PENDING.value),
        else_=rows.stage,
    )
    table = rows.mutate(stage=stage)
    table = table.drop(*({"accepted", "had", "left"} & set(table.columns)))
    if past and past.overrides is not None:
        table = _by_hand(table, past.overrides)
    tier = _grade(model.matrix) if model.matrix else _label(_.score, model.tiers, None)
    return table.mutate(tier=tier)


def _reached(model: Model, rows: Table) -> Value:
    """The stage that score and behaviour lead to, and what a lead may keep of what it had."""
    marks, wanted = model.stages, model.thresholds
    sql, mql = ibis.literal(units(wanted.sql)), ibis.literal(units(wanted.mql))
    if wanted.keep and "had" in rows.columns:
        sql = start(wanted.sql, wanted.keep.sql, rows.had, AT_SALES)
        mql = start(wanted.mql, wanted.keep.mql, rows.had, QUALIFIED)
    top: BooleanValue = (rows.score >= sql) | (rows.fast_lane > 0)
    stage = ibis.cases(
        (top, Stage.SQL.value),
        (ibis.literal(bool(marks.pql)) & (rows.pql == len({*marks.pql})), Stage.PQL.value),
        (rows.score >= mql, Stage.MQL.value),
        (rows.iql > 0, Stage.IQL.value),
    )
    if model.sql.mode == "vetted":
        stage = (top & ~rows.accepted).ifelse(Stage.SQL_PENDING.value, stage)
    return stage


def _cooled(rows: Table, cool_down: timedelta, at: datetime) -> Table:
    """`rows` without the stages that come too soon, and until when each of these is `cooling`."""
    too_soon = cooling(rows, cool_down, at)
    below = (rows.iql > 0).ifelse(Stage.IQL.value, ibis.null("string"))
    shown = too_soon & (rows.standing == Standing.OPEN.value)
    until = shown.ifelse(rows.left + interval(cool_down), ibis.null(TIME))
    return rows.mutate(stage=too_soon.ifelse(below, rows.stage), cooling=until)


def _by_hand(rows: Table, overrides: Table) -> Table:
    """`rows` with the stages that people have set."""
    known = overrides.select("connection", "lead_id", given="stage")
    both = rows.left_join(known, ["connection", "lead_id"]).select(rows, known.given)
    said = {"stage": both.given.coalesce(both.stage)}
    if "cooling" in both.columns:
        said["cooling"] = both.given.isnull().ifelse(both.cooling, ibis.null(TIME))
    return both.mutate(**said).drop("given")


def _with_acceptance(scores: Table, facts: Facts, at: datetime, past: Past | None) -> Table:
    """`scores`, and whether sales has accepted each lead by then."""
    known = as_of(facts.leads, at).select("connection", "accepted_at", lead_id="id")
    rows = scores.left_join(known, ["connection", "lead_id"]).select(scores, known.accepted_at)
    accepted = (rows.accepted_at <= ibis.literal(at, type=TIME)).fill_null(False)
    rows = rows.mutate(accepted=accepted).drop("accepted_at")
    if past is None or past.accepted is None:
        return rows
    said = _with_heirs(past.accepted, facts).mutate(said=True)
    both = rows.left_join(said, ["connection", "lead_id"]).select(rows, said.said)
    return both.mutate(accepted=both.accepted | both.said.fill_null(False)).drop("said")


def _with_heirs(leads: Table, facts: Facts) -> Table:
    """Some leads, and those that stand for them since they were merged or converted."""
    gone = facts.aliases.filter(_.table_name == LEADS.name)
    heirs = leads.join(gone, [leads.connection == gone.connection, leads.lead_id == gone.id])
    return leads.union(heirs.select(leads.connection, lead_id=gone.survivor), distinct=True)


def _label(points: Value, starts: Mapping[str, Decimal], below: str | None) -> Value:
    """The label whose start the points, in units, reach; `below` where they reach none."""
    if not starts:
        return ibis.null("string")
    cases = ((points >= units(start), name) for name, start in starts.items())
    return ibis.cases(*cases, else_=ibis.literal(below, "string"))


def _grade(matrix: Matrix) -> Value:
    fit = _label(_.fit, matrix.fit, list(matrix.fit)[-1])
    if matrix.behaviour:
        return fit + _label(_.behaviour, matrix.behaviour, list(matrix.behaviour)[-1])
    assert matrix.stage is not None
    *ahead, last = matrix.stage
    had = _.stage.coalesce(NO_STAGE)
    cases = ((had.isin([str(s) for s in matrix.stage[name]]), name) for name in ahead)
    return fit + ibis.cases(*cases, else_=last)
