"""What the whole suite runs with."""

import gc
from collections import Counter
from collections.abc import Callable
from functools import cache

import pytest
from sqlalchemy import Connection, create_engine

from sync import ledger_engine

# Expressions are large trees that live long: looking through them again and again for garbage
# takes a sixth of the suite's time.
gc.set_threshold(50_000, 20, 50)

PROVEN = ("faults injected", "kills survived", "writes lost", "writes doubled")
"""What the proofs of reliability count."""

Prove = Callable[..., None]
_migrate = ledger_engine._migrate


@cache
def _schema() -> tuple[str, ...]:
    """What the migrations make of an empty SQLite database, as statements."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        _migrate(connection)
        database = connection.connection.driver_connection
        assert database is not None
        made = tuple(database.iterdump())
    engine.dispose()
    return made[1:-1]


def _copy_or_migrate(connection: Connection) -> None:
    """Give an empty SQLite database the schema that the migrations made once in this process;
    migrate any other."""
    sqlite = connection.dialect.name == "sqlite"
    if sqlite and not connection.exec_driver_sql("SELECT 1 FROM sqlite_master").first():
        for statement in _schema():
            connection.exec_driver_sql(statement)
    else:
        _migrate(connection)


# Hundreds of tests open a ledger of their own: each would run all migrations.
ledger_engine._migrate = _copy_or_migrate


@pytest.fixture
def prove(record_property: Callable[[str, object], None]) -> Prove:
    """Adds to what the proofs of reliability came to, in the order of PROVEN."""

    def counted(*counts: int) -> None:
        for name, count in zip(PROVEN, counts, strict=True):
            record_property(name, count)

    return counted


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the proofs of reliability came to, if any ran."""
    total = Counter[str]()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                total.update({k: n for k, n in report.user_properties if k in PROVEN})
    if total:
        said = ", ".join(f"{name} {total[name]}" for name in PROVEN)
        terminalreporter.write_line(f"proofs of reliability: {said}")
