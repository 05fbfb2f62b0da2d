"""How far each stream of each connection has been read, in the facts file."""

import ibis

from connectors.base import Cursor
from core.facts import TIME
from sync.facts_file import FactsFile

CURSORS = {
    "cursors": ibis.schema(
        {
            "connection": "!string",
            "stream": "!string",
            "stamp": TIME,
            "id": "!string",
            "until": TIME,
        }
    )
}


class Cursors:
    """The cursors of a facts file; what is saved belongs to the caller's transaction."""

    def __init__(self, file: FactsFile) -> None:
        self._file = file

    def of(self, connection: str, stream: str) -> Cursor | None:
        """The cursor of a stream; None before its first page."""
        rows = self._file.rows(
            "SELECT stamp, id, until FROM cursors WHERE connection = $c AND stream = $s",
            c=connection,
            s=stream,
        )
        return Cursor(**rows[0]) if rows else None

    def save(self, connection: str, stream: str, cursor: Cursor | None) -> None:
        """Put a stream's cursor in place of the one before; None: read it from its start."""
        self._file.run(
            "DELETE FROM cursors WHERE connection = $c AND stream = $s", c=connection, s=stream
        )
        if cursor is not None:
            self._file.run(
                "INSERT INTO cursors VALUES ($c, $s, $stamp, $id, $until)",
                c=connection,
                s=stream,
                stamp=cursor.stamp,
                id=cursor.id,
                until=cursor.until,
            )
