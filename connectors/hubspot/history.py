"""What HubSpot's property history says of contacts and companies."""

from collections.abc import Sequence
from datetime import datetime

from connectors.history import ALWAYS, Histories, Steps
from connectors.hubspot.client import Gateway, Json

SHORTEST = 20
"""HubSpot keeps the latest 20 values of a property, of contacts 45: with fewer, it keeps all."""


def histories(
    gateway: Gateway, object_type: str, ids: Sequence[str], properties: Sequence[str]
) -> Histories:
    """What properties held, by record id, asked for 50 records a call."""
    found = gateway.read(object_type, ids, ["hs_object_id"], history=properties)
    return {record["id"]: _of_record(record["propertiesWithHistory"]) for record in found}


def _of_record(versions: Json) -> dict[str, Steps]:
    return {name: _steps(said) for name, said in versions.items()}


def _steps(versions: Sequence[Json]) -> Steps:
    """The values of a property, oldest first; there was none before the first of all."""
    said = [
        (datetime.fromisoformat(version["timestamp"]), version["value"] or None)
        for version in reversed(versions)
    ]
    return said if len(said) >= SHORTEST else [(ALWAYS, None), *said]
