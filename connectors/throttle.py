"""The one retry and rate policy: how often a call is repeated, and how fast calls go out."""

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

from connectors.errors import OutcomeUnknown, RateLimited, TemporaryError
from connectors.usage import Usage

T = TypeVar("T")
Sleep = Callable[[float], None]

ATTEMPTS = 6
PATIENCE = 180.0
"""Seconds after which a call is given up, whatever attempts are left."""

ASLEEP = 2.0
"""Seconds of a wait after which it is heard whether to go on with it: a signal does not end a
sleep."""

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
            self._usage.waited()
        else:
            self._failed += 1
        return self._failed >= ATTEMPTS or state.idle_for + state.upcoming_sleep >= PATIENCE


def _attentive(usage: Usage, sleep: Sleep) -> Sleep:
    """A sleep that `usage.look` ends; it is asked before anything is waited for."""

    def waiting(seconds: float) -> None:
        usage.look()
        while seconds > 0:
            sleep(min(seconds, ASLEEP))
            seconds -= ASLEEP
            usage.look()

    return waiting


def retried(
    call: Callable[[], T], usage: Usage, *, idempotent: bool = True, sleep: Sleep = time.sleep
) -> T:
    """Call, and call again on a TemporaryError, within bounds of attempts and of time.

    Waits as long as the CRM asked for, else exponentially with jitter. Being asked to slow down
    is no failed attempt: it is counted apart, in `usage`, and ends with patience alone. A call
    that is not idempotent is not repeated when its outcome is unknown. The last error is raised
    as it is; Interrupted, where whoever uses the connector was asked to stop before another call.
    """
    retry: retry_base = retry_if_exception_type(TemporaryError)
    if not idempotent:
        retry = retry & retry_if_not_exception_type(OutcomeUnknown)
    policy = Retrying(
        retry=retry,
        stop=_Failures(usage) | stop_before_delay(PATIENCE),
        wait=_wait,
        sleep=_attentive(usage, sleep),
        reraise=True,
    )
    return policy(call)


class Bucket:
    """A rate limit: at most `calls` in any `seconds`, held by waiting before a call.

    Calls are counted in `usage.shared`, with those of others there. Thread-safe. `calls` and
    `seconds` may be changed when the CRM states others; `clock` is the same for all who share.
    """

    def __init__(
        self,
        usage: Usage,
        rate: str,
        calls: int,
        seconds: float,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = time.sleep,
    ) -> None:
        self.calls = calls
        self.seconds = seconds
        self._usage = usage
        self._rate = rate
        self._clock = clock
        self._sleep = sleep

    def take(self) -> None:
        """Wait until one more call is within the limit, and count it."""
        while pause := self._usage.shared.take(self._rate, self.calls, self.seconds, self._clock()):
            self._sleep(pause)
