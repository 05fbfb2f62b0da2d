"""The command by which a person decides about one lead: with a reason, and until a date."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from core.past import Kind, Override
from core.points import Points
from core.stages import HELD_OUT, WITHHELD, Stage
from sync.command import DEFAULT_CONFIG, AsJson, ConfigPath, outside_of, settings
from sync.terminal import say, show
from sync.yaml_source import ConfigError

if TYPE_CHECKING:
    from sync.ledger import Ledger

Until = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
        help="When it ends by itself, in UTC (a date: its midnight).",
    ),
]


def override(
    ctx: typer.Context,
    lead: Annotated[str | None, typer.Argument(help="The lead's record id in its CRM.")] = None,
    points: Annotated[str | None, typer.Option(help="Points to add; negative: to take.")] = None,
    score: Annotated[str | None, typer.Option(help="The score it gets, in points.")] = None,
    stage: Annotated[Stage | None, typer.Option(help="The stage it gets.")] = None,
    usable: Annotated[
        bool, typer.Option("--usable", help="It is scored, whatever hygiene finds.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why, in your own words; shown by explain.")] = "",
    until: Until = None,
    by: Annotated[str, typer.Option(help="Who decides it.")] = "",
    connection: Annotated[
        str | None, typer.Option(help="The connection, where several have a lead of this id.")
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="List all there ever were, of the lead if one is named.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="End what is in force.")] = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Decide about one lead by hand: points, score, stage, or that it is usable, until a date.
    Works while a sync runs; the next cycle writes it. A new one ends the one before."""
    from sync.ledger import Ledger

    outside = outside_of(ctx)
    now = outside.clock().replace(microsecond=0)
    given = {Kind.POINTS: points, Kind.SCORE: score, Kind.STAGE: stage}
    given[Kind.USABLE] = "yes" if usable else None
    said = {kind: str(value) for kind, value in given.items() if value is not None}
    with Ledger(settings(ctx, config).ledger) as ledger:
        if listing:
            _list([o for o in ledger.past.overrides() if lead in (None, o.lead_id)], now, as_json)
            return
        if lead is None:
            raise ConfigError(["name a lead, or ask for --list"])
        where = _connection(ledger, lead, connection)
        if remove:
            if not ledger.past.remove_override(where, lead, by=by or None, at=now):
                raise ConfigError([f"no override is in force on {lead} in {where}"])
            say(f"{where}: {lead}: override removed; the next cycle scores it by the model")
            return
        problems = list(_problems(said, reason, by, until, now))
        if problems:
            raise ConfigError(problems)
        assert until is not None, "else it was a problem"
        ((kind, value),) = said.items()
        end = until.replace(tzinfo=UTC)
        made = Override(where, lead, kind, value, reason.strip(), by.strip(), now, end)
        ledger.past.override(made)
        say(f"{where}: {lead}: {made}")


def _problems(
    said: dict[Kind, str], reason: str, by: str, until: datetime | None, now: datetime
) -> list[str]:
    """What is missing, or makes no sense."""
    problems = []
    if len(said) != 1:
        problems.append("say one of --points, --score, --stage and --usable")
    for kind in {Kind.POINTS, Kind.SCORE} & said.keys():
        try:
            TypeAdapter(Points).validate_python(said[kind])
        except ValidationError as error:
            problems += [f"--{kind} {said[kind]}: {e['msg']}" for e in error.errors()]
    if said.get(Kind.STAGE) in HELD_OUT:
        problems.append(f"hygiene alone gives {said[Kind.STAGE]}: say --stage Disqualified")
    if said.get(Kind.STAGE) in WITHHELD:
        problems.append(f"the model alone gives {said[Kind.STAGE]}: say --stage Disqualified")
    if not reason.strip():
        problems.append("say why: --reason TEXT")
    if not by.strip():
        problems.append("say who decides it: --by WHO")
    if until is None:
        problems.append("say until when: --until DATE")
    elif until.replace(tzinfo=UTC) <= now:
        problems.append(f"--until {until:%Y-%m-%d %H:%M} is in the past")
    return problems


def _connection(ledger: "Ledger", lead: str, named: str | None) -> str:
    """The connection of a lead that was decided about. Raises ConfigError where none is sure."""
    found = ledger.past.connections_of(lead)
    if named is not None and named in found:
        return named
    if named is None and len(found) == 1:
        return found[0]
    if not found or named is not None:
        place = f" in {named}" if named else ""
        raise ConfigError([f"no lead {lead} was ever scored{place}: check the id"])
    raise ConfigError([f"several connections have a lead {lead}: say --connection {found[0]}, ..."])


def _list(found: Sequence[Override], now: datetime, as_json: bool) -> None:
    from sync.show import out, table

    if as_json:
        show([vars(said) for said in found])
        return
    made = table("overrides, newest first", "lead", "override", "since", "state")
    for said in reversed(found):
        since = f"{said.at:%Y-%m-%d %H:%M}"
        made.add_row(f"{said.connection}: {said.lead_id}", str(said), since, _state(said, now))
    out().print(made)


def _state(said: Override, now: datetime) -> str:
    if said.removed_at:
        return f"ended {said.removed_at:%Y-%m-%d %H:%M} by {said.removed_by or 'hand'}"
    return "in force" if said.until > now else "expired"
