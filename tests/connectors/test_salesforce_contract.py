"""The Salesforce connector keeps the contract, over HTTP against the sandbox's org."""

from collections.abc import Iterator

import pytest

from tests.contract import ConnectorContract
from tests.salesforce import salesforce_world
from tests.world import World


class TestSalesforce(ConnectorContract):
    """The contract, with the unmodified client library in between."""

    @pytest.fixture
    def world(self) -> Iterator[World]:
        with salesforce_world() as world:
            yield world
