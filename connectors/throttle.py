"""The one retry and rate policy: how often a call is repeated, and how fast calls go out."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_base,
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_before_delay,
    wait_random_exponential,
)
from tenacity.stop import stop_base

from connectors.base import Usage
from connectors.errors import OutcomeUnknown, RateLimited, TemporaryError

T = TypeVar("T")
Sleep = Callable[[float], None]

ATTEMPTS = 6
PATIENCE = 180.0
"""Seconds after which a call is given up, whatever attempts are left."""

_backoff = wait_random_exponential(multiplier=0.5, max=30)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, TemporaryError) else None
    return asked if asked is not None else _backoff(state)


class _Failures(stop_base):
    """Gives up after so many failed attempts. To be asked to slow down is none: it is counted."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._failed = 0

    def __call__(self, state: RetryCallState) -> bool:
        if state.outcome and isinstance(state.outcome.exception(), RateLimited):
            self._usage.waits += 1
        else:
            self._failed += 1
        return self._failed >= ATTEMPTS or state.idle_for + state.upcoming_sleep >= PATIENCE


def retried(
    call: Callable[[], T], usage: Usage, *, idempotent: bool = True, sleep: Sleep = time.sleep
) -> T:
    """Call, and call again on a TemporaryError, within bounds of attempts and of time.

    Waits as long as the CRM asked for, else exponentially with jitter. Being asked to slow down
    is no failed attempt: it is counted apart, in `usage`, and ends with patience alone. A call
    that is not idempotent is not repeated when its outcome is unknown. The last error is raised
    as it is.
    """
    retry: retry_base = retry_if_exception_type(TemporaryError)
    if not idempotent:
        retry = retry & retry_if_not_exception_type(OutcomeUnknown)
    policy = Retrying(
        retry=retry,
        stop=_Failures(usage) | stop_before_delay(PATIENCE),
        wait=_wait,
        sleep=sleep,
        reraise=True,
    )
    return policy(call)


class Bucket:
    """A rate limit: at most `calls` in any `seconds`, held by waiting before a call.

    Thread-safe. `limit` may be changed when the CRM states another one.
    """

    def __init__(
        self,
        calls: int,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = time.sleep,
    ) -> None:
        self.calls = calls
        self.seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._sent: list[float] = []

    def take(self) -> None:
        """Wait until one more call is within the limit, and count it."""
        while True:
            with self._lock:
                now = self._clock()
                self._sent = [t for t in self._sent if t > now - self.seconds]
                if len(self._sent) < self.calls:
                    self._sent.append(now)
                    return
                pause = self._sent[-self.calls] + self.seconds - now
            self._sleep(max(pause, 0.001))
