"""The verdict on every lead: score, tier, stage and reason by the model it belongs to.

Cycles, replays, previews and explanations all ask this one function, with other arguments.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import ibis
from ibis import _
from ibis.expr.types import Table

from core.cleaning import clean, hygiene_of
from core.explain import reasons
from core.facts import as_of
from core.known import Facts, Keep, unkept
from core.past import Past
from core.permitted import permitted
from core.prediction import PROBABILITY, probabilities
from core.qualification import qualify
from core.ready import ready
from core.rules import Model
from core.scoring import Scored, not_leads, score
from core.segments import Segments, shares

KEY = ["connection", "lead_id"]


@dataclass(frozen=True)
class Judged:
    """What the models say of the facts as of an instant.

    `verdicts`: connection, lead_id, fit and behaviour (before weighting) and score (units of
    1/10,000 point), tier, stage, reason, model (label of the one that scored it), probability (what
    is predicted beside the score; null: nothing is), one row for each scored lead; `contributions`
    are what they rest on, `rejected` the records that are no leads (`core.scoring.Scored`).
    `outside`: connection, lead_id of the leads that no model is for; None where a model takes all.

    `facts` are those that were scored, `shares` those of each model by its label: what hygiene held
    out, and what people did not agree to, is not among them. Such leads have a verdict of 0 points
    all the same, and those of hygiene a row of `held` (the columns of `core.cleaning.HELD`; None
    where no model asks for hygiene).
    """

    verdicts: Table
    contributions: Table
    rejected: Table
    outside: Table | None
    facts: Facts
    shares: Mapping[str, Facts]
    held: Table | None = None


@dataclass(frozen=True)
class Admitted:
    """The facts that may count: without what hygiene holds out (`held`) and what people did not
    agree to (`refused`, as in `core.permitted.Permitted`); None where no model asks."""

    facts: Facts
    held: Table | None
    refused: Table | None


def admitted(
    segments: Segments,
    facts: Facts,
    at: datetime,
    past: Past | None = None,
    keep: Keep = unkept,
) -> Admitted:
    """Put the facts as of `at` through hygiene and consent."""
    held, cleaning = None, hygiene_of(segments)
    if cleaning and cleaning.hygiene:
        cleaned = clean(cleaning.hygiene, facts, at, past, keep)
        facts, held = cleaned.facts, cleaned.held
    allowed = permitted(segments, facts, at, past)
    return Admitted(allowed.facts, held, allowed.refused)


def judge(
    segments: Segments,
    facts: Facts,
    at: datetime,
    past: Past | None = None,
    keep: Keep | None = None,
) -> Judged:
    """Score and qualify every lead by the facts as of `at` (aware, whole seconds).

    `past` is what was decided before `at`; None: nothing was, or no model asks and nobody
    overrides one. Without `keep` all is one query, whose engine sees by itself what is shared;
    with it, what an explanation reads besides is worked out too (`core.ready`).
    """
    explained, keep = keep is not None, keep or unkept
    allowed = admitted(segments, facts, at, past, keep)
    facts, held, cleaning = allowed.facts, allowed.held, hygiene_of(segments)
    parts, rest = shares(segments, facts, at, past)
    if explained:
        parts = [
            ready(s.model, own, at, past, keep) for s, own in zip(segments, parts, strict=True)
        ]
    scored, verdicts = [], []
    for segment, own in zip(segments, parts, strict=True):
        scored.append(score(segment.model, own, at, past, keep, channels=explained))
        verdicts.append(_verdicts(segment.model, scored[-1], own, at, past))
    if cleaning and held is not None:
        verdicts.append(_unscored(held.mutate(model=ibis.literal(cleaning.label))))
    if allowed.refused is not None:
        verdicts.append(_unscored(allowed.refused))
    rejected = [one.rejected for one in scored]
    outside = None
    if rest is not None:
        rejected.append(not_leads(rest, at))
        people = as_of(rest.leads, at).select("connection", lead_id="id")
        outside = people.anti_join(rejected[-1], KEY)
    return Judged(
        keep(ibis.union(*verdicts)),
        ibis.union(*(one.contributions for one in scored)),
        ibis.union(*rejected),
        outside,
        facts,
        {
            segment.model.label: replace(own, channels=one.channels)
            for segment, own, one in zip(segments, parts, scored, strict=True)
        },
        held,
    )


def _verdicts(model: Model, scored: Scored, facts: Facts, at: datetime, past: Past | None) -> Table:
    qualified = qualify(model, scored.scores, facts, at, past)
    if "cooling" in qualified.columns:
        scored = replace(scored, scores=qualified.view())
    rows = qualified.inner_join(reasons(scored), KEY).select(
        *KEY,
        "fit",
        "behaviour",
        "score",
        "tier",
        "stage",
        "reason",
        model=ibis.literal(model.label),
    )
    if model.probability is None:
        return rows.mutate(probability=ibis.null(PROBABILITY))
    predicted = probabilities(model.probability, facts, at)
    return rows.left_join(predicted, KEY).select(rows, predicted.probability)


def _unscored(leads: Table) -> Table:
    """The verdicts on leads that have a stage, a reason and a model, but no score."""
    nothing = ibis.literal(0, "int64")
    tier = ibis.null("string")
    return leads.select(
        *KEY, fit=nothing, behaviour=nothing, score=nothing, tier=tier, stage=_.stage,
        reason=_.reason, model=_.model, probability=ibis.null(PROBABILITY),
    )  # fmt: skip
