"""SIGKILL: a sync is killed before each of its effects in turn, and at random instants.

The next run must reach the state that an unbroken run reaches, with exactly one effective write
for every record and field. Every state that a kill can leave is reached by killing just before
an effect (see `tests.killed`). From planning on all are tried; LEADGAUGE_KILLS says how many of
those in a pull (0: every one), which take long and are much the same. With the ledger on a
PostgreSQL server some are tried of each.
"""

import os
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.salesforce.write import BULK_FROM
from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.http import Fault, Request, Response
from sync.exits import Exit
from sync.facts_store import FactsStore
from sync.lease import LASTS
from sync.spool import BLOCK
from tests.conftest import Prove
from tests.hubspot import RunningTimer
from tests.killed import KILLED, Child, Ended
from tests.live import ANA, BEN, Live, Outcome, Seller, live
from tests.postgres import Ledgers
from tests.written import Written

MODEL = {
    "fit": [{"id": "technology", "points": 60, "when": {"industry": "technology"}}],
    "behaviour": [
        {"id": "pricing", "points": 50, "when": {"type": "page_view", "asset": "/pricing"}}
    ],
    "decays": {},
}
LEADS = {"sales": 210, "marketing": 110}
"""A few more than one write call takes."""

MANY = {"sales": 2 * BLOCK + 300, "marketing": BLOCK + 50}
"""More than memory holds of a plan, and enough for a bulk job."""

JOB = {"sales": BULK_FROM, "marketing": 0}
"""Enough for a bulk job, and no more."""

WRITES = re.compile("PATCH|/batch/update")
PLANNING = 6
"""How many effects before the first write the pull is over, or nearly so."""

SHARES = 4
"""Among how many tests the effects are shared, so that no worker is left with them all."""

KILLS = int(os.environ.get("LEADGAUGE_KILLS", "5"))
ON_SERVER = 4
"""How many effects of a cycle are tried with the ledger on a server."""

FILES = Ledgers()
FAR = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass
class World:
    """Both CRMs with leads to score and to assign, and what leadgauge's user really changed."""

    live: Live
    written: Written

    def child(self, *, die: int | None = None) -> Child:
        """A sync in a process of its own, after every lease of before has ended."""
        self.live.clock.tick(seconds=LASTS.total_seconds() + 60)
        arguments = ["sync", "--config", str(self.live.config)]
        return Child(arguments, self.live.env, self.live.clock(), die)

    def sync(self, *, die: int | None = None) -> Ended:
        """The same, run to its end."""
        with self.child(die=die) as child:
            return child.end()

    def recover(self) -> Outcome:
        """The run after a kill; what jobs are then left running go on to their end."""
        self.live.clock.tick(seconds=LASTS.total_seconds())
        outcome = self.live.sync()
        face: Any = self.live.sales.face
        for job in face.bulk._jobs.values():
            while job.state in ("UploadComplete", "InProgress"):
                face.bulk.work(job, face._known())
        return outcome

    def change(self) -> None:
        """Things happen in both CRMs: new leads, new deeds, a merge, a deletion, an edit."""
        self.live.clock.tick(hours=30)
        for seller in self.live.sellers.values():
            leads = list(seller.crm.records(Kind.LEAD))
            for n in range(3):
                visit(seller, lead(seller, n + 1000), self.live.clock())
                visit(seller, leads[2 * n + 1], self.live.clock())
            seller.crm.merge(leads[10], leads[11])
            seller.crm.delete(leads[12])
            seller.edit(leads[13], "score", 7)
        self.live.sales.crm.convert(next(self.live.sales.crm.records(Kind.LEAD)))
        self.live.clock.tick()

    def state(self) -> dict[str, Any]:
        """All that must not hang on how often a run was killed: in the CRMs and in both stores."""
        with self.live.ledger() as ledger, FactsStore(self.live.folder / "facts.duckdb") as facts:
            stages = ledger.past.before(FAR).stages.to_pyarrow().to_pylist()
            given = ledger.past.handoffs()
            known = facts.table("leads").to_pyarrow().to_pylist()
            return {
                "shown": {
                    (name, record.number): timeless(seller.shown(record))
                    for name, seller in self.live.sellers.items()
                    for record in seller.crm.records(Kind.LEAD, Kind.CONTACT)
                },
                "last written": {
                    (name, key): timeless(values)
                    for name in LEADS
                    for key, values in ledger.last_written(name).items()
                },
                "waiting": [c for name in LEADS for c in ledger.open_intents(name)],
                "assigned": {name: ledger.routing.assigned(name) for name in LEADS},
                "stages": {
                    (r["connection"], r["lead_id"]): (r["stage"], r["mqls"]) for r in stages
                },
                "handed off": {(h.connection, h.lead_id, h.cycle, h.stage) for h in given},
                "facts": {
                    (r["connection"], r["id"]): timeless(dict(r["present"] or ()))
                    for r in known
                    if r["valid_to"] is None
                },
                "counts": {name: facts.counts(name) for name in LEADS},
                "writes": dict(self.written.effective),
                "writes in vain": dict(self.written.idle),
            }


def timeless(values: Any) -> dict[str, Any]:
    """Written values, of the time of scoring only whether there is one."""
    plain = {str(key): value for key, value in values.items()}
    return {**plain, "scored_at": plain.get("scored_at") is not None}


def lead(seller: Seller, n: int) -> Record:
    """A new lead, every second one of whom earns something."""
    person = {"last_name": f"P{n}", "company": "Firm", "email": f"p{n}@firm.example"}
    industry = "Technology" if n % 2 else "Retail"
    return seller.crm.add(Kind.LEAD, {**person, "industry": industry})


def visit(seller: Seller, person: Record, at: datetime) -> None:
    """Somebody looks at the price."""
    seen = {"type": "page_view", "at": at, "asset": "/pricing", "people": [person.number]}
    seller.crm.add(Kind.ACTIVITY, seen)


@contextmanager
def world(
    folder: Path,
    *,
    cycle: int,
    ledgers: Ledgers = FILES,
    index_lag: float = 0.0,
    leads: Mapping[str, int] = LEADS,
) -> Iterator[World]:
    """Before the first cycle, which reads and writes everything; or a later one, with changes."""
    folder.mkdir()
    with live(folder, RunningTimer(), index_lag=index_lag) as found:
        for name, seller in found.sellers.items():
            for n in range(leads[name]):
                person = lead(seller, n)
                if n % 50 == 3:
                    visit(seller, person, found.clock())
        found.configure(routing={"pool": [ANA, BEN]}, **ledgers.fresh())
        found.model(**MODEL)
        found.set_up()
        self = World(found, Written())
        if cycle > 1:
            found.sync()
            self.change()
        for name, seller in found.sellers.items():
            self.written.watch(name, seller.crm)
        yield self


@dataclass(frozen=True)
class Unbroken:
    """What an unbroken run does to the world, and where it ends."""

    effects: tuple[str, ...]
    state: dict[str, Any]
    seconds: float


@pytest.fixture(scope="module", params=[1, 2], ids=["everything", "changes"])
def cycle(request: pytest.FixtureRequest) -> int:
    """Which cycle is killed."""
    return int(request.param)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, cycle: int, ledgers: Ledgers) -> Unbroken:
    """The same cycle, left alone."""
    folder = tmp_path_factory.mktemp("unbroken") / "w"
    with world(folder, cycle=cycle, ledgers=ledgers) as found:
        with found.child() as child:
            begun = time.monotonic()
            ended = child.end()
            seconds = time.monotonic() - begun
        assert ended.code == Exit.DONE, ended.said
        outcome = found.recover()
        assert all(outcome.step(name, "write")["in"] == 0 for name in LEADS)
        state = found.state()
        assert state["writes"]
        assert set(state["writes"].values()) == {1}
        assert not state["writes in vain"]
        assert not state["waiting"]
        return Unbroken(ended.effects, state, seconds)


def lost(found: World, unbroken: Unbroken) -> dict[str, Any]:
    """What differs from an unbroken run, after the next run: by what, (there, expected)."""
    found.recover()
    state = found.state()
    return {k: differing(state[k], v) for k, v in unbroken.state.items() if state[k] != v}


def differing(there: Any, expected: Any) -> Any:
    """Of two mappings the entries that differ, of others both."""
    if not isinstance(there, dict):
        return there, expected
    keys = there.keys() | expected.keys()
    return {
        key: (there.get(key), expected.get(key))
        for key in keys
        if there.get(key) != expected.get(key)
    }


def points(effects: tuple[str, ...], *, on_server: bool) -> list[int]:
    """Before which effects to kill: all, or some of pulling and all from planning on, or some."""
    if on_server:
        return [len(effects) - n * len(effects) // ON_SERVER for n in range(ON_SERVER)]
    planned = next(n for n, what in enumerate(effects) if WRITES.search(what)) - PLANNING
    pulling = range(1, planned + 1)
    some = range(1, planned + 1, max(1, planned // KILLS)) if KILLS else pulling
    return [*some, *range(planned + 1, len(effects) + 1)]


def test_killed_before_an_answer(tmp_path: Path, ledgers: Ledgers) -> None:
    """D01, U05: of four calls two were settled, one was carried out and never answered, and one
    was never sent; each field of each record is written once all the same."""
    with world(tmp_path / "w", cycle=1, ledgers=ledgers) as found, found.child() as child:
        sales = found.live.sales

        def carried_out(request: Request) -> Response:
            answer = sales.face(request)
            child.kill()
            return answer

        sales.server.faults.append(Fault("/composite/sobjects$", "PATCH", response=carried_out))
        assert child.end().code == KILLED
        assert found.recover().step("sales", "write")["in"] == LEADS["sales"] - 200
        state = found.state()
        assert len({place[:2] for place in state["writes"]}) == sum(LEADS.values())
        assert set(state["writes"].values()) == {1}
        assert not state["writes in vain"]
        assert len(state["last written"]) == sum(LEADS.values())
        assert not state["waiting"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", range(SHARES))
def test_killed_before_every_effect(
    tmp_path: Path,
    unbroken: Unbroken,
    ledgers: Ledgers,
    cycle: int,
    share: int,
    prove: Prove,
) -> None:
    """D01, U05: whatever was done by then; each record and field is written once all the same."""
    failures = {}
    killed = points(unbroken.effects, on_server=bool(ledgers.server))[share::SHARES]
    doubled = 0
    for n in killed:
        with world(tmp_path / str(n), cycle=cycle, ledgers=ledgers) as found:
            ended = found.sync(die=n)
            assert ended.code == KILLED, ended.said
            if difference := lost(found, unbroken):
                failures[f"{n}: before {unbroken.effects[n - 1]}"] = difference
            doubled += sum(found.written.idle.values())
    prove(0, len(killed), len(failures), doubled)
    assert not failures


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("ledgers", ["sqlite"], indirect=True)
@pytest.mark.parametrize("after", [2, 3])
def test_killed_before_search_shows_what_was_written(
    tmp_path: Path, unbroken: Unbroken, cycle: int, after: int
) -> None:
    """D01, U05: killed before either store has settled a call, while HubSpot's search still shows
    what was there before; nothing is sent again."""
    write = next(n for n, what in enumerate(unbroken.effects) if "/batch/update" in what)
    with world(tmp_path / "w", cycle=cycle, index_lag=3 * LASTS.total_seconds()) as found:
        assert found.sync(die=write + after).code == KILLED
        found.recover()
        assert found.written.effective
        assert not found.written.idle


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("ledgers", "seed"),
    [*(("sqlite", seed) for seed in range(3)), ("postgresql", 3)],
    indirect=["ledgers"],
    scope="module",
)
def test_killed_at_random_instants(
    tmp_path: Path, unbroken: Unbroken, ledgers: Ledgers, cycle: int, seed: int, prove: Prove
) -> None:
    """D01, U05: several times in a row, wherever it happens to be."""
    chance = random.Random(seed)
    kills = 0
    with world(tmp_path / "w", cycle=cycle, ledgers=ledgers) as found:
        for _ in range(3):
            with found.child() as child:
                ended = child.end(kill_after=chance.uniform(0, unbroken.seconds))
            kills += ended.code == KILLED
        difference = lost(found, unbroken)
        prove(0, kills, len(difference), sum(found.written.idle.values()))
        assert not difference


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_within_a_plan_on_disk(tmp_path: Path) -> None:
    """D01, U05: of a plan that is larger than what memory holds of one, a bulk job was carried out
    and nothing of it settled; each field of each record is written once all the same."""
    with world(tmp_path / "unbroken", cycle=1, leads=MANY) as found:
        ended = found.sync()
        whole = Unbroken(ended.effects, found.state(), 0)
    job = next(n for n, what in enumerate(whole.effects, start=1) if "failedResults" in what)
    with world(tmp_path / "killed", cycle=1, leads=MANY) as found:
        assert found.sync(die=job).code == KILLED
        state = found.state()
        assert len(state["waiting"]) >= MANY["sales"]
        assert not lost(found, whole)
    assert set(whole.state["writes"].values()) == {1}
    assert len({place[:2] for place in whole.state["writes"]}) == sum(MANY.values())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("share", range(SHARES))
def test_killed_at_every_step_of_a_bulk_job(tmp_path: Path, share: int, prove: Prove) -> None:
    """D01, U05: made, filled, started, looked at, asked for its results. It goes on by itself after
    the kill, and each field of each record is written once all the same."""
    with world(tmp_path / "unbroken", cycle=1, leads=JOB) as found:
        ended = found.sync()
        whole = Unbroken(ended.effects, found.state(), 0)
    assert set(whole.state["writes"].values()) == {1}
    steps = [n for n, what in enumerate(whole.effects, start=1) if "/jobs/ingest" in what]
    failures, doubled = {}, 0
    # After the results both stores are told of them.
    killed = range(steps[0], steps[-1] + 3)[share::SHARES]
    for n in killed:
        with world(tmp_path / str(n), cycle=1, leads=JOB) as found:
            assert found.sync(die=n).code == KILLED
            if difference := lost(found, whole):
                failures[f"{n}: before {whole.effects[n - 1]}"] = difference
            doubled += sum(found.written.idle.values())
            face: Any = found.live.sales.face
            assert not [j for j in face.bulk._jobs.values() if j.rows and j.state == "Open"]
    prove(0, len(killed), len(failures), doubled)
    assert not failures
