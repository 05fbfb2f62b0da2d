"""Pulling from Salesforce into the facts store, beside the bare library draining the same server.

    python -m tests.bench.pull_salesforce --leads 100000 --bulk-leads 400000

Both sides send the very same queries to a sandbox org in a process of its own. The bare library
is `query_all_iter`, and `bulk2` with tight polling, whose records and pages of text go nowhere.
"Into Arrow" is leadgauge without its store. The best of `--repeat` rounds counts.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from simple_salesforce.api import Salesforce

from connectors.base import Stream
from connectors.salesforce import pull, soql
from connectors.salesforce.client import SalesforceClient
from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.fields import BY_NAME, Schema
from connectors.salesforce.settings import SalesforceSettings
from connectors.salesforce.wire import Wire
from connectors.sandbox.crm import Crm, Kind
from connectors.sandbox.http import Server
from connectors.sandbox.salesforce.face import SalesforceFace
from connectors.usage import Usage
from sync.facts_store import FactsStore
from sync.pages import joined, read_ahead
from tests.bench.measure import Line, best_of, serving, show

GOAL = 0.6
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEADS = Stream("Lead", "leads")
AUTH = {
    "flow": "client_credentials",
    "client_id": "sandbox-client",
    "client_secret": "sandbox-secret",
}


def serve(leads: int, pipe: Connection) -> None:
    """An org with so many leads, until told to stop."""
    crm = Crm(lambda: AT)
    owner = crm.add(Kind.USER, {"name": "Rep", "email": "rep@seller.example", "active": True})
    crm.integration_user = owner.number
    for n in range(leads):
        crm.add(Kind.LEAD, salesforce_lead(n, owner.number))
    with Server(SalesforceFace(crm)) as server:
        pipe.send(server.url)
        pipe.recv()


def salesforce_lead(n: int, owner: int) -> dict[str, object]:
    """The n-th lead of an org."""
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
    with serving(serve, leads) as url:
        yield SalesforceSettings.model_validate({"kind": "salesforce", "url": url, "auth": AUTH})


@contextmanager
def bulk_from(records: int) -> Iterator[None]:
    """Let the connector use Bulk 2.0 above another number of records."""
    before, pull.BULK_FROM = pull.BULK_FROM, records
    try:
        yield
    finally:
        pull.BULK_FROM = before


def into_arrow(settings: SalesforceSettings, store: FactsStore | None = None) -> int:
    """As a sync reads, into Arrow tables, and from there into a facts store where one is given."""
    count = 0
    with closing(SalesforceConnector("sales", settings)) as connector:
        for page in read_ahead(joined(connector.pull(LEADS, None, AT), time.monotonic)):
            count += page.rows.num_rows
            if store:
                store.store("sales", page, at=AT)
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
        session=Wire(settings, "bench", Usage()),
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


def lines(leads: int, repeat: int, *, bulk: bool) -> list[Line]:
    """Measure the library, the connector and the whole way into the facts in turn."""
    with org(leads) as settings, bulk_from(0 if bulk else sys.maxsize):
        query = query_of(settings)
        drain = bare_bulk if bulk else bare_rest
        sides: dict[str, Callable[[], int]] = {
            "library": lambda: drain(settings, query),
            "into Arrow": lambda: into_arrow(settings),
            "into facts": lambda: into_store(settings),
        }
        best = best_of(repeat, leads, sides)
    floor = best.pop("library")
    kind = "Bulk 2.0" if bulk else "REST"
    found = []
    for name, took in best.items():
        ratio = floor.wall / took.wall
        goal = (f">= {GOAL}", ratio >= GOAL) if name == "into facts" else ()
        where = f"Salesforce {kind}, {leads:,} leads {name}"
        found.append(Line(where, str(took), str(floor), ratio, *goal))
    return found


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=100_000, help="by REST")
    parser.add_argument("--bulk-leads", type=int, default=400_000, help="by Bulk 2.0")
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    rest = lines(given.leads, given.repeat, bulk=False)
    show([*rest, *lines(given.bulk_leads, given.repeat, bulk=True)])


if __name__ == "__main__":
    main()
