"""Which leads a run decides about: all, or those that a change or the passing of time can affect.

A complete run leaves a mark at each connection: as of when it decided, and a hash of everything
but the facts that its decisions and their comparison with the CRM rest on. While that is the
same, a run takes the leads whose facts changed since, those for which time has passed a boundary
of the model (`core.due`), and those that the CRM refused. All others would come out as before.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import Table

from core.affected import AFFECTED, CHANGED, affected
from core.cleaning import hygiene_of
from core.conditions import LeadCondition
from core.decay import DAY
from core.due import Span, due, foreseen
from core.facts import LEADS, as_of
from core.identity import Identity
from core.known import Facts
from core.past import Past
from core.roster import Roster
from core.segments import Segments
from sync.decide import facts_of, together
from sync.facts_store import FactsStore
from sync.plan import ConnectionPlan
from sync.roster import colleagues
from sync.session import Session
from sync.touched import Mark


@dataclass(frozen=True)
class Selection:
    """The leads that a run decides about at one connection.

    `leads`: connection, lead_id; None: all of them. `mark` is to be left once all is written.
    """

    connection: str
    leads: Table | None
    mark: Mark


def select(
    session: Session,
    planned: ConnectionPlan,
    roster: Roster | None,
    at: datetime,
    past: Past | None,
    *,
    run_id: str,
    full: bool,
) -> Selection:
    """What a run as of `at` must decide about at the connection of a plan that is still empty."""
    name = planned.connection
    mark = Mark(at, _signature(session, planned, roster), run_id)
    last = session.facts.touched.mark(name)
    placed = _placed(session)
    models = [segment.model for segment in session.segments]
    cleaning = hygiene_of(session.segments)
    hygiene = cleaning.hygiene if cleaning else None
    sure = (
        not full
        and last is not None
        and last.signature == mark.signature
        and last.decided_at <= at
        and session.ledger.has_run(last.run_id)
        and _in_step(session, last)
        and foreseen(*models, *placed)
    )
    if not sure:
        return Selection(name, None, mark)
    assert last is not None
    stored = _of_connection(session.facts, name)
    # A day more: a person's clock and the CRM's may differ.
    spoken = session.ledger.past.overridden_between(last.decided_at - DAY, at)
    spoken |= session.ledger.answers.between(last.decided_at - DAY, at)
    ids = {lead_id for connection, lead_id in spoken if connection == name}
    ids |= {entry.record_id for entry in session.ledger.quarantine(name)}
    ids |= session.ledger.held.lapsed_between(name, last.decided_at, at)
    ids |= _to_route(session, name, roster, at)
    open_ = [{"connection": name, "table_name": LEADS.name, "id": id_} for id_ in sorted(ids)]
    changed = ibis.union(
        session.facts.table("touched").filter(_.connection == name).cast(CHANGED),
        *(due(model, stored, Span(last.decided_at, at), placed, past, hygiene) for model in models),
        ibis.memtable(pa.Table.from_pylist(open_, CHANGED.to_pyarrow())),
        distinct=True,
    )
    facts = facts_of(session.facts, at)
    return Selection(name, affected(changed, facts, at), mark)


@contextmanager
def chosen(
    store: FactsStore,
    selections: Iterable[Selection],
    at: datetime,
    segments: Segments,
    identity: Identity | None = None,
) -> Iterator[Table | None]:
    """The leads of all selections, in a table of their own for so long; None: all there are.

    Whoever is decided about `together` with them is among them. With `identity`, where all of one
    connection are to be decided about, all of every connection are: whom its removed records were
    kin of, nobody noted.
    """
    found = list(selections)
    whole = [selection.leads is None for selection in found]
    if all(whole) or (identity and any(whole)):
        yield None
        return
    # As nullable as what `affected` names: Ibis joins no others to it.
    every = as_of(store.table(LEADS.name), at).select("connection", lead_id="id").cast(AFFECTED)
    parts = [
        every.filter(_.connection == selection.connection)
        if selection.leads is None
        else selection.leads
        for selection in found
    ]
    mine = ibis.union(*parts)
    with together(identity, segments, facts_of(store, at), mine, at) as leads:
        yield leads


def _in_step(session: Session, last: Mark) -> bool:
    """Whether a connection may go by its own mark. Where persons have records in several, only if
    all of them are in this run and were in the last: what changed in one moves the others."""
    names = session.config.connections
    marks = (session.facts.touched.mark(name) for name in names)
    return not session.config.identity or (
        set(session.connectors) == set(names)
        and all(mark is not None and mark.run_id == last.run_id for mark in marks)
    )


def _signature(session: Session, planned: ConnectionPlan, roster: Roster | None) -> str:
    """A hash of all but the facts that decisions and their comparison with the CRM rest on."""
    routing, identity = session.config.routing, session.config.identity
    said: dict[str, Any] = {
        "leadgauge": version("leadgauge"),
        "models": [
            (s.model.label, s.when and s.when.model_dump(mode="json", by_alias=True))
            for s in session.segments
        ],
        "identity": identity.model_dump(mode="json") if identity else None,
        "owners": _owners(session),
        "routing": routing.model_dump(mode="json", by_alias=True) if routing else None,
        "roster": asdict(roster) if roster else None,
        "fields": planned.fields,
        "policies": dict(planned.policies),
        "holds": str(session.config.connections[planned.connection].holds()),
    }
    text = json.dumps(said, sort_keys=True, default=_as_text)
    return hashlib.sha256(text.encode()).hexdigest()


def _owners(session: Session) -> Any:
    """What owners of a person's other records are told by, and which record counts first."""
    config = session.config
    if not (config.identity and config.routing):
        return None
    return config.precedence, sorted(colleagues(config.routing, session.facts).items())


def _as_text(value: Any) -> Any:
    return sorted(value, key=str) if isinstance(value, Set) else str(value)


def _to_route(session: Session, name: str, roster: Roster | None, at: datetime) -> set[str]:
    """The leads that may get another owner though nothing about them changed: those that wait,
    and those that were not called in time."""
    if roster is None:
        return set()
    found = {waiting.lead_id for waiting in session.ledger.routing.waiting(name)}
    if roster.sla is not None and roster.sla.reassign:
        late = session.ledger.timers.overdue(name, roster.stages, at)
        found |= {timer.lead_id for timer in late}
    return found


def _placed(session: Session) -> list[LeadCondition]:
    """The conditions by which leads are placed in territories and with models."""
    routing = session.config.routing
    placed = routing.conditions if routing else []
    return placed + [segment.when for segment in session.segments if segment.when is not None]


def _of_connection(store: FactsStore, name: str) -> Facts:
    """What is stored of one connection, in all versions."""
    tables = ("leads", "accounts", "activities", "aliases")
    return Facts(*(store.table(table).filter(_.connection == name) for table in tables))
