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


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]
)
def ledgers(request) -> postgres.Ledgers:
    """Files, and in the slow tests databases on a server too."""
    on_server = request.param == "postgresql"
    return postgres.Ledgers(request.getfixturevalue("server") if on_server else "")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path: Path) -> str:
    """The address of a fresh ledger."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return postgres.database(request.getfixturevalue("server"))
