"""What the ledger keeps of the calls that are due: since when, by whom, and whether they came."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, func, select, update

from core.timers import Timer
from sync.ledger_engine import listed, upsert
from sync.ledger_rows import chunks
from sync.ledger_schema import DECISIONS, HANDOFFS, TIMERS

_COLUMNS = [column for column in TIMERS.c if column is not TIMERS.c.run_id]


class TimersLedger:
    """The part of a ledger that holds the timers. Every method is one transaction."""

    def __init__(self, engine: Engine, readers: Engine) -> None:
        self._engine = engine
        self._readers = readers

    def start(
        self,
        run_id: str,
        connection: str,
        holders: Mapping[str, str],
        given: Sequence[str],
        *,
        at: datetime,
        within: timedelta,
    ) -> None:
        """Start the timers of the leads that were `given` to somebody, or handed off, as of `at`.

        `holders` are the owners of leads. One that nobody holds starts when it is given. Of several
        records of a person the one that sales is told of has the timer.
        """
        c, later = HANDOFFS.c, HANDOFFS.alias().c
        same = (later.connection == c.connection) & (later.lead_id == c.lead_id)
        newer = select(later.cycle).where(same, later.cycle > c.cycle).exists()
        newest = select(c.lead_id, func.max(c.at)).where(c.connection == connection)
        with self._engine.begin() as db:
            mine = select(c.lead_id).where(c.connection == connection)
            now = db.scalars(mine.where(c.at == at))
            others = set(db.scalars(mine.where(c.follows.is_not(None), ~newer)))
            leads = sorted({*given, *now} & holders.keys() - others)
            for chunk in chunks(leads):
                asked = newest.where(c.lead_id.in_(listed(db, chunk))).group_by(c.lead_id)
                qualified = {row[0]: row[1] for row in db.execute(asked)}
                common: dict[str, Any] = {"connection": connection, "started_at": at}
                common |= {"due_at": at + within, "called_at": None, "run_id": run_id}
                rows = [
                    {
                        **common,
                        "lead_id": lead,
                        "owner_id": holders[lead],
                        "qualified_at": qualified.get(lead, at),
                    }
                    for lead in chunk
                ]
                upsert(db, TIMERS, rows)

    def called(self, connection: str, calls: Mapping[tuple[str, datetime], datetime]) -> None:
        """Record the first calls since timers started, by lead and start."""
        c = TIMERS.c
        with self._engine.begin() as db:
            for (lead, started), at in calls.items():
                mine = (c.connection == connection) & (c.lead_id == lead)
                db.execute(update(TIMERS).where(mine, c.started_at == started).values(called_at=at))

    def open(self, connection: str) -> list[Timer]:
        """The timers of leads that were not called since they started, oldest first."""
        return self._found(TIMERS.c.connection == connection, TIMERS.c.called_at.is_(None))

    def all(self, lead_id: str | None = None) -> list[Timer]:
        """Every timer there was, oldest first; of one lead if given."""
        return self._found(*([] if lead_id is None else [TIMERS.c.lead_id == lead_id]))

    def overdue(self, connection: str, stages: frozenset[str], at: datetime) -> list[Timer]:
        """The leads still in some stages whose last timer is over without a call."""
        c, d = TIMERS.c, DECISIONS.c
        same = TIMERS.alias()
        last = (
            select(func.max(same.c.started_at))
            .where(same.c.connection == c.connection, same.c.lead_id == c.lead_id)
            .scalar_subquery()
        )
        hot = select(d.lead_id).where(d.latest, d.connection == connection, d.stage.in_(stages))
        return self._found(
            c.connection == connection,
            c.called_at.is_(None),
            c.due_at < at,
            c.started_at == last,
            c.lead_id.in_(hot),
        )

    def _found(self, *conditions: Any) -> list[Timer]:
        query = select(*_COLUMNS).where(*conditions)
        order = (TIMERS.c.started_at, TIMERS.c.lead_id)
        with self._readers.begin() as db:
            return [Timer(**row) for row in db.execute(query.order_by(*order)).mappings()]
