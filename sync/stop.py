"""A clean stop: asked for by a signal, honoured between two pages or two batches."""

import signal
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType

from connectors.errors import Interrupted


class StoppedError(Interrupted):
    """The run was asked to stop and did, after finishing the batch in hand."""


class Stop:
    """Whether somebody asked to stop. `check` raises where stopping is safe."""

    def __init__(self) -> None:
        self._asked = False
        # Of what wakes a sleeper, this alone may be used in a signal handler: the lock of an
        # Event may be held by the very thread that the signal interrupts.
        self._bell: SimpleQueue[None] = SimpleQueue()

    def ask(self) -> None:
        """Ask for a stop at the next safe point."""
        self._asked = True
        self.wake()

    @property
    def asked(self) -> bool:
        """Whether a stop was asked for."""
        return self._asked

    def check(self) -> None:
        """Raise StoppedError if a stop was asked for."""
        if self.asked:
            raise StoppedError("stopped as asked; everything done so far is kept")

    def wake(self) -> None:
        """End a wait early, without asking for a stop."""
        self._bell.put(None)

    def wait(self, seconds: float) -> bool:
        """Sleep until woken, asked to stop or `seconds` have passed; whether it was asked."""
        if not self.asked and seconds > 0:
            with suppress(Empty):
                self._bell.get(timeout=seconds)
        return self.asked

    def on_signals(self) -> None:
        """Let SIGTERM and SIGINT ask; a second one ends the process at once."""

        def handle(number: int, frame: FrameType | None) -> None:
            del frame
            if self.asked:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            self.ask()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, handle)


class Reload:
    """Whether somebody asked to read the configuration again; it ends the wait of a `Stop`."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._asked = False

    def ask(self) -> None:
        """Ask for it, at the end of the cycle in hand."""
        self._asked = True
        self._stop.wake()

    def take(self) -> bool:
        """Whether it was asked for since the last time."""
        asked, self._asked = self._asked, False
        return asked

    def on_signal(self) -> None:
        """Let SIGHUP ask."""

        def handle(number: int, frame: FrameType | None) -> None:
            del number, frame
            self.ask()

        signal.signal(signal.SIGHUP, handle)
