"""What is known beside the rules, on the command line: critical behaviours, and a prediction."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.crm import Kind
from connectors.sandbox.scenario import Did, Story, build, page
from sync.exits import Exit
from tests.live import Live, live

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")

DAY = timedelta(days=1)
TRIAL, PRICING = {"type": "trial_started"}, {"type": "page_view", "asset": "/pricing"}
RULES = [
    {"id": "trial", "points": 20, "when": TRIAL},
    {"id": "pricing", "points": 10, "when": PRICING},
]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """One CRM with two customers, won ten days ago, and somebody who has just begun a trial."""
    with live(tmp_path) as world:
        world.configure("marketing")
        world.model(behaviour=RULES, decays={})
        world.set_up()
        yield world


def customer(world: Live, name: str, *deeds: Did) -> None:
    """A contact of a company with a deal, won ten days ago."""
    crm, now = world.marketing.crm, world.clock()
    firm = crm.add(Kind.ACCOUNT, {"name": name})
    values = {"last_name": name, "email": f"{name}@x.example", "account": firm.number}
    person = build(crm, Story(values, deeds, Kind.CONTACT), at=now)
    deal: dict[str, Any] = {
        "name": name, "account": firm.number, "people": [person.number], "amount": 5,
        "currency": "EUR", "stage": "closedwon", "closed": True, "won": True,
        "closed_at": now - 10 * DAY, "owner": None,
    }  # fmt: skip
    crm.add(Kind.DEAL, deal)


@pytest.mark.slow
def test_what_customers_did_first(world: Live) -> None:
    """S106: read from the facts; a star from the share that is asked for."""
    outcome = world.run("critical")
    assert outcome.code == Exit.DONE
    assert "no lead in the facts has a won outcome" in outcome.err
    customer(world, "early", Did("trial_started", 11 * DAY), page("/pricing", ago=9 * DAY))
    customer(world, "late", Did("trial_started", 9 * DAY), page("/pricing", ago=9 * DAY))
    world.sync()
    outcome = world.run("critical", "--json")
    assert outcome.json == [
        {"model": "weighted", "rule": "trial", "did": 1, "customers": 2, "star": True},
        {"model": "weighted", "rule": "pricing", "did": 0, "customers": 2, "star": False},
    ]
    assert outcome.err == ""
    rows = [line.split() for line in world.run("critical").out.splitlines()]
    assert ["trial", "1", "2", "*"] in rows
    assert ["pricing", "0", "2"] in rows
    assert [row["star"] for row in world.run("critical", "--json", "--share", "0.6").json] == [
        False,
        False,
    ]


@pytest.mark.parametrize("share", ["1.1", "half", "0.00001"])
def test_a_share_is_from_0_to_1(world: Live, share: str) -> None:
    """S106: anything else is a mistake of usage."""
    outcome = world.run("critical", "--share", share)
    assert outcome.code == Exit.USAGE
    assert f"{share} is no share from 0 to 1" in outcome.err


@pytest.mark.slow
@pytest.mark.parametrize(("held", "shown"), [("0.82", "0.82"), ("1.5", None), (None, None)])
def test_a_prediction_stands_beside_the_score(
    world: Live, held: str | None, shown: str | None
) -> None:
    """S056: explain shows it, and no line, point, stage or reason changes by it."""
    values = {"last_name": "x", "email": "x@x.example", "company": "x", "website": held}
    person = build(world.marketing.crm, Story(values, (page("/pricing"),)), at=world.clock())
    lead = world.marketing.id(person)
    mapping = {"leads": {"custom.win": "website"}}
    world.configure("marketing", marketing={"mapping": mapping})
    world.model(behaviour=RULES, decays={})
    world.sync()
    (plain,) = world.run("explain", lead, "--json", "--as-of", "2026-03-01T13:00:00").json
    world.model(behaviour=RULES, decays={}, probability="win")
    (found,) = world.run("explain", lead, "--json", "--as-of", "2026-03-01T13:00:00").json
    assert found["probability"] == (shown and f"{shown}0000000")
    same = {*found} - {"probability", "model"}
    assert {k: found[k] for k in same} == {k: plain[k] for k in same}
    text = world.run("explain", lead).out
    assert ("predicted probability 0.82, not in the score" in text) is bool(shown)
