"""One cycle: pull -> score -> qualify -> route -> decide -> diff -> plan -> write -> settle.

A plan is the same cycle that stops before writing.
"""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connectors.base import Connector, Progress
from connectors.errors import ConnectorError
from core.decision import Decision, Output
from core.diff import Values
from core.facts import LEADS
from core.routing import NOT_READY, Assignment
from sync import guards
from sync.decide import Decider, assign
from sync.errors import StoreError
from sync.guards import GuardStopError, Limits
from sync.ledger_rows import Quarantined, RunStatus
from sync.plan import Compared, ConnectionPlan
from sync.pull import Pulled, pull
from sync.report import ConnectionReport, RunReport
from sync.roster import find
from sync.session import Session
from sync.stop import Stop, StoppedError
from sync.write import Writer, reconcile

LEASE = timedelta(minutes=5)
"""How long a holder may be silent before another instance takes over; renewed at every step."""


@dataclass
class Cycle:
    """What a cycle did, or would do: the report, and the plan of each connection."""

    report: RunReport
    plans: list[ConnectionPlan] = field(default_factory=list)
    unread: dict[str, int] = field(default_factory=dict)


def run_cycle(
    session: Session,
    *,
    kind: str,
    stop: Stop,
    progress: Progress,
    limits: Limits,
    write: bool = True,
) -> Cycle:
    """Run one cycle over the session's connections, under the lease and recorded in the ledger.

    Raises GuardStopError before the first write, StoppedError after a clean stop, and what the
    connectors raise; whatever was done by then is kept and recorded.
    """
    run_id = f"{session.clock():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    cycle = Cycle(RunReport(run_id))
    with _recorded(session, run_id, kind, cycle):
        pulled = {
            name: _pull(session, connector, cycle, stop, progress, limits)
            for name, connector in session.connectors.items()
        }
        at = _whole_second(max(result.until for result in pulled.values()))
        with Decider(session.model, session.config.routing, session.facts, at) as decider:
            for connector, report in zip(
                session.connectors.values(), cycle.report.connections, strict=True
            ):
                session.ledger.acquire(_holder(), at=session.clock(), lasts=LEASE)
                record = run_id if write else ""
                cycle.plans.append(_decide(session, connector, decider, report, record))
                stop.check()
        _guard(session, cycle, limits)
        if write:
            for connector, report, planned in zip(
                session.connectors.values(), cycle.report.connections, cycle.plans, strict=True
            ):
                writer = Writer(run_id, connector, session.facts, session.ledger, session.clock)
                writer.carry_out(planned, report.steps["write"], stop, progress)
    return cycle


@contextmanager
def _recorded(session: Session, run_id: str, kind: str, cycle: Cycle) -> Iterator[None]:
    """Hold the lease, and record how the run ends, whatever way it does."""
    ledger, clock = session.ledger, session.clock
    ledger.acquire(_holder(), at=clock(), lasts=LEASE)
    ledger.close_dead_runs(at=clock())
    ledger.start(run_id, kind, model=session.model.label, at=clock())
    status, error = RunStatus.FAILED, None
    try:
        yield
        status = RunStatus.REFUSED if cycle.report.refused else RunStatus.DONE
    except StoppedError:
        status = RunStatus.STOPPED
        raise
    except GuardStopError as stopped:
        status, error = RunStatus.GUARDED, str(stopped)
        raise
    except (ConnectorError, StoreError) as failure:
        error = str(failure)
        raise
    finally:
        for connector, report in zip(
            session.connectors.values(), cycle.report.connections, strict=False
        ):
            report.calls = dict(connector.usage.calls)
        counts = {c.connection: c.as_dict() for c in cycle.report.connections}
        calls = {c.connection: c.calls for c in cycle.report.connections}
        ledger.finish(run_id, status, at=clock(), counts=counts, calls=calls, error=error)
        ledger.release(_holder())


def _holder() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _whole_second(moment: datetime) -> datetime:
    """The first whole second at or after an instant: what was pulled is then in the past."""
    whole = moment.replace(microsecond=0)
    return whole if whole == moment else whole + timedelta(seconds=1)


def _pull(
    session: Session,
    connector: Connector,
    cycle: Cycle,
    stop: Stop,
    progress: Progress,
    limits: Limits,
) -> Pulled:
    """Settle what was left open, pull, and refuse a source that lost most of its leads."""
    report = ConnectionReport(connector.name)
    cycle.report.connections.append(report)
    reconcile(connector, session.facts, session.ledger, session.clock)
    held = session.facts.counts(connector.name)[LEADS.name]
    pulled = pull(connector, session.facts, report.steps["pull"], stop, progress)
    cycle.unread[connector.name] = len(pulled.unread)
    live = session.facts.counts(connector.name)[LEADS.name]
    removed = pulled.leads_removed
    known = max(held, live + removed)
    findings = guards.emptied(connector.name, live, held) or guards.removals(
        connector.name, removed, known, limits
    )
    if findings and limits.change_share < 1:
        raise GuardStopError(findings)
    return pulled


def _decide(
    session: Session,
    connector: Connector,
    decider: Decider,
    report: ConnectionReport,
    run_id: str,
) -> ConnectionPlan:
    """Route, compare and plan one connection; recorded in the ledger where there is a run."""
    name, ledger = connector.name, session.ledger
    routing = session.config.routing
    roster = find(routing, session.facts, name, connector.capabilities).roster if routing else None
    assignments = assign(decider, name, roster, ledger)
    if run_id:
        given = [a for a in assignments.values() if a.owner_id is not None]
        ledger.assign(run_id, name, given, at=session.clock())
    planned = ConnectionPlan(
        name,
        connector.capabilities,
        targets={o: connector.written_fields(o) for o in connector.capabilities.objects},
        policies=session.config.connections[name].policies(),
    )
    quarantined = {q.record_id: q for q in ledger.quarantine(name)}
    for batch in decider.decided(name, assignments):
        if run_id:
            ledger.decide(run_id, (item.decision for item in batch))
        last = ledger.last_written(name, [item.decision.lead_id for item in batch])
        for item in batch:
            decision = item.decision
            written = last.get(decision.lead_id, {})
            if decision.owner_id is not None:
                # Routing gives an owner only where the present one is nobody's choice.
                written = {**written, Output.OWNER: item.present.get(Output.OWNER)}
            refused = _refused(quarantined.get(decision.lead_id), item.modified_at)
            planned.add(Compared(decision, item.present, written, refused, item.parent))
            _count(report, decision, assignments.get(decision.lead_id), routed=roster is not None)
    report.steps["score"].reject("not a lead", decider.rejected(name))
    report.steps["diff"].passed(len(planned.changes))
    report.steps["diff"].hold("nothing to change", planned.equal)
    report.steps["diff"].hold("in quarantine", planned.waiting)
    report.planned_write_calls = planned.write_calls
    report.foreign = len(planned.foreign)
    return planned


def _refused(entry: Quarantined | None, modified_at: datetime) -> Values | None:
    """What the CRM will refuse again: nothing, once the record was changed."""
    return entry.values if entry and modified_at <= entry.last_seen else None


def _count(
    report: ConnectionReport, decision: Decision, assignment: Assignment | None, *, routed: bool
) -> None:
    """Count one lead through the steps up to routing."""
    report.steps["score"].passed()
    if decision.stage is None:
        report.steps["qualify"].hold("below every threshold")
        return
    report.steps["qualify"].passed()
    if assignment is None:
        report.steps["route"].hold(NOT_READY if routed else "no routing configured")
    elif assignment.owner_id is None:
        report.steps["route"].hold(assignment.reason)
    else:
        report.steps["route"].passed()


def _guard(session: Session, cycle: Cycle, limits: Limits) -> None:
    """Stop before the first write where a plan is not plausible; all reasons at once."""
    findings = [
        finding
        for planned in cycle.plans
        for finding in guards.changes(
            planned, known=session.ledger.has_written(planned.connection), limits=limits
        )
    ]
    if findings:
        raise GuardStopError(findings)
