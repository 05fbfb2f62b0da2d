"""The daemon: what it starts when, who leads, what it tells, and which troubles it gets over."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from connectors.errors import CredentialsError
from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault, Request, Response, Server
from sync import daemon, talk
from sync.exits import Exit
from sync.health import State, health
from sync.lease import LASTS
from sync.ledger import Ledger, RunStatus
from sync.schedule import next_start, overdue_from
from sync.service_settings import Schedule, When
from sync.session import read_setup
from sync.stop import Reload, Stop, StoppedError
from tests.live import Live, live, nobody_there
from tests.world import Clock

T0 = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOT = {"last_name": "Hot", "email": "hot@buyer.example", "industry": "Technology"}
MODEL = {
    "fit": [{"id": "technology", "points": 20, "when": {"industry": "technology"}}],
    "behaviour": [{"id": "visit", "points": 5, "count": "each", "when": {"type": "page_view"}}],
    "decays": {},
}


@pytest.mark.parametrize(
    ("when", "started", "now", "first"),
    [
        (When(every="15 minutes"), 0, 0, 15),
        (When(every="15 minutes"), 0, 14, 15),
        (When(every="15 minutes"), 0, 15, 30),
        (When(every="15 minutes"), 7, 50, 52),
        (When(cron="30 6 * * *"), 0, 0, 390),
        (When(cron="30 6 * * *"), 0, 390, 390 + 1440),
        (When(cron="* * * * *"), 0, 3.3, 4),
    ],
)
def test_when_a_job_starts(when: When, started: float, now: float, first: float) -> None:
    """At an interval from its last start, or by cron in UTC; missed starts are one."""
    found = next_start(when, T0 + started * MINUTE, T0 + now * MINUTE)
    assert found == T0 + first * MINUTE


def test_a_job_is_overdue_after_two_starts_without_success() -> None:
    """D02: at an interval, and by cron also over a night in which nothing starts."""
    assert overdue_from(When(every="15 minutes"), T0) == T0 + 30 * MINUTE
    hourly = When(cron="0 6-20 * * *")
    assert overdue_from(hourly, T0 + timedelta(hours=20)) == T0 + timedelta(hours=24 + 7)


def test_how_a_job_stands(tmp_path: Path) -> None:
    """D02: by the runs of its name: ok, failed, guarded, and overdue whatever the last one did."""
    schedule = Schedule(delta=When(every="1 hour"))
    hours = timedelta(hours=1)
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:

        def state(hour: float) -> tuple[State, str]:
            (found,) = health(ledger, schedule, T0 + hour * hours)
            return found.state, found.reason

        def ran(name: str, hour: float, status: RunStatus, kind: str = "delta") -> None:
            at = T0 + hour * hours
            ledger.start(name, kind, model="m", at=at)
            error = "sales: unreachable" if status is RunStatus.FAILED else None
            ledger.finish(name, status, at=at, counts={}, calls={}, error=error)

        assert state(9) == (State.OK, "has not run yet")
        ledger.presence.beat("delta", at=T0)
        assert state(1.9)[0] is State.OK
        assert state(2) == (State.OVERDUE, "no success since 2026-03-01 00:00:00 UTC")
        ran("r1", 2, RunStatus.REFUSED)
        assert state(2)[0] is State.OK
        ran("r2", 3, RunStatus.FAILED)
        assert state(3) == (State.FAILED, "sales: unreachable")
        ran("r3", 3.5, RunStatus.STOPPED)
        ran("r4", 3.5, RunStatus.DONE, kind="sync")
        assert state(3.5)[0] is State.FAILED
        overdue = "no success since 2026-03-01 02:00:00 UTC: sales: unreachable"
        assert state(4) == (State.OVERDUE, overdue)
        ran("r5", 5, RunStatus.GUARDED)
        assert state(3.9)[0] is State.GUARDED
        ran("r6", 6, RunStatus.DONE)
        assert state(7.9)[0] is State.OK
        assert state(8)[0] is State.OVERDUE


def test_a_stop_wakes_the_sleeper() -> None:
    """A signal while the daemon waits for its next cycle ends the wait, not the process."""
    stop = Stop()
    reload = Reload(stop)
    before = time.monotonic()
    with nobody_there():
        stop.on_signals()
        reload.on_signal()
        for number in (signal.SIGHUP, signal.SIGTERM):
            timer = threading.Timer(0.02, os.kill, (os.getpid(), number))
            timer.start()
            assert stop.wait(30) == (number is signal.SIGTERM)
            timer.join()
    assert time.monotonic() - before < 10
    assert (reload.take(), reload.take()) == (True, False)
    with pytest.raises(StoppedError):
        stop.check()


class Passing(Stop):
    """Lets the time that is waited for pass at once, and things happen meanwhile.

    `events` are by minute since the beginning; after the last one it stops.
    """

    def __init__(self, clock: Clock, events: dict[float, Callable[[], None]]) -> None:
        super().__init__()
        self._clock = clock
        self._begun = clock()
        self._events = sorted(events.items())

    def wait(self, seconds: float) -> bool:
        """The time passes up to its end, or the next event."""
        until = self._clock() + timedelta(seconds=seconds)
        if self._events and self._begun + self._events[0][0] * MINUTE <= until:
            minute, happens = self._events.pop(0)
            self._clock.now = max(self._clock(), self._begun + minute * MINUTE)
            happens()
        else:
            self._clock.now = until
        if not self._events:
            self.ask()
        return self.asked


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """One Salesforce org with a lead in it."""
    with live(tmp_path) as found:
        found.sales.crm.add(Kind.LEAD, dict(HOT))
        found.configure("sales")
        found.model(**MODEL)
        found.set_up()
        yield found


def served(
    world: Live, events: dict[float, Callable[[], None]], reload: Reload | None = None
) -> list[str]:
    """What the daemon says while things happen, by minute since its beginning."""
    said: list[str] = []
    stop = Passing(world.clock, events)
    daemon.run(
        lambda: read_setup(world.config, world.outside),
        world.outside,
        stop,
        reload or Reload(stop),
        talk.as_text(said.append),
    )
    return said


def nothing() -> None:
    """Time passes."""


def kinds(world: Live) -> list[tuple[str, float]]:
    """The runs, oldest first: of which job, and how many minutes after the first one."""
    with world.ledger() as ledger:
        runs = ledger.runs()[::-1]
    return [(run.kind, (run.started_at - runs[0].started_at) / MINUTE) for run in runs]


@pytest.mark.slow
def test_jobs_by_their_schedules(world: Live) -> None:
    """Changes are looked for at once and at each interval; a refresh (D22), a reconciliation and a
    full rescoring come with their time, also where the daemon was started again since, and are not
    lost while it was away."""
    rare = {"every": "5 minutes"}
    schedule = {"delta": {"every": "2 minutes"}, "refresh": rare, "reconcile": rare, "full": rare}
    world.configure("sales", schedule=schedule)
    world.model(**MODEL)
    said = served(world, {5.5: nothing})
    assert kinds(world)[:3] == [("delta", 0), ("delta", 2), ("delta", 4)]
    assert kinds(world)[3:] == [("full", 5), ("reconcile", 5), ("refresh", 5)]
    assert "written=1" in said[0]
    world.clock.tick(minutes=3)
    served(world, {0.5: nothing})
    assert kinds(world)[6:] == [("delta", 8.5)]
    world.clock.tick(minutes=9)
    served(world, {0.5: nothing})
    assert {kind for kind, _at in kinds(world)[7:]} == {
        "full",
        "reconcile",
        "refresh",
        "delta",
    }


def test_a_second_instance_stands_by_and_takes_over(world: Live) -> None:
    """It says so once, runs nothing, and leads once the other one was silent for too long."""
    with world.ledger() as ledger:
        ledger.presence.acquire("daemon", "elsewhere:1", at=world.clock(), lasts=LASTS)
        said = served(world, {LASTS / MINUTE - 0.5: nothing})
        (waiting,) = said
        assert waiting.startswith("standing by: elsewhere:1 is running on this ledger")
        assert ledger.runs() == []
        said = served(world, {1.5: nothing})
        assert said[0].startswith("standing by")
        assert said[1] == "leading"
        assert [run.status for run in ledger.runs()] == [RunStatus.DONE]
        ledger.presence.acquire("daemon", "elsewhere:1", at=world.clock(), lasts=LASTS)


@pytest.mark.slow
def test_reload_takes_a_valid_configuration_and_keeps_the_old_one_else(world: Live) -> None:
    """A mistake is said with its place, and the daemon goes on as before."""
    before = world.config.read_text()

    def write(text: str) -> Callable[[], None]:
        def happens() -> None:
            world.config.write_text(text)
            reload.ask()

        return happens

    faster = before + "schedule: {delta: {every: 2 minutes}}\n"
    reload = Reload(Stop())
    said = served(
        world,
        {1: write("conections: {}\n" + before), 16: write(faster), 20.5: nothing},
        reload,
    )
    refused = next(line for line in said if "not taken" in line)
    assert "config.yaml:1:1: conections: unknown key" in refused
    assert "configuration taken" in said
    assert [at for _kind, at in kinds(world)] == [0, 15, 16, 18, 20]


def test_wrong_credentials_end_it(world: Live) -> None:
    """Trying on would burn the quota: raised after one try, and told."""
    world.env["SF_CLIENT_SECRET"] = "wrong"
    with pytest.raises(CredentialsError):
        served(world, {60: nothing})
    with world.ledger() as ledger:
        (run,) = ledger.runs()
    assert run.status is RunStatus.FAILED


@pytest.mark.parametrize(("calls", "stopped"), [(5, "will try again"), (12, "stopped before")])
def test_what_a_guard_stopped_can_be_run_by_hand(world: Live, calls: int, stopped: str) -> None:
    """The message names the command that has the option which it names."""
    world.configure("sales", guards={"max_calls": calls})
    world.model(**MODEL)
    said = served(world, {1: nothing})[0]
    assert said.startswith(stopped)
    assert "--max-calls" in said
    assert "by hand it is `leadgauge sync`" in said


@contextmanager
def hook() -> Iterator[tuple[Server, list[Request]]]:
    """A webhook, and what was posted there."""
    posted: list[Request] = []

    def face(request: Request) -> Response:
        posted.append(request)
        return Response(200)

    with Server(face) as server:
        yield server, posted


def get(url: str) -> tuple[int, str]:
    """The status and the text of an address."""
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.slow
def test_a_new_event_is_in_the_crm_within_an_interval(world: Live) -> None:
    """S087: at an interval of 60 s, within it and the time of a run; the lag is exported.

    D02, too: the last success and the state of each job are exported, a failure, being overdue and
    the recovery are told once each, and /health says so.
    """
    port = free_port()
    scraped: dict[str, tuple[int, str]] = {}
    (record,) = world.sales.crm.records(Kind.LEAD)
    shown: list[object] = []

    def visit() -> None:
        values = {"type": "page_view", "at": world.clock(), "people": [record.number]}
        world.sales.crm.add(Kind.ACTIVITY, {**values, "subject": "page_view"})

    def look() -> None:
        shown.append(world.sales.shown(record)["score"])

    def scrape(name: str) -> Callable[[], None]:
        def happens() -> None:
            scraped[name] = get(f"http://127.0.0.1:{port}/metrics")
            scraped[f"{name} health"] = get(f"http://127.0.0.1:{port}/health")

        return happens

    away = Fault(".*", times=None, response=Response(503))
    with hook() as (server, posted):
        world.configure(
            "sales",
            schedule={"delta": {"every": "60 seconds"}},
            metrics={"port": port},
            alerts={"webhook": {"url": server.url, "token": "planted-token"}},
        )
        world.model(**MODEL)
        said = served(
            world,
            {
                0.2: look,
                0.3: visit,
                0.9: scrape("before"),
                1.1: look,
                1.2: scrape("after"),
                1.3: lambda: world.sales.server.faults.append(away),
                2.5: scrape("failed"),
                5.5: scrape("overdue"),
                5.6: world.sales.server.faults.clear,
                6.5: scrape("again"),
            },
        )
    assert shown == [20, 25]
    told = [json.loads(request.body) for request in posted]
    assert [(alert["job"], alert["state"]) for alert in told] == [
        ("delta", "failed"), ("delta", "overdue"), ("delta", "ok"),
    ]  # fmt: skip
    assert {request.headers["authorization"] for request in posted} == {"Bearer planted-token"}
    assert "planted-token" not in "".join(said)
    lag = {name: sample(text, "lag_seconds") for name, (_, text) in scraped.items()}
    assert lag["before"] == pytest.approx(54, abs=2)
    assert lag["after"] == pytest.approx(12, abs=2)
    assert lag["overdue"] == pytest.approx(270, abs=2)
    assert sample(scraped["after"][1], "last_success_timestamp_seconds") == pytest.approx(
        world.clock().timestamp() - 5.5 * 60, abs=2
    )
    assert 'leadgauge_job_state{job="delta",state="overdue"} 1.0' in scraped["overdue"][1]
    assert 'outcome="written"} 1.0' in scraped["after"][1]
    codes = [scraped[f"{n} health"][0] for n in ("after", "failed", "overdue", "again")]
    assert codes == [200, 503, 503, 200]
    assert "no success since" in scraped["overdue health"][1]


def free_port() -> int:
    """A port that nobody listens on."""
    with Server(lambda _request: Response(200)) as server:
        return int(server.url.rpartition(":")[2])


def sample(text: str, name: str) -> float | None:
    """The one sample of a metric."""
    found = [line for line in text.splitlines() if line.startswith(f"leadgauge_{name}")]
    return float(found[0].rpartition(" ")[2]) if found else None


def test_each_change_is_told_once_and_until_it_is_heard(world: Live) -> None:
    """D02: what could not be delivered is tried again; a second instance does not repeat it."""
    said: list[str] = []
    with hook() as (server, posted), world.ledger() as ledger, ExitStack() as stack:
        url, faults = server.url, server.faults
        world.configure("sales", alerts={"webhook": {"url": url}})
        setup = read_setup(world.config, world.outside)
        one, two = (
            stack.enter_context(
                closing(daemon.Term(setup, world.outside, Stop(), talk.as_text(said.append)))
            )
            for _ in range(2)
        )

        def ran(name: str, status: RunStatus) -> None:
            at = world.clock.tick(minutes=1)
            ledger.start(name, "delta", model="m", at=at)
            ledger.finish(name, status, at=at, counts={}, calls={}, error=None)

        def told() -> list[str]:
            one.tell_changes()
            two.tell_changes()
            return [json.loads(request.body)["state"] for request in posted]

        assert told() == []
        ran("r1", RunStatus.GUARDED)
        faults.append(Fault(".*", times=2, response=Response(500)))
        assert told() == []
        assert "alert by webhook not delivered" in said[-1]
        assert told() == ["guarded"]
        ran("r2", RunStatus.GUARDED)
        assert told() == ["guarded"]
        ran("r3", RunStatus.DONE)
        assert told() == ["guarded", "ok"]
    assert len([line for line in said if "changed its state" in line]) == 2


def test_metrics_that_cannot_be_served_are_a_mistake(
    world: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that is taken, and a library that is not installed: said with what to do."""
    with Server(lambda _request: Response(200)) as server:
        port = int(server.url.rpartition(":")[2])
        world.configure("sales", metrics={"port": port})
        taken = world.run("daemon")
    assert taken.code == Exit.USAGE
    assert f"metrics: cannot listen on 127.0.0.1:{port}" in taken.err
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "sync.metrics")
    missing = world.run("daemon")
    assert missing.code == Exit.USAGE
    assert "needs leadgauge[metrics]" in missing.err
