"""What the commands share: their common options, and opening what they work with."""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sync.exits import Exit
from sync.stop import Stop
from sync.terminal import utc_now

if TYPE_CHECKING:
    from sync.session import Outside, Session

ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--connection", help="Only this connection; may be given more than once."),
]
DEFAULT_CONFIG = Path("config.yaml")


def ends(code: Exit) -> None:
    """End the command with an exit code."""
    raise typer.Exit(int(code))


def outside_of(ctx: typer.Context) -> "Outside":
    """What the command takes from the world: this machine, unless it was run with another."""
    from sync.session import Outside

    return ctx.obj or Outside(os.environ, utc_now)


def opened(
    ctx: typer.Context, config: Path, only: list[str] | None = None
) -> "AbstractContextManager[Session]":
    """Everything that the command works with, open while in the `with` block."""
    from sync.session import open_session

    return open_session(config, outside_of(ctx), only)


def stop_on_signals() -> Stop:
    """A stop that SIGTERM and SIGINT ask for."""
    stop = Stop()
    stop.on_signals()
    return stop
