"""Scores as of a date: of one lead to the last point, or of the whole base.

Both read versions of facts: what became known after the date is not in them. What was decided
before the date is the past that the score takes as an argument.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from ibis import _
from ibis.expr.types import Table

from core.completeness import Completeness, completeness, fit_fields
from core.decision import Decision
from core.explain import Explanation, Known
from core.explain import explain as explain_lead
from core.facts import as_of
from core.icp import Match
from core.past import Past
from core.prediction import probabilities
from core.profile import channels, parts, profile
from core.provenance import changed_answers, sourced
from core.rules import Model
from core.scoring import Facts, belonging, checklists, icp_fit, unknown
from core.segments import Segments
from core.verdict import KEY, Judged, judge
from sync.decide import BATCH, about, facts_of, past_of
from sync.facts_store import FactsStore
from sync.session import Session
from sync.yaml_source import ConfigError

Key = tuple[str, str]
ByLead = Mapping[Key, list[dict[str, Any]]]


def explain(
    session: Session, leads: Collection[str], at: datetime
) -> list[tuple[Decision, Explanation]]:
    """Every point of some leads as of an instant, in each connection that has them, in the order
    of connection and id; nothing is routed.

    Raises ConfigError where no model is for any of them.
    """
    at = at.replace(microsecond=0)
    models = {segment.model.label: segment.model for segment in session.segments}
    facts = about(facts_of(session.facts, at), leads)
    past = past_of(session.ledger, None, at, session.segments, leads)
    judged = judge(session.segments, facts, at, past)
    contributions = _by_lead(judged.contributions)
    rows = _standing(judged, facts, at)
    rows = rows.filter(_.connection.isin(sorted(session.connectors))).order_by(KEY)
    listed = rows.to_pyarrow().to_pylist()
    told = {
        label: _Told(models[label], facts, at, past)
        for label in sorted({row["model"] for row in listed})
    }
    found = []
    for row in listed:
        key = (row["connection"], row["lead_id"])
        decided = [d.decision for d in session.ledger.decisions(*key)]
        earlier = [decision for decision in decided if decision.scored_at <= at]
        reason = earlier[-1].owner_reason if earlier else ""
        decision = Decision(**row, scored_at=at, owner_reason=reason)
        model, history = models[decision.model], session.ledger.past.history(*key, at)
        explained = told[decision.model].explained(key, row["score"], contributions, earlier)
        found.append((decision, replace(explained, history=history.cooled(model.cool_down, at))))
    if not found and judged.outside is not None and judged.outside.count().to_pyarrow().as_py():
        named = ", ".join(sorted(leads))
        raise ConfigError([f"lead {named}: no model is for it (`model` in the configuration)"])
    return found


class _Told:
    """What the facts say of some leads to one model, looked up lead by lead."""

    def __init__(self, model: Model, facts: Facts, at: datetime, past: Past | None) -> None:
        self._model = model
        self._missing = _by_lead(unknown(model, facts, at, past))
        self._checked = _by_lead(checklists(model, facts, at, past)) if model.checklists else {}
        field = model.probability
        self._predicted = _by_lead(probabilities(field, facts, at)) if field else {}
        counts = any(not rule.silent for rule in model.behaviour)
        self._channels = _by_lead(channels(model, facts, at)) if counts else {}
        self._profiles = {n: _by_lead(table) for n, table in parts(model, facts, at).items()}
        self._complete = _by_lead(completeness(model, facts, at)) if fit_fields(model) else {}
        self._ideal = _by_lead(icp_fit(model, facts, at, past)) if model.icp else {}
        people = belonging(facts, at)
        self._accounts = {
            (row["connection"], row["id"]): row["account_id"]
            for row in people.select("connection", "id", "account_id").to_pyarrow().to_pylist()
        }
        firms = as_of(facts.accounts, at)
        self._firms = _by_lead(
            firms.filter(firms.id.isin(people.account_id)).mutate(lead_id=firms.id)
        )
        began = facts.leads.filter(_.valid_from <= at).order_by("valid_from")
        self._versions = _by_lead(began.mutate(lead_id=began.id))

    def explained(
        self, key: Key, score: int, contributions: ByLead, earlier: Sequence[Decision]
    ) -> Explanation:
        """Everything about one lead; `earlier` is what was decided about it before."""
        shown = {name: part.get(key, []) for name, part in self._profiles.items()}
        predicted = self._predicted.get(key)
        return explain_lead(
            self._model,
            score,
            contributions.get(key, ()),
            [row["rule"] for row in self._missing.get(key, ())],
            self._checked.get(key, ()),
            probability=predicted[0]["probability"] if predicted else None,
            profile=profile(shown) if shown else None,
            known=self._known(key, earlier),
            channels=self._channels.get(key, ()),
        )

    def _known(self, key: Key, earlier: Sequence[Decision]) -> Known:
        versions = self._versions[key]
        firm = self._firms.get((key[0], self._accounts[key] or ""), ())
        of_account = (one for row in firm for one in sourced(row["sources"], "account."))
        complete, ideal = self._complete.get(key), self._ideal.get(key)
        return Known(
            Completeness(complete[0]["known"], complete[0]["asked"]) if complete else None,
            Match(ideal[0]["company"]) if ideal else None,
            Match(ideal[0]["persona"]) if ideal else None,
            (*sourced(versions[-1]["sources"]), *of_account),
            changed_answers(versions, [(d.scored_at, d.stage) for d in earlier]),
        )


def _by_lead(table: Table) -> ByLead:
    """The rows of each lead, by connection and id, in the order of the table."""
    found: defaultdict[Key, list[dict[str, Any]]] = defaultdict(list)
    for row in table.to_pyarrow().to_pylist():
        found[row["connection"], row["lead_id"]].append(row)
    return found


def replay(
    store: FactsStore,
    segments: Segments,
    at: datetime,
    connections: Collection[str],
    leads: Collection[str] = (),
    past: Past | None = None,
) -> Iterator[Decision]:
    """What models say of some leads (none named: of all) as of an instant; nothing is routed.

    In the order of connection and id: the same store, models, instant and past (what was decided
    before it) give the same again.
    """
    at = at.replace(microsecond=0)
    facts = facts_of(store, at)
    if leads:
        facts = about(facts, leads)
    rows = _standing(judge(segments, facts, at, past), facts, at)
    rows = rows.filter(_.connection.isin(sorted(connections))).order_by(KEY)
    for batch in rows.to_pyarrow_batches(chunk_size=BATCH):
        for row in batch.to_pylist():
            yield Decision(**row, scored_at=at)


def _standing(judged: Judged, facts: Facts, at: datetime) -> Table:
    """Where every scored lead stands: the columns of a decision that hang on it alone."""
    records = as_of(facts.leads, at).select("connection", "object_type", lead_id="id")
    return judged.verdicts.inner_join(records, KEY).select(judged.verdicts, records.object_type)
