"""The DuckDB file under the facts: opened by one process, its tables made, changed by transactions.

A committed transaction survives a kill: it is in the file or in the write-ahead log beside it.
What does not fit into memory is for a while in a folder beside the file.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
from ibis.expr.types import Table

from sync.errors import StoreBusy, StoreError
from sync.facts_engine import FactsEngine, definition

LOG_SIZE = "256MB"
"""How long the log may grow before it is worked into the tables: doing so writes the last row
group of a table anew, which at DuckDB's own 16 MB costs a first load more than the rows do."""

MEMORY = 512
"""MB that DuckDB may hold unless told otherwise, however large the machine and the base: beyond it
what is sorted, joined and summed goes to disk for a while."""

FOUND = 10_000
"""Rows of a large table that are read without reading the rest of it, where a join has found their
places first; by itself DuckDB does so for 50."""

MEMORY_EACH = 256
"""MB for each thread: with less, not all that DuckDB holds for one can go to disk."""

OTHER_VERSION = (
    "{}: the facts were stored by another version of leadgauge. Delete the file: everything is "
    "then pulled again"
)
"""What is said of the tables of a release whose common model had other fields."""


class FactsFile:
    """One DuckDB file with some tables; `:memory:` keeps nothing after closing.

    The file and `folder`, which is for what does not fit into memory (None: there is none), are
    made their owner's alone; the logs that follow the file go by the process's umask. `memory` is
    what DuckDB may hold, in MB, with as many threads as that is enough for.
    Raises StoreBusy when another process has it open, StoreError when it is no facts file.
    """

    def __init__(
        self, path: Path | str, schemas: Mapping[str, ibis.Schema], memory: int = MEMORY
    ) -> None:
        self._memory = memory
        self._path = Path(path)
        self.folder = None if str(path) == ":memory:" else Path(f"{path}.tmp")
        before = os.umask(0o077)
        try:
            self._con = self._connect(path)
            self._ibis = FactsEngine.from_connection(self._con)
            held = self._columns()
            with self.transaction():
                for name, schema in schemas.items():
                    if name not in held:
                        self.run(f"CREATE TABLE {name} ({definition(schema)})")
                    elif held[name] != schema.names:
                        raise StoreError(OTHER_VERSION.format(path))
            self._ibis.know(schemas)
        except StoreError:
            self.close()
            raise
        except duckdb.IOException as error:
            if "lock" in str(error):
                raise StoreBusy(f"{path}: another leadgauge process has the facts open") from None
            raise StoreError(
                f"{path}: cannot be opened as a facts file. Check that its folder exists and can "
                "be written; a damaged file may be deleted, everything is then pulled again"
            ) from error
        finally:
            os.umask(before)

    def _connect(self, path: Path | str) -> duckdb.DuckDBPyConnection:
        settings = {"checkpoint_threshold": LOG_SIZE, "memory_limit": f"{self._memory}MB"}
        if self.folder is not None:
            settings["temp_directory"] = str(self.folder)
        connection = duckdb.connect(str(path), config={**settings})
        (cores,) = connection.sql("SELECT current_setting('threads')").fetchone() or (1,)
        threads = max(1, min(cores, self._memory // MEMORY_EACH))
        connection.execute(f"SET threads = {threads}")
        connection.execute(f"SET dynamic_or_filter_threshold = {FOUND}")
        if self.folder is not None:
            # The file is ours now: what is there was left by a process that was killed.
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
        return connection

    def _columns(self) -> dict[str, tuple[str, ...]]:
        """The tables that are there, with the names of their columns."""
        found = self.rows(
            "SELECT table_name, list(column_name ORDER BY column_index) AS columns "
            "FROM duckdb_columns() WHERE NOT internal GROUP BY table_name"
        )
        return {row["table_name"]: tuple(row["columns"]) for row in found}

    def explain(self, error: BaseException | None) -> None:
        """Raise StoreError for an error that only more memory helps against."""
        if isinstance(error, duckdb.OutOfMemoryException):
            raise StoreError(
                f"{self._memory} MB are too little memory for the facts. Give facts_memory in the "
                f"configuration a larger number, such as {2 * self._memory}"
            ) from error

    def close(self) -> None:
        """Close the file, so that another process may open it."""
        self._con.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def rewrite(self, done: str) -> None:
        """Once closed, copy the file to a new one in its place: deleted rows leave no trace in it,
        and the table `done` is empty.

        Killed in between, the file is as it was. Raises StoreError where there is no room.
        """
        copy = self._path.with_name(f"{self._path.name}.new")
        copy.unlink(missing_ok=True)
        before = os.umask(0o077)
        try:
            with duckdb.connect(config={"memory_limit": f"{self._memory}MB"}) as con:
                for name, file in (("old", self._path), ("fresh", copy)):
                    quoted = str(file).replace("'", "''")
                    con.execute(f"ATTACH '{quoted}' AS {name}")
                con.execute("COPY FROM DATABASE old TO fresh")
                con.execute(f"DELETE FROM fresh.{done}")
        except duckdb.IOException as error:
            raise StoreError(
                f"{self._path}: something was erased, and the file cannot be rewritten without it. "
                "See to room for a copy beside it; the next command does it then"
            ) from error
        finally:
            os.umask(before)
        copy.replace(self._path)

    def table(self, name: str) -> Table:
        """A table as an Ibis expression."""
        return self._ibis.table(name)

    def made(self, name: str, schema: ibis.Schema, sql: str, **values: Any) -> Table:
        """The rows of a query as a temporary table of such columns, in the place of one of its
        name."""
        self.run(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}", **values)
        self._ibis.know({name: schema})
        return self.table(name)

    def run(self, sql: str, **values: Any) -> None:
        """Run a statement."""
        self._con.execute(sql, values)

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """The rows of a query."""
        rows: list[dict[str, Any]] = self._con.sql(sql, params=values).to_arrow_table().to_pylist()
        return rows

    @contextmanager
    def given(self, name: str, rows: pa.Table) -> Iterator[None]:
        """Let SQL read an Arrow table by this name; a rollback ends that as well."""
        self._con.register(name, rows)
        yield
        self._con.unregister(name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is run within is kept as a whole, or after an error not at all."""
        self.run("BEGIN")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            # A COMMIT that failed has ended the transaction already.
            with suppress(duckdb.TransactionException):
                self.run("ROLLBACK")
            raise
