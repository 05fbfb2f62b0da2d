"""Calls that are repeated: how long is waited in between, and who ends the wait."""

from collections.abc import Callable

import pytest

from connectors.errors import Interrupted, RateLimited
from connectors.throttle import retried
from connectors.usage import Usage


class Busy:
    """A CRM that asks to come back in 100 seconds, `times` times, and the seconds waited for it."""

    def __init__(self, times: int) -> None:
        self.calls = 0
        self.waited = 0.0
        self._times = times

    def call(self) -> str:
        """Another call."""
        self.calls += 1
        if self.calls <= self._times:
            raise RateLimited("slow down", retry_after=100.0)
        return "done"

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.waited += seconds


def stopped_after(busy: Busy, seconds: float) -> Callable[[], None]:
    """Somebody asks to stop after so many seconds."""

    def look() -> None:
        if busy.waited >= seconds:
            raise Interrupted

    return look


def test_a_wait_lasts_as_long_as_it_was_asked_for() -> None:
    busy = Busy(1)
    assert retried(busy.call, Usage(), sleep=busy.sleep) == "done"
    assert busy.waited == pytest.approx(100)


@pytest.mark.parametrize("after", [0, 31])
def test_a_stop_ends_a_wait(after: float) -> None:
    """Within seconds, and without another call."""
    busy = Busy(1)
    with pytest.raises(Interrupted):
        retried(busy.call, Usage(look=stopped_after(busy, after)), sleep=busy.sleep)
    assert busy.calls == 1
    assert after <= busy.waited <= after + 5


def test_a_call_that_ends_well_is_not_in_the_way_of_a_stop() -> None:
    """What was done is told, and the caller stops where it sees fit."""
    busy = Busy(0)
    look = stopped_after(busy, 0)
    assert retried(busy.call, Usage(look=look), sleep=busy.sleep) == "done"
