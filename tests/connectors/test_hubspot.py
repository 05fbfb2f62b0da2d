"""The HubSpot connector keeps the contract, over the vendor's library and the real wire."""

from collections.abc import Iterator

import pytest

from tests.contract import ConnectorContract
from tests.hubspot import hubspot_world
from tests.world import World


class TestHubSpot(ConnectorContract):
    """S119: the HubSpot connector passes the contract."""

    @pytest.fixture
    def world(self) -> Iterator[World]:
        """A fresh account."""
        with hubspot_world() as world:
            yield world
