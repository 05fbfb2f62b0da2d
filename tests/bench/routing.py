"""Routing of a whole base in one backfill, by all that a cycle does for it: the hot leads out of
the facts, what everybody had out of the ledger, who gets what, and the record of it.

    python -m tests.bench.routing --leads 100000 --reps 200

The floor is reading the same hot leads out of the facts, and no more.
"""

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.base import Capabilities, Cursor, Page, Stream
from connectors.mapping import table
from core.facts import BY_NAME
from core.roster import Pool, Roster
from core.routing import PENDING
from core.rules import parse
from core.segments import Segment
from sync.config import Config
from sync.decide import Decider
from sync.facts_store import FactsStore
from sync.ledger import Ledger
from sync.roster import find
from sync.route import Round, assign, record
from tests.bench.measure import Line, show

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
CRM, RUN = "crm", "bench"
CAPABILITIES = Capabilities(
    objects=("Lead",), write_batch=200, read_back_batch=200, lookback=timedelta(0)
)
MOST_SECONDS = 10
TERRITORIES = 10
AWAY = 20
"""One rep in so many is on leave."""
MODEL = parse(
    {
        "name": "bench",
        "fit": [
            {"id": "known", "points": 100, "when": {"email": {"known": True}}},
            *(
                {"id": f"size-{n}", "points": n + 1, "when": {"employees": {"at_least": n * 100}}}
                for n in range(10)
            ),
        ],
        "behaviour": [{"id": "visit", "points": 5, "when": {"type": "page_view"}}],
        "thresholds": {"mql": 50, "sql": 100},
    }
)


def config(reps: int) -> Config:
    """Reps with weights, hours, caps and leave: half of them in ten territories."""
    chance = random.Random(5)
    owners = [{"owner": name(n), "weight": chance.randint(1, 3)} for n in range(reps)]
    local, general = owners[: reps // 2], owners[reps // 2 :]
    routing = {
        "pool": general,
        "territories": [
            {"name": f"t{n}", "when": {"title": f"t{n}"}, "owners": local[n::TERRITORIES]}
            for n in range(TERRITORIES)
        ],
        "everyone": {
            "time_zone": "Europe/Berlin",
            "hours": {"from": "09:00", "to": "18:00"},
            "daily_cap": 100_000,
            "total_cap": 100_000,
        },
        "owners": {
            name(n): {"leave": [{"from": AT.date(), "to": AT.date()}]} for n in range(0, reps, AWAY)
        },
    }
    files = {"kind": "files", "folder": ".", "leads": "leads.csv"}
    return Config.model_validate({"connections": {CRM: files}, "routing": routing})


def name(number: int) -> str:
    """The id of a rep."""
    return f"rep{number:04}"


def fill(store: FactsStore, leads: int, reps: int) -> None:
    """The reps, and leads of ten territories and of none, each with a visit of its own."""
    chance = random.Random(6)
    ids = [f"L{n:07}" for n in range(leads)]
    stamp = AT - timedelta(days=1)
    people = {
        "id": ids,
        "email": [f"{id_}@{id_}.example" for id_ in ids],
        "title": [f"t{n // 2 % TERRITORIES}" if n % 2 else None for n in range(leads)],
        "employees": [chance.randrange(1_000) for _ in ids],
    }
    ago = [AT - timedelta(minutes=chance.randrange(1, 50_000)) for _ in ids]
    visits = {"id": ids, "lead_id": ids, "type": ["page_view"] * leads, "occurred_at": ago}
    owners = {
        "id": [name(n) for n in range(reps)], "kind": ["person"] * reps, "active": [True] * reps
    }  # fmt: skip
    for kind, stream, columns in (
        ("owners", "User", owners), ("leads", "Lead", people), ("activities", "Task", visits)
    ):  # fmt: skip
        _put(store, Stream(stream, kind), columns, stamp)


def _put(store: FactsStore, stream: Stream, columns: Mapping[str, Any], at: datetime) -> None:
    count = len(columns["id"])
    raw = {**columns, "object_type": [stream.name] * count, "modified_at": [at] * count}
    rows = table(BY_NAME[stream.table].model, raw).rows
    if rows.num_rows != count:
        raise SystemExit(f"routing: {rows.num_rows} of {count} {stream.table} can be read")
    store.store(CRM, Page(stream, rows, Cursor(at)), at=at)


def lines(leads: int, reps: int) -> list[Line]:
    """Route a base; its weights must be met within one lead in every pool, and a run that was cut
    off after it was recorded gives everything to the same owners again."""
    setup = config(reps)
    assert setup.routing is not None
    with (
        tempfile.TemporaryDirectory() as folder,
        FactsStore(Path(folder) / "facts.duckdb") as store,
        Ledger(f"sqlite:///{folder}/ledger.db") as ledger,
    ):
        fill(store, leads, reps)
        ledger.start(RUN, "bench", model=MODEL.label, at=AT)
        roster = find(setup.routing, store, CRM, CAPABILITIES).roster
        with Decider((Segment(MODEL),), setup.routing, store, AT) as decider:
            began = time.perf_counter()
            hot = len(decider.hot(CRM, roster.stages))
            floor = time.perf_counter() - began
            began = time.perf_counter()
            made = assign(decider, {CRM: roster}, ledger)[CRM]
            record(made, RUN, CRM, ledger, at=AT, now=AT)
            took = time.perf_counter() - began
            judge(made, roster, hot, leads)
            if _owners(made) != _owners(again := assign(decider, {CRM: roster}, ledger)[CRM]):
                raise SystemExit("routing: the same run gave other owners")
            if {one.reason for one in again.routed.assignments} != {PENDING}:
                raise SystemExit("routing: what was recorded was given a second time")
    return [
        Line(
            f"routing {leads:,} leads over {reps} reps, {TERRITORIES} territories",
            f"{took:.2f} s, {leads / took:,.0f} leads/s",
            f"{floor:.2f} s to read them",
            took / floor,
            f"<= {MOST_SECONDS} s",
            took <= MOST_SECONDS,
        )
    ]


def _owners(made: Round) -> dict[str, str | None]:
    return {one.lead_id: one.owner_id for one in made.routed.assignments}


def judge(made: Round, roster: Roster, hot: int, leads: int) -> None:
    """Everybody has an owner, nobody who is away has a lead, and all weights are met."""
    given = Counter(one.owner_id for one in made.routed.assignments)
    if not hot == leads == given.total() or None in given:
        raise SystemExit(f"routing: {hot} of {leads} leads are hot, {given[None]} have no owner")
    for pool in roster.pools:
        if (worst := _off(pool, roster, given)) > 1:
            raise SystemExit(f"routing: {pool.label}: somebody is {worst:.2f} leads off the weight")


def _off(pool: Pool, roster: Roster, given: Counter[str | None]) -> float:
    """How many leads the owner of a pool who is furthest off has too many or too few."""
    there = {
        s.owner_id: s.weight for s in pool.shares if not roster.terms_of(s.owner_id).absent(AT)
    }
    if any(given[share.owner_id] for share in pool.shares if share.owner_id not in there):
        raise SystemExit(f"routing: {pool.label}: somebody who is away was given a lead")
    each = sum(given[owner] for owner in there) / sum(there.values())
    return max(abs(given[owner] - each * weight) for owner, weight in there.items())


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=100_000)
    parser.add_argument("--reps", type=int, default=200)
    given = parser.parse_args()
    show(lines(given.leads, given.reps))


if __name__ == "__main__":
    main()
