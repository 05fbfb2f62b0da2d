"""What tests of the ledger share."""

import pytest

from tests import postgres


@pytest.fixture(scope="session")
def server():
    """The address of a PostgreSQL server of this test session's own."""
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.server() as address:
        yield address
