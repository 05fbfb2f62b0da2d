"""The gate at the pull: activities that are not even stored.

Those of people who did not agree to be followed: leads are read before activities, so consent is
known by then. What somebody did whose record is not known yet is stored, and counts for nothing
until it is: scoring asks for consent as well. And those that retention would forget again.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from ibis import _

from connectors.base import Page
from core.facts import ACTIVITIES
from core.permitted import unfollowed
from core.segments import Segments
from sync.decide import about, facts_of
from sync.facts_store import FactsStore, Gate
from sync.retention_settings import Retention

Passes = Callable[[FactsStore, str, pa.Table, datetime], pa.ChunkedArray]
"""Which rows of activities of a connection may be stored at an instant."""


def gate(segments: Segments, retention: Retention | None) -> Gate | None:
    """What lets a page in without the activities that models or retention keep out; None: all is.

    It counts the activities that it left out.
    """
    gates: dict[str, Passes] = {}
    if any(s.model.consent and s.model.consent.gate == "pull" for s in segments):
        gates["no consent"] = _agreed(segments)
    if retention is not None and retention.activities is not None:
        gates["too old"] = _recent(retention.activities)
    if not gates:
        return None

    def let_in(
        facts: FactsStore, connection: str, page: Page, at: datetime
    ) -> tuple[Page, dict[str, int]]:
        rows, withheld = page.rows, dict[str, int]()
        if page.stream.table != ACTIVITIES.name:
            return page, withheld
        for reason, passes in gates.items():
            if rows.num_rows:
                kept = rows.filter(passes(facts, connection, rows, at))
                withheld[reason] = rows.num_rows - kept.num_rows
                rows = kept
        return replace(page, rows=rows), withheld

    return let_in


def _agreed(segments: Segments) -> Passes:
    def passes(facts: FactsStore, connection: str, rows: pa.Table, at: datetime) -> pa.ChunkedArray:
        people = filter(None, pc.unique(rows["lead_id"]).to_pylist())
        known = about(facts_of(facts, at), list(people))
        silent = unfollowed(segments, known, at, gates=("pull",))
        assert silent is not None, "a model asks"
        names = silent.filter(_.connection == connection).lead_id.to_pyarrow().cast(pa.string())
        return pc.invert(pc.is_in(rows["lead_id"], names))

    return passes


def _recent(kept: timedelta) -> Passes:
    def passes(_: FactsStore, __: str, rows: pa.Table, at: datetime) -> pa.ChunkedArray:
        since = pa.scalar(at - kept, rows.schema.field("occurred_at").type)
        return pc.greater_equal(rows["occurred_at"], since)

    return passes
