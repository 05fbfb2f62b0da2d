"""The Salesforce face of the sandbox: SOQL, REST, Collections and Bulk 2.0 over the one CRM."""

from connectors.sandbox.salesforce.face import SalesforceFace
from connectors.sandbox.salesforce.faults import FAULTS, fault
from connectors.sandbox.salesforce.sessions import Credentials
from connectors.sandbox.salesforce.write import Rules

__all__ = ["FAULTS", "Credentials", "Rules", "SalesforceFace", "fault"]
