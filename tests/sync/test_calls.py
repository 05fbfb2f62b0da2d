"""The call list, through the command line."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.crm import Record
from connectors.sandbox.scenario import Did, Story, build, page
from sync.exits import Exit
from tests.live import ANA, BEN, Live, live

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")

POINTS = {"CTO": 120, "CFO": 100, "VP": 60, "Clerk": 20, "Intern": 5}
MODEL = {
    "name": "calls",
    "fit": [
        {"id": title.lower(), "points": points, "when": {"title": title}}
        for title, points in POINTS.items()
    ],
    "behaviour": [],
    "decays": {},
    "disqualify": [{"id": "rival", "when": {"company": "Rival"}}],
    "tiers": {"A": 100, "B": 50, "C": 20, "D": 0},
}
TIERS = {
    "A": {"every": "1 day", "attempts": 8},
    "B": {"every": "7 days", "attempts": 5},
    "C": {"every": "30 days", "attempts": 2},
}
HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """One CRM, with a call list."""
    with live(tmp_path) as world:
        world.configure("sales", handoff={"tiers": TIERS})
        world.model(**MODEL)
        world.set_up()
        yield world


def called(ago: timedelta, outcome: str = "No answer", direction: str = "outbound") -> Did:
    """A call that the CRM has logged."""
    return Did("call", ago, {"outcome": outcome, "direction": direction})


def lead(world: Live, name: str, title: str, owner: str, *did: Did, company: str = "F") -> Record:
    """A person of an owner, and the calls there were."""
    number = world.sales.users[owner].number
    values = {"last_name": name, "title": title, "company": company, "owner": number}
    values["email"] = f"{name}@firm.example"
    return build(world.sales.crm, Story(values, did), at=world.clock())


def listing(world: Live, *more: str) -> list[dict[str, Any]]:
    """What the command lists."""
    outcome = world.run("calls", "--json", *more)
    assert outcome.code == Exit.DONE, outcome.err
    return list(outcome.json)


@pytest.mark.slow
def test_of_equals_the_newer_intent_comes_first(world: Live) -> None:
    """S024: of leads of equal score and equally due, who showed interest last; what a rep did
    counts for nobody."""
    visit, note = (
        Did("page_view", more={"asset": "/blog"}), Did("note", more={"subject": "Rang the bell"})
    )  # fmt: skip
    lead(world, "Quiet", "CTO", ANA, note)
    lead(world, "Older", "CTO", ANA, replace(visit, ago=2 * HOUR), note)
    lead(world, "Newer", "CTO", ANA, replace(visit, ago=1 * HOUR))
    world.sync()
    names = [each["name"] for each in listing(world)]
    assert names == ["Newer, F", "Older, F", "Quiet, F"]


@pytest.mark.slow
def test_whom_to_call(world: Live) -> None:
    """S096 S208 S209 S210: each owner's leads, those who are due by score and then the others by
    when they are; a tier A lead a day after its last call and a tier C one 30 days after. The 8th
    call in vain exhausts a tier A lead, the 7th does not, and an answer starts the count anew. Who
    is out by a rule or by the gates, or below the floor, is not to be called, and why; and is in no
    list."""
    gates = {"worth": 0, "criteria": [{"id": "open", "when": {"not": {"company": "Shut"}}}]}
    world.model(**MODEL, gates=gates)
    tried = [called(n * HOUR) for n in range(30, 38)]
    lead(world, "Top", "CTO", ANA, *tried[:7])
    lead(world, "Second", "CFO", ANA)
    lead(world, "Small", "Clerk", ANA, called(30 * HOUR))
    lead(world, "Spoken", "CTO", ANA, *tried, called(2 * HOUR, "Connected"))
    lead(world, "Back", "CTO", ANA, *tried, called(40 * HOUR, direction="inbound"))
    lead(world, "Rung", "VP", BEN, *tried[:3], called(29 * HOUR, direction="inbound"))
    lead(world, "Gone", "CTO", BEN, *tried)
    lead(world, "Vain", "VP", BEN, *tried[:5])
    lead(world, "Low", "Intern", BEN)
    lead(world, "Rival", "CTO", BEN, company="Rival")
    lead(world, "Shut", "CTO", BEN, company="Shut")
    start = world.clock()
    world.sync()
    found = listing(world)
    assert [(each["owner"], each["name"]) for each in found] == [
        ("Ana", "Top, F"), ("Ana", "Second, F"), ("Ana", "Spoken, F"), ("Ana", "Small, F"),
        ("Ben", "Rung, F"),
    ]  # fmt: skip
    due = {each["name"]: each["call"]["due"] for each in found}
    assert due["Top, F"] == str(start - 6 * HOUR)
    assert due["Small, F"] == str(start + timedelta(days=30) - 30 * HOUR)
    assert due["Spoken, F"] == str(start + 22 * HOUR)
    tries = {each["name"]: each["tried"]["attempts"] for each in found}
    assert (tries["Top, F"], tries["Spoken, F"], tries["Rung, F"]) == (7, 0, 0)
    everybody = {each["name"]: each["call"]["not_called"] for each in listing(world, "--all")}
    assert {name: why for name, why in everybody.items() if why} == {
        "Gone, F": "exhausted: 8 attempts without an answer",
        "Back, F": "exhausted: 8 attempts without an answer",
        "Vain, F": "exhausted: 5 attempts without an answer",
        "Low, F": "tier D is not called",
        "Rival, Rival": "Disqualified",
        "Shut, Shut": "Ineligible",
    }
    assert "do not call: 6" in world.run("calls", "--all").out
    assert {each["owner"] for each in listing(world, "--owner", "Ben")} == {"Ben"}
    assert world.run("calls", "--owner", "Zoë").code == Exit.USAGE
    world.configure("sales")
    assert "no tier is called" in world.run("calls").err


@pytest.mark.slow
def test_repeated_pricing_visits_are_an_intent_flag(world: Live) -> None:
    """S075: three pricing visits in 7 days flag a lead, three in 30 days do not, and how many in
    how long is the model's to say; explanation, dossier and call list show the flag while the
    rule gives points."""
    rule = {"id": "pricing-3", "points": 10, "when": {"asset": "/pricing"}, "flag": "intent"}
    run = {"nth": 3, "within": "7 days"}
    world.model(**{**MODEL, "behaviour": [{**rule, "at": run, "within": "30 days"}]})
    day = timedelta(days=1)
    visits = {"Keen": (1, 3, 6), "Slow": (1, 15, 29)}
    ids = {
        name: world.sales.id(
            lead(world, name, "CTO", ANA, *(page("/pricing", ago=n * day) for n in days))
        )
        for name, days in visits.items()
    }
    keen, slow = ids.values()
    world.sync()

    def flagged(name: str) -> list[tuple[str, str]]:
        (told,) = world.run("explain", ids[name], "--json").json
        (row,) = (row for row in listing(world) if row["lead_id"] == ids[name])
        assert told["flags"] == row["flags"]
        return [(flag["flag"], flag["rule"]) for flag in told["flags"]]

    assert (flagged("Keen"), flagged("Slow")) == ([("intent", "pricing-3")], [])
    (told,) = world.run("explain", keen, "--json").json
    (line,) = (line for line in told["lines"] if line["rule"] == "pricing-3")
    assert told["flags"][0]["last"] == line["last"]
    shown = f"intent (pricing-3, {line['last'][:10]}"
    assert f"flags: {shown}" in " ".join(world.run("explain", keen).out.split())
    assert f"- flags: {shown}" in world.run("dossier", keen).out
    assert shown in " ".join(world.run("calls").out.split())
    assert "flags" not in world.run("explain", slow).out + world.run("dossier", slow).out
    world.clock.tick(days=30)
    assert flagged("Keen") == []
    assert "flags" not in world.run("calls").out
    world.model(**{**MODEL, "behaviour": [{**rule, "at": {**run, "within": "30 days"}}]})
    world.sync("--max-change-share", "1")
    assert flagged("Slow") == [("intent", "pricing-3")]
    world.model(**{**MODEL, "behaviour": [{**rule, "points": -1}]})
    assert "flag needs positive points" in world.run("check").err
