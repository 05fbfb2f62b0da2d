"""The ledger: what was decided and done, and by which run; the store to back up.

Writes are kept so that nothing is lost and nothing is sent twice: `intend` before sending,
`settle` when the CRM answers. Only what was acknowledged counts as last written. Every method
is one transaction. All times are aware UTC, and are given: the ledger reads no clock.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Self

from sqlalchemy import delete, func, insert, select, update

from connectors.base import Change, WriteResult
from core.decision import Decision, Output
from sync import ledger_audit
from sync.ledger_answers import AnswersLedger
from sync.ledger_audit import Act, AuditLedger, Entry
from sync.ledger_deciding import decide
from sync.ledger_engine import open_ledger
from sync.ledger_handoffs import HANDED, Handed, HandoffsLedger, Kin
from sync.ledger_heirs import HeirsLedger
from sync.ledger_held import HeldLedger
from sync.ledger_models import ModelsLedger
from sync.ledger_notices import NoticesLedger
from sync.ledger_pace import PaceLedger
from sync.ledger_past import PastLedger, forget_unsent
from sync.ledger_people import PeopleLedger
from sync.ledger_presence import Presence
from sync.ledger_routing import RoutingLedger
from sync.ledger_rows import (
    COMPLETE,
    Decided,
    Quarantined,
    Run,
    RunStatus,
    change_key,
    chunks,
    decided_of,
    outputs,
    plain,
)
from sync.ledger_schema import (
    DECISIONS,
    INTENTS,
    NOTICES,
    QUARANTINE,
    RUNS,
    WRITTEN,
)
from sync.ledger_settling import OPEN, begin_job, opened, settle, unanswered
from sync.ledger_surges import SurgesLedger, Surging
from sync.ledger_timers import TimersLedger
from sync.ledger_usage import UsageLedger
from sync.ledger_writes import WritesLedger

__all__ = ["Decided", "Ledger", "Quarantined", "Run", "RunStatus"]


class Ledger:
    """The ledger at a database address; its schema is brought up to date on opening.

    `past` is the part of it that later decisions rest on, `routing` says who was given which lead,
    `timers` when calls are due, `notices` is the outbox of hand-offs, `handoffs` says of which of a
    person's records sales was told, `heirs` hands down what merged leads went through, `answers`
    what sales said of hand-offs, `surges` the fast rises of scores, `held` are the fields that
    humans hold, `writes` is for what is taken back or sent again, `usage` says how much the APIs
    were used, `pace` counts their calls as they are made, `audit` is the part that nobody changes,
    `models` are the versions of models with their sign-offs, `presence` says which instance runs,
    and `people` what is held about people.
    Raises StoreError where `sync.ledger_engine.open_ledger` does.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_ledger(url)
        self._readers = self._engine.execution_options(leadgauge_reads=True)
        self.past = PastLedger(self._engine, self._readers)
        self.routing = RoutingLedger(self._engine, self._readers)
        self.timers = TimersLedger(self._engine, self._readers)
        self.answers = AnswersLedger(self._engine, self._readers)
        self.surges = SurgesLedger(self._readers)
        self.notices = NoticesLedger(self._engine, self._readers)
        self.handoffs = HandoffsLedger(self._engine, self._readers)
        self.heirs = HeirsLedger(self._engine)
        self.held = HeldLedger(self._engine, self._readers)
        self.writes = WritesLedger(self._engine, self._readers)
        self.usage = UsageLedger(self._readers)
        self.pace = PaceLedger(self._engine)
        self.audit = AuditLedger(self._readers)
        self.models = ModelsLedger(self._engine, self._readers)
        self.presence = Presence(self._engine, self._readers)
        self.people = PeopleLedger(self._engine, self._readers)

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
            began = {"kind": kind, "model": model}
            ledger_audit.append(db, [Entry(Act.RUN_BEGAN, at, began, run_id)])

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
            ledger_audit.append(db, [Entry(Act.RUN_ENDED, at, {"status": status}, run_id)])

    def close_dead_runs(self, *, at: datetime) -> list[str]:
        """Mark the runs that never finished as died; only the holder of the lease may say so."""
        running = RUNS.c.status == RunStatus.RUNNING
        with self._engine.begin() as db:
            dead = list(db.scalars(select(RUNS.c.id).where(running).order_by(RUNS.c.started_at)))
            forget_unsent(db, dead)
            db.execute(update(RUNS).where(running).values(status=RunStatus.DIED, finished_at=at))
            ended = {"status": RunStatus.DIED}
            ledger_audit.append(db, [Entry(Act.RUN_ENDED, at, ended, run_id) for run_id in dead])
        return dead

    def runs(
        self,
        limit: int = 20,
        *,
        kind: str | None = None,
        among: Collection[RunStatus] = tuple(RunStatus),
    ) -> list[Run]:
        """The latest runs, newest first: of one kind if given, and that stand as one of `among`."""
        query = select(RUNS).where(RUNS.c.status.in_(among)).order_by(RUNS.c.started_at.desc())
        if kind is not None:
            query = query.where(RUNS.c.kind == kind)
        with self._readers.begin() as db:
            rows = db.execute(query.limit(limit))
            return [Run(**{**row, "status": RunStatus(row["status"])}) for row in rows.mappings()]

    def run_counts(self) -> dict[tuple[str, RunStatus], int]:
        """How many runs there are, by kind and status."""
        query = select(RUNS.c.kind, RUNS.c.status, func.count()).group_by("kind", "status")
        with self._readers.begin() as db:
            return {(row[0], RunStatus(row[1])): row[2] for row in db.execute(query)}

    def has_run(self, run_id: str) -> bool:
        """Whether a run is recorded here."""
        with self._readers.begin() as db:
            return db.scalar(select(RUNS.c.id).where(RUNS.c.id == run_id)) is not None

    # Decisions

    def decide(
        self,
        run_id: str,
        decisions: Iterable[Decision],
        handed: Handed = HANDED,
        owners: Mapping[str, str | None] = MappingProxyType({}),
        surging: Surging | None = None,
        kin: Kin = MappingProxyType({}),
    ) -> int:
        """Append the decisions that differ from their lead's latest; how many did. Of one that does
        not, the parts of its score are kept as they are now.

        With them, whose stage changed, and which leads are handed off in one of `handed`.
        `owners`: who has each lead in the CRM, for the audit chain to say who had it before.
        `surging`: what is a fast rise of a score; None: nobody asks. `kin`: the other records of
        each lead's person of which sales may be told in its stead.
        """
        with self._engine.begin() as db:
            return sum(
                decide(db, run_id, chunk, handed, owners, surging, kin)
                for chunk in chunks(decisions)
            )

    def rehearse(
        self,
        run_id: str,
        decisions: Iterable[Decision],
        handed: Handed,
        surging: Surging | None = None,
        kin: Kin = MappingProxyType({}),
    ) -> Counter[str]:
        """How many notices `decide` would put out, by their way; it is undone, and nothing kept."""
        with self._engine.connect() as db:
            for chunk in chunks(decisions):
                decide(db, run_id, chunk, handed, {}, surging, kin)
            ways = db.scalars(select(NOTICES.c.way).where(NOTICES.c.run_id == run_id))
            found = Counter(ways)
            db.rollback()
        return found

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
        self,
        run_id: str,
        connection: str,
        changes: Iterable[tuple[Change, Mapping[Output, str | None] | None]],
        *,
        at: datetime,
    ) -> None:
        """Record changes that are about to be sent, each with what it replaces where known."""
        rows = (
            {
                **change_key(connection, change),
                "run_id": run_id,
                "values": plain(change.values),
                "before": None if replaced is None else plain(replaced),
                "at": at,
                "state": OPEN,
            }
            for change, replaced in changes
        )
        with self._engine.begin() as db:
            for chunk in chunks(rows):
                db.execute(insert(INTENTS), chunk)

    def begin_job(self, run_id: str, connection: str, job: str, changes: Iterable[Change]) -> None:
        """Record which job of the CRM carries out some of what a run intends."""
        with self._engine.begin() as db:
            begin_job(db, run_id, connection, job, changes)

    def settle(
        self,
        run_id: str | None,
        connection: str,
        results: Iterable[WriteResult],
        fields: str | None = None,
        *,
        at: datetime,
    ) -> None:
        """Record what the CRM answered to a run; None: to one of before, as was now read back.

        An acknowledged value becomes the last written one and ends the record's quarantine; a
        record that was refused, for good or for now, goes into quarantine with the CRM's reason
        and `fields`, which stands for the written fields. An unknown outcome stays open until it
        was read back.
        """
        with self._engine.begin() as db:
            for chunk in chunks(results):
                settle(db, run_id, connection, chunk, fields, at)

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
            found = {(c.object_type, c.id): c for _, c in opened(db, connection)}
        return list(found.values())

    def open_jobs(self, connection: str) -> dict[str, list[Change]]:
        """The jobs of the CRM by which something was sent that was never answered; oldest first."""
        jobs: dict[str, list[Change]] = {}
        with self._readers.begin() as db:
            for job, change in opened(db, connection):
                if job is not None:
                    jobs.setdefault(job, []).append(change)
        return jobs

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
