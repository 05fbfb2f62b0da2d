"""Trouble in the middle of a run: it ends right, or the next run does; nothing lost or doubled."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Connector
from connectors.sandbox.crm import Crm, Kind
from connectors.sandbox.http import Fault, Request, Response
from connectors.sandbox.hubspot import faults as hubspot_faults
from connectors.sandbox.hubspot.replies import rate_limited
from connectors.sandbox.memory import MemoryConnector
from connectors.sandbox.salesforce import faults as salesforce_faults
from connectors.sandbox.salesforce.errors import concurrent_limit
from connectors.settings import ConnectionSettings
from connectors.throttle import ATTEMPTS
from sync.exits import Exit
from tests.live import ANA, Live, live

TECHNOLOGY = {
    "fit": [{"id": "technology", "points": 100, "when": {"industry": "technology"}}],
    "behaviour": [],
    "decays": {},
}
FAULTS = {"sales": salesforce_faults, "marketing": hubspot_faults}
LEADS = 3


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Three leads in each CRM."""
    with live(tmp_path) as world:
        for seller in world.sellers.values():
            populate(seller.crm)
        yield world


def populate(crm: Crm) -> None:
    """Three leads that the model gives 100 points."""
    for n in range(LEADS):
        values = {"last_name": f"P{n}", "company": "Firm", "email": f"p{n}@firm.example"}
        crm.add(Kind.LEAD, {**values, "industry": "Technology"})


def prepare(world: Live, *names: str, **more: Any) -> None:
    """Configure some connections with a model that is quick to apply, and make their fields."""
    world.configure(*names, **more)
    world.model(**TECHNOLOGY)
    world.set_up()


def scores(world: Live, name: str) -> list[Any]:
    """What the CRM shows as scores."""
    seller = world.sellers[name]
    return [seller.shown(lead)["score"] for lead in seller.crm.records(Kind.LEAD)]


PASSING = {
    "sales": ("expired-session", "concurrent-limit", "lock-row", "server-error",
              "drop-before-write", "drop-after-write", "truncated", "query-timeout"),
    "marketing": ("ten-secondly", "expired-token", "server-error-html", "locked", "conflict",
                  "drop-before-write", "drop-after-write", "truncated"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        *PASSING.items(),
        *(
            pytest.param(name, (fault,), marks=pytest.mark.slow, id=f"{name}-{fault}")
            for name, faults in PASSING.items()
            for fault in faults
        ),
    ],
)
def test_passing_troubles_are_got_over(world: Live, name: str, faults: tuple[str, ...]) -> None:
    """All in one run, or one alone: it ends well in one go, every lead written exactly once."""
    prepare(world, name)
    seller = world.sellers[name]
    troubles = [FAULTS[name].fault(fault) for fault in faults]
    seller.server.faults += troubles
    before = seller.crm.revision
    outcome = world.sync()
    assert not [fault for fault, it in zip(faults, troubles, strict=True) if not it.hit]
    assert outcome.step(name, "write")["out"] == LEADS
    assert scores(world, name) == [100] * LEADS
    assert seller.crm.revision == before + LEADS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sales", "marketing"])
def test_an_answer_that_does_not_come(
    world: Live, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D17: a call that hangs has an end, and is made again."""
    monkeypatch.setattr("connectors.salesforce.wire.READ_SECONDS", 1)
    monkeypatch.setattr("connectors.hubspot.client.TIMEOUT", (1, 1))
    prepare(world, name)
    hang = FAULTS[name].fault("hang")
    assert hang.delay > 120
    hang.delay = 3
    world.sellers[name].server.faults.append(hang)
    world.sync()
    assert hang.hit
    assert scores(world, name) == [100] * LEADS


@pytest.mark.parametrize("name", ["sales", "marketing"])
def test_a_refused_row_does_not_stop_the_others(world: Live, name: str) -> None:
    """D03, D05: it alone waits, with the CRM's reason, and is written once it may be."""
    prepare(world, name)
    seller = world.sellers[name]
    seller.server.faults.append(FAULTS[name].fault("row-refused"))
    outcome = world.sync(code=Exit.REFUSED)
    assert outcome.step(name, "write")["out"] == LEADS - 1
    assert sorted(scores(world, name), key=str) == [100] * (LEADS - 1) + [None]
    (entry,) = world.run("status", "--json").json["quarantine"]
    code = {"sales": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "marketing": "INVALID_OPTION"}[name]
    assert entry["code"] == code
    (lead,) = (r for r in seller.crm.records(Kind.LEAD) if seller.id(r) == entry["record_id"])
    writes = seller.writes()
    world.sync()
    assert seller.writes() == writes
    seller.server.faults.clear()
    if name == "sales":
        seller.face.rules.invalid.clear()  # type: ignore[attr-defined]
    seller.crm.update(lead, {"title": "Corrected"}, by=seller.users[ANA].number)
    world.sync()
    assert scores(world, name) == [100] * LEADS
    assert world.run("status", "--json").json["quarantine"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "options", "code", "done"),
    [("bulk-failed", (), Exit.DONE, LEADS), ("bulk-unchanged", ("--verify",), Exit.REFUSED, 0)],
)
def test_a_bulk_job_that_does_not_write(
    world: Live,
    fault: str,
    options: tuple[str, ...],
    code: Exit,
    done: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """D27: what a job that failed halfway left is written in another way, at once; what one that
    changed nothing claims is found out, and written when it is asked for."""
    monkeypatch.setattr("connectors.salesforce.connector.BULK_FROM", LEADS)
    prepare(world, "sales")
    before = world.sales.crm.revision
    world.sales.server.faults.append(salesforce_faults.fault(fault))
    outcome = world.sync(*options, code=code)
    assert outcome.step("sales", "write")["out"] == scores(world, "sales").count(100) == done
    world.sales.server.faults.clear()
    world.clock.tick()
    world.run("retry")
    assert scores(world, "sales") == [100] * LEADS
    assert world.sales.crm.revision == before + LEADS + (LEADS - done)


@pytest.mark.parametrize(
    ("name", "fault", "code", "words"),
    [
        ("sales", "daily-limit", Exit.TEMPORARY, "daily API requests are used up"),
        ("sales", "api-disabled", Exit.CREDENTIALS, "has no API"),
        ("marketing", "daily-limit", Exit.TEMPORARY, "daily"),
        ("marketing", "missing-scopes", Exit.CREDENTIALS, "in contacts: 403 MISSING_SCOPES"),
    ],
)
def test_a_lasting_trouble_ends_the_run(
    world: Live, name: str, fault: str, code: Exit, words: str
) -> None:
    """The error names the connection and what to do; when it is over, the next run does all."""
    prepare(world, name)
    seller = world.sellers[name]
    seller.server.faults.append(FAULTS[name].fault(fault))
    outcome = world.run("sync")
    assert outcome.code == code
    assert f"error: {name}: " in outcome.err
    assert words in outcome.err
    (run,) = world.run("status", "--json").json["runs"]
    assert run["status"] == "failed"
    assert name in run["error"]
    seller.server.faults.clear()
    world.sync()
    assert scores(world, name) == [100] * LEADS


@pytest.mark.parametrize("name", ["sales", "marketing"])
def test_a_rate_limit_beyond_patience(world: Live, name: str) -> None:
    """Waiting has an end: the run gives up as temporary, and what it had read is kept."""
    prepare(world, name)
    again = {"sales": "concurrent-limit", "marketing": "ten-secondly"}[name]
    fault = FAULTS[name].fault(again)
    fault.times, fault.skip = None, 5
    world.sellers[name].server.faults.append(fault)
    outcome = world.run("sync")
    assert outcome.code == Exit.TEMPORARY
    assert f"error: {name}: " in outcome.err
    assert sum(world.timer.waits) > 1
    world.sellers[name].server.faults.clear()
    world.sync()
    assert scores(world, name) == [100] * LEADS


@pytest.mark.parametrize("name", ["sales", "marketing"])
def test_to_be_slowed_down_is_no_failure(world: Live, name: str) -> None:
    """D40: more rate limits than attempts at one write: it is waited, nothing counts as refused."""
    prepare(world, name)
    answers = {
        "sales": (".*/composite/sobjects/?", "PATCH", concurrent_limit().response()),
        "marketing": (".*/batch/update/?", "POST", rate_limited("TEN_SECONDLY_ROLLING").response),
    }
    path, method, answer = answers[name]
    slow = Fault(path, method, times=ATTEMPTS + 2, response=answer)
    world.sellers[name].server.faults.append(slow)
    outcome = world.sync()
    assert slow.hit == ATTEMPTS + 2
    (part,) = (c for c in outcome.json["connections"] if c["connection"] == name)
    assert part["waits"] == ATTEMPTS + 2
    assert outcome.step(name, "write")["out"] == LEADS
    found = world.run("status", "--json").json
    assert (found["quarantine"], found["usage"][0]["waits"]) == ([], ATTEMPTS + 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sales", "marketing"])
def test_the_rest_of_the_day_is_left_to_others(world: Live, name: str) -> None:
    """A run stops before it passes its share of the daily quota, and a backfill before that."""
    prepare(world, name, guards={"daily_quota_share": 0.6, "backfill_quota_share": 0.3})
    world.sync()
    face: Any = world.sellers[name].face
    quota = face if name == "sales" else face.limits
    quota.daily_limit = quota.daily = 1000
    quota.used = 288
    stopped = world.run("backfill", "--yes")
    assert stopped.code == Exit.TEMPORARY
    assert f"{name}: 300 of today's 1,000 API calls are used" in stopped.err
    assert "leaves the rest beyond 300 (30%) to others" in stopped.err
    assert 288 < quota.used <= 300
    world.sync()
    quota.used = 590
    assert world.run("sync").code == Exit.TEMPORARY
    assert 590 < quota.used <= 600
    quota.used = 0
    world.sync()


@pytest.mark.slow
def test_a_first_run_that_broke_off_goes_on(world: Live) -> None:
    """U05: what is left of it is most of the records, and no implausible change."""
    prepare(world, "marketing")
    seller = world.marketing
    first = next(seller.crm.records(Kind.LEAD))
    for n in range(LEADS, 130):
        person = {"last_name": f"P{n}", "email": f"p{n}@firm.example", "industry": "Technology"}
        seller.crm.add(Kind.LEAD, person)
    overload = Fault("/batch/update", body=f'"{first.number}"', times=None)
    overload.response = Response(503, b"")
    seller.server.faults.append(overload)
    assert world.run("sync").code == Exit.TEMPORARY
    assert scores(world, "marketing").count(100) <= 30
    seller.server.faults.clear()
    world.sync()
    assert scores(world, "marketing") == [100] * 130


@pytest.mark.parametrize("name", ["sales", "marketing"])
def test_an_unreachable_host(world: Live, name: str) -> None:
    """The error says which connection and where, and that it may be tried again."""
    world.configure(name, **{name: {"url": "http://127.0.0.1:9"}})
    outcome = world.run("sync")
    assert outcome.code == Exit.TEMPORARY
    assert f"error: {name}: " in outcome.err
    assert "127.0.0.1:9" in outcome.err
    assert world.run("check").code == Exit.TEMPORARY


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sales", "marketing"])
def test_the_host_goes_away_in_mid_write(world: Live, name: str) -> None:
    """Written, never answered, and nothing can be read back: the next run reads before it sends.

    D01: nothing counts as written that was not acknowledged; each lead is written once.
    """
    prepare(world, name)
    seller = world.sellers[name]
    write = {"sales": "/composite/sobjects/?$", "marketing": "/batch/update/?$"}[name]

    def carried_out_and_gone(request: Request) -> Response:
        seller.server.faults[:] = [Fault("", times=None, drop="before")]
        seller.face(request)
        return Response(503, b"<html>gone</html>", {"Content-Type": "text/html"})

    method = {"sales": "PATCH", "marketing": "POST"}[name]
    seller.server.faults.append(Fault(write, method=method, response=carried_out_and_gone))
    before = seller.crm.revision
    outcome = world.run("sync", "--json")
    assert seller.crm.revision == before + LEADS
    with world.ledger() as ledger:
        assert ledger.last_written(name) == {}
        assert len(ledger.open_intents(name)) == LEADS
    assert outcome.code == Exit.TEMPORARY
    assert "3 records" in outcome.err
    seller.server.faults.clear()
    world.sync()
    assert seller.crm.revision == before + LEADS
    assert scores(world, name) == [100] * LEADS
    with world.ledger() as ledger:
        assert len(ledger.last_written(name)) == LEADS
        assert ledger.open_intents(name) == []


def own(settings: ConnectionSettings) -> ConnectionSettings:
    """The settings that every kind of connection has: the in-memory CRM has its own names."""
    return ConnectionSettings(write=settings.write)


class Killed(BaseException):
    """The process is killed; nothing of leadgauge's may catch this."""


@pytest.mark.slow
@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
def test_a_crash_around_a_write(world: Live, carried_out: bool) -> None:
    """D01: killed before or after the CRM took a batch, the next run ends as an unbroken one."""
    crm = Crm(world.clock)
    populate(crm)
    alive = {"kill": True}

    def kill(call: str) -> None:
        if call == "write" and alive["kill"]:
            raise Killed

    def connect(name: str, settings: ConnectionSettings) -> Connector:
        hook = {"after" if carried_out else "before": kill}
        return MemoryConnector(name, crm, own(settings), write_batch=2, **hook)  # type: ignore[arg-type]

    world.connect = connect
    prepare(world, "sales")
    before = crm.revision
    with pytest.raises(Killed):
        world.run("sync")
    with world.ledger() as ledger:
        assert ledger.last_written("sales") == {}
        assert len(ledger.open_intents("sales")) == LEADS
    taken = crm.revision - before
    assert taken == (2 if carried_out else 0)
    alive["kill"] = False
    outcome = world.sync()
    assert crm.revision == before + LEADS
    assert outcome.step("sales", "write")["out"] == LEADS - taken
    with world.ledger() as ledger:
        assert len(ledger.last_written("sales")) == LEADS
        assert ledger.open_intents("sales") == []
    before = crm.revision
    world.sync()
    assert crm.revision == before
