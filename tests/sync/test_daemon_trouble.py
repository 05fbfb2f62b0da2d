"""The daemon in trouble: killed, stopped in mid-write, given a configuration that cannot work, its
ledger away, a job that hangs."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault, Request, Response, Server
from sync import daemon
from sync.exits import Exit
from sync.lease import LASTS
from sync.ledger import Ledger, RunStatus
from sync.stop import Reload, Stop
from tests.killed import KILLED, Child
from tests.live import Live, live
from tests.sync.test_daemon import HOT, MODEL, free_port, get, hook, nothing, served
from tests.sync.test_lease import WRITING, leads, once, until
from tests.written import Written

AWAY = "postgresql+psycopg://nobody@127.0.0.1:1/ledger"


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[Live]:
    """One Salesforce org, and a ledger on either database."""
    with live(tmp_path) as found:
        found.configure("sales", ledger=url)
        found.model(**MODEL)
        yield found


@pytest.mark.slow
def test_one_daemon_is_killed_and_another_finishes(world: Live, url: str) -> None:
    """U05, D01: killed before the answer to a write call, which arrived: the one that stood by
    takes over, reads it back and writes the rest; nothing is written twice."""
    leads(world)
    world.set_up()
    written = Written()
    written.watch("sales", world.sales.crm)
    writing, dead = threading.Event(), threading.Event()

    def killed(request: Request) -> Response:
        answer = world.sales.face(request)
        writing.set()
        dead.wait(60)
        return answer

    world.sales.server.faults.append(Fault(WRITING, method="PATCH", response=killed))
    time = world.folder / "time"
    time.write_text(str(world.clock()))
    command = ["daemon", "--config", str(world.config)]
    with Child(command, world.env, time) as first:
        assert writing.wait(60)
        with Child(command, world.env, time) as second:
            second.heard("standing by")
            first.kill()
            dead.set()
            assert first.end().code == KILLED
            time.write_text(str(world.clock.tick(seconds=LASTS.total_seconds())))
            second.ask(signal.SIGHUP)
            second.heard("done")
            second.ask(signal.SIGTERM)
            assert second.end().code == Exit.DONE
    with Ledger(url) as ledger:
        ends = [run.status for run in ledger.runs()]
    assert ends == [RunStatus.DONE, RunStatus.DIED]
    once(written)


@pytest.mark.slow
def test_a_configuration_that_cannot_work_is_not_taken(world: Live, url: str) -> None:
    """Valid files that name a port that is taken, a server that is away, a folder that is not
    there: each is said, and the old term goes on; one that works takes over the port."""
    world.sales.crm.add(Kind.LEAD, dict(HOT))
    world.set_up()
    port, reload, health = free_port(), Reload(Stop()), list[int]()
    nowhere = world.folder / "none"

    def configure(minute: float, **more: object) -> tuple[float, Callable[[], None]]:
        def happens() -> None:
            world.configure("sales", **{"ledger": url, "metrics": {"port": port}, **more})
            world.model(**MODEL)
            reload.ask()

        return minute, happens

    def look() -> None:
        health.append(get(f"http://127.0.0.1:{port}/health")[0])

    often = {"delta": {"every": "4 minutes"}}
    world.configure("sales", ledger=url, metrics={"port": port}, schedule=often)
    world.model(**MODEL)
    with Server(lambda _request: Response(200)) as server:
        taken = int(server.url.rpartition(":")[2])
        said = served(
            world,
            dict(
                (
                    configure(0.2, metrics={"port": taken}),
                    (1.2, look),
                    configure(1.4, ledger=AWAY),
                    (2.2, look),
                    configure(2.4, ledger=f"sqlite:///{nowhere}/ledger.db"),
                    (3.2, look),
                    configure(3.4, facts=f"{nowhere}/facts.duckdb"),
                    (4.2, look),
                    configure(5),
                    (5.2, look),
                    (5.4, nothing),
                )
            ),
            reload,
        )
    refused = [line for line in said if "not taken, the old one goes on" in line]
    reasons = (f"listen on 127.0.0.1:{taken}", "server cannot be reached", "ledger.db", "facts")
    assert len(refused) == len(reasons)
    for line, reason in zip(refused, reasons, strict=True):
        assert reason in line
    assert len([line for line in said if line == "configuration taken"]) == 1
    assert health == [200] * 5
    with Ledger(url) as ledger:
        starts = [run.started_at for run in ledger.runs()[::-1]]
        assert {run.status for run in ledger.runs()} == {RunStatus.DONE}
    minutes = [round((at - starts[0]).total_seconds() / 60, 1) for at in starts]
    assert minutes == [0, 4, 5]


@pytest.mark.slow
def test_a_ledger_that_is_away_at_the_start_is_waited_for(tmp_path: Path, server: str) -> None:
    """It is tried again until it is there; the daemon then does its work."""
    with live(tmp_path) as world:
        world.sales.crm.add(Kind.LEAD, dict(HOT))
        world.configure("sales")
        world.set_up()
        url = server.format(database="comes_later")
        world.configure("sales", ledger=url)
        world.model(**MODEL)

        def comes() -> None:
            there = make_url(url).set(database="postgres")
            engine = create_engine(there, isolation_level="AUTOCOMMIT")
            with engine.connect() as db:
                db.execute(text("CREATE DATABASE comes_later"))
            engine.dispose()

        said = served(world, {2.5: comes, 3.5: nothing})
        assert len([line for line in said if line.startswith("will try again: ledger:")]) == 3
        with Ledger(url) as ledger:
            assert [run.status for run in ledger.runs()] == [RunStatus.DONE]


@pytest.mark.slow
def test_a_daemon_that_waits_for_its_ledger_hears_of_a_stop_and_of_a_new_file(
    tmp_path: Path,
) -> None:
    """Told to stop it ends well; a file that names another ledger is taken meanwhile."""
    with live(tmp_path) as world:
        world.configure("sales")
        world.set_up()
        world.configure("sales", ledger=AWAY)
        said = served(world, {1.5: nothing})
        assert {*said} == {said[0]}
        assert said[0].startswith("will try again: ledger: the database server cannot be reached")
        reload = Reload(Stop())

        def mended() -> None:
            world.configure("sales")
            reload.ask()

        said = served(world, {0.5: mended, 0.7: nothing}, reload)
        assert "configuration taken" in said


def test_a_job_that_hangs_is_told_of(
    world: Live, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D02: while it hangs, after two of its starts; and again when it ends well."""
    world.sales.crm.add(Kind.LEAD, dict(HOT))
    world.set_up()
    monkeypatch.setattr(daemon, "WATCH_SECONDS", 0.01)
    told: list[list[tuple[str, str]]] = []
    with hook() as (server, posted):
        world.configure("sales", ledger=url, alerts={"webhook": {"url": server.url}})
        world.model(**MODEL)

        def states() -> list[tuple[str, str]]:
            alerts = [json.loads(request.body) for request in posted]
            return [(alert["job"], alert["state"]) for alert in alerts]

        def hangs(request: Request) -> Response:
            world.clock.tick(minutes=29)
            told.append(states())
            world.clock.tick(minutes=1)
            until(states)
            told.append(states())
            return world.sales.face(request)

        world.sales.server.faults.append(Fault("/query", response=hangs))
        served(world, {1: nothing})
        assert told == [[], [("delta", "overdue")]]
        assert states() == [("delta", "overdue"), ("delta", "ok")]
