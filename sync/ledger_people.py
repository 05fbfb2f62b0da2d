"""What the ledger holds about people: for a report, for open files, and how it is erased.

Every table with a record's id is covered, so one that is added later is, too. Some are kept under a
made-up id, because what owners and stages had in all is counted from them; all others lose the
rows. Nothing links the made-up id to the person.
"""

import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from sqlalchemy import Column, Connection, Engine, Table, and_, delete, or_, select, update

from core.decision import UNIT
from core.routing import FOLLOWING
from sync.ledger_audit import Act, Entry, append, forget
from sync.ledger_rows import CHUNK
from sync.ledger_schema import (
    ASSIGNMENTS,
    AUDIT,
    DECISIONS,
    GIVEN,
    HANDOFFS,
    METADATA,
    RUNS,
    TIMERS,
)

Record = tuple[str, str]
"""Connection and id of a record in its CRM."""

ERASED = "erased-"
"""How the made-up ids begin."""

DECIDED = pa.schema(
    {
        "connection": pa.string(),
        "lead_id": pa.string(),
        "object_type": pa.string(),
        "at": pa.timestamp("us", "UTC"),
        "score": pa.decimal128(38, 4),
        "fit": pa.decimal128(38, 4),
        "behaviour": pa.decimal128(38, 4),
        "probability": pa.decimal128(10, 9),
        "tier": pa.string(),
        "stage": pa.string(),
        "owner_id": pa.string(),
        "owner_reason": pa.string(),
        "reason": pa.string(),
        "model": pa.string(),
    }
)
"""A decision as it is exported: `score` in points, its parts before they are weighted, and what was
predicted beside it."""

_IN_POINTS = ("score", "fit", "behaviour")

_NAMING = {
    GIVEN.c.follows: "",
    HANDOFFS.c.follows: "",
    GIVEN.c.reason: FOLLOWING,
    ASSIGNMENTS.c.reason: FOLLOWING,
    DECISIONS.c.owner_reason: FOLLOWING,
}
"""What may name another record of the same person, after these words."""

_COUNTED = (ASSIGNMENTS, GIVEN, HANDOFFS, TIMERS)


class PeopleLedger:
    """The part of a ledger that answers for what is held about people."""

    def __init__(self, engine: Engine, readers: Engine) -> None:
        self._engine = engine
        self._readers = readers

    def held(self, records: Collection[Record]) -> dict[str, list[dict[str, Any]]]:
        """Everything about some records, by table; tables that hold nothing are left out."""
        found = {}
        with self._readers.begin() as db:
            for table, id_ in _tables():
                rows = db.execute(select(table).where(_about(table, id_, records))).mappings()
                found[table.name] = [dict(row) for row in rows]
        return {name: rows for name, rows in found.items() if rows}

    def decisions(self) -> Iterator[pa.Table]:
        """Everything ever decided (`DECIDED`), in batches."""
        query = select(*(DECISIONS.c[name] for name in DECIDED.names)).order_by(DECISIONS.c.id)
        with self._readers.connect().execution_options(yield_per=CHUNK) as db:
            for rows in db.execute(query).mappings().partitions():
                found = [{**row, **_points(row)} for row in rows]
                yield pa.Table.from_pylist(found, DECIDED)

    def denied(self, account: str, command: str, *, at: datetime) -> None:
        """Record in the audit chain that an account was not let to run a command."""
        with self._engine.begin() as db:
            append(db, [Entry(Act.DENIED, at, {"by": account, "command": command})])

    def forgotten(
        self, connection: str, activities: int, *, before: datetime, by: str, at: datetime
    ) -> None:
        """Record in the audit chain how many activities the facts forget, those before when: the
        scores that this moves are then accounted for."""
        detail = {"by": by, "activities": activities, "before": before.isoformat()}
        with self._engine.begin() as db:
            append(db, [Entry(Act.FORGOTTEN, at, detail, connection=connection)])

    def records(self, named: str) -> list[Record]:
        """The records with an id of which anything is said, in every connection."""
        found = set[Record]()
        with self._readers.begin() as db:
            for table, id_ in _tables():
                rows = select(table.c.connection, id_).where(id_ == named).distinct()
                found.update((row.connection, named) for row in db.execute(rows))
        return sorted(found)

    def erase(self, records: Collection[Record], *, by: str, at: datetime) -> dict[str, int]:
        """Erase some records in one transaction; how many rows of each table were changed or went.

        What was decided about them goes; what owners and stages were given in all stays counted.
        The audit chain stays whole: see `sync.ledger_audit`. Once all are erased: `scrub`.
        """
        counts = {}
        nobody = {record: f"{ERASED}{secrets.token_hex(8)}" for record in records}
        with self._engine.begin() as db:
            for table, id_ in _tables():
                if table is AUDIT:
                    told = select(AUDIT.c.number).where(_about(table, id_, records))
                    numbers = list(db.execute(told.order_by(AUDIT.c.number)).scalars())
                    counts[table.name] = len(numbers)
                    forget(db, numbers, by, at)
                elif table in _COUNTED:
                    counts[table.name] = sum(
                        db.execute(
                            update(table).where(_about(table, id_, [record])).values({id_: name})
                        ).rowcount
                        for record, name in nobody.items()
                    )
                else:
                    gone = delete(table).where(_about(table, id_, records))
                    counts[table.name] = db.execute(gone).rowcount
            for column, words in _NAMING.items():
                named = _named(column, words, records)
                db.execute(update(column.table).where(named).values({column: words + ERASED}))
            _forget_errors(db, records)
        return {name: count for name, count in counts.items() if count}

    def scrub(self) -> None:
        """Leave nothing of deleted rows in the file; a server does so by itself, in time."""
        if self._engine.dialect.name == "sqlite":
            # The driver's own connection: SQLite does this outside of transactions only.
            with closing(self._engine.raw_connection()) as connection:
                for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                    connection.cursor().execute(statement)


def _tables() -> list[tuple[Table, Column[Any]]]:
    """The tables that name records, and the column that does."""
    return [
        (table, table.c[name])
        for table in METADATA.sorted_tables
        for name in ("lead_id", "record_id")
        if name in table.c
    ]


def _forget_errors(db: Connection, records: Collection[Record]) -> None:
    """Erase the words of runs that failed with a record's id in them."""
    said = db.execute(select(RUNS.c.id, RUNS.c.error).where(RUNS.c.error.is_not(None)))
    naming = [run.id for run in said if any(id_ in run.error for _connection, id_ in records)]
    forgotten = update(RUNS).where(RUNS.c.id.in_(naming))
    db.execute(forgotten.values(error="erased: it named a person"))


def _named(column: Column[Any], words: str, records: Collection[Record]) -> Any:
    """Whether a column names one of some records after `words`; from elsewhere, by connection."""
    own = [
        and_(column.table.c.connection == c, column.in_([words + id_ for id_ in ids]))
        for c, ids in _ids(records).items()
    ]
    return or_(*own, column.in_([f"{words}{c}:{id_}" for c, id_ in records]))


def _about(table: Table, id_: Column[Any], records: Collection[Record]) -> Any:
    own = (and_(table.c.connection == c, id_.in_(ids)) for c, ids in _ids(records).items())
    return or_(*own)


def _ids(records: Collection[Record]) -> dict[str, list[str]]:
    """The ids of some records by connection."""
    ids: dict[str, list[str]] = {}
    for connection, record in records:
        ids.setdefault(connection, []).append(record)
    return ids


def _points(row: Mapping[Any, Any]) -> dict[str, Decimal]:
    """What a decision counts in units, in points."""
    return {n: Decimal(row[n]) / UNIT for n in _IN_POINTS if row[n] is not None}
