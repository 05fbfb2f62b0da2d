"""What the benches share: a server in a process of its own, taking times, and lines of a table."""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from rich.console import Console
from rich.table import Table

NO_GOAL = "-"


@dataclass(frozen=True)
class Line:
    """One figure beside the floor measured in the same run; `met` is None without a goal."""

    bench: str
    figure: str
    floor: str
    ratio: float
    goal: str = NO_GOAL
    met: bool | None = None


@dataclass(frozen=True)
class Took:
    """Wall and processor seconds that reading some records took this process."""

    records: int
    wall: float
    processor: float

    def __str__(self) -> str:
        return (
            f"{self.records / self.wall:,.0f} records/s, "
            f"{self.processor / self.records * 1e6:.1f} ms processor per 1,000"
        )


@contextmanager
def talking(serve: Callable[..., None], *arguments: Any) -> Iterator[Connection]:
    """Run `serve(*arguments, pipe)` in a process, which ends when told to; the pipe's other end."""
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=serve, args=(*arguments, there), daemon=True)
    process.start()
    try:
        yield here
    finally:
        here.send("stop")
        process.join()


@contextmanager
def serving(serve: Callable[..., None], *arguments: Any) -> Iterator[str]:
    """Run `serve(*arguments, pipe)` in a process: it sends its address, and ends when told to."""
    with talking(serve, *arguments) as pipe:
        yield pipe.recv()


def best_of(repeat: int, records: int, sides: Mapping[str, Callable[[], int]]) -> dict[str, Took]:
    """Each side's fastest run, after one run of each to warm up; the sides take turns.

    A side returns how many records it read. Raises SystemExit when that is not all of them.
    """
    best: dict[str, Took] = {}
    for round_ in range(repeat + 1):
        for name, run in sides.items():
            wall, processor = time.perf_counter(), time.process_time()
            count = run()
            took = Took(records, time.perf_counter() - wall, time.process_time() - processor)
            if count != records:
                raise SystemExit(f"{name}: {count} of {records} records")
            if round_ and (name not in best or took.wall < best[name].wall):
                best[name] = took
    return best


def show(lines: Iterable[Line], title: str | None = None) -> None:
    """Print lines as a table."""
    table = Table(title=title, title_justify="left")
    for column in ("bench", "figure", "floor", "ratio", "goal"):
        table.add_column(column, overflow="fold")
    for line in lines:
        verdict = {None: "", True: " (met)", False: " (MISSED)"}[line.met]
        ratio = f"{line.ratio:.2f}"
        table.add_row(line.bench, line.figure, line.floor, ratio, line.goal + verdict)
    Console(width=150).print(table)
