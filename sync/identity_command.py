"""The command that shows who is one person across the connections, and why."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from sync.command import DEFAULT_CONFIG, AsJson, ConfigPath, opened, outside_of
from sync.terminal import say, show
from sync.yaml_source import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from sync.identity import Found


def identity(
    ctx: typer.Context,
    config: ConfigPath = DEFAULT_CONFIG,
    limit: Annotated[int, typer.Option(min=0, help="Rows of each list that are shown.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Which records are one person; who claims what another claims; who is alike, people and
    accounts, and is joined by nothing."""
    from sync.decide import facts_of
    from sync.identity import find
    from sync.show import out

    with opened(ctx, config) as session:
        section = session.config.identity
        if section is None:
            raise ConfigError(
                ["the configuration has no `identity:` section: every record is its own person"]
            )
        at = outside_of(ctx).clock().replace(microsecond=0)
        found = find(section, facts_of(session.facts, at), at)
    if as_json:
        show(asdict(found))
        return
    for made in _tables(found, limit):
        out().print(made)
    say(
        f"{len(found.persons)} persons, {len(found.claims)} claims, {len(found.proposals)} alike, "
        f"{len(found.accounts)} accounts alike"
    )


def _tables(found: "Found", limit: int) -> "Iterator[Table]":
    """Each list as a table, as far as it has anything."""
    from sync.show import table

    persons = table(f"one person: {len(found.persons)}", "records", "by")
    for person in found.persons[:limit]:
        persons.add_row("\n".join(map(str, person.records)), ", ".join(person.by))
    claims = table(f"\nnot joined, because it is not clear: {len(found.claims)}", "why")
    for claim in found.claims[:limit]:
        claims.add_row(str(claim))
    alike = table(f"\nalike, and joined by nothing: {len(found.proposals)}", "one", "other", "by")
    for pair in found.proposals[:limit]:
        alike.add_row(str(pair.one), str(pair.other), pair.because)
    title = f"\naccounts alike, and joined by nothing: {len(found.accounts)}"
    firms = table(title, "one", "other", "by")
    for pair in found.accounts[:limit]:
        firms.add_row(str(pair.one), str(pair.other), pair.because)
    yield from (made for made in (persons, claims, alike, firms) if made.rows)
