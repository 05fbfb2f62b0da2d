"""A person in the facts: which records are this person, everything they say, and their erasure."""

from collections.abc import Collection
from typing import Any

from core.facts import ACTIVITIES, LEADS, OUTCOMES
from sync.facts_file import FactsFile
from sync.ledger_people import Record

_NAMED = {
    LEADS.name: ("id", "converted_to"),
    ACTIVITIES.name: ("lead_id",),
    OUTCOMES.name: ("lead_id",),
    "aliases": ("id", "survivor"),
    "removals": ("id",),
    "touched": ("id",),
    "shown": ("id",),
    "seen": ("id",),
}
"""The tables that name persons, and by which columns."""


_OF_ALL = ("aliases", "removals", "touched", "seen")
"""Those of them that name records of other tables as well."""


class People:
    """The persons of a facts file."""

    def __init__(self, file: FactsFile) -> None:
        self._file = file

    def records(self, named: str) -> list[Record]:
        """The leads with an id or an e-mail address, now or ever, in every connection.

        With all that were merged into them or converted to them, and that these were merged into.
        """
        rows = self._file.rows(
            """
            WITH RECURSIVE same(connection, id) AS (
                SELECT connection, id FROM leads WHERE id = $n OR lower(email) = lower($n)
                UNION
                SELECT linked.connection, linked.other FROM same JOIN (
                    SELECT connection, id, survivor AS other FROM aliases
                        WHERE table_name = 'leads'
                    UNION ALL SELECT connection, survivor, id FROM aliases
                        WHERE table_name = 'leads'
                    UNION ALL SELECT connection, id, converted_to FROM leads
                        WHERE converted_to IS NOT NULL
                    UNION ALL SELECT connection, converted_to, id FROM leads
                        WHERE converted_to IS NOT NULL
                ) linked USING (connection, id)
            )
            SELECT DISTINCT connection, id FROM same ORDER BY ALL
            """,
            n=named.strip(),
        )
        return [(row["connection"], row["id"]) for row in rows]

    def living(self, records: Collection[Record]) -> list[Record]:
        """Those of some records that their CRM still shows."""
        return [
            (connection, id_)
            for connection, id_ in records
            if self._file.rows(
                "SELECT 1 FROM leads WHERE connection = $c AND id = $i AND valid_to IS NULL",
                c=connection,
                i=id_,
            )
        ]

    def held(self, records: Collection[Record]) -> dict[str, list[dict[str, Any]]]:
        """Everything about some records, by table; tables that hold nothing are left out."""
        found = {
            table: [
                row
                for connection, id_ in records
                for row in self._file.rows(
                    f"SELECT * FROM {table} WHERE {_about(table)}", c=connection, i=id_
                )
            ]
            for table in _NAMED
        }
        return {name: rows for name, rows in found.items() if rows}

    def erase(self, records: Collection[Record]) -> None:
        """Erase some records from every table, in one transaction.

        What others' scores took from them shows in the next cycle, which rescores everything.
        """
        with self._file.transaction():
            for connection, id_ in records:
                for table in _NAMED:
                    self._file.run(
                        f"DELETE FROM {table} WHERE {_about(table)}", c=connection, i=id_
                    )
                # A reading that stopped at the record goes on from all that have its stamp.
                for table in ("cursors", "censuses"):
                    self._file.run(
                        f"UPDATE {table} SET id = '' WHERE connection = $c AND id = $i",
                        c=connection,
                        i=id_,
                    )
                self._file.run("DELETE FROM marks WHERE connection = $c", c=connection)


def _about(table: str) -> str:
    named = " OR ".join(f"{column} = $i" for column in _NAMED[table])
    kind = " AND table_name = 'leads'" if table in _OF_ALL else ""
    return f"connection = $c AND ({named}){kind}"
