"""How many calls to a CRM are under way at once: as many as it takes well, found by trying."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from connectors.errors import TemporaryError

A = TypeVar("A")
B = TypeVar("B")

SLOW = 3.0
"""How many times as long as usual a call takes that says: too many at once."""

NOTICED = 1.0
"""Seconds below which a call is never slow."""

MEMORY = 8
"""Of about how many calls of a class the usual time is the mean."""


class Lanes:
    """Room for calls to be under way at once: one at first, `most` at most. Thread-safe.

    There is one lane more after as many good calls as there are lanes, all of them taken. Half are
    left where the CRM asks to slow down, is overloaded, has its records locked, gives no answer, or
    takes far longer than usual; what else was under way then does not count again.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.width = 1
        self._most = most
        self._clock = clock
        self._changed = threading.Condition()
        self._under_way = 0
        self._good = 0
        self._round = 0
        self._usual: dict[str, float] = {}

    @contextmanager
    def lane(self) -> Iterator[None]:
        """A lane, once one is free."""
        with self._changed:
            self._changed.wait_for(lambda: self._under_way < self.width)
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    @contextmanager
    def heeded(self, kind: str) -> Iterator[None]:
        """A call within a lane: how it ends says whether there may be more at once, or fewer."""
        begun, started = self._round, self._clock()
        try:
            yield
        except TemporaryError:
            self._narrow(begun)
            raise
        if self._is_slow(kind, self._clock() - started):
            self._narrow(begun)
        else:
            self._widen()

    def each(self, act: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """`act` of every item, several at once; what it returns comes in the order of the items.

        The next item is taken as one ends. After an error no further one is begun, and it is
        raised once those under way have ended.
        """
        coming = iter(items)
        begun: deque[Future[B]] = deque()
        pool = ThreadPoolExecutor(self._most)
        try:
            while True:
                busy = [future for future in begun if not future.done()]
                failed = any(future.done() and future.exception() for future in begun)
                more = islice(coming, 0 if failed else self._most - len(busy))
                new = [pool.submit(act, item) for item in more]
                begun.extend(new)
                if not begun:
                    return
                # Of those too that may have ended by now: else their lanes would stay empty.
                wait([*busy, *new], return_when=FIRST_COMPLETED)
                while begun and begun[0].done():
                    yield begun.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _is_slow(self, kind: str, seconds: float) -> bool:
        with self._changed:
            usual = self._usual.setdefault(kind, seconds)
            self._usual[kind] = usual + (seconds - usual) / MEMORY
        return seconds > max(NOTICED, SLOW * usual)

    def _widen(self) -> None:
        with self._changed:
            if self._under_way < self.width:
                return
            self._good += 1
            if self._good >= self.width:
                self._good = 0
                self.width = min(self._most, self.width + 1)
                self._changed.notify_all()

    def _narrow(self, begun: int) -> None:
        with self._changed:
            if begun == self._round:
                self._round += 1
                self._good = 0
                self.width = max(1, self.width // 2)
