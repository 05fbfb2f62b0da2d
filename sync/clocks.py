"""The CRMs' clocks beside our own: one that went back makes what was stored by it too late.

A change stamped after that would look older than what is stored of its record, and would lie before
the cursor. So whatever is later than the instant to which the clock can have gone back is taken to
be of that instant: everything that the CRM stamps from then on is later, and is read.
"""

from datetime import datetime, timedelta

import ibis

from core.facts import TABLES, TIME
from sync.facts_file import FactsFile

CLOCKS = {
    "clocks": ibis.schema(
        {
            "connection": "!string",
            "theirs": TIME.copy(nullable=False),
            "ours": TIME.copy(nullable=False),
        }
    )
}
"""What each CRM's clock showed when it was last looked at, and what ours did."""

SLACK = timedelta(seconds=10)
"""How much less time may pass by a CRM's clock than by ours, until it has gone back: it is told in
whole seconds, and known by an answer of some seconds ago."""


class Clocks:
    """The clocks of the CRMs whose facts a file has."""

    def __init__(self, file: FactsFile) -> None:
        self._file = file

    def look(self, connection: str, theirs: datetime, ours: datetime) -> None:
        """Note that a CRM's clock shows `theirs` when ours shows `ours`; in the same transaction,
        move what is stored where it went back since it was last looked at."""
        last = self._file.rows("FROM clocks WHERE connection = $c", c=connection)
        with self._file.transaction():
            for row in last:
                by_now = theirs - (ours - row["ours"])
                if by_now < row["theirs"] - SLACK:
                    self._gone_back(connection, by_now)
            self._file.run("DELETE FROM clocks WHERE connection = $c", c=connection)
            self._file.run(
                "INSERT INTO clocks VALUES ($c, $theirs, $ours)",
                c=connection,
                theirs=theirs,
                ours=ours,
            )

    def _gone_back(self, connection: str, to: datetime) -> None:
        """Nothing stored is later than `to`; a window that was being read beyond it begins anew."""
        held = ["valid_from", "valid_to"]
        stamps = {t.name: ["modified_at", *(held if t.versioned else [])] for t in TABLES}
        stamps |= {"aliases": held, "removals": ["removed_at"], "cursors": ["stamp", "until"]}
        self._file.run(
            "UPDATE cursors SET id = '' WHERE connection = $c AND stamp > $to",
            c=connection,
            to=to,
        )
        for table, columns in stamps.items():
            # Of null and an instant, DuckDB's least() is the instant.
            moved = ", ".join(f"{c} = CASE WHEN {c} > $to THEN $to ELSE {c} END" for c in columns)
            later = " OR ".join(f"{c} > $to" for c in columns)
            self._file.run(
                f"UPDATE {table} SET {moved} WHERE connection = $c AND ({later})",
                c=connection,
                to=to,
            )
