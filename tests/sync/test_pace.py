"""Limits hold for all processes on one ledger together: rates, and the share of the daily quota."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.errors import QuotaExhausted
from connectors.sandbox.http import Request, Response
from connectors.sandbox.hubspot.face import HubSpotFace
from connectors.usage import Quota, Usage
from sync.exits import Exit
from sync.ledger import Ledger
from sync.ledger_pace import LATELY
from sync.pace import HEARD, Pace
from tests.hubspot import RunningTimer
from tests.killed import Child
from tests.live import live
from tests.world import Clock


@contextmanager
def processes(url: str, count: int, clock: Clock) -> Iterator[list[Pace]]:
    """The pace of one connection as several processes keep it, each with a ledger of its own."""
    with ExitStack() as stack:
        ledgers = [stack.enter_context(Ledger(url)) for _ in range(count)]
        yield [Pace(ledger.pace, "crm", clock) for ledger in ledgers]


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Ledger]]:
    """One ledger, as three processes have opened it."""
    url = f"sqlite:///{tmp_path_factory.mktemp('pace') / 'ledger.db'}"
    with ExitStack() as stack:
        yield [stack.enter_context(Ledger(url)) for _ in range(3)]


LATER = (0.0, 0.01, 0.1, 0.9, 1.9, 8.1, 9.1, 11.0)
moves = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(LATER), st.integers(1, 12)), max_size=12
)
"""Which process calls, how long after the one before, and how often."""


@settings(max_examples=15, deadline=None)
@example(moves=[(0, 0.0, 12), (0, 0.9, 3), (1, 0.01, 25), (1, 9.15, 15)], calls=40, seconds=10.0)
@given(moves=moves, calls=st.sampled_from([1, 4, 40]), seconds=st.sampled_from([1.0, 10.0]))
def test_no_window_holds_more_calls_than_the_limit(
    ledgers: list[Ledger], moves: list[tuple[int, float, int]], calls: int, seconds: float
) -> None:
    """Whoever calls, and whenever: never more in any span of time, and nobody waits in vain."""
    connection = uuid4().hex
    paces = [Pace(ledger.pace, connection, Clock()) for ledger in ledgers]
    now, made = 1_000.0, []
    for process, later, times in moves:
        now += later
        for _ in range(times):
            while pause := paces[process].take("calls", calls, seconds, now):
                assert 0 < pause <= seconds * 1.1
                now += pause
            made.append(now)
    for at in made:
        assert sum(at - seconds < other <= at for other in made) <= calls


def test_two_at_once_share_a_limit(url: str) -> None:
    """On either database: of calls asked for at one instant, as many are counted as there may be.

    Other limits, and other connections, are not theirs.
    """
    with processes(url, 2, Clock()) as paces, ThreadPoolExecutor(2) as pool:
        counted = pool.map(
            lambda pace: sum(pace.take("calls", 50, 10.0, 5.0) == 0 for _ in range(60)), paces
        )
        # Whoever reserves last may have some left of its last lot.
        assert 40 <= sum(counted) <= 50
        assert paces[0].take("search", 4, 1.0, 5.0) == 0
        assert paces[1].take("calls", 50, 10.0, 5.0) == pytest.approx(10, abs=1)
        assert paces[1].take("calls", 50, 10.0, 16.5) == 0


def test_fast_calls_cost_few_transactions(tmp_path: Path) -> None:
    """What is used up at once is counted in lots of up to a tenth of the limit."""
    with processes(f"sqlite:///{tmp_path / 'ledger.db'}", 1, Clock()) as (pace,):
        reserve, asked = pace._ledger.reserve, []

        def counted(*given: Any, **more: Any) -> Any:
            asked.append(1)
            return reserve(*given, **more)

        pace._ledger.reserve = counted  # type: ignore[method-assign]
        assert all(pace.take("calls", 100, 10.0, 5.0 + n / 100) == 0 for n in range(100))
        assert len(asked) <= 14


def test_calls_under_way_are_not_in_an_answer_yet() -> None:
    """What a CRM says of its quota while others are under way may be without them."""
    usage = Usage("crm")
    with usage.call("read"), usage.call("read"):
        usage.said(Quota(10, 100))
        assert usage.daily_used == 11


def test_a_clock_that_was_set_back_stops_nobody(tmp_path: Path) -> None:
    """A call that seems to lie far ahead counts no more."""
    with processes(f"sqlite:///{tmp_path / 'ledger.db'}", 2, Clock()) as (one, other):
        assert one.take("calls", 1, 10.0, 5_000.0) == 0
        assert other.take("calls", 1, 10.0, 5_000.0) > 0
        assert other.take("calls", 1, 10.0, 1_000.0) == 0


def test_what_was_taken_ahead_is_good_for_its_time_alone(tmp_path: Path) -> None:
    """Calls that were reserved and not made count up to when they might have been, and no longer:
    made later they would be one too many in the window of what others made since."""
    with processes(f"sqlite:///{tmp_path / 'ledger.db'}", 2, Clock()) as (one, other):
        assert [one.take("calls", 20, 10.0, at) for at in (0.0, 0.1)] == [0, 0]
        for at in (9.5, 11.2):
            while other.take("calls", 20, 10.0, at) == 0:
                pass
        assert one.take("calls", 20, 10.0, 11.3) > 0


def test_what_another_process_heard_of_the_quota_counts(url: str) -> None:
    """A share of the day that one of them has used up stops the other before its first call; a
    little later it asks for itself, as it may be a new day."""
    clock = Clock()
    with processes(url, 2, clock) as paces:
        first, second = (Usage("crm", share=0.6, shared=pace) for pace in paces)
        with first.call("read"):
            first.said(Quota(600, 1_000))
        clock.tick(seconds=HEARD.total_seconds())
        with pytest.raises(QuotaExhausted):
            first.count("read")
        with pytest.raises(QuotaExhausted, match="600 of today's 1,000"):
            second.count("read")
        clock.tick(seconds=LATELY.total_seconds())
        third = Usage("crm", share=0.6, shared=paces[1])
        third.count("read")
        assert third.calls == {"read": 1}


@pytest.mark.slow
def test_two_commands_at_once_keep_to_the_account_s_rate(tmp_path: Path) -> None:
    """Two real processes that ask an account for more than it takes in ten seconds: by one ledger
    next to no call is refused, where each for itself would have a dozen refused."""
    with live(tmp_path, RunningTimer()) as world:
        world.configure("marketing")
        world.set_up()
        face: Any = world.marketing.face
        assert isinstance(face, HubSpotFace)
        face.limits.rolling.limit = 20
        refused = []

        def answer(request: Request) -> Response:
            response = HubSpotFace.__call__(face, request)
            refused.extend([request.path] if response.status == 429 else [])
            return response

        world.marketing.server._face = answer
        before = len(world.marketing.server.requests)
        with ExitStack() as stack:
            children = []
            for facts in ("one.duckdb", "other.duckdb"):
                world.configure("marketing", facts=facts)
                config = world.config.rename(tmp_path / f"{facts}.yaml")
                child = Child(["check", "--config", str(config)], world.env, world.clock())
                children.append(stack.enter_context(child))
            assert [child.end().code for child in children] == [Exit.DONE, Exit.DONE]
        assert len(world.marketing.server.requests) - before > 20
        # A call that is long on its way, on a busy machine, arrives in the window of later ones.
        assert len(refused) <= 3
