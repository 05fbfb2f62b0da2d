"""The running sandbox that the tests of the Salesforce face share."""

from collections.abc import Iterator

import pytest

from tests.connectors.sandbox_salesforce.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """A running sandbox, stopped after the test."""
    world = World()
    with world.server:
        yield world
