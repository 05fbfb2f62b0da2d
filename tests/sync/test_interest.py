"""Interest, the buyer's stage and roles by the command line: explained, and written where asked."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.crm import Kind
from connectors.sandbox.scenario import GOLDEN_50, GOLDEN_107, page
from sync.exits import Exit
from tests.live import Live, live

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")

PROFILE: dict[str, Any] = {
    "interest": {
        "areas": {
            "pricing": {"asset": "/pricing"},
            "blog": {"asset": {"starts_with": "/blog"}},
        }
    },
    "journey": {
        "awareness": {"when": {"asset": {"starts_with": "/blog"}}, "evidence": 3},
        "decision": {"when": {"asset": "/pricing"}},
    },
    "roles": {
        "infer": {
            "decision_maker": {"when": {"seniority": "executive"}, "confidence": 0.9},
            "reader": {"did": {"asset": {"starts_with": "/blog"}}, "confidence": 0.25},
        }
    },
}
WRITTEN = {
    "sales": {"area": {"field": "Interest__c"}, "buyer_stage": {"field": "Buyer_Stage__c"}},
    "marketing": {"area": {"field": "interest"}, "buyer_stage": {"field": "buyer_stage"}},
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, empty."""
    with live(tmp_path) as world:
        yield world


@pytest.mark.slow
def test_explain_shows_the_profile(world: Live) -> None:
    """S192 S194 S213 S218: both CRMs tell the same, for machines and for people."""
    golden, reader = world.tell(GOLDEN_107), world.tell(GOLDEN_50)
    world.set_up()
    world.model(**PROFILE)
    world.sync()
    for name, seller in world.sellers.items():
        (told,) = world.run("explain", seller.id(golden[name]), "--json").json
        profile = told["profile"]
        listed = {area: Decimal(points) for area, points in profile["areas"].items()}
        assert listed == {"pricing": 20, "analytics": 15}
        assert (profile["buyer_stage"], profile["role"]) == ("decision", "decision_maker")
        assert (Decimal(profile["confidence"]), profile["explicit"]) == (Decimal("0.9"), False)
        text = world.run("explain", seller.id(reader[name])).out
        assert "interested in: blog 25" in text
        assert "depth 10, intensity 5 activities a day (activities: 5, days: 1)" in text
        assert "buyer's stage: awareness (evidence: 5)" in text
        assert "role: reader (confidence 0.25)" in text


@pytest.mark.slow
def test_area_and_stage_are_written_only_where_they_are_mapped(world: Live) -> None:
    """S207: setup creates their fields, a sync writes them once, and again when they
    change; unmapped they are neither created nor written."""
    golden = world.tell(GOLDEN_107)
    world.tell(GOLDEN_50)
    world.set_up()
    fields = {n: [w["field"] for w in written.values()] for n, written in WRITTEN.items()}
    for name, seller in world.sellers.items():
        assert not any(f in made for made in seller.crm.custom.values() for f in fields[name])
    world.configure(**{name: {"write": written} for name, written in WRITTEN.items()})
    unsaid = world.run("check")
    assert unsaid.code == Exit.USAGE
    assert "the model has no `journey`: there is no buyer_stage to write" in unsaid.err
    world.model(**PROFILE)
    world.set_up()
    assert world.run("check").code == Exit.DONE
    planned = world.run("plan")
    assert all(word in planned.out for word in ("area", "buyer_stage", "pricing", "decision"))
    world.sync("--max-change-share", "1")

    def shown(name: str) -> list[Any]:
        return [golden[name].values.get(field) for field in fields[name]]

    assert [shown(name) for name in WRITTEN] == [["pricing", "decision"]] * 2
    before = {name: seller.writes() for name, seller in world.sellers.items()}
    world.sync()
    assert {name: seller.writes() for name, seller in world.sellers.items()} == before
    for name, seller in world.sellers.items():
        for n in range(4):
            deed = page(f"/blog/{n}", ago=timedelta(minutes=n))
            values = {"type": deed.type, "at": world.clock(), "people": [golden[name].number]}
            seller.crm.add(Kind.ACTIVITY, {**values, **deed.more}, at=world.clock())
    world.sync("--max-change-share", "1")
    assert [shown(name) for name in WRITTEN] == [["blog", "decision"]] * 2
