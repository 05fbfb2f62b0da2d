"""What the runs in the ledger used of the CRMs' APIs: calls by class, and the daily quota.

A run's calls are recorded when it ends; those of one that was killed are not known here. The
quota is what the CRM itself said, and counts every program's calls.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Engine, select

from sync.ledger_schema import RUNS


@dataclass
class DayUsage:
    """The calls made to one connection by runs that began today (UTC), by class.

    `quota` is what the CRM last said today, at `said_at`: the calls `used` by all programs, and
    the `limit`. `waits` counts how often it asked to slow down.
    """

    connection: str
    calls: Counter[str] = field(default_factory=Counter)
    waits: int = 0
    quota: Mapping[str, int] | None = None
    said_at: datetime | None = None


class UsageLedger:
    """The part of a ledger that says what was used. Every method is one transaction."""

    def __init__(self, readers: Engine) -> None:
        self._readers = readers

    def today(self, now: datetime) -> list[DayUsage]:
        """The usage of the day so far, by connection."""
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        columns = (RUNS.c.calls, RUNS.c.counts, RUNS.c.finished_at)
        query = select(*columns).where(RUNS.c.started_at >= midnight).order_by(RUNS.c.started_at)
        found: dict[str, DayUsage] = {}
        with self._readers.begin() as db:
            for calls, counts, finished_at in db.execute(query):
                for name, made in calls.items():
                    usage = found.setdefault(name, DayUsage(name))
                    usage.calls.update(made)
                    counted = counts[name]
                    # Runs of before this was counted have neither.
                    usage.waits += counted.get("waits", 0)
                    if counted.get("quota"):
                        usage.quota, usage.said_at = counted["quota"], finished_at
        return [found[name] for name in sorted(found)]
