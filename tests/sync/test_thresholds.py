"""Thresholds from history, by the command line on both CRMs."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.crm import Crm, Kind
from connectors.sandbox.scenario import Did, Story, build, page
from sync.exits import Exit
from tests.live import Live, live

pytestmark = [
    pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning"),
    pytest.mark.timeout(600),
]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RULES = [
    {"id": "pricing", "points": 60, "when": {"type": "page_view", "asset": "/pricing"}},
    {"id": "blog", "points": 20, "when": {"type": "page_view", "asset": "/blog"}},
    {"id": "demo", "points": 40, "when": {"type": "demo_requested"}},
]
PRICING, BLOG = page("/pricing", ago=HOUR), page("/blog", ago=HOUR)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, empty, their fields made."""
    with live(tmp_path) as world:
        world.set_up()
        yield world


def person(crm: Crm, name: str, *deeds: Did, at: datetime) -> int:
    """A contact of a company of its own."""
    firm = crm.add(Kind.ACCOUNT, {"name": name}, at=at)
    values = {"last_name": name, "email": f"{name}@x.example", "account": firm.number}
    return build(crm, Story(values, deeds, Kind.CONTACT), at=at).number


def buy(crm: Crm, who: int, closed_at: datetime) -> None:
    """A deal of a person that was won."""
    buyer = crm.get(Kind.CONTACT, who)
    assert buyer is not None
    won: dict[str, Any] = {
        "name": "Deal", "people": [who], "amount": 5, "currency": "USD", "closed": True,
        "won": True, "stage": "Closed Won", "closed_at": closed_at, "owner": None,
        "account": buyer.values["account"],
    }  # fmt: skip
    crm.add(Kind.DEAL, won)


@pytest.mark.slow
def test_a_threshold_is_suggested_from_what_became_of_leads(world: Live) -> None:
    """S161: counts by threshold, and the highest that 80 % of the customers reached before they
    were that; what came with the sale is in no score, and who was not known before is told apart;
    without customers it is said that there are too few."""
    world.model(fit=[], behaviour=RULES, decays={})
    buyers: dict[str, list[int]] = {}
    for name, seller in world.sellers.items():
        for n in range(20):
            did = (PRICING,) if n < 8 else (BLOG,) if n < 14 else ()
            buyers.setdefault(name, []).append(person(seller.crm, f"p{n}", *did, at=world.clock()))
    world.sync()
    outcome = world.run("thresholds")
    assert outcome.code == Exit.DONE
    assert "weighted: too little to suggest a threshold: 0 customers and 40 others" in outcome.err
    sold = world.clock.tick(days=5)
    world.clock.tick(days=1)
    for name, seller in world.sellers.items():
        late = person(seller.crm, "late", at=world.clock())
        for who in (*buyers[name][:10], late):
            demo = {"type": "demo_requested", "at": world.clock(), "people": [who]}
            seller.crm.add(Kind.ACTIVITY, demo)
            buy(seller.crm, who, sold)
    world.sync("--max-change-share", "1")
    (found,) = world.run("thresholds", "--json").json
    assert [found[k] for k in ("model", "leads", "customers", "late")] == ["weighted", 42, 22, 2]
    rows = {int(Decimal(row["points"])): row for row in found["candidates"]}
    told = {at: (rows[at]["leads"], rows[at]["customers"]) for at in (20, 40, 60)}
    assert told == {20: (30, 22), 40: (18, 18), 60: (16, 16)}
    assert (rows[20]["converted"], rows[60]["caught"], rows[60]["passed"]) == (
        "73.3%", "72.7%", "38.1%",
    )  # fmt: skip
    assert Decimal(found["suggested"]) == 40
    (less,) = world.run("thresholds", "--json", "--share", "0.7").json
    assert Decimal(less["suggested"]) == 60
    text = world.run("thresholds")
    assert "suggested: 40, the highest that 80 % of the customers reached" in text.err
    assert "2 of 22 customers count by their present score" in text.err
    assert "mql" in text.out


@pytest.mark.slow
def test_one_touch_of_each_is_no_mql_of_b2b_software(world: Live) -> None:
    """S161: a demo, a trial and the prices once are 45 points and no MQL, in both CRMs."""
    preset = resources.files("core.presets").joinpath("b2b_software.yaml")
    world.folder.joinpath("model.yaml").write_text(preset.read_text())
    deeds = (Did("demo_requested", DAY), Did("trial_started", DAY), page("/pricing", ago=DAY))
    people = world.tell(Story({"last_name": "Moss", "email": "m@moss.example"}, deeds))
    world.sync()
    for name, seller in world.sellers.items():
        shown = seller.shown(people[name])
        assert (shown["score"], shown["stage"]) == (45, None)
