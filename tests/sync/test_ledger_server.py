"""The ledger on a PostgreSQL server: a team's, or that of two hosts of which one stands by."""

import pytest

from connectors.sandbox.crm import Kind
from core.decision import Output
from sync.exits import Exit
from sync.lease import LASTS
from sync.ledger import Ledger, RunStatus
from tests import postgres
from tests.live import balanced, live

HOT = {"last_name": "Hot", "email": "hot@buyer.example", "industry": "Technology"}


@pytest.fixture
def world(tmp_path, server):
    """Both CRMs with a lead in each, and two hosts that share a ledger: facts of their own."""
    url = postgres.database(server)
    with live(tmp_path) as found:
        for seller in found.sellers.values():
            seller.crm.add(Kind.LEAD, dict(HOT))
        found.configure(ledger=url)
        found.set_up()
        yield found, url


@pytest.mark.slow
def test_a_sync_and_a_second_one_that_writes_nothing(world):
    """What was written is known on the server: nothing is written twice."""
    found, url = world
    first = found.sync()
    assert balanced(first.json)
    assert [found.sales.writes(), found.marketing.writes()] == [1, 1]
    found.sync()
    assert [found.sales.writes(), found.marketing.writes()] == [1, 1]
    with Ledger(url) as ledger:
        assert [run.status for run in ledger.runs()] == [RunStatus.DONE, RunStatus.DONE]
        (written,) = ledger.last_written("sales").values()
        assert written[Output.SCORE] == "20"
    assert "done" in found.run("status").out


@pytest.mark.slow
def test_a_second_host_stands_by_and_takes_over(world):
    """While one holds the lease the other ends at once; when the first dies, it goes on."""
    found, url = world
    with Ledger(url) as other:
        other.presence.acquire("sync", "other-host:1", at=found.clock(), lasts=LASTS)
        standing_by = found.run("sync")
        assert standing_by.code == Exit.LEASE
        assert "other-host:1 is running on this ledger" in standing_by.err
        assert found.sales.writes() == 0
    found.clock.tick(seconds=LASTS.total_seconds())
    found.sync()
    assert found.sales.writes() == 1


def test_a_server_that_is_away(world):
    """Temporary: exit code 5, no traceback, nothing written, and the next run goes on."""
    found, _url = world
    found.configure(ledger="postgresql+psycopg://nobody@127.0.0.1:1/ledger")
    away = found.run("sync")
    assert away.code == Exit.TEMPORARY
    assert "run again later" in away.err
    assert found.sales.writes() == 0
