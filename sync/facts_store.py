"""The facts: what each CRM said, in one DuckDB file that can be thrown away and pulled again.

A page, the removals it reports and its cursor are stored in one transaction. Storing is
idempotent and does not depend on the order of pages: a row older than what is stored of its
record, or than the record's removal, changes nothing (HubSpot's search index lags, and pages
of a look-back window come late). Everything is set-based: a page is copied into the temporary
table `arrived`, what is stored of its records into `held`, and each row gets a verdict.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import ibis
import pyarrow as pa
from ibis.expr.types import Table

from connectors.base import Cursor, Page, Removed, Stream
from core.facts import ACTIVITIES, ALIASES, BY_NAME, LEADS, TABLES, TIME, FactsTable
from sync.aliases import Alias, Merge, followed
from sync.asked import ASKED, Asked
from sync.backlog import BACKLOG, Backlog
from sync.census import COUNTS, Census
from sync.clocks import CLOCKS, Clocks
from sync.cursors import CURSORS, Cursors
from sync.facts_file import MEMORY, FactsFile
from sync.facts_sql import columns, equal, judged, record_type, standing
from sync.history import SEEN, History
from sync.horizon import HORIZONS, Horizon
from sync.lead_numbers import DID, NUMBER, did, numbered, stored
from sync.looks import LOOKS, Looks
from sync.pages import no_later
from sync.people import ERASURES, NOTED, People
from sync.touched import SCHEMAS, Touched

_STAMP = pa.timestamp("us", "UTC")
_TEXTS = pa.map_(pa.string(), pa.string())
_ALIAS_ROWS = pa.schema(
    {"id": pa.string(), "survivor": pa.string(), "valid_from": _STAMP, "valid_to": _STAMP}
)

_REMOVALS = ibis.schema(
    {
        "connection": "!string",
        "table_name": "!string",
        "object_type": "!string",
        "id": "!string",
        "removed_at": TIME.copy(nullable=False),
    }
)
"""Records known to be gone, so that a late page does not bring them back to life."""

_SCHEMAS = {
    **{table.name: stored(table) for table in TABLES},
    "aliases": ibis.schema(
        {**dict(ALIASES.items()), "valid_from": TIME.copy(nullable=False), "valid_to": TIME}
    ),
    **CURSORS,
    **ASKED,
    "removals": _REMOVALS,
    **SCHEMAS,
    **COUNTS,
    **LOOKS,
    **BACKLOG,
    **SEEN,
    **NOTED,
    **HORIZONS,
    **CLOCKS,
}

_CLOSED = "(FROM held WHERE held_row IN (SELECT held_row FROM closing))"
"""The versions that a page closed."""

WRITTEN = pa.schema({"id": pa.string(), "present": _TEXTS, "modified_at": _STAMP})
"""Acknowledged writes to leads: the outputs set (null: cleared), and the new stamp if known."""


@dataclass(frozen=True)
class Stored:
    """How many rows of a page were new, changed, or left as they were, and how many ended.

    `unstamped` of the changed ones differ under the stamp that they had. `withheld` counts, by
    reason, those left out.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    unstamped: int = 0
    withheld: Mapping[str, int] = field(default_factory=dict)


Gate = Callable[["FactsStore", str, Page, datetime], tuple[Page, Mapping[str, int]]]
"""What lets a page of a connection in, or a part of it, and counts what it left out, by reason."""


class FactsStore:
    """One facts file, opened by one process; `:memory:` keeps nothing after closing.

    As a context, it is rewritten in the end where somebody was erased. `memory`: in MB, see
    `FactsFile`. Raises StoreBusy when another process has the file open, StoreError when it is no
    facts file, and as a context where memory or disk space was too little.
    """

    def __init__(self, path: Path | str, memory: int = MEMORY) -> None:
        self._file = FactsFile(path, _SCHEMAS, memory)
        self._cursors = Cursors(self._file)
        self.asked = Asked(self._file)
        """By which mapping the facts were read."""
        self.touched = Touched(self._file)
        """What changed since the last complete run; every change notes it there."""
        self._history = History(self._file, self.touched)
        self.census = Census(self._file)
        """What a CRM showed while it was read whole."""
        self.looks = Looks(self._file)
        """How far a refresh is."""
        self.backlog = Backlog(self._file)
        """What the last backfill found to read."""
        self.folder = self._file.folder
        """Where there is room for what does not fit into memory; it is removed on closing."""
        self.people = People(self._file)
        """Which records are one person, for reports and erasure."""
        self.clocks = Clocks(self._file)
        """What the CRMs' clocks show; what is stored follows one that goes back."""
        self.horizon = Horizon(self._file, self.touched)
        """Before when what was done is forgotten."""
        self.gate: Gate | None = None
        """What pages must pass to be stored; None: everything is."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        traces = error is None and self.folder is not None and self.people.traces
        self.close()
        self._file.explain(error)
        if traces:
            self._file.rewrite(done=ERASURES)

    def close(self) -> None:
        """Close the file, so that another process may open it."""
        self._file.close()

    def table(self, name: str) -> Table:
        """A table of `core.facts`, `aliases` or `touched`, as an Ibis table expression."""
        table = self._file.table(name)
        return table.drop(NUMBER) if name == ACTIVITIES.name else table

    def did(self, leads: Collection[str], accounts: Collection[str]) -> Table:
        """The activities of some leads, perhaps of a few others, and those of some accounts that
        have no person: much sooner than by filtering `table`. They are there until asked again."""
        return self._file.made("did", DID, did(leads), a=sorted(accounts))

    def versions(self, leads: Collection[str]) -> Table:
        """The versions of some leads: much sooner than by filtering `table`, as DuckDB reads every
        column of all rows for more than one id. They are there until asked again."""
        places = "SELECT rowid AS place FROM leads WHERE id IN (SELECT unnest($i))"
        sql = f"SELECT l.* FROM leads l SEMI JOIN ({places}) ON l.rowid = place"
        return self._file.made("versions", LEADS.schema, sql, i=sorted(leads))

    def cursor(self, connection: str, stream: str) -> Cursor | None:
        """The cursor stored with the last page of a stream; None before the first."""
        return self._cursors.of(connection, stream)

    def counts(self, connection: str) -> dict[str, int]:
        """How many rows of each facts table stand now: open versions, and all activities."""
        counts = {}
        for table in TABLES:
            (row,) = self._file.rows(
                f"SELECT count(*) AS n FROM {table.name} t "
                f"WHERE connection = $c AND {standing(table)}",
                c=connection,
            )
            counts[table.name] = row["n"]
        return counts

    def store(self, connection: str, page: Page, *, at: datetime, alive: bool = False) -> Stored:
        """Store a page with its removals and its cursor, all or nothing.

        A version begins at its row's modified stamp. A row that differs from the stored one
        under the same stamp (a formula field, an association) begins one `at`, when the change
        was seen: what was not known at an instant must not appear in a replay of it; nor does one
        begin later, whatever its stamp says. `alive`:
        what the page shows lives `at`, so that a record taken for removed is back. What the page
        tells of earlier versions is laid over those that are there (`sync.history`).
        """
        page = no_later(page, at)
        page, withheld = self.gate(self, connection, page, at) if self.gate else (page, {})
        table = BY_NAME[page.stream.table]
        leaving = pa.table({"id": pa.array((r.id for r in page.removed), pa.string())})
        with (
            self._file.transaction(),
            self._file.given("arrived", page.rows),
            self._file.given("leaving", leaving),
        ):
            if self._knows(connection, table):
                verdicts, taken_off = self._merge(connection, table, at, alive=alive)
            else:
                self._insert_all(connection, table)
                verdicts, taken_off = {"new": page.rows.num_rows}, 0
            if page.earlier is not None:
                self._history.lay(connection, table, page.earlier)
            ended = self._end(connection, table, page) if page.removed else 0
            self._cursors.save(connection, page.stream.name, page.cursor)
            self.backlog.lessen(connection, page.stream.name, page.rows.num_rows)
        return Stored(
            new=verdicts.get("new", 0),
            changed=verdicts.get("changed", 0) + verdicts.get("unstamped", 0),
            unchanged=sum(verdicts.get(verdict, 0) for verdict in ("same", "touched", "stale")),
            removed=taken_off + ended,
            unstamped=verdicts.get("unstamped", 0),
            withheld=withheld,
        )

    def settle(self, connection: str, written: pa.Table) -> None:
        """Take acknowledged writes (`WRITTEN`) into the open versions of leads.

        Our own write is no change of the lead: it opens no version, and when it comes back from
        the CRM, it finds itself stored.
        """
        with self._file.transaction(), self._file.given("incoming", written.cast(WRITTEN)):
            self._file.run(
                """
                UPDATE leads SET
                    present = map_from_entries(list_filter(
                        map_entries(map_concat(coalesce(leads.present, map {}), w.present)),
                        lambda e: e.value IS NOT NULL)),
                    modified_at = greatest(leads.modified_at, w.modified_at)
                FROM incoming w
                WHERE leads.connection = $c AND leads.id = w.id AND leads.valid_to IS NULL
                """,
                c=connection,
            )

    def rewind(self, connection: str, stream: str, cursor: Cursor | None) -> None:
        """Read a stream again from a cursor (None: from the start); what is stored stays."""
        with self._file.transaction():
            self._cursors.save(connection, stream, cursor)

    def read_anew(
        self, connection: str, streams: Iterable[Stream], asked: Mapping[str, Set[str]]
    ) -> None:
        """Read some streams from their start, and note what is `asked` for from now on; what is
        stored stays."""
        with self._file.transaction():
            for stream in streams:
                self._cursors.save(connection, stream.name, None)
            self.asked.note(connection, asked)

    def _knows(self, connection: str, table: FactsTable) -> bool:
        """Fill `found` with what stands of the arrived records; whether anything is known.

        Reads the key columns alone: a page must not cost a scan of everything.
        """
        self._file.run(
            "CREATE OR REPLACE TEMP TABLE found AS SELECT t.rowid AS found_row "
            f"FROM {table.name} t SEMI JOIN arrived a ON {equal(table.replaced_by, 't', 'a')} "
            f"WHERE t.connection = $c AND {standing(table)}",
            c=connection,
        )
        (row,) = self._file.rows(
            "SELECT EXISTS (FROM found) OR EXISTS (FROM removals g "
            "WHERE g.connection = $c AND g.table_name = $t AND g.id IN (SELECT id FROM arrived)) "
            "AS known",
            c=connection,
            t=table.name,
        )
        return bool(row["known"])

    def _insert_all(self, connection: str, table: FactsTable) -> None:
        versions = ", modified_at, NULL" if table.versioned else ""
        self._file.run(
            f"INSERT INTO {table.name} SELECT $c, {columns(table)}{versions}{numbered(table)} "
            "FROM arrived",
            c=connection,
        )
        self.touched.rows(connection, table, "arrived")

    def _merge(
        self, connection: str, table: FactsTable, at: datetime, *, alive: bool
    ) -> tuple[dict[str, int], int]:
        """Judge every arrived row against what stands of its record, and act on it.

        Returns how many rows got each verdict, and how many rows are named no more.
        """
        self._file.run(
            f"CREATE OR REPLACE TEMP TABLE held AS SELECT rowid AS held_row, * FROM {table.name} "
            "WHERE rowid IN (SELECT found_row FROM found)"
        )
        self._file.run(judged(table), c=connection, at=at, alive=alive)
        counted = self._file.rows(
            "SELECT CASE WHEN verdict = 'changed' AND since > modified_at THEN 'unstamped' "
            "ELSE verdict END AS found, count(*) AS n FROM judged GROUP BY ALL"
        )
        if table.versioned:
            taken_off = self._amend_versions(table)
            self.touched.rows(connection, table, _CLOSED)
        else:
            taken_off = self._amend_rows(table)
        self._revive(connection, table)
        verdicts = "'new', 'changed'" if table.versioned else "'new', 'changed', 'touched'"
        versions = ", greatest(held_from, since), NULL" if table.versioned else ""
        self._file.run(
            f"INSERT INTO {table.name} SELECT $c, {columns(table)}{versions}{numbered(table)} "
            f"FROM judged WHERE verdict IN ({verdicts})",
            c=connection,
        )
        self.touched.rows(connection, table, "(FROM judged WHERE verdict IN ('new', 'changed'))")
        return {row["found"]: row["n"] for row in counted}, taken_off

    def _revive(self, connection: str, table: FactsTable) -> None:
        """What lives again is no longer removed, and stands for itself from then on."""
        self._file.run(
            "DELETE FROM removals g USING judged j WHERE g.connection = $c "
            f"AND g.table_name = '{table.name}' AND g.id = j.id AND j.verdict = 'new' "
            f"AND g.object_type = {record_type(table, 'j')}",
            c=connection,
        )
        again = (
            f"a.connection = $c AND a.table_name = '{table.name}' AND a.id = j.id "
            "AND a.valid_to IS NULL AND j.verdict = 'new'"
        )
        lost = f"(SELECT a.survivor AS id FROM aliases a, judged j WHERE {again})"
        self.touched.records(connection, table, lost)
        self._file.run(
            "UPDATE aliases a SET valid_to = greatest(j.since, a.valid_from) FROM judged j "
            f"WHERE {again}",
            c=connection,
        )

    def _amend_versions(self, table: FactsTable) -> int:
        """Move the stamps of untouched rows; close the versions that changed.

        Returns how many rows of the page's records it does not name any more: those end too.
        """
        self._file.run(
            f"UPDATE {table.name} t SET modified_at = j.modified_at FROM judged j "
            "WHERE t.rowid = j.held_row AND j.verdict = 'touched'"
        )
        self._file.run(
            "CREATE OR REPLACE TEMP TABLE closing AS "
            "SELECT held_row, held_from, since, false AS taken_off "
            "FROM judged WHERE verdict = 'changed' UNION ALL BY NAME "
            f"SELECT h.held_row, h.valid_from AS held_from, max(j.since) AS since, "
            f"true AS taken_off FROM held h JOIN judged j ON {equal(table.replaced_by, 'j', 'h')} "
            f"WHERE j.verdict <> 'stale' GROUP BY h.held_row, h.valid_from "
            "HAVING h.held_row NOT IN (SELECT held_row FROM judged WHERE held_row IS NOT NULL)"
        )
        # A version that would be empty never held: the new one takes its place.
        self._file.run(
            f"DELETE FROM {table.name} WHERE rowid IN "
            "(SELECT held_row FROM closing WHERE since <= held_from)"
        )
        self._file.run(
            f"UPDATE {table.name} t SET valid_to = c.since FROM closing c "
            "WHERE t.rowid = c.held_row AND c.since > c.held_from"
        )
        (row,) = self._file.rows("SELECT count(*) AS n FROM closing WHERE taken_off")
        return int(row["n"])

    def _amend_rows(self, table: FactsTable) -> int:
        """Delete what the page replaces; how many rows it does not name any more."""
        self._file.run(
            "CREATE OR REPLACE TEMP TABLE replaced AS SELECT h.held_row, "
            f"NOT EXISTS (FROM judged j WHERE {equal(table.key, 'j', 'h')}) AS taken_off "
            f"FROM held h WHERE EXISTS (FROM judged j WHERE {equal(table.replaced_by, 'j', 'h')} "
            "AND j.verdict <> 'stale') "
            "AND h.held_row NOT IN (SELECT held_row FROM judged WHERE verdict = 'same')"
        )
        self._file.run(f"DELETE FROM {table.name} WHERE rowid IN (SELECT held_row FROM replaced)")
        (row,) = self._file.rows("SELECT count(*) AS n FROM replaced WHERE taken_off")
        return int(row["n"])

    def _end(self, connection: str, table: FactsTable, page: Page) -> int:
        """End the records that the page says are gone, unless they were changed since.

        Where the page also holds the record's last state (a converted lead), that came before.
        """
        gone = pa.table(
            {
                "id": [r.id for r in page.removed],
                "removed_at": pa.array([r.at for r in page.removed], _STAMP),
            }
        )
        object_type = page.stream.name if "object_type" in table.replaced_by else ""
        of_object = "($o = '' OR t.object_type = $o)"
        with self._file.given("incoming", gone):
            self._file.run(
                "CREATE OR REPLACE TEMP TABLE gone AS SELECT r.id, "
                "greatest(max(r.removed_at), max(t.modified_at)) AS removed_at "
                f"FROM incoming r LEFT JOIN arrived t ON t.id = r.id AND {of_object} GROUP BY r.id",
                o=object_type,
            )
        self._file.run(
            "CREATE OR REPLACE TEMP TABLE ending AS "
            "SELECT t.rowid AS held_row, g.id, g.removed_at, t.modified_at > g.removed_at AS alive "
            f"FROM {table.name} t JOIN gone g ON t.id = g.id "
            f"WHERE t.connection = $c AND {standing(table)} AND {of_object}",
            c=connection,
            o=object_type,
        )
        self._file.run("DELETE FROM gone WHERE id IN (SELECT id FROM ending WHERE alive)")
        ended = f"(FROM {table.name} WHERE rowid IN (SELECT held_row FROM ending WHERE NOT alive))"
        self.touched.rows(connection, table, ended)
        self._file.run(
            f"UPDATE {table.name} t SET valid_to = greatest(t.valid_from, e.removed_at) "
            "FROM ending e WHERE t.rowid = e.held_row AND NOT e.alive"
            if table.versioned
            else f"DELETE FROM {table.name} WHERE rowid IN "
            "(SELECT held_row FROM ending WHERE NOT alive)"
        )
        self._bury(connection, table, object_type)
        dead = {row["id"] for row in self._file.rows("SELECT id FROM gone")}
        self._follow(connection, table, [r for r in page.removed if r.id in dead])
        (row,) = self._file.rows("SELECT count(*) AS n FROM ending WHERE NOT alive")
        return int(row["n"])

    def _bury(self, connection: str, table: FactsTable, object_type: str) -> None:
        """Remember when the records of `gone` were removed, at the latest."""
        buried = f"connection = $c AND table_name = '{table.name}' AND object_type = $o"
        self._file.run(
            "UPDATE gone SET removed_at = greatest(gone.removed_at, r.removed_at) FROM "
            f"(SELECT id, removed_at FROM removals WHERE {buried}) r WHERE r.id = gone.id",
            c=connection,
            o=object_type,
        )
        self._file.run(
            f"DELETE FROM removals WHERE {buried} AND id IN (SELECT id FROM gone)",
            c=connection,
            o=object_type,
        )
        self._file.run(
            f"INSERT INTO removals SELECT $c, '{table.name}', $o, id, removed_at FROM gone",
            c=connection,
            o=object_type,
        )

    def _follow(self, connection: str, table: FactsTable, removed: Iterable[Removed]) -> None:
        """Let every removed record that has a survivor stand for it from then on."""
        merges = [
            Merge(r.id, r.survivor, r.at) for r in sorted(removed, key=lambda r: r.at) if r.survivor
        ]
        if not merges:
            return
        scope = f"connection = $c AND table_name = '{table.name}' AND valid_to IS NULL"
        touching = f"{scope} AND (id IN (SELECT unnest($n)) OR survivor IN (SELECT unnest($n)))"
        named = list({record for m in merges for record in (m.id, m.survivor)})
        rows = self._file.rows(
            f"SELECT id, survivor, valid_from FROM aliases WHERE {touching}", c=connection, n=named
        )
        known = [Alias(**row) for row in rows]
        self._file.run(f"DELETE FROM aliases WHERE {touching}", c=connection, n=named)
        aliases = followed(known, merges)
        arrow = pa.Table.from_pylist([vars(alias) for alias in aliases], _ALIAS_ROWS)
        with self._file.given("incoming", arrow):
            self._file.run(
                f"INSERT INTO aliases SELECT $c, '{table.name}', id, survivor, valid_from, "
                "valid_to FROM incoming",
                c=connection,
            )
        moved = set(known) ^ set(aliases)
        self.touched.ids(connection, table, {id_ for a in moved for id_ in (a.id, a.survivor)})
