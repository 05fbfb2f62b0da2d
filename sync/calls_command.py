"""The command that tells sales whom to call."""

from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from sync.command import DEFAULT_CONFIG, AsJson, ConfigPath, Only, opened, outside_of
from sync.terminal import say, show
from sync.yaml_source import ConfigError

if TYPE_CHECKING:
    from sync.calls import Listed


def calls(
    ctx: typer.Context,
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    owner: Annotated[str | None, typer.Option(help="Only this owner's leads, by name.")] = None,
    everybody: Annotated[
        bool, typer.Option("--all", help="Also whom not to call, and why.")
    ] = False,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=0, help="How many leads of each owner to list.")] = 20,
) -> None:
    """Whom to call first, by owner: by score among those who are due, then by when they are due."""
    from sync.calls import listed

    now = outside_of(ctx).clock()
    with opened(ctx, config, only) as session:
        handoff = session.config.handoff
        if handoff is None or not handoff.cadences:
            raise ConfigError(
                ["no tier is called: say how often under `handoff`, such as tiers: {A: {every: "
                "1 day, attempts: 8}}"]
            )  # fmt: skip
        found = listed(session, now)
    wanted = [lead for lead in found if owner in (None, lead.owner)]
    if owner is not None and not wanted:
        raise ConfigError([f"nobody called {owner} owns a lead: check the name"])
    if not everybody:
        wanted = [lead for lead in wanted if lead.call.due]
    if as_json:
        show([asdict(lead) for lead in wanted])
        return
    _show(wanted, limit, now)


def _show(wanted: "list[Listed]", limit: int, now: datetime) -> None:
    from sync.show import out, table

    to_call = [lead for lead in wanted if lead.call.due]
    for owner, group in groupby(to_call, key=lambda lead: lead.owner):
        leads = list(group)
        flagged = ["flags"] if any(lead.flags for lead in leads) else []
        title, columns = f"\n{owner}: {len(leads)} to call", ("lead", "who", "score>", "tier")
        made = table(title, *columns, "due", "tries>", *flagged)
        for lead in leads[:limit]:
            due = lead.call.due
            when = "now" if due is None or due <= now else f"{due:%Y-%m-%d %H:%M}"
            tries = str(lead.tried.attempts)
            where = f"{lead.connection}: {lead.lead_id}"
            marks = [", ".join(map(str, lead.flags))] if flagged else []
            made.add_row(where, lead.name, f"{lead.score:f}", lead.tier or "", when, tries, *marks)
        out().print(made)
    if not to_call:
        say("nobody is to be called")
    others = [lead for lead in wanted if lead.call.due is None]
    if others:
        made = table(f"\ndo not call: {len(others)}", "lead", "who", "why")
        for lead in others[:limit]:
            made.add_row(f"{lead.connection}: {lead.lead_id}", lead.name, lead.call.not_called)
        out().print(made)
