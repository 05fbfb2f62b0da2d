"""DuckDB as Ibis speaks to it, not asked again for what is known.

Ibis asks for the columns of each table that it is named: small queries, of which an explanation
has some dozens, spend more on that than on their rows.
"""

from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any

import ibis
from ibis.backends.duckdb import Backend
from ibis.expr.types import Expr, Table


class FactsEngine(Backend):  # type: ignore[misc]  # Ibis has no types for it
    """The connection to one facts file, whose tables keep their columns while it is open.

    A temporary table that is made again has the columns that one of its name had.
    """

    @cached_property
    def _schemas(self) -> dict[tuple[str | None, str], ibis.Schema]:
        return {}

    @cached_property
    def current_catalog(self) -> str:
        """The file, by its name in SQL."""
        return str(super().current_catalog)

    @cached_property
    def current_database(self) -> str:
        """The part of the file that has the tables."""
        return str(super().current_database)

    def know(self, schemas: Mapping[str, ibis.Schema]) -> None:
        """Take what tables were made by for their columns."""
        self._schemas.update({(None, name): schema for name, schema in schemas.items()})

    def get_schema(
        self, table_name: str, *, catalog: str | None = None, database: str | None = None
    ) -> ibis.Schema:
        """The columns of a table, asked for once."""
        place = catalog, table_name
        if place not in self._schemas:
            found = super().get_schema(table_name, catalog=catalog, database=database)
            self._schemas[place] = found
        return self._schemas[place]

    def _create_cached_table(self, name: str, expr: Table) -> Table:
        """Copy what an expression gives into a temporary table, by SQL as it was compiled: Ibis's
        own way copies the whole syntax tree of the query twice."""
        schema = expr.schema()
        self._run_pre_execute_hooks(expr)
        self.con.execute(f"CREATE TEMP TABLE {name} ({definition(schema)})")
        self.con.execute(f"INSERT INTO {name} {self.compile(expr)}")
        self._schemas["temp", name] = schema
        return self.table(name, database=("temp", "main"))

    def _run_pre_execute_hooks(self, expr: Expr) -> None:
        """Let SQL read the tables in memory of an expression; Ibis would look through it for
        functions in Python and shapes on maps as well, which no model has."""
        self._register_in_memory_tables(expr)

    def drop_table(self, name: str, /, **options: Any) -> None:
        """Drop a table."""
        super().drop_table(name, **options)
        self._schemas.pop(("temp", name), None)


@cache
def definition(schema: ibis.Schema) -> str:
    """The columns of a table in SQL."""
    columns = schema.to_sqlglot_column_defs("duckdb")
    return ", ".join(column.sql("duckdb") for column in columns)
