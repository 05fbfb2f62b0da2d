"""A model's verdict on every lead: score, tier, stage and reason, in one place.

Cycles, replays, previews and explanations all ask this one function, with other arguments.
"""

from dataclasses import dataclass, replace
from datetime import datetime

import ibis
from ibis.expr.types import Table

from core.explain import reasons
from core.past import Past
from core.qualification import qualify
from core.rules import Model
from core.scoring import Facts, Scored, score

KEY = ["connection", "lead_id"]


@dataclass(frozen=True)
class Judged:
    """What a model says of the facts as of an instant.

    `verdicts`: connection, lead_id, score (units of 1/10,000 point), tier, stage, reason, model
    (its label), one row for each lead; `scored` is what they rest on.
    """

    verdicts: Table
    scored: Scored


def judge(model: Model, facts: Facts, at: datetime, past: Past | None = None) -> Judged:
    """Score and qualify every lead by the facts as of `at` (aware, whole seconds).

    `past` is what was decided before `at`; None: nothing was, or the model does not ask and nobody
    overrides it.
    """
    scored = score(model, facts, at, past)
    qualified = qualify(model, scored.scores, facts, at, past)
    if "cooling" in qualified.columns:
        scored = replace(scored, scores=qualified.view())
    said = qualified.inner_join(reasons(scored), KEY).select(
        *KEY, "score", "tier", "stage", "reason", model=ibis.literal(model.label)
    )
    return Judged(said, scored)
