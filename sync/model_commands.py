"""The commands that ask what a model says: of a lead, of a date, and what a change would move."""

import csv
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from sync.command import DEFAULT_CONFIG, AsJson, ConfigPath, Only, opened, outside_of
from sync.guards import Team
from sync.terminal import say, show
from sync.yaml_source import ConfigError

Lead = Annotated[str, typer.Argument(help="The lead's record id in its CRM.")]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
        help="As of this instant in UTC (a date: its midnight), by what was known then.",
    ),
]
REPLAYED = ("connection", "object_type", "lead_id", "score", "tier", "stage", "reason", "model")


def explain(
    ctx: typer.Context,
    lead: Lead,
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Every point of one lead: rule, evidence, date, decay and cap, adding up to its score."""
    from sync import show as text
    from sync.replay import explain as find

    with opened(ctx, config, only) as session:
        found = find(session, lead, _instant(ctx, as_of))
    if not found:
        raise ConfigError([f"no lead {lead} in the facts: check the id, or run `leadgauge sync`"])
    if as_json:
        show([{**vars(decision), **asdict(explanation)} for decision, explanation in found])
        return
    for decision, explanation in found:
        for table in text.explanation(decision, explanation):
            text.out().print(table)


def replay(
    ctx: typer.Context,
    leads: Annotated[
        list[str] | None, typer.Argument(help="Record ids of leads; none: all leads.")
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    as_of: AsOf = None,
    model: Annotated[
        Path | None,
        typer.Option(help="A model file, instead of the configured one; of several, of its name."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object for each lead, instead of CSV.")
    ] = False,
) -> None:
    """Score, tier and stage of the whole base as of a date, under any model, as CSV."""
    from sync import replay as replaying
    from sync.config import replacing

    with opened(ctx, config, only) as session:
        chosen = replacing(session.segments, model) if model else session.segments
        decisions = replaying.replay(
            session.facts, chosen, _instant(ctx, as_of), session.connectors.keys(), leads or ()
        )
        table = csv.DictWriter(sys.stdout, (*REPLAYED, "scored_at"), lineterminator="\n")
        if not as_json:
            table.writeheader()
        for decision in decisions:
            row = {name: getattr(decision, name) for name in REPLAYED}
            row["score"] = f"{decision.points:f}"
            row["scored_at"] = f"{decision.scored_at:%Y-%m-%dT%H:%M:%SZ}"
            if as_json:
                typer.echo(json.dumps(row))
            else:
                table.writerow(row)


def _instant(ctx: typer.Context, as_of: datetime | None) -> datetime:
    return as_of.replace(tzinfo=UTC) if as_of else outside_of(ctx).clock()


def preview(
    ctx: typer.Context,
    model: Annotated[
        Path, typer.Argument(help="The changed model file; of several models, that of its name.")
    ],
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=0, help="How many leads to list.")] = 20,
) -> None:
    """Every lead that a changed model would move, and by which rules. Writes nothing."""
    from sync import preview as previewing
    from sync import show_model as text
    from sync.config import replacing
    from sync.show import out

    with ExitStack() as stack:
        session = stack.enter_context(opened(ctx, config, only))
        changed = replacing(session.segments, model)
        found = stack.enter_context(previewing.opened(session, changed, _instant(ctx, as_of)))
        if as_json:
            show(text.preview_data(found))
            return
        for table in text.preview(found, limit):
            out().print(table)


def sign(
    ctx: typer.Context,
    model: Annotated[Path, typer.Argument(help="The model file that the team agrees to.")],
    team: Annotated[Team, typer.Option("--as", help="The team that agrees.")],
    config: ConfigPath = DEFAULT_CONFIG,
) -> None:
    """Record that marketing or sales agrees to a model, by its content; a change needs it anew."""
    from sync.config import load, read_model
    from sync.ledger import Ledger

    chosen, outside = read_model(model), outside_of(ctx)
    with Ledger(load(config, outside.env).ledger) as ledger:
        ledger.sign(chosen, team, at=outside.clock())
        missing = [other for other in Team if other not in ledger.signed(chosen)]
    typer.echo(f"{chosen.label}: signed by {team}")
    say(f"still to sign: {', '.join(missing)}" if missing else "both teams have signed")
