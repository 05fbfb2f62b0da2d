"""A backfill that is killed on the way and resumed, beside one that nothing interrupts.

    python -m tests.bench.backfill --leads 200000 --activities 2000000
    python -m tests.bench.backfill --crm hubspot --leads 40000 --activities 80000 --die 900

Both read everything that a CRM of that size has, score it, and write to every lead. The first is
killed before its n-th effect (a request, or a commit to a store) and run again. What counts are
the API calls of all its processes together, those of which the two made different numbers one by
one, and the most memory that one of them took. The floor is the fewest calls that a killed one can
do with: those of the other, a log-in where there are sessions, and the answers that it had in hand,
of which two may be (the page being stored and the one read ahead). What else was asked twice counts
against it.
"""

import argparse
import json
import re
import resource
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from connectors.sandbox.crm import Crm, Kind
from connectors.sandbox.http import Server
from connectors.sandbox.hubspot.face import HubSpotFace
from connectors.sandbox.hubspot.limits import TOKEN
from connectors.sandbox.salesforce.face import SalesforceFace
from sync import templates
from sync.cli import run
from sync.exits import Exit
from sync.lease import LASTS
from sync.session import Outside
from tests.bench.measure import Line, serving, show
from tests.bench.pull_hubspot import UNLIMITED
from tests.bench.pull_salesforce import AT, AUTH, salesforce_lead
from tests.killed import KILLED, Child

MOST_CALLS = 1.02
LOGIN = "POST /services/oauth2/token"
PAGES, IN_HAND = "jobs/query/.../results", 2
MOST_MEMORY = 1_000
"""MB."""

ENVIRONMENT = {"SF_CLIENT_SECRET": AUTH["client_secret"], "HUBSPOT_TOKEN": TOKEN}
CONNECTIONS: dict[str, dict[str, Any]] = {
    "salesforce": {"auth": AUTH | {"client_secret": "${SF_CLIENT_SECRET}"}},
    "hubspot": {"token": "${HUBSPOT_TOKEN}"},
}
ID = re.compile(r"(?<=/)(?=\w*\d)[0-9A-Za-z-]{15,}")


def serve(crm_kind: str, leads: int, activities: int, pipe: Connection) -> None:
    """A CRM with so many leads, who made so many calls in the last year, until told to stop."""
    crm = Crm(lambda: AT)
    owner = crm.add(Kind.USER, {"name": "Rep", "email": "rep@seller.example", "active": True})
    crm.integration_user = owner.number
    people = [crm.add(Kind.LEAD, salesforce_lead(n, owner.number)).number for n in range(leads)]
    for n in range(activities):
        done = {"type": "call", "at": AT - timedelta(minutes=n % 525_600)}
        crm.add(Kind.ACTIVITY, {**done, "people": [people[n % leads]], "owner": owner.number})
    hubspot = crm_kind == "hubspot"
    face = HubSpotFace(crm, ten_secondly=UNLIMITED, daily=UNLIMITED)
    with Server(face if hubspot else SalesforceFace(crm)) as server:
        pipe.send(server.url)
        pipe.recv()


def prepared(folder: Path, crm_kind: str, url: str) -> Path:
    """The configuration of a CRM that has its score fields."""
    templates.write(folder, "weighted")
    connection = {"kind": crm_kind, "url": url, **CONNECTIONS[crm_kind]}
    path = folder / "config.yaml"
    path.write_text(json.dumps({"connections": {"crm": connection}}), encoding="utf-8")
    now = datetime.now(UTC)
    if run(["setup", "--yes", "--config", str(path)], Outside(ENVIRONMENT, lambda: now)):
        raise SystemExit("setup failed")
    return path


def backfilled(folder: Path, crm_kind: str, url: str, die: int | None) -> Counter[str]:
    """Backfill into fresh stores, dying once before an effect; the requests that it took."""
    path, now = prepared(folder, crm_kind, url), datetime.now(UTC)
    command = ["backfill", "--yes", "--max-change-share", "1", "--config", str(path)]
    requests = Counter[str]()
    for at, dying in ((now, die), (now + 2 * LASTS, None)):
        with Child(command, ENVIRONMENT, at, dying) as child:
            ended = child.end()
        requests += Counter(ID.sub("...", e) for e in ended.effects if not e.startswith("commit"))
        if ended.code == Exit.DONE:
            return requests
        if ended.code != KILLED:
            raise SystemExit(f"exit {ended.code}: {ended.said}")
    raise SystemExit("killed twice")


def lines(crm_kind: str, leads: int, activities: int, die: int) -> list[Line]:
    """Measure both, each with a CRM that nobody has written to."""
    sides, memory = [], 0.0
    for dying in (die, None):
        with (
            serving(serve, crm_kind, leads, activities) as url,
            tempfile.TemporaryDirectory() as name,
        ):
            sides.append(backfilled(Path(name), crm_kind, url, dying))
            # After this server has ended it would count as a child, too.
            memory = memory or resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    killed, whole = sides
    again = sum(max(n - whole[request], 0) for request, n in killed.items() if PAGES in request)
    fewest = whole.total() + killed[LOGIN] - whole[LOGIN] + min(again, IN_HAND)
    what = f"{crm_kind} backfill of {leads:,} leads, {activities:,} activities"
    ratio = killed.total() / fewest
    return [
        Line(
            f"{what}, killed before effect {die}: calls",
            f"{killed.total():,}",
            f"{fewest:,} at least",
            ratio,
            f"<= {MOST_CALLS}",
            ratio <= MOST_CALLS,
        ),
        Line(
            f"{what}: peak memory",
            f"{memory:,.0f} MB",
            f"{MOST_MEMORY:,} MB",
            memory / MOST_MEMORY,
            "<= 1",
            memory <= MOST_MEMORY,
        ),
        *(
            Line(f"of these {request}", f"{k:,}", f"{w:,}", k / max(w, 1))
            for request in sorted(killed | whole)
            if (k := killed[request]) != (w := whole[request])
        ),
    ]


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crm", choices=list(CONNECTIONS), default="salesforce")
    parser.add_argument("--leads", type=int, default=200_000)
    parser.add_argument("--activities", type=int, default=2_000_000)
    parser.add_argument("--die", type=int, default=60, help="before which effect it is killed")
    given = parser.parse_args()
    show(lines(given.crm, given.leads, given.activities, given.die))


if __name__ == "__main__":
    main()
