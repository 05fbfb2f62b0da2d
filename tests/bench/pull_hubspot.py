"""Pulling contacts from HubSpot into DuckDB, beside the bare client draining the same server.

    python -m tests.bench.pull_hubspot --contacts 40000

The bare client is `get_all` of the vendor's library, whose records go nowhere. Both ask for the
same properties in pages of 100, in turn, from one server process whose limits are out of the
way; the best of `--repeat` rounds counts. Prints records a second and processor seconds for
1,000 records of the reading process, and fails below three times the bare client's speed.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from hubspot import HubSpot

from connectors.hubspot.connector import LEADS, HubSpotConnector
from connectors.hubspot.fields import LEAD
from connectors.hubspot.settings import HubSpotSettings
from connectors.sandbox.crm import Crm, Kind
from connectors.sandbox.http import Server
from connectors.sandbox.hubspot.face import HubSpotFace
from connectors.sandbox.hubspot.limits import TOKEN
from sync.facts_store import FactsStore

AT = datetime(2026, 6, 1, tzinfo=UTC)
GOAL = 3.0
UNLIMITED = 10**9


def serve(contacts: int, told: Connection) -> None:
    """Serve an account with some contacts until told to stop."""
    crm = Crm(lambda: AT)
    for n in range(contacts):
        crm.add(
            Kind.LEAD,
            {
                "first_name": f"First {n}",
                "last_name": f"Last {n}",
                "email": f"p{n}@buyer-{n % 700}.example",
                "phone": f"+1 555 {n:07d}",
                "title": ("VP Sales", "CTO", "Marketing Manager", "Engineer")[n % 4],
                "company": f"Buyer {n % 700} Ltd",
                "industry": ("Technology", "Healthcare", "Retail")[n % 3],
                "employees": n % 5_000,
                "revenue": n * 1_000,
                "country": ("Germany", "United States", "Japan")[n % 3],
                "status": "NEW",
                "opt_out": n % 10 == 0,
            },
        )
    face = HubSpotFace(crm, ten_secondly=UNLIMITED, daily=UNLIMITED)
    with Server(face) as server:
        told.send(server.url)
        told.recv()


def bare(url: str) -> int:
    """What the vendor's library reads by itself, into nothing."""
    client = HubSpot(access_token=TOKEN, host=url)
    return len(client.crm.contacts.get_all(properties=list(LEAD.values())))


def ours(url: str) -> int:
    """What the connector reads, stored in a facts file."""
    settings = HubSpotSettings.model_validate({"kind": "hubspot", "token": TOKEN, "url": url})
    connector = HubSpotConnector("marketing", settings)
    with tempfile.TemporaryDirectory() as folder, FactsStore(Path(folder) / "f.duckdb") as facts:
        for page in connector.pull(LEADS, None, AT):
            facts.store("marketing", page, at=AT)
        read = facts.counts("marketing")[LEADS.table]
    connector.close()
    return read


def measured(read: Callable[[str], int], url: str, contacts: int) -> tuple[float, float]:
    """Wall and processor seconds of one reading of everything."""
    wall, processor = time.perf_counter(), time.process_time()
    count = read(url)
    took = time.perf_counter() - wall, time.process_time() - processor
    if count != contacts:
        sys.exit(f"{read.__name__} read {count} of {contacts} contacts")
    return took


def main() -> None:
    """Measure both and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=40_000)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(given.contacts, there), daemon=True)
    server.start()
    url = here.recv()
    best: dict[str, tuple[float, float]] = {}
    for _ in range(given.repeat):
        for read in (bare, ours):
            took = measured(read, url, given.contacts)
            best[read.__name__] = min(best.get(read.__name__, took), took)
    here.send("stop")
    server.join()
    for name, (wall, processor) in best.items():
        speed = given.contacts / wall
        cost = processor / given.contacts * 1_000
        sys.stdout.write(f"{name:6} {speed:10,.0f} records/s {cost:8.4f} s processor/1,000\n")
    ratio = best["bare"][0] / best["ours"][0]
    sys.stdout.write(f"ratio  {ratio:10.2f} times the bare client; goal {GOAL}\n")
    if ratio < GOAL:
        sys.exit(1)


if __name__ == "__main__":
    main()
