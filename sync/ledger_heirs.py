"""Heirs: who stands for a merged or converted lead takes over what that lead went through.

Sales is told of a person once in a cycle of qualification, and not again because the lead that it
was told of became a contact.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from core.decision import Output
from sync.aliases import Alias
from sync.ledger_engine import listed, upsert
from sync.ledger_handoffs import last_stages
from sync.ledger_notices import About
from sync.ledger_schema import HANDOFFS, NOTICES, STAGES, WRITTEN

_INSTANT = timedelta(microseconds=1)

Row = Mapping[Any, Any]


@dataclass(frozen=True)
class Holding:
    """What a survivor is, and what its written fields hold, by output."""

    object_type: str
    present: Mapping[str, str | None]


class HeirsLedger:
    """The part of a ledger that hands down what leads went through."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def hand_down(
        self,
        run_id: str,
        connection: str,
        gone: Sequence[Alias],
        handed: Collection[str],
        *,
        at: datetime,
    ) -> None:
        """Hand down, as just before `at`, the stage, the cycle and the hand-off of leads that are
        gone, in one transaction.

        A survivor takes them over that has no past of its own, or that is not at sales (in one of
        the stages `handed`) where the other was. What was still to be told of the other is told of
        it. Doing so again changes nothing: who is gone has no stage afterwards.
        """
        with self._engine.begin() as db:
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
                now = {"connection": connection, "at": when, "run_id": run_id}
                if mine is None or (theirs["stage"] in handed and mine["stage"] not in handed):
                    taken = _taken(theirs, mine)
                    _hand_over(db, run_id, connection, alias, (theirs["cycle"], taken["cycle"]))
                    db.execute(insert(STAGES), [_row({**taken, **now, "lead_id": alias.survivor})])
                    known[alias.survivor] = {**taken, "since": when}
                if theirs["stage"] is not None:
                    db.execute(insert(STAGES), [_row({**theirs, **now, "stage": None})])

    def hand_down_written(
        self, connection: str, gone: Sequence[Alias], holding: Mapping[str, Holding]
    ) -> None:
        """Let count as ours what survivors (`holding`, by id) hold as we last wrote it to leads
        that are gone, in one transaction: a CRM carries values over, and no human set them.

        Whose a survivor is stays with whoever has it. Doing so again changes nothing.
        """
        c = WRITTEN.c
        with self._engine.begin() as db:
            ids = {name for alias in gone for name in (alias.id, alias.survivor)}
            rows = select(WRITTEN).where(
                c.connection == connection, c.record_id.in_(listed(db, ids))
            )
            known = {row["record_id"]: dict(row) for row in db.execute(rows).mappings()}
            heirs = dict[str, dict[str, Any]]()
            for alias in gone:
                theirs, now = known.get(alias.id), holding.get(alias.survivor)
                if theirs is None or now is None:
                    continue
                none = {"object_type": now.object_type, "record_id": alias.survivor, "values": {}}
                mine = known.setdefault(alias.survivor, {**theirs, **none})
                carried = {
                    output: value
                    for output, value in theirs["values"].items()
                    if output not in (*mine["values"], Output.OWNER)
                    and now.present.get(output) == value
                }
                if carried:
                    mine["values"] = {**mine["values"], **carried}
                    heirs[alias.survivor] = mine
            upsert(db, WRITTEN, list(heirs.values()))


def _taken(theirs: Row, mine: Row | None) -> dict[Any, Any]:
    """What a survivor with a past, or without one, went through now."""
    both = [row for row in (theirs, mine) if row]
    lefts = [row["left_at"] for row in both if row["left_at"]]
    cycle = max(row["cycle"] for row in both)
    return {**theirs, "cycle": cycle, "left_at": max(lefts, default=None)}


def _after(since: datetime, theirs: Row, mine: Row | None, at: datetime) -> datetime:
    """When the one is gone, but after all that either went through, and before `at`."""
    known: list[datetime] = [row["since"] for row in (theirs, mine) if row]
    return max(min(since, at - _INSTANT), *(then + _INSTANT for then in known))


def _row(values: Row) -> dict[str, Any]:
    return {column.name: values[column.name] for column in STAGES.c}


def _hand_over(
    db: Connection, run_id: str, connection: str, alias: Alias, cycles: tuple[int, int]
) -> None:
    """Record the hand-off of one lead for another, with what was told of it, or is still to be."""
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
    told = (n.connection == connection) & (n.lead_id == alias.id) & (n.number == before)
    told &= n.kind == About.HANDOFF
    db.execute(update(NOTICES).where(told).values(lead_id=alias.survivor, number=now))
