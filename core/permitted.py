"""Permission: the facts that people have agreed to, and who may not be scored.

`core.consent` says what a model asks for. Where records are one person, each must have agreed: a
person who objects in one CRM is not followed in the other.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

import ibis
from ibis.expr.types import Table

from core.conditions import LeadCondition
from core.consent import GATES
from core.events import LEAD
from core.evidence import evidence
from core.facts import LEADS
from core.known import Facts, known_columns
from core.past import Past
from core.persons import of_persons
from core.scoring import not_leads
from core.segments import Segments, shares
from core.stages import Stage

REASON = "no consent to be scored"

NOTHING_LEFT = "no consent to be followed, and nothing else makes a lead of it"


@dataclass(frozen=True)
class Permitted:
    """What is left to be scored, and the leads that are not: connection, lead_id, stage, reason,
    model (the label of the one that asks for their consent); None where no model asks."""

    facts: Facts
    refused: Table | None = None


def permitted(
    segments: Segments, facts: Facts, at: datetime, past: Past | None = None
) -> Permitted:
    """Leave out what nobody agreed to, by the facts as of `at`."""
    if all(segment.model.consent is None for segment in segments):
        return Permitted(facts)
    parts, _rest = shares(segments, facts, at, past)
    silent, activities = unfollowed(segments, facts, at, past), facts.activities
    if silent is not None:
        activities = activities.anti_join(silent, LEAD)
    refused, out = [], []
    for segment, own in zip(segments, parts, strict=True):
        if (consent := segment.model.consent) is None:
            continue
        asked: list[tuple[Table, LeadCondition | None, str]] = []
        if consent.scoring is not None:
            asked.append((_lacking(consent.scoring, own, at), consent.scoring, REASON))
        if silent is not None:
            # What is a lead by its activities alone is none without them: it was one, though.
            left = not_leads(replace(own, activities=activities), at)
            lost = left.anti_join(not_leads(own, at), LEAD).semi_join(silent, LEAD)
            lost = lost.anti_join(asked[0][0], LEAD) if asked else lost
            asked.append((lost, consent.behaviour, NOTHING_LEFT))
        stage = Stage.FROZEN if consent.withdrawn == "freeze" else Stage.NO_CONSENT
        for leads, condition, reason in asked:
            told = _because(condition, leads, own, reason, at)
            label = ibis.literal(segment.model.label)
            refused.append(told.mutate(stage=ibis.literal(stage.value), model=label))
            out.append(leads.select(*LEAD))
    gone = ibis.union(*out).view()
    leads = facts.leads.anti_join(gone, ["connection", ("id", "lead_id")])
    return Permitted(
        replace(facts, leads=leads, activities=activities), ibis.union(*refused).view()
    )


def _because(
    condition: LeadCondition | None, leads: Table, facts: Facts, reason: str, at: datetime
) -> Table:
    """Some leads with the reason why they may not be scored."""
    if condition is None:
        return leads.select(*LEAD, reason=ibis.literal(reason))
    return evidence(condition, leads, facts, reason, at)


def unfollowed(
    segments: Segments,
    facts: Facts,
    at: datetime,
    past: Past | None = None,
    gates: Collection[str] = GATES,
) -> Table | None:
    """The records whose activities may not pass some gates: connection, lead_id; None: no model
    asks for consent there.

    Those that lack consent, the other records of the same person, and what was merged into them.
    """
    parts, _rest = shares(segments, facts, at, past)
    lacking = [
        _lacking(consent.behaviour, own, at)
        for segment, own in zip(segments, parts, strict=True)
        if (consent := segment.model.consent) and consent.behaviour and consent.gate in gates
    ]
    if not lacking:
        return None
    names = of_persons(ibis.union(*lacking), facts)
    merged = facts.aliases.filter(facts.aliases.table_name == LEADS.name)
    former = merged.semi_join(names, ["connection", ("survivor", "lead_id")])
    return names.union(former.select("connection", lead_id="id").cast(names.schema()))


def _lacking(condition: LeadCondition, facts: Facts, at: datetime) -> Table:
    """The leads for which it does not hold, for all that is known: connection, lead_id."""
    wide = known_columns(condition.columns(), facts, at)
    return wide.filter(~condition.holds(wide).fill_null(False)).select(*LEAD)
