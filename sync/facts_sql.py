"""The SQL by which a page of rows is compared with what the facts store holds."""

from collections.abc import Iterable

from core.facts import FactsTable


def columns(table: FactsTable) -> str:
    """The columns of the table's model, quoted."""
    return ", ".join(f'"{name}"' for name in table.model.model_fields)


def standing(table: FactsTable) -> str:
    """The condition that a row of `t` stands: is the latest version, where there are versions."""
    return "t.valid_to IS NULL" if table.versioned else "true"


def equal(columns: Iterable[str], left: str, right: str) -> str:
    """The condition that two rows agree in these columns."""
    return " AND ".join(f"{left}.{name} = {right}.{name}" for name in columns)


def record_type(table: FactsTable, alias: str) -> str:
    """The object type where it is part of a record's identity, else the empty text."""
    return f"{alias}.object_type" if "object_type" in table.replaced_by else "''"


def comparable(table: FactsTable, alias: str) -> str:
    """All that a row says but its stamp, to be compared with another row's.

    Maps are compared in the order of their keys, and an entry of null is none.
    """
    values = []
    for name, datatype in table.schema.items():
        value = f'{alias}."{name}"'
        if datatype.is_map():
            entries = f"list_filter(map_entries({value}), lambda e: e.value IS NOT NULL)"
            value = f"coalesce(list_sort({entries}), [])"
        if name in table.model.model_fields and name != "modified_at":
            values.append(value)
    return f"({', '.join(values)})"


def differing(table: FactsTable, fields: Iterable[str]) -> tuple[str, dict[str, str]]:
    """The condition that rows `t` and `a` say something else of common fields, or have it from
    elsewhere; and its parameters."""
    said, keys = list[str](), dict[str, str]()
    for number, field in enumerate(fields):
        key, found = f"k{number}", [name for name in ("origins", "sources") if name in table.schema]
        if field.startswith("custom."):
            keys[f"{key}c"] = field.removeprefix("custom.")
            said.append(f"custom[${key}c]")
        else:
            said.append(f'"{field}"')
        if found:
            keys[key] = field
            said += [f"{name}[${key}]" for name in found]
    return " OR ".join(f"t.{one} IS DISTINCT FROM a.{one}" for one in said), keys


def judged(table: FactsTable) -> str:
    """SQL that fills `judged`: every row of `arrived` against what is `held` of its record.

    Verdicts: new; changed; touched: only the stamp moved; same: nothing did; stale: older than
    what is known, or of a removed record. `since` is when the record became what the page shows.
    Parameters: c, at, and `alive`: what the page shows, all but the records of `leaving`, lives
    at `at` even where it was taken for removed.
    """

    record = ", ".join(table.replaced_by)
    of_record = ", ".join(f"a.{name}" for name in table.replaced_by)
    differs = f"{comparable(table, 'a')} IS DISTINCT FROM {comparable(table, 'h')}"
    return f"""
        CREATE OR REPLACE TEMP TABLE judged AS
        WITH records AS (SELECT {record}, max(modified_at) AS stamp FROM held GROUP BY ALL)
        SELECT a.*, h.held_row, {"h.valid_from" if table.versioned else "NULL"} AS held_from,
            CASE
                WHEN max(a.modified_at) OVER (PARTITION BY {of_record}) < r.stamp THEN 'stale'
                WHEN max(a.modified_at) OVER (PARTITION BY {of_record}) <= g.removed_at
                    AND NOT ($alive AND a.id NOT IN (SELECT id FROM leaving)) THEN 'stale'
                WHEN h.held_row IS NULL THEN 'new'
                WHEN {differs} THEN 'changed'
                WHEN a.modified_at IS DISTINCT FROM h.modified_at THEN 'touched'
                ELSE 'same'
            END AS verdict,
            CASE WHEN a.modified_at = r.stamp OR a.modified_at <= g.removed_at THEN $at
                ELSE a.modified_at END AS since
        FROM arrived a
        LEFT JOIN held h ON {equal(table.key, "a", "h")}
        LEFT JOIN records r ON {equal(table.replaced_by, "a", "r")}
        LEFT JOIN removals g ON g.connection = $c AND g.table_name = '{table.name}'
            AND g.id = a.id AND g.object_type = {record_type(table, "a")}
    """
