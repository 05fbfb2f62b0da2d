"""What Ibis asks of a facts file, and what it is not asked again."""

from pathlib import Path

import duckdb
import ibis
import pyarrow as pa

from core.facts import TABLES
from sync.facts_engine import FactsEngine
from sync.facts_file import FactsFile
from sync.lead_numbers import stored


def engine_with(sql: str) -> FactsEngine:
    """An engine over a database in memory, in which a statement was run."""
    connection = duckdb.connect()
    connection.execute(sql)
    engine: FactsEngine = FactsEngine.from_connection(connection)
    return engine


def test_the_columns_of_a_table_are_asked_for_once() -> None:
    """Facts tables keep their columns while the file is open."""
    engine = engine_with("CREATE TABLE leads (id VARCHAR)")
    assert engine.table("leads").columns == ("id",)
    engine.con.execute("ALTER TABLE leads ADD COLUMN email VARCHAR")
    assert engine.table("leads").columns == ("id",)


def test_a_copy_has_the_columns_and_rows_of_its_expression() -> None:
    """A sum is wider in DuckDB than in Ibis: the copy is as Ibis says."""
    engine = engine_with("CREATE TABLE points AS SELECT range AS n FROM range(4)")
    points = engine.table("points")
    summed = points.aggregate(total=points.n.sum())
    with summed.cache() as kept:
        assert kept.schema() == summed.schema() == ibis.schema({"total": "int64"})
        assert kept.to_pyarrow().to_pylist() == [{"total": 6}]


def test_a_table_made_again_has_its_new_columns() -> None:
    """Once it was dropped, nothing is remembered of it."""
    engine = engine_with("SELECT 1")
    other = pa.table({"b": ["x"]})
    assert engine.create_table("made", ibis.memtable({"a": [1]}), temp=True).columns == ("a",)
    engine.drop_table("made")
    assert engine.create_table("made", other, temp=True).to_pyarrow().to_pylist() == [{"b": "x"}]


def test_tables_are_what_they_were_made_by(tmp_path: Path) -> None:
    """DuckDB's word for every column of the facts is the one that they are known by unasked."""
    path = tmp_path / "facts.duckdb"
    made = {table.name: stored(table) for table in TABLES}
    FactsFile(path, made).close()
    engine = FactsEngine.from_connection(duckdb.connect(str(path)))
    assert {name: engine.table(name).schema() for name in made} == made
    engine.disconnect()
