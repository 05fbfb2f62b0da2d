"""A mapping, or what is written, that is changed on a running system: what was read by the former
one is read again before anything is decided or written by the new one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.sandbox.crm import Kind, Record
from sync.exits import Exit
from tests.live import Live, live

pytestmark = pytest.mark.slow

PLANNED = {
    "fit": [{"id": "planned", "points": 100, "when": {"custom": {"plan": "gold"}}}],
    "behaviour": [],
    "decays": {},
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, without leads."""
    with live(tmp_path) as world:
        yield world


@pytest.fixture
def people(world: Live) -> dict[str, Record]:
    """A lead in each CRM with a plan that nothing reads yet; synchronised, and long unchanged."""
    found = {}
    for name, seller in world.sellers.items():
        seller.add_field(Kind.LEAD, "plan")
        person = {"last_name": "Moss", "company": "Firm", "email": "m@firm.example"}
        found[name] = seller.crm.add(Kind.LEAD, {**person, "plan": "gold"})
    world.set_up()
    for name in world.sellers:
        world.configure_write(name, {"tier": {"field": field_name(name), "policy": "never"}})
    for _ in range(2):  # What the first one writes comes back with the next.
        world.sync()
        world.clock.tick(days=3)
    return found


def field_name(connection: str) -> str:
    """The field that tiers go to."""
    return "Leadgauge_Tier__c" if connection == "sales" else "leadgauge_tier"


def map_plans(world: Live) -> None:
    """Map the plan on both, and score by it."""
    for name in world.sellers:
        field = "Plan__c" if name == "sales" else "plan"
        world.configure_mapping(name, leads={"custom.plan": field})
    world.model(**PLANNED)


def test_a_field_that_is_mapped_later_counts_for_all(
    world: Live, people: dict[str, Record]
) -> None:
    """It is known of records that do not change as well; said once, and read once."""
    map_plans(world)
    outcome = world.sync("--max-change-share", "1")
    for name, seller in world.sellers.items():
        assert seller.shown(people[name])["score"] == 100
        assert any(w.startswith(f"{name}: other fields of leads") for w in outcome.json["warnings"])
        (part,) = (c for c in outcome.json["connections"] if c["connection"] == name)
        assert part["reading"]["predicted"] is None, "a part has no price of the whole"
    again = world.sync()
    assert again.json["warnings"] == []


def test_what_a_field_held_before_it_was_written_to_is_kept(
    world: Live, people: dict[str, Record]
) -> None:
    """Somebody's value in a field that was left alone so far is no empty field."""
    for name, seller in world.sellers.items():
        seller.edit(people[name], "tier", "Mine")
    world.clock.tick(days=3)
    world.sync()
    world.clock.tick(days=3)
    for name in world.sellers:
        world.configure_write(name, {"tier": {"field": field_name(name), "policy": "fill_empty"}})
    world.model(**PLANNED)
    world.sync("--full", "--max-change-share", "1")
    for name, seller in world.sellers.items():
        assert seller.shown(people[name])["tier"] == "Mine"


def test_reading_again_has_a_price(world: Live, people: dict[str, Record]) -> None:
    """U06: over the budget nothing is read, and nothing forgotten: the next run reads it."""
    for n in range(900):
        world.marketing.crm.add(Kind.LEAD, {"last_name": f"P{n}", "email": f"p{n}@firm.example"})
    world.sync("--max-change-share", "1", "--max-calls", "100")
    world.clock.tick(days=3)
    map_plans(world)
    refused = world.sync("--max-calls", "12", code=Exit.GUARD)
    assert "marketing: reading costs about" in refused.err
    world.sync("--max-change-share", "1")
    for name, seller in world.sellers.items():
        assert seller.shown(people[name])["score"] == 100


def test_a_mapping_that_is_mended_before_anything_was_read(world: Live) -> None:
    """Nothing is read again then, and nobody is warned of it."""
    world.set_up()
    world.configure_mapping("sales", leads={"custom.plan": "Plam__c"})
    assert "leadgauge check" in world.sync(code=Exit.USAGE).err
    world.configure_mapping("sales", leads={"custom.plan": "Title"})
    assert world.sync().json["warnings"] == []
