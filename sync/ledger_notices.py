"""The outbox: hand-offs and surges still to be told of, tried until it is acknowledged.

A notice is recorded in the transaction that records what it tells of, one for each way to tell it.
It is marked before it is sent and settled afterwards: one that is found marked was sent, perhaps,
by a run that was killed, and whoever is told can see by its key that it comes a second time.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, insert, select, update

from sync.ledger_schema import INTENTS, NOTICES, QUARANTINE
from sync.ledger_settling import unanswered, wait


class About(StrEnum):
    """What a notice tells of."""

    HANDOFF = "handoff"
    SURGE = "surge"


class Sending(StrEnum):
    """How a notice stands. dropped: its lead was no longer at sales when it could be sent."""

    WAITING = "waiting"
    SENT = "sent"
    TOLD = "told"
    DROPPED = "dropped"


OPEN = (Sending.WAITING, Sending.SENT)
"""What is still to be told. SENT: at least once, and nobody has acknowledged it."""


@dataclass(frozen=True)
class Notice:
    """One thing to be told of in one way. `number` counts those of its kind and lead: the cycle of
    a hand-off; `what` is its stage, or the rise of a surge in units. `error` is why the last try
    failed."""

    connection: str
    lead_id: str
    kind: About
    number: int
    way: str
    what: str
    at: datetime
    state: Sending
    tries: int
    next_try: datetime | None
    error: str | None
    settled_at: datetime | None
    run_id: str

    @property
    def key(self) -> str:
        """What it is told apart by, the same each time it is sent."""
        said = "/".join((self.connection, self.lead_id, self.kind, str(self.number), self.way))
        return hashlib.sha256(said.encode()).hexdigest()[:24]


def put_out(
    db: Connection,
    kind: About,
    given: Sequence[Mapping[str, Any]],
    told: Mapping[str, Sequence[str]],
) -> None:
    """Record what is to be told: rows of connection, lead_id, number, what, at and run_id, each by
    the ways that `told` has for its `what`."""
    rows = [
        {
            **{name: row[name] for name in ("connection", "lead_id", "number", "what", "at")},
            "run_id": row["run_id"],
            "kind": kind,
            "way": way,
            "state": Sending.WAITING,
            "tries": 0,
        }
        for row in given
        for way in told[row["what"]]
    ]
    if rows:
        db.execute(insert(NOTICES), rows)


class NoticesLedger:
    """The part of a ledger that is the outbox. Every method is one transaction."""

    def __init__(self, engine: Engine, readers: Engine) -> None:
        self._engine = engine
        self._readers = readers

    def due(self, connection: str, way: str, limit: int, at: datetime) -> list[Notice]:
        """What can be told now, what was tried least first: of no lead whose write the CRM
        refused, or did not answer."""
        c = NOTICES.c
        query = (
            select(NOTICES)
            .where(c.connection == connection, c.way == way, c.state.in_(OPEN))
            .where(c.next_try.is_(None) | (c.next_try <= at))
            .where(~_of_lead(QUARANTINE.c).exists(), ~_of_lead(INTENTS.c, unanswered()).exists())
            .order_by(c.tries, c.at, c.lead_id)
        )
        with self._readers.begin() as db:
            return [_notice(row) for row in db.execute(query.limit(limit)).mappings()]

    def waiting(self) -> list[Notice]:
        """All that is still to be told, longest first."""
        c = NOTICES.c
        order = (c.at, c.connection, c.lead_id, c.way)
        query = select(NOTICES).where(c.state.in_(OPEN)).order_by(*order)
        with self._readers.begin() as db:
            return [_notice(row) for row in db.execute(query).mappings()]

    def sending(self, notice: Notice) -> None:
        """Mark a notice that is about to be sent."""
        self._set(notice, state=Sending.SENT, tries=notice.tries + 1)

    def settle(self, notice: Notice, state: Sending, *, at: datetime) -> None:
        """Record that a notice was acknowledged, or that there is no need of it any more."""
        self._set(notice, state=state, settled_at=at, next_try=None, error=None)

    def failed(self, notice: Notice, error: str, *, at: datetime) -> None:
        """Record why a notice was not acknowledged: it is sent again, each time after longer."""
        self._set(notice, error=error, next_try=at + wait(notice.tries))

    def _set(self, notice: Notice, **values: Any) -> None:
        c = NOTICES.c
        key = (c.connection == notice.connection) & (c.lead_id == notice.lead_id)
        which = key & (c.kind == notice.kind) & (c.number == notice.number)
        with self._engine.begin() as db:
            db.execute(update(NOTICES).where(which, c.way == notice.way).values(values))


def _of_lead(c: Any, *more: ColumnElement[bool]) -> Any:
    """The rows of another table about the lead of a notice."""
    same = (c.connection == NOTICES.c.connection) & (c.record_id == NOTICES.c.lead_id)
    return select(c.record_id).where(same, *more)


def _notice(row: Mapping[Any, Any]) -> Notice:
    return Notice(**{**row, "kind": About(row["kind"]), "state": Sending(row["state"])})
