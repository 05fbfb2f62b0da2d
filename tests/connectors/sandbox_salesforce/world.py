"""A sandbox with a clock of its own, and the unmodified client that reaches it on loopback."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceError,
)

from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.http import Server
from connectors.sandbox.salesforce.face import SalesforceFace

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOAP: dict[str, Any] = {
    "username": "integration@sandbox.example",
    "password": "sandbox-password",
    "security_token": "sandbox-token",
}
OAUTH: dict[str, Any] = {"consumer_key": "sandbox-client", "consumer_secret": "sandbox-secret"}


class Loopback(requests.Session):
    """Sends what goes to any https host to the sandbox, with the host it was meant for."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.trust_env = False
        self._url = url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        host, path = re.fullmatch(r"https://([^/]+)(.*)", str(url)).groups()  # type: ignore[union-attr]
        self.headers["Host"] = host
        return super().request(method, self._url + path, *args, **kwargs)


class World:
    """A CRM with a clock of its own, its face and its server."""

    def __init__(self) -> None:
        self.now = START
        self.crm = Crm(lambda: self.now)
        user = self.crm.add(Kind.USER, {"name": "Integration", "email": "i@vendor.example"})
        self.crm.integration_user = user.number
        self.face = SalesforceFace(self.crm)
        self.server = Server(self.face)

    def client(self, **credentials: Any) -> Any:
        """A client that is logged in; typed Any, as its own types are of no help."""
        login = credentials or SOAP
        session = Loopback(self.server.url)
        return Salesforce(session=session, version="64.0", **login)

    def lead(self, last_name: str = "Bell", **values: Any) -> Record:
        """A new lead."""
        return self.crm.add(Kind.LEAD, {"last_name": last_name, "company": "Firm", **values})

    def leads(self, count: int) -> list[Record]:
        """Leads with one stamp."""
        return [self.lead(f"L{number}") for number in range(count)]


def refusal(error: pytest.ExceptionInfo[SalesforceError]) -> tuple[int, str]:
    """Status and code of a refused request, whose body is a list as the client expects."""
    content: Any = error.value.content
    assert isinstance(content, list)
    return error.value.status, content[0]["errorCode"]


def patch(client: Any, *records: dict[str, Any]) -> Any:
    """Update a collection of leads."""
    rows = [{"attributes": {"type": "Lead"}, **record} for record in records]
    body = {"allOrNone": False, "records": rows}
    return client.restful("composite/sobjects", method="PATCH", json=body)
