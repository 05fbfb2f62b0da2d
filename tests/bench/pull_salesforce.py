"""Pulling from Salesforce into the facts store, beside the bare library draining the same server.

    python -m tests.bench.pull_salesforce --leads 100000

Both sides send the very same queries to a sandbox org in a process of its own, which answers
from memory once it has answered before; so what is measured is the client. Prints records per
second, processor seconds per 1,000 records, and the ratio, by REST and by Bulk 2.0; each side
runs `--repeat` times in turn, and the best counts.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from simple_salesforce.api import Salesforce

from connectors.base import Stream, Usage
from connectors.salesforce import pull, soql
from connectors.salesforce.client import SalesforceClient
from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.fields import BY_NAME, Schema
from connectors.salesforce.settings import SalesforceSettings
from connectors.salesforce.wire import Wire
from connectors.sandbox.crm import Crm, Kind
from connectors.sandbox.http import Request, Response, Server
from connectors.sandbox.salesforce.face import SalesforceFace
from sync.facts_store import FactsStore
from sync.pages import joined, read_ahead

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEADS = Stream("Lead", "leads")
AUTH = {
    "flow": "client_credentials",
    "client_id": "sandbox-client",
    "client_secret": "sandbox-secret",
}


def serve(leads: int, pipe: Connection) -> None:
    """An org with so many leads, until told to stop; every answer is kept and given again."""
    crm = Crm(lambda: AT)
    owner = crm.add(Kind.USER, {"name": "Rep", "email": "rep@seller.example", "active": True})
    crm.integration_user = owner.number
    for n in range(leads):
        crm.add(Kind.LEAD, _lead(n, owner.number))
    face, kept = SalesforceFace(crm), dict[tuple[str, str, bytes], Response]()

    def answer(request: Request) -> Response:
        key = (request.method, request.target, request.body)
        if "oauth2" in request.path or (request.method == "GET" and request.path[-18:-15] == "750"):
            return face(request)
        if key not in kept:
            kept[key] = face(request)
        return kept[key]

    with Server(answer) as server:
        pipe.send(server.url)
        pipe.recv()


def _lead(n: int, owner: int) -> dict[str, object]:
    return {
        "first_name": f"Given{n % 977}",
        "last_name": f"Family{n % 7919}",
        "email": f"person{n}@company{n % 5000}.example",
        "phone": f"+1 555 {n:07}",
        "title": ("Director of Marketing", "Engineer", "CFO", None)[n % 4],
        "company": f"Company {n % 5000}",
        "website": f"https://www.company{n % 5000}.example",
        "industry": ("Technology", "Healthcare", "Retail", None)[n % 4],
        "employees": n % 5000 + 1,
        "revenue": n % 5000 * 100_000,
        "country": ("United States", "Germany", "Japan")[n % 3],
        "technologies": ["Salesforce", "Slack"] if n % 3 else None,
        "source": "Web",
        "status": "Open - Not Contacted",
        "opt_out": n % 10 == 0,
        "owner": owner,
    }


@contextmanager
def org(leads: int) -> Iterator[SalesforceSettings]:
    """The settings of a running org."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(leads, there))
    process.start()
    try:
        yield SalesforceSettings.model_validate(
            {"kind": "salesforce", "url": here.recv(), "auth": AUTH}
        )
    finally:
        here.send("stop")
        process.join()


def into_arrow(settings: SalesforceSettings, store: FactsStore | None = None) -> int:
    """The connector, into Arrow tables, and from there into a facts store where one is given."""
    connector = SalesforceConnector("sales", settings)
    count = 0
    for page in read_ahead(joined(connector.pull(LEADS, None, AT), time.monotonic)):
        count += page.rows.num_rows
        if store:
            store.store("sales", page, at=AT)
    connector.close()
    return count


def into_store(settings: SalesforceSettings) -> int:
    """The connector, into a facts store on disk."""
    with tempfile.TemporaryDirectory() as folder, FactsStore(Path(folder) / "facts.db") as store:
        return into_arrow(settings, store)


def library(settings: SalesforceSettings) -> Salesforce:
    """The client library as its users make it."""
    return Salesforce(
        consumer_key=AUTH["client_id"],
        consumer_secret=AUTH["client_secret"],
        domain=settings.domain,
        version=settings.api_version,
        session=Wire(settings, Usage()),
    )


def bare_rest(settings: SalesforceSettings, query: str) -> int:
    """Every record of the library's query iterator, dropped."""
    return sum(1 for _ in library(settings).query_all_iter(query, include_deleted=True))


def bare_bulk(settings: SalesforceSettings, query: str) -> int:
    """Every page of the library's bulk query as text, not even parsed, dropped."""
    bulk: Any = library(settings).bulk2
    pages = bulk.Lead.query_all(query, wait=0.2)
    return sum(text.count("\n") - 1 for text in pages)


def query_of(settings: SalesforceSettings) -> str:
    """The fields that the connector asks for."""
    client = SalesforceClient(settings, "sales", Usage())
    columns = Schema(client, settings).columns(BY_NAME["Lead"])
    client.close()
    return soql.select(("Id", "SystemModstamp", "IsDeleted", *columns.values()), "Lead")


def measure(name: str, leads: int, run: Callable[[], int]) -> tuple[str, float, float]:
    """Name, seconds and processor seconds of one run."""
    wall, processor = time.perf_counter(), time.process_time()
    count = run()
    took = time.perf_counter() - wall, time.process_time() - processor
    if count != leads:
        raise SystemExit(f"{name}: {count} of {leads} records")
    return name, *took


def compare(settings: SalesforceSettings, leads: int, repeat: int, bulk: bool) -> None:
    """Measure both sides in turn, and print the best of each."""
    pull.BULK_FROM = 0 if bulk else sys.maxsize
    query = query_of(settings)
    drain = bare_bulk if bulk else bare_rest
    sides: dict[str, Callable[[], int]] = {
        "library": lambda: drain(settings, query),
        "into Arrow": lambda: into_arrow(settings),
        "into facts": lambda: into_store(settings),
    }
    for run in sides.values():
        run()
    measured = [measure(name, leads, run) for _ in range(repeat) for name, run in sides.items()]
    floor = min(wall for name, wall, _ in measured if name == "library")
    for name in sides:
        wall = min(wall for side, wall, _ in measured if side == name)
        processor = min(used for side, _, used in measured if side == name)
        print(  # noqa: T201
            f"{'bulk' if bulk else 'rest'}  {name:10}  {leads / wall:9,.0f}/s  "
            f"{processor / leads * 1e6:6.1f} ms cpu per 1,000  {floor / wall:4.0%} of the library"
        )


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    with org(given.leads) as settings:
        for bulk in (False, True):
            compare(settings, given.leads, given.repeat, bulk)


if __name__ == "__main__":
    main()
