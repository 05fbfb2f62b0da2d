"""The lease: one instance at a time on one ledger, also when the holder was killed.

While it is held a thread renews it, so that work may take as long as it likes. Where the thread
cannot, another instance takes over in time; whoever writes asks before each call (`hold`).
"""

import os
import secrets
import socket
from datetime import timedelta
from threading import Event, Thread
from typing import Self

from sync.errors import StoreBusy, StoreError, StoreLost
from sync.ledger import Ledger
from sync.session import Clock

SYNC = "sync"
"""The lease of whoever runs a cycle."""

LASTS = timedelta(minutes=5)
"""How long a holder may be silent before another instance takes over."""

RENEWED_SECONDS = LASTS.total_seconds() / 10
"""How often it is renewed, in real time."""


class Lease:
    """Held while in its `with` block, or from `take` to `release`; renewed every `every` seconds.

    `holder` is what this one is called among instances.
    Raises StoreBusy where another instance holds it.
    """

    def __init__(
        self, ledger: Ledger, clock: Clock, name: str = SYNC, *, every: float = RENEWED_SECONDS
    ) -> None:
        self._presence = ledger.presence
        self._name = name
        self._clock = clock
        self._every = every
        # Two containers may have one name and one process id.
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._ended = Event()
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def take(self) -> None:
        """Take it, unless it is held already, and have it renewed from now on."""
        self._presence.acquire(self._name, self.holder, at=self._clock(), lasts=LASTS)
        # Of a ledger in memory each thread would see another one, and nobody else sees this one.
        if self._presence.common and not (self._thread and self._thread.is_alive()):
            self._ended.clear()
            self._thread = Thread(target=self._keep, daemon=True)
            self._thread.start()

    def hold(self) -> None:
        """Make sure that it is held, and will be for a while: before what two must not do.

        Raises StoreBusy where another instance has taken it since.
        """
        until = self._presence.held_until(self._name, self.holder)
        if until is None or (until - self._clock() < LASTS / 2 and not self._renewed()):
            raise StoreBusy(
                "another instance has taken over, as this one was not heard of for "
                f"{LASTS.total_seconds() / 60:.0f} minutes; nothing more is sent, and what was "
                "sent is kept or read back by the other one"
            )

    def release(self) -> None:
        """Give it back; nothing if another has it. With the ledger of no use it ends by itself."""
        self._ended.set()
        if self._thread:
            self._thread.join()
        try:
            self._presence.release(self._name, self.holder)
        except StoreError:
            return

    def _renewed(self) -> bool:
        return self._presence.renew(self._name, self.holder, at=self._clock(), lasts=LASTS)

    def _keep(self) -> None:
        """Renew it until it is given back, or lost. An error is no end: the ledger may come back,
        and until then `hold` finds out."""
        while not self._ended.wait(self._every):
            try:
                if not self._renewed():
                    return
            except StoreLost:
                continue
