"""Scores as of a date: of one lead to the last point, or of the whole base.

Both read versions of facts: what became known after the date is not in them.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from ibis import _
from ibis.expr.types import Table

from core.decision import Decision
from core.explain import Explanation
from core.explain import explain as explain_lead
from core.facts import LEADS, as_of
from core.rules import Model
from core.scoring import Facts, checklists, unknown
from core.segments import Segments
from core.verdict import KEY, Judged, judge
from sync.decide import BATCH, facts_of
from sync.facts_store import FactsStore
from sync.session import Session
from sync.yaml_source import ConfigError


def explain(session: Session, lead_id: str, at: datetime) -> list[tuple[Decision, Explanation]]:
    """Every point of a lead as of an instant, in each connection that has it; nothing is routed.

    Raises ConfigError for a lead that no model is for.
    """
    at = at.replace(microsecond=0)
    models = {segment.model.label: segment.model for segment in session.segments}
    facts = _about(facts_of(session.facts, at), {lead_id})
    judged = judge(session.segments, facts, at)
    found = []
    for row in _standing(judged, facts, at).to_pyarrow().to_pylist():
        name = row["connection"]
        if name not in session.connectors:
            continue
        decided = session.ledger.decisions(name, lead_id)
        past = [d.decision.owner_reason for d in decided if d.decision.scored_at <= at]
        decision = Decision(**row, scored_at=at, owner_reason=past[-1] if past else "")
        found.append((decision, _explained(models[decision.model], judged, decision, facts)))
    if not found and judged.outside is not None and judged.outside.count().to_pyarrow().as_py():
        raise ConfigError([f"lead {lead_id}: no model is for it (`model` in the configuration)"])
    return found


def _explained(model: Model, judged: Judged, decision: Decision, facts: Facts) -> Explanation:
    def rows(table: Table) -> list[dict[str, Any]]:
        mine = table.filter(_.connection == decision.connection)
        return list(mine.to_pyarrow().to_pylist())

    at = decision.scored_at
    return explain_lead(
        model,
        decision.score,
        rows(judged.contributions),
        [row["rule"] for row in rows(unknown(model, facts, at))],
        rows(checklists(model, facts, at)) if model.checklists else (),
    )


def replay(
    store: FactsStore,
    segments: Segments,
    at: datetime,
    connections: Collection[str],
    leads: Collection[str] = (),
) -> Iterator[Decision]:
    """What models say of some leads (none named: of all) as of an instant; nothing is routed.

    In the order of connection and id: the same store, models and instant give the same again.
    """
    at = at.replace(microsecond=0)
    facts = facts_of(store, at)
    if leads:
        facts = _about(facts, leads)
    rows = _standing(judge(segments, facts, at), facts, at)
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
