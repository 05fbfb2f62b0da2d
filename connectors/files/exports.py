"""Export files: a CSV or Parquet file as raw columns, and its rows in the order of their stamps."""

import csv
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from connectors.base import RowProblem
from connectors.errors import MappingError

Place = tuple[int, str]
"""Microseconds of the stamp, and the id."""


def columns(path: Path) -> tuple[str, ...]:
    """The names of an export's columns. Raises MappingError for a file that cannot be read."""
    try:
        if path.suffix.lower() == ".parquet":
            return tuple(pq.read_schema(path).names)
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return tuple(next(csv.reader(lines), ()))
    except FileNotFoundError:
        raise MappingError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError, pa.ArrowInvalid, csv.Error) as error:
        raise MappingError(f"cannot read {path}: {_reason(error)}") from error


def read(path: Path, names: Collection[str]) -> dict[str, pa.Array]:
    """Some columns of an export, a CSV's as text. Raises MappingError where it cannot be read."""
    wanted = sorted(set(names))
    try:
        if path.suffix.lower() == ".parquet":
            table = pq.read_table(path, columns=wanted)
        else:
            if line := _never_ends(path):
                what = f"a quote in the row at line {line} is never closed"
                raise MappingError(f"cannot read {path}: {what}")
            table = pa_csv.read_csv(
                path,
                parse_options=pa_csv.ParseOptions(newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(
                    include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string())
                ),
            )
    except (OSError, UnicodeDecodeError, pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise MappingError(f"cannot read {path}: {_reason(error)}") from error
    return {name: _plain(table[name]) for name in wanted}


def _never_ends(path: Path) -> int | None:
    """The line at which a row of a CSV file begins that does not end: in its last column, Arrow
    takes all the rows that follow for a part of the text."""
    with path.open("rb") as content:
        quotes = sum(part.count(b'"') for part in iter(partial(content.read, 1 << 20), b""))
    if quotes % 2 == 0:
        return None
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows, ended = csv.reader(lines, strict=True), 0
        try:
            for _row in rows:
                ended = rows.line_num
        except csv.Error:
            return ended + 1
    return None


def _reason(error: Exception) -> str:
    """What is wrong with a file, without the line that Arrow would quote from it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
        return "it is not UTF-8 text"
    return "its rows do not fit its header" if "columns" in str(error) else "it is damaged"


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """One array of a simple type: text has several forms in Parquet."""
    kind = column.type
    is_text = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if pa.types.is_dictionary(kind) or pa.types.is_binary(kind) or is_text:
        column = column.cast(pa.string())
    return column.combine_chunks()


def unique(rows: pa.Table, key: Sequence[str]) -> tuple[pa.Table, tuple[RowProblem, ...]]:
    """The rows without those whose key comes again further down, and a report of these."""
    keys = list(zip(*(rows[name].to_pylist() for name in key), strict=True))
    last = {value: row for row, value in enumerate(keys)}
    if len(last) == len(keys):
        return rows, ()
    ids = rows["id"].to_pylist()
    problems = tuple(
        RowProblem(ids[row], "id", "comes more than once in its file: the last row counts")
        for row, value in enumerate(keys)
        if last[value] != row
    )
    return rows.take(sorted(last.values())), problems


def places(rows: pa.Table) -> list[Place]:
    """The place of each row; rows of one id share the latest of their stamps, and stay together."""
    ids = rows["id"].to_pylist()
    stamps = rows["modified_at"].cast(pa.int64()).to_pylist()
    latest: dict[str, int] = {}
    for key, stamp in zip(ids, stamps, strict=True):
        latest[key] = max(stamp, latest.get(key, stamp))
    return [(latest[key], key) for key in ids]


def batches(places: Mapping[int, Place], size: int) -> list[list[int]]:
    """Rows in the order of their places, in batches of a size that no id is torn apart by."""
    found: list[list[int]] = []
    for row in sorted(places, key=lambda row: (places[row], row)):
        torn = found and places[found[-1][-1]] == places[row]
        if found and (len(found[-1]) < size or torn):
            found[-1].append(row)
        else:
            found.append([row])
    return found
