"""Calls to HubSpot that go out several at once, beside the same calls one after the other.

    python -m tests.bench.pace --delay 0.1

The account takes `--delay` seconds over every call, however many there are at once, and its limits
are out of the way: what is measured is the waiting that is saved, the finding of the pace included.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from multiprocessing.connection import Connection

from connectors.base import Change, Cursor
from connectors.hubspot.connector import EVENTS, HubSpotConnector
from connectors.hubspot.settings import HubSpotSettings
from connectors.sandbox.crm import Crm, Kind
from connectors.sandbox.http import Request, Response, Server
from connectors.sandbox.hubspot.face import HubSpotFace
from connectors.sandbox.hubspot.limits import TOKEN
from connectors.usage import Alone
from core.decision import Output
from tests.bench.measure import Line, show, talking

AT = datetime(2026, 6, 1, tzinfo=UTC)
CONTACTS = 3_000
VISITORS = 100
AT_ONCE = 4
GOAL = 2.5
UNLIMITED = 10**9


class Unhurried(Alone):
    """Counts no call against any rate."""

    def take(self, rate: str, calls: int, seconds: float, now: float) -> float:
        """There is room for one more."""
        del rate, calls, seconds, now
        return 0.0


def serve(delay: float, told: Connection) -> None:
    """Serve an account with contacts and visitors, unhurriedly, until told to stop."""
    crm = Crm(lambda: AT)
    for n in range(CONTACTS):
        person = crm.add(Kind.LEAD, {"last_name": f"L{n}", "email": f"p{n}@buyer.example"})
        if n < VISITORS:
            seen = {"type": "page_view", "at": AT, "asset": "/", "people": [person.number]}
            crm.add(Kind.ACTIVITY, seen)
    face = HubSpotFace(crm, ten_secondly=UNLIMITED, searches_per_second=UNLIMITED, daily=UNLIMITED)

    def answer(request: Request) -> Response:
        time.sleep(delay)
        return face(request)

    with Server(answer) as server:
        told.send((server.url, [record.number for record in crm.records(Kind.LEAD)]))
        told.recv()


def seconds(url: str, concurrency: int, work: Callable[[HubSpotConnector], int]) -> float:
    """How long a fresh connector takes over some work, its fields known."""
    given = {"kind": "hubspot", "token": TOKEN, "url": url, "concurrency": concurrency}
    with closing(HubSpotConnector("marketing", HubSpotSettings.model_validate(given))) as connector:
        connector.usage.shared = Unhurried()
        connector.create_fields(connector.missing_fields())
        began = time.perf_counter()
        if not work(connector):
            raise SystemExit("pace: nothing was done")
        return time.perf_counter() - began


def lines(delay: float) -> list[Line]:
    """Writing and the events of visitors, one call after the other and several at once."""
    with talking(serve, delay) as pipe:
        url, numbers = pipe.recv()
        changes = [Change("contacts", str(n), {Output.TIER: "A"}) for n in numbers]
        works: dict[str, Callable[[HubSpotConnector], int]] = {
            f"writing {CONTACTS:,} contacts": lambda c: len(list(c.write(changes))),
            f"events of {VISITORS} visitors": lambda c: sum(
                page.rows.num_rows for page in c.pull(EVENTS, Cursor(), AT)
            ),
        }
        found = []
        for name, work in works.items():
            one, several = (seconds(url, at_once, work) for at_once in (1, AT_ONCE))
            ratio = one / several
            what = f"HubSpot, {delay} s a call: {name}"
            figure = f"{several:.2f} s, up to {AT_ONCE} at once"
            floor = f"{one:.2f} s, one after the other"
            found.append(Line(what, figure, floor, ratio, f">= {GOAL}", ratio >= GOAL))
    return found


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=0.1)
    show(lines(parser.parse_args().delay))


if __name__ == "__main__":
    main()
