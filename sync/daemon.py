"""Cycles on a schedule until told to stop: no overlap, missed ticks coalesce."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from connectors.errors import QuotaExhausted, TemporaryError
from sync.config import Schedule
from sync.cycle import run_cycle
from sync.errors import StoreBusy, StoreLost
from sync.guards import GuardStopError, Limits
from sync.session import Clock, Session
from sync.stop import Stop, StoppedError

NAME = "daemon"
"""Whose heartbeat `status` looks for."""


def trigger(schedule: Schedule) -> BaseTrigger:
    """When cycles start: every so many seconds, or by a cron expression in UTC."""
    if schedule.cron is not None:
        return CronTrigger.from_crontab(schedule.cron, timezone="UTC")
    return IntervalTrigger(seconds=int(schedule.every.total_seconds()), timezone="UTC")


def cycle(opened: AbstractContextManager[Session], stop: Stop, say: Callable[[str], None]) -> None:
    """One cycle of the daemon. What the next one may get over is said, and not raised.

    Wrong credentials and a wrong mapping are raised: trying on would only burn the quota.
    """
    try:
        with opened as session:
            session.ledger.presence.beat(NAME, at=session.clock())
            guards = session.config.guards
            limits = Limits(guards.max_change_share, guards.max_calls)
            done = run_cycle(
                session, kind="daemon", stop=stop, progress=lambda *_: None, limits=limits
            )
    except StoppedError:
        return
    except GuardStopError as error:
        say(f"stopped before writing: {error}")
    except (TemporaryError, QuotaExhausted, StoreBusy, StoreLost) as error:
        say(f"will try again: {error}")
    else:
        for warning in done.report.warnings:
            say(f"warning: {warning}")
        for part in done.report.connections:
            write = part.steps["write"]
            say(
                f"run={done.report.run_id} connection={part.connection} "
                f"written={write.out} refused={write.rejected} waiting={write.held} "
                f"calls={sum(part.calls.values())}"
            )


def run(cycle: Callable[[], None], schedule: Schedule, stop: Stop, clock: Clock) -> None:
    """Run `cycle` at once and then on schedule, until `stop` is asked for.

    Ticks that pass during a cycle are one with the next. What `cycle` raises ends the daemon.
    """
    ticks = trigger(schedule)
    while not stop.asked:
        cycle()
        now = clock()
        stop.wait((ticks.get_next_fire_time(None, now) - now).total_seconds())
