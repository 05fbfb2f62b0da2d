"""What a backfill has still to read, so that one that goes on need not ask again."""

from collections.abc import Mapping

import ibis

from sync.facts_file import FactsFile

BACKLOG = {
    "backlog": ibis.schema({"connection": "!string", "stream": "!string", "records": "!int64"})
}


class Backlog:
    """What is left of each stream for the last backfill to read: what the CRM counted, less what
    has come since."""

    def __init__(self, file: FactsFile) -> None:
        self._file = file

    def of(self, connection: str) -> dict[str, int]:
        """The records by stream; one that could not be counted is absent."""
        rows = self._file.rows(
            "SELECT stream, records FROM backlog WHERE connection = $c", c=connection
        )
        return {row["stream"]: row["records"] for row in rows}

    def keep(self, connection: str, counted: Mapping[str, int]) -> None:
        """Put new counts in place of those of the backfill before."""
        with self._file.transaction():
            self._file.run("DELETE FROM backlog WHERE connection = $c", c=connection)
            for stream, records in counted.items():
                self._file.run(
                    "INSERT INTO backlog VALUES ($c, $s, $n)", c=connection, s=stream, n=records
                )

    def lessen(self, connection: str, stream: str, rows: int) -> None:
        """Take off what has come. An activity of several people is as many rows: never below 0."""
        self._file.run(
            "UPDATE backlog SET records = greatest(records - $n, 0)"
            " WHERE connection = $c AND stream = $s",
            c=connection, s=stream, n=rows,
        )  # fmt: skip
