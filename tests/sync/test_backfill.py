"""A backfill that goes on: what was counted, read and described before is not asked for again."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest

from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault, Request, Response
from sync.backfill import FRESH
from sync.exits import Exit
from tests.live import Live, Seller, live

PEOPLE = 230
BEGINNING = {
    "POST /services/oauth2/token",
    "POST /services/data/v64.0/composite",
    "GET /services/data/v64.0/",
    "GET /crm/v3/properties/contacts",
    "GET /crm/v3/objects/contacts",
}
"""The requests that every process makes once: to log in, of what objects have, of the time."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Both CRMs with people, a company and calls; all read and written once."""
    with live(tmp_path_factory.mktemp("backfill")) as found:
        found.set_up()
        for seller in found.sellers.values():
            seller.crm.add(Kind.ACCOUNT, {"name": "Firm"})
            for n in range(PEOPLE):
                named = {"last_name": f"P{n}", "company": "Firm", "email": f"p{n}@firm.example"}
                lead = seller.crm.add(Kind.LEAD, {**named, "industry": "Technology"})
                called = {"type": "call", "at": found.clock() - timedelta(days=1)}
                seller.crm.add(Kind.ACTIVITY, {**called, "people": [lead.number]})
        found.sync()
        found.clock.tick(days=2)
        yield found


def backfill(world: Live, code: Exit = Exit.DONE) -> dict[str, Counter[str]]:
    """The requests of a backfill that ends so, by connection."""
    world.timer.sleep(10)  # or the limits of the run before would still be felt
    before = {name: len(seller.server.requests) for name, seller in world.sellers.items()}
    outcome = world.run("backfill", "--yes")
    assert outcome.code == code, outcome.err
    return {
        name: Counter(f"{method} {path}" for method, path in seller.server.requests[before[name] :])
        for name, seller in world.sellers.items()
    }


def interrupt(seller: Seller, *, after: int) -> None:
    """Let the user press Ctrl-C while a request is answered, after so many others."""

    def pressed(request: Request) -> Response:
        os.kill(os.getpid(), signal.SIGINT)
        return seller.face(request)

    seller.server.faults.append(Fault("", skip=after, response=pressed))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "after"), [("sales", 15), ("marketing", 22)])
def test_nothing_is_asked_for_twice(world: Live, name: str, after: int) -> None:
    """Interrupted and run again, it makes the requests of one that was not, and those without
    which no process begins: the log-in, what the objects have, and the time."""
    whole = backfill(world)
    interrupt(world.sellers[name], after=after)
    begun, rest = backfill(world, Exit.INTERRUPTED), backfill(world)
    for connection, requests in whole.items():
        more = begun[connection] + rest[connection] - requests
        assert more.keys() <= BEGINNING
        assert set(more.values()) == {1}


@pytest.mark.slow
def test_what_was_read_long_ago_is_read_on(world: Live) -> None:
    """After a day, a stream that was read to its end is brought up to date like any other."""
    interrupt(world.marketing, after=30)
    backfill(world, Exit.INTERRUPTED)
    world.clock.tick(seconds=FRESH.total_seconds())
    person = next(world.sales.crm.records(Kind.LEAD))
    world.sales.crm.update(person, {"industry": "Retail"})
    assert world.sales.shown(person)["score"] == 20
    backfill(world)
    assert world.sales.shown(person)["score"] == 0
