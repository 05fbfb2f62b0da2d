"""The command by which sales says what it makes of a lead that it was handed."""

from typing import TYPE_CHECKING, Annotated

import typer

from core.past import Answer
from sync.command import DEFAULT_CONFIG, AsJson, ConfigPath, outside_of, settings
from sync.terminal import say, show
from sync.yaml_source import ConfigError

if TYPE_CHECKING:
    from sync.config import Config
    from sync.ledger import Ledger
    from sync.ledger_past import Handoff


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
    """Accept or reject a lead that was handed to sales. It is kept beside what leadgauge decided,
    and changes neither score nor stage; a rejected lead is in no call list until it is handed off
    anew."""
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
        handed = _handed(ledger, lead, connection)
        decided = ledger.decisions(handed.connection, lead)[-1].decision
        ledger.answers.say(
            Answer(
                handed.connection,
                lead,
                handed.cycle,
                bool(accept),
                reason.strip(),
                by.strip(),
                outside_of(ctx).clock().replace(microsecond=0),
                decided.stage,
                decided.score,
            )
        )
        what = "accepted" if accept else "rejected"
        say(f"{handed.connection}: {lead}: {what}, beside stage {decided.stage or 'none'}")


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


def _handed(ledger: "Ledger", lead: str, connection: str | None) -> "Handoff":
    """The latest hand-off of a lead. Raises ConfigError where there is none, or it is not sure."""
    found = [h for h in ledger.past.handoffs() if h.lead_id == lead]
    found = [h for h in found if connection in (None, h.connection)]
    if not found:
        place = f" in {connection}" if connection else ""
        raise ConfigError([f"lead {lead} was never handed to sales{place}: check the id"])
    if len({h.connection for h in found}) > 1:
        raise ConfigError([f"several connections have a lead {lead}: say --connection"])
    return found[0]


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
