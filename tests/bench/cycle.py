"""Whole cycles against the number of changed leads, over a small and a large base.

    python -m tests.bench.cycle --leads 10000 200000 --changed 0 1 100 1000

`leadgauge sync` as a user runs it, of a Salesforce org whose leads have ten tasks each: after a
first backfill so many leads are changed in the CRM, and the next sync reads, scores and writes
them. What counts are its API calls and its seconds of processor, of which start and imports are
about one. The floor is the same over the smallest base: a cycle costs what has changed, not what
there is.
"""

import argparse
import resource
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from connectors.sandbox.crm import Crm, Kind
from connectors.sandbox.http import Server
from connectors.sandbox.salesforce.face import SalesforceFace
from tests.bench.backfill import ENVIRONMENT, prepared
from tests.bench.measure import Line, show, talking
from tests.bench.pull_salesforce import AT, salesforce_lead
from tests.killed import Child

EACH = 10
"""Activities of a lead."""

TICK = timedelta(hours=1)
MOST = 2.0


class Cost(NamedTuple):
    """What a sync took."""

    calls: int
    processor: float


def serve(leads: int, pipe: Connection) -> None:
    """An org in its own time; told (an instant, n), it is that late and n leads have changed."""
    now = AT
    crm = Crm(lambda: now)
    owner = crm.add(Kind.USER, {"name": "Rep", "email": "rep@seller.example", "active": True})
    crm.integration_user = owner.number
    long_ago = AT - timedelta(days=400)
    people = [
        crm.add(Kind.LEAD, salesforce_lead(n, owner.number), at=long_ago) for n in range(leads)
    ]
    for n in range(leads * EACH):
        at = AT - timedelta(minutes=n % 525_600)
        done = {"type": "call", "at": at, "people": [people[n % leads].number]}
        crm.add(Kind.ACTIVITY, {**done, "owner": owner.number}, at=at)
    with Server(SalesforceFace(crm), clock=lambda: now) as server:
        pipe.send(server.url)
        while (told := pipe.recv()) != "stop":
            now, changed = told
            for person in people[1 : changed + 1]:
                crm.update(person, {"industry": ("Education", "Technology")[now.hour % 2]})
            pipe.send("done")


def syncs(leads: int, changes: Sequence[int]) -> dict[int, Cost]:
    """The cost of a sync by how many leads were changed before it."""
    with talking(serve, leads) as pipe, tempfile.TemporaryDirectory() as name:
        path = prepared(Path(name), "salesforce", pipe.recv())
        at = AT

        def run(command: list[str], changed: int = 0) -> Cost:
            nonlocal at
            at += TICK
            pipe.send((at, changed))
            pipe.recv()
            return _run([*command, "--config", str(path)], at)

        run(["backfill", "--yes", "--max-change-share", "1"])
        found = {}
        for changed in changes:
            run(["sync"])  # reads what was written last, as nobody's change
            found[changed] = run(["sync"], changed)
        return found


def _run(command: list[str], at: datetime) -> Cost:
    before = _processor()
    with Child(command, ENVIRONMENT, at) as child:
        ended = child.end()
    if ended.code:
        raise SystemExit(f"exit {ended.code}: {ended.said}")
    calls = [e for e in ended.effects if not e.startswith("commit")]
    return Cost(len(calls), _processor() - before)


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def lines(sizes: Sequence[int], changes: Sequence[int]) -> list[Line]:
    """Each number of changes over each base, beside the smallest."""
    took = {leads: syncs(leads, changes) for leads in sizes}
    small = min(sizes)
    found = []
    for leads in sizes:
        for changed in changes if leads != small else ():
            cost, floor = took[leads][changed], took[small][changed]
            what = f"sync of {leads:,} leads, {leads * EACH:,} activities, {changed:,} changed"
            found.append(
                Line(
                    f"{what}: calls",
                    f"{cost.calls:,}",
                    f"{floor.calls:,} of {small:,}",
                    cost.calls / floor.calls,
                    "<= 1",
                    cost.calls <= floor.calls,
                )
            )
            ratio = cost.processor / floor.processor
            found.append(
                Line(
                    f"{what}: processor",
                    f"{cost.processor:.2f} s",
                    f"{floor.processor:.2f} s of {small:,}",
                    ratio,
                    f"<= {MOST}",
                    ratio <= MOST,
                )
            )
    return found


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, nargs="+", default=[10_000, 200_000])
    parser.add_argument("--changed", type=int, nargs="+", default=[0, 1, 100, 1_000])
    given = parser.parse_args()
    show(lines(given.leads, given.changed), "cycle")


if __name__ == "__main__":
    main()
