"""Leads whose score rose fast: each rise is recorded once, with what is to be told of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select

from core.decision import Decision
from core.past import Surge, surge
from sync.ledger_engine import listed
from sync.ledger_notices import About, put_out
from sync.ledger_schema import DECISIONS, SURGES


@dataclass(frozen=True)
class Surging:
    """What is a surge: a rise by so much (units of 1/10,000 point) within some time; and by which
    ways it is told."""

    rise: int
    within: timedelta
    ways: Sequence[str] = ()


def keep_surges(
    db: Connection, run_id: str, decisions: Sequence[Decision], surging: Surging
) -> None:
    """Record which leads surge with these decisions; one that did so within the time does not.

    A lead that is scored for the first time has not risen.
    """
    before = _before(db, decisions)
    rows: list[dict[str, Any]] = []
    for decision in decisions:
        key, at = (decision.connection, decision.lead_id), decision.scored_at
        scores = [(then, score) for then, score in before[key] if then < at]
        rise = surge(scores, decision.score, at, surging.within)
        if rise >= surging.rise:
            found = {"connection": key[0], "lead_id": key[1], "rise": rise, "at": at}
            rows.append({**found, "run_id": run_id})
    last = _last(db, rows)
    new = []
    for row in rows:
        former = last.get((row["connection"], row["lead_id"]))
        if former is None or former[1] <= row["at"] - surging.within:
            new.append({**row, "number": former[0] + 1 if former else 1})
    if new:
        db.execute(insert(SURGES), new)
        told = [{**row, "what": str(row["rise"])} for row in new]
        put_out(db, About.SURGE, told, dict.fromkeys((row["what"] for row in told), surging.ways))


def _before(
    db: Connection, decisions: Sequence[Decision]
) -> Mapping[tuple[str, str], list[tuple[datetime, int]]]:
    """Every score that each of these leads was ever decided to have, oldest first."""
    c = DECISIONS.c
    query = select(c.connection, c.lead_id, c.at, c.score).order_by(c.id)
    found = defaultdict(list)
    for row in db.execute(query.where(c.lead_id.in_(listed(db, {d.lead_id for d in decisions})))):
        found[row[0], row[1]].append((row[2], row[3]))
    return found


def _last(
    db: Connection, rows: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str], tuple[int, datetime]]:
    """The number and the instant of the last surge of each lead."""
    c = SURGES.c
    query = select(c.connection, c.lead_id, func.max(c.number), func.max(c.at))
    mine = c.lead_id.in_(listed(db, {row["lead_id"] for row in rows}))
    found = db.execute(query.where(mine).group_by(c.connection, c.lead_id))
    return {(row[0], row[1]): (row[2], row[3]) for row in found}


class SurgesLedger:
    """The part of a ledger that holds surges. Every method is one transaction."""

    def __init__(self, readers: Engine) -> None:
        self._readers = readers

    def of(self, connection: str, lead_id: str, at: datetime) -> Surge | None:
        """The last surge of a lead by an instant."""
        c = SURGES.c
        mine = (c.connection == connection) & (c.lead_id == lead_id) & (c.at <= at)
        with self._readers.begin() as db:
            query = select(c.rise, c.at).where(mine).order_by(c.number.desc()).limit(1)
            row = db.execute(query).first()
            return Surge(row[0], row[1]) if row else None
