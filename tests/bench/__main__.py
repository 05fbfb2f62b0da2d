"""Every bench, in one table: the figure, the floor measured in the same run, and the goal.

python -m tests.bench
"""

import argparse
import os
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.bench import (
    backfill,
    calls,
    cycle,
    explain,
    incremental,
    pace,
    pull_hubspot,
    pull_salesforce,
    routing,
    scoring,
)
from tests.bench.measure import Line, show

LIBRARIES = ("simple-salesforce", "hubspot-api-client", "duckdb", "pyarrow", "ibis-framework")
MOST_SCORING = 1.3
ACTIVITIES_EACH = 20


def machine() -> str:
    """What the figures were measured on."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {libraries}"


def scored(leads: int, rules: int, memory: str = "1500MB") -> Line:
    """The compiled model beside the same model as hand-written SQL."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "facts.duckdb"
        scoring.build(path, leads, leads * ACTIVITIES_EACH)
        for _ in range(2):  # the first run of each reads the file into the page cache
            hand, ours = (scoring.measure(s, path, rules, memory) for s in ("hand", "ibis"))
    if hand["scores"] != ours["scores"]:
        raise SystemExit("scoring: the two sides give different scores")
    ratio = ours["seconds"] / hand["seconds"]
    return Line(
        f"scoring {leads:,} leads, {leads * ACTIVITIES_EACH:,} activities, {rules} rules",
        f"{ours['seconds']:.2f} s, {ours['memory']:.0f} MB",
        f"{hand['seconds']:.2f} s by hand, {hand['memory']:.0f} MB",
        ratio,
        f"<= {MOST_SCORING}",
        ratio <= MOST_SCORING,
    )


def main() -> None:
    """Run all benches and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=100_000, help="Salesforce leads by REST")
    parser.add_argument("--bulk-leads", type=int, default=400_000, help="and by Bulk 2.0")
    parser.add_argument("--contacts", type=int, default=40_000, help="HubSpot contacts")
    parser.add_argument("--changed", type=int, default=2_000, help="leads to write")
    parser.add_argument("--scored", type=int, default=200_000, help="leads to score")
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    show(
        [
            *pull_salesforce.lines(given.leads, given.repeat, bulk=False),
            *pull_salesforce.lines(given.bulk_leads, given.repeat, bulk=True),
            *pull_hubspot.lines(given.contacts, given.repeat),
            *calls.lines(given.changed),
            *pace.lines(0.1),
            *backfill.lines("salesforce", given.scored // 10, given.scored, 60),
            scored(given.scored, 14),
            scored(given.scored, 150),
            *routing.lines(100_000, 200),
            *explain.lines(given.scored, 14, given.repeat),
            *cycle.lines([2_000, given.scored // 10], [1, 1_000]),
            *incremental.lines([10_000, given.scored], [1, 1_000], given.repeat),
        ],
        machine(),
    )


if __name__ == "__main__":
    main()
