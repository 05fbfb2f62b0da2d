"""The import file: what a CRM is to take over, one row for each record, as CSV."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.spreadsheet import neutralised, plain


def load(path: Path, id_column: str) -> dict[str, dict[str, str]]:
    """The rows of an import file by record id, without their empty cells; none where it was
    written for another column of ids."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        rows = list(reader) if id_column in (reader.fieldnames or ()) else []
    return {
        plain(row[id_column]): {
            name: cell for name, cell in row.items() if cell and name != id_column
        }
        for row in rows
    }


def save(
    path: Path, id_column: str, names: Sequence[str], rows: Mapping[str, Mapping[str, str]]
) -> None:
    """Replace an import file at once: whoever reads it sees the old one or the new one, whole."""
    draft = path.with_suffix(".part")
    with draft.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, [id_column, *names], restval="")
        writer.writeheader()
        writer.writerows({id_column: neutralised(key), **cells} for key, cells in rows.items())
        lines.flush()
        os.fsync(lines.fileno())
    draft.replace(path)
