"""What a backfill found that there is to read, so that one that goes on need not ask again."""

from collections.abc import Mapping

import ibis

from sync.facts_file import FactsFile

BACKLOG = {
    "backlog": ibis.schema({"connection": "!string", "stream": "!string", "records": "!int64"})
}


class Backlog:
    """The records of each stream of a facts file, as a CRM counted them for the last backfill."""

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
