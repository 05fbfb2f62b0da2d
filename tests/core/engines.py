"""Spark as a local cluster, to hold scoring to what it says in DuckDB."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import ibis
import pyarrow as pa
from ibis.expr.types import Table


class Spark:
    """A session of Spark; tables are temporary views."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._backend = ibis.pyspark.connect(session)

    def table(self, content: pa.Table) -> Table:
        """A table with this content."""
        view = ibis.util.gen_name("table")
        # Spark cannot tell the types of columns without any chunk.
        content = content if len(content) else content.schema.empty_table()
        self._session.createDataFrame(content).createOrReplaceTempView(view)
        return self._backend.table(view)

    def keep(self, table: Table) -> Table:
        """What an expression gives, as a table: Spark plans one anew wherever it is read.

        As Arrow all the way, because ibis goes through pandas, which has no maps.
        """
        name = ibis.util.gen_name("view")
        self._backend.create_view(name, table)
        return self.table(self._session.table(name).toArrow()).cast(table.schema())

    def show(self, name: str, table: Table) -> None:
        """Call a table of this session `name`."""
        self._backend.create_view(name, table, overwrite=True)


def missing_for_spark() -> str | None:
    """Why Spark cannot run here; None: it can."""
    if find_spec("pyspark") is None:
        return "pyspark is not installed: leadgauge[spark] brings it"
    return None if shutil.which("java") else "Spark needs Java 17, and there is no java"


_SETTINGS = {
    # What is planned once and run once is not worth compiling well.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
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
