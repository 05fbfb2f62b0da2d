"""What is suspicious in the model, with its place in the file, and what the facts say to it."""

from collections.abc import Iterable

from connectors.base import Problem
from connectors.settings import ConnectionSettings
from core.facts import ACCOUNTS, ACTIVITIES, LEADS
from core.findings import Finding
from core.lint import fired, lint, silent, unmapped, unscored
from core.rules import Model
from core.scoring import score
from sync.decide import facts_of, past_of
from sync.session import Session
from sync.yaml_source import placed_yaml


def suspicions(session: Session) -> list[Problem]:
    """Every finding of `core.lint` about the configured model, and about the facts there are."""
    model, address = placed_yaml(session.config.model, Model, {})
    findings = lint(model) + unmapped(model, mapped(session.config.connections.values()))
    at = session.clock().replace(microsecond=0)
    facts = facts_of(session.facts, at)
    past = past_of(session.ledger, session.config.routing, at, model)
    names = fired(score(model, facts, at, past)).rule.to_pyarrow().to_pylist()
    if names:
        findings += silent(model, set(names))
    findings += [
        Finding(
            "warning",
            ("behaviour",),
            f"no rule scores {row['type']}, seen {row['events']} times",
            "Give it at least a small value, or let it be.",
        )
        for row in unscored(model, facts.activities).to_pyarrow().to_pylist()
    ]
    return [Problem(f.severity, address(f.place), f.what, f.advice) for f in findings]


def mapped(connections: Iterable[ConnectionSettings]) -> dict[str, set[str]]:
    """The fields of each facts table that some connection fills, as its mapping says.

    A field of the common model is mapped unless the mapping leaves it out.
    """
    fields: dict[str, set[str]] = {}
    for settings in connections:
        for table in (LEADS, ACCOUNTS, ACTIVITIES):
            given = getattr(settings.mapping, table.name)
            named = {*table.model.model_fields, *given} - {n for n, v in given.items() if v is None}
            fields.setdefault(table.name, set()).update(named)
    return fields
