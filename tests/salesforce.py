"""The world of the Salesforce connector: the sandbox's org, over real HTTP on loopback."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from connectors.base import Connector
from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.settings import SalesforceSettings
from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.http import Fault, Request, Response, Server
from connectors.sandbox.salesforce.customs import add_formula
from connectors.sandbox.salesforce.face import SalesforceFace
from connectors.sandbox.salesforce.faults import fault
from connectors.sandbox.salesforce.org import id_of
from connectors.settings import FieldMapping
from tests.world import DEFAULT, Clock, World

PAGE = 2_000
CLIENT = {
    "flow": "client_credentials",
    "client_id": "sandbox-client",
    "client_secret": "sandbox-secret",
}
OBJECTS = {Kind.LEAD: "Lead", Kind.CONTACT: "Contact", Kind.ACCOUNT: "Account"}


def refusal(status: int, code: str, message: str = "") -> Response:
    """An answer in the form of Salesforce's errors."""
    body = json.dumps([{"errorCode": code, "message": message}]).encode()
    return Response(status, body, {"Content-Type": "application/json"})


CONCURRENT = refusal(
    403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
)
REFUSED_AS_A_WHOLE = refusal(400, "JSON_PARSER_ERROR", "cannot be read")


def settings(server: Server, **given: Any) -> SalesforceSettings:
    """Settings for a sandbox org, with client credentials unless told otherwise."""
    return SalesforceSettings.model_validate(
        {"kind": "salesforce", "url": server.url, "auth": CLIENT, **given}
    )


class SalesforceWorld(World):
    """A world with the server, the org's face, and the requests that it saw."""

    server: Server
    face: SalesforceFace
    open: Callable[..., SalesforceConnector]
    seen: list[Request]


@contextmanager
def salesforce_world() -> Iterator[SalesforceWorld]:
    """A fresh org and a connector to it."""
    clock, waits = Clock(), list[float]()
    crm = Crm(clock)
    face, seen = SalesforceFace(crm), list[Request]()

    def noted(request: Request) -> Response:
        seen.append(request)
        return face(request)

    with Server(noted) as server:
        opened: list[SalesforceConnector] = []

        def open_(**given: Any) -> SalesforceConnector:
            connector = SalesforceConnector("sales", settings(server, **given), sleep=waits.append)
            opened.append(connector)
            return connector

        def connect(*, mapping: FieldMapping = DEFAULT, valid: bool = True) -> Connector:
            auth: Mapping[str, str] = CLIENT if valid else {**CLIENT, "client_secret": "wrong"}
            return open_(auth=auth, mapping=mapping)

        def address(record: Record) -> tuple[str, str]:
            return OBJECTS.get(record.kind, record.kind), id_of(record)

        def slow_down(times: int) -> None:
            server.faults.append(Fault("/services/data/", times=times, response=CONCURRENT))

        def lose_answer() -> None:
            server.faults.append(
                Fault("/composite/sobjects$|/sobjects/Task/?$", method="PATCH|POST", drop="after")
            )

        def formula() -> str:
            for kind in (Kind.LEAD, Kind.CONTACT):
                add_formula(crm, kind, "Rating__c", lambda row: row.values.get("rating"))
            return "Rating__c"

        @contextmanager
        def broken_off() -> Iterator[None]:
            refused = Fault("/composite/sobjects$", "PATCH", response=REFUSED_AS_A_WHOLE)
            used_up = replace(fault("daily-limit"), skip=1)
            server.faults += [refused, used_up]
            yield
            server.faults.clear()

        staged = (slow_down, lose_answer, broken_off)
        world = SalesforceWorld(crm, clock, connect, address, *staged, waits, PAGE, formula=formula)
        world.server, world.face, world.open, world.seen = server, face, open_, seen
        yield world
        for connector in opened:
            connector.close()
