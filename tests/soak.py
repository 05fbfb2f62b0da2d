"""Simulated days of the daemon, with everything going on that goes on around a live CRM.

`python -m tests.soak --days 30 --seed 1` runs cycles every eight hours over both sandbox CRMs.
Between them leads come, act, change, merge, convert and go, calls are associated late, rows come
to light late, and people edit what leadgauge wrote; within them requests fail in every way that
passes by itself, records change under the running cycle, and a cycle of another process is killed.
Every two days all is reconciled.

In the end, and after one calm cycle, three oracles are asked: a count of points over the CRM's
own records, in plain Python; a fresh database that scores everything from scratch; and the log of
every write, in which no field is given the value that it had.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from connectors.base import Connector
from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.http import Fault, Request, Response
from connectors.sandbox.hubspot import faults as hubspot_faults
from connectors.sandbox.salesforce import faults as salesforce_faults
from connectors.settings import ConnectionSettings
from sync import daemon
from sync.exits import Exit
from sync.session import read_setup
from sync.stop import Reload, Stop
from sync.talk import as_text
from tests.hubspot import RunningTimer
from tests.killed import KILLED, Child
from tests.live import ANA, BEN, FIELDS, Live, Seller, live
from tests.postgres import Ledgers
from tests.written import Place, Written

PER_DAY = 3
LEADS = 40
"""How many there are in each CRM to begin with."""

FIT, CALL, VISIT = 30, 5, 10
CALL_DAYS, VISIT_DAYS = 4, 2
MODEL: dict[str, Any] = {
    "fit": [{"id": "technology", "points": FIT, "when": {"industry": "technology"}}],
    "behaviour": [
        {"id": "call", "points": CALL, "count": "each", "when": {"type": "call"},
         "within": f"{CALL_DAYS} days"},
        {"id": "visit", "points": VISIT, "count": "each", "within": f"{VISIT_DAYS} days",
         "when": {"type": "page_view", "asset": "/pricing"}},
    ],
    "decays": {},
}  # fmt: skip
TIERS = {"A": 100, "B": 75, "C": 50, "D": 0}
EDITABLE = "tier"
"""The written field that people edit, and whose edits are respected."""

PASSING = {
    "sales": (salesforce_faults.fault, (
        "expired-session", "concurrent-limit", "query-timeout", "lost-locator", "lock-row",
        "server-error", "drop-before-write", "drop-after-write", "truncated", "daily-limit",
    )),
    "marketing": (hubspot_faults.fault, (
        "ten-secondly", "server-error-html", "locked", "drop-after-write", "conflict",
        "truncated", "daily-limit",
    )),
}  # fmt: skip
"""What passes without anybody's doing, by the next cycle at the latest."""

FILES = Ledgers()
PEOPLE = (Kind.LEAD, Kind.CONTACT)


@dataclass
class Tally:
    """What went on."""

    cycles: int = 0
    kills: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)


class Elapsing(Stop):
    """Lets the time that the daemon waits for pass at once, and the world with it."""

    def __init__(self, passes: Callable[[float], None]) -> None:
        super().__init__()
        self._passes = passes

    def wait(self, seconds: float) -> bool:
        """The time passes."""
        self._passes(seconds)
        return self.asked


@dataclass
class Soak:
    """Both CRMs, what goes on in them, and the daemon that must keep up with it."""

    live: Live
    chance: random.Random
    written: Written = field(default_factory=Written)
    tally: Tally = field(default_factory=Tally)
    edits: dict[Place, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    calm: bool = False
    troubles: list[tuple[str, Fault]] | None = None
    """The faults of the cycle under way; None: none is."""

    def run(self, cycles: int) -> None:
        """The daemon, for so many cycles and a calm one, which must be enough to catch up."""

        def passes(seconds: float) -> None:
            if self.troubles is None:
                self.live.clock.tick(minutes=seconds / 60)
                return
            self._cycle_ends()
            if self.calm:
                stop.ask()
            else:
                self._between(timedelta(hours=24 / PER_DAY) - timedelta(minutes=10))

        def connect(name: str, settings: ConnectionSettings) -> Connector:
            if self.troubles is None:
                self.tally.cycles += 1
                self.calm = self.tally.cycles > cycles
                self.troubles = [] if self.calm else self._trouble()
            return self.live.outside.connect(name, settings)

        stop = Elapsing(passes)
        outside = replace(self.live.outside, connect=connect)
        daemon.run(
            lambda: read_setup(self.live.config, outside),
            outside,
            stop,
            Reload(stop),
            as_text(self.said.append),
        )

    def _cycle_ends(self) -> None:
        """The faults are over, and sometimes another process runs a cycle that dies."""
        self._over(self.troubles or [])
        self.troubles = None
        if self.calm:
            return
        self.live.clock.tick(minutes=1)
        if self.chance.random() < 0.4:
            troubles = self._trouble()
            self._killed()
            self._over(troubles)

    def _over(self, troubles: list[tuple[str, Fault]]) -> None:
        for seller in self.live.sellers.values():
            seller.server.faults.clear()
        self.tally.faults.update(name for name, fault in troubles if fault.hit)

    def _killed(self) -> None:
        """A cycle in a process of its own, which kills itself somewhere."""
        arguments = ["sync", "--config", str(self.live.config)]
        die = self.chance.randint(1, 80)
        with Child(arguments, self.live.env, self.live.clock(), die) as child:
            code = child.end().code
        self.tally.kills += code == KILLED
        assert code in (KILLED, Exit.DONE, Exit.REFUSED, Exit.TEMPORARY), code

    # Trouble within a cycle

    def _trouble(self) -> list[tuple[str, Fault]]:
        """Up to three faults at each CRM at once, each somewhere in the coming cycle."""
        found = []
        for name, seller in self.live.sellers.items():
            make, names = PASSING[name]
            every = (*names, "lost", "answer lost", "changed under way")
            # No kind twice: a session that ends again right after a log-in is no passing trouble.
            for kind in self.chance.sample(every, self.chance.choice((0, 0, 1, 1, 2, 3))):
                fault = self._fault(seller, kind) if kind not in names else make(kind)
                fault.skip += self.chance.randint(0, 3)
                seller.server.faults.append(fault)
                found.append((f"{name}: {kind}", fault))
        return found

    def _fault(self, seller: Seller, kind: str) -> Fault:
        """A fault of any request: lost before or after the CRM saw it, or overtaken by life."""
        skip = self.chance.randint(0, 30)
        if kind != "changed under way":
            return Fault("", skip=skip, drop="before" if kind == "lost" else "after")

        def happens(request: Request) -> Response:
            answer = seller.face(request)
            self.happens(seller, under_way=True)
            return answer

        return Fault("", skip=skip, response=happens)

    # Life between cycles

    def _between(self, time: timedelta) -> None:
        """Something happens at a few instants of the time until the next cycle."""
        clock = self.live.clock
        end = clock() + time
        for share in sorted(self.chance.uniform(0, 0.99) for _ in range(6)):
            # Whole seconds: Salesforce keeps no others.
            moment = end - timedelta(seconds=int(time.total_seconds() * (1 - share)))
            clock.now = max(clock.now, moment)
            for seller in self.live.sellers.values():
                self.happens(seller)
        clock.now = end

    def happens(self, seller: Seller, *, under_way: bool = False) -> None:
        """One thing that people do in a CRM.

        An edit of what is just being written is not told from what was there: that race is the
        CRM's to decide, and none of a running cycle.
        """
        leads = [r for r in seller.crm.records(*PEOPLE) if not r.values.get("converted_at")]
        what = self.chance.choice(
            ("lead", "lead", "act", "act", "act", "industry", "late association", "late commit")
            + (() if under_way else ("edit",))
            + (("merge", "delete", "convert") if len(leads) > LEADS // 2 else ())
        )
        self.tally.events[what] += 1
        getattr(self, f"_{what.replace(' ', '_')}")(seller, leads)

    def _lead(self, seller: Seller, leads: list[Record]) -> Record:
        del leads
        n = seller.crm.revision
        industry = self.chance.choice(("Technology", "Retail"))
        person = {"last_name": f"P{n}", "company": "Firm", "email": f"p{n}@firm.example"}
        return seller.crm.add(Kind.LEAD, {**person, "industry": industry})

    def _act(self, seller: Seller, leads: list[Record], **more: Any) -> Record:
        what = self.chance.choice(({"type": "call"}, {"type": "page_view", "asset": "/pricing"}))
        people = [self.chance.choice(leads).number]
        done = {"at": seller.crm.now(), "people": people, **what, **more}
        return seller.crm.add(Kind.ACTIVITY, done)

    def _industry(self, seller: Seller, leads: list[Record]) -> None:
        values = {"industry": self.chance.choice(("Technology", "Retail"))}
        record = firm(seller, self.chance.choice(leads))
        seller.crm.update(record, values, by=seller.users[ANA].number)

    def _late_association(self, seller: Seller, leads: list[Record]) -> None:
        """A call that is nobody's, and one of before that is found to be somebody's."""
        self._act(seller, leads, type="call", people=[])
        for call in seller.crm.records(Kind.ACTIVITY):
            if not call.values["people"] and call.created < seller.crm.now():
                seller.crm.update(call, {"people": [self.chance.choice(leads).number]})
                return

    def _late_commit(self, seller: Seller, leads: list[Record]) -> None:
        """A call that is seen some minutes after it was stamped."""
        call = self._act(seller, leads, type="call")
        call.visible_from = seller.crm.now() + timedelta(minutes=4)

    def _edit(self, seller: Seller, leads: list[Record]) -> None:
        """Somebody sets a written field, and means it."""
        lead = self.chance.choice(leads)
        seller.edit(lead, EDITABLE, "Z")
        self.edits[seller.name, lead.number, FIELDS[seller.name][EDITABLE]] = "Z"

    def _merge(self, seller: Seller, leads: list[Record]) -> None:
        winner = self.chance.choice(leads)
        others = [r for r in leads if r.kind is winner.kind and r is not winner]
        loser = self.chance.choice(others)
        seller.crm.merge(winner, loser)
        name = FIELDS[seller.name][EDITABLE]
        if winner.values.get(name) == self.edits.get((seller.name, loser.number, name), ""):
            self.edits[seller.name, winner.number, name] = winner.values[name]

    def _delete(self, seller: Seller, leads: list[Record]) -> None:
        seller.crm.delete(self.chance.choice(leads), bump=seller.name == "sales")

    def _convert(self, seller: Seller, leads: list[Record]) -> None:
        """Salesforce alone knows conversion."""
        lead = self.chance.choice(leads)
        if seller.name == "sales" and lead.kind is Kind.LEAD:
            seller.crm.convert(lead)

    # The oracles

    def standing(self) -> Iterator[tuple[Seller, Record]]:
        """Every live lead of both CRMs."""
        for seller in self.live.sellers.values():
            for record in seller.crm.records(*PEOPLE):
                if not record.values.get("converted_at"):
                    yield seller, record

    def miscounted(self) -> dict[Place, tuple[Any, Any]]:
        """Scores and tiers that are not what the CRM's own records come to, and what they are."""
        wrong = {}
        for seller, record in self.standing():
            shown, score = seller.shown(record), points(seller, record)
            tier = next(name for name, least in TIERS.items() if score >= least)
            place = (seller.name, record.number, FIELDS[seller.name][EDITABLE])
            expected = {"score": score, "tier": self.edits.get(place, tier)}
            for output, value in expected.items():
                if shown[output] != value:
                    key = (seller.name, record.number, output)
                    wrong[key] = (shown[output], value)
        return wrong

    def unlike_fresh(self) -> list[Mapping[str, Any]]:
        """What a fresh database would write: nothing, but over people's edits."""
        found: list[Mapping[str, Any]] = []
        with tempfile.TemporaryDirectory() as folder:
            fresh = Live(Path(folder), self.live.clock, self.live.timer, self.live.sellers)
            configure(fresh, respect=False)
            self.live.clock.tick(minutes=-1)
            plans = fresh.run("plan", "--json").json["plans"]
        ids = {(s.name, s.id(r)): r.number for s, r in self.standing()}
        for plan in plans:
            for change in plan["changes"]:
                number = ids[plan["connection"], change["id"]]
                place = (plan["connection"], number, FIELDS[plan["connection"]][EDITABLE])
                allowed = {"model", "scored_at"} | ({EDITABLE} if place in self.edits else set())
                if change["fields"].keys() - allowed:
                    found.append({"connection": plan["connection"], **change})
        return found

    def ends(self) -> Counter[str]:
        """How the runs ended."""
        with self.live.ledger() as ledger:
            return Counter(run.status.value for run in ledger.runs(100_000))

    def unowned(self) -> list[tuple[str, int]]:
        """Leads that should have been given to somebody and were not."""
        return [
            (seller.name, record.number)
            for seller, record in self.standing()
            if seller.shown(record)["stage"] == "SQL"
            and seller.shown(record)["owner"] not in (ANA, BEN)
        ]


def firm(seller: Seller, person: Record) -> Record:
    """The record that says somebody's industry: for a Salesforce contact that is its account."""
    if seller.name == "marketing" or person.kind is Kind.LEAD:
        return person
    account = seller.crm.get(Kind.ACCOUNT, person.values["account"])
    assert account is not None
    return account


def points(seller: Seller, person: Record) -> int:
    """What a lead has earned, by its own record and what it did."""
    total = FIT if firm(seller, person).values.get("industry") == "Technology" else 0
    for deed in seller.crm.records(Kind.ACTIVITY):
        if person.number in deed.values["people"]:
            age, kind = seller.crm.now() - deed.values["at"], deed.values["type"]
            total += CALL * (kind == "call" and age <= timedelta(days=CALL_DAYS))
            total += VISIT * (kind == "page_view" and age <= timedelta(days=VISIT_DAYS))
    return total


def configure(live: Live, *, respect: bool, **more: Any) -> None:
    """Write the configuration; `respect` False: as nobody had edited anything or got a lead."""
    routing = {"routing": {"pool": [ANA, BEN]}} if respect else {}
    # Windows end for many of these few leads at once: no reason to ask a person each time.
    schedule = {"delta": {"every": f"{24 // PER_DAY} hours"}, "reconcile": {"every": "2 days"}}
    live.configure(**routing, **more, guards={"max_change_share": 1}, schedule=schedule)
    live.model(**MODEL)
    for name, fields in FIELDS.items():
        policy = {"policy": "respect_edits"} if respect else {}
        live.configure_write(name, {EDITABLE: {"field": fields[EDITABLE], **policy}})


@contextmanager
def soak(folder: Path, seed: int, ledgers: Ledgers = FILES) -> Iterator[Soak]:
    """Both CRMs with some leads, before the daemon's first cycle."""
    with live(folder, RunningTimer()) as found:
        self = Soak(found, random.Random(seed))
        configure(found, respect=True, **ledgers.fresh())
        for seller in found.sellers.values():
            for _ in range(LEADS):
                self._act(seller, [self._lead(seller, [])])
        found.set_up()
        for name, seller in found.sellers.items():
            self.written.watch(name, seller.crm)
        yield self


def main() -> None:
    """Run, and say how it went; the exit code is 1 where anything was lost or doubled."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--days", type=int, default=30, help="simulated days (default: 30)")
    parser.add_argument("--seed", type=int, default=1, help="of everything that happens")
    given = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, soak(Path(folder), given.seed) as run:
        run.run(given.days * PER_DAY)
        lost = [*run.miscounted().items(), *run.unlike_fresh(), *run.unowned()]
        doubled = sum(run.written.idle.values())
        tally = run.tally
        print(  # noqa: T201
            f"{given.days} simulated days (seed {given.seed}), {tally.cycles} cycles "
            f"({', '.join(f'{n} {how}' for how, n in run.ends().items())}), "
            f"{time.monotonic() - begun:.0f} s\n"
            f"changes by people {tally.events.total()} (edits of written fields "
            f"{tally.events['edit']}), faults injected {tally.faults.total()} of "
            f"{len(tally.faults)} kinds, kills survived {tally.kills}\n"
            f"fields written {sum(run.written.effective.values())}, "
            f"writes lost {len(lost)}, writes doubled {doubled}"
        )
        for what in (*lost, *run.written.idle):
            print(f"lost or doubled: {what}")  # noqa: T201
    sys.exit(bool(lost or doubled))


if __name__ == "__main__":
    main()
