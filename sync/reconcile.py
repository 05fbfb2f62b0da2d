"""Reconciliation: a CRM read whole and compared with the facts, so that nothing stays wrong.

A delta brings what moved its modified stamp. What did not (a formula field, an association that
came later), what was missed, and what vanished without a word is found only by looking at
everything: once in a while, on a schedule of its own.

    pull as always -> read whole, keep the ids -> pull what moved meanwhile -> guards -> take away

Only records unchanged since before it began can be found gone, so one that is changed, created
or deleted while it runs is left to the pulls. How far it is stands in the facts (`census`): an
interrupted one goes on.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from connectors import mapping
from connectors.base import Connector, Cursor, Page, Removed, Stream
from core.facts import BY_NAME, LEADS
from sync import guards
from sync.census import Reading
from sync.facts_store import FactsStore
from sync.guards import GuardStopError, Limits
from sync.pull import Pulled, Reader, arriving, pull, without_later
from sync.report import Comparison

FRESH = timedelta(days=1)
"""How old a reading may be that is gone on with; what an older one saw says too little."""

TAKEN_AWAY = 10_000
"""Records that are marked removed in one transaction."""


def read_whole(limits: Limits, reader: Reader) -> Pulled:
    """Pull, then compare every complete stream with the facts, and heal what differs.

    Stops before anything is taken away where more is gone than `limits` allow.
    """
    connector, facts = reader.connector, reader.facts
    before = dict(connector.usage.calls)
    read = _read_until(connector, facts)
    first = pull(reader)
    comparing = _Comparing(reader, first)
    streams = [stream for stream in connector.streams() if stream.complete]
    for stream in streams:
        comparing.read(stream)
    pulled = pull(reader)
    pulled.unread += first.unread
    pulled.leads_removed += first.leads_removed
    found = {stream: comparing.found(stream) for stream in streams}
    if findings := comparing.implausible(found, limits):
        facts.census.forget(connector.name)
        raise GuardStopError(findings)
    lasts = connector.capabilities.tells_removed
    told = lasts is not None and read is not None and read > pulled.until - lasts
    for stream, comparison in found.items():
        purged = told and stream.table == LEADS.name
        if comparison.gone:
            comparing.take_away(stream, pulled.until, purged=purged)
        if purged:
            found[stream] = replace(comparison, purged=comparison.gone)
        if stream.table == LEADS.name:
            pulled.leads_removed += comparison.gone
    facts.census.forget(connector.name)
    pulled.comparisons = list(found.values())
    pulled.calls = connector.usage.since(before)
    return pulled


def _read_until(connector: Connector, facts: FactsStore) -> datetime | None:
    """Up to when every stream of leads has been read; None: one of them was not yet."""
    streams = (stream for stream in connector.streams() if stream.table == LEADS.name)
    cursors = [facts.cursor(connector.name, stream.name) for stream in streams]
    stamps = [cursor.stamp for cursor in cursors if cursor and cursor.stamp]
    return min(stamps) if len(stamps) == len(cursors) else None


class _Comparing:
    """One connection's comparison, begun now or gone on with."""

    def __init__(self, reader: Reader, first: Pulled) -> None:
        self._reader = reader
        self._connector = reader.connector
        self._facts = reader.facts
        self._first = first
        self._name = reader.connector.name
        self._census = reader.facts.census
        self._readings = self._census.readings(self._name)
        began = min((r.began for r in self._readings.values()), default=first.until)
        if not first.until - FRESH <= began <= first.until:
            self._census.forget(self._name)
            self._readings, began = {}, first.until
        self._began = began
        self._settled = began - self._connector.capabilities.lookback
        """Before this, whatever became visible late is visible."""

    def read(self, stream: Stream) -> None:
        """Read a stream whole, or what is left of it: keep the ids, take over what differs."""
        reading = self._readings.get(stream.name) or self._begun(stream)
        shown = 0
        while not reading.ended:
            with arriving(self._connector, stream, reading.cursor, self._began) as pages:
                for page in pages:
                    reading = self._store(reading, page)
                    shown += page.rows.num_rows
                    stage = f"{self._name}: compare {stream.name}"
                    self._reader.progress(stage, shown, reading.counted)
                    self._reader.stop.check()
        self._readings[stream.name] = reading

    def _begun(self, stream: Stream) -> Reading:
        reading = Reading(
            stream.name,
            self._began,
            held=self._census.held(self._name, stream.table, stream.name),
            counted=self._connector.count(stream, None),
        )
        self._census.begin(self._name, reading)
        return reading

    def _store(self, reading: Reading, page: Page) -> Reading:
        """Take over what differs in a page; what changed since it all began is left to a pull."""
        known = without_later(self._facts, self._name, page, self._began)
        stored = self._facts.store(self._name, known, at=self._first.until, alive=True)
        self._first.note(page, stored, self._reader.step)
        reading = replace(
            reading,
            cursor=page.cursor,
            missing=reading.missing + stored.new,
            changed=reading.changed + stored.changed,
            unstamped=reading.unstamped + stored.unstamped,
        )
        self._census.note(self._name, reading, page)
        return reading

    def found(self, stream: Stream) -> Comparison:
        """What the comparison of a stream came to; nothing is gone where too little was shown."""
        reading = self._readings[stream.name]
        place = (self._name, stream.table, stream.name, self._settled)
        comparison = Comparison(
            stream.name,
            counted=reading.counted,
            shown=self._census.accounted(*place),
            held=reading.held,
            missing=reading.missing,
            changed=reading.changed,
            unstamped=reading.unstamped,
        )
        if comparison.short:
            return comparison
        return replace(comparison, gone=self._census.gone(*place))

    def implausible(self, found: Mapping[Stream, Comparison], limits: Limits) -> list[str]:
        """What stops the run: too much of a table is gone."""
        gone, held = Counter[str](), Counter[str]()
        for stream, comparison in found.items():
            gone[stream.table] += comparison.gone
            held[stream.table] += comparison.held
        return [
            finding
            for table in gone
            for finding in guards.vanished(self._name, table, gone[table], held[table], limits)
        ]

    def take_away(self, stream: Stream, at: datetime, *, purged: bool) -> None:
        """Mark removed, as of now, what the CRM no longer has; `purged`: it was erased there."""
        nothing = mapping.table(BY_NAME[stream.table].model, {"id": []}).rows
        place = (self._name, stream.table, stream.name, self._settled)
        while some := self._census.some_gone(*place, TAKEN_AWAY):
            if purged:
                self._facts.people.note_purged(self._name, some)
            cursor = self._facts.cursor(self._name, stream.name) or Cursor()
            removed = tuple(Removed(record, at) for record in some)
            self._facts.store(self._name, Page(stream, nothing, cursor, removed), at=at)
