"""What the commands share: their common options, and opening what they work with."""

import os
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from core.points import Share
from sync.exits import Exit
from sync.guards import Limits
from sync.stop import Stop
from sync.terminal import say, show, utc_now
from sync.yaml_source import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connectors.base import Problem
    from sync.config import Config, Guards
    from sync.report import RunReport
    from sync.session import Outside, Session

ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--connection", help="Only this connection; may be given more than once."),
]
ChangeShare = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Override guards.max_change_share for this run (0 to 1)."),
]
MaxCalls = Annotated[
    int | None, typer.Option(min=0, help="Override guards.max_calls for this run.")
]
DEFAULT_CONFIG = Path("config.yaml")


def ends(code: Exit) -> None:
    """End the command with an exit code."""
    raise typer.Exit(int(code))


def confirmed(question: str) -> None:
    """Ask before going on; after a no, say that nothing was done, and end the command."""
    if not typer.confirm(question, err=True):
        say("nothing was done")
        ends(Exit.INTERRUPTED)


def outside_of(ctx: typer.Context) -> "Outside":
    """What the command takes from the world: this machine, unless it was run with another."""
    from sync.session import Outside

    return ctx.obj or Outside(os.environ, utc_now)


def opened(
    ctx: typer.Context, config: Path, only: list[str] | None = None
) -> "AbstractContextManager[Session]":
    """Everything that the command works with, open while in the `with` block."""
    from sync.session import admit, open_setup, read_setup

    outside = outside_of(ctx)
    setup = read_setup(config, outside)
    admit(setup.config, outside, ctx.info_name or "")
    return open_setup(setup, outside, only)


def settings(ctx: typer.Context, config: Path) -> "Config":
    """The configuration, for a command that needs no more and may be run by this account."""
    from sync.config import load
    from sync.session import admit

    outside = outside_of(ctx)
    loaded = load(config, outside.env)
    admit(loaded, outside, ctx.info_name or "")
    return loaded


def stop_on_signals() -> Stop:
    """A stop that SIGTERM and SIGINT ask for."""
    stop = Stop()
    stop.on_signals()
    return stop


def limits_of(
    guards: "Guards", change_share: float | None, calls: int | None, *, backfill: bool = False
) -> Limits:
    """The limits of a run: the configured ones, unless an option says otherwise."""
    return Limits(
        guards.max_change_share if change_share is None else change_share,
        guards.max_calls if calls is None else calls,
        guards.backfill_quota_share if backfill else guards.daily_quota_share,
    )


def share_of(given: str) -> Decimal:
    """A share from 0 to 1, as it is given on the command line."""
    try:
        return TypeAdapter(Share).validate_python(given)
    except ValidationError:
        raise typer.BadParameter(f"{given} is no share from 0 to 1, such as 0.5") from None


def warn(report: "RunReport") -> None:
    """Say what a run warns of."""
    for warning in report.warnings:
        say(f"warning: {warning}")


def told(problem: "Problem") -> str:
    """A problem in one line."""
    return f"{problem.severity}: {problem.where}: {problem.what}. {problem.advice}".rstrip(". ")


def vet(problems: "Sequence[Problem]") -> None:
    """Say what is suspicious in a model file. Raises ConfigError where something is an error."""
    for problem in problems:
        if problem.severity != "error":
            say(told(problem))
    if errors := [told(problem) for problem in problems if problem.severity == "error"]:
        raise ConfigError(errors)


def show_report(report: "RunReport", as_json: bool) -> None:
    """Show what a run did, and end the command with the exit code that says how it went."""
    from sync import show as text

    warn(report)
    if as_json:
        show(report.as_dict())
    else:
        for table in text.report(report):
            text.out().print(table)
    end_by(report)


def end_by(report: "RunReport") -> None:
    """End the command with the exit code that says how a run went."""
    if report.refused:
        say("some records were refused by the CRM: `leadgauge status` says why")
        ends(Exit.REFUSED)
    if report.waiting:
        say(f"{report.waiting} records could not be written for now: a later run writes them")
        ends(Exit.TEMPORARY)
