"""What is suspicious in the models, with its place in their files, and what the facts say to it."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from connectors.base import Connector, Problem
from connectors.countries import country_code
from connectors.mapping import filled
from core.facts import SCORED
from core.findings import Finding
from core.lint import fired, lint, silent, unscored
from core.past import Past
from core.persons import shared
from core.rules import Model
from core.scoring import Facts, score
from core.segments import shares
from core.unmapped import Mapped, missing, unmapped
from core.vocabulary import CLOSED, Words
from sync.config import Config
from sync.decide import facts_of, past_of
from sync.session import Session
from sync.yaml_source import placed_yaml


def suspicions(session: Session) -> list[Problem]:
    """Every finding of `core.lint` about the configured models, and about the facts there are."""
    at = session.clock().replace(microsecond=0)
    fields = mapped(session.config, session.connectors)
    past = past_of(session.ledger, session.config.routing, at, session.segments)
    facts = shared(session.config.identity, facts_of(session.facts, at), at)
    parts, _rest = shares(session.segments, facts, at, past)
    problems = _unknown_segments(session.config, fields)
    for file, facts in zip(session.config.model, parts, strict=True):
        model, address = placed_yaml(file.model, Model, {})
        findings = [*in_itself(session.config, fields, model), *_in_facts(model, facts, at, past)]
        problems += [Problem(f.severity, address(f.place), f.what, f.advice) for f in findings]
    return problems


def in_itself(config: Config, fields: Mapped, model: Model) -> list[Finding]:
    """What is suspicious in a model, whatever the facts are; `fields` are those that are filled."""
    return [*lint(model, _words(config)), *unmapped(model, fields)]


def _words(config: Config) -> Words:
    """What the mappings say of the words in facts."""
    mappings = [connection.mapping for connection in config.connections.values()]
    own = {name for m in mappings for name, to in {**m.accounts, **m.leads}.items() if to}
    types = {type_ for m in mappings for type_ in m.activity_types.values()}
    own = own & CLOSED.keys() | ({"type"} if any(len(t.split()) > 1 for t in types) else set())
    return Words(country_code, own)


def _in_facts(model: Model, facts: Facts, at: datetime, past: Past | None) -> Iterator[Finding]:
    """What the leads that a model is for, and their activities, say to it."""
    names = fired(score(model, facts, at, past)).rule.to_pyarrow().to_pylist()
    if names:
        yield from silent(model, set(names))
    for row in unscored(model, facts.activities).to_pyarrow().to_pylist():
        yield Finding(
            "warning",
            ("behaviour",),
            f"no rule scores {row['type']}, seen {row['events']} times",
            "Give it at least a small value, or let it be.",
        )


def _unknown_segments(config: Config, fields: Mapped) -> list[Problem]:
    """Conditions on which no lead can be told to belong to a model."""
    return [
        Problem(
            "error",
            f"model[{number}].when",
            f"it asks for {column}, which no connection maps",
            "Map it under `mapping` of a connection, or remove the condition.",
        )
        for number, file in enumerate(config.model)
        if file.when is not None
        for column in missing(file.when, fields)
    ]


def mapped(config: Config, connectors: Mapping[str, Connector]) -> dict[str, set[str]]:
    """The fields of each facts table that some connection fills: what its connector does by
    itself, with what its mapping adds and leaves out.

    One that is mapped to several sources has an origin as well.
    """
    fields: dict[str, set[str]] = {table.name: set() for table in SCORED}
    for name, connector in connectors.items():
        for table in SCORED:
            given = getattr(config.connections[name].mapping, table.name)
            left_out = {field for field, to in given.items() if to is None}
            by_itself = connector.capabilities.fills.get(table.name, frozenset())
            named = filled(table.model, {*by_itself, *given} - left_out)
            several = {f"origins.{field}" for field, to in given.items() if isinstance(to, tuple)}
            fields[table.name] |= named | several
    return fields
