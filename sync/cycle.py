"""One cycle: pull -> score -> qualify -> route -> decide -> diff -> plan -> write -> settle, and
retention in the end.

A plan is the same cycle that stops before writing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from connectors.base import Connector, Price, Progress, Status, Stream
from connectors.errors import MappingError
from core.decision import OPTIONAL, Decision, Output
from core.facts import LEADS
from core.past import Past
from core.roster import Roster
from core.routing import NOT_READY, Assignment
from core.stages import HELD_OUT, RULED_OUT
from sync import guards, handoff, price, retention
from sync.asked import asked_by
from sync.compare import Comparer
from sync.config import SignOff
from sync.decide import Decider, past_of
from sync.guards import GuardStopError, Limits
from sync.kin import People, hand_down
from sync.lease import Lease
from sync.lint import doubts
from sync.plan import ConnectionPlan
from sync.pull import Read, Reader, pull
from sync.recording import new_run, recorded
from sync.report import ConnectionReport, RunReport
from sync.retention import Due
from sync.roster import colleagues, find
from sync.route import Round, assign, record, start_timers
from sync.selection import Selection, chosen, select
from sync.session import Session
from sync.sign_off import unsigned
from sync.staffing import shortages
from sync.stop import Stop
from sync.write import Writer, settle_unanswered


@dataclass
class Cycle:
    """What a cycle did, or would do: the report, and the plan of each connection."""

    report: RunReport
    plans: list[ConnectionPlan] = field(default_factory=list)


def run_cycle(
    session: Session,
    *,
    kind: str,
    stop: Stop,
    progress: Progress,
    limits: Limits,
    write: bool = True,
    full: bool = False,
    verify: bool = False,
    read: Read = pull,
    priced: Mapping[str, Price] | None = None,
) -> Cycle:
    """Run one cycle over the session's connections, under the lease and recorded in the ledger.

    It decides about the leads that something can have changed for; `full`: about all of them.
    `verify`: every write is read back, and not the owners alone. `priced` is what the reading of a
    connection was priced at before; the first reading of one is priced here.
    Raises GuardStopError before the first write, StoppedError after a clean stop, StoreBusy when
    another instance holds the lease, and what the connectors raise; whatever was done by then is
    kept and recorded.
    """
    run_id = new_run(session.clock())
    cycle = Cycle(RunReport(run_id))
    with (
        Lease(session.ledger, session.clock) as lease,
        recorded(session, kind, cycle.report, limits, stop),
    ):
        if write:
            cycle.report.warnings += _signed_off(session)
        cycle.report.warnings += doubts(session)
        steps = _Steps(session, run_id, write, lease, stop, progress, limits, verify, read)
        pulled = []
        known = priced or {}
        for connector in session.connectors.values():
            report = ConnectionReport(connector.name)
            cycle.report.connections.append(report)
            pulled.append(steps.pull(connector, report, known.get(connector.name)))
            cycle.report.warnings += report.of_reading
        at = _whole_second(max(pulled))
        over = [retention.due(session, report, at) for report in cycle.report.connections]
        parts = _planned(session, steps, cycle.report, at, full=full)
        cycle.plans += [part.planned for part in parts]
        for part in parts:
            cycle.report.warnings += part.report.unusual
        if write:
            steps.guard(cycle.plans, over)
            for part in parts:
                cycle.report.warnings += steps.write(part, at)
                # What got no answer is not there yet, so the connection is not finished.
                if not part.report.steps["write"].reasons_held[Status.UNKNOWN]:
                    session.ledger.past.keep_scored(run_id, part.planned.connection, at=at)
            for found in over:
                steps.forget(found)
    return cycle


def _planned(
    session: Session, steps: "_Steps", report: RunReport, at: datetime, *, full: bool
) -> list["_Part"]:
    """Decide, and plan what to write to each connection."""
    routing, identity = session.config.routing, session.config.identity
    steps.hand_down(at)
    past = past_of(session.ledger, routing, at, session.segments)
    pairs = zip(session.connectors.values(), report.connections, strict=True)
    found = {
        name: find(routing, session.facts, name, connector.capabilities)
        for name, connector in session.connectors.items()
        if routing
    }
    if routing:
        report.warnings += shortages(routing, found, session.config.connections.keys())
    rosters = {name: found[name].roster if found else None for name in session.connectors}
    parts = [steps.prepare(*pair, rosters, at, past, full=full) for pair in pairs]
    selections = [part.selection for part in parts]
    asked = {o for c in session.config.connections.values() for o in c.outputs()} & OPTIONAL
    with (
        chosen(session.facts, selections, at, session.segments, identity) as leads,
        Decider(
            session.segments,
            routing,
            session.facts,
            at,
            past,
            leads=leads,
            optional=asked,
            identity=identity,
        ) as decider,
    ):
        people = People(decider, session.config)
        known = colleagues(routing, session.facts) if routing else {}
        rounds = assign(decider, rosters, session.ledger, people, known)
        for part in sorted(parts, key=lambda part: people.order.index(part.planned.connection)):
            steps.plan(part, decider, rounds[part.planned.connection], people)
            report.warnings += decider.misread(part.planned.connection)
    return parts


@dataclass(frozen=True)
class _Part:
    """One connection's part of a cycle. `planned` is filled as leads are compared."""

    connector: Connector
    report: ConnectionReport
    planned: ConnectionPlan
    roster: Roster | None
    selection: Selection


def _signed_off(session: Session) -> list[str]:
    """Refuse a model that lacks a required sign-off; what to warn of where it is only asked for."""
    config = session.config
    problems = unsigned(config, session.segments, session.ledger)
    findings = [f"{problem.what}. {problem.advice}" for problem in problems]
    if findings and config.model_signoff is SignOff.REQUIRED:
        raise GuardStopError(findings)
    return findings


def _whole_second(moment: datetime) -> datetime:
    """The first whole second at or after an instant: what was pulled is then in the past."""
    whole = moment.replace(microsecond=0)
    return whole if whole == moment else whole + timedelta(seconds=1)


class _Steps:
    """The steps of one run, a connection at a time. If it `keeps` nothing, nothing is recorded."""

    def __init__(
        self,
        session: Session,
        run_id: str,
        keeps: bool,
        lease: Lease,
        stop: Stop,
        progress: Progress,
        limits: Limits,
        verify: bool,
        read: Read,
    ) -> None:
        self._session = session
        self._run_id = run_id
        self._keeps = keeps
        self._lease = lease
        self._stop = stop
        self._progress = progress
        self._limits = limits
        self._verify = verify
        self._read = read

    def pull(
        self, connector: Connector, report: ConnectionReport, priced: Price | None
    ) -> datetime:
        """Settle what was left open, pull, and refuse a source that lost most of its leads.

        Fails before reading anything where there is nowhere to write to. Returns up to when was
        pulled, by the CRM's clock.
        """
        name, facts = connector.name, self._session.facts
        _require_fields(connector)
        settle_unanswered(connector, self._session, self._lease)
        now = asked_by(self._session.config.connections[name])
        otherwise = facts.asked.otherwise(name, now)
        anew = [
            s for s in connector.streams() if s.table in otherwise and facts.cursor(name, s.name)
        ]
        report.anew = list(dict.fromkeys(stream.table for stream in anew))
        known = priced or self._first_price(connector)
        predicted = self._price(connector, anew, known)
        # A price of a part stands beside no number of calls of the whole.
        report.reading.predicted = predicted if known else None
        made = connector.usage.total
        if predicted and (over := guards.budget(name, "reading", predicted, self._limits, made)):
            raise GuardStopError(over)
        facts.read_anew(name, anew, now)
        held = facts.counts(name)[LEADS.name]
        clock, step = self._session.clock, report.steps["pull"]
        pulled = self._read(Reader(connector, facts, clock, self._stop, step, self._progress))
        report.comparisons, report.reading.made = pulled.comparisons, pulled.calls
        report.refreshed, report.refreshing = pulled.refreshed, pulled.refreshing
        report.unread.update(f"{p.field}: {p.reason}" for p in pulled.unread)
        live = facts.counts(name)[LEADS.name]
        # What a run took away that was stopped for it is still to be allowed.
        removed = max(pulled.leads_removed, facts.touched.gone(name))
        before = max(held, live + removed)
        findings = guards.emptied(name, live, before, self._limits) or guards.removals(
            name, removed, before, self._limits
        )
        if findings:
            raise GuardStopError(findings)
        return pulled.until

    def _first_price(self, connector: Connector) -> Price | None:
        """What the first reading of a connection costs; None where it is not the first.

        A reconciliation reads more than a pull, and is not priced.
        """
        facts, name = self._session.facts, connector.name
        begun = any(facts.cursor(name, stream.name) for stream in connector.streams())
        if begun or self._read is not pull:
            return None
        return price.total(price.reading(connector))

    def _price(
        self, connector: Connector, anew: Sequence[Stream], known: Price | None
    ) -> Price | None:
        """The price of the reading, as far as it is known, with that of streams that were read
        before and are read anew."""
        if not anew:
            return known
        more = price.total(price.reading(connector, streams=anew))
        return replace(more + (known or Price()), exact=False)

    def hand_down(self, at: datetime) -> None:
        """What merged and converted leads went through goes to who stands for them."""
        for name in self._session.connectors if self._keeps else ():
            hand_down(self._session, name, self._run_id, at)

    def prepare(
        self,
        connector: Connector,
        report: ConnectionReport,
        rosters: Mapping[str, Roster | None],
        at: datetime,
        past: Past | None,
        *,
        full: bool,
    ) -> _Part:
        """Begin a plan: what is written where, who gets leads, and which leads to decide about."""
        session, name, capabilities = self._session, connector.name, connector.capabilities
        settings = session.config.connections[name]
        planned = ConnectionPlan(
            name,
            capabilities,
            targets={o: connector.written_fields(o) for o in capabilities.objects},
            policies=settings.policies(),
            folder=session.facts.folder,
            verify=self._verify or settings.verify,
        )
        roster = rosters[name]
        selection = select(session, planned, roster, at, past, run_id=self._run_id, full=full)
        return _Part(connector, report, planned, roster, selection)

    def plan(self, part: _Part, decider: Decider, made: Round, people: People) -> None:
        """Compare and plan; what was decided is recorded in the ledger."""
        session, ledger = self._session, self._session.ledger
        name, report, planned = part.planned.connection, part.report, part.planned
        handed, told = session.config.told(name), session.config.handoff
        surging = told.surging(name) if told else None
        rehearsed = Counter[str]()
        assignments = made.assignments
        planned.queued.extend(made.waiting)
        if self._keeps:
            record(made, self._run_id, name, ledger, at=decider.at, now=session.clock())
        kin = people.beside(name)
        spans = session.config.connections[name].holds()
        comparer = Comparer(ledger, planned, spans, at=decider.at, now=session.clock())
        for batch in decider.decided(name, assignments):
            if self._keeps:
                owners = {i.decision.lead_id: i.present.get(Output.OWNER) for i in batch}
                decisions = (item.decision for item in batch)
                ledger.decide(self._run_id, decisions, handed, owners, surging, kin)
            elif told and (told.task or told.note):
                decisions = (item.decision for item in batch)
                rehearsed += ledger.rehearse(self._run_id, decisions, handed, surging, kin)
            compared = comparer.compare(batch)
            if self._keeps:
                held = (entry for item in compared for entry in item.held)
                ledger.held.keep(name, [item.decision.lead_id for item in batch], held)
            for item in compared:
                planned.add(item)
                given_to = assignments.get(item.decision.lead_id)
                _count(report, item.decision, given_to, routed=bool(part.roster))
            self._progress(f"{name}: decide", planned.records, None)
        if self._keeps:
            for lead in people.untold(ledger, name):
                ledger.handoffs.tell_instead(lead, handed, at=decider.at)
            start_timers(made, self._run_id, name, ledger, decider.at)
            ledger.writes.forget_refused(name, comparer.settled(planned))
        report.steps["score"].reject("not a lead", decider.rejected(name))
        if outside := decider.outside(name):
            report.steps["score"].hold("no model is for it", outside)
        planned.unaffected = decider.passed_over(name)
        planned.telling = handoff.price(session, part.connector, self._run_id, rehearsed)
        report.compared(planned, decider.resting(name))
        if clean := decider.cleanliness(name):
            report.cleaned(clean)

    def guard(self, plans: list[ConnectionPlan], over: list[Due]) -> None:
        """Stop before the first write where a plan is not plausible, or whom retention erases; all
        reasons at once."""
        scored, findings = self._session.ledger.past.scored(), list[str]()
        for planned in plans:
            made = self._session.connectors[planned.connection].usage.total
            known = planned.connection in scored
            findings += guards.changes(planned, known, self._limits, made)
        for due in over:
            findings += retention.implausible(self._session, due, self._limits)
        if findings:
            raise GuardStopError(findings)

    def forget(self, over: Due) -> None:
        """Erase those whose time is over."""
        retention.forget(self._session, over, self._stop, self._progress)

    def write(self, part: _Part, at: datetime) -> list[str]:
        """Carry a plan out, count what it cost, tell of hand-offs, and leave the mark of a complete
        run. Returns what could not be told."""
        session, connector, report, lease = self._session, part.connector, part.report, self._lease
        writer, before = Writer(self._run_id, connector, session, lease), {**connector.usage.calls}
        waiting = writer.carry_out(part.planned, report, self._stop, self._progress)
        untold = handoff.tell(session, connector, lease, at, self._stop, self._progress, waiting)
        report.writing.made = connector.usage.since(before)
        session.facts.touched.advance(connector.name, part.selection.mark, waiting)
        return untold


def _require_fields(connector: Connector) -> None:
    """Refuse to go on without the fields that scores go to: nothing would be written, silently."""
    missing = [f"{field.object_type}.{field.name}" for field in connector.missing_fields()]
    if missing:
        raise MappingError(
            f"fields to write to do not exist, or may not be seen: {', '.join(missing)}. Create "
            "them with `leadgauge setup`, or name others under `write`",
            connection=connector.name,
        )


def _count(
    report: ConnectionReport, decision: Decision, assignment: Assignment | None, *, routed: bool
) -> None:
    """Count one lead through the steps up to routing; hygiene counts those that it holds out."""
    if decision.stage in HELD_OUT:
        return
    report.steps["score"].passed()
    if decision.stage is None or decision.stage in RULED_OUT:
        report.steps["qualify"].hold(decision.stage or "below every threshold")
        return
    report.steps["qualify"].passed()
    if assignment is None:
        report.steps["route"].hold(NOT_READY if routed else "no routing configured")
    elif assignment.owner_id is None:
        report.steps["route"].hold(assignment.reason)
    else:
        report.steps["route"].passed()
