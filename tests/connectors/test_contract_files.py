"""The files connector keeps the contract, as far as files can."""

from pathlib import Path

import pytest

from tests.contract import ConnectorContract
from tests.files import files_world
from tests.world import World


class TestFiles(ConnectorContract):
    """S119: the files connector passes the contract."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        """A CRM that exports to a folder and imports from it."""
        return files_world(tmp_path)
