"""What a run costs in API calls is known before it, compared after it, and bounded."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.hubspot.settings import HubSpotSettings
from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault
from sync.exits import Exit
from tests.live import ANA, ROBOT, Live, Outcome, live

PEOPLE = 230
"""Three pages of HubSpot's list, two of its search, three calls to write."""

MODEL: dict[str, Any] = {
    "fit": [{"id": "technology", "points": 100, "when": {"industry": "technology"}}],
    "behaviour": [],
    "decays": {},
}
ROUTING = {"pool": [ANA], "unassigned_owners": [ROBOT]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Both CRMs with people, companies, deals, calls and visits; nothing read yet."""
    with live(tmp_path_factory.mktemp("price")) as found:
        found.configure(routing=ROUTING)
        found.model(**MODEL)
        found.set_up()
        for seller in found.sellers.values():
            crm, at = seller.crm, found.clock()
            firm = crm.add(Kind.ACCOUNT, {"name": "Firm"})
            values = {"company": "Firm", "industry": "Technology"}
            for n in range(PEOPLE):
                named = {"last_name": f"P{n}", "email": f"p{n}@firm.example"}
                lead = crm.add(Kind.LEAD, {**values, **named})
                if n % 50 == 0:
                    about = {"at": at - timedelta(days=1), "people": [lead.number]}
                    crm.add(Kind.ACTIVITY, {**about, "type": "call", "subject": "Call"})
                    crm.add(Kind.ACTIVITY, {**about, "type": "page_view", "asset": "/pricing"})
            crm.add(Kind.DEAL, {"name": "Deal", "account": firm.number})
        yield found


def parts(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """The report of each connection."""
    return {part["connection"]: part for part in outcome.json["connections"]}


def requests(world: Live) -> dict[str, int]:
    """How many requests each CRM has seen."""
    return {name: len(seller.server.requests) for name, seller in world.sellers.items()}


def runs(world: Live) -> list[Any]:
    """The runs in the ledger, newest first."""
    return list(world.run("status", "--json").json["runs"])


@pytest.mark.slow
def test_predicted_is_made(world: Live) -> None:
    """U06, D24: the calls of each class are predicted, bounded, compared, and kept in the ledger.

    Of the first reading, a backfill's, one since a date, and of writing with its reading back: by
    class as predicted, in both CRMs. Over budget nothing is read, and nothing written.
    """
    asked = requests(world)
    refused = world.run("sync", "--max-calls", "24")
    assert refused.code == Exit.GUARD
    assert "marketing: reading costs" in refused.err or "sales: reading costs" in refused.err
    counting = {name: count - asked[name] for name, count in requests(world).items()}
    assert max(counting.values()) <= 18
    (run,) = runs(world)
    assert run["status"] == "guarded"

    before = requests(world)
    first = parts(world.sync())
    seen = {name: count - before[name] for name, count in requests(world).items()}
    for name, part in first.items():
        assert sum(part["calls"].values()) == seen[name]
        for what in ("reading", "writing"):
            assert part[what]["predicted"]["calls"] == part[what]["made"], (name, what)
        assert part["writing"]["made"]["read"] > 0
    assert first["marketing"]["writing"]["made"]["write"] == 3
    assert first["sales"]["writing"]["made"] == {"write": 2, "read": 2}
    assert runs(world)[0]["counts"]["sales"]["writing"] == first["sales"]["writing"]

    for since in ((), ("--since", "2026-01-01")):
        again = world.run("backfill", "--yes", "--json", *since)
        assert again.code == Exit.DONE
        for name, part in parts(again).items():
            predicted = part["reading"]["predicted"]["calls"]
            assert predicted == part["reading"]["made"], (name, since)
            assert f"{name}: reading costs about {sum(predicted.values())} calls" in again.err or (
                f"{name}: reading costs {sum(predicted.values())} calls" in again.err
            )
            assert part["writing"]["made"] == part["writing"]["predicted"]["calls"] == {}


@pytest.mark.slow
def test_over_budget_nothing_is_begun(world: Live) -> None:
    """U06: a backfill stops before its first page, a plan before its first write."""
    world.sync()
    quiet = {name: part["reading"]["made"] for name, part in parts(world.sync()).items()}
    refused = world.run("backfill", "--yes", "--max-calls", "24")
    assert refused.code == Exit.GUARD
    assert "run again with --max-calls" in refused.err
    after = {name: part["reading"]["made"] for name, part in parts(world.sync()).items()}
    assert after == quiet

    world.model(**{**MODEL, "fit": [{**MODEL["fit"][0], "points": 90}]})
    writes = {name: seller.writes() for name, seller in world.sellers.items()}
    reading = sum(runs(world)[0]["calls"]["marketing"].values())
    over, enough = (("--max-calls", str(reading + more)) for more in (2, 3))
    refused = world.run("sync", "--max-change-share", "1", *over)
    assert refused.code == Exit.GUARD
    assert "marketing: writing costs 3 calls (write 3) beside the" in refused.err
    assert {name: seller.writes() for name, seller in world.sellers.items()} == writes
    planned = world.run("plan", "--json").json["plans"]
    prices = {p["connection"]: p["price"]["calls"] for p in planned}
    assert prices == {"sales": {"write": 2}, "marketing": {"write": 3}}
    made = parts(world.sync("--max-change-share", "1", *enough))
    assert made["marketing"]["writing"]["made"] == {"write": 3}


@pytest.mark.slow
def test_usage_of_the_day(world: Live) -> None:
    """D24: status tells what was used of which API today, beside the quota that the CRM states."""
    world.sync("--max-change-share", "1")
    found = {u["connection"]: u for u in world.run("status", "--json").json["usage"]}
    for name in world.sellers:
        mine = [run["calls"][name] for run in runs(world) if name in run["calls"]]
        assert sum(found[name]["calls"].values()) == sum(sum(made.values()) for made in mine)
        seen = [path for _, path in world.sellers[name].server.requests if "/oauth2/" not in path]
        # An answer may have counted those under way with it: too much then, never too little.
        together = HubSpotSettings.model_fields["concurrency"].default
        assert 0 < found[name]["quota"]["used"] < len(seen) + together
    said = world.run("status").out
    assert f"{found['marketing']['quota']['limit']:,} used by all programs at" in said
    world.clock.tick(days=1)
    assert world.run("status", "--json").json["usage"] == []


@pytest.mark.slow
def test_what_telling_costs(tmp_path: Path) -> None:
    """U06: the tasks and notes of hand-offs are priced with the writing, by a plan that records
    nothing and by the run itself alike; bounded, and as predicted when made. What does not fit into
    one run is priced in the next, and what may be there already is looked for."""
    with live(tmp_path) as world:
        handoff = {"task": {}, "note": {"stages": ["SQL"]}, "most": 2}
        world.configure(handoff=handoff, routing=ROUTING)
        world.model(**{**MODEL, "thresholds": {"mql": 50, "sql": 100}})
        world.set_up()
        for seller in world.sellers.values():
            for n in range(3):
                person = {"last_name": f"P{n}", "company": "F", "email": f"p{n}@firm.example"}
                seller.crm.add(Kind.LEAD, {**person, "industry": "Technology"})
        told = {"write": 1 + 2 + 2, "read": 2}
        plans = world.run("plan", "--json").json["plans"]
        assert [p["price"] for p in plans] == [{"calls": told, "exact": True}] * 2
        asked = {name: seller.writes() for name, seller in world.sellers.items()}
        world.run("plan")
        reading = {name: sum(calls.values()) for name, calls in runs(world)[0]["calls"].items()}
        only = ("--connection", "sales", "--max-calls", str(reading["sales"] + 6))
        refused = world.run("sync", *only)
        assert refused.code == Exit.GUARD
        assert "sales: writing costs 7 calls (read 2, write 5) beside the" in refused.err
        assert {name: seller.writes() for name, seller in world.sellers.items()} == asked
        for part in parts(world.sync("--max-calls", str(max(reading.values()) + 7))).values():
            assert part["writing"]["predicted"] == {"calls": told, "exact": True}
            assert part["writing"]["made"] == told
        lost = Fault("/sobjects/Task/?$|/objects/tasks/?$", "POST", drop="after")
        for seller in world.sellers.values():
            seller.server.faults.append(replace(lost))
        for part in parts(world.sync()).values():
            assert part["writing"]["predicted"] == {"calls": {"write": 2}, "exact": False}
            assert part["writing"]["made"] == {"write": 2}
        world.clock.tick(minutes=5)
        looked = parts(world.sync())
        for name, reads in (("sales", 1), ("marketing", 2)):
            writing = looked[name]["writing"]
            assert writing["predicted"]["calls"] == {"write": 1, "read": reads}
            assert writing["made"] == {"read": reads}
