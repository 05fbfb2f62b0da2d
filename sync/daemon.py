"""The daemon: jobs on their schedules until told to stop, one after the other.

It runs in terms: a term has one configuration, and ends with a stop or with a newer one that
works: what that names is opened before the old term is left.
Within a term this instance leads, by a lease, or stands by until the leading one is gone. Starts
that pass while a job runs are one with its next.
"""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from datetime import datetime, timedelta
from functools import partial
from socket import socket
from typing import TypeVar

from connectors.errors import BudgetSpent, QuotaExhausted, TemporaryError
from sync.cycle import run_cycle
from sync.errors import StoreBusy, StoreError, StoreLost
from sync.guards import GuardStopError, Limits
from sync.health import Health, State, capacity, health
from sync.hygiene import Rate, rates
from sync.lease import Lease
from sync.ledger import Ledger
from sync.notify import Alert, NotifyError, ways
from sync.progress import HowFar, now_and_then
from sync.reading import read_as
from sync.report import RunReport
from sync.schedule import next_start
from sync.service_settings import Job
from sync.session import Outside, Setup, open_setup
from sync.stop import Reload, Stop, StoppedError
from sync.talk import Talk
from sync.yaml_source import ConfigError

NAME = "daemon"
"""Its lease, and the heartbeat that `status` looks for."""

BEAT = timedelta(minutes=1)
"""How often it gives a sign of life while it waits."""

WATCH_SECONDS = 30
"""How often it looks, in real time, whether a job is overdue: also while one hangs."""


T = TypeVar("T")


def run(
    read: Callable[[], Setup], outside: Outside, stop: Stop, reload: Reload, talk: Talk
) -> None:
    """Run until `stop` is asked for; on `reload`, with the configuration as it then is.

    Wrong credentials, a wrong mapping and a mistake in the first configuration are raised: trying
    on would only burn the quota. A ledger server that is away is waited for.
    """
    term: Term | None = _first(read, outside, stop, reload, talk)
    while term is not None:
        with closing(term):
            following = None
            while following is None and not stop.asked:
                term.turn()
                if reload.take():
                    following = _another(partial(term.followed_by, read), talk)
        term = following


def _first(
    read: Callable[[], Setup], outside: Outside, stop: Stop, reload: Reload, talk: Talk
) -> "Term | None":
    """The first term, once its ledger can be reached; None: told to stop before that."""
    setup = read()
    while not stop.asked:
        try:
            return Term(setup, outside, stop, talk)
        except StoreLost as error:
            talk(f"will try again: {error}")
            stop.wait(BEAT.total_seconds())
        if reload.take():
            setup = _another(read, talk) or setup
    return None


def _another(opened: Callable[[], T], talk: Talk) -> T | None:
    """What is made of the new configuration; None, and said, where it has a mistake, or names what
    cannot be used."""
    try:
        made = opened()
    except (ConfigError, StoreError) as error:
        for problem in error.problems if isinstance(error, ConfigError) else [str(error)]:
            talk("configuration not taken, the old one goes on", problem=problem)
        return None
    talk("configuration taken")
    return made


class Term:
    """The daemon under one configuration. `listener` is where the metrics are served already.

    Raises ConfigError and StoreError for what the configuration names and cannot be used.
    """

    def __init__(
        self,
        setup: Setup,
        outside: Outside,
        stop: Stop,
        talk: Talk,
        listener: socket | None = None,
    ) -> None:
        self._setup = setup
        self._outside = outside
        self._stop = stop
        self._talk = talk
        self._clock = outside.clock
        self._schedule = setup.config.schedule
        self._leads: bool | None = None
        self._due: dict[Job, datetime] = {}
        self._ways = {"log": self._log, **ways(setup.config.alerts)}
        self._listener = listener
        with ExitStack() as stack:
            self._ledger = stack.enter_context(closing(Ledger(setup.config.ledger)))
            self._lease = Lease(self._ledger, self._clock, NAME)
            stack.callback(self._lease.release)
            if setup.config.metrics is not None:
                from sync.metrics import serving

                served = serving(setup.config, self._ledger, self._clock, listener)
                self._listener = stack.enter_context(served)
            ended = threading.Event()
            watch = threading.Thread(target=self._watch, args=(ended,), daemon=True)
            watch.start()
            stack.callback(watch.join)
            stack.callback(ended.set)
            self.close = stack.pop_all().close

    def followed_by(self, read: Callable[[], Setup]) -> "Term":
        """A term under the configuration as it is now, open beside this one, which goes on until
        it is closed."""
        setup = read()
        # Whoever has the facts open now is no mistake of the configuration.
        with suppress(StoreBusy), open_setup(setup, self._outside):
            pass
        same = setup.config.metrics == self._setup.config.metrics
        listener = self._listener if same else None
        return Term(setup, self._outside, self._stop, self._talk, listener)

    def turn(self) -> None:
        """Do the job that is due, or wait a while for the next."""
        try:
            if not self._leading():
                self._stop.wait(BEAT.total_seconds())
                return
            now = self._clock()
            job, due = min(self._due.items(), key=lambda item: item[1])
            if due > now:
                self._stop.wait(min(due - now, BEAT).total_seconds())
                return
            self._ledger.presence.beat(job, at=now)
            try:
                self._run(job)
            finally:
                self._due[job] = next_start(self._schedule.jobs[job], now, self._clock())
                self.tell_changes()
        except StoreLost as error:
            self._talk(f"will try again: {error}")
            self._stop.wait(BEAT.total_seconds())

    def tell_changes(self) -> None:
        """Tell whoever is to be told of each change of a state, once: of a job's, of routing's, of
        how clean the leads of a connection are."""
        watched: list[Health | Rate] = [*rates(self._ledger), capacity(self._ledger)]
        watched += health(self._ledger, self._schedule, self._clock())
        for found in watched:
            for way, tell in self._ways.items():
                self._tell_change(found, way, tell)

    def _tell_change(self, found: Health | Rate, way: str, tell: Callable[[Alert], None]) -> None:
        at, presence, told = self._clock(), self._ledger.presence, f"{found.job} by {way}"
        before = presence.enter(told, found.state, at=at) or State.OK
        if before == found.state:
            return
        try:
            tell(Alert(found.job, found.state, before, found.reason, found.run_id, at))
        except NotifyError as error:
            # As it was, so that the next look tells it.
            presence.enter(told, before, at=at)
            self._talk(str(error), job=found.job)

    def _log(self, alert: Alert) -> None:
        about = {"job": alert.job, "state": alert.state, "before": alert.before, "run": alert.run}
        self._talk(f"job changed its state: {alert.reason}", **about)

    def _first_starts(self) -> dict[Job, datetime]:
        """Changes are looked for at once; other jobs begin when their time comes, or has passed."""
        now, presence = self._clock(), self._ledger.presence
        starts = {}
        for job, when in self._schedule.jobs.items():
            last = presence.heartbeat(job)
            if last is None:
                presence.beat(job, at=now)
            begun = last or now
            starts[job] = now if job is Job.DELTA else next_start(when, begun, begun)
        return starts

    def _leading(self) -> bool:
        """Whether this instance leads; it takes the lead where nobody has it."""
        try:
            self._lease.take()
        except StoreBusy as error:
            if self._leads is not False:
                self._talk(f"standing by: {error}")
            self._leads = False
            return False
        self._ledger.presence.beat(NAME, at=self._clock())
        if not self._leads:
            if self._leads is False:
                self._talk("leading")
            self._leads, self._due = True, self._first_starts()
        return True

    def _run(self, job: Job) -> None:
        """One job. What the next one may get over is said, and not raised."""
        guards = self._setup.config.guards
        limits = Limits(guards.max_change_share, guards.max_calls, guards.daily_quota_share)
        try:
            with open_setup(self._setup, self._outside) as session:
                done = run_cycle(
                    session,
                    kind=job,
                    stop=self._stop,
                    progress=now_and_then(partial(self._tell, job), time.monotonic),
                    limits=limits,
                    full=job is Job.FULL,
                    read=read_as(job, session, limits),
                )
        except StoppedError:
            return
        except GuardStopError as error:
            self._talk(f"stopped before writing: {error}; {_by_hand(job)}", job=job)
        except BudgetSpent as error:
            self._talk(f"will try again: {error}; {_by_hand(job)}", job=job)
        except (TemporaryError, QuotaExhausted, StoreBusy, StoreLost) as error:
            self._talk(f"will try again: {error}", job=job)
        else:
            self._say_what(job, done.report)

    def _tell(self, job: Job, at: HowFar) -> None:
        self._talk("going on", job=job, stage=at.stage, done=at.done, total=at.total, left=at.left)

    def _say_what(self, job: Job, report: RunReport) -> None:
        """What a run did, and which records the CRM refused in it."""
        for warning in report.warnings:
            self._talk(f"warning: {warning}", run=report.run_id)
        for part in report.connections:
            write = part.steps["write"]
            about = {"run": report.run_id, "connection": part.connection}
            counts = {"written": write.out, "refused": write.rejected, "waiting": write.held}
            self._talk("done", job=job, **about, **counts, calls=sum(part.calls.values()))
            for entry in self._ledger.quarantine(part.connection):
                if entry.run_id == report.run_id:
                    self._talk("refused", **about, record=entry.record_id, code=entry.code)

    def _watch(self, ended: threading.Event) -> None:
        """Look from a thread of its own, so that a job that hangs is seen to be overdue."""
        while not ended.wait(WATCH_SECONDS):
            try:
                self.tell_changes()
            except StoreError as error:
                self._talk(f"will try again: {error}")


def _by_hand(job: Job) -> str:
    """The command that has the options that a guard's message names, as the daemon has none."""
    return f"by hand it is `leadgauge sync{'' if job is Job.DELTA else f' --{job}'}`"
