"""A person in the facts: which records are this person, everything they say, and their erasure."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ibis
import pyarrow as pa

from core.facts import ACTIVITIES, LEADS, OUTCOMES, TIME
from core.folding import folded
from core.identity import Identity, address, handles
from sync.facts_file import FactsFile
from sync.lead_numbers import NUMBER
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
    "purged": ("id",),
}
"""The tables that name persons, and by which columns."""

_OF_ALL = ("aliases", "removals", "touched", "seen")
"""Those of them that name records of other tables as well."""

ERASURES = "erasures"

NOTED = {
    "purged": ibis.schema({"connection": "!string", "id": "!string"}),
    ERASURES: ibis.schema({"at": TIME.copy(nullable=False)}),
}
"""The leads that a CRM erased for good, and the erasures of which there may be traces in unused
pages of the file: it is to be rewritten."""

_LINKS = """
    SELECT connection, id, connection AS to_connection, survivor AS to_id FROM aliases
        WHERE table_name = 'leads'
    UNION ALL
    SELECT connection, id, connection, converted_to FROM leads WHERE converted_to IS NOT NULL
"""
"""SQL for the records that a CRM itself made into others."""

_HANDLES = ""
"""The connection of what is no record but a handle that records share."""

_ON = "JOIN ties t ON t.connection = n.connection AND t.id = n.id"


@dataclass(frozen=True)
class Expired:
    """The records of one connection whose time is over, as far as they may be erased.

    `kept` counts those that may not: another record of the person is kept.
    """

    records: list[Record]
    kept: int = 0


class People:
    """The persons of a facts file."""

    def __init__(self, file: FactsFile) -> None:
        self._file = file

    def records(self, named: str, identity: Identity | None) -> list[Record]:
        """The records of a person: those with an id or an e-mail address, now or ever, and all
        that lead on from these, in every connection.

        That are records merged into them or converted to them, and that these were merged into,
        and those that `identity` joins, as for `removed`.
        """
        leads, said = self._file.table(LEADS.name), ibis.literal(named.strip())
        mail = (folded(leads.email) == folded(said)) | (address(leads.email) == address(said))
        found = leads.filter((leads.id == said) | mail.fill_null(False))
        start = ibis.to_sql(found.select("connection", "id"), "duckdb")
        with self._tied(self._ties(identity)):
            rows = self._file.rows(
                f"""
                WITH RECURSIVE same(connection, id) AS (
                    FROM ({start})
                    UNION SELECT t.to_connection, t.to_id FROM same n {_ON}
                )
                FROM same WHERE connection != '{_HANDLES}' ORDER BY ALL
                """
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
                {name: value for name, value in row.items() if name != NUMBER}
                for connection, id_ in records
                for row in self._file.rows(
                    f"SELECT * FROM {table} WHERE {_about(table)}", c=connection, i=id_
                )
            ]
            for table in _NAMED
        }
        return {name: rows for name, rows in found.items() if rows}

    def count(self, connection: str) -> int:
        """How many leads of a connection are held, those that are gone counted too."""
        (row,) = self._file.rows(
            "SELECT count(DISTINCT id) AS n FROM leads WHERE connection = $c", c=connection
        )
        return int(row["n"])

    def removed(self, connection: str, before: datetime, identity: Identity | None) -> Expired:
        """The records of persons that no CRM shows since `before` or longer.

        One person are the records that `identity` joins (None: those of an equal address), at any
        time and whether or not others claim the same.
        """
        gone = "NOT lives AND gone_at <= $before"
        return self._expired(connection, before, gone, self._ties(identity))

    def purged(self, connection: str, before: datetime) -> Expired:
        """The records that the CRM erased for good at `before` or earlier, and what was merged
        into them. What other CRMs show of the person is theirs."""
        if not self._file.rows("SELECT 1 FROM purged WHERE connection = $c LIMIT 1", c=connection):
            return Expired([])
        gone = "NOT lives AND gone_at <= $before AND id IN (FROM purged SELECT id)"
        return self._expired(connection, before, gone, _LINKS)

    def _expired(self, connection: str, before: datetime, gone: str, ties: str) -> Expired:
        """The records for which `gone` holds, without those that ties lead to from one that lives
        or was there after `before`."""
        self._file.run(
            "CREATE OR REPLACE TEMP TABLE known AS SELECT connection, id, "
            "bool_or(valid_to IS NULL) AS lives, max(valid_to) AS gone_at FROM leads GROUP BY ALL"
        )
        with self._tied(ties):
            rows = self._file.rows(
                f"""
                WITH RECURSIVE
                gone AS (SELECT connection, id FROM known WHERE connection = $c AND {gone}),
                near(connection, id) AS (
                    FROM gone UNION SELECT t.to_connection, t.to_id FROM near n {_ON}
                ),
                kept(connection, id) AS (
                    SELECT connection, id FROM near JOIN known USING (connection, id)
                        WHERE lives OR gone_at > $before
                    UNION SELECT t.to_connection, t.to_id FROM kept n {_ON}
                )
                SELECT known.id, known.id IN (SELECT id FROM kept WHERE connection = $c) AS stays
                    FROM near JOIN known USING (connection, id)
                    WHERE connection = $c AND NOT lives AND gone_at <= $before ORDER BY id
                """,
                c=connection,
                before=before,
            )
        self._file.run("DROP TABLE known")
        records = [(connection, row["id"]) for row in rows if not row["stays"]]
        return Expired(records, len(rows) - len(records))

    def _ties(self, identity: Identity | None) -> str:
        """SQL for what leads from each record to the others of the person: what a CRM made of it,
        and the handles (records of no connection) by which `identity` knows it."""
        known = handles(identity or Identity(), self._file.table(LEADS.name))
        node = f"'{_HANDLES}' AS to_connection, way || ' ' || handle AS to_id"
        shared = f"SELECT connection, lead_id, {node} FROM ({ibis.to_sql(known, 'duckdb')})"
        return f"{_LINKS} UNION ALL {shared}"

    @contextmanager
    def _tied(self, ties: str) -> Iterator[None]:
        """A table `ties` for so long; they lead both ways."""
        self._file.run(
            f"CREATE OR REPLACE TEMP TABLE ties AS WITH t AS ({ties}) FROM t UNION ALL "
            "SELECT to_connection, to_id, connection, id FROM t"
        )
        try:
            yield
        finally:
            self._file.run("DROP TABLE ties")

    def note_purged(self, connection: str, ids: Collection[str]) -> None:
        """Note leads of which the CRM has not even a trace; those noted before that live after all
        were not."""
        with self._file.transaction(), self._file.given("incoming", _ids(ids)):
            self._file.run(
                "DELETE FROM purged WHERE connection = $c AND id IN (SELECT id FROM leads "
                "WHERE connection = $c AND valid_to IS NULL UNION SELECT id FROM incoming)",
                c=connection,
            )
            self._file.run("INSERT INTO purged SELECT $c, id FROM incoming", c=connection)

    def erase(self, records: Collection[Record], at: datetime) -> None:
        """Erase some records from every table, in one transaction; when the store is closed, the
        file is rewritten.

        What others' scores took from them shows in the next cycle, which rescores everything.
        """
        connections, ids = zip(*records, strict=True)
        named = pa.table({"connection": pa.array(connections), "id": pa.array(ids)})
        with self._file.transaction(), self._file.given("incoming", named):
            for table, columns in _NAMED.items():
                kind = " AND t.table_name = 'leads'" if table in _OF_ALL else ""
                for column in columns:
                    self._file.run(
                        f"DELETE FROM {table} t USING incoming i WHERE "
                        f"t.connection = i.connection AND t.{column} = i.id{kind}"
                    )
            # A reading that stopped at a record goes on from all that have its stamp.
            for table in ("cursors", "censuses"):
                self._file.run(
                    f"UPDATE {table} t SET id = '' FROM incoming i "
                    "WHERE t.connection = i.connection AND t.id = i.id"
                )
            # A refresh that was interrupted, and names whom it is to read again, begins anew.
            for table in ("marks", "looks"):
                self._file.run(
                    f"DELETE FROM {table} WHERE connection IN (SELECT connection FROM incoming)"
                )
            self._file.run(f"INSERT INTO {ERASURES} VALUES ($at)", at=at)

    @property
    def traces(self) -> bool:
        """Whether something was erased since the file was last rewritten."""
        return bool(self._file.rows(f"SELECT 1 FROM {ERASURES} LIMIT 1"))


def _ids(ids: Collection[str]) -> pa.Table:
    return pa.table({"id": pa.array(list(ids), pa.string())})


def _about(table: str) -> str:
    named = " OR ".join(f"{column} = $i" for column in _NAMED[table])
    kind = " AND table_name = 'leads'" if table in _OF_ALL else ""
    return f"connection = $c AND ({named}){kind}"
