"""Undo: a run is taken back where nobody touched the field since.

What the run wrote is compared with what the CRM holds now, read back for the purpose. A field that
still holds the run's value gets back what it held before; every other one is left and listed. An
undo is a run like any other, so it can be undone itself.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from connectors.base import Change, Connector, Progress
from core.decision import Output
from core.diff import COMPANIONS, Values
from core.facts import LEADS
from sync import guards
from sync.guards import GuardStopError, Limits
from sync.lease import Lease
from sync.ledger_rows import chunks
from sync.ledger_writes import Sent
from sync.plan import ConnectionPlan, PlannedChange
from sync.recording import new_run, recorded
from sync.report import ConnectionReport, RunReport
from sync.session import Session
from sync.stop import Stop
from sync.write import Writer, settle_unanswered
from sync.yaml_source import ConfigError


@dataclass(frozen=True)
class Left:
    """A field that an undo leaves as it is, and why; `output` empty: the whole record."""

    connection: str
    object_type: str
    record_id: str
    output: str
    why: str


@dataclass
class Undoing:
    """What taking a run back would write, by connection, and what it leaves."""

    plans: list[ConnectionPlan] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    @property
    def records(self) -> int:
        """How many records are written."""
        return sum(len(planned.changes) for planned in self.plans)


def look(session: Session, run_id: str, progress: Progress) -> Undoing:
    """What undoing a run would do, by what the CRMs hold now; writes nothing.

    Raises ConfigError for a run that is not in the ledger.
    """
    if not session.ledger.has_run(run_id):
        raise ConfigError([f"no run {run_id} is in the ledger: `leadgauge status` lists them"])
    found = Undoing()
    sent = session.ledger.writes.of_run(run_id)
    for name in dict.fromkeys(write.connection for write in sent):
        mine = [write for write in sent if write.connection == name]
        connector = session.connectors.get(name)
        if connector is None:
            why = "its connection is not configured any more"
            found.left += [Left(name, w.object_type, w.record_id, "", why) for w in mine]
        else:
            _look_at(session, connector, run_id, mine, found, progress)
    return found


def undo(
    session: Session, run_id: str, *, stop: Stop, progress: Progress, limits: Limits
) -> tuple[RunReport, Undoing]:
    """Take a run back, as a run of its own; what it did, and what it left.

    The next cycle decides anew about the records. Raises what a cycle raises.
    """
    report = RunReport(new_run(session.clock()))
    with (
        Lease(session.ledger, session.clock) as lease,
        recorded(session, "undo", report, limits, stop),
    ):
        report.connections += [ConnectionReport(name) for name in session.connectors]
        for connector in session.connectors.values():
            settle_unanswered(connector, session, lease)
        found = look(session, run_id, progress)
        findings = []
        for planned in found.plans:
            made = session.connectors[planned.connection].usage.total
            findings += guards.changes(planned, True, limits, made)
        if findings:
            raise GuardStopError(findings)
        reports = {part.connection: part for part in report.connections}
        for planned in found.plans:
            part = reports[planned.connection]
            part.writing.predicted = planned.price
            part.steps["diff"].passed(len(planned.changes))
            part.steps["diff"].hold("nothing to take back", planned.equal)
            # Our own write is no change of a lead: say that it is to be decided about again.
            for portion in planned.portions():
                ids = [change.change.id for change in portion]
                session.facts.touched.ids(planned.connection, LEADS, ids)
            connector = session.connectors[planned.connection]
            writer = Writer(report.run_id, connector, session, lease)
            writer.carry_out(planned, part, stop, progress)
    return report, found


def _look_at(
    session: Session,
    connector: Connector,
    run_id: str,
    sent: Sequence[Sent],
    found: Undoing,
    progress: Progress,
) -> None:
    """Add to `found` what undoing some writes of one connection would do."""
    name = connector.name
    targets = {o: connector.written_fields(o) for o in connector.capabilities.objects}
    planned = ConnectionPlan(
        name,
        connector.capabilities,
        targets,
        policies={},
        folder=session.facts.folder,
        verify=session.config.connections[name].verify,
    )
    planned.records = len(sent)
    planned.unaffected = max(session.facts.counts(name)[LEADS.name] - len(sent), 0)
    later = session.ledger.writes.later(run_id, name, [write.record_id for write in sent])
    for done, (write, present, other) in enumerate(_with_present(connector, sent), start=1):
        again = later.get(write.record_id, set())
        restored, left = _weigh(write, present, other, again, targets[write.object_type])
        key = (name, write.object_type, write.record_id)
        found.left += [Left(*key, output, why) for output, why in left.items()]
        if restored and present is not None:
            change = Change(write.object_type, write.record_id, restored)
            planned.changes.append(PlannedChange(change, present))
        progress(f"{name}: read back", done, len(sent))
    found.plans.append(planned)


def _with_present(
    connector: Connector, sent: Sequence[Sent]
) -> Iterator[tuple[Sent, Values | None, str | None]]:
    """Each write with what its record holds now, None where the record is gone; and with the id of
    another one that stands for it by now, if one does."""
    for object_type in dict.fromkeys(write.object_type for write in sent):
        for some in chunks(write for write in sent if write.object_type == object_type):
            ids = [write.record_id for write in some]
            held = connector.read_back(object_type, ids)
            others = connector.stand_ins(object_type, ids)
            for write in some:
                yield write, held.get(write.record_id), others.get(write.record_id)


def _weigh(
    write: Sent,
    present: Values | None,
    other: str | None,
    again: Collection[Output],
    targets: Collection[Output],
) -> tuple[Values, dict[str, str]]:
    """What to restore of one write, and what to leave and why, by output.

    `other` is the record that stands for it by now, `again` are the outputs that a later run wrote,
    `targets` those that can be written.
    """
    if other is not None:
        return {}, {"": f"merged or converted: {other} stands for it"}
    if present is None:
        return {}, {"": "the record is gone"}
    if write.before is None:
        return {}, {"": "what it held before was not recorded then"}
    restored: dict[Output, str | None] = {}
    left: dict[str, str] = {}
    for output, value in write.values.items():
        if present.get(output) == write.before.get(output):
            continue
        if output in again:
            left[output] = "written again by a later run"
        elif present.get(output) != value:
            left[output] = "changed by somebody else since"
        elif output not in targets:
            left[output] = "not a written field any more"
        else:
            restored[output] = write.before.get(output)
    if restored.keys() <= COMPANIONS:
        restored = {}
    return restored, {o: why for o, why in left.items() if o not in COMPANIONS}
