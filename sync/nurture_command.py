"""The commands about leads that are not ready for sales: their tracks, and audiences."""

from dataclasses import asdict, fields
from typing import Annotated

import typer

from sync.command import DEFAULT_CONFIG, AsJson, ConfigPath, Only, opened, outside_of
from sync.terminal import csv_rows, say, show
from sync.yaml_source import ConfigError


def nurture(
    ctx: typer.Context,
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=0, help="How many leads to list.")] = 20,
) -> None:
    """Leads that are not ready: the track each is on, why, and when its next step is due."""
    from sync.nurture import nurtured
    from sync.show import out, table

    with opened(ctx, config, only) as session:
        settings = session.config.nurture
        if settings is None or not settings.tracks:
            raise ConfigError(["no track is configured: name them under `nurture`"])
        found = nurtured(session, outside_of(ctx).clock())
    if as_json:
        show([asdict(lead) for lead in found])
        return
    made = table(f"{len(found)} leads are nurtured", "lead", "track", "why", "step>", "due")
    for lead in found[:limit]:
        due = f"{lead.next_step:%Y-%m-%d %H:%M}" if lead.next_step else "done"
        where = f"{lead.connection}: {lead.lead_id}"
        made.add_row(where, lead.track, lead.reason, str(lead.step), due)
    out().print(made)


def audience(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the audience in the configuration.")],
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    as_json: AsJson = False,
) -> None:
    """The leads of an audience as CSV, with score, tier and stage: only those who may be
    reached."""
    from sync.nurture import Member, members

    with opened(ctx, config, only) as session:
        settings = session.config.nurture
        known = {each.name: each for each in settings.audiences} if settings else {}
        if name not in known:
            raise ConfigError(
                [f"no audience is called {name} (there are: {', '.join(known) or 'none'})"]
            )
        found = members(session, known[name], outside_of(ctx).clock())
    if as_json:
        show([asdict(member) for member in found])
        return
    put = csv_rows([each.name for each in fields(Member)])
    for member in found:
        put(asdict(member))
    say(f"{name}: {len(found)} leads")
