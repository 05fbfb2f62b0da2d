"""Retention: people whom the CRMs no longer have are erased by themselves, after a while.

The last step of a cycle, so that what it takes away moves scores with the next one, for which it
is a reason of its own. Who was removed is looked for once a day, as an erasure rewrites the stores;
who was purged in every cycle. Killed on the way, the facts still know whom to erase.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.base import Progress
from sync import guards
from sync.guards import Limits
from sync.ledger_people import Record
from sync.ledger_rows import chunks
from sync.report import ConnectionReport
from sync.session import Session
from sync.stop import Stop

BY = "retention"
"""Who erased, in the audit chain; with a connection, when removed records were last looked for."""

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Due:
    """Whom a run erases at one connection; `looked`: those removed were looked for as well."""

    connection: str
    at: datetime
    records: tuple[Record, ...] = ()
    looked: bool = False


def due(session: Session, report: ConnectionReport, at: datetime) -> Due:
    """Whose time is over as of `at` at the connection of a report, which then tells of them."""
    name, kept = report.connection, session.config.retention
    if kept is None:
        return Due(name, at)
    people, records, held = session.facts.people, dict[Record, None](), 0
    if kept.purged is not None:
        records.update(dict.fromkeys(people.purged(name, at - kept.purged).records))
    last = session.ledger.presence.heartbeat(f"{BY} {name}")
    looked = kept.removed is not None and (last is None or at - last >= DAY)
    if kept.removed is not None and looked:
        found = people.removed(name, at - kept.removed, session.config.identity)
        records.update(dict.fromkeys(found.records))
        held = found.kept
    report.forgotten(len(records), held)
    return Due(name, at, tuple(records), looked)


def implausible(session: Session, found: Due, limits: Limits) -> list[str]:
    """What stops the run before it writes: too many are due."""
    held = session.facts.people.count(found.connection)
    return guards.forgotten(found.connection, len(found.records), held, limits)


def forget(session: Session, found: Due, stop: Stop, progress: Progress) -> None:
    """Erase whose time is over, from the ledger first: the facts know whom to erase again."""
    ledger, erased = session.ledger, 0
    for some in chunks(found.records):
        stop.check()
        ledger.people.erase(some, by=BY, at=session.clock())
        erased += len(some)
        progress(f"{found.connection}: erase", erased, len(found.records))
    if found.records:
        ledger.people.scrub()
        session.facts.people.erase(found.records, found.at)
    if found.looked:
        ledger.presence.beat(f"{BY} {found.connection}", at=found.at)
