"""Backfill: read everything again, or a range, resumably; its size and price stated first.

A backfill is a cycle that starts from rewound cursors. What it has read is in the cursors, so
an interrupted one goes on where it was.
"""

from dataclasses import dataclass
from datetime import datetime

from connectors.base import Cursor
from sync.ledger_rows import RunStatus
from sync.session import Session


@dataclass(frozen=True)
class Size:
    """What a backfill will read of a stream: records (None: not known) and the least calls."""

    connection: str
    stream: str
    records: int | None
    calls: int


def kind(since: datetime | None) -> str:
    """The kind of run that a backfill is recorded as; another range is another backfill."""
    return f"backfill since {since:%Y-%m-%d}" if since else "backfill"


def sizes(session: Session, since: datetime | None) -> list[Size]:
    """Ask every CRM how much there is to read; at most one call for each stream."""
    start = Cursor(since) if since else None
    found = []
    for name, connector in session.connectors.items():
        for stream in connector.streams():
            records = connector.count(stream, start)
            calls = max(1, -(-(records or 0) // connector.capabilities.read_page))
            found.append(Size(name, stream.name, records, calls))
    return found


def unfinished(session: Session, since: datetime | None) -> bool:
    """Whether this very backfill was begun and neither finished nor followed by another run."""
    runs = session.ledger.runs(1)
    return (
        bool(runs)
        and runs[0].kind == kind(since)
        and runs[0].status not in (RunStatus.DONE, RunStatus.REFUSED)
    )


def rewind(session: Session, since: datetime | None) -> None:
    """Set every cursor back to the start, or to a date. The facts stay: they are compared."""
    for name, connector in session.connectors.items():
        for stream in connector.streams():
            session.facts.rewind(name, stream.name, Cursor(since) if since else None)
