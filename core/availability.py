"""When somebody is at work: hours in a time zone of their own, holidays and leave.

Days are the owner's own: a holiday or a daily cap begins at midnight where the owner lives.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Hours:
    """From `start` to `end` (exclusive) on days of the week (0: Monday), in local time.

    An `end` that is not after the start is on the next day.
    """

    days: frozenset[int]
    start: time
    end: time

    def hold(self, local: datetime) -> bool:
        """Whether it is within these hours."""
        today, moment = local.weekday(), local.time()
        if self.start < self.end:
            return today in self.days and self.start <= moment < self.end
        began = today in self.days and moment >= self.start
        return began or ((today - 1) % 7 in self.days and moment < self.end)


@dataclass(frozen=True)
class Leave:
    """Days away, both ends included."""

    first: date
    last: date


@dataclass(frozen=True)
class Terms:
    """When an owner works, and how much an owner is given.

    `zone` is a name of the time zone database; `hours` None: at any hour. `daily` is the most
    leads in a day of the owner's, `total` the most open ones at a time; None: as many as come.
    """

    zone: str = "UTC"
    hours: Hours | None = None
    holidays: frozenset[date] = frozenset()
    leave: tuple[Leave, ...] = ()
    daily: int | None = None
    total: int | None = None

    def absent(self, at: datetime) -> bool:
        """Whether the day is a holiday or one of leave."""
        day = at.astimezone(ZoneInfo(self.zone)).date()
        return day in self.holidays or any(one.first <= day <= one.last for one in self.leave)

    def working(self, at: datetime) -> bool:
        """Whether the owner is there, and within working hours."""
        local = at.astimezone(ZoneInfo(self.zone))
        return not self.absent(at) and (self.hours is None or self.hours.hold(local))


def day_start(zone: str, at: datetime) -> datetime:
    """When the day of an instant began in a time zone, in UTC."""
    local = at.astimezone(ZoneInfo(zone))
    return datetime.combine(local.date(), time(), local.tzinfo).astimezone(UTC)
