"""What kinds of connection there are, and what opening one loads."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from connectors import registry
from connectors.files.connector import FilesConnector
from connectors.files.settings import FilesSettings
from connectors.settings import ConnectionSettings


def test_a_settings_type_bears_its_kind() -> None:
    """Each kind's settings type has that kind's word, and no other's."""
    kinds = [get_args(t.model_fields["kind"].annotation) for t in registry.settings_types()]
    assert kinds == [(kind,) for kind in registry.KINDS]


def test_open(tmp_path: Path) -> None:
    """Settings open the connector of their kind, under the connection's name."""
    opened = registry.open(
        "exports", FilesSettings(kind="files", folder=tmp_path, leads="leads.csv")
    )
    assert isinstance(opened, FilesConnector)
    assert opened.name == "exports"
    with pytest.raises(ValueError, match="no registered kind"):
        registry.open("nothing", ConnectionSettings())


def test_vendors_are_loaded_on_use() -> None:
    """Opening files, or reading any settings, loads no vendor's library."""
    script = (
        "import sys; from connectors import registry; registry.settings_types();"
        "from connectors.files.settings import FilesSettings;"
        "registry.open('x', FilesSettings(kind='files', folder='.', leads='leads.csv'));"
        "print(sorted({'hubspot', 'simple_salesforce', 'pandas'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (found.stdout.strip(), found.returncode) == ("[]", 0), found.stderr
