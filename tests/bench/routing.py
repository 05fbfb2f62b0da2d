"""Routing of many leads in one run, beside the least that any routing does: put them in order and
count who has what.

    python -m tests.bench.routing --leads 100000 --reps 200
"""

import argparse
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

from core.availability import Hours, Terms
from core.roster import Pool, Roster, Share
from core.routing import Candidate, ranked, route
from core.turns import Had
from tests.bench.measure import Line, show

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
MOST_SECONDS = 10
TERRITORIES = 10


def world(leads: int, reps: int) -> tuple[list[Candidate], Roster]:
    """Leads of ten territories and of none, and reps with weights, hours and caps."""
    chance = random.Random(5)
    names = [f"rep{n:04}" for n in range(reps)]
    shares = tuple(Share(name, chance.randint(1, 3)) for name in names)
    office = Hours(frozenset(range(5)), AT.time().replace(hour=9), AT.time().replace(hour=18))
    terms = {name: Terms("Europe/Berlin", office, daily=2 * leads) for name in names}
    territories = {
        f"t{n}": Pool(shares[n::TERRITORIES], f"t{n}", passes_on=True) for n in range(TERRITORIES)
    }
    roster = Roster(frozenset(names), Pool(shares), territories, terms=terms)
    people = [
        Candidate(
            f"L{n:07}",
            "Lead",
            chance.randrange(2_000_000),
            "SQL",
            territory=f"t{n % TERRITORIES}" if n % 2 else None,
            active_at=AT - timedelta(minutes=chance.randrange(50_000)),
        )
        for n in range(leads)
    ]
    return people, roster


def lines(leads: int, reps: int) -> list[Line]:
    """Route twice; the weights of the general pool must be met within one lead."""
    people, roster = world(leads, reps)
    began = time.perf_counter()
    Counter(lead.territory for lead in ranked(people))
    floor = time.perf_counter() - began
    began = time.perf_counter()
    made = route(people, roster, Had(), AT)
    took = time.perf_counter() - began
    if route(people[::-1], roster, Had(), AT) != made:
        raise SystemExit("routing: the order of the leads changed who gets them")
    alone = [lead for lead in people if lead.territory is None]
    given = Counter(a.owner_id for a in route(alone, roster, Had(), AT).assignments)
    weights = sum(share.weight for share in roster.pool.shares)
    worst = max(
        abs(given[s.owner_id] - len(alone) * s.weight / weights) for s in roster.pool.shares
    )
    if worst > 1:
        raise SystemExit(f"routing: somebody is {worst:.2f} leads off the weight")
    return [
        Line(
            f"routing {leads:,} leads over {reps} reps, {TERRITORIES} territories",
            f"{took:.2f} s, {leads / took:,.0f} leads/s",
            f"{floor:.2f} s to put them in order",
            took / floor,
            f"<= {MOST_SECONDS} s",
            took <= MOST_SECONDS,
        )
    ]


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=100_000)
    parser.add_argument("--reps", type=int, default=200)
    given = parser.parse_args()
    show(lines(given.leads, given.reps))


if __name__ == "__main__":
    main()
