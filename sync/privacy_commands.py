"""The commands for the rights of the people in the facts: what is held, erasure, and export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sync.command import DEFAULT_CONFIG, AsJson, ConfigPath, confirmed, opened, outside_of
from sync.terminal import say, show
from sync.yaml_source import ConfigError

if TYPE_CHECKING:
    from sync.ledger_people import Record
    from sync.session import Session

Person = Annotated[
    str, typer.Argument(help="Record id or e-mail address of the person, in any CRM.")
]


def subject(
    ctx: typer.Context, person: Person, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False
) -> None:
    """Everything that is held about a person: in all its records, versions, acts and decisions."""
    from sync.show import out, table

    with opened(ctx, config) as session:
        records = _records(session, person)
        held = {
            "facts": session.facts.people.held(records),
            "ledger": session.ledger.people.held(records),
        }
    if as_json:
        show({"records": records, **held})
        return
    for store, tables in held.items():
        for name, rows in tables.items():
            made = table(f"{store}: {name}", "row", "field", "value")
            for number, row in enumerate(rows, 1):
                for field, value in row.items():
                    if value not in (None, ""):
                        made.add_row(str(number), field, str(value))
            out().print(made)


def erase(
    ctx: typer.Context,
    person: Person,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Erase without asking.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Even while a CRM still has the person.")
    ] = False,
    config: ConfigPath = DEFAULT_CONFIG,
) -> None:
    """Erase a person from the facts and the ledger, once no CRM has it. What owners were given in
    all stays counted, and the audit chain stays whole."""
    from sync.lease import Lease

    with opened(ctx, config) as session, Lease(session.ledger, session.clock):
        records = _records(session, person)
        living = session.facts.people.living(records)
        if living and not anyway:
            raise ConfigError(
                [
                    f"{connection}: {id_}: the CRM still shows this record, so it would come back: "
                    "delete it there, `leadgauge sync`, and erase it then (or now: --anyway)"
                    for connection, id_ in living
                ]
            )
        for connection, id_ in records:
            typer.echo(f"{connection}: {id_}")
        if not yes:
            confirmed(f"Erase {len(records)} records?")
        # The ledger first: killed in between, the facts still know whom to erase.
        now, ledger = session.clock(), session.ledger.people
        counts = ledger.erase(records, by=outside_of(ctx).account, at=now)
        ledger.scrub()
        session.facts.people.erase(records, now)
    rows = sum(counts.values())
    say(f"erased {len(records)} records of a person, and {rows} rows of the ledger about them")


def export(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to write; made if it is not there.")],
    anonymise: Annotated[
        bool,
        typer.Option("--anonymise", help="Without anything personal, ids salted and hashed."),
    ] = False,
    config: ConfigPath = DEFAULT_CONFIG,
) -> None:
    """Everything as Parquet files: the facts in all their versions, and what was decided."""
    from sync.export import export as write

    with opened(ctx, config) as session:
        salt = session.config.export_salt if anonymise else None
        if anonymise and salt is None:
            raise ConfigError(
                [
                    "--anonymise needs `export_salt` in the configuration: a long random text, as "
                    "${EXPORT_SALT}; ids are the same in all exports with one salt"
                ]
            )
        for name, rows in write(session, folder, salt.get_secret_value() if salt else None).items():
            say(f"{folder / name}.parquet: {rows:,} rows")


def _records(session: "Session", person: str) -> "list[Record]":
    """The records of a person. Raises ConfigError where there are none.

    Facts that were pulled again do not know who was removed before; the ledger knows their ids.
    """
    if not person.strip():
        raise ConfigError(["say whom: a record id or an e-mail address"])
    people, identity = session.facts.people, session.config.identity
    records = people.records(person, identity) or session.ledger.people.records(person)
    if not records:
        raise ConfigError([f"nothing is held of {_kind(person)}: check it, in every CRM"])
    return records


def _kind(person: str) -> str:
    """What was asked for, without repeating an address."""
    return "this e-mail address" if "@" in person else f"record {person}"
