"""What becomes of decisions in the ledger: another one is appended, with all that follows from it;
one that is no other is kept true in its place.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from core.decision import Decision
from core.routing import CHAMPION
from sync import ledger_audit
from sync.ledger_handoffs import Handed, Kin
from sync.ledger_past import keep_stages
from sync.ledger_rows import PARTS, SUBSTANCE, decision_row
from sync.ledger_schema import DECISIONS
from sync.ledger_surges import Surging, keep_surges

Row = Mapping[Any, Any]


def decide(
    db: Connection,
    run_id: str,
    decisions: Sequence[Decision],
    handed: Handed,
    owners: Mapping[str, str | None],
    surging: Surging | None,
    kin: Kin,
) -> int:
    """Record some decisions and what follows from them; how many differ from the lead's latest."""
    latest = _latest(db, decisions)
    before = {lead: _said(row, SUBSTANCE) for lead, row in latest.items()}
    changed = [d for d in decisions if before.get(_lead(d)) != _said(vars(d), SUBSTANCE)]
    outdated = [latest[_lead(d)]["id"] for d in changed if _lead(d) in latest]
    if outdated:
        db.execute(update(DECISIONS).where(DECISIONS.c.id.in_(outdated)).values(latest=False))
    if changed:
        db.execute(insert(DECISIONS), [decision_row(run_id, d) for d in changed])
    others = {_lead(d) for d in changed}
    _keep_parts(db, latest, [d for d in decisions if _lead(d) not in others])
    apart = {lead for lead, row in latest.items() if row["owner_reason"] == CHAMPION}
    keep_stages(db, run_id, decisions, handed, kin, apart)
    if surging:
        keep_surges(db, run_id, changed, surging)
    ledger_audit.append(db, ledger_audit.decided(run_id, changed, before, owners))
    return len(changed)


def _keep_parts(
    db: Connection, latest: Mapping[tuple[str, str], Row], same: Iterable[Decision]
) -> None:
    """Keep the parts true of decisions that are the latest of their leads once more."""
    shifted = [
        {"row": latest[_lead(d)]["id"], **{name: getattr(d, name) for name in PARTS}}
        for d in same
        if _said(latest[_lead(d)], PARTS) != _said(vars(d), PARTS)
    ]
    if shifted:
        db.execute(update(DECISIONS).where(DECISIONS.c.id == bindparam("row")), shifted)


def _said(row: Row, names: Sequence[str]) -> tuple[object, ...]:
    return tuple(row[name] for name in names)


def _lead(decision: Decision) -> tuple[str, str]:
    return decision.connection, decision.lead_id


def _latest(db: Connection, decisions: Collection[Decision]) -> dict[tuple[str, str], Row]:
    """The latest decision about each of these leads: its number, and what is compared."""
    c = DECISIONS.c
    names = ("connection", "lead_id", "id", *SUBSTANCE, *PARTS)
    query = select(*(c[name] for name in names)).where(
        c.latest,
        c.connection.in_({d.connection for d in decisions}),
        c.lead_id.in_([d.lead_id for d in decisions]),
    )
    return {(row["connection"], row["lead_id"]): row for row in db.execute(query).mappings()}
