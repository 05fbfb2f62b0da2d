"""A CRM's own field history, laid over the versions that the facts hold.

The versions that a page brings of before it (`Page.earlier`) say from which instant a field held
what. At each such instant, and wherever a stored version begins, a version is made of what the
facts have of then, with the columns that the history knows in place of theirs; before the first
stored version nothing else is known. So it is the same in whatever order, and however often,
pages come. A record that was gone for a time stays gone for that time.
"""

import ibis
import pyarrow as pa

from connectors.history import KNOWN
from core.facts import TIME, FactsTable
from sync.facts_file import FactsFile
from sync.facts_sql import columns, comparable
from sync.touched import Touched

SEEN = {
    "seen": ibis.schema(
        {
            "connection": "!string",
            "table_name": "!string",
            "id": "!string",
            "since": TIME.copy(nullable=False),
        }
    )
}
"""Of records with versions from before we saw them: since when we have."""

_LASTED = "(valid_to IS NULL OR valid_to > valid_from)"
"""The condition that a version held at any time: a record may be gone as it is first seen."""


class History:
    """The earlier versions in a facts file; what is laid belongs to the caller's transaction."""

    def __init__(self, file: FactsFile, touched: Touched) -> None:
        self._file = file
        self._touched = touched

    def lay(self, connection: str, table: FactsTable, earlier: pa.Table) -> None:
        """Lay the history of the records of `arrived` over their versions.

        It counts up to the stamp of the row that it came with: from there on the row does.
        """
        with self._file.given("earlier", earlier):
            self._file.run(
                "CREATE OR REPLACE TEMP TABLE told AS SELECT e.*, a.modified_at AS until "
                "FROM earlier e JOIN arrived a ON e.id = a.id"
            )
        self._file.run(
            "CREATE OR REPLACE TEMP TABLE stood AS SELECT t.rowid AS held_row, t.* "
            f"FROM {table.name} t SEMI JOIN told ON t.id = told.id WHERE t.connection = $c",
            c=connection,
        )
        self._file.run(_laid(table))
        self._file.run(
            "CREATE OR REPLACE TEMP TABLE moved AS SELECT l.*, s.held_row FROM laid l "
            f"FULL JOIN (FROM stood WHERE {_LASTED}) s "
            "ON l.id = s.id AND l.valid_from = s.valid_from "
            f"WHERE ({comparable(table, 'l')}, l.valid_to) "
            f"IS DISTINCT FROM ({comparable(table, 's')}, s.valid_to)"
        )
        self._note_seen(connection, table)
        self._file.run(f"DELETE FROM {table.name} WHERE rowid IN (SELECT held_row FROM moved)")
        self._file.run(
            f"INSERT INTO {table.name} SELECT $c, {columns(table)}, valid_from, valid_to "
            "FROM moved WHERE id IS NOT NULL",
            c=connection,
        )
        self._touched.rows(connection, table, "moved")

    def _note_seen(self, connection: str, table: FactsTable) -> None:
        """Note since when we saw the records that get versions from before, where it is new."""
        self._file.run(
            "INSERT INTO seen SELECT $c, $t, s.id, min(s.valid_from) FROM stood s "
            "WHERE NOT EXISTS (FROM seen n WHERE n.connection = $c AND n.table_name = $t "
            "AND n.id = s.id) GROUP BY s.id "
            "HAVING min(s.valid_from) > (SELECT min(l.valid_from) FROM laid l WHERE l.id = s.id)",
            c=connection,
            t=table.name,
        )


def _laid(table: FactsTable) -> str:
    """SQL that fills `laid`: the versions of the records of `told`, as they are to stand."""
    overlaid = ", ".join(
        f'{_overlaid(table, name)} AS "{name}"'
        for name in table.model.model_fields
        if name not in ("id", "modified_at")
    )
    return f"""
        CREATE OR REPLACE TEMP TABLE laid AS
        WITH moments AS (
            SELECT id, valid_from AS moment FROM stood
            UNION SELECT told.id, modified_at FROM told SEMI JOIN stood ON told.id = stood.id
        ), places AS (
            SELECT m.id, moment, lead(moment) OVER (PARTITION BY m.id ORDER BY moment) AS following,
                began FROM moments m
            JOIN (SELECT id, min(valid_from) AS began FROM stood GROUP BY id) b ON m.id = b.id
        ), pieces AS (
            SELECT m.id, {overlaid}, coalesce(v.modified_at, m.moment) AS modified_at,
                m.moment AS valid_from, least(m.following, v.valid_to) AS valid_to
            FROM places m
            ASOF LEFT JOIN (FROM stood WHERE {_LASTED}) v
                ON m.id = v.id AND m.moment >= v.valid_from
            ASOF LEFT JOIN told t ON m.id = t.id AND m.moment >= t.modified_at
            WHERE CASE WHEN v.id IS NULL THEN m.moment < m.began
                ELSE v.valid_to IS NULL OR m.moment < v.valid_to END
        ), compared AS (
            SELECT *, {comparable(table, "p")} AS said FROM pieces p
        ), begun AS (
            SELECT *, lag(said) OVER of_record IS DISTINCT FROM said
                OR lag(valid_to) OVER of_record IS DISTINCT FROM valid_from AS begins
            FROM compared WINDOW of_record AS (PARTITION BY id ORDER BY valid_from)
        ), runs AS (
            SELECT *, count(*) FILTER (begins)
                OVER (PARTITION BY id ORDER BY valid_from) AS run FROM begun
        )
        SELECT * EXCLUDE (said, begins, run) REPLACE (
            last_value(valid_to) OVER whole AS valid_to, max(modified_at) OVER whole AS modified_at
        ) FROM runs
        WINDOW whole AS (PARTITION BY id, run ORDER BY valid_from
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
        QUALIFY begins
    """


def _overlaid(table: FactsTable, name: str) -> str:
    """A column of a stored version `v`, in whose place the history `t` counts where it knows it."""
    counts = f"m.moment < t.until AND list_contains(t.{KNOWN}, "
    if not table.schema[name].is_map():
        return f'CASE WHEN {counts}\'{name}\') THEN t."{name}" ELSE v."{name}" END'
    entry = "'custom.' || e.key" if name == "custom" else "e.key"
    kept = f'list_filter(map_entries(v."{name}"), lambda e: ({counts}{entry})) IS NOT TRUE)'
    said = f'list_filter(map_entries(t."{name}"), lambda e: {counts}{entry}))'
    return f"map_from_entries(list_concat({kept}, {said}))"
