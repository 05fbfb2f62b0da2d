"""What changed since the last complete run, so that the next one rescores no more than that.

A change of the facts notes, in its own transaction, the records that leads' decisions rest on; a
run that has written everything ends by forgetting them and leaving its mark, in one transaction.
Killed at any instant, a run leaves them as they were, and the next run takes them up again.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import ibis
import pyarrow as pa

from core.facts import ACCOUNTS, ACTIVITIES, LEADS, TIME, FactsTable
from sync.facts_file import FactsFile

SCHEMAS = {
    "touched": ibis.schema(
        {"connection": "!string", "table_name": "!string", "id": "!string"},
    ),
    "marks": ibis.schema(
        {
            "connection": "!string",
            "decided_at": TIME.copy(nullable=False),
            "signature": "!string",
            "run_id": "!string",
        }
    ),
}

_BEARERS = {
    LEADS.name: (LEADS.name, "id"),
    ACCOUNTS.name: (ACCOUNTS.name, "id"),
    ACTIVITIES.name: (LEADS.name, "lead_id"),
}
"""The record that a row of a table counts for, and its column. The other tables move no score;
owners are part of what a mark is signed with."""


@dataclass(frozen=True)
class Mark:
    """A complete run over one connection: as of when it decided, by what (a hash), and its id."""

    decided_at: datetime
    signature: str
    run_id: str


class Touched:
    """The records of a facts file that changed since each connection's mark.

    Without a mark nothing is noted: everything is to be decided then.
    """

    def __init__(self, file: FactsFile) -> None:
        self._file = file

    def mark(self, connection: str) -> Mark | None:
        """The mark of the last complete run; None before the first."""
        rows = self._file.rows(
            "SELECT decided_at, signature, run_id FROM marks WHERE connection = $c", c=connection
        )
        return Mark(**rows[0]) if rows else None

    def advance(self, connection: str, mark: Mark, waiting: Collection[str]) -> None:
        """Leave a mark, and note no more than the leads that still wait to be written."""
        with self._file.transaction():
            self._file.run("DELETE FROM touched WHERE connection = $c", c=connection)
            self._file.run("DELETE FROM marks WHERE connection = $c", c=connection)
            self._file.run(
                "INSERT INTO marks VALUES ($c, $decided_at, $signature, $run_id)",
                c=connection,
                **vars(mark),
            )
            self.ids(connection, LEADS, waiting)

    def gone(self, connection: str) -> int:
        """How many leads that stood at the mark do so no more."""
        (row,) = self._file.rows(
            "SELECT count(DISTINCT t.id) AS n FROM touched t JOIN leads l "
            "ON l.connection = $c AND l.id = t.id AND l.valid_from <= "
            "(SELECT decided_at FROM marks WHERE connection = $c) "
            f"WHERE t.connection = $c AND t.table_name = '{LEADS.name}' AND NOT EXISTS "
            "(FROM leads s WHERE s.connection = $c AND s.id = t.id AND s.valid_to IS NULL)",
            c=connection,
        )
        return int(row["n"])

    def rows(self, connection: str, table: FactsTable, source: str) -> None:
        """Note whom the rows of a relation count for, which has the columns of `table`."""
        if table.name in _BEARERS:
            bearer, column = _BEARERS[table.name]
            self._note(connection, bearer, column, source)

    def records(self, connection: str, table: FactsTable, source: str) -> None:
        """Note the records whose ids a relation has, where they are ones that count."""
        if table in (LEADS, ACCOUNTS):
            self._note(connection, table.name, "id", source)

    def ids(self, connection: str, table: FactsTable, ids: Collection[str]) -> None:
        """Note some records, where they are ones that count."""
        with self._file.given("named", pa.table({"id": pa.array(sorted(ids), pa.string())})):
            self.records(connection, table, "named")

    def _note(self, connection: str, bearer: str, column: str, source: str) -> None:
        self._file.run(
            f"INSERT INTO touched SELECT DISTINCT $c, '{bearer}', {column} FROM {source} "
            f"WHERE {column} <> '' AND EXISTS (FROM marks WHERE connection = $c)",
            c=connection,
        )
