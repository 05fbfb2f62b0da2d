"""What tests of the ledger share."""

from pathlib import Path

import pytest

from tests import postgres


@pytest.fixture(scope="session")
def server():
    """The address of a PostgreSQL server of this test session's own."""
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.server() as address:
        yield address


DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]
"""Each proof on a server is slow beside its twin on a file; `test_ledger_server` is not."""


@pytest.fixture(scope="module", params=DATABASES)
def ledgers(request) -> postgres.Ledgers:
    """Files, and in the slow tests databases on a server too."""
    on_server = request.param == "postgresql"
    return postgres.Ledgers(request.getfixturevalue("server") if on_server else "")


@pytest.fixture(params=DATABASES)
def url(request, tmp_path: Path) -> str:
    """The address of a fresh ledger."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return postgres.database(request.getfixturevalue("server"))
