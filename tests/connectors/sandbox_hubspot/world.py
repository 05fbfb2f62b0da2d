"""A HubSpot account in the sandbox, asked through the real client library."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import hubspot
import pytest
import urllib3

from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.http import Server
from connectors.sandbox.hubspot.face import HubSpotFace
from connectors.sandbox.hubspot.limits import (
    TOKEN,
)

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MS = 1772366400000
"""T0 in milliseconds."""


@dataclass
class World:
    """A CRM with its own clock, served from the first call on; `options` are the face's.

    `get` and `post` are for what the client lacks.
    """

    options: dict[str, Any] = field(default_factory=dict)
    now: datetime = T0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.crm = Crm(clock=lambda: self.now)
        self.http = urllib3.PoolManager(retries=False)
        self.token = TOKEN
        self._server: Server | None = None

    @property
    def server(self) -> Server:
        """Started when first needed, so that a test may fill the CRM before."""
        if self._server is None:
            options: dict[str, Any] = {
                "timer": lambda: self.seconds,
                "ten_secondly": 10_000,
            } | self.options
            options = {"searches_per_second": 10_000} | options
            self._server = Server(HubSpotFace(self.crm, **options))
        return self._server

    @property
    def client(self) -> Any:
        return hubspot.HubSpot(access_token=self.token, host=self.server.url, retry=False)

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        return self.http.request(
            method,
            f"{self.server.url}{path}?{urlencode(query, doseq=True)}",
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            body=None if body is None else json.dumps(body),
        )

    def get(self, path: str, **query: Any) -> Any:
        return self.call("GET", path, **query).json()

    def post(self, path: str, body: Any) -> Any:
        return self.call("POST", path, body).json()

    def person(self, **values: Any) -> Record:
        return self.crm.add(Kind.LEAD, values)

    def people(self, number: int) -> list[Record]:
        return [self.person(last_name=f"L{n}", email=f"p{n}@x.example") for n in range(number)]

    def did(self, person: Record, type: str, at: datetime = T0, **values: Any) -> Record:
        return self.crm.add(
            Kind.ACTIVITY, {"type": type, "at": at, "people": [person.number], **values}
        )

    def search(self, kind: str = "contacts", **body: Any) -> Any:
        return self.post(f"/crm/v3/objects/{kind}/search", body)

    def close(self) -> None:
        self.http.clear()
        if self._server is not None:
            self._server.close()


def refused(call: Any) -> tuple[int, dict[str, Any]]:
    """The status and the body with which the client's exception came."""
    with pytest.raises(Exception) as caught:
        call()
    error: Any = caught.value
    return error.status, json.loads(error.body)


def where(name: str, operator: str, value: Any = None, **more: Any) -> dict[str, Any]:
    """A search of one filter."""
    given = {"propertyName": name, "operator": operator, **more}
    if value is not None:
        given["value"] = value
    return {"filterGroups": [{"filters": [given]}], "limit": 200}


def ids(answer: Any) -> list[int]:
    return [int(row["id"]) for row in answer["results"]]
