"""Writes that are read back by configuration: in a sync by hand, and in the daemon's cycles."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.salesforce.write import BULK_FROM
from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault, Response
from connectors.sandbox.salesforce.faults import fault
from sync.exits import Exit
from sync.ledger_rows import NOT_KEPT
from tests.live import Live, live
from tests.sync.test_amends import NAMES, TECHNOLOGY, quarantine, workflow
from tests.sync.test_cycle import field_name
from tests.sync.test_daemon import nothing, served

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """One Salesforce org in whose configuration every write is read back."""
    with live(tmp_path) as world:
        world.configure("sales", sales={"verify": True})
        world.model(**TECHNOLOGY)
        world.set_up()
        yield world


def people(world: Live, count: int) -> None:
    """Leads that the model gives 100 points."""
    for n in range(count):
        person = {"last_name": f"P{n}", "company": "Firm", "email": f"p{n}@firm.example"}
        world.sales.crm.add(Kind.LEAD, {**person, "industry": "Technology"})


def scores(world: Live) -> set[int | None]:
    """What the CRM holds."""
    return {world.sales.shown(lead)["score"] for lead in world.sales.crm.records(Kind.LEAD)}


def by_hand(world: Live) -> None:
    """A sync that is told nothing of reading back."""
    world.sync(code=Exit.REFUSED)


def by_daemon(world: Live) -> None:
    """One cycle of the daemon."""
    served(world, {0.5: nothing})


@pytest.mark.parametrize("run", [by_hand, by_daemon])
def test_a_bulk_job_that_changes_nothing_is_found_out(
    world: Live, run: Callable[[Live], None]
) -> None:
    """D27: the job reports success for all and the CRM is as before: with `verify: true` nothing
    counts as written, whoever runs, and it is sent again when asked."""
    people(world, BULK_FROM)
    unchanged = fault("bulk-unchanged")
    world.sales.server.faults.append(unchanged)
    run(world)
    assert unchanged.hit == 1
    assert scores(world) == {None}
    told = quarantine(world)
    assert len(told) == BULK_FROM
    assert {entry["code"] for entry in told.values()} == {NOT_KEPT}
    with world.ledger() as ledger:
        assert ledger.last_written("sales") == {}
        assert ledger.open_intents("sales") == []
    assert world.run("retry", "--max-change-share", "1").code == Exit.DONE
    assert scores(world) == {100}
    assert quarantine(world) == {}


def test_a_job_that_an_earlier_run_began_is_read_back(
    world: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D27: its results could not be had before; they say success, and the CRM holds nothing."""
    monkeypatch.setattr("connectors.salesforce.connector.BULK_FROM", 3)
    people(world, 3)
    silent = Fault("Results/?$", times=None, response=Response(503, b"<html>"))
    world.sales.server.faults += [silent, fault("bulk-unchanged")]
    world.sync(code=Exit.TEMPORARY)
    with world.ledger() as ledger:
        assert len(ledger.open_intents("sales")) == 3
    world.sales.server.faults.clear()
    world.sync()
    with world.ledger() as ledger:
        assert ledger.last_written("sales") == {}
        assert ledger.open_intents("sales") == []
    assert {entry["code"] for entry in quarantine(world).values()} == {NOT_KEPT}


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_that_sets_a_field_back_is_found_out(world: Live, name: str) -> None:
    """D27: by configuration, on either CRM, when writing and when taking it back."""
    world.configure(name, **{name: {"verify": True}})
    world.model(**TECHNOLOGY)
    world.set_up()
    seller = world.sellers[name]
    person = {"last_name": "P", "company": "Firm", "email": "p@firm.example"}
    lead = seller.crm.add(Kind.LEAD, {**person, "industry": "Technology"})
    run = world.sync().json["run"]
    workflow(seller, [lead], **{field_name(name, "score"): 100})
    outcome = world.run("undo", run, "--yes", "--max-change-share", "1")
    assert outcome.code == Exit.REFUSED, outcome.err
    assert seller.shown(lead)["score"] == 100
    seller.server.faults.clear()
    workflow(seller, [lead], **{field_name(name, "tier"): "C"})
    seller.crm.update(lead, {"title": "Director"})
    world.sync(code=Exit.REFUSED)
    reasons = [entry["reason"] for entry in quarantine(world).values()]
    assert reasons == ["tier: sent A, the CRM holds C"]
