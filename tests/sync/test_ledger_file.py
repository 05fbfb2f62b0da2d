"""A ledger file that cannot be used: locked by another program, full, or not to be written."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault, Request, Response
from sync.errors import StoreLost
from sync.exits import Exit
from sync.lease import LASTS
from sync.ledger import Ledger, RunStatus
from tests.live import Live, live
from tests.sync.test_daemon import HOT, MODEL, nothing, served
from tests.sync.test_lease import WRITING
from tests.sync.test_ledger import T0
from tests.written import Written


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """One Salesforce org with a lead in it, scored once; nobody waits for a lock."""
    monkeypatch.setattr("sync.ledger_engine.BUSY_SECONDS", 0)
    with live(tmp_path) as found:
        found.sales.crm.add(Kind.LEAD, dict(HOT))
        found.configure("sales")
        found.model(**MODEL)
        found.set_up()
        yield found


@pytest.fixture
def written(world: Live) -> Written:
    """What is really written to the CRM."""
    found = Written()
    found.watch("sales", world.sales.crm)
    return found


def locked(world: Live) -> sqlite3.Connection:
    """Another program that keeps the file to itself, until it is closed."""
    other = sqlite3.connect(world.folder / "ledger.db", check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


@contextmanager
def every_connection(pragma: str) -> Iterator[None]:
    """Have SQLite behave in another way on each connection that is made meanwhile."""

    def made(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA {pragma}").close()

    event.listen(Engine, "connect", made)
    try:
        yield
    finally:
        event.remove(Engine, "connect", made)


def test_a_locked_file_is_temporary(world: Live) -> None:
    """D02: it is said which file it is and what to do; the next run goes on."""
    with closing(locked(world)):
        ended = world.run("sync")
    assert ended.code == Exit.TEMPORARY
    assert f"{world.folder / 'ledger.db'} is locked by another program" in ended.err
    assert world.sales.writes() == 0
    world.sync()
    assert world.sales.writes() == 1


@pytest.mark.slow
def test_a_file_that_is_locked_within_a_write_call(world: Live, written: Written) -> None:
    """D01, D02: what was sent cannot be settled; the next run reads it back, and sends it not."""
    others: list[sqlite3.Connection] = []

    def taken(request: Request) -> Response:
        others.append(locked(world))
        return world.sales.face(request)

    world.sales.server.faults.append(Fault(WRITING, method="PATCH", response=taken))
    assert world.run("sync").code == Exit.TEMPORARY
    others.pop().close()
    world.clock.tick(seconds=LASTS.total_seconds())
    world.sync()
    assert {*written.effective.values()} == {1}
    assert not written.idle


def test_a_file_that_may_not_be_written(world: Live) -> None:
    """It is a matter of rights, and said so; nothing was written to the CRM."""
    world.run("status")
    with every_connection("query_only = ON"):
        ended = world.run("sync")
    assert ended.code == Exit.USAGE
    assert f"ledger: {world.folder / 'ledger.db'} cannot be written; give this" in ended.err
    assert world.sales.writes() == 0
    world.sync()


def test_a_full_disk_is_temporary(tmp_path: Path) -> None:
    """What did not fit is not kept, and what was kept before is there."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Ledger(url) as ledger:
        ledger.start("first", "sync", model="m", at=T0)
    with (
        every_connection("max_page_count = 1"),
        Ledger(url) as ledger,
        pytest.raises(StoreLost, match="its disk is full; make room"),
    ):
        ledger.start("second", "sync", model="m" * 1_000_000, at=T0)
    with Ledger(url) as ledger:
        assert [run.id for run in ledger.runs()] == ["first"]


@pytest.mark.slow
def test_a_daemon_gets_over_a_locked_file(world: Live) -> None:
    """D02: locked as it starts, and when it is to work: it says so, and tries again."""
    others = [locked(world)]

    def freed() -> None:
        others.pop().close()

    def taken() -> None:
        others.append(locked(world))

    events: dict[float, Callable[[], None]] = {1.5: freed, 3: taken, 7.5: freed, 9.5: nothing}
    world.configure("sales", schedule={"delta": {"every": "2 minutes"}})
    world.model(**MODEL)
    said = served(world, events)
    again = [line for line in said if line.startswith("will try again: ledger:")]
    assert len(again) > 3
    assert all("is locked by another program" in line for line in again)
    with world.ledger() as ledger:
        assert [run.status for run in ledger.runs()] == [RunStatus.DONE] * 2
