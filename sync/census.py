"""What a CRM shows while it is read whole: the ids that came by, and how far the reading is.

Kept in the facts file, so that a comparison that is interrupted goes on where it was, and one of
millions of records takes no memory. What the facts hold and the CRM did not show is gone.
"""

from dataclasses import dataclass
from datetime import datetime

import ibis
import pyarrow as pa

from connectors.base import Cursor, Page
from core.facts import BY_NAME, TIME
from sync.facts_file import FactsFile
from sync.facts_sql import differing, equal, standing

COUNTS = {
    "censuses": ibis.schema(
        {
            "connection": "!string",
            "stream": "!string",
            "began": TIME.copy(nullable=False),
            "stamp": TIME,
            "id": "!string",
            "until": TIME,
            "counted": "int64",
            "held": "!int64",
            "missing": "!int64",
            "changed": "!int64",
            "unstamped": "!int64",
        }
    ),
    "shown": ibis.schema({"connection": "!string", "stream": "!string", "id": "!string"}),
}


@dataclass(frozen=True)
class Reading:
    """How far one stream has been read whole, and what was found so far.

    `began` is the CRM's clock when the census of its connection began. `counted` is how many
    records the CRM says it has (None: it does not say), `held` how many the facts held before.
    `missing` rows were not in the facts, `changed` ones differed, `unstamped` of them under the
    stamp that the facts knew.
    """

    stream: str
    began: datetime
    held: int
    counted: int | None = None
    cursor: Cursor | None = None
    missing: int = 0
    changed: int = 0
    unstamped: int = 0

    @property
    def ended(self) -> bool:
        """Whether the stream has been read to its end."""
        return self.cursor is not None and self.cursor.ended


class Census:
    """The readings of a facts file: one for each stream of each connection that has begun one."""

    def __init__(self, file: FactsFile) -> None:
        self._file = file

    def readings(self, connection: str) -> dict[str, Reading]:
        """The readings that were begun and not forgotten, by stream."""
        rows = self._file.rows(
            "SELECT * EXCLUDE (connection) FROM censuses WHERE connection = $c", c=connection
        )
        found = {}
        for row in rows:
            cursor = Cursor(row.pop("stamp"), row.pop("id"), row.pop("until"))
            found[row["stream"]] = Reading(**row, cursor=None if cursor == Cursor() else cursor)
        return found

    def held(self, connection: str, table: str, stream: str) -> int:
        """How many records the facts hold of a stream."""
        (row,) = self._file.rows(
            f"SELECT count(DISTINCT id) AS n FROM {table} t WHERE connection = $c "
            f"AND object_type = $s AND {standing(BY_NAME[table])}",
            c=connection,
            s=stream,
        )
        return int(row["n"])

    def note(self, connection: str, reading: Reading, page: Page) -> None:
        """Keep the ids that a page shows, with a row or without, and how far the reading is after
        it."""
        ids = {*page.rows["id"].to_pylist(), *(gone.id for gone in page.removed), *page.ours}
        ids |= {problem.record_id for problem in page.rejected}
        shown = pa.table({"id": pa.array(ids, pa.string())})
        with self._file.transaction(), self._file.given("incoming", shown):
            self._file.run(
                "INSERT INTO shown SELECT $c, $s, id FROM incoming",
                c=connection,
                s=reading.stream,
            )
            self._keep(connection, reading)

    def begin(self, connection: str, reading: Reading) -> None:
        """Begin to read a stream."""
        with self._file.transaction():
            self._keep(connection, reading)

    def unlike(self, connection: str, page: Page) -> list[str]:
        """The records of a page of which the facts hold something else in the fields to which its
        stream is narrowed."""
        table = BY_NAME[page.stream.table]
        differs, keys = differing(table, sorted(page.stream.only))
        with self._file.given("incoming", page.rows):
            rows = self._file.rows(
                f"SELECT DISTINCT t.id FROM {table.name} t "
                f"JOIN incoming a ON {equal(table.replaced_by, 't', 'a')} "
                f"WHERE t.connection = $c AND {standing(table)} AND ({differs})",
                c=connection,
                **keys,
            )
        return [row["id"] for row in rows]

    def gone(self, connection: str, table: str, stream: str, before: datetime) -> int:
        """How many records the facts hold, unchanged since `before`, that were not shown."""
        (row,) = self._file.rows(
            f"SELECT count(DISTINCT t.id) AS n {_unseen(table)}",
            c=connection,
            s=stream,
            before=before,
        )
        return int(row["n"])

    def some_gone(
        self, connection: str, table: str, stream: str, before: datetime, count: int
    ) -> list[str]:
        """The ids of up to `count` of them."""
        rows = self._file.rows(
            f"SELECT DISTINCT t.id {_unseen(table)} LIMIT {count}",
            c=connection,
            s=stream,
            before=before,
        )
        return [row["id"] for row in rows]

    def accounted(self, connection: str, table: str, stream: str, before: datetime) -> int:
        """How many records were shown, or are known to have changed or gone since `before`."""
        (row,) = self._file.rows(
            f"""
            SELECT count(*) AS n FROM (
                SELECT id FROM shown WHERE connection = $c AND stream = $s
                UNION
                SELECT id FROM {table} t WHERE connection = $c AND object_type = $s
                    AND {standing(BY_NAME[table])} AND modified_at >= $before
                UNION
                SELECT id FROM removals g WHERE connection = $c AND table_name = '{table}'
                    AND removed_at >= $before AND (object_type = $s OR (object_type = ''
                    AND id IN (SELECT id FROM {table} WHERE connection = $c AND object_type = $s)))
            )
            """,
            c=connection,
            s=stream,
            before=before,
        )
        return int(row["n"])

    def forget(self, connection: str) -> None:
        """End a connection's census: the next one begins anew."""
        with self._file.transaction():
            for table in COUNTS:
                self._file.run(f"DELETE FROM {table} WHERE connection = $c", c=connection)

    def _keep(self, connection: str, reading: Reading) -> None:
        cursor = reading.cursor or Cursor()
        self._file.run(
            "DELETE FROM censuses WHERE connection = $c AND stream = $s",
            c=connection,
            s=reading.stream,
        )
        self._file.run(
            "INSERT INTO censuses VALUES ($c, $s, $began, $stamp, $id, $until, $counted, $held, "
            "$missing, $changed, $unstamped)",
            c=connection,
            s=reading.stream,
            began=reading.began,
            stamp=cursor.stamp,
            id=cursor.id,
            until=cursor.until,
            counted=reading.counted,
            held=reading.held,
            missing=reading.missing,
            changed=reading.changed,
            unstamped=reading.unstamped,
        )


def _unseen(table: str) -> str:
    """SQL for the records that stand unchanged since `before` and were not shown."""
    return (
        f"FROM {table} t WHERE t.connection = $c AND t.object_type = $s "
        f"AND {standing(BY_NAME[table])} AND t.modified_at < $before AND NOT EXISTS "
        "(FROM shown k WHERE k.connection = $c AND k.stream = $s AND k.id = t.id)"
    )
