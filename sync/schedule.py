"""When a job is to start next, and since when it is overdue."""

from datetime import datetime, timedelta

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from sync.service_settings import When

MISSED = 2
"""A job that did not succeed by so many starts after its last success is overdue."""


def next_start(when: When, started: datetime, now: datetime) -> datetime:
    """The first start after `now`, of a job that last began at `started`.

    Starts that passed in between are one with the next.
    """
    found: datetime = _trigger(when, started).get_next_fire_time(
        None, now + timedelta(microseconds=1)
    )
    return found


def overdue_from(when: When, success: datetime) -> datetime:
    """The instant at which a job is overdue that last succeeded at `success`."""
    at = success
    for _ in range(MISSED):
        at = next_start(when, at, at)
    return at


def _trigger(when: When, started: datetime) -> BaseTrigger:
    if when.cron is not None:
        return CronTrigger.from_crontab(when.cron, timezone="UTC")
    assert when.every is not None, "one of the two is given"
    seconds = int(when.every.total_seconds())
    return IntervalTrigger(seconds=seconds, start_date=started, timezone="UTC")
