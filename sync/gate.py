"""The gate at the pull: activities of people who did not agree to be followed are not even stored.

Leads are read before activities, so consent is known by then. What somebody did whose record is not
known yet is stored, and counts for nothing until it is: scoring asks for consent as well.
"""

from dataclasses import replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from ibis import _

from connectors.base import Page
from core.facts import ACTIVITIES
from core.permitted import unfollowed
from core.segments import Segments
from sync.decide import about, facts_of
from sync.facts_store import FactsStore, Gate


def gate(segments: Segments) -> Gate | None:
    """What lets a page in without the activities of those whom the models keep out; None: all is.

    It says how many activities it left out.
    """
    if all(s.model.consent is None or s.model.consent.gate != "pull" for s in segments):
        return None

    def let_in(facts: FactsStore, connection: str, page: Page, at: datetime) -> tuple[Page, int]:
        if page.stream.table != ACTIVITIES.name or not page.rows.num_rows:
            return page, 0
        people = filter(None, pc.unique(page.rows["lead_id"]).to_pylist())
        known = about(facts_of(facts, at), list(people))
        silent = unfollowed(segments, known, at, gates=("pull",))
        assert silent is not None, "a model asks"
        names = silent.filter(_.connection == connection).lead_id.to_pyarrow().cast(pa.string())
        kept = page.rows.filter(pc.invert(pc.is_in(page.rows["lead_id"], names)))
        return replace(page, rows=kept), page.rows.num_rows - kept.num_rows

    return let_in
