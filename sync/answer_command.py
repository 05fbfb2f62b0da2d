"""The command by which sales says what it makes of a lead that it was handed."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from core.past import Answer
from core.stages import Stage
from sync.command import DEFAULT_CONFIG, AsJson, ConfigPath, outside_of, settings
from sync.terminal import say, show
from sync.yaml_source import ConfigError

if TYPE_CHECKING:
    from sync.config import Config
    from sync.ledger import Ledger

SECOND = timedelta(seconds=1)


def answer(
    ctx: typer.Context,
    lead: Annotated[str | None, typer.Argument(help="The lead's record id in its CRM.")] = None,
    accept: Annotated[
        bool | None, typer.Option("--accept/--reject", help="What sales makes of the lead.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; shown by explain and in the dossier.")] = "",
    by: Annotated[str, typer.Option(help="Who says so.")] = "",
    connection: Annotated[
        str | None, typer.Option(help="The connection, where several have a lead of this id.")
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="List all answers, of the lead if one is named.")
    ] = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Accept or reject a lead that was handed to sales, or is SQL pending. It is kept beside what
    leadgauge decided, and changes no score; an SQL pending lead that is accepted is an SQL from the
    next cycle on. A rejected lead is in no call list until it is handed off anew."""
    from sync.ledger import Ledger

    loaded = settings(ctx, config)
    with Ledger(loaded.ledger) as ledger:
        if listing:
            _list([a for a in ledger.answers.all() if lead in (None, a.lead_id)], as_json)
            return
        if lead is None:
            raise ConfigError(["name a lead, or ask for --list"])
        problems = _problems(loaded, accept, reason.strip(), by.strip())
        if problems:
            raise ConfigError(problems)
        where, cycle = _asked(ledger, lead, connection)
        decided = ledger.decisions(where, lead)[-1].decision
        ledger.answers.say(
            Answer(
                where,
                lead,
                cycle,
                bool(accept),
                reason.strip(),
                by.strip(),
                outside_of(ctx).clock().replace(microsecond=0),
                decided.stage,
                decided.score,
            )
        )
        what = "accepted" if accept else "rejected"
        say(f"{where}: {lead}: {what}, beside stage {decided.stage or 'none'}")


def _problems(loaded: "Config", accept: bool | None, reason: str, by: str) -> list[str]:
    """What is missing, or is not what was agreed on."""
    problems = []
    reasons = loaded.handoff.reasons if loaded.handoff else ()
    if accept is None:
        problems.append("say --accept or --reject")
    elif not accept and not reason:
        problems.append("say why it is rejected: --reason TEXT")
    elif not accept and reasons and reason not in reasons:
        listed = ", ".join(reasons)
        problems.append(f"--reason {reason} is not one of handoff.reasons: {listed}")
    if not by:
        problems.append("say who says so: --by WHO")
    return problems


def _asked(ledger: "Ledger", lead: str, connection: str | None) -> tuple[str, int]:
    """The connection and the cycle in which sales was handed a lead last, or is waited for.

    Raises ConfigError where neither is so, or it is not sure."""
    found = {h.connection: h.cycle for h in reversed(ledger.past.handoffs()) if h.lead_id == lead}
    for name in ledger.past.connections_of(lead):
        decided = ledger.decisions(name, lead)[-1].decision
        if decided.stage == Stage.SQL_PENDING:
            # The past of an instant is what was decided before it.
            found[name] = ledger.past.history(name, lead, decided.scored_at + SECOND).mqls
    found = {name: cycle for name, cycle in found.items() if connection in (None, name)}
    if not found:
        place = f" in {connection}" if connection else ""
        raise ConfigError(
            [f"lead {lead} was never handed to sales{place}, nor is it SQL pending: check the id"]
        )
    if len(found) > 1:
        raise ConfigError([f"several connections have a lead {lead}: say --connection"])
    return found.popitem()


def _list(found: list[Answer], as_json: bool) -> None:
    from sync.show import out, table

    if as_json:
        show([vars(said) for said in found])
        return
    made = table("what sales said, newest first", "lead", "cycle>", "sales", "leadgauge", "at")
    for said in reversed(found):
        lead = f"{said.connection}: {said.lead_id}"
        made.add_row(lead, str(said.cycle), str(said), said.machine, f"{said.at:%Y-%m-%d %H:%M}")
    out().print(made)
