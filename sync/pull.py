"""Pull: every stream of a CRM into the facts, page by page, each with its cursor."""

import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from connectors.base import Connector, Cursor, Page, Progress, RowProblem, Stream
from core.facts import LEADS
from sync.facts_store import FactsStore, Stored
from sync.pages import joined, read_ahead
from sync.report import Comparison, Cost, Refreshed, Step
from sync.session import Clock
from sync.stop import Stop


@dataclass(frozen=True)
class Reader:
    """What it takes to bring the facts up to date with a CRM. `step` counts what came of the pages,
    `progress` is told how far it is."""

    connector: Connector
    facts: FactsStore
    clock: Clock
    stop: Stop
    step: Step = field(default_factory=lambda: Step("pull"))
    progress: Progress = lambda *_: None


@dataclass
class Pulled:
    """What a pull brought. `until` is the CRM's clock at its start; `unread` are bad values.

    `comparisons` are there where the CRM was read whole and compared. `calls` are those that the
    reading took, by class; `refreshed` is what was looked at besides, at the cost `refreshing`.
    """

    until: datetime
    leads_removed: int = 0
    unread: list[RowProblem] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    calls: Mapping[str, int] = field(default_factory=dict)
    refreshed: list[Refreshed] = field(default_factory=list)
    refreshing: Cost = field(default_factory=Cost)

    def note(self, page: Page, stored: Stored, step: Step) -> None:
        """Count what came of a page."""
        step.passed(stored.new + stored.changed)
        step.hold("unchanged", stored.unchanged)
        for reason, count in stored.withheld.items():
            step.hold(reason, count)
        self.unread += page.rejected


Read = Callable[[Reader], Pulled]
"""How a cycle brings the facts up to date with a CRM: `pull`, or what does more."""


def start_of(cursor: Cursor | None, lookback: timedelta) -> Cursor | None:
    """Where to read on from: inside an unfinished window as it is, else with an overlap.

    The overlap is for rows that became visible late under a stamp already passed.
    """
    if cursor is None or cursor.stamp is None or not cursor.ended:
        return cursor
    return Cursor(cursor.stamp - lookback)


def arriving(
    connector: Connector, stream: Stream, cursor: Cursor | None, until: datetime
) -> AbstractContextManager[Generator[Page]]:
    """The pages of a stream: the next one is read while the caller stores one."""
    return closing(read_ahead(joined(connector.pull(stream, cursor, until), time.monotonic)))


def without_later(facts: FactsStore, name: str, page: Page, at: datetime) -> Page:
    """A page that was read beside the pulls, without the rows that changed after `at`: a pull is
    still to bring them. Its cursor is the one that is stored, so that none moves."""
    kept = facts.cursor(name, page.stream.name) or Cursor()
    until = pa.scalar(at, page.rows.schema.field("modified_at").type)
    rows = page.rows.filter(pc.less_equal(page.rows["modified_at"], until))
    return replace(page, rows=rows, cursor=kept)


def pull(
    reader: Reader,
    streams: Iterable[Stream] | None = None,
    counted: Mapping[str, int] | None = None,
) -> Pulled:
    """Read streams on from their cursors, up to the CRM's own present; None: all of them.

    `counted` is how much there is to read of streams where that is known, for the progress. What
    was stored before an error or a stop stays, cursors included: the next pull goes on.
    """
    connector, facts, name = reader.connector, reader.facts, reader.connector.name
    pulled = Pulled(until=connector.now())
    facts.clocks.look(name, pulled.until, reader.clock())
    before = dict(connector.usage.calls)
    for stream in connector.streams() if streams is None else streams:
        cursor = start_of(facts.cursor(name, stream.name), connector.capabilities.lookback)
        done = 0
        with arriving(connector, stream, cursor, pulled.until) as pages:
            for page in pages:
                stored = facts.store(name, page, at=pulled.until)
                pulled.note(page, stored, reader.step)
                if stream.table == LEADS.name:
                    pulled.leads_removed += stored.removed
                done += page.rows.num_rows
                there_is = counted and counted.get(stream.name)
                reader.progress(f"{name}: pull {stream.name}", done, there_is or None)
                reader.stop.check()
    pulled.calls = connector.usage.since(before)
    return pulled
