"""The commands that go back to what was written, or was not: retry and undo."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from sync import guards
from sync.command import (
    DEFAULT_CONFIG,
    AsJson,
    ChangeShare,
    ConfigPath,
    MaxCalls,
    Only,
    confirmed,
    end_by,
    limits_of,
    opened,
    show_report,
    stop_on_signals,
)
from sync.terminal import progress_bars, say, show
from sync.yaml_source import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from rich.table import Table

    from sync.ledger_rows import Quarantined
    from sync.session import Session
    from sync.undo import Undoing

FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


def retry(
    ctx: typer.Context,
    records: Annotated[
        list[str] | None, typer.Argument(help="Record ids in the CRM; none: all.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=FORMATS, help="Only what was refused since then (UTC)."),
    ] = None,
    before: Annotated[
        datetime | None,
        typer.Option("--to", formats=FORMATS, help="Only what was refused before then (UTC)."),
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    as_json: AsJson = False,
    max_change_share: ChangeShare = None,
    max_calls: MaxCalls = None,
) -> None:
    """Send records in quarantine again, in a cycle that also writes whatever else is due.

    A time is that of the last refusal; a date stands for its midnight.
    """
    from sync.cycle import run_cycle
    from sync.show import SHOWN

    with opened(ctx, config, only) as session, progress_bars() as progress:
        entries = _asked(session, records or (), since, before)
        for entry in entries[:SHOWN]:
            say(
                f"sending again: {entry.connection} {entry.object_type} {entry.record_id}, refused "
                f"{entry.last_seen:%Y-%m-%d %H:%M} ({entry.code or 'no code'}), tries so far: "
                f"{entry.tries}"
            )
        if len(entries) > SHOWN:
            say(f"... and {len(entries) - SHOWN} more")
        if not entries:
            say("nothing in quarantine fits: there is nothing to send again")
            return
        session.ledger.writes.due_now(entries, at=session.clock())
        cycle = run_cycle(
            session,
            kind="retry",
            stop=stop_on_signals(),
            progress=progress,
            limits=limits_of(session.config.guards, max_change_share, max_calls),
        )
    show_report(cycle.report, as_json)


def undo(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(help="The run to take back, as status names it.")],
    config: ConfigPath = DEFAULT_CONFIG,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=0, help="How many records to list.")] = 20,
    max_change_share: ChangeShare = None,
    max_calls: MaxCalls = None,
) -> None:
    """Take a run back: every field that still holds what it wrote gets its old value again.

    What somebody changed since is left and listed. The next cycle decides anew: change the model,
    or stop the daemon, before.
    """
    from sync import show as text
    from sync import undo as undoing

    with opened(ctx, config) as session, progress_bars() as progress:
        limits = limits_of(session.config.guards, max_change_share, max_calls)
        guards.keep(session.connectors.values(), limits)
        if not yes:
            found = undoing.look(session, run, progress)
            for table in (*_planned(found, limit), *_left(found, limit)):
                text.out().print(table)
            say("the next sync decides anew, and by the same model writes the same again")
            confirmed(f"Restore {found.records} records?")
        report, found = undoing.undo(
            session,
            run,
            stop=stop_on_signals(),
            progress=progress,
            limits=limits,
        )
        written = {(w.connection, w.record_id) for w in session.ledger.writes.of_run(report.run_id)}
    whole = written - {(entry.connection, entry.record_id) for entry in found.left}
    if as_json:
        show(
            {
                **report.as_dict(),
                "undone": run,
                "restored": len(whole),
                "restored_in_part": len(written - whole),
                "left": [vars(entry) for entry in found.left],
            }
        )
    else:
        for table in (*text.report(report), *_left(found, limit)):
            text.out().print(table)
    say(
        f"restored {len(whole)} records, and {len(written - whole)} in part; left "
        f"{len(found.left)} fields that are not as run {run} wrote them. The next sync decides "
        "anew: stop the daemon or change the model first"
    )
    end_by(report)


def _asked(
    session: "Session", records: "Collection[str]", since: datetime | None, before: datetime | None
) -> "list[Quarantined]":
    """The records in quarantine that are meant. Raises ConfigError for ids that are not there."""
    held = [q for name in session.connectors for q in session.ledger.quarantine(name)]
    unknown = set(records) - {entry.record_id for entry in held}
    if unknown:
        raise ConfigError([f"{id_} is not in quarantine" for id_ in sorted(unknown)])
    return [
        entry
        for entry in held
        if (not records or entry.record_id in records)
        and (since is None or entry.last_seen >= since.replace(tzinfo=UTC))
        and (before is None or entry.last_seen < before.replace(tzinfo=UTC))
    ]


def _planned(found: "Undoing", limit: int) -> "Iterator[Table]":
    """What an undo would write."""
    from sync import show as text

    for planned in found.plans:
        yield from text.plan(planned, limit)


def _left(found: "Undoing", limit: int) -> "Iterator[Table]":
    """What an undo leaves as it is."""
    from sync import show as text

    count = len(found.left)
    if not count:
        return
    made = text.table(f"\nleft as they are: {count} fields", "record", "field", "why")
    for entry in found.left[:limit]:
        record = f"{entry.connection}: {entry.object_type} {entry.record_id}"
        made.add_row(record, entry.output or "all", entry.why)
    if count > limit:
        made.add_row(f"... and {count - limit} more (--limit shows them)")
    yield made
