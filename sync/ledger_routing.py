"""What the ledger keeps of routing: who was given which lead, whose turn it is, who waits.

Every lead that is given is a row of `given`, in order, and a run keeps once what the owners of a
pool had before it (`rounds`): what each of them had at any turn follows from the two, in a few
bytes a lead. `assignments` is to whom each lead was given last.
"""

from collections import Counter
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, distinct, func, insert, select

from core.fairness import at_turn
from core.routing import Assignment, Routed
from core.turns import Standing
from sync.ledger_engine import upsert
from sync.ledger_rows import chunks
from sync.ledger_schema import ASSIGNMENTS, GIVEN, ROUNDS, TURNS, WAITING, WRITTEN


@dataclass(frozen=True)
class Given:
    """A lead that was given to an owner. `pool`: in whose turn, None where it was nobody's;
    `follows`: the record of the same person whose owner it is, which counts for both."""

    connection: str
    lead_id: str
    owner_id: str
    pool: str | None
    reason: str
    account_id: str | None
    at: datetime
    run_id: str
    follows: str | None = None


@dataclass(frozen=True)
class Waiting:
    """A lead that needs an owner and that nobody can take yet: why, and since when.

    `rank` is its place in the order in which its connection's leads are to be given.
    """

    connection: str
    lead_id: str
    reason: str
    rank: int
    since: datetime
    run_id: str


class RoutingLedger:
    """The part of a ledger that routing rests on. Every method is one transaction."""

    def __init__(self, engine: Engine, readers: Engine) -> None:
        self._engine = engine
        self._readers = readers

    def record(
        self, run_id: str, connection: str, routed: Routed, *, at: datetime, now: datetime
    ) -> None:
        """Record what a run decided as of `at`; `now` is our own clock's instant.

        What it gives counts at once, written or not: a run that is repeated gives it again.
        """
        fresh = [made for made in routed.assignments if made.fresh]
        with self._engine.begin() as db:
            for chunk in chunks(fresh):
                db.execute(insert(GIVEN), [_given(run_id, connection, a, at) for a in chunk])
                common = {"connection": connection, "run_id": run_id, "at": now}
                rows = [
                    {**common, "lead_id": a.lead_id, "owner_id": a.owner_id, "reason": a.reason}
                    for a in chunk
                ]
                upsert(db, ASSIGNMENTS, rows)
            self._keep_round(db, run_id, connection, routed)
            self._keep_waiting(db, run_id, connection, routed, at)

    def _keep_round(self, db: Connection, run_id: str, connection: str, routed: Routed) -> None:
        turned = {made.pool for made in routed.assignments if made.pool is not None}
        rounds = [
            {
                "run_id": run_id,
                "connection": connection,
                "pool": pool,
                "standings": [astuple(standing) for standing in standings],
            }
            for pool, standings in routed.before.items()
            if pool in turned
        ]
        if rounds:
            db.execute(insert(ROUNDS), rounds)
        levels = [
            {"connection": connection, "pool": pool, "owner_id": owner, "level": level}
            for (pool, owner), level in routed.levels.items()
        ]
        for chunk in chunks(levels):
            upsert(db, TURNS, chunk)

    def _keep_waiting(
        self, db: Connection, run_id: str, connection: str, routed: Routed, at: datetime
    ) -> None:
        c = WAITING.c
        mine = c.connection == connection
        since = {r[0]: r[1] for r in db.execute(select(c.lead_id, c.since).where(mine))}
        db.execute(delete(WAITING).where(mine))
        waiting = (made for made in routed.assignments if made.waits)
        rows = [
            {
                "connection": connection,
                "lead_id": made.lead_id,
                "reason": made.waits,
                "rank": rank,
                "since": since.get(made.lead_id, at),
                "run_id": run_id,
            }
            for rank, made in enumerate(waiting, start=1)
        ]
        for chunk in chunks(rows):
            db.execute(insert(WAITING), chunk)

    # What a run begins with

    def assigned(self, connection: str) -> dict[str, str]:
        """Lead -> the owner that it was last given to."""
        c = ASSIGNMENTS.c
        with self._readers.begin() as db:
            rows = db.execute(select(c.lead_id, c.owner_id).where(c.connection == connection))
            return {row[0]: row[1] for row in rows}

    def unsent(self, connection: str) -> set[str]:
        """The leads that were given to somebody after they were last written."""
        given, sent = ASSIGNMENTS.c, WRITTEN.c
        same = (sent.connection == given.connection) & (sent.record_id == given.lead_id)
        query = select(given.lead_id).join(WRITTEN, same)
        with self._readers.begin() as db:
            later = query.where(given.connection == connection, sent.at < given.at)
            return set(db.scalars(later))

    def levels(self, connection: str) -> dict[tuple[str, str], int]:
        """What every owner has in every pool, by weight: `core.turns`."""
        c = TURNS.c
        query = select(c.pool, c.owner_id, c.level).where(c.connection == connection)
        with self._readers.begin() as db:
            return {(row[0], row[1]): row[2] for row in db.execute(query)}

    def assigned_counts(self, connection: str) -> dict[str, int]:
        """Owner -> how many leads were last given to them."""
        c = ASSIGNMENTS.c
        query = select(c.owner_id, func.count()).where(c.connection == connection)
        with self._readers.begin() as db:
            return {row[0]: row[1] for row in db.execute(query.group_by(c.owner_id))}

    def given_since(self, connection: str, since: datetime) -> Counter[tuple[str, str | None]]:
        """How many leads each owner was given in the turn of each pool (None: of none), a person
        of several records once."""
        c = GIVEN.c
        query = select(c.owner_id, c.pool, func.count(distinct(c.lead_id)))
        query = query.where(c.connection == connection, c.at >= since, c.follows.is_(None))
        with self._readers.begin() as db:
            rows = db.execute(query.group_by(c.owner_id, c.pool))
            return Counter({(row[0], row[1]): row[2] for row in rows})

    def accounts(self, connection: str) -> dict[str, str]:
        """Account -> the owner that its last lead was given to."""
        c = GIVEN.c
        mine = (c.connection == connection) & c.account_id.is_not(None)
        last = select(func.max(c.id)).where(mine).group_by(c.account_id)
        with self._readers.begin() as db:
            rows = db.execute(select(c.account_id, c.owner_id).where(c.id.in_(last)))
            return {row[0]: row[1] for row in rows}

    # What people ask for

    def waiting(self, connection: str | None = None) -> list[Waiting]:
        """The leads that wait for an owner, in the order in which they are to be given."""
        query = select(WAITING).order_by(WAITING.c.connection, WAITING.c.rank)
        if connection is not None:
            query = query.where(WAITING.c.connection == connection)
        with self._readers.begin() as db:
            return [Waiting(**row) for row in db.execute(query).mappings()]

    def given(self, lead_id: str) -> list[Given]:
        """Every time that a lead was given to somebody, oldest first."""
        columns = [column for column in GIVEN.c if column is not GIVEN.c.id]
        query = select(*columns).where(GIVEN.c.lead_id == lead_id).order_by(GIVEN.c.id)
        with self._readers.begin() as db:
            return [Given(**row) for row in db.execute(query).mappings()]

    def standings(self, given: Given) -> tuple[Standing, ...]:
        """What everybody in the pool had when a lead was given; nothing where it was no turn."""
        c = GIVEN.c
        run = (c.connection == given.connection) & (c.run_id == given.run_id)
        this = select(func.min(c.id)).where(run, c.lead_id == given.lead_id).scalar_subquery()
        before = select(c.owner_id).where(run, c.id < this, c.follows.is_(None)).order_by(c.id)
        kept = select(ROUNDS.c.standings).where(
            ROUNDS.c.connection == given.connection,
            ROUNDS.c.run_id == given.run_id,
            ROUNDS.c.pool == given.pool,
        )
        with self._readers.begin() as db:
            rows = db.scalar(kept) or []
            return at_turn([Standing(*row) for row in rows], db.scalars(before))


def _given(run_id: str, connection: str, made: Assignment, at: datetime) -> dict[str, Any]:
    return {
        "connection": connection,
        "lead_id": made.lead_id,
        "owner_id": made.owner_id,
        "pool": made.pool,
        "reason": made.reason,
        "account_id": made.account_id,
        "at": at,
        "run_id": run_id,
        "follows": made.follows,
    }
