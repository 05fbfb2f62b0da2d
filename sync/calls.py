"""The call list: of every owner's leads whom to call, in order, and whom not to call, and why.

It rests on what the last cycle decided, and on the calls that the CRM has logged; flags are what
the models say now.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from ibis import _
from ibis.expr.types import Table

from core.calls import Call, Tried, active, attempts, call
from core.decision import UNIT, Output
from core.events import settled
from core.facts import as_of
from core.flags import Flag, flagging, flags
from core.known import Facts, inherited, known_columns
from core.persons import of_persons, shared
from core.routing import NEVER
from core.verdict import KEY, judge
from sync.decide import facts_of, past_of
from sync.handoff_settings import Handoff
from sync.session import Session

NOBODY = "nobody"
"""The owner of leads that nobody has."""


@dataclass(frozen=True)
class Listed:
    """A lead, whose it is (an owner's name), when it was `active_at` last, when it is to be called,
    and what flags it."""

    connection: str
    lead_id: str
    name: str
    owner: str
    score: Decimal
    tier: str | None
    stage: str | None
    probability: Decimal | None
    tried: Tried
    call: Call
    rejected: bool
    active_at: datetime
    flags: tuple[Flag, ...]


def listed(session: Session, at: datetime) -> list[Listed]:
    """All leads of all connections, a person of several records once: those to call first, by owner
    and then in the order of who is due, best score first, of equal ones who did something last;
    those not to call last."""
    handoff = session.config.handoff or Handoff()
    known = shared(session.config.identity, facts_of(session.facts, at), at)
    heirs = inherited(known, at)
    events = settled(known.activities, heirs, at)
    answered = {outcome.strip().lower() for outcome in handoff.answered}
    tried = {
        (row["connection"], row["lead_id"]): Tried(row["attempts"], row["last"])
        for row in attempts(events, answered).to_pyarrow().to_pylist()
    }
    lately = {
        (row["connection"], row["lead_id"]): row["active_at"]
        for row in active(events).to_pyarrow().to_pylist()
    }
    apart, flagged = _champions(session, known, at), _flagged(session, known, at)
    found = []
    for connection in session.connectors:
        people = _people(session, connection, at)
        rejected = session.ledger.answers.rejected(connection)
        for row in session.ledger.past.standing(connection):
            if person := people.get(row["lead_id"]):
                touched = tried.get((connection, row["lead_id"]), Tried())
                answer = rejected.get(row["lead_id"])
                state = row["stage"], row["tier"], row["since"]
                decided = row["tier"], row["stage"], row["probability"]
                champion = (connection, row["lead_id"]) in apart
                due = call(*state, touched, handoff.cadences, answer, champion=champion)
                score = Decimal(row["score"]) / UNIT
                lead = (connection, row["lead_id"], *person, score, *decided)
                when = lately.get((connection, row["lead_id"]), NEVER)
                marks = flagged.get((connection, row["lead_id"]), ())
                found.append(Listed(*lead, touched, due, answer is not None, when, marks))
    once = _each_once(found, known.persons, session.config.precedence)
    return sorted(once, key=lambda lead: _place(lead, at))


def _flagged(
    session: Session, facts: Facts, at: datetime
) -> Mapping[tuple[str, str], tuple[Flag, ...]]:
    """The flags of each lead that has any, as of now; nothing is scored where no model has one."""
    models = {s.model.label: s.model for s in session.segments if flagging(s.model)}
    if not models:
        return {}
    past = past_of(session.ledger, None, at, session.segments)
    judged = judge(session.segments, facts, at, past)
    rules = {rule for model in models.values() for rule in flagging(model)}
    lines = judged.contributions.filter(_.rule.isin(sorted(rules)))
    rows = lines.inner_join(judged.verdicts.select(*KEY, "model"), KEY).to_pyarrow().to_pylist()
    found: defaultdict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["connection"], row["lead_id"], row["model"]].append(row)
    return {
        (connection, lead_id): flags(models[label], own)
        for (connection, lead_id, label), own in found.items()
        if label in models
    }


def _champions(session: Session, facts: Facts, at: datetime) -> set[tuple[str, str]]:
    """The records of champions, whom routing keeps apart from leads."""
    when = session.config.routing.champions if session.config.routing else None
    if when is None:
        return set()
    wide = known_columns(when.columns(), facts, at, session.ledger.past.before(at))
    rows = of_persons(wide.filter(when.holds(wide)), facts).to_pyarrow().to_pylist()
    return {(row["connection"], row["lead_id"]) for row in rows}


def _each_once(
    leads: Iterable[Listed], persons: Table | None, order: Sequence[str]
) -> Iterator[Listed]:
    """Of several records of a person one: that which sales rejected, as none is called then; else
    one to call, the first by the order in which connections speak for a person."""
    rows = [] if persons is None else persons.to_pyarrow().to_pylist()
    whose = {(row["connection"], row["lead_id"]): row["person"] for row in rows}
    found: dict[str | tuple[str, str], Listed] = {}

    def rank(lead: Listed) -> tuple[bool, bool, int, str]:
        return not lead.rejected, not lead.call.due, order.index(lead.connection), lead.lead_id

    for lead in leads:
        key = (lead.connection, lead.lead_id)
        person = whose.get(key, key)
        found[person] = min(lead, found.get(person, lead), key=rank)
    yield from found.values()


def _place(lead: Listed, at: datetime) -> tuple[Any, ...]:
    """Who is due comes first, best score first, of equal ones who did something last; then who is
    due next."""
    due = lead.call.due
    rank = (-lead.score, at - lead.active_at, lead.connection, lead.lead_id)
    return (due is None, lead.owner, max(due, at) if due else at, *rank)


def _people(session: Session, connection: str, at: datetime) -> dict[str, tuple[str, str]]:
    """The name of each lead there is now, and of its owner."""
    mine = _.connection == connection
    owners = session.facts.table("owners").filter(mine).to_pyarrow().to_pylist()
    names = {owner["id"]: owner["name"] or owner["id"] for owner in owners}
    leads = as_of(session.facts.table("leads"), at).filter(mine)
    columns = leads.select(
        "id", "first_name", "last_name", "company",
        owner=_.present.get(Output.OWNER.value).coalesce(_.owner_id),
    )  # fmt: skip
    found = {}
    for row in columns.to_pyarrow().to_pylist():
        name = " ".join(filter(None, (row["first_name"], row["last_name"]))) or row["id"]
        firm = f", {row['company']}" if row["company"] else ""
        owner = row["owner"] or NOBODY
        found[row["id"]] = (name + firm, names.get(owner, owner))
    return found
