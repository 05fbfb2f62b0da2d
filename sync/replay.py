"""Scores as of a date: of one lead to the last point, or of the whole base.

Both read versions of facts: what became known after the date is not in them. What was decided
before the date is the past that the score takes as an argument.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from ibis import _
from ibis.expr.types import Table

from core.decision import Decision
from core.explain import Explanation
from core.explain import explain as explain_lead
from core.facts import as_of
from core.past import Past
from core.prediction import probabilities
from core.profile import channels, parts, profile
from core.rules import Model
from core.scoring import Facts, checklists, unknown
from core.verdict import KEY, Judged, judge
from sync.decide import BATCH, about, facts_of, past_of
from sync.facts_store import FactsStore
from sync.session import Session


def explain(
    session: Session, leads: Collection[str], at: datetime
) -> list[tuple[Decision, Explanation]]:
    """Every point of some leads as of an instant, in each connection that has them, in the order
    of connection and id; nothing is routed."""
    at = at.replace(microsecond=0)
    model, facts = session.model, about(facts_of(session.facts, at), leads)
    past = past_of(session.ledger, None, at, model, leads=leads)
    judged = judge(model, facts, at, past)
    contributions = _by_lead(judged.scored.contributions)
    missing = _by_lead(unknown(model, facts, at, past))
    checked = _by_lead(checklists(model, facts, at, past)) if model.checklists else {}
    field = model.probability
    predicted = _by_lead(probabilities(field, facts, at)) if field else {}
    counts = any(not rule.silent for rule in model.behaviour)
    split = _by_lead(channels(model, facts, at)) if counts else {}
    profiles = {name: _by_lead(table) for name, table in parts(model, facts, at).items()}
    found = []
    rows = _standing(judged, facts, at)
    rows = rows.filter(_.connection.isin(sorted(session.connectors))).order_by(KEY)
    for row in rows.to_pyarrow().to_pylist():
        key = (row["connection"], row["lead_id"])
        decided = session.ledger.decisions(*key)
        owners = [d.decision.owner_reason for d in decided if d.decision.scored_at <= at]
        decision = Decision(**row, scored_at=at, owner_reason=owners[-1] if owners else "")
        told = {name: part.get(key, []) for name, part in profiles.items()}
        explained = explain_lead(
            model,
            row["score"],
            contributions.get(key, ()),
            [gap["rule"] for gap in missing.get(key, ())],
            checked.get(key, ()),
            probability=predicted[key][0]["probability"] if key in predicted else None,
            profile=profile(told) if told else None,
            history=session.ledger.past.history(*key, at).cooled(model.cool_down, at),
            channels=split.get(key, ()),
        )
        found.append((decision, explained))
    return found


def _by_lead(table: Table) -> Mapping[tuple[str, str], list[dict[str, Any]]]:
    """The rows of each lead, by connection and id."""
    found: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in table.to_pyarrow().to_pylist():
        found[row["connection"], row["lead_id"]].append(row)
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
        facts = about(facts, leads)
    rows = _standing(judge(model, facts, at, past), facts, at)
    rows = rows.filter(_.connection.isin(sorted(connections))).order_by(KEY)
    for batch in rows.to_pyarrow_batches(chunk_size=BATCH):
        for row in batch.to_pylist():
            yield Decision(**row, scored_at=at)


def _standing(judged: Judged, facts: Facts, at: datetime) -> Table:
    """Where every scored lead stands: the columns of a decision that hang on it alone."""
    records = as_of(facts.leads, at).select("connection", "object_type", lead_id="id")
    return judged.verdicts.inner_join(records, KEY).select(judged.verdicts, records.object_type)
