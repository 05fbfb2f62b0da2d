"""Scores as of a date: of one lead to the last point, or of the whole base.

Both read versions of facts: what became known after the date is not in them. What was decided
before the date is the past that the score takes as an argument.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from ibis import _
from ibis.expr.types import Table

from core.decision import Decision
from core.explain import Explanation
from core.explain import explain as explain_lead
from core.facts import LEADS, as_of
from core.past import Past
from core.prediction import probabilities
from core.profile import parts, profile
from core.rules import Model
from core.scoring import Facts, checklists, unknown
from core.verdict import KEY, Judged, judge
from sync.decide import BATCH, facts_of, past_of
from sync.facts_store import FactsStore
from sync.session import Session


def explain(session: Session, lead_id: str, at: datetime) -> list[tuple[Decision, Explanation]]:
    """Every point of a lead as of an instant, in each connection that has it; nothing is routed."""
    at = at.replace(microsecond=0)
    model, facts = session.model, _about(facts_of(session.facts, at), {lead_id})
    past = past_of(session.ledger, None, at, model, leads={lead_id})
    judged = judge(model, facts, at, past)
    contributions = judged.scored.contributions.to_pyarrow().to_pylist()
    missing = unknown(model, facts, at, past).to_pyarrow().to_pylist()
    checked: list[dict[str, Any]] = []
    if model.checklists:
        checked = checklists(model, facts, at, past).to_pyarrow().to_pylist()
    predicted: dict[str, Decimal | None] = {}
    if model.probability:
        rows = probabilities(model.probability, facts, at).to_pyarrow().to_pylist()
        predicted = {row["connection"]: row["probability"] for row in rows}
    profiles = {k: t.to_pyarrow().to_pylist() for k, t in parts(model, facts, at).items()}
    found = []
    for row in _standing(judged, facts, at).to_pyarrow().to_pylist():
        name = row["connection"]
        if name not in session.connectors:
            continue
        decided = session.ledger.decisions(name, lead_id)
        owners = [d.decision.owner_reason for d in decided if d.decision.scored_at <= at]
        decision = Decision(**row, scored_at=at, owner_reason=owners[-1] if owners else "")
        lines = [c for c in contributions if c["connection"] == name]
        gaps = [u["rule"] for u in missing if u["connection"] == name]
        checks = [c for c in checked if c["connection"] == name]
        told = {k: [r for r in rows if r["connection"] == name] for k, rows in profiles.items()}
        explained = explain_lead(
            model,
            row["score"],
            lines,
            gaps,
            checks,
            probability=predicted.get(name),
            profile=profile(told) if told else None,
            history=session.ledger.past.history(name, lead_id, at).cooled(model.cool_down, at),
        )
        found.append((decision, explained))
    return found


def replay(
    store: FactsStore,
    model: Model,
    at: datetime,
    connections: Collection[str],
    leads: Collection[str] = (),
    past: Past | None = None,
) -> Iterator[Decision]:
    """What a model says of some leads (none named: of all) as of an instant; nothing is routed.

    In the order of connection and id: the same store, model, instant and past (what was decided
    before it) give the same again.
    """
    at = at.replace(microsecond=0)
    facts = facts_of(store, at)
    if leads:
        facts = _about(facts, leads)
    rows = _standing(judge(model, facts, at, past), facts, at)
    rows = rows.filter(_.connection.isin(sorted(connections))).order_by(KEY)
    for batch in rows.to_pyarrow_batches(chunk_size=BATCH):
        for row in batch.to_pylist():
            yield Decision(**row, scored_at=at)


def _standing(judged: Judged, facts: Facts, at: datetime) -> Table:
    """Where every scored lead stands: the columns of a decision that hang on it alone."""
    records = as_of(facts.leads, at).select("connection", "object_type", lead_id="id")
    return judged.verdicts.inner_join(records, KEY).select(judged.verdicts, records.object_type)


def _about(facts: Facts, leads: Collection[str]) -> Facts:
    """The facts that some leads' scores rest on: their own and those merged into them."""
    merged = facts.aliases.filter(_.table_name == LEADS.name, _.survivor.isin(sorted(leads)))
    ids = {*leads, *merged.id.to_pyarrow().to_pylist()}
    return Facts(
        facts.leads.filter(_.id.isin(sorted(leads))),
        facts.accounts,
        facts.activities.filter(_.lead_id.isin(sorted(ids))),
        facts.aliases.filter(_.survivor.isin(sorted(leads))),
    )
