"""Orphans: leads that nobody works, whatever the CRM shows as their owner."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ibis import _
from ibis.expr.types import Table

from core.decision import Output
from core.facts import as_of
from core.known import known_columns
from core.roster import Pool, Roster
from sync.decide import facts_of, past_of
from sync.roster import find
from sync.session import Session


class Kind(StrEnum):
    """Why nobody works a lead, the most pressing first."""

    LATE = "not called in time"
    WAITING = "waits for an owner"
    INACTIVE = "owner is not active"
    UNKNOWN = "owner is unknown to the CRM"
    DEAD_QUEUE = "in a queue that is not served"
    UNOWNED = "nobody has it"
    UNASSIGNED = "owner counts as nobody"


@dataclass(frozen=True)
class Orphan:
    """A lead that nobody works: why, with whom it is, and since when (None: not known).

    `hot`: it is in a stage that gets an owner.
    """

    connection: str
    lead_id: str
    kind: Kind
    owner_id: str | None
    reason: str
    since: datetime | None
    hot: bool


def orphans(session: Session, at: datetime) -> list[Orphan]:
    """Every orphan as of an instant, by connection, hot ones first; one lead can be several."""
    routing = session.config.routing
    found: list[Orphan] = []
    for name, connector in session.connectors.items():
        roster = Roster(frozenset(), Pool(()))
        if routing is not None:
            roster = find(routing, session.facts, name, connector.capabilities).roster
            found += _waiting(session, name)
            found += _late(session, name, roster, at)
        found += _misplaced(session, name, roster, at)
    kinds = list(Kind)
    return sorted(found, key=lambda o: (o.connection, not o.hot, kinds.index(o.kind), o.lead_id))


def _waiting(session: Session, name: str) -> Iterator[Orphan]:
    for one in session.ledger.routing.waiting(name):
        yield Orphan(name, one.lead_id, Kind.WAITING, None, one.reason, one.since, hot=True)


def _late(session: Session, name: str, roster: Roster, at: datetime) -> Iterator[Orphan]:
    """Leads whose last timer is over: still hot, not converted, and not called by now."""
    open_ = set(_leads(session, name, at).id.to_pyarrow().to_pylist())
    for timer in session.ledger.timers.overdue(name, roster.stages, at):
        if timer.lead_id in open_:
            due = f"a call was due by {timer.due_at:%Y-%m-%d %H:%M} UTC"
            yield Orphan(
                name, timer.lead_id, Kind.LATE, timer.owner_id, due, timer.due_at, hot=True
            )


def _misplaced(session: Session, name: str, roster: Roster, at: datetime) -> Iterator[Orphan]:
    """Leads with an owner who is gone, or in a queue from which nobody takes them; and hot ones
    that are with nobody, but for those that are apart from work: waiting, or champions."""
    owners = session.facts.table("owners").filter(_.connection == name)
    known = owners.select(owner="id", kind="kind", active="active")
    rows = _leads(session, name, at).left_join(known, "owner").order_by("id")
    apart = {one.lead_id for one in session.ledger.routing.waiting(name)}
    apart |= _champions(session, name, at)
    for row in rows.to_pyarrow().to_pylist():
        hot = row["stage"] in roster.stages
        found = _fault(row, roster, unworked=hot and row["id"] not in apart)
        if found is not None:
            yield Orphan(name, row["id"], found[0], row["owner"], found[1], None, hot)


def _fault(row: Mapping[str, Any], roster: Roster, *, unworked: bool) -> tuple[Kind, str] | None:
    """What is wrong with the owner of a lead, if anything; `unworked`: it asks for one who works
    it."""
    owner = row["owner"]
    if owner is None:
        return (Kind.UNOWNED, "the CRM shows no owner") if unworked else None
    if row["kind"] is None:
        return Kind.UNKNOWN, "the CRM does not show this owner"
    if row["kind"] == "queue":
        served = any(owner == share.owner_id for pool in roster.pools for share in pool.shares)
        if unworked and not served:
            return Kind.DEAD_QUEUE, "the queue is in no pool"
        return None if row["active"] else (Kind.DEAD_QUEUE, "the queue is gone")
    if not row["active"]:
        return Kind.INACTIVE, "the owner is not active any more"
    if unworked and owner in roster.unassigned:
        return Kind.UNASSIGNED, "the owner is one of `unassigned_owners`"
    return None


def _champions(session: Session, name: str, at: datetime) -> set[str]:
    """The leads that are kept apart from reps."""
    routing = session.config.routing
    when = routing.champions if routing else None
    if when is None:
        return set()
    past = past_of(session.ledger, routing, at, session.segments)
    wide = known_columns(when.columns(), facts_of(session.facts, at), at, past)
    apart = wide.filter(_.connection == name, when.holds(wide))
    return set(apart.lead_id.to_pyarrow().to_pylist())


def _leads(session: Session, name: str, at: datetime) -> Table:
    """The leads of a connection that are not converted: id, stage and owner as the CRM shows."""
    leads = as_of(session.facts.table("leads"), at)
    return leads.filter(_.connection == name, _.converted_at.isnull()).select(
        "id",
        stage=_.present.get(Output.STAGE.value),
        owner=_.present.get(Output.OWNER.value).coalesce(_.owner_id),
    )
