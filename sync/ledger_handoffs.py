"""Hand-offs: who is handed to sales, and of which of a person's records sales is told.

Where several records of a person are at sales, one of them was told of, and the others follow it.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, func, insert, select, update

from core.stages import Stage
from sync.ledger_engine import listed
from sync.ledger_notices import About, Sending, put_out
from sync.ledger_schema import DECISIONS, HANDOFFS, NOTICES, STAGES

Record = tuple[str, str]
"""Connection and id of a lead."""

Kin = Mapping[Record, Sequence[Record]]
"""The other records of the person of each of some leads."""

Handed = Mapping[str, Sequence[str]]
"""The stages in which a lead is handed to sales, and by which ways that is told."""

HANDED: Handed = {Stage.SQL.value: ()}
"""What the configuration says where it says nothing."""


def hand_off(
    db: Connection, rows: Sequence[Mapping[str, Any]], at: datetime, handed: Handed, kin: Kin
) -> None:
    """Record who is handed off by these changes of stages, and what is to be told of that.

    Nobody is handed off twice in a cycle.
    """
    given = [{column.name: row.get(column.name) for column in HANDOFFS.c} for row in rows]
    new = _with_kin(db, _new(db, given), kin, at, handed)
    if new:
        db.execute(insert(HANDOFFS), new)
        put_out(db, About.HANDOFF, [_told(row) for row in new if not row["follows"]], handed)


def _new(db: Connection, given: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those hand-offs that are not recorded yet."""
    c = HANDOFFS.c
    query = select(c.connection, c.lead_id, c.cycle)
    leads = listed(db, {row["lead_id"] for row in given})
    known = {tuple(row) for row in db.execute(query.where(c.lead_id.in_(leads)))}
    return [r for r in given if (r["connection"], r["lead_id"], r["cycle"]) not in known]


def _told(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A hand-off as what is told of it."""
    return {**row, "number": row["cycle"], "what": row["stage"]}


def _with_kin(
    db: Connection, new: Sequence[dict[str, Any]], kin: Kin, at: datetime, handed: Handed
) -> list[dict[str, Any]]:
    """New hand-offs, each with the record that is told of in its stead: one of the same person that
    is at sales, and was told of, or is by now."""
    asked = {record for row in new for record in kin.get((row["connection"], row["lead_id"]), ())}
    told = _at_sales(db, asked, at, handed) if asked else {}
    for row in new:
        record = (row["connection"], row["lead_id"])
        name = ":".join(record)
        other = next((one for one in kin.get(record, ()) if told.get(one)), None)
        if other is not None:
            # The other may follow this very record, by a cycle of before.
            row["follows"] = told[other] if told[other] != name else ":".join(other)
        told[record] = row["follows"] or name
    return list(new)


def _at_sales(
    db: Connection, records: Collection[Record], at: datetime, handed: Handed
) -> dict[Record, str | None]:
    """Those of some records that are handed off by `at` and still there, each with the record that
    was told of; None: none was, in the end."""
    c = HANDOFFS.c
    ids = {lead_id for _connection, lead_id in records}
    query = select(c.connection, c.lead_id, c.cycle, c.follows, _forsaken())
    query = query.where(c.lead_id.in_(listed(db, ids)))
    given = {
        (row[0], row[1], row[2]): None if row[4] else row[3] or f"{row[0]}:{row[1]}"
        for row in db.execute(query)
    }
    found = {}
    for row in db.execute(last_stages(db, at + timedelta(microseconds=1), ids)).mappings():
        record, cycle = (row["connection"], row["lead_id"]), row["cycle"]
        if record in records and row["stage"] in handed and (*record, cycle) in given:
            found[record] = given[*record, cycle]
    return found


def _forsaken() -> ColumnElement[bool]:
    """Whether a hand-off follows a record that is not handed off: the run that did so ended before
    anybody saw it. Not where that record is erased."""
    t = HANDOFFS.alias().c
    told = select(t.cycle).where(t.connection + ":" + t.lead_id == HANDOFFS.c.follows)
    return HANDOFFS.c.follows.contains(":") & ~told.correlate(HANDOFFS).exists()


def last_stages(db: Connection, at: datetime, leads: Collection[str] = ()) -> Select[Any]:
    """The last change of each lead's stage before `at`; of `leads` alone if any are given."""
    c = STAGES.c
    newest = select(c.lead_id, c.connection, func.max(c.at).label("at")).where(c.at < at)
    if leads:
        newest = newest.where(c.lead_id.in_(listed(db, leads)))
    found = newest.group_by(c.lead_id, c.connection).subquery()
    same = [c[name] == found.c[name] for name in ("lead_id", "connection", "at")]
    return select(
        c.connection,
        c.lead_id,
        c.stage,
        c.at.label("since"),
        c.cycle,
        c.qualified_at,
        c.left_at,
    ).join(found, same[0] & same[1] & same[2])


def _of(connection: str, stages: Collection[str]) -> Select[Any]:
    """The leads of a connection, now in some stages, whose last hand-off follows another record;
    not one that is erased."""
    c, d, newer = HANDOFFS.c, DECISIONS.c, HANDOFFS.alias().c
    later = (newer.connection == c.connection) & (newer.lead_id == c.lead_id)
    later &= newer.cycle > c.cycle
    return (
        select(c.lead_id, c.follows)
        .join(DECISIONS, (d.connection == c.connection) & (d.lead_id == c.lead_id))
        .where(c.connection == connection, c.follows.contains(":"), d.latest)
        .where(d.stage.in_(stages), ~select(newer.cycle).where(later).exists())
        .order_by(c.lead_id)
    )


class HandoffsLedger:
    """The part of a ledger that says of which of a person's records sales was told. Every method is
    one transaction."""

    def __init__(self, engine: Engine, readers: Engine) -> None:
        self._engine = engine
        self._readers = readers

    def followers(self, connection: str, stages: Collection[str]) -> list[tuple[Record, Record]]:
        """The leads of a connection in some stages of which another record was told in their
        stead, each with that record."""
        with self._readers.begin() as db:
            rows = [(row[0], row[1].split(":", 1)) for row in db.execute(_of(connection, stages))]
        return [((connection, lead), (told[0], told[1])) for lead, told in rows]

    def forsaken(self, connection: str, stages: Collection[str]) -> set[Record]:
        """Those of them whose other record is not handed off any more: its run ended early."""
        with self._readers.begin() as db:
            rows = db.execute(_of(connection, stages).where(_forsaken()))
            return {(connection, row[0]) for row in rows}

    def following(self, connection: str, lead_id: str, cycle: int) -> list[Record]:
        """The records that follow a hand-off of which nobody was told."""
        c, n = HANDOFFS.c, NOTICES.c
        same = (n.connection == connection) & (n.lead_id == lead_id) & (n.number == cycle)
        told = select(n.way).where(same, n.kind == About.HANDOFF, n.state == Sending.TOLD)
        query = select(c.connection, c.lead_id).distinct().order_by(c.connection, c.lead_id)
        with self._readers.begin() as db:
            rows = db.execute(query.where(c.follows == f"{connection}:{lead_id}", ~told.exists()))
            return [(row[0], row[1]) for row in rows]

    def tell_instead(self, record: Record, handed: Handed, *, at: datetime) -> bool:
        """Tell after all of a lead that followed another; whether it still is at sales."""
        c = HANDOFFS.c
        key = (c.connection == record[0]) & (c.lead_id == record[1])
        with self._engine.begin() as db:
            rows = db.execute(select(HANDOFFS).where(key).order_by(c.cycle.desc())).mappings()
            last = rows.first()
            if last is None or not last["follows"]:
                return False
            if not _at_sales(db, [record], at, handed):
                return False
            db.execute(update(HANDOFFS).where(key, c.cycle == last["cycle"]).values(follows=None))
            put_out(db, About.HANDOFF, [{**_told(last), "at": at}], handed)
            return True
