"""What the ledger keeps of the CRM's answers: within one transaction, by whole sets."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, select, update

from connectors.base import Status, WriteResult
from sync.ledger_engine import upsert
from sync.ledger_rows import change_key, plain
from sync.ledger_schema import INTENTS, QUARANTINE, WRITTEN

OPEN = "open"
"""The state of an intent that nothing is known of yet; else it is a `Status`."""


def unanswered() -> ColumnElement[bool]:
    """The condition that an intent must be read back before its record is written again."""
    return INTENTS.c.state.in_([OPEN, Status.UNKNOWN])


def close_intents(
    db: Connection, connection: str, results: Sequence[WriteResult], at: datetime
) -> None:
    """Record the outcome of intents."""
    for status in Status:
        answered = [r for r in results if r.status is status]
        for condition in _of_records(INTENTS, connection, answered):
            db.execute(
                update(INTENTS).where(condition, unanswered()).values(state=status, settled_at=at)
            )


def keep_written(
    db: Connection, run_id: str, connection: str, written: Sequence[WriteResult], at: datetime
) -> None:
    """Add acknowledged values to what was last written, and end the records' quarantine.

    The values of a record that was merged count for its survivor, which now holds them.
    """
    held = _held(db, WRITTEN, connection, written)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for result in written:
        key = (result.change.object_type, result.survivor or result.change.id)
        before = rows.get(key) or held.get(key) or {"values": {}}
        rows[key] = {
            "connection": connection,
            "object_type": key[0],
            "record_id": key[1],
            "values": {**before["values"], **plain(result.change.values)},
            "run_id": run_id or None,
            "at": at,
        }
    upsert(db, WRITTEN, list(rows.values()))
    for condition in _of_records(QUARANTINE, connection, written):
        db.execute(delete(QUARANTINE).where(condition))


def keep_refused(
    db: Connection, run_id: str, connection: str, refused: Sequence[WriteResult], at: datetime
) -> None:
    """Put refused records into quarantine, or count one more try."""
    held = _held(db, QUARANTINE, connection, refused)
    rows = []
    for result in refused:
        before = held.get((result.change.object_type, result.change.id))
        rows.append(
            {
                **change_key(connection, result.change),
                "values": plain(result.change.values),
                "code": result.code,
                "reason": result.reason,
                "first_seen": before["first_seen"] if before else at,
                "last_seen": at,
                "tries": before["tries"] + 1 if before else 1,
                "run_id": run_id or None,
            }
        )
    upsert(db, QUARANTINE, rows)


def _held(
    db: Connection, table: Table, connection: str, results: Sequence[WriteResult]
) -> dict[tuple[str, str], Mapping[Any, Any]]:
    """The rows that a table has for the records of some results, by object type and id."""
    ids = {r.survivor or r.change.id for r in results}
    query = select(table).where(table.c.connection == connection, table.c.record_id.in_(ids))
    rows = db.execute(query).mappings()
    return {(row["object_type"], row["record_id"]): row for row in rows}


def _of_records(
    table: Table, connection: str, results: Iterable[WriteResult]
) -> Iterator[ColumnElement[bool]]:
    """For each object type, the condition that a row is about one of these records."""
    ids = defaultdict(list)
    for result in results:
        ids[result.change.object_type].append(result.change.id)
    for object_type, records in ids.items():
        yield (
            (table.c.connection == connection)
            & (table.c.object_type == object_type)
            & table.c.record_id.in_(records)
        )
