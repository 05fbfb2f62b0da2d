"""The commands that run a cycle, or show what one would do: plan, sync and backfill."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from sync.command import (
    DEFAULT_CONFIG,
    AsJson,
    ChangeShare,
    ConfigPath,
    MaxCalls,
    Only,
    confirmed,
    limits_of,
    opened,
    show_report,
    stop_on_signals,
    warn,
)
from sync.terminal import progress_bars, say, show

Full = Annotated[
    bool, typer.Option("--full", help="Rescore every lead, not only what can have changed.")
]


def plan(
    ctx: typer.Context,
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=0, help="How many records to list.")] = 20,
    max_calls: MaxCalls = None,
    full: Full = False,
) -> None:
    """What one cycle would write, and its price in API calls. Writes nothing to a CRM."""
    from sync import show as text
    from sync.cycle import run_cycle

    with opened(ctx, config, only) as session, progress_bars() as progress:
        cycle = run_cycle(
            session,
            kind="plan",
            stop=stop_on_signals(),
            progress=progress,
            limits=limits_of(session.config.guards, 1, max_calls),
            write=False,
            full=full,
        )
    warn(cycle.report)
    if as_json:
        plans = [
            {**p.as_dict(), "reading": part.reading.as_dict(), "erases": part.erasures}
            for p, part in zip(cycle.plans, cycle.report.connections, strict=True)
        ]
        show({"run": cycle.report.run_id, "warnings": cycle.report.warnings, "plans": plans})
        return
    for planned, part in zip(cycle.plans, cycle.report.connections, strict=True):
        for table in text.plan(planned, limit):
            text.out().print(table)
        say(f"{part.connection}: reading took {text.cost(part.reading)}")
        for what, count in part.erasures.items():
            say(f"{part.connection}: of {what}, a sync would erase {count}")


def sync(
    ctx: typer.Context,
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    as_json: AsJson = False,
    max_change_share: ChangeShare = None,
    max_calls: MaxCalls = None,
    full: Full = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Look at every record before it is written, and read it back; owners are so "
            "anyway.",
        ),
    ] = False,
    reconcile: Annotated[
        bool,
        typer.Option(
            "--reconcile", help="Also read the CRM whole, compare, and heal what differs."
        ),
    ] = False,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh",
            help="Also look at the mapped fields that change without a stamp, such as formulas, "
            "and read again what differs.",
        ),
    ] = False,
) -> None:
    """Run one cycle: pull what changed, decide, and write what differs."""
    from sync.cycle import run_cycle
    from sync.reading import read_as
    from sync.service_settings import Job

    if reconcile and refresh:
        raise typer.BadParameter("--reconcile reads every field again: give one of the two")
    kind = Job.RECONCILE if reconcile else Job.REFRESH if refresh else "sync"
    with opened(ctx, config, only) as session, progress_bars() as progress:
        limits = limits_of(session.config.guards, max_change_share, max_calls)
        cycle = run_cycle(
            session,
            kind=kind,
            stop=stop_on_signals(),
            progress=progress,
            limits=limits,
            full=full,
            verify=verify,
            read=read_as(kind, session, limits),
        )
    show_report(cycle.report, as_json)


def backfill(
    ctx: typer.Context,
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Only what changed since this date (UTC)."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Start without asking.")] = False,
    as_json: AsJson = False,
    max_change_share: ChangeShare = None,
    max_calls: MaxCalls = None,
) -> None:
    """Read everything again, or what changed since a date, and write what differs.

    States its size and price first. Interrupted, it goes on where it was when run again.
    """
    from sync import backfill as backfilling
    from sync.cycle import run_cycle

    with opened(ctx, config, only) as session, progress_bars() as progress:
        start = since.replace(tzinfo=UTC) if since else None
        limits = limits_of(session.config.guards, max_change_share, max_calls, backfill=True)
        going_on = backfilling.unfinished(session, start)
        sizes = backfilling.sizes(session, start, limits, going_on=going_on)
        priced = backfilling.priced(session, sizes, limits, say)
        if going_on:
            say("going on with the backfill that was interrupted")
        else:
            if not yes:
                confirmed("Start?")
            backfilling.rewind(session, start, sizes)
        cycle = run_cycle(
            session,
            kind=backfilling.kind(start),
            stop=stop_on_signals(),
            progress=progress,
            limits=limits,
            full=True,
            read=backfilling.read_on(start),
            priced=priced,
        )
    show_report(cycle.report, as_json)
