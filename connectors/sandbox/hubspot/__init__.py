"""The HubSpot face of the sandbox: HubSpot's wire protocol over the in-memory CRM."""

from connectors.sandbox.hubspot.face import HubSpotFace
from connectors.sandbox.hubspot.faults import FAULTS, fault

__all__ = ["FAULTS", "HubSpotFace", "fault"]
