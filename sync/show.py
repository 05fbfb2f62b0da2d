"""What people read: plans, reports, explanations and status as text tables."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.decision import Decision
from core.explain import Explanation, Known
from core.past import History
from core.provenance import Origin, Said
from core.stages import UNSCORED
from sync.health import Health, health
from sync.hygiene import Cleanliness, Rate, rates
from sync.ledger import Ledger
from sync.ledger_rows import Held
from sync.plan import ConnectionPlan
from sync.price import by_class, in_words
from sync.report import ConnectionReport, Cost, RunReport
from sync.service_settings import Schedule
from sync.sign_off import Agreement

SHOWN = 20
"""Records that are listed unless more are asked for."""


def out() -> Console:
    """Where data goes: stdout; wide enough for tables where it is no terminal."""
    width = None if sys.stdout.isatty() else 120
    return Console(highlight=False, width=width)


def table(title: str, *columns: str) -> Table:
    """A plain table; a column whose name ends in > is aligned right."""
    made = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        right = column.endswith(">")
        made.add_column(column.rstrip(">"), justify="right" if right else "left")
    return made


def report(found: RunReport) -> Iterable[Table]:
    """Each step's balance: in = out + held + rejected, with the reasons."""
    for part in found.connections:
        made = table(
            f"\n{part.connection} (run {found.run_id})",
            "step", "in>", "out>", "held>", "rejected>", "why",
        )  # fmt: skip
        for step in part.steps.values():
            reasons = [*step.reasons_held.items(), *step.reasons_rejected.items()]
            why = ", ".join(f"{reason} {count}" for reason, count in reasons if count)
            numbers = (step.taken, step.out, step.held, step.rejected)
            made.add_row(step.name, *map(str, numbers), why)
        yield made
        if part.hygiene:
            yield _hygiene(part.hygiene)
        if part.comparisons:
            yield _comparisons(part)
        if part.refreshed:
            yield _refreshed(part)
        yield _calls(part)


def _hygiene(found: Cleanliness) -> Table:
    """The share of leads that are held out, and what is noted of others."""
    made = table("", "", "")
    made.add_row("hygiene", str(found))
    if found.noted:
        listed = ", ".join(f"{check} {count}" for check, count in found.noted.most_common())
        made.add_row("noted", listed)
    return made


def _comparisons(part: ConnectionReport) -> Table:
    """What the CRM holds beside what the facts held, and what was healed."""
    made = table(
        "compared with the CRM",
        "object", "counted>", "shown>", "held>", "missing>", "changed>", "unstamped>", "gone>",
        "purged>",
    )  # fmt: skip
    for one in part.comparisons:
        counted = "-" if one.counted is None else str(one.counted)
        found = (one.shown, one.held, one.missing, one.changed, one.unstamped, one.gone, one.purged)
        made.add_row(one.stream, counted, *map(str, found))
    return made


def _refreshed(part: ConnectionReport) -> Table:
    """What changes without a stamp and was looked at, and how many records had moved."""
    made = table("fields without a stamp", "object", "fields", "looked at>", "moved>")
    for one in part.refreshed:
        made.add_row(one.stream, ", ".join(one.fields), str(one.looked_at), str(one.moved))
    return made


def _calls(part: ConnectionReport) -> Table:
    """What the run cost, and what could not be read."""
    made = table("", "", "")
    waited = f", asked to slow down {part.waits} times" if part.waits else ""
    made.add_row("calls made", f"{sum(part.calls.values())}{by_class(part.calls)}{waited}")
    made.add_row("to read", cost(part.reading))
    if part.refreshing.predicted:
        made.add_row("to refresh", cost(part.refreshing))
    made.add_row("to write", cost(part.writing))
    for problem, count in part.unread.most_common(5):
        made.add_row("not readable", f"{problem} ({count})")
    if part.foreign:
        made.add_row("set by others", f"{part.foreign} of the fields that leadgauge writes")
    return made


def cost(found: Cost) -> str:
    """What something cost in calls, beside what was predicted."""
    made = f"{sum(found.made.values())}{by_class(found.made)}"
    return f"{made}; predicted {in_words(found.predicted)}" if found.predicted else made


def plan(planned: ConnectionPlan, limit: int = SHOWN) -> Iterable[Table]:
    """What would be written, record by record, and what it costs."""
    made = table(
        f"\n{planned.connection}: {len(planned.changes)} of {planned.known} records to write, "
        f"{in_words(planned.price)}",
        "record", "field", "from", "to",
    )  # fmt: skip
    for item in islice(planned.changes, limit):
        for number, (output, value) in enumerate(item.change.values.items()):
            label = f"{item.change.object_type} {item.change.id}" if number == 0 else ""
            made.add_row(label, output, item.before.get(output) or "-", value or "-")
    yield made
    if len(planned.changes) > limit:
        more = table("")
        more.add_column(f"... and {len(planned.changes) - limit} more (--limit shows them)")
        yield more
    if planned.queued:
        waiting = table("waiting for an owner, in their order", "record", "why")
        for lead in planned.queued[:limit]:
            waiting.add_row(lead.lead_id, lead.waits)
        yield waiting
    kept = {(id_, value.output): "" for id_, value in planned.foreign if value.kept}
    kept |= {(entry.record_id, entry.output): held(entry) for entry in planned.held}
    if kept:
        listed = table("left to whoever set them", "record", "field", "how long")
        for (id_, output), how_long in list(kept.items())[:limit]:
            listed.add_row(id_, output, how_long)
        yield listed


def held(entry: Held) -> str:
    """Until when a human's value is left alone."""
    return f"held by human until {entry.until:%Y-%m-%d %H:%M}" if entry.until else "held by human"


def explanation(decision: Decision, found: Explanation) -> Iterable[Table]:
    """Every point of a lead, adding up to its score."""
    head = f"{decision.object_type} {decision.lead_id} in {decision.connection}"
    stage = f"{decision.stage or 'no stage'}, tier {decision.tier or '-'}"
    weighted = any(line.weight != 1 for line in found.lines)
    made = table(
        f"{head}\n{found.score} points, {stage}, by {decision.model} at "
        f"{decision.scored_at:%Y-%m-%d %H:%M:%S} UTC",
        "rule", "part", "points>", *(["weight>"] if weighted else []), "before decay>", "decay>",
        "cap>", "events>", "last", "evidence",
    )  # fmt: skip
    for line in found.lines:
        made.add_row(
            line.rule,
            f"{line.part}, appended" if line.data == Origin.APPENDED else line.part,
            f"{line.points:+}",
            *([f"{line.weight:f}"] if weighted else []),
            str(line.raw),
            str(-line.decay_loss) if line.decay_loss else "",
            str(-line.cap_loss) if line.cap_loss else "",
            str(line.events or ""),
            f"{line.last:%Y-%m-%d %H:%M}" if line.last else "",
            f"{line.evidence or ''}{f' in {line.shown_by}' if line.shown_by else ''}",
        )
    made.add_row("sum", "", f"{sum(line.points for line in found.lines):+}")
    yield made
    notes = table("")
    notes.add_column("")
    if decision.stage in UNSCORED:
        notes.add_row(escape(decision.reason))
    if found.unknown:
        notes.add_row(f"unknown, so neither for nor against: {', '.join(found.unknown)}")
    if found.parts:
        notes.add_row(f"parts: {', '.join(map(str, found.parts))}")
    if found.flags:
        notes.add_row(f"flags: {', '.join(map(str, found.flags))}")
    if found.next_stage:
        notes.add_row(f"{found.missing} points to {found.next_stage}")
    for checked in found.checklists:
        notes.add_row(str(checked))
    if decision.probability is not None:
        notes.add_row(f"predicted probability {decision.probability:f}, not in the score")
    if found.misread:
        notes.add_row(f"{found.misread} is no number from 0 to 1: no probability is known")
    for said in str(found.profile or "").splitlines():
        notes.add_row(said)
    if found.channels:
        listed = ", ".join(f"{name} {points:+f}" for name, points in found.channels.items())
        notes.add_row(f"activities of one channel alone would earn: {listed}")
    for note in (*_known(found.known), *_history(found.history)):
        notes.add_row(note)
    if decision.owner_reason:
        notes.add_row(f"owner: {decision.owner_reason}")
    yield notes


def explained(decision: Decision, found: Explanation) -> dict[str, Any]:
    """The same for machines; what fit and behaviour come to is among the `parts`."""
    said = {**vars(decision), **asdict(found)}
    return {name: value for name, value in said.items() if name not in ("fit", "behaviour")}


def _history(history: History | None) -> Iterator[str]:
    """What the lead went through before, and what a person decided about it."""
    if history is None:
        return
    if history.since:
        yield (
            f"before: {history.stage or 'no stage'} since {history.since:%Y-%m-%d %H:%M}, "
            f"times qualified: {history.mqls}"
        )
    if history.handoffs:
        listed = ", ".join(f"{at:%Y-%m-%d %H:%M}" for at in history.handoffs)
        yield f"handed to sales: {listed}"
    if history.surge:
        yield f"surge: {history.surge}"
    if history.answer:
        yield f"sales: {history.answer}; leadgauge then: {history.answer.machine}"
    if history.cooling:
        yield f"cooling down until {history.cooling:%Y-%m-%d %H:%M} UTC"
    if history.override:
        yield f"override: {history.override}"


def _known(known: Known) -> Iterable[str]:
    """What is known of a lead beside its score."""
    if known.company:
        yield f"ideal customer: company {known.company}, person {known.persona}"
    if known.completeness:
        yield f"known of what fit asks: {known.completeness}"
    yield from (f"the same person: {other}" for other in known.person)
    for found in known.findings:
        yield f"hygiene: {found}"
    if known.duplicates:
        yield f"stands for its duplicates: {', '.join(known.duplicates)}"
    yield from map(str, known.sourced)
    for field, values in groupby(known.changed, lambda said: said.field):
        yield f"{field} over time: {'; '.join(map(_said, values))}"


def _said(said: Said) -> str:
    stage = f", as {said.stage}" if said.stage else ""
    return f"{said.value or 'empty'} (from {said.since:%Y-%m-%d %H:%M}{stage})"


def status(
    ledger: Ledger, schedule: Schedule, models: Iterable[Agreement], now: datetime
) -> Iterable[Table]:
    """Runs, jobs, age of the scores, who signed the models, hand-offs, who waits for an owner,
    quarantine, what humans hold, and the head of the audit chain."""
    runs = table("runs, newest first", "run", "kind", "status", "started", "calls>", "error")
    for run in ledger.runs(10):
        calls = sum(sum(by_kind.values()) for by_kind in run.calls.values())
        started = f"{run.started_at:%Y-%m-%d %H:%M:%S}"
        runs.add_row(run.id, run.kind, run.status, started, str(calls), run.error or "")
    yield runs
    beat = ledger.presence.heartbeat("daemon")
    if beat is not None:
        yield _jobs(health(ledger, schedule, now), beat)
    yield _usage(ledger, now)
    yield _ages(ledger, now)
    if signed := [one for one in models if one.signed or one.missing]:
        yield _models(signed)
    if measured := rates(ledger):
        yield _rates(measured)
    yield _handoffs(ledger)
    yield _waiting(ledger, now)
    yield _notices(ledger)
    yield _quarantine(ledger, now)
    yield _held(ledger, now)
    chain = table("")
    chain.add_column(f"head of the audit chain: {ledger.audit.head()}")
    yield chain


def _waiting(ledger: Ledger, now: datetime) -> Table:
    """The leads that nobody can take yet, in the order in which they are to be given."""
    leads = ledger.routing.waiting()
    made = table(f"\nwaiting for an owner: {len(leads)} leads", "lead", "rank>", "why", "for")
    for one in leads[:SHOWN]:
        lead = f"{one.connection}: {one.lead_id}"
        made.add_row(lead, str(one.rank), one.reason, age(now - one.since))
    return made


def _quarantine(ledger: Ledger, now: datetime) -> Table:
    """The records that the CRM refuses, longest first."""
    quarantine = ledger.quarantine()
    made = table(
        f"\nquarantine: {len(quarantine)} records the CRM refuses",
        "record", "code", "reason", "since", "tries>", "next try",
    )  # fmt: skip
    for entry in quarantine[:SHOWN]:
        made.add_row(
            f"{entry.connection}: {entry.object_type} {entry.record_id}",
            entry.code,
            entry.reason,
            f"{(now - entry.first_seen).days} days",
            str(entry.tries),
            f"{entry.next_try:%Y-%m-%d %H:%M}" if entry.next_try else "",
        )
    return made


def _held(ledger: Ledger, now: datetime) -> Table:
    """The fields that are left to a human, those that end first at the top."""
    entries = ledger.held.now(now)
    made = table(f"\nheld by humans: {len(entries)} fields", "record", "field", "since", "how long")
    for entry in entries[:SHOWN]:
        record = f"{entry.connection}: {entry.object_type} {entry.record_id}"
        made.add_row(record, entry.output, f"{entry.since:%Y-%m-%d %H:%M}", held(entry))
    return made


def _jobs(found: Iterable[Health], beat: datetime) -> Table:
    """How the daemon's jobs stand, and when it last gave a sign of life."""
    title = f"\njobs of the daemon, which was last alive at {beat:%Y-%m-%d %H:%M:%S} UTC"
    made = table(title, "job", "state", "last success", "reason")
    for job in found:
        last = f"{job.last_success:%Y-%m-%d %H:%M:%S}" if job.last_success else "never"
        made.add_row(job.job, job.state, last, job.reason)
    return made


def _notices(ledger: Ledger) -> Table:
    """The hand-offs that somebody is still to be told of, longest first."""
    waiting = ledger.notices.waiting()
    made = table(
        f"\nto be told: {len(waiting)} notices",
        "lead", "of", "by", "since", "tries>", "next try", "last error",
    )  # fmt: skip
    for notice in waiting[:SHOWN]:
        made.add_row(
            f"{notice.connection}: {notice.lead_id}",
            notice.kind,
            notice.way,
            f"{notice.at:%Y-%m-%d %H:%M}",
            str(notice.tries),
            f"{notice.next_try:%Y-%m-%d %H:%M}" if notice.next_try else "",
            notice.error or "",
        )
    return made


def _usage(ledger: Ledger, now: datetime) -> Table:
    """What was used of each CRM's API today, beside its quota."""
    made = table("\nAPI calls today (UTC)", "connection", "calls", "waits>", "of its daily quota")
    for usage in ledger.usage.today(now):
        used = ""
        if usage.quota and usage.said_at:
            used = f"{usage.quota['used']:,} of {usage.quota['limit']:,} used by all programs"
            used = f"{used} at {usage.said_at:%H:%M}"
        calls = f"{usage.calls.total()}{by_class(usage.calls)}"
        made.add_row(usage.connection, calls, str(usage.waits), used)
    return made


def _ages(ledger: Ledger, now: datetime) -> Table:
    """As of when the scores are that the CRMs hold: decay goes on, and shows with the next run."""
    made = table("\nscores in the CRMs", "connection", "as of", "age")
    for connection, at in ledger.past.scored().items():
        made.add_row(connection, f"{at:%Y-%m-%d %H:%M:%S}", age(now - at))
    return made


def _models(models: Iterable[Agreement]) -> Table:
    """Who agreed to the configured models, and what is to be run where a team did not yet."""
    made = table("\nmodels", "model", "signed by", "to sign")
    for one in models:
        made.add_row(one.model, ", ".join(map(str, one.signed)), one.command)
    return made


def _rates(measured: Iterable[Rate]) -> Table:
    """How clean the leads of each connection were in its last run."""
    made = table("\nhygiene", "connection", "duplicate or unusable")
    for rate in measured:
        made.add_row(rate.connection, rate.reason)
    return made


def age(span: timedelta) -> str:
    """A span in words, to the minute: 2 days 3:05."""
    days, rest = divmod(max(span, timedelta(0)), timedelta(days=1))
    minutes = rest // timedelta(minutes=1)
    return f"{days} days {minutes // 60}:{minutes % 60:02}"


def _handoffs(ledger: Ledger) -> Table:
    """The latest leads that were handed to sales."""
    title = f"\nhand-offs to sales: {ledger.past.handed_over()}, newest first"
    made = table(title, "lead", "stage", "cycle>", "at")
    for given in ledger.past.handoffs(SHOWN):
        lead = f"{given.connection}: {given.lead_id}"
        stage = f"{given.stage}, told of {given.follows}" if given.follows else given.stage
        made.add_row(lead, stage, str(given.cycle), f"{given.at:%Y-%m-%d %H:%M:%S}")
    return made
