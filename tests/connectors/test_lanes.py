"""How many calls are under way at once: within the bound, by what the CRM takes, in order."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from connectors.base import Change, Cursor, Status, WriteResult
from connectors.errors import QuotaExhausted, RateLimited, TemporaryError
from connectors.hubspot.connector import EVENTS, HubSpotConnector
from connectors.lanes import NOTICED, SLOW, Lanes
from connectors.sandbox.crm import Crm, Kind
from connectors.sandbox.http import Fault, Request, Response, Server
from connectors.sandbox.hubspot.face import HubSpotFace
from connectors.sandbox.hubspot.limits import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from core.decision import Output
from tests.hubspot import Account, Timer
from tests.world import Clock


class Crowd:
    """Calls that are under way, and the most there were at once; each takes `seconds`."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.seconds = 0.002
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[None]:
        """A call that takes a while."""
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            time.sleep(self.seconds)
            yield
        finally:
            with self._lock:
                self.now -= 1


def called(lanes: Lanes, crowd: Crowd) -> None:
    """One call that ends well."""
    with lanes.lane(), lanes.heeded("read"), crowd.one():
        pass


def fill(lanes: Lanes, width: int) -> Crowd:
    """Calls until so many go at once, and some more."""
    crowd = Crowd()
    while lanes.width < width:
        list(lanes.each(lambda _: called(lanes, crowd), range(20)))
    list(lanes.each(lambda _: called(lanes, crowd), range(50)))
    return crowd


def test_the_bound_is_reached_and_never_passed() -> None:
    """Four calls wait for each other, and meet."""
    lanes = Lanes(4)
    assert lanes.width == 1
    crowd, together = fill(lanes, 4), threading.Barrier(4, timeout=30)

    def meets(_: int) -> None:
        with lanes.lane(), lanes.heeded("read"), crowd.one():
            together.wait()

    list(lanes.each(meets, range(4)))
    assert crowd.most == 4 == lanes.width


def test_one_after_the_other_there_is_no_pace_to_find() -> None:
    """Calls that each wait for the one before say nothing of how many the CRM takes at once."""
    lanes, crowd = Lanes(8), Crowd()
    for _ in range(50):
        called(lanes, crowd)
    assert lanes.width == 2


@pytest.mark.parametrize("error", [RateLimited, TemporaryError])
def test_half_are_left_when_it_is_too_much(error: type[TemporaryError]) -> None:
    """Once for all that were under way together; and then it is found again."""
    lanes = Lanes(8)
    fill(lanes, 8)
    together = threading.Barrier(3)

    def refused(_: int) -> None:
        with lanes.lane(), suppress(error), lanes.heeded("read"):
            together.wait()
            raise error("busy")

    list(lanes.each(refused, range(3)))
    assert lanes.width == 4
    fill(lanes, 8)


def test_a_call_that_takes_far_longer_than_usual_is_too_much() -> None:
    """A small delay is none, nor one that is usual for this class of calls."""
    timer = Timer()
    lanes = Lanes(4, clock=timer)
    fill(lanes, 4)

    def takes(kind: str, seconds: float) -> int:
        with lanes.lane(), lanes.heeded(kind):
            timer.now += seconds
        return lanes.width

    assert takes("read", NOTICED) == 4
    assert takes("write", 2 * NOTICED) == 4
    assert takes("write", SLOW * NOTICED) == 4
    assert takes("read", 2 * NOTICED) == 2


def test_results_come_in_order_and_an_error_ends_it() -> None:
    """What was begun ends before the error is raised; nothing is begun after it."""
    lanes, ended, far = Lanes(3), list[int](), threading.Event()

    def act(item: int) -> int:
        if item == 0:
            assert far.wait(30), "what comes after a slow one does not wait for it"
        elif item == 9:
            far.set()
        elif item == 20:
            raise ValueError
        elif item > 20:
            time.sleep(0.05)
        ended.append(item)
        return item

    results, got = lanes.each(act, range(100)), list[int]()
    with pytest.raises(ValueError):
        got.extend(results)
    assert got == [*range(20)]
    assert max(ended) < 60


def test_an_error_behind_a_slow_call_ends_it_too() -> None:
    """It is raised in its turn, and nothing is begun until then."""
    lanes, begun = Lanes(3), list[int]()

    def act(item: int) -> int:
        begun.append(item)
        if item == 6:
            raise ValueError
        time.sleep(0.5 if item == 0 else 0.005)
        return item

    results, got = lanes.each(act, range(1_000)), list[int]()
    with pytest.raises(ValueError):
        got.extend(results)
    assert got == [0, 1, 2, 3, 4, 5]
    assert len(begun) < 40


@dataclass
class Desk:
    """An account, how many of its calls were under way at once, and how each was answered."""

    own: Account
    crowd: Crowd
    face: HubSpotFace
    answered: list[int] = field(default_factory=list)

    def answer(self, request: Request) -> Response:
        """Take a while over each call."""
        with self.crowd.one():
            response = self.face(request)
        self.answered.append(response.status)
        return response

    def prepared(self, concurrency: int, **more: Any) -> HubSpotConnector:
        """A connector, and the fields that it writes to."""
        connector = self.own.connect(concurrency=concurrency, **more)
        connector.create_fields(connector.missing_fields())
        self.crowd.most = 0
        return connector


UNHURRIED = 0.04
"""Seconds that a call takes where several are to meet, also on a busy machine."""


@pytest.fixture
def desk() -> Iterator[Desk]:
    """An account that takes some thousandths of a second over a call."""
    clock, timer = Clock(), Timer()
    crm = Crm(clock)
    face = HubSpotFace(crm, timer=timer)
    with Server(lambda request: made.answer(request)) as server:
        made = Desk(Account(crm, clock, timer, server), Crowd(), face)
        yield made


def people(desk: Desk, count: int) -> list[Change]:
    """New contacts, and a change of each."""
    given = ({"last_name": "M", "email": f"p{n}@buyer.example"} for n in range(count))
    records = [desk.own.crm.add(Kind.LEAD, values) for values in given]
    return [Change("contacts", str(r.number), {Output.TIER: "A"}) for r in records]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_writes_go_out_several_at_once(desk: Desk, concurrency: int) -> None:
    """Up to as many as is configured; the results come in the order of the changes."""
    changes, desk.crowd.seconds = people(desk, 2_000), UNHURRIED
    results = list(desk.prepared(concurrency).write(changes))
    assert [result.change for result in results] == changes
    assert {result.status for result in results} == {Status.WRITTEN}
    assert desk.crowd.most == concurrency
    assert len(desk.own.calls("/batch/update")) == 20


def test_visitors_are_asked_for_several_at_once(desk: Desk) -> None:
    """One call for each, and each one's events as if they were asked for in turn."""
    for n in range(40):
        person = desk.own.crm.add(Kind.LEAD, {"last_name": "M", "email": f"p{n}@buyer.example"})
        seen = {"type": "page_view", "asset": f"/{n}", "people": [person.number]}
        desk.own.crm.add(Kind.ACTIVITY, {**seen, "at": desk.own.clock()})
    rows, desk.crowd.seconds = {}, UNHURRIED
    for concurrency in (1, 4):
        connector = desk.prepared(concurrency)
        (page,) = connector.pull(EVENTS, Cursor(), desk.own.clock())
        rows[concurrency] = page.rows.to_pylist()
        assert desk.crowd.most == concurrency
    assert rows[1] == rows[4]
    assert len(rows[1]) == 40


def test_the_rate_holds_for_all_that_is_under_way(desk: Desk) -> None:
    """The account takes 20 calls in 10 s: none is refused, however many go out at once."""
    desk.face.limits.rolling.limit = 20
    timer = desk.own.timer
    leap = timer.sleep

    def sleep(seconds: float) -> None:
        # No call is on its way for so long as this time leaps.
        while connector.usage.total > len(desk.answered):
            time.sleep(0.001)
        leap(seconds)

    timer.sleep = sleep  # type: ignore[method-assign]
    connector = desk.prepared(8)
    assert len(list(connector.write(people(desk, 5_000)))) == 5_000
    assert 429 not in desk.answered


def test_what_fails_in_the_middle_leaves_the_rest_unsent(desk: Desk) -> None:
    """D01, U05: what was sent beside it is told before the error; what is not told was not sent."""
    connector, changes = desk.prepared(4), people(desk, 2_000)
    list(connector.write(people(desk, 2_000)))  # finds the pace
    overload = Fault("/batch/update", body=f'"{changes[250].id}"', times=None)
    overload.response = Response(503, b"")
    # The others take so long that not all of them have ended when it is given up.
    slow = Fault("/batch/update", times=None, delay=0.05)
    desk.own.server.faults += [overload, slow]
    results: list[WriteResult] = []
    with pytest.raises(TemporaryError):
        results.extend(connector.write(changes))
    told = {result.change.id for result in results if result.status is Status.WRITTEN}
    assert {change.id for change in changes[:200]} <= told
    unknown = [result.change for result in results if result.status is Status.UNKNOWN]
    assert unknown == changes[200:300]
    assert len(results) == len(told) + len(unknown) < len(changes)
    fresh = desk.own.connect()
    held = fresh.read_back("contacts", [change.id for change in changes])
    assert {id_ for id_, values in held.items() if values[Output.TIER]} == told


def test_a_token_that_ended_is_renewed_once_for_all(desk: Desk) -> None:
    """D16: several calls meet the refusal at once, and the first of them gets a new token."""
    oauth = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": REFRESH_TOKEN}
    connector, changes = desk.prepared(4, token=oauth), people(desk, 2_000)
    list(connector.write(changes))  # finds the pace
    desk.face._access._issued["oauth-1"] = desk.own.timer.now
    results = list(connector.write(changes))
    assert {result.status for result in results} == {Status.WRITTEN}
    assert connector.usage.calls["login"] == 2


def test_a_share_of_the_day_is_not_passed_by_calls_at_once(desk: Desk) -> None:
    """D24: what is under way counts before its answer comes; what was written is told."""
    connector, changes = desk.prepared(8), people(desk, 6_000)
    list(connector.write(changes[:3_000]))  # finds the pace
    desk.face.limits.daily, desk.face.limits.used = 1_000, 470
    connector.now()
    connector.usage.share = 0.5
    results: list[WriteResult] = []
    with pytest.raises(QuotaExhausted):
        results.extend(connector.write(changes[3_000:]))
    assert 500 - 8 < desk.face.limits.used <= 500
    assert len(results) == (desk.face.limits.used - 471) * 100
