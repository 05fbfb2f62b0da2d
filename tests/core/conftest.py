"""The `engine` fixture: a test that uses it runs once on DuckDB and once on Spark."""

from collections.abc import Iterator

import pytest

from tests.core.engines import Engine, Spark, missing_for_spark, spark_session
from tests.core.golden import World


@pytest.fixture(scope="session")
def spark() -> Iterator[Spark]:
    """One Spark session for all tests of a run; skips where there is no Spark."""
    if why := missing_for_spark():
        pytest.skip(why)
    with spark_session() as session:
        yield Spark(session)


ON_SPARK = pytest.param("spark", marks=[pytest.mark.slow, pytest.mark.xdist_group("spark")])


@pytest.fixture(params=["duckdb", ON_SPARK])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `World` of the test lives in this engine.

    A module asks for it by `pytestmark = pytest.mark.usefixtures("engine")`.
    """
    if request.param == "spark":
        session: Engine = request.getfixturevalue("spark")
        monkeypatch.setattr(World, "connect", staticmethod(lambda: session))
