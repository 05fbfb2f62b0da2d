"""What is suspicious in the configured models, in itself and by what the facts say."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from connectors.base import Problem
from core.facts import LEADS
from core.findings import Finding
from core.known import Facts
from core.lint import fired, silent, unscored
from core.past import Past
from core.persons import shared
from core.rules import Model
from core.scoring import score
from core.segments import shares
from core.unmapped import Mapped
from sync.decide import facts_of, past_of
from sync.lint import addressed, in_itself
from sync.model_file import Salvage
from sync.session import Session


def suspicions(session: Session, models: Sequence[Salvage], fields: Mapped) -> list[Problem]:
    """Every finding of `core.lint` about the models of a session, in their files, and about the
    facts there are; `fields` are those that the connections fill."""
    at = session.clock().replace(microsecond=0)
    past = past_of(session.ledger, session.config.routing, at, session.segments)
    facts = shared(session.config.identity, facts_of(session.facts, at), at)
    parts, _rest = shares(session.segments, facts, at, past)
    known = any(session.facts.counts(name)[LEADS.name] for name in session.config.connections)
    problems: list[Problem] = []
    for found, facts in zip(models, parts, strict=True):
        model = found.whole
        findings = list(in_itself(session.config, fields, model))
        findings += _in_facts(model, facts, at, past) if known else ()
        problems += addressed(findings, found.address)
    return problems


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
