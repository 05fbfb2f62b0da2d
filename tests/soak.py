"""Simulated days of the daemon, with everything going on that goes on around a live CRM.

`python -m tests.soak --days 30 --seed 1` runs cycles every eight hours over both sandbox CRMs.
Between and within them life goes on (`tests.life`): leads come, act, change, merge, convert, go and
come back, calls are associated late, rows come to light late, people edit what leadgauge wrote, and
records are refused, locked and corrected. Requests fail in every way that passes by itself,
HubSpot's index lags, and some cycles go by bulk jobs. A cycle of another process is killed, or the
daemon is, and another one takes over. Every two days all is reconciled, every five all leads are
scored anew.

In the end, and after one calm cycle, the oracles are asked: a count of points over the CRM's
own records, in plain Python; a fresh database that scores everything from scratch; the log of
every write, in which no field is given the value that it had; and the ledger, in which nothing may
be left open but what is still refused.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from connectors.base import Connector
from connectors.salesforce import connector as salesforce_connector
from connectors.salesforce import pull as salesforce_pull
from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.http import Fault, Request, Response
from connectors.sandbox.hubspot import faults as hubspot_faults
from connectors.sandbox.salesforce import faults as salesforce_faults
from connectors.settings import ConnectionSettings
from sync import daemon
from sync.exits import Exit
from sync.health import State, health
from sync.session import read_setup
from sync.stop import Reload, Stop
from sync.talk import as_text
from tests.hubspot import RunningTimer
from tests.killed import KILLED, Child
from tests.life import EDITABLE, LEADS, PEOPLE, Life, firm
from tests.live import ANA, BEN, FIELDS, Live, Seller, live
from tests.postgres import Ledgers
from tests.written import Place, Written

PER_DAY = 3
CYCLE_DIES, DAEMON_DIES, GOES_BY_BULK = 0.3, 0.12, 0.25
"""How often in so many cycles."""

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
    "thresholds": {"mql": 50, "sql": 100},
}  # fmt: skip
"""Without `keep`: a fresh database knows of no stage to be kept."""

TIERS = {"A": 100, "B": 75, "C": 50, "D": 0}
PASSING = {
    "sales": (salesforce_faults.fault, (
        "expired-session", "concurrent-limit", "query-timeout", "lost-locator", "lock-row",
        "server-error", "drop-before-write", "drop-after-write", "truncated", "daily-limit",
        "late-commit", "changed-under-way", "repeated-row", "bulk-failed",
    )),
    "marketing": (hubspot_faults.fault, (
        "ten-secondly", "server-error-html", "locked", "drop-before-write", "drop-after-write",
        "conflict", "truncated", "daily-limit", "expired-token", "repeated-row", "index-lag",
    )),
}  # fmt: skip
"""What passes without anybody's doing, by the next cycle at the latest."""

FILES = Ledgers()
BULK_FROM = 2
"""From so many records on Salesforce is read and written by bulk jobs, in some cycles."""

OVER = ("done job=", "will try again", "stopped before writing")
"""What the daemon says at the end of a job."""


@dataclass
class Tally:
    """What went on."""

    cycles: int = 0
    bulk: int = 0
    kills: int = 0
    daemons: int = 0
    faults: Counter[str] = field(default_factory=Counter)


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
class Soak(Life):
    """Both CRMs, what goes on in them, and the daemon that must keep up with it."""

    written: Written = field(default_factory=Written)
    tally: Tally = field(default_factory=Tally)
    said: list[str] = field(default_factory=list)
    calm: bool = False
    late: dict[Place, Any] = field(default_factory=dict)
    """What the calm cycle left wrong and could have found."""
    troubles: list[tuple[str, Fault]] | None = None
    """The faults of the cycle under way; None: none is."""
    bulk: ExitStack = field(default_factory=ExitStack)

    def run(self, days: float) -> None:
        """The daemon for so many days, killed now and then, and a calm cycle, which must be enough
        to catch up; a reconciliation then finds what moved no stamp."""
        end = self.live.clock() + timedelta(days=days)
        while not self.calm:
            self._serve(end)
            if not self.calm:
                self._killed("daemon")
        wrong = self.miscounted().items()
        self.late = {key: value for key, value in wrong if key[:2] not in self.unstamped}
        outcome = self.live.run("sync", "--reconcile")
        assert outcome.code in (Exit.DONE, Exit.REFUSED), outcome.err

    def _serve(self, end: datetime) -> None:
        """The daemon in this process, until it is to be killed or a cycle after `end` was calm."""

        def passes(seconds: float) -> None:
            if self.troubles is None:
                self.live.clock.tick(minutes=seconds / 60)
                return
            self._cycle_ends()
            if self.calm or self.chance.random() < DAEMON_DIES:
                stop.ask()
            else:
                self._between(timedelta(hours=24 / PER_DAY) - timedelta(minutes=10))

        def connect(name: str, settings: ConnectionSettings) -> Connector:
            if self.troubles is None:
                self.tally.cycles += 1
                self.calm = self.live.clock() >= end
                self._begin()
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

    def _begin(self) -> None:
        """A cycle begins, with some trouble."""
        if self.calm:
            self.unlock()
            self.troubles = []
            return
        self.troubles = self._trouble()
        if self.chance.random() < GOES_BY_BULK:
            self.tally.bulk += 1
            for module in (salesforce_pull, salesforce_connector):
                self.bulk.enter_context(patch.object(module, "BULK_FROM", BULK_FROM))

    def _cycle_ends(self) -> None:
        """The faults are over, and sometimes another process runs a cycle that dies."""
        self._over(self.troubles or [])
        self.troubles = None
        if not self.calm and self.chance.random() < CYCLE_DIES:
            self._killed("sync")

    def _over(self, troubles: list[tuple[str, Fault]]) -> None:
        self.bulk.close()
        ended = [id(fault) for _, fault in troubles]
        for seller in self.live.sellers.values():
            faults = seller.server.faults
            faults[:] = [fault for fault in faults if id(fault) not in ended]
        self.live.marketing.face.lagging.lag = 0  # type: ignore[attr-defined]
        self.tally.faults.update(name for name, fault in troubles if fault.hit)

    def _killed(self, command: str) -> None:
        """A process of its own, which kills itself somewhere in a cycle; or the daemon, in trouble
        as well, is killed as it waits for the next one."""
        self.live.clock.tick(minutes=1)
        troubles = self._trouble()
        arguments = [command, "--config", str(self.live.config)]
        die = self.chance.randint(1, 80)
        with Child(arguments, self.live.env, self.live.clock(), die) as child:
            if command == "daemon" and child.says(*OVER):
                child.kill()
            code = child.end().code
        self.tally.kills += code == KILLED
        self.tally.daemons += command == "daemon" and code == KILLED
        assert code in (KILLED, Exit.DONE, Exit.REFUSED, Exit.TEMPORARY), code
        self._over(troubles)

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
            self.is_managed(seller)
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
            self.is_managed(self.chance.choice([*self.live.sellers.values()]))
        clock.now = end

    # The oracles

    def standing(self) -> Iterator[tuple[Seller, Record]]:
        """Every live lead of both CRMs."""
        for seller in self.live.sellers.values():
            for record in seller.crm.records(*PEOPLE):
                if not record.values.get("converted_at"):
                    yield seller, record

    def miscounted(self) -> dict[Place, tuple[Any, Any]]:
        """Scores and tiers that are not what the CRM's own records come to, and what they are; of
        records that may be written."""
        wrong = {}
        for seller, record in self.standing():
            if (seller.name, record.number) in self.refused:
                continue
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
                if (plan["connection"], number) in self.refused:
                    continue
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

    def unsettled(self) -> list[str]:
        """What the ledger has open and should not, and which jobs do not stand well."""
        refused = {
            (name, self.live.sellers[name].id(record))
            for name, number in self.refused
            for record in self.live.sellers[name].crm.records(*PEOPLE)
            if record.number == number
        }
        found = []
        with self.live.ledger() as ledger:
            for name in self.live.sellers:
                found += [f"{name}: open intent {c.id}" for c in ledger.open_intents(name)]
            for entry in ledger.quarantine():
                if (entry.connection, entry.record_id) not in refused:
                    found.append(f"{entry.connection}: {entry.record_id} in quarantine")
            found += [fault] if (fault := ledger.audit.fault()) else []
            schedule = read_setup(self.live.config, self.live.outside).config.schedule
            states = health(ledger, schedule, self.live.clock())
            found += [f"{job.job}: {job.reason}" for job in states if job.state is not State.OK]
        return found

    def lost(self) -> list[Any]:
        """Everything that any oracle finds wrong, but for what was written twice."""
        return [
            *self.late.items(),
            *self.miscounted().items(),
            *self.unlike_fresh(),
            *self.unowned(),
            *self.unsettled(),
        ]


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
    schedule = {
        "delta": {"every": f"{24 // PER_DAY} hours"},
        "reconcile": {"every": "2 days"},
        "full": {"every": "5 days"},
    }
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
        run.run(given.days)
        lost, doubled = run.lost(), sum(run.written.idle.values())
        tally, events = run.tally, run.events
        ends = ", ".join(f"{count} {how}" for how, count in run.ends().items())
        print(  # noqa: T201
            f"{given.days} simulated days (seed {given.seed}), {tally.cycles} cycles, "
            f"{tally.bulk} by bulk jobs ({ends}), "
            f"{time.monotonic() - begun:.0f} s\n"
            f"changes by people {events.total()} (edits of written fields {events['edit']}, "
            f"records refused {events['refuse']}, mended {events['mend']}), faults injected "
            f"{tally.faults.total()} of {len(tally.faults)} kinds, kills survived {tally.kills} "
            f"({tally.daemons} of the daemon)\n"
            f"fields written {sum(run.written.effective.values())}, "
            f"writes lost {len(lost)}, writes doubled {doubled}"
        )
        for what in (*lost, *run.written.idle):
            print(f"lost or doubled: {what}")  # noqa: T201
    sys.exit(bool(lost or doubled))


if __name__ == "__main__":
    main()
