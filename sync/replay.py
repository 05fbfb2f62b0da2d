"""The scores of the whole base, or of some leads, as of a date.

Versions of facts are read: what became known after the date is not in them. What was decided
before the date is the past that the score takes as an argument.
"""

from collections.abc import Collection, Iterator
from datetime import datetime

from ibis import _

from core.decision import Decision
from core.facts import as_of
from core.identity import Identity
from core.past import Past
from core.persons import shared
from core.prediction import exact
from core.segments import Segments
from core.verdict import KEY, judge
from sync.decide import BATCH, about, all_of, facts_of
from sync.facts_store import FactsStore


def replay(
    store: FactsStore,
    segments: Segments,
    at: datetime,
    connections: Collection[str],
    leads: Collection[str] = (),
    past: Past | None = None,
    identity: Identity | None = None,
) -> Iterator[Decision]:
    """What models say of some leads (none named: of all) as of an instant; nothing is routed.

    In the order of connection and id: the same store, models, instant and past (what was decided
    before it) give the same again.
    """
    at = at.replace(microsecond=0)
    facts = facts_of(store, at)
    if leads:
        facts = about(facts, all_of(identity, segments, facts, leads, at))
    facts = shared(identity, facts, at)
    verdicts = judge(segments, facts, at, past).verdicts
    if leads:
        verdicts = verdicts.filter(_.lead_id.isin(sorted(leads)))
    records = as_of(facts.leads, at).select("connection", "object_type", lead_id="id")
    rows = verdicts.inner_join(records, KEY).select(verdicts, records.object_type)
    rows = rows.filter(_.connection.isin(sorted(connections))).order_by(KEY)
    for batch in rows.to_pyarrow_batches(chunk_size=BATCH):
        for row in batch.to_pylist():
            predicted = exact(row.pop("probability"))
            yield Decision(**row, scored_at=at, probability=predicted)
