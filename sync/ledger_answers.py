"""What sales said of the leads that it was handed, or that waited for it, beside what leadgauge had
decided of them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Select, func, insert, select

from core.past import Answer
from sync.ledger_audit import Act, Entry, append
from sync.ledger_schema import ANSWERS, HANDOFFS


class AnswersLedger:
    """The part of a ledger that holds the answers of sales. Every method is one transaction."""

    def __init__(self, engine: Engine, readers: Engine) -> None:
        self._engine = engine
        self._readers = readers

    def say(self, answer: Answer) -> None:
        """Record an answer; a later one of the same lead counts instead, and both are kept."""
        with self._engine.begin() as db:
            db.execute(insert(ANSWERS).values(vars(answer)))
            # The reason is a person's own words, and stays where it can be erased.
            detail = {"accepted": answer.accepted, "cycle": answer.cycle, "by": answer.by}
            about = (None, answer.connection, answer.lead_id)
            append(db, [Entry(Act.ANSWERED, answer.at, detail, *about)])

    def all(self) -> list[Answer]:
        """All answers there ever were, oldest first."""
        query = select(ANSWERS).order_by(ANSWERS.c.id)
        with self._readers.begin() as db:
            return [_answer(row) for row in db.execute(query).mappings()]

    def of(self, connection: str, lead_id: str, at: datetime) -> Answer | None:
        """What sales had said last of a lead by an instant; None: nothing."""
        c = ANSWERS.c
        mine = (c.connection == connection) & (c.lead_id == lead_id) & (c.at <= at)
        query = select(ANSWERS).where(mine).order_by(c.id.desc()).limit(1)
        with self._readers.begin() as db:
            row = db.execute(query).mappings().first()
            return _answer(row) if row else None

    def between(self, since: datetime, at: datetime) -> set[tuple[str, str]]:
        """The leads of which sales said something after `since`, up to `at`."""
        c = ANSWERS.c
        query = select(c.connection, c.lead_id).where(c.at > since, c.at <= at)
        with self._readers.begin() as db:
            return {(row[0], row[1]) for row in db.execute(query)}

    def rejected(self, connection: str) -> dict[str, Answer]:
        """The leads that sales rejected last, by id, with that answer; not those that were handed
        off anew since."""
        c, h = ANSWERS.c, HANDOFFS.c
        last = select(func.max(c.id)).where(c.connection == connection).group_by(c.lead_id)
        newer = (h.connection == c.connection) & (h.lead_id == c.lead_id) & (h.cycle > c.cycle)
        anew = select(h.cycle).where(newer).exists()
        query = select(ANSWERS).where(c.id.in_(last), ~c.accepted, ~anew)
        with self._readers.begin() as db:
            return {row["lead_id"]: _answer(row) for row in db.execute(query).mappings()}


def accepted_by(at: datetime) -> Select[Any]:
    """The leads that sales had accepted by an instant, by what it had said last: the columns of
    `core.past.ACCEPTED`."""
    c = ANSWERS.c
    last = select(func.max(c.id)).where(c.at <= at).group_by(c.connection, c.lead_id)
    return select(c.connection, c.lead_id).where(c.id.in_(last), c.accepted)


def _answer(row: Mapping[Any, Any]) -> Answer:
    return Answer(**{name: value for name, value in row.items() if name != "id"})
