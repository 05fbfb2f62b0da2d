"""Open files of everything: the facts in all their versions and what was decided, as Parquet."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.expr.types import Table

from core.facts import TABLES
from core.privacy import anonymous
from sync.ledger_people import DECIDED
from sync.session import Session


def export(session: Session, folder: Path, salt: str | None) -> dict[str, int]:
    """Write every table to a file of its name; how many rows each has.

    With a salt the files are anonymous (`core.privacy.anonymous`). Written batch by batch, so that
    their size takes no memory; the files are their owner's alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    for table in TABLES:
        rows = _told(session.facts.table(table.name), salt)
        with rows.to_pyarrow_batches() as batches:
            counts[table.name] = _write(folder / table.name, batches.schema, batches)
    decided = _told(ibis.memtable(DECIDED.empty_table()), salt).schema().to_pyarrow()
    counts["decisions"] = _write(folder / "decisions", decided, _decisions(session, salt))
    return counts


def _told(table: Table, salt: str | None) -> Table:
    return anonymous(table, salt) if salt else table


def _decisions(session: Session, salt: str | None) -> Iterator[pa.RecordBatch]:
    for batch in session.ledger.people.decisions():
        yield from _told(ibis.memtable(batch), salt).to_pyarrow().to_batches()


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    rows = 0
    target = path.with_suffix(".parquet")
    target.unlink(missing_ok=True)  # one that is there would keep the rights that it has
    with (
        os.fdopen(os.open(target, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file,
        pq.ParquetWriter(file, schema) as parquet,
    ):
        for batch in batches:
            parquet.write_batch(batch.cast(schema))
            rows += batch.num_rows
    return rows
