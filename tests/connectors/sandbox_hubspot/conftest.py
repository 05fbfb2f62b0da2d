"""The account that each test of the HubSpot face has to itself."""

from collections.abc import Iterator

import pytest

from tests.connectors.sandbox_hubspot.world import World


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()
