"""Thresholds proposed for each model from what became of its leads."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from core.critical import customers
from core.rules import Model
from core.stages import UNSCORED
from core.thresholds import Candidate, candidates, suggested
from sync.decide import facts_of, past_of, with_gone
from sync.replay import replay
from sync.session import Session

Key = tuple[str, str]
"""Connection and id of a lead."""


@dataclass(frozen=True)
class Judged:
    """A lead's score, in units, by a model: of a customer as it was before it became one, or
    `late`, where nothing is held from that time, as it is now."""

    model: str
    score: int
    customer: bool = False
    late: bool = False


@dataclass(frozen=True)
class Proposal:
    """What could be a model's threshold, and which is suggested; `leads` are those that it scores,
    and `late` of their `customers` count by their present score."""

    model: Model
    leads: int
    customers: int
    late: int
    candidates: list[Candidate]
    suggested: Candidate | None


def proposals(session: Session, at: datetime, share: Decimal) -> list[Proposal]:
    """What is proposed as of `at` for each model, to catch a `share` of the customers."""
    found = list(_judged(session, at))
    models = [segment.model for segment in session.segments]
    return [_proposal(m, [one for one in found if one.model == m.label], share) for m in models]


def _proposal(model: Model, mine: Sequence[Judged], share: Decimal) -> Proposal:
    won = sum(one.customer for one in mine)
    late = sum(one.late for one in mine)
    present = (model.thresholds.mql, model.thresholds.sql)
    table = candidates(((one.score, one.customer) for one in mine), present)
    best = suggested(table, len(mine), won, share)
    return Proposal(model, len(mine), won, late, table, best)


def _judged(session: Session, at: datetime) -> Iterator[Judged]:
    """Every lead that is scored as of `at`; a customer by what was known at the end of the day
    before it became one, so that nothing that came with the sale is in it."""

    def scores(then: datetime, leads: frozenset[str] = frozenset()) -> Iterator[tuple[Key, Judged]]:
        whole = with_gone(facts_of(session.facts, then), leads)
        past = past_of(session.ledger, None, then, session.segments, whole)
        identity, named = session.config.identity, session.connectors.keys()
        for one in replay(session.facts, session.segments, then, named, leads, past, identity):
            if one.stage not in UNSCORED:
                yield (one.connection, one.lead_id), Judged(one.model, one.score)

    facts, outcomes = facts_of(session.facts, at), session.facts.table("outcomes")
    eves: dict[datetime, set[Key]] = defaultdict(set)
    for row in customers(facts, outcomes, at).to_pyarrow().to_pylist():
        eve = row["won_at"].replace(hour=0, minute=0, second=0, microsecond=0)
        eves[eve - timedelta(seconds=1)].add((row["connection"], row["lead_id"]))
    before: dict[Key, Judged] = {}
    for eve, won in sorted(eves.items()):
        found = scores(eve, frozenset(lead_id for _connection, lead_id in won))
        before |= {key: one for key, one in found if key in won}
    everyone = set[Key]().union(*eves.values())
    for key, one in scores(at):
        if key not in everyone:
            yield one
        elif then := before.get(key):
            yield Judged(then.model, then.score, customer=True)
        else:
            yield Judged(one.model, one.score, customer=True, late=True)
