"""A HubSpot account in the sandbox, and connectors to it over the real wire."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.hubspot.connector import HubSpotConnector
from connectors.hubspot.settings import HubSpotSettings
from connectors.sandbox.crm import Crm, Record
from connectors.sandbox.http import Fault, Server
from connectors.sandbox.hubspot.face import HubSpotFace
from connectors.sandbox.hubspot.faults import fault
from connectors.sandbox.hubspot.limits import TOKEN
from connectors.sandbox.hubspot.schema import add_formula
from connectors.settings import FieldMapping
from tests.world import DEFAULT, Clock, World


@dataclass
class Timer:
    """Seconds that pass only by waiting, for the limits of both sides."""

    now: float = 1_000.0
    waits: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass, and remember how much."""
        self.waits.append(seconds)
        self.now += seconds


class RunningTimer(Timer):
    """Seconds that pass by themselves as well: for limits that hold for other processes too."""

    def __call__(self) -> float:
        return time.monotonic() + self.now


@dataclass
class Account:
    """One account: its records, its server, and the time that both go by."""

    crm: Crm
    clock: Clock
    timer: Timer
    server: Server

    def connect(self, **settings: Any) -> HubSpotConnector:
        """A connector by the private app's token, unless the settings say otherwise."""
        given = {"kind": "hubspot", "token": TOKEN, "url": self.server.url, **settings}
        read = HubSpotSettings.model_validate(given)
        return HubSpotConnector("marketing", read, clock=self.timer, sleep=self.timer.sleep)

    def calls(self, part: str) -> list[tuple[str, str]]:
        """The requests so far whose path holds `part`."""
        return [request for request in self.server.requests if part in request[1]]

    def fail(self, *, times: int | None = 1, name: str) -> None:
        """Switch a fault on for the next calls that it strikes."""
        given = fault(name)
        given.times = times
        self.server.faults.append(given)


@contextmanager
def account(**options: Any) -> Iterator[Account]:
    """A fresh account; the options are those of the face."""
    clock, timer = Clock(), Timer()
    crm = Crm(clock)
    with Server(HubSpotFace(crm, timer=timer, **options)) as server:
        yield Account(crm, clock, timer, server)


@contextmanager
def hubspot_world() -> Iterator[World]:
    """An account as the contract wants it: a page of leads is what one search brings."""
    with account() as own:

        def connect(*, mapping: FieldMapping = DEFAULT, valid: bool = True) -> HubSpotConnector:
            return own.connect(mapping=mapping, **({} if valid else {"token": "pat-wrong"}))

        def address(record: Record) -> tuple[str, str]:
            return "contacts", str(record.number)

        def slow_down(times: int) -> None:
            own.fail(times=times, name="ten-secondly")

        def lose_answer() -> None:
            own.server.faults.append(
                Fault(".*/objects/(contacts/batch/update|tasks)/?$", drop="after")
            )

        def formula() -> str:
            add_formula(own.crm, "contacts", "rating", lambda record: record.values.get("rating"))
            return "rating"

        @contextmanager
        def broken_off() -> Iterator[None]:
            own.fail(name="conflict")
            own.server.faults.append(replace(fault("daily-limit"), skip=1))
            yield
            own.server.faults.clear()

        staged = (slow_down, lose_answer, broken_off)
        yield World(
            own.crm,
            own.clock,
            connect,
            address,
            *staged,
            own.timer.waits,
            page=200,
            formula=formula,
        )
