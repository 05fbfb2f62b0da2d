"""Progress for logs: a line now and then, with an honest remaining time or none."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from connectors.base import Progress

EVERY = 30.0
"""Seconds between two lines: what takes less says nothing."""


@dataclass(frozen=True)
class HowFar:
    """How far a stage is. `left` is the time that the rest takes at the pace of this process so
    far; None where it is not known how much there is."""

    stage: str
    done: int
    total: int | None
    left: timedelta | None

    def __str__(self) -> str:
        of = f" of {self.total:,}" if self.total is not None else ""
        left = f", about {self.left} left" if self.left is not None else ""
        return f"{self.stage}: {self.done:,}{of}{left}"


def now_and_then(tell: Callable[[HowFar], None], clock: Callable[[], float]) -> Progress:
    """Progress that tells how far a stage is when it has gone on for `EVERY` seconds since the last
    word; `clock` counts seconds."""
    last, begun = clock(), dict[str, tuple[float, int]]()

    def progress(stage: str, done: int, total: int | None) -> None:
        nonlocal last
        now = clock()
        since, first = begun.setdefault(stage, (now, done))
        if now - last < EVERY:
            return
        last = now
        # More came than were counted: how much there is was not known after all.
        total = total if total is not None and done <= total else None
        left = None
        if total is not None and done > first:
            seconds = (total - done) * (now - since) / (done - first)
            left = timedelta(seconds=round(seconds))
        tell(HowFar(stage, done, total, left))

    return progress
