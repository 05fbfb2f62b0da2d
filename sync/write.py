"""Write: carry a plan out, so that nothing is lost and nothing is sent twice.

A change is recorded before it is sent, and settled when the CRM answers. What was sent and
never answered is read back before anything is sent again, in this run or the next; a job of the
CRM that carries changes out is recorded too, and has ended before.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from connectors.base import Change, Connector, Progress, Status, WriteResult
from connectors.errors import ConnectorError
from core.diff import Values
from sync.facts_store import WRITTEN
from sync.lease import Lease
from sync.plan import PORTION_CALLS, ConnectionPlan, PlannedChange
from sync.price import looked_at, read_back
from sync.report import ConnectionReport, Step
from sync.session import Session
from sync.stop import Stop, StoppedError
from sync.verify import borne_out


class Writer:
    """Carries out plans for one connection, within one run, as long as its lease is held."""

    def __init__(self, run_id: str, connector: Connector, session: Session, lease: Lease) -> None:
        self._run_id = run_id
        self._connector = connector
        self._lease = lease
        self._facts = session.facts
        self._ledger = session.ledger
        self._clock = session.clock

    def carry_out(
        self, plan: ConnectionPlan, report: ConnectionReport, stop: Stop, progress: Progress
    ) -> list[str]:
        """Send every change of the plan; what comes of each is in the ledger and in the report.

        Returns the records that the next run must decide about again: of which nothing is known, or
        that somebody changed meanwhile.
        Raises what the connector raises; by then what was sent is settled, and the rest is not
        recorded as sent. Raises StoreBusy before sending anything once the lease is lost.
        """
        before = dict(self._connector.usage.calls)
        try:
            return self._carry_out(plan, report.steps["write"], stop, progress)
        finally:
            report.writing.made = self._connector.usage.since(before)

    def _carry_out(
        self, plan: ConnectionPlan, step: Step, stop: Stop, progress: Progress
    ) -> list[str]:
        fields = plan.fields
        waiting: list[str] = []
        start = 0
        for ahead, portion in zip(plan.portions(), plan.portions(), strict=True):
            stop.check()
            name, done = self._connector.name, 0
            moved = self._moved(ahead, plan)
            # To look may have taken long.
            self._lease.hold()
            if moved:
                step.hold("changed meanwhile", len(moved))
            waiting += moved
            start += len(moved)
            changes = self._intended(p for p in portion if p.change.id not in moved)
            try:
                for results in self._results(changes, verify=plan.verify):
                    self._settle(results, step, fields)
                    waiting += [r.change.id for r in results if r.status is Status.UNKNOWN]
                    done += len({result.change.id for result in results})
                    progress(f"{name}: write", start + done, len(plan.changes))
                    self._lease.hold()
            except ConnectorError:
                # A change without a result was not sent: the next run decides about it anew.
                self._ledger.withdraw(self._run_id, name)
                raise
            start += len(changes)
        return waiting

    def _moved(self, portion: Iterable[PlannedChange], plan: ConnectionPlan) -> set[str]:
        """The records of which somebody changed a field that is to be written, since they were
        read.

        Nothing is written to them: what they are to hold is decided again, by the next run.
        """
        size = self._connector.capabilities.read_back_batch * PORTION_CALLS
        unseen: defaultdict[str, dict[str, PlannedChange]] = defaultdict(dict)
        moved = set[str]()
        for planned in portion:
            if looked_at(planned.change, plan.policies, verify=plan.verify):
                some = unseen[planned.change.object_type]
                some[planned.change.id] = planned
                if len(some) == size:
                    moved |= self._changed(planned.change.object_type, some)
                    some.clear()
        for object_type, some in unseen.items():
            moved |= self._changed(object_type, some)
        return moved

    def _changed(self, object_type: str, planned: Mapping[str, PlannedChange]) -> set[str]:
        """The records that hold neither what they held when they were read nor what is planned."""
        held = self._connector.read_back(object_type, planned)
        return {
            id_
            for id_, now in held.items()
            for output, value in planned[id_].change.values.items()
            if now.get(output) not in (planned[id_].before.get(output), value)
        }

    def _intended(self, portion: Iterable[PlannedChange]) -> list[Change]:
        """Record what is about to be sent; what it replaces is not kept in memory any longer."""
        changes: list[Change] = []

        def each() -> Iterator[tuple[Change, Values]]:
            for planned in portion:
                changes.append(planned.change)
                yield planned.change, planned.replaced

        self._ledger.intend(self._run_id, self._connector.name, each(), at=self._clock())
        return changes

    def _began(self, job: str, changes: Sequence[Change]) -> None:
        """Record a job before it can take effect, and let none begin once the lease is lost."""
        self._lease.hold()
        self._ledger.begin_job(self._run_id, self._connector.name, job, changes)

    def _results(self, chunk: Sequence[Change], *, verify: bool) -> Iterator[list[WriteResult]]:
        """The connector's results in groups of a call, those before an error or a stop too.

        Those to be read back come last, together, as that takes fewer calls; a group may be empty.
        """
        group: list[WriteResult] = []
        acknowledged: list[WriteResult] = []
        failure: ConnectorError | StoppedError | None = None
        try:
            for count, result in enumerate(self._connector.write(chunk, self._began), start=1):
                written = result.status is Status.WRITTEN
                asked = written and read_back(result.change, verify=verify)
                (acknowledged if asked else group).append(result)
                if count % self._connector.capabilities.write_batch == 0:
                    yield group
                    group = []
        except (ConnectorError, StoppedError) as error:
            failure = error
        if group:
            yield group
        if acknowledged:
            yield borne_out(self._connector, acknowledged)
        if failure:
            raise failure

    def _settle(self, results: Sequence[WriteResult], step: Step, fields: str) -> None:
        """Keep what became of some changes.

        Facts first: killed in between, the intent is still open, and is read back. The other way
        round the facts would be behind until the CRM shows the change, and it would be sent again.
        """
        name = self._connector.name
        self._facts.settle(name, written_table(results))
        self._ledger.settle(self._run_id, name, results, fields, at=self._clock())
        refused = {result.change.id for result in results if result.status is Status.REFUSED}
        for result in results:
            if result.status is Status.WRITTEN:
                # Of a record that was kept in part, the refusal is what counts.
                if result.change.id not in refused:
                    step.passed()
            elif result.status is Status.REFUSED:
                step.reject(result.code or "refused")
            else:
                step.hold(result.code or result.status.value)


def written_table(results: Sequence[WriteResult]) -> pa.Table:
    """The acknowledged ones among some results, as the facts take them."""
    rows = [
        {
            "id": result.survivor or result.change.id,
            "present": list({str(k): v for k, v in result.change.values.items()}.items()),
            "modified_at": result.modified_at,
        }
        for result in results
        if result.status is Status.WRITTEN
    ]
    return pa.Table.from_pylist(rows, schema=WRITTEN)


def settle_unanswered(connector: Connector, session: Session, lease: Lease) -> None:
    """Settle what an earlier run sent without getting an answer: read it back.

    A job of the CRM that was to write is asked first, and writes nothing more then. A field that
    the CRM holds as it was sent counts as written; any other is as if never sent, or somebody has
    edited it since, and the diff decides about it anew. Raises StoreBusy once the lease is lost.
    """
    ledger, verify = session.ledger, session.config.connections[connector.name].verify
    for job, changes in ledger.open_jobs(connector.name).items():
        # What it did not write may have been sent again after it, and is read back all the same.
        written = [r for r in connector.conclude(job, changes) if r.status is Status.WRITTEN]
        asked = [r for r in written if read_back(r.change, verify=verify)]
        known = [r for r in written if not read_back(r.change, verify=verify)]
        _settle(known + borne_out(connector, asked), connector, session)
    by_type: dict[str, list[Change]] = {}
    for change in ledger.open_intents(connector.name):
        by_type.setdefault(change.object_type, []).append(change)
    for object_type, changes in by_type.items():
        held = connector.read_back(object_type, [change.id for change in changes])
        arrived = [
            WriteResult(replace(change, values=dict(same)), Status.WRITTEN)
            for change in changes
            if (same := change.values.items() & held.get(change.id, {}).items())
        ]
        _settle(arrived, connector, session)
    # To ask may have taken long: what another instance sends by now is not ours to forget.
    lease.hold()
    ledger.withdraw_unanswered(connector.name)


def _settle(results: Sequence[WriteResult], connector: Connector, session: Session) -> None:
    """Keep what became of an earlier run's changes."""
    session.facts.settle(connector.name, written_table(results))
    session.ledger.settle(None, connector.name, results, at=session.clock())
