"""The engines that scoring is held to: DuckDB in process, and Spark as a local cluster."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import ibis
import pyarrow as pa
from ibis.expr.types import Table


class DuckDB:
    """A database in memory of its own."""

    def __init__(self) -> None:
        self._backend = ibis.duckdb.connect()
        self._backend.raw_sql("SET TimeZone = 'UTC'")

    def table(self, name: str, content: pa.Table) -> Table:
        """A table with this content."""
        return self._backend.create_table(name, content, schema=ibis.schema(content.schema))

    def rows(self, expression: Table) -> list[dict[str, Any]]:
        """An expression's rows."""
        return list(self._backend.to_pyarrow(expression).to_pylist())


class Spark:
    """A session of Spark; tables are temporary views, which any number of worlds may share."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._backend = ibis.pyspark.connect(session)

    def table(self, name: str, content: pa.Table) -> Table:
        """A table with this content."""
        view = ibis.util.gen_name(name)
        self._session.createDataFrame(content).createOrReplaceTempView(view)
        return self._backend.table(view)

    def rows(self, expression: Table) -> list[dict[str, Any]]:
        """An expression's rows."""
        return list(self._backend.to_pyarrow(expression).to_pylist())


Engine = DuckDB | Spark


def missing_for_spark() -> str | None:
    """Why Spark cannot run here; None: it can."""
    if find_spec("pyspark") is None:
        return "pyspark is not installed: leadgauge[spark] brings it"
    return None if shutil.which("java") else "Spark needs Java 17, and there is no java"


_SETTINGS = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.session.timeZone": "UTC",
    # Expressions are large and rows few: what is planned ahead costs more than it saves.
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.shuffle.partitions": "1",
    "spark.default.parallelism": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


@contextmanager
def spark_session() -> Iterator[Any]:
    """A Spark session of two threads that listens on loopback alone; it stops at the end."""
    from pyspark.sql import SparkSession

    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    builder = SparkSession.builder.master("local[2]").appName("leadgauge tests")
    session = builder.config(map=_SETTINGS).getOrCreate()
    yield session
    session.stop()
