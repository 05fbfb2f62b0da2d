"""How commands talk: data on stdout, talk and progress on stderr."""

import csv
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import typer

from connectors.base import Progress
from core.spreadsheet import neutralised
from sync.progress import now_and_then

if TYPE_CHECKING:
    from rich.progress import TaskID


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


def say(text: str) -> None:
    """Talk goes to stderr."""
    typer.echo(text, err=True)


def show(data: Any) -> None:
    """Data for machines goes to stdout."""
    typer.echo(json.dumps(data, indent=2, default=str))


def percent(part: int, whole: int) -> str | None:
    """A share in per cent with one decimal, rounded half up; None: of nothing."""
    if not whole:
        return None
    return f"{(Decimal(100 * part) / whole).quantize(Decimal('0.1'), ROUND_HALF_UP)}%"


def csv_rows(columns: Sequence[str]) -> Callable[[Mapping[str, Any]], None]:
    """Data for spreadsheets goes to stdout as CSV: the header now, a row with each call of what is
    returned. Numbers stay numbers; no text is a formula.

    Lines end as RFC 4180 says: only then is a carriage return within a text quoted too."""
    writer = csv.DictWriter(sys.stdout, columns)
    writer.writeheader()
    return lambda row: writer.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return neutralised(value) if isinstance(value, str) else value


@contextmanager
def progress_bars() -> "Iterator[Progress]":
    """Progress bars on a terminal, a line now and then elsewhere."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield now_and_then(lambda at: say(str(at)), time.monotonic)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, TimeRemainingColumn(), console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield progress
