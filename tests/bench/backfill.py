"""A backfill that is killed on the way and resumed, beside one that nothing interrupts.

    python -m tests.bench.backfill --leads 200000 --activities 2000000

Both read everything that a Salesforce org of that size has, score it, and write to every lead.
The first is killed before its n-th effect (a request, or a commit to a store) and run again. What
counts are the API calls of all its processes together, and the most memory that one of them took.
"""

import argparse
import json
import resource
import tempfile
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from connectors.sandbox.crm import Crm, Kind
from connectors.sandbox.http import Server
from connectors.sandbox.salesforce.face import SalesforceFace
from sync import templates
from sync.cli import run
from sync.exits import Exit
from sync.lease import LASTS
from sync.session import Outside
from tests.bench.measure import Line, serving, show
from tests.bench.pull_salesforce import AT, AUTH, salesforce_lead
from tests.killed import KILLED, Child

MOST_CALLS = 1.02
MOST_MEMORY = 1_000
"""MB."""

ENVIRONMENT = {"SF_CLIENT_SECRET": AUTH["client_secret"]}


def serve(leads: int, activities: int, pipe: Connection) -> None:
    """An org with so many leads, who made so many calls in the last year, until told to stop."""
    crm = Crm(lambda: AT)
    owner = crm.add(Kind.USER, {"name": "Rep", "email": "rep@seller.example", "active": True})
    crm.integration_user = owner.number
    people = [crm.add(Kind.LEAD, salesforce_lead(n, owner.number)).number for n in range(leads)]
    for n in range(activities):
        done = {"type": "call", "at": AT - timedelta(minutes=n % 525_600)}
        crm.add(Kind.ACTIVITY, {**done, "people": [people[n % leads]], "owner": owner.number})
    with Server(SalesforceFace(crm)) as server:
        pipe.send(server.url)
        pipe.recv()


def backfilled(folder: Path, url: str, die: int | None) -> int:
    """Backfill into fresh stores, dying once before an effect; the requests that it took."""
    templates.write(folder, "weighted")
    auth = AUTH | {"client_secret": "${SF_CLIENT_SECRET}"}
    config = {"connections": {"sales": {"kind": "salesforce", "url": url, "auth": auth}}}
    path = folder / "config.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    now = datetime.now(UTC)
    if run(["setup", "--yes", "--config", str(path)], Outside(ENVIRONMENT, lambda: now)):
        raise SystemExit("setup failed")
    command = ["backfill", "--yes", "--max-change-share", "1", "--config", str(path)]
    requests = 0
    for at, dying in ((now, die), (now + 2 * LASTS, None)):
        with Child(command, ENVIRONMENT, at, dying) as child:
            ended = child.end()
        requests += sum(not effect.startswith("commit") for effect in ended.effects)
        if ended.code == Exit.DONE:
            return requests
        if ended.code != KILLED:
            raise SystemExit(f"exit {ended.code}: {ended.said}")
    raise SystemExit("killed twice")


def lines(leads: int, activities: int, die: int) -> list[Line]:
    """Measure both."""
    with serving(serve, leads, activities) as url, tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / side for side in ("killed", "whole")]
        for folder in folders:
            folder.mkdir()
        killed, whole = (
            backfilled(folder, url, dying)
            for folder, dying in zip(folders, (die, None), strict=True)
        )
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    what = f"backfill of {leads:,} leads, {activities:,} activities"
    ratio = killed / whole
    return [
        Line(
            f"{what}, killed once: calls",
            f"{killed:,}",
            f"{whole:,} not killed",
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
    ]


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=200_000)
    parser.add_argument("--activities", type=int, default=2_000_000)
    parser.add_argument("--die", type=int, default=60, help="before which effect it is killed")
    given = parser.parse_args()
    show(lines(given.leads, given.activities, given.die))


if __name__ == "__main__":
    main()
