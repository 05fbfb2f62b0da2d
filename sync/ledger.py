"""The ledger: what was decided and done, and by which run; the store to back up.

Writes are kept so that nothing is lost and nothing is sent twice: `intend` before sending,
`settle` when the CRM answers. Only what was acknowledged counts as last written. Every method
is one transaction. All times are aware UTC, and are given: the ledger reads no clock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import (
    Connection,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from connectors.base import Change, Status, WriteResult
from core.decision import Decision, Output
from core.routing import Assignment
from core.rules import Model
from sync.errors import StoreBusy
from sync.ledger_engine import open_ledger, upsert
from sync.ledger_past import HANDED, PastLedger, forget_unsent, keep_stages
from sync.ledger_rows import (
    COMPLETE,
    SUBSTANCE,
    Decided,
    Quarantined,
    Run,
    RunStatus,
    change_key,
    chunks,
    decided_of,
    decision_row,
    outputs,
    plain,
    substance,
)
from sync.ledger_schema import (
    ASSIGNMENTS,
    DECISIONS,
    HEARTBEATS,
    INTENTS,
    LEASES,
    QUARANTINE,
    RUNS,
    SIGN_OFFS,
    WRITTEN,
)
from sync.ledger_settling import OPEN, close_intents, keep_refused, keep_written, unanswered

__all__ = ["Decided", "Ledger", "Quarantined", "Run", "RunStatus"]

LEASE = "sync"


class Ledger:
    """The ledger at a database address; its schema is brought up to date on opening.

    `past` is the part of it that later decisions rest on.
    Raises StoreError where `sync.ledger_engine.open_ledger` does.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_ledger(url)
        self._readers = self._engine.execution_options(leadgauge_reads=True)
        self.past = PastLedger(self._engine, self._readers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection to the database."""
        self._engine.dispose()

    # Runs

    def start(self, run_id: str, kind: str, *, model: str, at: datetime) -> None:
        """Record that a run begins."""
        with self._engine.begin() as db:
            db.execute(
                insert(RUNS).values(
                    id=run_id,
                    kind=kind,
                    model=model,
                    started_at=at,
                    status=RunStatus.RUNNING,
                    counts={},
                    calls={},
                )
            )

    def finish(
        self,
        run_id: str,
        status: RunStatus,
        *,
        at: datetime,
        counts: Mapping[str, Any],
        calls: Mapping[str, Any],
        error: str | None = None,
    ) -> None:
        """Record how a run ended; one that ended early leaves no past where it sent nothing."""
        with self._engine.begin() as db:
            if status not in COMPLETE:
                forget_unsent(db, [run_id])
            db.execute(
                update(RUNS)
                .where(RUNS.c.id == run_id)
                .values(
                    status=status,
                    finished_at=at,
                    counts=dict(counts),
                    calls=dict(calls),
                    error=error,
                )
            )

    def close_dead_runs(self, *, at: datetime) -> list[str]:
        """Mark the runs that never finished as died; only the holder of the lease may say so."""
        running = RUNS.c.status == RunStatus.RUNNING
        with self._engine.begin() as db:
            dead = list(db.scalars(select(RUNS.c.id).where(running).order_by(RUNS.c.started_at)))
            forget_unsent(db, dead)
            db.execute(update(RUNS).where(running).values(status=RunStatus.DIED, finished_at=at))
        return dead

    def runs(self, limit: int = 20) -> list[Run]:
        """The latest runs, newest first."""
        with self._readers.begin() as db:
            rows = db.execute(select(RUNS).order_by(RUNS.c.started_at.desc()).limit(limit))
            return [Run(**{**row, "status": RunStatus(row["status"])}) for row in rows.mappings()]

    def has_run(self, run_id: str) -> bool:
        """Whether a run is recorded here."""
        with self._readers.begin() as db:
            return db.scalar(select(RUNS.c.id).where(RUNS.c.id == run_id)) is not None

    # Decisions

    def decide(
        self, run_id: str, decisions: Iterable[Decision], handed: frozenset[str] = HANDED
    ) -> int:
        """Append the decisions that differ from their lead's latest; how many did.

        With them, whose stage changed, and which leads are handed off in one of `handed`.
        """
        appended = 0
        with self._engine.begin() as db:
            for chunk in chunks(decisions):
                latest = _latest(db, chunk)
                changed = [d for d in chunk if latest.get(_lead(d), (0,))[1:] != substance(d)]
                outdated = [latest[_lead(d)][0] for d in changed if _lead(d) in latest]
                if outdated:
                    db.execute(
                        update(DECISIONS).where(DECISIONS.c.id.in_(outdated)).values(latest=False)
                    )
                if changed:
                    db.execute(insert(DECISIONS), [decision_row(run_id, d) for d in changed])
                appended += len(changed)
                keep_stages(db, run_id, chunk, handed)
        return appended

    def decisions(self, connection: str, lead_id: str) -> list[Decided]:
        """Everything ever decided about one lead, oldest first."""
        with self._readers.begin() as db:
            rows = db.execute(
                select(DECISIONS)
                .where(DECISIONS.c.connection == connection, DECISIONS.c.lead_id == lead_id)
                .order_by(DECISIONS.c.id)
            ).mappings()
            return [decided_of(row) for row in rows]

    # Writes

    def intend(
        self, run_id: str, connection: str, changes: Sequence[Change], *, at: datetime
    ) -> None:
        """Record changes that are about to be sent."""
        rows = [
            {
                **change_key(connection, change),
                "run_id": run_id,
                "values": plain(change.values),
                "at": at,
                "state": OPEN,
            }
            for change in changes
        ]
        if rows:
            with self._engine.begin() as db:
                db.execute(insert(INTENTS), rows)

    def settle(
        self, run_id: str | None, connection: str, results: Iterable[WriteResult], *, at: datetime
    ) -> None:
        """Record what the CRM answered to a run; None: to one of before, as was now read back.

        An acknowledged value becomes the last written one and ends the record's quarantine; a
        refused record goes into quarantine with the CRM's reason; of the others nothing is
        known to be written. An unknown outcome stays open until it was read back.
        """
        with self._engine.begin() as db:
            for chunk in chunks(results):
                close_intents(db, connection, chunk, at)
                written = [r for r in chunk if r.status is Status.WRITTEN]
                refused = [r for r in chunk if r.status is Status.REFUSED]
                keep_written(db, run_id, connection, written, at)
                keep_refused(db, run_id, connection, refused, at)

    def withdraw(self, run_id: str, connection: str) -> None:
        """Forget what a run meant to send and did not, as no answer was even waited for."""
        unsent = (INTENTS.c.run_id == run_id) & (INTENTS.c.state == OPEN)
        with self._engine.begin() as db:
            db.execute(delete(INTENTS).where(INTENTS.c.connection == connection, unsent))

    def withdraw_unanswered(self, connection: str) -> None:
        """Forget what no answer came to in any run, once it was read back."""
        with self._engine.begin() as db:
            db.execute(delete(INTENTS).where(INTENTS.c.connection == connection, unanswered()))

    def open_intents(self, connection: str) -> list[Change]:
        """What was sent, or was about to be, and never answered; to be read back. Oldest first.

        Of several for one record, the last.
        """
        with self._readers.begin() as db:
            rows = db.execute(
                select(INTENTS)
                .where(
                    INTENTS.c.connection == connection,
                    unanswered(),
                )
                .order_by(INTENTS.c.id)
            ).mappings()
            changes = {
                (row["object_type"], row["record_id"]): Change(
                    row["object_type"], row["record_id"], outputs(row["values"])
                )
                for row in rows
            }
        return list(changes.values())

    def last_written(
        self, connection: str, ids: Collection[str] | None = None
    ) -> dict[str, dict[Output, str | None]]:
        """What we last wrote and the CRM acknowledged, by record id; of `ids` alone if given."""
        query = select(WRITTEN.c.record_id, WRITTEN.c["values"]).where(
            WRITTEN.c.connection == connection
        )
        with self._readers.begin() as db:
            if ids is None:
                return {row[0]: outputs(row[1]) for row in db.execute(query)}
            return {
                row[0]: outputs(row[1])
                for chunk in chunks(ids)
                for row in db.execute(query.where(WRITTEN.c.record_id.in_(chunk)))
            }

    def has_written(self, connection: str) -> bool:
        """Whether the CRM ever acknowledged a write of ours."""
        query = select(WRITTEN.c.record_id).where(WRITTEN.c.connection == connection).limit(1)
        with self._readers.begin() as db:
            return db.scalar(query) is not None

    def quarantine(self, connection: str | None = None) -> list[Quarantined]:
        """The records that the CRM refuses, longest first; of one connection if given."""
        query = select(QUARANTINE).order_by(QUARANTINE.c.first_seen, QUARANTINE.c.record_id)
        if connection is not None:
            query = query.where(QUARANTINE.c.connection == connection)
        with self._readers.begin() as db:
            return [
                Quarantined(**{**row, "values": outputs(row["values"])})
                for row in db.execute(query).mappings()
            ]

    # Assignments

    def assign(
        self, run_id: str, connection: str, assignments: Iterable[Assignment], *, at: datetime
    ) -> None:
        """Record to whom leads were given; a lead's newer assignment replaces its older."""
        with self._engine.begin() as db:
            for chunk in chunks(assignments):
                rows = [
                    {
                        "connection": connection,
                        "lead_id": a.lead_id,
                        "owner_id": a.owner_id,
                        "reason": a.reason,
                        "run_id": run_id,
                        "at": at,
                    }
                    for a in chunk
                    if a.owner_id is not None
                ]
                upsert(db, ASSIGNMENTS, rows)

    def assigned(self, connection: str) -> dict[str, str]:
        """Lead -> the owner that it was last given to."""
        with self._readers.begin() as db:
            rows = db.execute(
                select(ASSIGNMENTS.c.lead_id, ASSIGNMENTS.c.owner_id).where(
                    ASSIGNMENTS.c.connection == connection
                )
            )
            return {row[0]: row[1] for row in rows}

    def assigned_counts(self, connection: str) -> dict[str, int]:
        """Owner -> how many leads were last given to them."""
        with self._readers.begin() as db:
            rows = db.execute(
                select(ASSIGNMENTS.c.owner_id, func.count())
                .where(ASSIGNMENTS.c.connection == connection)
                .group_by(ASSIGNMENTS.c.owner_id)
            )
            return {row[0]: row[1] for row in rows}

    # Sign-offs

    def sign(self, model: Model, team: str, *, at: datetime) -> None:
        """Record that a team agrees to a model, by its content; the first time counts."""
        row = {"version": model.version, "team": team, "model": model.name, "at": at}
        with self._engine.begin() as db:
            upsert(db, SIGN_OFFS, [row], keep=("at",))

    def signed(self, model: Model) -> dict[str, datetime]:
        """The teams that agreed to a model of this content, and when."""
        query = select(SIGN_OFFS.c.team, SIGN_OFFS.c.at).where(SIGN_OFFS.c.version == model.version)
        with self._readers.begin() as db:
            return {row[0]: row[1] for row in db.execute(query.order_by(SIGN_OFFS.c.team))}

    # One instance at a time

    def acquire(self, holder: str, *, at: datetime, lasts: timedelta) -> None:
        """Take the lease, or renew one's own. Raises StoreBusy while another holder has it."""
        taking = {"holder": holder, "expires_at": at + lasts}
        free = (LEASES.c.holder == holder) | (LEASES.c.expires_at <= at)
        with self._engine.begin() as db:
            lease = db.execute(select(LEASES).where(LEASES.c.name == LEASE).with_for_update())
            held = lease.mappings().first()
            if held is None:
                # Of two at the same instant, the second one's insert fails on the key.
                try:
                    db.execute(insert(LEASES).values(name=LEASE, **taking))
                except IntegrityError:
                    raise StoreBusy(
                        "another instance has just begun to run on this ledger; wait, or stop it"
                    ) from None
                return
            taken = db.execute(update(LEASES).where(LEASES.c.name == LEASE, free).values(taking))
            if not taken.rowcount:
                raise StoreBusy(
                    f"{held['holder']} is running on this ledger (its lease ends "
                    f"{held['expires_at']:%Y-%m-%dT%H:%M:%SZ} unless renewed); wait, or stop it"
                )

    def release(self, holder: str) -> None:
        """Give the lease back; nothing if it is not one's own."""
        with self._engine.begin() as db:
            db.execute(delete(LEASES).where(LEASES.c.name == LEASE, LEASES.c.holder == holder))

    def beat(self, name: str, *, at: datetime) -> None:
        """Say that something that runs by itself is alive."""
        with self._engine.begin() as db:
            upsert(db, HEARTBEATS, [{"name": name, "at": at}])

    def heartbeat(self, name: str) -> datetime | None:
        """When it last said so."""
        with self._readers.begin() as db:
            return db.scalar(select(HEARTBEATS.c.at).where(HEARTBEATS.c.name == name))


def _lead(decision: Decision) -> tuple[str, str]:
    return decision.connection, decision.lead_id


def _latest(db: Connection, decisions: Collection[Decision]) -> dict[tuple[str, str], Any]:
    """The number and the substance of the latest decision about each of these leads."""
    c = DECISIONS.c
    columns = [c[name] for name in ("connection", "lead_id", "id", *SUBSTANCE)]
    query = select(*columns).where(
        c.latest,
        c.connection.in_({d.connection for d in decisions}),
        c.lead_id.in_([d.lead_id for d in decisions]),
    )
    return {(row[0], row[1]): tuple(row[2:]) for row in db.execute(query)}
