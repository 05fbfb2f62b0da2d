"""The horizon of the facts: what was done before it is forgotten."""

from datetime import datetime

import ibis

from core.facts import ACTIVITIES, TIME
from sync.facts_file import FactsFile
from sync.people import ERASURES
from sync.touched import Touched

HORIZONS = {
    "horizons": ibis.schema(
        {
            "connection": "!string",
            "before": TIME.copy(nullable=False),
            "done_at": TIME.copy(nullable=False),
        }
    )
}
"""Of each connection before when activities were last forgotten, and when that was done."""

_OLD = "connection = $c AND occurred_at < $before"


class Horizon:
    """The horizon of a facts file; forgetting notes whom it moves."""

    def __init__(self, file: FactsFile, touched: Touched) -> None:
        self._file = file
        self._touched = touched

    def beyond(self, connection: str, before: datetime) -> tuple[int, int]:
        """How many activities of a connection are older, and how many there are in all."""
        (row,) = self._file.rows(
            "SELECT count(DISTINCT (object_type, id)) FILTER (occurred_at < $before) AS old, "
            "count(DISTINCT (object_type, id)) AS every FROM activities WHERE connection = $c",
            c=connection,
            before=before,
        )
        return int(row["old"]), int(row["every"])

    def forget(self, connection: str, before: datetime, at: datetime) -> None:
        """Forget them, as of `at`, in one transaction; when the store is closed, the file is
        rewritten. The next run rescores whom they were of.

        What was done by nobody in particular may move anybody: everything is rescored then.
        """
        named = {"c": connection, "before": before}
        with self._file.transaction():
            self._file.run(
                "CREATE OR REPLACE TEMP TABLE forgotten AS "
                f"SELECT DISTINCT lead_id FROM activities WHERE {_OLD}",
                **named,
            )
            self._touched.rows(connection, ACTIVITIES, "forgotten")
            self._file.run(
                "DELETE FROM marks WHERE connection = $c "
                "AND EXISTS (FROM forgotten WHERE lead_id = '')",
                c=connection,
            )
            self._file.run(f"DELETE FROM activities WHERE {_OLD}", **named)
            self._file.run("DELETE FROM horizons WHERE connection = $c", c=connection)
            self._file.run("INSERT INTO horizons VALUES ($c, $before, $at)", **named, at=at)
            self._file.run(f"INSERT INTO {ERASURES} VALUES ($at)", at=at)

    def missing(self, at: datetime) -> list[str]:
        """What is no longer known of an instant: what was forgotten after it."""
        rows = self._file.rows("FROM horizons WHERE done_at > $at ORDER BY connection", at=at)
        return [
            f"{row['connection']}: what was done before {row['before']:%Y-%m-%d} is forgotten "
            "(`retention` in the configuration): what it earned then is missing"
            for row in rows
        ]
