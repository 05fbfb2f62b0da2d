"""The command that finds the leads that nobody works, and says why a lead is whose it is."""

from typing import TYPE_CHECKING, Annotated

import typer

from sync.command import DEFAULT_CONFIG, AsJson, ConfigPath, Only, ends, opened
from sync.exits import Exit
from sync.terminal import say, show
from sync.yaml_source import ConfigError

if TYPE_CHECKING:
    from sync.session import Session


def audit_routing(
    ctx: typer.Context,
    lead: Annotated[
        str | None,
        typer.Argument(help="Say of this lead (its record id) to whom it was given, and why."),
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    limit: Annotated[int, typer.Option(min=0, help="How many leads to list.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Leads that nobody works: of owners who are gone, in dead queues, not called in time, or
    waiting. With a lead: each owner it was given to, and what everybody in the pool had then; and
    when a person chose another."""
    with opened(ctx, config, only) as session:
        if lead is None:
            _find(session, limit, as_json)
        else:
            _explain(session, lead, as_json)


def _explain(session: "Session", lead: str, as_json: bool) -> None:
    from sync import show_routing as text
    from sync.fairness import way
    from sync.show import out

    now = session.clock().replace(microsecond=0)
    found = way(session, lead, now)
    if not found.known:
        raise ConfigError([f"routing never had to do with {lead}: check the id"])
    if as_json:
        show(found.as_dict(now))
        return
    for table in text.way(found, now):
        out().print(table)


def _find(session: "Session", limit: int, as_json: bool) -> None:
    from sync import show_routing as text
    from sync.orphans import orphans
    from sync.show import out

    now = session.clock().replace(microsecond=0)
    lost, timers = orphans(session, now), session.ledger.timers.all()
    if as_json:
        show(text.orphans_data(lost, timers, now))
    else:
        for table in (*text.orphans(lost, limit), text.calls(timers, now)):
            out().print(table)
    if lost:
        leads = len({(one.connection, one.lead_id) for one in lost})
        say(f"{leads} leads are worked by nobody: give them an owner in the CRM, or mend `routing`")
        ends(Exit.ORPHANS)
    say("audit-routing: every lead is with somebody who can work it")
