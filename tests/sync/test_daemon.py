"""The schedule of the daemon, and which troubles it gets over."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.triggers.base import BaseTrigger

from connectors.errors import CredentialsError
from sync import daemon
from sync.config import Schedule
from sync.errors import StoreBusy
from sync.session import Session, open_session
from sync.stop import Stop, StoppedError
from tests.live import Live, live, nobody_there
from tests.world import START, Clock


@pytest.mark.parametrize(
    ("schedule", "first", "second"),
    [
        (Schedule(every="15 minutes"), timedelta(minutes=15), timedelta(minutes=15)),
        (Schedule(cron="30 6 * * *"), timedelta(hours=6, minutes=30), timedelta(days=1)),
    ],
)
def test_when_cycles_start(schedule: Schedule, first: timedelta, second: timedelta) -> None:
    """At an interval, or by a cron expression that is meant in UTC."""
    trigger: BaseTrigger = daemon.trigger(schedule)
    midnight = datetime(2026, 3, 1, tzinfo=UTC)
    if schedule.cron is None:
        trigger.start_date = midnight + first
    one = trigger.get_next_fire_time(None, midnight)
    assert one - midnight == first
    assert trigger.get_next_fire_time(one, one + timedelta(seconds=1)) - one == second


def test_ticks_missed_in_a_cycle_are_one_with_the_next() -> None:
    """A cycle that outlasts three ticks is followed by one at the fourth, not by three at once."""
    clock, starts = Clock(), list[datetime]()

    class Waiting(Stop):
        """Lets the time that is waited for pass at once."""

        def wait(self, seconds: float) -> bool:
            clock.tick(seconds=seconds)
            return self.asked

    stop = Waiting()
    schedule = Schedule(cron="* * * * *")

    def cycle() -> None:
        starts.append(clock())
        clock.tick(seconds=200 if len(starts) == 1 else 10)
        if len(starts) == 4:
            stop.ask()

    daemon.run(cycle, schedule, stop, clock)
    assert [(start - START).total_seconds() for start in starts] == [0, 240, 300, 360]


def test_an_error_ends_it() -> None:
    """What a cycle raises ends the daemon and is raised there, after one try."""
    tries = []

    def cycle() -> None:
        tries.append(1)
        raise CredentialsError("wrong key", connection="sales")

    with pytest.raises(CredentialsError, match="sales: wrong key"):
        daemon.run(cycle, Schedule(), Stop(), Clock())
    assert len(tries) == 1


def test_a_stop_wakes_the_sleeper() -> None:
    """A signal while the daemon waits for its next cycle ends the wait, not the process."""
    stop = Stop()
    before = time.monotonic()
    with nobody_there():
        stop.on_signals()
        timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        assert stop.wait(30)
    assert time.monotonic() - before < 10
    assert stop.wait(30)
    with pytest.raises(StoppedError):
        stop.check()


@contextmanager
def busy() -> Iterator[Session]:
    """Stores that another process has open."""
    raise StoreBusy("facts.duckdb: another leadgauge process has the facts open")
    yield


def test_busy_stores_are_waited_for() -> None:
    """Somebody explains a lead just when a cycle begins: said, and tried at the next tick."""
    said: list[str] = []
    daemon.cycle(busy(), Stop(), said.append)
    assert said == ["will try again: facts.duckdb: another leadgauge process has the facts open"]


def test_what_may_pass_is_said_and_what_will_not_is_raised(tmp_path: Path) -> None:
    """An unreachable CRM is tried again; wrong credentials are not, as they burn the quota."""
    with live(tmp_path) as world:
        said = cycled(world, {"url": "http://127.0.0.1:9"})
        assert said[0].startswith("will try again: sales: unreachable")
        world.env["SF_CLIENT_SECRET"] = "wrong"
        with pytest.raises(CredentialsError):
            cycled(world, {})


def cycled(world: Live, sales: dict[str, str]) -> list[str]:
    """What the daemon says in one cycle."""
    said: list[str] = []
    world.configure("sales", sales=sales)
    daemon.cycle(open_session(world.config, world.outside), Stop(), said.append)
    return said
