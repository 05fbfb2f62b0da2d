"""What is counted of a CRM's limits: the calls by class, the day's quota, the windows of its rates.

A process counts for itself (`Alone`), or together with all that share a ledger: then something
else that is `Shared` is put in its place.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from connectors.errors import BudgetSpent, QuotaExhausted

Lot = tuple[float, int]
"""Calls that count together: until when they may have been made, in seconds, and how many."""


@dataclass(frozen=True)
class Quota:
    """What a CRM said of its daily quota: the calls used, by all programs, of how many."""

    used: int
    limit: int


class Shared(Protocol):
    """Where calls are counted against the limits of a CRM. Thread-safe."""

    def take(self, rate: str, calls: int, seconds: float, now: float) -> float:
        """Count a call of a rate class, where that makes at most `calls` in any `seconds`.

        Returns 0 where it was counted, else in how many seconds to ask again.
        """

    def quota(self, mine: Quota | None) -> Quota | None:
        """The most that the CRM lately said is used: here (`mine`), or to another process."""


def within(lots: Iterable[Lot], seconds: float, now: float) -> list[Lot]:
    """The lots that count now, oldest first; one far ahead is of a clock that was set back."""
    return sorted(lot for lot in lots if now - seconds < lot[0] <= now + seconds)


def room(lots: Iterable[Lot], calls: int) -> int:
    """How many more calls there may be beside those that count now."""
    return max(0, calls - sum(count for _, count in lots))


def pause(lots: Iterable[Lot], calls: int, seconds: float, now: float) -> float:
    """The seconds until there is room for one more call, where there is none."""
    lots = list(lots)
    over = sum(count for _, count in lots) - calls + 1
    for at, count in lots:
        over -= count
        if over <= 0:
            return max(at + seconds - now, 0.001)
    return seconds


class Alone:
    """This process counts for itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, list[Lot]] = {}

    def take(self, rate: str, calls: int, seconds: float, now: float) -> float:
        """Count a call, or say how long to wait."""
        with self._lock:
            made = self._made[rate] = within(self._made.get(rate, ()), seconds, now)
            if not room(made, calls):
                return pause(made, calls, seconds, now)
            made.append((now, 1))
            return 0.0

    def quota(self, mine: Quota | None) -> Quota | None:
        """What the CRM said here."""
        return mine


@dataclass
class Usage:
    """API calls made by a connector, by class (read, search, write, bulk, login, describe).

    `daily_limit` and `daily_used` (by all programs) are what the CRM last said of its daily quota,
    with the calls since, as not every answer says it; beyond `share` of it no call is made (None:
    the CRM itself says when to stop). `budget` is how many calls there may be here in all (None:
    any number); `spent` is what was raised where there would have been one more. `waits` counts how
    often the CRM asked to slow down. `shared` is where other processes' calls are counted too.
    `look` is called whenever a job of the CRM that takes long is looked at, and every few seconds
    of the wait before a call is repeated; it raises Interrupted to end the wait. Thread-safe.
    """

    connection: str = ""
    calls: dict[str, int] = field(default_factory=dict)
    daily_limit: int | None = None
    daily_used: int | None = None
    share: float | None = None
    budget: int | None = None
    spent: BudgetSpent | None = None
    waits: int = 0
    shared: Shared = field(default_factory=Alone)
    look: Callable[[], None] = lambda: None
    _under_way: int = 0
    _together: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def count(self, kind: str, calls: int = 1) -> None:
        """Count calls of one class that are about to be made.

        Raises BudgetSpent where they would pass the budget, QuotaExhausted where they would pass
        the share of the daily quota.
        """
        with self._lock:
            self._count(kind, calls)

    @contextmanager
    def call(self, kind: str) -> Iterator[None]:
        """Count a call that is under way within the block. Raises what `count` does."""
        with self._lock:
            self._count(kind, 1)
            self._together = self._under_way > 0
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def said(self, quota: Quota) -> None:
        """Take what the answer to a call says of the daily quota, while that is under way.

        Others under way with it may not be in it yet, and their answers come in any order.
        """
        with self._lock:
            used = quota.used + self._under_way - 1
            known = self.daily_used if self._together else None
            self.daily_limit, self.daily_used = quota.limit, max(used, known or 0)

    def waited(self) -> None:
        """Count that the CRM asked to slow down."""
        with self._lock:
            self.waits += 1

    def since(self, before: Mapping[str, int]) -> dict[str, int]:
        """The calls made since `calls` was as `before`, by class."""
        made = {kind: count - before.get(kind, 0) for kind, count in self.calls.items()}
        return {kind: count for kind, count in made.items() if count}

    @property
    def total(self) -> int:
        """All calls made."""
        return sum(self.calls.values())

    def _count(self, kind: str, calls: int) -> None:
        if self.budget is not None and self.total + calls > self.budget:
            self.spent = self._over_budget(self.budget)
            raise self.spent
        self._hear()
        if self.share is not None and self.daily_limit is not None:
            self._refuse_beyond(int(self.daily_limit * self.share), calls)
        self.calls[kind] = self.calls.get(kind, 0) + calls
        if self.daily_used is not None:
            self.daily_used += calls

    def _hear(self) -> None:
        """Take what the CRM said to other processes, where that is more."""
        used, limit = self.daily_used, self.daily_limit
        mine = None if used is None or limit is None else Quota(used, limit)
        if (known := self.shared.quota(mine)) is not None:
            self.daily_limit, self.daily_used = known.limit, known.used

    def _over_budget(self, budget: int) -> BudgetSpent:
        return BudgetSpent(
            f"{self.total:,} calls are made of the budget of {budget:,}, and it takes more. "
            "Nothing is lost: the next run goes on from here. To allow more, run again with a "
            "larger --max-calls, or raise guards.max_calls in the configuration",
            connection=self.connection,
        )

    def _refuse_beyond(self, allowed: int, calls: int) -> None:
        if self.daily_used is None or self.daily_used + calls <= allowed:
            return
        raise QuotaExhausted(
            f"{self.daily_used:,} of today's {self.daily_limit:,} API calls are used, by "
            f"all programs together, and leadgauge leaves the rest beyond {allowed:,} "
            f"({self.share:.0%}) to others. Run again tomorrow, or raise the share under "
            "`guards` in the configuration",
            connection=self.connection,
        )
