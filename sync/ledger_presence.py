"""What the ledger keeps of the instances that work on it: leases, and signs of life."""

from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from sync.errors import StoreBusy, StoreError, StoreLost
from sync.ledger_engine import in_memory, upsert
from sync.ledger_schema import HEARTBEATS, LEASES, STATES


class Presence:
    """The part of a ledger by which instances know of each other. Every method is one transaction.

    Of the leases of one name, one instance has it at a time. `common`: other instances see it.
    """

    def __init__(self, engine: Engine, readers: Engine) -> None:
        self._engine = engine
        self._readers = readers
        # A renewal changes nothing that a run goes by, and comes at a time of its own.
        self._aside = engine.execution_options(leadgauge_aside=True)
        self.common = not in_memory(engine)

    def acquire(self, name: str, holder: str, *, at: datetime, lasts: timedelta) -> None:
        """Take a lease, or renew one's own. Raises StoreBusy while another holder has it."""
        taking = {"holder": holder, "expires_at": at + lasts}
        mine = LEASES.c.name == name
        free = (LEASES.c.holder == holder) | (LEASES.c.expires_at <= at)
        with self._engine.begin() as db:
            held = db.execute(select(LEASES).where(mine).with_for_update()).mappings().first()
            if held is None:
                # Of two at the same instant, the second one's insert fails on the key.
                try:
                    db.execute(insert(LEASES).values(name=name, **taking))
                except IntegrityError:
                    raise StoreBusy(
                        "another instance has just begun to run on this ledger; wait, or stop it"
                    ) from None
                return
            taken = db.execute(update(LEASES).where(mine, free).values(taking))
            if not taken.rowcount:
                raise StoreBusy(
                    f"{held['holder']} is running on this ledger (its lease ends "
                    f"{held['expires_at']:%Y-%m-%dT%H:%M:%SZ} unless renewed); wait, or stop it"
                )

    def held_until(self, name: str, holder: str) -> datetime | None:
        """Until when a holder has a lease unless it renews it; None: it has not."""
        mine = (LEASES.c.name == name) & (LEASES.c.holder == holder)
        with self._readers.begin() as db:
            return db.scalar(select(LEASES.c.expires_at).where(mine))

    def renew(self, name: str, holder: str, *, at: datetime, lasts: timedelta) -> bool:
        """Renew one's own lease; False where it is one's own no more, also if nobody has it now.

        Raises StoreLost where that cannot be written now, for whatever reason.
        """
        mine = (LEASES.c.name == name) & (LEASES.c.holder == holder)
        renewing = update(LEASES).where(mine).values(expires_at=at + lasts)
        try:
            with self._aside.begin() as db:
                return bool(db.execute(renewing).rowcount)
        except (SQLAlchemyError, StoreError) as error:
            raise StoreLost(
                "ledger: the lease cannot be renewed now; run again later, nothing is lost"
            ) from error

    def release(self, name: str, holder: str) -> None:
        """Give a lease back; nothing if it is not one's own."""
        with self._engine.begin() as db:
            db.execute(delete(LEASES).where(LEASES.c.name == name, LEASES.c.holder == holder))

    def beat(self, name: str, *, at: datetime) -> None:
        """Say that something that runs by itself is alive."""
        with self._engine.begin() as db:
            upsert(db, HEARTBEATS, [{"name": name, "at": at}])

    def heartbeat(self, name: str) -> datetime | None:
        """When it last said so."""
        with self._readers.begin() as db:
            return db.scalar(select(HEARTBEATS.c.at).where(HEARTBEATS.c.name == name))

    def enter(self, name: str, state: str, *, at: datetime) -> str | None:
        """Record the state that something is in; the one before it, None if it was in none.

        Of several instances that see one change, one is told of the former state.
        """
        mine = STATES.c.name == name
        with self._engine.begin() as db:
            before = db.scalar(select(STATES.c.state).where(mine).with_for_update())
            if before != state:
                upsert(db, STATES, [{"name": name, "state": state, "at": at}])
        return before
