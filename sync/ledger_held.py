"""What the ledger keeps of the fields that humans hold: which are left alone, and until when."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, delete, insert, select

from core.decision import Output
from sync.ledger_engine import listed
from sync.ledger_rows import Held, chunks
from sync.ledger_schema import HELD


class HeldLedger:
    """The part of a ledger that holds the held fields. Every method is one transaction."""

    def __init__(self, engine: Engine, readers: Engine) -> None:
        self._engine = engine
        self._readers = readers

    def keep(self, connection: str, ids: Collection[str], held: Iterable[Held]) -> None:
        """Record which fields of some records humans hold: those of `held`, and no others."""
        rows = [vars(entry) for entry in held]
        with self._engine.begin() as db:
            for chunk in chunks(ids):
                db.execute(
                    delete(HELD).where(
                        HELD.c.connection == connection, HELD.c.record_id.in_(listed(db, chunk))
                    )
                )
            if rows:
                db.execute(insert(HELD), rows)

    def of(self, connection: str, ids: Collection[str]) -> dict[str, dict[Output, Held]]:
        """The held fields of some records, by record id."""
        found: dict[str, dict[Output, Held]] = {}
        with self._readers.begin() as db:
            query = select(HELD).where(
                HELD.c.connection == connection, HELD.c.record_id.in_(listed(db, ids))
            )
            for row in db.execute(query).mappings():
                entry = _held(row)
                found.setdefault(entry.record_id, {})[entry.output] = entry
        return found

    def now(self, at: datetime) -> list[Held]:
        """All fields that humans hold at an instant, those that end first at the top."""
        c = HELD.c
        query = select(HELD).where(c.until.is_(None) | (c.until > at))
        order = (c.until.is_(None), c.until, c.connection, c.record_id, c.output)
        with self._readers.begin() as db:
            return [_held(row) for row in db.execute(query.order_by(*order)).mappings()]

    def lapsed_between(self, connection: str, since: datetime, at: datetime) -> set[str]:
        """The records of which a field became ours again after `since`, up to `at`."""
        c = HELD.c
        query = select(c.record_id).where(c.connection == connection, c.until > since)
        with self._readers.begin() as db:
            return set(db.scalars(query.where(c.until <= at)))


def _held(row: Mapping[Any, Any]) -> Held:
    return Held(**{**row, "output": Output(row["output"])})
