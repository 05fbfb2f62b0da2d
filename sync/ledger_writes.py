"""What the ledger knows of past writes, to take them back or to send refused ones again."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, func, select, update

from connectors.base import Status
from core.decision import Output
from sync.ledger_engine import listed
from sync.ledger_rows import Quarantined, outputs
from sync.ledger_schema import INTENTS, QUARANTINE


@dataclass(frozen=True)
class Sent:
    """One record's acknowledged write. `before`: what it replaced; None where that is unknown."""

    connection: str
    object_type: str
    record_id: str
    values: Mapping[Output, str | None]
    before: Mapping[Output, str | None] | None


class WritesLedger:
    """The part of a ledger that is about past writes. Every method is one transaction."""

    def __init__(self, engine: Engine, readers: Engine) -> None:
        self._engine = engine
        self._readers = readers

    def of_run(self, run_id: str) -> list[Sent]:
        """What a run wrote and the CRMs acknowledged, in order of sending."""
        c = INTENTS.c
        columns = (c.connection, c.object_type, c.record_id, c["values"], c.before)
        query = select(*columns).where(c.run_id == run_id, c.state == Status.WRITTEN)
        with self._readers.begin() as db:
            return [
                Sent(*row[:3], outputs(row[3]), None if row[4] is None else outputs(row[4]))
                for row in db.execute(query.order_by(c.id))
            ]

    def later(self, run_id: str, connection: str, ids: Collection[str]) -> dict[str, set[Output]]:
        """The outputs of some records that were written since a run sent its last, by record id."""
        c = INTENTS.c
        last = select(func.max(c.id)).where(c.run_id == run_id).scalar_subquery()
        found: dict[str, set[Output]] = {}
        with self._readers.begin() as db:
            query = select(c.record_id, c["values"]).where(
                c.connection == connection,
                c.record_id.in_(listed(db, ids)),
                c.state == Status.WRITTEN,
                c.id > last,
            )
            for record_id, values in db.execute(query):
                found.setdefault(record_id, set()).update(outputs(values))
        return found

    def forget_refused(self, connection: str, ids: Collection[str]) -> None:
        """Take records out of quarantine for which nothing is to be written any more."""
        c = QUARANTINE.c
        with self._engine.begin() as db:
            mine = (c.connection == connection) & c.record_id.in_(listed(db, ids))
            db.execute(delete(QUARANTINE).where(mine))

    def due_now(self, entries: Iterable[Quarantined], *, at: datetime) -> None:
        """Have some records in quarantine sent again by the next run."""
        c = QUARANTINE.c
        with self._engine.begin() as db:
            for entry in entries:
                key = (c.connection == entry.connection) & (c.object_type == entry.object_type)
                mine = update(QUARANTINE).where(key, c.record_id == entry.record_id)
                db.execute(mine.values(next_try=at))
