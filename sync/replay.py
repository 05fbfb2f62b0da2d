"""Scores as of a date: of one lead to the last point, or of the whole base.

Both read versions of facts: what became known after the date is not in them.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from ibis import _
from ibis.expr.types import Table

from core.completeness import Completeness, completeness, fit_fields
from core.decision import Decision
from core.explain import Explanation, Profile
from core.explain import explain as explain_lead
from core.facts import LEADS, as_of
from core.icp import Match
from core.provenance import changed_answers, sourced
from core.rules import Model
from core.scoring import Facts, checklists, icp_fit, unknown
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
        decided = [d.decision for d in session.ledger.decisions(name, lead_id)]
        past = [decision for decision in decided if decision.scored_at <= at]
        reason = past[-1].owner_reason if past else ""
        decision = Decision(**row, scored_at=at, owner_reason=reason)
        subject = _Subject(models[decision.model], facts, decision, past)
        found.append((decision, subject.explained(judged)))
    if not found and judged.outside is not None and judged.outside.count().to_pyarrow().as_py():
        raise ConfigError([f"lead {lead_id}: no model is for it (`model` in the configuration)"])
    return found


@dataclass(frozen=True)
class _Subject:
    """One lead of one connection, the model it is scored by, and what was decided before."""

    model: Model
    facts: Facts
    decision: Decision
    past: Sequence[Decision]

    def explained(self, judged: Judged) -> Explanation:
        model, facts, at = self.model, self.facts, self.decision.scored_at
        return explain_lead(
            model,
            self.decision.score,
            self._rows(judged.contributions),
            [row["rule"] for row in self._rows(unknown(model, facts, at))],
            self._rows(checklists(model, facts, at)) if model.checklists else (),
            self._profile(),
        )

    def _profile(self) -> Profile:
        model, facts, at = self.model, self.facts, self.decision.scored_at
        known, company, persona = None, None, None
        if fit_fields(model):
            (row,) = self._rows(completeness(model, facts, at))
            known = Completeness(row["known"], row["asked"])
        if model.icp:
            (row,) = self._rows(icp_fit(model, facts, at))
            company, persona = Match(row["company"]), Match(row["persona"])
        versions = sorted(
            self._rows(facts.leads.filter(_.valid_from <= at)), key=itemgetter("valid_from")
        )
        now = versions[-1]
        accounts = self._rows(as_of(facts.accounts, at).filter(_.id == now["account_id"]))
        of_account = (one for row in accounts for one in sourced(row["sources"], "account."))
        stages = [(decision.scored_at, decision.stage) for decision in self.past]
        return Profile(
            known,
            company,
            persona,
            (*sourced(now["sources"]), *of_account),
            changed_answers(versions, stages),
        )

    def _rows(self, table: Table) -> list[dict[str, Any]]:
        mine = table.filter(table.connection == self.decision.connection)
        return list(mine.to_pyarrow().to_pylist())


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
