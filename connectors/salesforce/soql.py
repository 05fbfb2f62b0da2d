"""SOQL text, composed safely: names are checked, values are quoted here and nowhere else."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import quote_plus

from connectors.base import Cursor

URI_BYTES = 15_000
"""Longest encoded query sent in a URI: the service refuses URI plus headers over 16,384 bytes."""

IDS_PER_QUERY = 500
"""Ids in one IN list: each costs some 23 encoded bytes."""

_PATH = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)*")
_ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
)


def name(path: str) -> str:
    """A field path or object name as it is. Raises ValueError for anything else."""
    if not _PATH.fullmatch(path):
        raise ValueError(f"{path!r} is not a Salesforce field name")
    return path


def literal(value: str | datetime | Iterable[str]) -> str:
    """A value quoted for SOQL. Times must be aware and lose what is below a second."""
    if isinstance(value, str):
        return f"'{value.translate(_ESCAPES)}'"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return "(" + ",".join(literal(v) for v in value) + ")"


def select(
    paths: Sequence[str],
    source: str,
    *conditions: str,
    order: Sequence[str] = (),
    limit: int | None = None,
) -> str:
    """A query; empty conditions are left out. A path in parentheses is a sub-query, as it is."""
    columns = ",".join(p if p.startswith("(") else name(p) for p in paths)
    ordered = " ORDER BY " + ",".join(name(p) for p in order) if order else ""
    limited = f" LIMIT {limit:d}" if limit is not None else ""
    return f"SELECT {columns} FROM {name(source)}{_where(conditions)}{ordered}{limited}"


def count(source: str, *conditions: str) -> str:
    """A query for how many records there are."""
    return f"SELECT COUNT() FROM {name(source)}{_where(conditions)}"


def _where(conditions: Iterable[str]) -> str:
    given = " AND ".join(f"({c})" for c in conditions if c)
    return f" WHERE {given}" if given else ""


def after(cursor: Cursor | None) -> str:
    """What comes after a cursor in (SystemModstamp, Id) order; '' for everything.

    A bulk load gives thousands of rows one stamp, so the stamp alone would lose rows at a page
    boundary or repeat them for ever. A place in a bulk job is no id: all of the job comes after.
    """
    if cursor is None or cursor.stamp is None:
        return ""
    stamp = literal(cursor.stamp)
    if not cursor.id or "/" in cursor.id:
        return f"SystemModstamp >= {stamp}"
    same = f"(SystemModstamp = {stamp} AND Id > {literal(cursor.id)})"
    return f"{same} OR SystemModstamp > {stamp}"


def fits_uri(soql: str) -> bool:
    """Whether a query can travel in a URI; a longer one must go in a request body."""
    return len(quote_plus(soql)) <= URI_BYTES
