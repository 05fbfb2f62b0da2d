"""The pace of all processes on one ledger together, held without a transaction for every call.

Calls are taken from the ledger in lots: the faster they are used, the larger, up to a tenth of the
limit. A lot lasts for a tenth of the limit's time, and counts as if all of it were used at its end,
so that the limit holds in any span of time.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.usage import Quota
from sync.ledger_pace import PaceLedger

PART = 10
"""The largest lot, and how long one lasts, are this part of the limit and of its time."""

HEARD = timedelta(seconds=1)
"""How often processes tell each other what they know of a quota."""


@dataclass
class _Lot:
    """Calls that were counted ahead: how many, how many are left, until when."""

    size: int = 0
    left: int = 0
    until: float = 0.0


class Pace:
    """Counts the calls to one CRM with all who share the ledger (`connectors.usage.Shared`)."""

    def __init__(self, ledger: PaceLedger, connection: str, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._connection = connection
        self._clock = clock
        self._lock = threading.Lock()
        self._lots: dict[str, _Lot] = {}
        self._heard: datetime | None = None

    def take(self, rate: str, calls: int, seconds: float, now: float) -> float:
        """Count a call, or say how long to wait. Raises StoreLost where the ledger is lost."""
        with self._lock:
            lot = self._lots.setdefault(rate, _Lot())
            if not lot.left or now > lot.until:
                size = max(1, min(2 * (lot.size - lot.left), calls // PART))
                until = now + seconds / PART if size > 1 else now
                got, wait = self._ledger.reserve(
                    self._connection, rate, (until, size), calls=calls, seconds=seconds, now=now
                )
                if not got:
                    return wait
                lot = self._lots[rate] = _Lot(got, got, until)
            lot.left -= 1
            return 0.0

    def quota(self, mine: Quota | None) -> Quota | None:
        """The most that the CRM lately said is used: here, or to another process."""
        with self._lock:
            now = self._clock()
            if self._heard is not None and now - self._heard < HEARD:
                return mine
            self._heard = now
        return self._ledger.quota(self._connection, mine, at=now)
