"""Heirs: who stands for a merged or converted lead takes over what that lead went through.

Sales is told of a person once in a cycle of qualification, and not again because the lead that it
was told of became a contact.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from sync.aliases import Alias
from sync.ledger_handoffs import last_stages
from sync.ledger_notices import OPEN, About
from sync.ledger_schema import HANDOFFS, NOTICES, STAGES

_INSTANT = timedelta(microseconds=1)

Row = Mapping[Any, Any]


def hand_down(
    db: Connection,
    run_id: str,
    connection: str,
    gone: Sequence[Alias],
    handed: Collection[str],
    at: datetime,
) -> None:
    """Hand down, as just before `at`, the stage, the cycle and the hand-off of leads that are gone.

    A survivor takes them over that has no past of its own, or that is not at sales (in one of the
    stages `handed`) where the other was. What was still to be told of the other is told of it.
    Doing so again changes nothing: who is gone has no stage afterwards.
    """
    ids = {name for alias in gone for name in (alias.id, alias.survivor)}
    known = {
        row["lead_id"]: dict(row)
        for row in db.execute(last_stages(db, at, ids)).mappings()
        if row["connection"] == connection
    }
    for alias in sorted(gone, key=lambda alias: (alias.valid_from, alias.id)):
        theirs, mine = known.get(alias.id), known.get(alias.survivor)
        if theirs is None or (theirs["stage"] is None and mine is not None):
            continue
        when = _after(alias.valid_from, theirs, mine, at)
        lead = {"connection": connection, "at": when, "run_id": run_id}
        if mine is None or (theirs["stage"] in handed and mine["stage"] not in handed):
            cycle = max(theirs["cycle"], mine["cycle"] if mine else 0)
            _hand_over(db, run_id, connection, alias, (theirs["cycle"], cycle))
            lefts = [row["left_at"] for row in (theirs, mine) if row and row["left_at"]]
            taken = {**theirs, "cycle": cycle, "left_at": max(lefts, default=None)}
            db.execute(insert(STAGES), [_row({**taken, **lead, "lead_id": alias.survivor})])
            known[alias.survivor] = {**taken, "since": when}
        if theirs["stage"] is not None:
            db.execute(insert(STAGES), [_row({**theirs, **lead, "stage": None})])


def _after(since: datetime, theirs: Row, mine: Row | None, at: datetime) -> datetime:
    """When the one is gone, but after all that either went through, and before `at`."""
    known: list[datetime] = [row["since"] for row in (theirs, mine) if row]
    return max(min(since, at - _INSTANT), *(then + _INSTANT for then in known))


def _row(values: Row) -> dict[str, Any]:
    return {column.name: values[column.name] for column in STAGES.c}


def _hand_over(
    db: Connection, run_id: str, connection: str, alias: Alias, cycles: tuple[int, int]
) -> None:
    """Record the hand-off of one lead for another, with what is still to be told of it."""
    c, n, (before, now) = HANDOFFS.c, NOTICES.c, cycles
    of = [
        (c.connection == connection) & (c.lead_id == lead) & (c.cycle == cycle)
        for lead, cycle in ((alias.id, before), (alias.survivor, now))
    ]
    given = db.execute(select(HANDOFFS).where(of[0])).mappings().first()
    if given is None or db.execute(select(c.cycle).where(of[1])).first():
        return
    mine = {"lead_id": alias.survivor, "cycle": now, "run_id": run_id}
    db.execute(insert(HANDOFFS), [{**given, **mine}])
    waiting = (n.connection == connection) & (n.lead_id == alias.id) & (n.number == before)
    waiting &= (n.kind == About.HANDOFF) & n.state.in_(OPEN)
    db.execute(update(NOTICES).where(waiting).values(lead_id=alias.survivor, number=now))
