"""Replay as of a date before the first pull, on both CRMs, from their own field history."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.sandbox.crm import Kind
from connectors.sandbox.salesforce.face import SalesforceFace
from sync.exits import Exit
from tests.live import Live, Seller, live
from tests.sync.test_replay import iso

MODEL: dict[str, Any] = {
    "name": "m",
    "thresholds": {"mql": 20, "sql": 40},
    "tiers": {"A": 40, "B": 0},
    "fit": [
        {"id": "ceo", "points": 20, "when": {"seniority": "executive"}},
        {"id": "german", "points": 3, "when": {"country": "DE"}},
        {"id": "tech", "points": 5, "when": {"account": {"industry": "technology"}}},
    ],
    "behaviour": [{"id": "call", "points": 7, "when": {"type": "call"}}],
    "ageing": [{"id": "long", "points": 1, "after": "3 days", "when": {"country": "DE"}}],
}
PULLING = {**MODEL, "fit": MODEL["fit"][1:2], "behaviour": [], "ageing": []}
"""A model that is quickly put to what is pulled; the scores are asked for under the other."""

TRACKED = {
    "Contact": ("Email", "Title", "MailingCountry", "AccountId", "OwnerId"),
    "Account": ("Industry",),
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, whose history is kept from the start, and their fields made."""
    with live(tmp_path) as world:
        face = world.sales.face
        assert isinstance(face, SalesforceFace)
        for name, fields in TRACKED.items():
            face.rules.tracked[name] = dict.fromkeys(fields, world.clock())
        world.set_up()
        yield world


def scored(world: Live, folder: str, **more: object) -> Live:
    """The same CRMs from a folder of its own, with stores of its own."""
    own = replace(world, folder=world.folder / folder)
    own.folder.mkdir()
    own.configure(sales=more, marketing=more)
    (own.folder / "model.yaml").write_text(yaml.safe_dump(PULLING))
    return own


def happen(seller: Seller, day: int) -> None:
    """What happens to a contact of each CRM, day by day."""
    crm = seller.crm
    if day == 0:
        first = crm.add(Kind.ACCOUNT, {"name": "Muster", "industry": "Retail"})
        crm.add(Kind.ACCOUNT, {"name": "Other", "industry": "Retail"})
        values = {"title": "Clerk", "email": "p@buyer.example", "account": first.number}
        crm.add(Kind.CONTACT, {**values, "last_name": "Muster", "country": "US"})
        return
    (contact,), accounts = crm.records(Kind.CONTACT), list(crm.records(Kind.ACCOUNT))
    if day == 1:
        crm.update(contact, {"title": "CEO"})
    elif day == 2:
        call = {"type": "call", "at": crm.clock(), "people": [contact.number], "subject": "Call"}
        crm.add(Kind.ACTIVITY, call)
        crm.update(accounts[1], {"industry": "Technology"})
    elif day == 3:
        crm.update(contact, {"account": accounts[1].number, "country": "DE"})
    elif day == 7:
        crm.update(contact, {"title": "Clerk", "country": None})
    elif day == 9:
        crm.update(contact, {"title": "CEO"})
    elif day == 10:
        crm.update(contact, {"phone": "+49 30 1"})


def scores(world: Live, at: datetime) -> list[list[str]]:
    """Connection, object, lead and score of every lead, as of an instant."""
    outcome = world.run("replay", "--as-of", iso(at))
    assert outcome.code == Exit.DONE, outcome.err
    return [line.split(",")[:4] for line in outcome.out.splitlines()[1:]]


@pytest.mark.slow
def test_replay_before_the_first_pull_uses_the_old_values(world: Live) -> None:
    """D14: scores as of dates before the first pull, and between two pulls, are those that
    somebody has who pulled every time that something happened; and so after a further pull."""
    always, late = scored(world, "always"), scored(world, "late", history=True)
    expected = {0: "0", 1: "20", 2: "27", 3: "35", 6: "36", 7: "12", 9: "32"}
    moments = {}
    for day in range(11):
        for seller in world.sellers.values():
            happen(seller, day)
        if day in expected:
            assert always.run("plan").code == Exit.DONE
            moments[day] = world.clock()
        if day in (8, 10):
            assert late.run("plan").code == Exit.DONE
        world.clock.tick(days=1)
    for own in (always, late):
        (own.folder / "model.yaml").write_text(yaml.safe_dump(MODEL))
    found = {day: scores(late, moment) for day, moment in moments.items()}
    assert {day: {row[3] for row in rows} for day, rows in found.items()} == {
        day: {score} for day, score in expected.items()
    }
    for day in (0, 3, 6):
        assert found[day] == scores(always, moments[day])
    contact = world.sales.id(next(world.sales.crm.records(Kind.CONTACT)))
    points = late.run("explain", contact, "--as-of", iso(moments[2])).out
    assert "ceo" in points
    assert "german" not in points
    said = late.run("explain", contact).out
    assert all(f"{name} over time" in said for name in ("title", "country", "phone"))
    assert "last_name over time" not in said, "first seen is no change"
