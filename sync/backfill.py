"""Backfill: read everything again, or a range, resumably; its size and price stated first.

A backfill is a cycle that starts from rewound cursors. What it has read is in the cursors, so
an interrupted one goes on where it was: what it has counted and read it does not ask for again.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from connectors.base import Connector, Cursor, Price, Stream
from sync.facts_store import FactsStore
from sync.guards import GuardStopError, Limits, budget, keep
from sync.ledger_rows import RunStatus
from sync.price import Size, in_words, reading, total
from sync.pull import Pulled, Read, Reader, pull, start_of
from sync.session import Session

FRESH = timedelta(days=1)
"""How long ago a stream may have been read to its end for a backfill that goes on to leave it."""


def kind(since: datetime | None) -> str:
    """The kind of run that a backfill is recorded as; another range is another backfill."""
    return f"backfill since {since:%Y-%m-%d}" if since else "backfill"


def sizes(
    session: Session, since: datetime | None, limits: Limits, *, going_on: bool
) -> dict[str, list[Size]]:
    """How much there is to read of each stream, by connection; at most one call for each stream.

    Going on with a backfill that was interrupted: what is left, as it was counted at its beginning.
    """
    keep(session.connectors.values(), limits)
    if going_on:
        return {name: _left(session, c, since) for name, c in session.connectors.items()}
    begin = Cursor(since) if since else None
    return {
        name: reading(connector, start_of(begin, connector.capabilities.lookback))
        for name, connector in session.connectors.items()
    }


def _left(session: Session, connector: Connector, since: datetime | None) -> list[Size]:
    facts, name, now = session.facts, connector.name, session.clock()
    counted, found = facts.backlog.of(name), []
    for stream in remaining(connector, facts, since, now):
        cursor = facts.cursor(name, stream.name)
        records = None if _ended(cursor, since) else counted.get(stream.name)
        begin = start_of(cursor, connector.capabilities.lookback)
        if records is None:
            records = connector.count(stream, begin)
        price = replace(connector.price(stream, begin, records), exact=False)
        found.append(Size(stream.name, records, price))
    return found


def priced(
    session: Session, sizes: Mapping[str, list[Size]], limits: Limits, say: Callable[[str], None]
) -> dict[str, Price]:
    """State the size and the price of the reading, and return the price of each connection.

    Raises GuardStopError where one is over the budget of calls: nothing is read, nor rewound.
    """
    prices = {}
    for name, streams in sizes.items():
        for size in streams:
            records = "an unknown number of" if size.records is None else f"{size.records:,}"
            say(f"{name}: {records} records of {size.stream}, {in_words(size.price)}")
        prices[name] = total(streams)
        say(f"{name}: reading costs {in_words(prices[name])}")
    made = {name: session.connectors[name].usage.total for name in prices}
    findings = [
        f for name in prices for f in budget(name, "reading", prices[name], limits, made[name])
    ]
    if findings:
        raise GuardStopError(findings)
    return prices


def unfinished(session: Session, since: datetime | None) -> bool:
    """Whether this very backfill was begun and neither finished nor followed by another run."""
    runs = session.ledger.runs(1)
    return (
        bool(runs)
        and runs[0].kind == kind(since)
        and runs[0].status not in (RunStatus.DONE, RunStatus.REFUSED)
    )


def rewind(session: Session, since: datetime | None, sizes: Mapping[str, list[Size]]) -> None:
    """Set every cursor back to the start, or to a date. The facts stay: they are compared."""
    for name, connector in session.connectors.items():
        counted = {s.stream: s.records for s in sizes[name] if s.records is not None}
        session.facts.backlog.keep(name, counted)
        for stream in connector.streams():
            session.facts.rewind(name, stream.name, Cursor(since) if since else None)


def remaining(
    connector: Connector, facts: FactsStore, since: datetime | None, now: datetime
) -> list[Stream]:
    """The streams that a backfill has not read to their end, or not within the last day."""
    found = []
    for stream in connector.streams():
        cursor = facts.cursor(connector.name, stream.name)
        if not _ended(cursor, since, within=now - FRESH):
            found.append(stream)
    return found


def read_on(since: datetime | None) -> Read:
    """How a backfill reads a CRM, begun now or gone on with: what remains of it."""

    def read(reader: Reader) -> Pulled:
        streams = remaining(reader.connector, reader.facts, since, reader.clock())
        return pull(reader, streams, reader.facts.backlog.of(reader.connector.name))

    return read


def _ended(
    cursor: Cursor | None, since: datetime | None, *, within: datetime | None = None
) -> bool:
    """Whether a stream was read from `since` to its end, and to an instant after `within`."""
    if cursor is None or cursor.stamp is None or not cursor.ended:
        return False
    return all(cursor.stamp > start for start in (since, within) if start is not None)
