"""Pulling contacts from HubSpot into DuckDB, beside the bare client draining the same server.

    python -m tests.bench.pull_hubspot --contacts 40000

The bare client is `get_all` of the vendor's library, whose records go nowhere. Both ask for the
same properties in pages of 100, in turn, from one server process whose limits are out of the
way; the best of `--repeat` rounds counts.
"""

import argparse
import tempfile
import time
from contextlib import closing
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
from sync.pages import joined, read_ahead
from tests.bench.measure import Line, best_of, serving, show

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
    """What the connector reads, stored in a facts file as a sync does."""
    settings = HubSpotSettings.model_validate({"kind": "hubspot", "token": TOKEN, "url": url})
    with (
        closing(HubSpotConnector("marketing", settings)) as connector,
        tempfile.TemporaryDirectory() as folder,
        FactsStore(Path(folder) / "facts.duckdb") as facts,
    ):
        for page in read_ahead(joined(connector.pull(LEADS, None, AT), time.monotonic)):
            facts.store("marketing", page, at=AT)
        return facts.counts("marketing")[LEADS.table]


def lines(contacts: int, repeat: int) -> list[Line]:
    """Measure the library and the whole way into the facts in turn."""
    with serving(serve, contacts) as url:
        sides = {"library": lambda: bare(url), "ours": lambda: ours(url)}
        best = best_of(repeat, contacts, sides)
    ratio = best["library"].wall / best["ours"].wall
    where = f"HubSpot list, {contacts:,} contacts into facts"
    floor = str(best["library"])
    return [Line(where, str(best["ours"]), floor, ratio, f">= {GOAL}", ratio >= GOAL)]


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=40_000)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    show(lines(given.contacts, given.repeat))


if __name__ == "__main__":
    main()
