"""What the ledger keeps of the CRM's answers: within one transaction, by whole sets."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, select, update

from connectors.base import Change, Status, WriteResult
from core.decision import Output
from core.diff import COMPANIONS, is_foreign
from sync import ledger_audit
from sync.ledger_audit import Act, Entry
from sync.ledger_engine import listed, upsert
from sync.ledger_rows import change_key, outputs, plain
from sync.ledger_schema import HELD, INTENTS, QUARANTINE, WRITTEN

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
"""How soon a record that was refused for now is sent again: each time after twice as long."""

TEXT = "another text"
"""What stands in the audit chain for a text that is not ours."""

OPEN = "open"
"""The state of an intent that nothing is known of yet; else it is a `Status`."""


def unanswered() -> ColumnElement[bool]:
    """The condition that an intent must be read back before its record is written again."""
    return INTENTS.c.state.in_([OPEN, Status.UNKNOWN])


def begin_job(
    db: Connection, run_id: str, connection: str, job: str, changes: Iterable[Change]
) -> None:
    """Keep which job of the CRM carries out some intents of a run."""
    mine = (INTENTS.c.run_id == run_id) & (INTENTS.c.state == OPEN)
    for condition in _of_records(db, INTENTS, connection, changes):
        db.execute(update(INTENTS).where(condition, mine).values(job=job))


def opened(db: Connection, connection: str) -> Iterator[tuple[str | None, Change]]:
    """What was never answered, with the job of the CRM that carries it out; oldest first."""
    query = select(INTENTS).where(INTENTS.c.connection == connection, unanswered())
    for row in db.execute(query.order_by(INTENTS.c.id)).mappings():
        yield row["job"], Change(row["object_type"], row["record_id"], outputs(row["values"]))


def settle(
    db: Connection,
    run_id: str | None,
    connection: str,
    results: Sequence[WriteResult],
    fields: str | None,
    at: datetime,
) -> None:
    """Record the outcome of some writes: see `sync.ledger.Ledger.settle`.

    A record of which the CRM kept only a part has two results: it stays in quarantine.
    """
    written = [r for r in results if r.status is Status.WRITTEN]
    refused = [r for r in results if r.status in (Status.REFUSED, Status.TRANSIENT)]
    again = {(r.change.object_type, r.change.id) for r in refused}
    well = [r for r in written if (r.change.object_type, r.change.id) not in again]
    ledger_audit.append(db, list(_overwritten(db, connection, written, at)))
    _close_intents(db, connection, results, at)
    _keep_written(db, run_id, connection, written, at)
    _end_holds(db, connection, written)
    _end_quarantine(db, connection, well)
    _keep_refused(db, run_id, connection, refused, at, fields)


def _overwritten(
    db: Connection, connection: str, written: Sequence[WriteResult], at: datetime
) -> Iterator[Entry]:
    """An entry of the audit chain for each record where a value was replaced that is not ours.

    Who has a lead is told with the decision that gives it. A text of somebody else's may be about a
    person, and is not repeated.
    """
    sent = {(r.change.object_type, r.change.id): r.change.values for r in written}
    ours = _held(db, WRITTEN, connection, written, "values")
    c = INTENTS.c
    for condition in _of_records(db, INTENTS, connection, (r.change for r in written)):
        query = select(c.object_type, c.record_id, c.run_id, c.before).where(condition)
        query = query.where(unanswered(), c.before.is_not(None)).order_by(c.id)
        found = {(row[0], row[1]): (row[2], outputs(row[3])) for row in db.execute(query)}
        for key, (run_id, before) in found.items():
            (last,) = ours.get(key, ({},))
            changed = {
                output.value: [TEXT if output is Output.REASON and there else there, value]
                for output, value in sent[key].items()
                if output not in (*COMPANIONS, Output.OWNER)
                and (there := before.get(output)) != value
                and is_foreign(output, there, last)
            }
            if changed:
                detail = {"object_type": key[0], "changed": changed}
                yield Entry(Act.OVERWRITTEN, at, detail, run_id, connection, key[1])


def _close_intents(
    db: Connection, connection: str, results: Sequence[WriteResult], at: datetime
) -> None:
    """Record the outcome of intents."""
    for status in Status:
        answered = [r.change for r in results if r.status is status]
        for condition in _of_records(db, INTENTS, connection, answered):
            db.execute(
                update(INTENTS).where(condition, unanswered()).values(state=status, settled_at=at)
            )


def _keep_written(
    db: Connection,
    run_id: str | None,
    connection: str,
    written: Sequence[WriteResult],
    at: datetime,
) -> None:
    """Add acknowledged values to what was last written.

    The values of a record that was merged count for its survivor, which now holds them.
    """
    held = _held(db, WRITTEN, connection, written, "values")
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for result in written:
        key = (result.change.object_type, result.survivor or result.change.id)
        (before,) = held.get(key, ({},))
        held[key] = ({**before, **plain(result.change.values)},)
        rows[key] = {
            "connection": connection,
            "object_type": key[0],
            "record_id": key[1],
            "values": held[key][0],
            "run_id": run_id,
            "at": at,
        }
    upsert(db, WRITTEN, list(rows.values()))


def _end_holds(db: Connection, connection: str, written: Sequence[WriteResult]) -> None:
    """Forget that humans held what is written now."""
    c = HELD.c
    wrote = {(r.change.object_type, r.change.id): r.change.values for r in written}
    for condition in _of_records(db, HELD, connection, (r.change for r in written)):
        held = db.execute(select(c.object_type, c.record_id, c.output).where(condition)).all()
        for object_type, record_id, output in held:
            if output in wrote[object_type, record_id]:
                key = (c.object_type == object_type) & (c.record_id == record_id)
                db.execute(delete(HELD).where(c.connection == connection, key, c.output == output))


def _end_quarantine(db: Connection, connection: str, written: Sequence[WriteResult]) -> None:
    """Take records out of quarantine."""
    for condition in _of_records(db, QUARANTINE, connection, (r.change for r in written)):
        db.execute(delete(QUARANTINE).where(condition))


def _keep_refused(
    db: Connection,
    run_id: str | None,
    connection: str,
    refused: Sequence[WriteResult],
    at: datetime,
    fields: str | None,
) -> None:
    """Put refused records into quarantine, or count one more try.

    What was refused for now gets an instant at which it is sent again.
    """
    held = _held(db, QUARANTINE, connection, refused, "first_seen", "tries")
    rows = []
    for result in refused:
        first_seen, tries = held.get((result.change.object_type, result.change.id), (at, 0))
        rows.append(
            {
                **change_key(connection, result.change),
                "values": plain(result.change.values),
                "code": result.code,
                "reason": result.reason,
                "first_seen": first_seen,
                "last_seen": at,
                "tries": tries + 1,
                "next_try": at + wait(tries) if result.status is Status.TRANSIENT else None,
                "fields": fields,
                "modified_at": result.change.modified_at,
                "run_id": run_id,
            }
        )
    upsert(db, QUARANTINE, rows)


def wait(tries: int) -> timedelta:
    """How long to wait after so many tries before the last one."""
    return min(FIRST_WAIT * (1 << min(tries, 30)), LONGEST_WAIT)


def _held(
    db: Connection, table: Table, connection: str, results: Sequence[WriteResult], *columns: str
) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Some columns of what a table has of the records of some results, by object type and id."""
    c = table.c
    query = select(c.object_type, c.record_id, *(c[name] for name in columns)).where(
        c.connection == connection,
        c.record_id.in_(listed(db, {r.survivor or r.change.id for r in results})),
    )
    return {(row[0], row[1]): tuple(row[2:]) for row in db.execute(query)}


def _of_records(
    db: Connection, table: Table, connection: str, changes: Iterable[Change]
) -> Iterator[ColumnElement[bool]]:
    """For each object type, the condition that a row is about one of these records."""
    ids = defaultdict(list)
    for change in changes:
        ids[change.object_type].append(change.id)
    for object_type, records in ids.items():
        yield (
            (table.c.connection == connection)
            & (table.c.object_type == object_type)
            & table.c.record_id.in_(listed(db, records))
        )
