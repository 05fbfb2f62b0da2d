"""Backfill: read everything again, or a range, resumably; its size and price stated first.

A backfill is a cycle that starts from rewound cursors. What it has read is in the cursors, so
an interrupted one goes on where it was.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from connectors.base import Connector, Cursor, Price, Stream
from sync.guards import GuardStopError, Limits, budget, keep_share
from sync.ledger_rows import RunStatus
from sync.price import Size, in_words, reading, total
from sync.pull import start_of
from sync.session import Session


def kind(since: datetime | None) -> str:
    """The kind of run that a backfill is recorded as; another range is another backfill."""
    return f"backfill since {since:%Y-%m-%d}" if since else "backfill"


def sizes(session: Session, since: datetime | None, *, going_on: bool) -> dict[str, list[Size]]:
    """Ask every CRM how much there is to read, by connection; at most one call for each stream.

    Going on with one that was interrupted: how much there is left.
    """
    facts = session.facts

    def start(connector: Connector, stream: Stream) -> Cursor | None:
        begin = Cursor(since) if since else None
        cursor = facts.cursor(connector.name, stream.name) if going_on else begin
        return start_of(cursor, connector.capabilities.lookback)

    return {
        name: reading(connector, partial(start, connector))
        for name, connector in session.connectors.items()
    }


def priced(
    session: Session,
    since: datetime | None,
    limits: Limits,
    say: Callable[[str], None],
    *,
    going_on: bool,
) -> dict[str, Price]:
    """State the size and the price of the reading, and return the price of each connection.

    Raises GuardStopError where one is over the budget of calls: nothing is read, nor rewound.
    """
    keep_share(session.connectors.values(), limits)
    prices = {}
    for name, streams in sizes(session, since, going_on=going_on).items():
        for size in streams:
            records = "an unknown number of" if size.records is None else f"{size.records:,}"
            say(f"{name}: {records} records of {size.stream}, {in_words(size.price)}")
        prices[name] = total(streams)
        say(f"{name}: reading costs {in_words(prices[name])}")
    findings = [f for name in prices for f in budget(name, "reading", prices[name], limits)]
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


def rewind(session: Session, since: datetime | None) -> None:
    """Set every cursor back to the start, or to a date. The facts stay: they are compared."""
    for name, connector in session.connectors.items():
        for stream in connector.streams():
            session.facts.rewind(name, stream.name, Cursor(since) if since else None)
