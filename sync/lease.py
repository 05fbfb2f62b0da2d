"""The lease: one instance at a time on one ledger, also when the holder was killed."""

import os
import socket
from datetime import timedelta
from types import TracebackType
from typing import Self

from sync.ledger import Ledger
from sync.session import Clock

SYNC = "sync"
"""The lease of whoever runs a cycle."""

LASTS = timedelta(minutes=5)
"""How long a holder may be silent before another instance takes over."""


class Lease:
    """Held while in its `with` block; `renew` at least every few minutes, or lose it.

    Raises StoreBusy where another instance holds it.
    """

    def __init__(self, ledger: Ledger, clock: Clock, name: str = SYNC) -> None:
        self._presence = ledger.presence
        self._name = name
        self._clock = clock
        self._holder = f"{socket.gethostname()}:{os.getpid()}"
        self._taken = clock()

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def take(self) -> None:
        """Take it, or renew it."""
        now = self._clock()
        self._presence.acquire(self._name, self._holder, at=now, lasts=LASTS)
        self._taken = now

    def renew(self) -> None:
        """Say that this instance is alive; costs nothing unless a part of the lease is gone."""
        if self._clock() - self._taken > LASTS / 10:
            self.take()

    def release(self) -> None:
        """Give it back; nothing if another instance has it."""
        self._presence.release(self._name, self._holder)
