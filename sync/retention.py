"""Retention: people whom the CRMs no longer have are erased by themselves, and old activities.

The last step of a cycle, so that its plan is about what was known to it; what is taken away moves
scores with the next one. Who was removed, and what is old, is looked for once a day, as an erasure
rewrites the stores; who was purged in every cycle. Killed on the way, the facts still know whom to
erase.
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
    """What a run erases at one connection: the records of persons, and how many activities of how
    many, those before `horizon`. `looked`: for what is old, and not for what was purged alone."""

    connection: str
    at: datetime
    records: tuple[Record, ...] = ()
    looked: bool = False
    horizon: datetime | None = None
    activities: int = 0
    of_activities: int = 0


def due(session: Session, report: ConnectionReport, at: datetime) -> Due:
    """Whose time is over as of `at` at the connection of a report, which then tells of it."""
    name, kept, people = report.connection, session.config.retention, session.facts.people
    if kept is None:
        return Due(name, at)
    records, held, horizon, old, every = dict[Record, None](), 0, None, 0, 0
    if kept.purged is not None:
        records.update(dict.fromkeys(people.purged(name, at - kept.purged).records))
    last = session.ledger.presence.heartbeat(f"{BY} {name}")
    looked = last is None or at - last >= DAY
    if kept.removed is not None and looked:
        found = people.removed(name, at - kept.removed, session.config.identity)
        records.update(dict.fromkeys(found.records))
        held = found.kept
    if kept.removed is not None or kept.purged is not None:
        report.erased("people", len(records), held)
    if kept.activities is not None and looked:
        horizon = at - kept.activities
        old, every = session.facts.horizon.beyond(name, horizon)
        report.erased("activities", old)
    return Due(name, at, tuple(records), looked, horizon, old, every)


def implausible(session: Session, found: Due, limits: Limits) -> list[str]:
    """What stops the run before it writes: too much is due."""
    name = found.connection
    leads = session.facts.people.count(name) if found.records else 0
    return [
        *guards.forgotten(name, "leads", len(found.records), leads, limits),
        *guards.forgotten(name, "activities", found.activities, found.of_activities, limits),
    ]


def forget(session: Session, found: Due, stop: Stop, progress: Progress) -> None:
    """Erase what is due, people from the ledger first: the facts know whom to erase again."""
    name, ledger, erased = found.connection, session.ledger, 0
    for some in chunks(found.records):
        stop.check()
        ledger.people.erase(some, by=BY, at=session.clock())
        erased += len(some)
        progress(f"{name}: erase", erased, len(found.records))
    if found.records:
        ledger.people.scrub()
        session.facts.people.erase(found.records, found.at)
    if found.horizon and found.activities:
        count, before = found.activities, found.horizon
        ledger.people.forgotten(name, count, before=before, by=BY, at=session.clock())
        session.facts.horizon.forget(name, before, found.at)
    if found.looked:
        ledger.presence.beat(f"{BY} {name}", at=found.at)
