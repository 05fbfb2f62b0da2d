"""The lease: kept while its holder works, however long that takes; once lost, nothing is sent."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from connectors.base import Change, Connector
from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.settings import SalesforceSettings
from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault, Request, Response
from connectors.sandbox.salesforce.bulk import Job
from connectors.settings import ConnectionSettings
from core.decision import Output
from sync.errors import StoreBusy, StoreLost
from sync.exits import Exit
from sync.lease import LASTS, RENEWED_SECONDS, Lease
from sync.ledger import Ledger, RunStatus
from tests.live import Live, live
from tests.salesforce import CONCURRENT
from tests.world import Clock
from tests.written import Written

OFTEN = 0.01
CALL = 200
LEADS = CALL + 50
"""More than one write call takes."""

MODEL = {
    "fit": [{"id": "technology", "points": 20, "when": {"industry": "technology"}}],
    "behaviour": [],
    "decays": {},
}
WRITING = "/composite/sobjects/?$"
LOOKING = "/composite/sobjects/Lead$"


def until(true: Callable[[], object]) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.002)


# The lease itself


def test_it_is_renewed_while_its_holder_is_silent(url: str) -> None:
    """Whatever time passes, nobody else gets it, until it is given back."""
    clock = Clock()
    with Ledger(url) as ledger, Ledger(url) as other:
        theirs = Lease(other, clock)
        with Lease(ledger, clock, every=OFTEN) as lease:
            held_until = partial(ledger.presence.held_until, "sync", lease.holder)
            for _ in range(3):
                clock.tick(seconds=LASTS.total_seconds() * 0.9)
                until(lambda: held_until() == clock() + LASTS)
                with pytest.raises(StoreBusy):
                    theirs.take()
            lease.hold()
        with theirs:
            clock.tick(hours=1)
            with pytest.raises(StoreBusy, match="another instance has taken over"):
                lease.hold()


def test_two_of_one_host_and_process_id_are_two(url: str) -> None:
    """Two containers may share both: the second one is another holder all the same."""
    clock = Clock()
    with Ledger(url) as ledger, Lease(ledger, clock), pytest.raises(StoreBusy):
        Lease(ledger, clock).take()


def test_one_that_was_lost_is_never_taken_up_again(url: str) -> None:
    """Also where whoever took it has ended since: what it did is not known here."""
    clock = Clock()
    with Ledger(url) as ledger, Lease(ledger, clock) as lease:
        clock.tick(seconds=LASTS.total_seconds())
        lease.hold()
        clock.tick(seconds=LASTS.total_seconds())
        with Lease(ledger, clock):
            pass
        with pytest.raises(StoreBusy):
            lease.hold()


def test_a_ledger_that_is_away_for_a_while(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread goes on trying; and whoever would write meanwhile finds out."""
    clock = Clock()
    with Ledger(url) as ledger:
        renew, tries = ledger.presence.renew, []

        def away(*_: object, **__: object) -> bool:
            tries.append(clock())
            raise StoreLost("away")

        monkeypatch.setattr(ledger.presence, "renew", away)
        with Lease(ledger, clock, every=OFTEN) as lease:
            until(lambda: len(tries) > 2)
            clock.tick(seconds=LASTS.total_seconds() * 0.4)
            lease.hold()
            clock.tick(seconds=LASTS.total_seconds() * 0.2)
            with pytest.raises(StoreLost):
                lease.hold()
            monkeypatch.setattr(ledger.presence, "renew", renew)
            due = clock() + LASTS
            until(lambda: ledger.presence.held_until("sync", lease.holder) == due)


def test_one_renewal_may_fail() -> None:
    """The next comes before whoever writes must see to it."""
    assert LASTS.total_seconds() / 2 >= 2 * RENEWED_SECONDS


def test_a_renewal_waits_for_the_run_s_own_transaction(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not given up for it, nor for an error: that is told from a lease that is lost."""
    clock, begun = Clock(), list[object]()
    with Ledger(url) as ledger:
        renew = ledger.presence.renew

        def noted(name: str, holder: str, *, at: datetime, lasts: timedelta) -> bool:
            begun.append(at)
            return renew(name, holder, at=at, lasts=lasts)

        monkeypatch.setattr(ledger.presence, "renew", noted)
        with Lease(ledger, clock, every=OFTEN) as lease:
            held_until = partial(ledger.presence.held_until, "sync", lease.holder)
            with ledger._engine.begin() as db:
                db.execute(text("UPDATE leases SET name = name"))
                now = clock.tick(minutes=1)
                until(lambda: now in begun)
                assert held_until() != now + LASTS
            until(lambda: held_until() == now + LASTS)
            for old, new in (("leases", "gone"), ("gone", "leases")):
                with ledger._engine.begin() as db:
                    db.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))
                if new == "gone":
                    with pytest.raises(StoreLost, match="cannot be renewed now"):
                        renew("sync", lease.holder, at=now, lasts=LASTS)
            now = clock.tick(minutes=1)
            until(lambda: held_until() == now + LASTS)


# A run that works for long, or loses it


def leads(world: Live) -> None:
    """Leads for two write calls, in Salesforce."""
    for n in range(LEADS):
        person = {"last_name": f"P{n}", "company": "Firm", "email": f"p{n}@firm{n}.example"}
        world.sales.crm.add(Kind.LEAD, {**person, "industry": "Technology"})


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[Live]:
    """One Salesforce org with leads for two write calls."""
    with live(tmp_path) as found:
        leads(found)
        found.configure("sales", ledger=url)
        found.model(**MODEL)
        found.set_up()
        yield found


@pytest.fixture
def written(world: Live) -> Written:
    """What is written to the org."""
    seen = Written()
    seen.watch("sales", world.sales.crm)
    return seen


def once(written: Written) -> None:
    """Every lead got its score, and each field was sent once."""
    scores = [place for place in written.effective if "score" in place[2].lower()]
    assert len({place[1] for place in scores}) == LEADS
    assert {*written.effective.values()} == {1}
    assert not written.idle


class Long:
    """Bulk jobs that take as long as they are told to, and what happens while one is waited for."""

    def __init__(self, world: Live, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ends = False
        self.happens: Callable[[], None] = lambda: None
        polled = Job.polled
        monkeypatch.setattr(Job, "polled", lambda job: polled(job) if self.ends else None)
        world.connect = self._open

    def _open(self, name: str, settings: ConnectionSettings) -> Connector:
        assert isinstance(settings, SalesforceSettings)
        return SalesforceConnector(name, settings, sleep=self._sleep)

    def _sleep(self, _seconds: float) -> None:
        self.happens()

    def told_to_stop(self) -> None:
        """Somebody sends SIGTERM, once: a second one would end the process."""
        self.happens = lambda: None
        os.kill(os.getpid(), signal.SIGTERM)


def jobs(world: Live) -> list[str]:
    """The requests that began a bulk job."""
    begun = ("/jobs/query", "/jobs/ingest")
    return [p for m, p in world.sales.server.requests if m == "POST" and p.endswith(begun)]


@pytest.mark.slow
def test_waiting_for_a_bulk_job_keeps_it(
    world: Live, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that takes three times as long as the lease lasts: another host waits."""
    monkeypatch.setattr("connectors.salesforce.pull.BULK_FROM", 10)
    long, begun, leases = Long(world, monkeypatch), world.clock(), list[Lease]()

    def lease(ledger: Ledger, clock: Clock) -> Lease:
        leases.append(Lease(ledger, clock, every=OFTEN))
        return leases[-1]

    monkeypatch.setattr("sync.cycle.Lease", lease)
    with Ledger(url) as other:

        def minute() -> None:
            now = world.clock.tick(minutes=1)
            until(lambda: other.presence.held_until("sync", leases[0].holder) == now + LASTS)
            with pytest.raises(StoreBusy):
                other.presence.acquire("sync", "other:1", at=now, lasts=LASTS)
            long.ends = now - begun > 3 * LASTS

        long.happens = minute
        assert world.run("sync").code == Exit.DONE
    assert world.clock() - begun > 3 * LASTS


def taken_over(world: Live, other: Ledger, path: str, method: str) -> None:
    """Let a run be asleep for so long as it makes a call that another instance takes its lease."""

    def taken(request: Request) -> Response:
        now = world.clock.tick(seconds=LASTS.total_seconds())
        other.presence.acquire("sync", "other:1", at=now, lasts=LASTS)
        return world.sales.face(request)

    world.sales.server.faults.append(Fault(path, method, response=taken))


@pytest.mark.slow
@pytest.mark.parametrize("calls", [1, 10])
def test_a_run_whose_lease_was_taken_sends_nothing_more(
    world: Live, url: str, written: Written, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """U05: it was asleep for long; the call in hand is settled, and no other one is made."""
    monkeypatch.setattr("sync.plan.PORTION_CALLS", calls)
    with Ledger(url) as other:
        taken_over(world, other, WRITING, "PATCH")
        ended = world.run("sync")
        assert ended.code == Exit.LEASE
        assert "another instance has taken over" in ended.err
        assert world.sales.writes() == 1
        assert len(other.last_written("sales")) == CALL
        other.presence.release("sync", "other:1")
    world.sync()
    once(written)


@pytest.mark.slow
def test_a_run_that_reads_back_asks_before_each_call_too(
    world: Live, url: str, written: Written
) -> None:
    """U05: what is acknowledged waits to be read back; no call is made meanwhile without asking."""
    with Ledger(url) as other:
        taken_over(world, other, WRITING, "PATCH")
        assert world.run("sync", "--verify").code == Exit.LEASE
        assert world.sales.writes() == 1
        assert len(other.open_intents("sales")) == LEADS
        other.presence.release("sync", "other:1")
    world.sync()
    once(written)


@pytest.mark.slow
def test_a_run_whose_lease_is_taken_while_it_looks_writes_nothing(
    world: Live, url: str, written: Written
) -> None:
    """U05: it was asleep while it looked at the records just before it would write to them."""
    with Ledger(url) as other:
        taken_over(world, other, LOOKING, "POST")
        assert world.run("sync", "--verify").code == Exit.LEASE
        assert world.sales.writes() == 0
        other.presence.release("sync", "other:1")
    world.sync()
    once(written)


@pytest.mark.slow
def test_a_run_whose_lease_is_taken_as_it_begins_leaves_the_other_s_writes_alone(
    world: Live, url: str
) -> None:
    """U05: asleep while it read back what an earlier run had sent, it does not take what another
    instance is sending by now for that: whether it arrived, only the other one is told."""
    one, two, *_ = world.sales.crm.records(Kind.LEAD)
    earlier, theirs = (Change("Lead", world.sales.id(r), {Output.SCORE: "5"}) for r in (one, two))
    with Ledger(url) as other:
        for run in ("r1", "r2"):
            other.start(run, "sync", model="m", at=world.clock())
        other.intend("r1", "sales", [(earlier, None)], at=world.clock())

        def taken(request: Request) -> Response:
            now = world.clock.tick(seconds=LASTS.total_seconds())
            other.presence.acquire("sync", "other:1", at=now, lasts=LASTS)
            other.intend("r2", "sales", [(theirs, None)], at=now)
            return world.sales.face(request)

        world.sales.server.faults.append(Fault(LOOKING, method="POST", response=taken))
        assert world.run("sync").code == Exit.LEASE
        assert theirs.id in {change.id for change in other.open_intents("sales")}


@pytest.mark.slow
def test_a_run_whose_lease_was_taken_starts_no_job(
    world: Live, url: str, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U05: it was asleep while the job was made; that never gets any rows."""
    monkeypatch.setattr("connectors.salesforce.connector.BULK_FROM", 10)
    with Ledger(url) as other:
        taken_over(world, other, "/jobs/ingest$", "POST")
        assert world.run("sync").code == Exit.LEASE
        other.presence.release("sync", "other:1")
    (job,) = world.sales.face.bulk._jobs.values()  # type: ignore[attr-defined]
    assert (job.state, job.rows) == ("Open", [])
    world.sync()
    once(written)


@pytest.mark.slow
def test_sigterm_within_a_write_call(
    world: Live, url: str, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon finishes the call in hand and ends well; the next run writes the rest."""
    monkeypatch.setattr("sync.plan.PORTION_CALLS", 1)

    def asked(request: Request) -> Response:
        os.kill(os.getpid(), signal.SIGTERM)
        return world.sales.face(request)

    world.sales.server.faults.append(Fault(WRITING, method="PATCH", response=asked))
    assert world.run("daemon").code == Exit.DONE
    with Ledger(url) as ledger:
        assert [run.status for run in ledger.runs()] == [RunStatus.STOPPED]
        assert len(ledger.last_written("sales")) == CALL
        assert ledger.open_intents("sales") == []
    world.sync()
    once(written)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), [("GET", "/query"), ("PATCH", WRITING)])
def test_sigterm_while_a_call_waits_to_be_repeated(
    world: Live, written: Written, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    """The wait ends, no other call is made, and the next run does the rest."""
    long = Long(world, monkeypatch)
    long.happens = long.told_to_stop
    world.sales.server.faults.append(Fault(path, method=method, times=None, response=CONCURRENT))
    world.sales.server.requests.clear()
    assert world.run("sync").code == Exit.INTERRUPTED
    assert world.sales.server.requests[-1][0] == method
    tried = [p for m, p in world.sales.server.requests if m == method and re.search(path, p)]
    assert len(tried) == 1
    world.sales.server.faults.clear()
    world.sync()
    once(written)


@pytest.mark.slow
def test_sigterm_while_a_job_is_waited_for(
    world: Live, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait ends; the next run goes on with the job that was begun."""
    monkeypatch.setattr("connectors.salesforce.pull.BULK_FROM", 10)
    long = Long(world, monkeypatch)
    long.happens = long.told_to_stop
    assert world.run("sync").code == Exit.INTERRUPTED
    assert len(jobs(world)) == 1
    long.ends = True
    world.sync()
    assert len(jobs(world)) == 1
    once(written)


@pytest.mark.slow
def test_sigterm_while_a_job_writes(
    world: Live, url: str, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D01, U05: the job is aborted, and the next run reads back what it wrote."""
    monkeypatch.setattr("connectors.salesforce.connector.BULK_FROM", 10)
    long = Long(world, monkeypatch)
    long.happens = long.told_to_stop
    assert world.run("sync").code == Exit.INTERRUPTED
    with Ledger(url) as ledger:
        assert [run.status for run in ledger.runs()] == [RunStatus.STOPPED]
        assert len(ledger.open_intents("sales")) == LEADS
    states = [job.state for job in world.sales.face.bulk._jobs.values()]  # type: ignore[attr-defined]
    assert states == ["Aborted"]
    long.ends = True
    world.sync()
    once(written)
