"""SIGKILL: a sync is killed at every step of a cycle in turn, and at random instants.

The next run must reach the state that an unbroken run reaches, with exactly one effective write
for every record and field.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.http import Fault, Request, Response
from sync.exits import Exit
from sync.lease import LASTS
from tests.hubspot import Timer
from tests.live import ANA, BEN, WRITING, Live, Seller, live
from tests.mortal import KILLED, Mortal, mortal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

MODEL = {
    "fit": [{"id": "technology", "points": 100, "when": {"industry": "technology"}}],
    "behaviour": [{"id": "pricing", "points": 20, "when": {"type": "page_view"}}],
    "decays": {},
}
LEADS = 3
State = dict[tuple[str, int], dict[str, Any]]
"""What both CRMs show of every lead, by connection and number."""


class Seconds(Timer):
    """Limits go by the machine's seconds: leadgauge runs in another process."""

    def __call__(self) -> float:
        return time.monotonic()


@dataclass
class World:
    """Both CRMs with leads to score and to assign, and what leadgauge's user really changed."""

    live: Live
    mortal: Mortal
    effective: Counter[tuple[str, int, str]]

    def sync(self, *, die: int | None = None) -> int:
        """A sync in a process of its own, after every lease of before has ended."""
        self.begin(die=die)
        return self.mortal.end()

    def begin(self, *, die: int | None = None) -> None:
        """The same, without waiting for its end."""
        self.live.clock.tick(seconds=LASTS.total_seconds() + 60)
        arguments = ["sync", "--config", str(self.live.config)]
        self.mortal.start(arguments, self.live.env, self.live.clock(), die=die)

    def state(self) -> State:
        """What both CRMs show of every lead; when it was scored hangs on when that run was."""
        return {
            (name, lead.number): {**seller.shown(lead), "scored_at": None}
            for name, seller in self.live.sellers.items()
            for lead in seller.crm.records(Kind.LEAD)
        }

    def kill_at(self, seller: Seller, number: int, *, carried_out: bool) -> None:
        """Kill the process at a CRM's n-th request from now, before it is carried out; or at the
        n-th that changes records, after it is."""
        left = [number]

        def killing(request: Request) -> Response:
            left[0] -= not carried_out or bool(WRITING.match(f"{request.method} {request.path}"))
            if left[0]:
                return seller.face(request)
            left[0] = -1
            answer = seller.face(request) if carried_out else Response(500)
            os.kill(self.mortal.pid, signal.SIGKILL)
            return answer

        seller.server.faults.append(Fault("", times=None, response=killing))

    def settled(self) -> bool:
        """Whether the ledger waits for no answer, and each record and field was written once."""
        with self.live.ledger() as ledger:
            waiting = [c for name in self.live.sellers for c in ledger.open_intents(name)]
            known = {name: len(ledger.last_written(name)) for name in self.live.sellers}
        once = set(self.effective.values()) == {1}
        return not waiting and once and set(known.values()) == {LEADS}


@pytest.fixture(scope="module")
def warm() -> Iterator[Mortal]:
    """The interpreter that forks the processes to be killed."""
    with mortal() as found:
        yield found


@contextmanager
def world(folder: Path, warm: Mortal) -> Iterator[World]:
    """Three leads in each CRM, each of whom looked at a page."""
    folder.mkdir()
    with live(folder, Seconds()) as found:
        effective: Counter[tuple[str, int, str]] = Counter()
        for name, seller in found.sellers.items():
            for n in range(LEADS):
                person = {"last_name": f"P{n}", "company": "Firm", "email": f"p{n}@firm.example"}
                lead = seller.crm.add(Kind.LEAD, {**person, "industry": "Technology"})
                seen = {"type": "page_view", "at": found.clock(), "asset": "/pricing"}
                seller.crm.add(Kind.ACTIVITY, {**seen, "people": [lead.number]})
            watch(seller.crm, name, effective)
        found.configure(routing={"pool": [ANA, BEN]})
        found.model(**MODEL)
        found.set_up()
        yield World(found, warm, effective)


def watch(crm: Crm, name: str, effective: Counter[tuple[str, int, str]]) -> None:
    """Count every field of a record that really changes."""
    update = crm.update

    def counting(record: Record, values: dict[str, Any], **more: Any) -> None:
        for key, value in values.items():
            if record.values.get(key) != value:
                effective[name, record.number, key] += 1
        update(record, values, **more)

    crm.update = counting  # type: ignore[method-assign, assignment]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, warm: Mortal) -> State:
    """Where an unbroken run ends."""
    with world(tmp_path_factory.mktemp("unbroken") / "w", warm) as found:
        assert found.sync() == Exit.DONE
        assert found.settled()
        return found.state()


def survives(found: World, unbroken: State) -> None:
    """The next run ends where an unbroken one does, and nothing was written twice."""
    for seller in found.live.sellers.values():
        seller.server.faults.clear()
    assert found.sync() == Exit.DONE
    assert found.state() == unbroken
    assert found.settled()


@pytest.mark.parametrize("name", ["sales", "marketing"])
@pytest.mark.parametrize(("carried_out", "fewest"), [(False, 12), (True, 1)])
def test_killed_at_every_request(
    tmp_path: Path, warm: Mortal, unbroken: State, name: str, carried_out: bool, fewest: int
) -> None:
    """D01, D10: before each request, and after each that changed records; one after the other,
    until a run gets through unharmed."""
    deaths = 0
    while True:
        with world(tmp_path / str(deaths), warm) as found:
            found.kill_at(found.live.sellers[name], deaths + 1, carried_out=carried_out)
            code = found.sync()
            if code == Exit.DONE:
                break
            assert code == KILLED
            survives(found, unbroken)
            deaths += 1
    assert deaths >= fewest


def test_killed_at_every_commit_to_the_ledger(
    tmp_path: Path, warm: Mortal, unbroken: State
) -> None:
    """D01: whatever the ledger had not yet kept; until a run gets through unharmed."""
    deaths = 0
    while True:
        with world(tmp_path / str(deaths), warm) as found:
            code = found.sync(die=deaths + 1)
            if code == Exit.DONE:
                break
            assert code == KILLED
            survives(found, unbroken)
            deaths += 1
    assert deaths > 8


@pytest.mark.parametrize("seed", range(10))
def test_killed_at_a_random_instant(
    tmp_path: Path, warm: Mortal, unbroken: State, seed: int
) -> None:
    """D01: several times in a row, wherever it happens to be."""
    chance = random.Random(seed)
    with world(tmp_path / "w", warm) as found:
        for _ in range(3):
            found.begin()
            timer = threading.Timer(
                chance.uniform(0, 2), os.kill, (found.mortal.pid, signal.SIGKILL)
            )
            timer.start()
            found.mortal.end()
            timer.cancel()
            timer.join()
        survives(found, unbroken)
