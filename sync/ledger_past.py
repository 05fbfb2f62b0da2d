"""What the ledger keeps of the past that decisions rest on: stages, hand-offs and overrides.

A lead has a row of `stages` for each time its decided stage changed, so the past of any instant
can be read back. The past of an instant is what was decided *before* it: a cycle that is repeated
for the same instant decides, and records, the same again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from types import MappingProxyType
from typing import Any

import ibis
import pyarrow as pa
from ibis.expr.types import Table
from sqlalchemy import Connection, Engine, Select, delete, func, insert, select, update

from core import past
from core.decision import Decision
from core.past import Kind, Override
from core.points import units
from core.routing import CHAMPION
from core.stages import QUALIFIED
from sync.ledger_answers import accepted_by
from sync.ledger_audit import Act, Entry, append
from sync.ledger_engine import listed, upsert
from sync.ledger_handoffs import Handed, Kin, hand_off, last_stages
from sync.ledger_rows import CHUNK
from sync.ledger_schema import (
    DECISIONS,
    HANDOFFS,
    INTENTS,
    NOTICES,
    OVERRIDES,
    SCORED,
    STAGES,
    SURGES,
    TIMERS,
    UtcTime,
)


@dataclass(frozen=True)
class Handoff:
    """A lead that was handed to sales, once in its `cycle` of qualification; `follows`: the record
    of the same person that is told of in its stead, as `<connection>:<id>`."""

    connection: str
    lead_id: str
    cycle: int
    stage: str
    at: datetime
    run_id: str
    follows: str | None = None


def keep_stages(
    db: Connection,
    run_id: str,
    decisions: Sequence[Decision],
    handed: Handed,
    kin: Kin = MappingProxyType({}),
    apart: Collection[tuple[str, str]] = (),
) -> None:
    """Record whose stage changed, who is handed off by it, and what is to be told of that.

    What was recorded for the same instant before is replaced, but nobody is handed off twice. `kin`
    are the other records of a lead's person of which sales may have been told already. A champion
    is handed off once it is none any more; `apart` are those that were, until now.
    """
    for at, group in groupby(decisions, key=lambda decision: decision.scored_at):
        leads = {(d.connection, d.lead_id): d for d in group}
        _keep_stages(db, run_id, leads, at, handed, kin, apart)


def _keep_stages(
    db: Connection,
    run_id: str,
    decisions: Mapping[tuple[str, str], Decision],
    at: datetime,
    handed: Handed,
    kin: Kin,
    apart: Collection[tuple[str, str]],
) -> None:
    ids = {lead_id for _connection, lead_id in decisions}
    mine = STAGES.c.connection.in_({connection for connection, _lead_id in decisions})
    db.execute(delete(STAGES).where(mine, STAGES.c.lead_id.in_(listed(db, ids)), STAGES.c.at == at))
    last = {
        (r["connection"], r["lead_id"]): r for r in db.execute(last_stages(db, at, ids)).mappings()
    }
    rows, given = [], []
    for key, decision in decisions.items():
        before = last.get(key)
        row = _row(run_id, decision, before)
        moved = decision.stage != (before and before["stage"])
        if moved:
            rows.append(row)
        offered = decision.stage in handed and decision.owner_reason != CHAMPION
        if offered and (moved or key in apart):
            given.append(row)
    if rows:
        db.execute(insert(STAGES), rows)
    hand_off(db, given, at, handed, kin)


def _row(run_id: str, decision: Decision, before: Mapping[Any, Any] | None) -> dict[str, Any]:
    """A change of stage, with what the lead went through up to it."""
    was, now = bool(before and before["stage"] in QUALIFIED), decision.stage in QUALIFIED
    cycle, at = before["cycle"] if before else 0, decision.scored_at
    return {
        "connection": decision.connection,
        "lead_id": decision.lead_id,
        "at": at,
        "stage": decision.stage,
        "cycle": cycle + (now and not was),
        "qualified_at": at if now and not was else before and before["qualified_at"],
        "left_at": at if was and not now else before and before["left_at"],
        "run_id": run_id,
    }


def forget_unsent(db: Connection, runs: Sequence[str]) -> None:
    """Take back the stages, hand-offs, surges and timers of runs that ended early, where nobody saw
    them.

    That is at a connection to which the run sent nothing, and told nobody of it: a guard, an error
    or a kill came first.
    """
    told = NOTICES.alias()
    for table in (STAGES, HANDOFFS, SURGES, TIMERS, NOTICES):
        sent = (INTENTS.c.run_id == table.c.run_id) & (INTENTS.c.connection == table.c.connection)
        begun = (told.c.run_id == table.c.run_id) & (told.c.connection == table.c.connection)
        begun &= told.c.tries > 0
        seen = select(INTENTS.c.id).where(sent).exists() | select(told.c.way).where(begun).exists()
        db.execute(delete(table).where(table.c.run_id.in_(runs), ~seen))


class PastLedger:
    """The part of a ledger that holds the past. Every method is one transaction."""

    def __init__(self, engine: Engine, readers: Engine) -> None:
        self._engine = engine
        self._readers = readers

    def before(
        self,
        at: datetime,
        leads: Collection[str] = (),
        *,
        stages: bool = True,
        spells: bool = False,
        accepted: bool = False,
    ) -> past.Past:
        """The past of an instant as tables: what was decided before it, and is overridden at it.

        Stages of some leads alone, if any are given; without `stages` only the overrides are read,
        and with `spells` all stages that a lead had beside the last; whom sales had `accepted` at
        it only if that is asked.
        """
        with self._readers.begin() as db:
            last = _read(db, last_stages(db, at, leads) if stages else None, past.STAGES)
            had = _read(db, _spells(db, at, leads), past.SPELLS) if spells else None
            said = _read(db, accepted_by(at), past.ACCEPTED) if accepted else None
        found = {(o.connection, o.lead_id): _effect(o) for o in self.overrides(at)}
        effects = pa.Table.from_pylist(list(found.values()), past.OVERRIDES.to_pyarrow())
        return past.Past(
            last, ibis.memtable(effects, schema=past.OVERRIDES) if found else None, had, said
        )

    def history(self, connection: str, lead_id: str, at: datetime) -> past.History:
        """What one lead went through before an instant, and what is overridden at it."""
        lead = (connection, lead_id)
        with self._readers.begin() as db:
            row = db.execute(
                last_stages(db, at, [lead_id]).where(STAGES.c.connection == connection)
            ).first()
        said = [o for o in self.overrides(at) if (o.connection, o.lead_id) == lead]
        given = sorted(h.at for h in self.handoffs(lead=lead) if h.at < at)
        found = past.History(handoffs=tuple(given), override=said[-1] if said else None)
        if row is None:
            return found
        return replace(found, stage=row.stage, since=row.since, mqls=row.cycle, left=row.left_at)

    def handoffs(
        self, limit: int | None = None, *, lead: tuple[str, str] | None = None
    ) -> list[Handoff]:
        """The hand-offs, newest first; of one lead (its connection and id) if given."""
        c = HANDOFFS.c
        query = select(HANDOFFS).order_by(c.at.desc(), c.connection, c.lead_id).limit(limit)
        if lead:
            query = query.where(c.connection == lead[0], c.lead_id == lead[1])
        with self._readers.begin() as db:
            return [Handoff(**row) for row in db.execute(query).mappings()]

    def handed_over(self) -> int:
        """How many hand-offs there were."""
        with self._readers.begin() as db:
            return db.scalar(select(func.count()).select_from(HANDOFFS)) or 0

    # Overrides

    def override(self, said: Override) -> None:
        """Put a person's word into force; it ends the one before on the same lead."""
        values = {"removed_at": said.at, "removed_by": said.by}
        with self._engine.begin() as db:
            db.execute(_ending(said.connection, said.lead_id, said.at).values(values))
            db.execute(insert(OVERRIDES).values(vars(said)))
            # The reason is a person's own words, and stays where it can be erased.
            detail = {"kind": said.kind, "value": said.value, "by": said.by}
            detail["until"] = said.until.isoformat()
            act = Act.OVERRIDDEN
            append(db, [Entry(act, said.at, detail, None, said.connection, said.lead_id)])

    def remove_override(
        self, connection: str, lead_id: str, *, by: str | None, at: datetime
    ) -> bool:
        """End what is in force on a lead; whether anything was."""
        with self._engine.begin() as db:
            ending = _ending(connection, lead_id, at).values(removed_at=at, removed_by=by)
            ended = bool(db.execute(ending).rowcount)
            if ended:
                act = Act.OVERRIDE_ENDED
                append(db, [Entry(act, at, {"by": by}, None, connection, lead_id)])
            return ended

    def overrides(self, at: datetime | None = None) -> list[Override]:
        """What was in force at an instant; None: all that ever was, oldest first."""
        c = OVERRIDES.c
        query = select(*(column for column in c if column is not c.id)).order_by(c.id)
        if at is not None:
            ended = (c.until <= at) | (c.removed_at.is_not(None) & (c.removed_at <= at))
            query = query.where(c.at <= at, ~ended)
        with self._readers.begin() as db:
            rows = db.execute(query).mappings()
            return [Override(**{**row, "kind": Kind(row["kind"])}) for row in rows]

    def overridden_between(self, since: datetime, at: datetime) -> set[tuple[str, str]]:
        """The leads whose override began, was removed or expired after `since`, up to `at`."""
        c = OVERRIDES.c
        moments = [(moment > since) & (moment <= at) for moment in (c.at, c.until, c.removed_at)]
        query = select(c.connection, c.lead_id).where(moments[0] | moments[1] | moments[2])
        with self._readers.begin() as db:
            return {(row[0], row[1]) for row in db.execute(query)}

    def connections_of(self, lead_id: str) -> list[str]:
        """The connections in which a lead of this id was ever decided about."""
        c = DECISIONS.c
        query = select(c.connection).distinct().where(c.lead_id == lead_id)
        with self._readers.begin() as db:
            return list(db.scalars(query.order_by(c.connection)))

    def standing(self, connection: str) -> list[Mapping[str, Any]]:
        """The latest decision about each lead: lead_id, score, probability, tier, stage,
        since when the lead has that stage (or that score, if it never had one), and when it
        `entered` our care: when it was first decided about, or last left the qualified stages."""
        d, s, f = DECISIONS.c, STAGES.c, DECISIONS.alias().c
        moved = select(s.lead_id, func.max(s.at).label("since"), func.max(s.left_at).label("left"))
        stages = moved.where(s.connection == connection).group_by(s.lead_id).subquery()
        begun = select(f.lead_id, func.min(f.at).label("at")).where(f.connection == connection)
        first = begun.group_by(f.lead_id).subquery()
        since = func.coalesce(stages.c.since, d.at, type_=UtcTime()).label("since")
        entered = func.coalesce(stages.c.left, first.c.at, type_=UtcTime()).label("entered")
        query = select(d.lead_id, d.score, d.probability, d.tier, d.stage, since, entered)
        query = query.join(first, first.c.lead_id == d.lead_id)
        query = query.outerjoin(stages, stages.c.lead_id == d.lead_id)
        query = query.where(d.connection == connection, d.latest).order_by(d.lead_id)
        with self._readers.begin() as db:
            return [dict(row) for row in db.execute(query).mappings()]

    # How old the scores are

    def keep_scored(self, run_id: str, connection: str, *, at: datetime) -> None:
        """Record that the CRM now holds the scores as of an instant."""
        with self._engine.begin() as db:
            upsert(db, SCORED, [{"connection": connection, "at": at, "run_id": run_id}])

    def scored(self) -> dict[str, datetime]:
        """As of when the scores are that each CRM holds, by connection."""
        with self._readers.begin() as db:
            rows = db.execute(select(SCORED.c.connection, SCORED.c.at).order_by("connection"))
            return {row[0]: row[1] for row in rows}


def _spells(db: Connection, at: datetime, leads: Collection[str]) -> Select[Any]:
    """Every stage of the leads before `at`: the columns of `core.past.SPELLS`."""
    c = STAGES.c
    until = func.lead(c.at, type_=UtcTime()).over(
        partition_by=(c.lead_id, c.connection), order_by=c.at
    )
    found = select(c.connection, c.lead_id, c.stage, c.cycle, c.at, until).where(c.at < at)
    return found.where(c.lead_id.in_(listed(db, leads))) if leads else found


def _read(db: Connection, query: Select[Any] | None, schema: ibis.Schema) -> Table:
    """The rows of a query; None: no rows."""
    batches: list[pa.RecordBatch] = []
    kinds = schema.to_pyarrow()
    if query is not None:
        for chunk in db.execute(query.execution_options(yield_per=CHUNK)).partitions():
            columns = zip(*chunk, strict=True)
            batches.append(pa.record_batch(list(map(list, columns)), schema=kinds))
    return ibis.memtable(pa.Table.from_batches(batches, kinds), schema=schema)


def _ending(connection: str, lead_id: str, at: datetime) -> Any:
    """An update of what is in force on a lead."""
    c = OVERRIDES.c
    return update(OVERRIDES).where(
        c.connection == connection, c.lead_id == lead_id, c.removed_at.is_(None), c.until > at
    )


def _effect(said: Override) -> dict[str, Any]:
    """An override as a row of `core.past.OVERRIDES`."""
    lead = {"connection": said.connection, "lead_id": said.lead_id}
    if said.kind is Kind.USABLE:
        return lead
    value = said.value if said.kind is Kind.STAGE else units(Decimal(said.value))
    return {**lead, str(said.kind): value}
