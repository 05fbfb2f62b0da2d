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


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path: Path) -> str:
    """The address of a fresh ledger."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return postgres.database(request.getfixturevalue("server"))
