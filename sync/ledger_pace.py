"""What the ledger keeps of the calls to CRMs, so that all processes on it keep to the limits."""

from datetime import datetime, timedelta

from sqlalchemy import Engine, select, update

from connectors.usage import Lot, Quota, pause, room, within
from sync.ledger_engine import in_memory, upsert
from sync.ledger_schema import QUOTAS, RATES

LATELY = timedelta(minutes=1)
"""For how long counts what a CRM said of its quota to another process: later it may be a new day,
and one call of one's own tells."""


class PaceLedger:
    """The part of a ledger that counts calls. Every method is one transaction.

    `common`: other processes see it.
    It is counted anew wherever it is lost, and no run goes by it in what it decides.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(leadgauge_aside=True)
        self.common = not in_memory(engine)

    def reserve(
        self, connection: str, rate: str, most: Lot, *, calls: int, seconds: float, now: float
    ) -> tuple[int, float]:
        """Count up to `most` calls, made by then, where at most `calls` may be in any `seconds`.

        Returns how many were counted, and where there is no room for one, in how many seconds
        there may be. Times are in seconds of the clock that all go by.
        """
        until, wanted = most
        mine = (RATES.c.connection == connection) & (RATES.c.rate == rate)
        with self._engine.begin() as db:
            # There must be a row to lock: of two that make it at once, the second waits here.
            empty = {"connection": connection, "rate": rate, "lots": []}
            upsert(db, RATES, [empty], keep=[*empty])
            found = db.scalar(select(RATES.c.lots).where(mine).with_for_update())
            lots = within(((at, count) for at, count in found or ()), seconds, now)
            got = min(wanted, room(lots, calls))
            if not got:
                return 0, pause(lots, calls, seconds, now)
            db.execute(update(RATES).where(mine).values(lots=[*lots, (until, got)]))
            return got, 0.0

    def quota(self, connection: str, mine: Quota | None, *, at: datetime) -> Quota | None:
        """The most that was lately heard to be used of a CRM's quota, by this process or others."""
        c = QUOTAS.c
        with self._engine.begin() as db:
            row = db.execute(
                select(c.used, c.limit, c.at).where(c.connection == connection)
            ).first()
            theirs = Quota(row.used, row.limit) if row and abs(at - row.at) < LATELY else None
            if theirs and (mine is None or mine.used <= theirs.used):
                return theirs
            if mine:
                upsert(db, QUOTAS, [{"connection": connection, **vars(mine), "at": at}])
            return mine
