"""The connectors there are, by kind, imported on use: a run loads only the vendors it talks to."""

from importlib import import_module
from typing import Any

from connectors.base import Connector
from connectors.settings import ConnectionSettings

KINDS: dict[str, tuple[str, str]] = {
    "files": (
        "connectors.files.settings.FilesSettings",
        "connectors.files.connector.FilesConnector",
    ),
    "hubspot": (
        "connectors.hubspot.settings.HubSpotSettings",
        "connectors.hubspot.connector.HubSpotConnector",
    ),
    "salesforce": (
        "connectors.salesforce.settings.SalesforceSettings",
        "connectors.salesforce.connector.SalesforceConnector",
    ),
}
"""Kind -> where its settings and its connector are defined. A settings type's `kind` is its key."""


def settings_types() -> tuple[type[ConnectionSettings], ...]:
    """The settings type of every kind, for the union in config.yaml."""
    return tuple(_load(settings) for settings, _ in KINDS.values())


def open(name: str, settings: ConnectionSettings) -> Connector:  # noqa: A001 - registry.open
    """The connector of one connection, not yet logged in. `name` is its name in config.yaml.

    Raises ValueError for settings of no registered kind.
    """
    given = f"{type(settings).__module__}.{type(settings).__qualname__}"
    for known, connector in KINDS.values():
        if known == given:
            opened: Connector = _load(connector)(name, settings)
            return opened
    raise ValueError(f"{given} is the settings type of no registered kind of connection")


def _load(path: str) -> Any:
    module, _, attribute = path.rpartition(".")
    return getattr(import_module(module), attribute)
