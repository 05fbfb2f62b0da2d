"""Consent through the command line, on both CRMs: withdrawn, given again, and asked at the pull."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.crm import Kind, Record
from sync.exits import Exit
from tests.live import ANA, ROBOT, Live, balanced, live

MISSING = {"known": False}
AGREED = {"any": [{"email_opt_out": False}, {"email_opt_out": {"known": False}}]}
MODEL: dict[str, Any] = {
    "fit": [{"id": "technology", "points": 100, "when": {"industry": "technology"}}],
    "behaviour": [{"id": "call", "points": 7, "count": "each", "when": {"type": "call"}}],
    "decays": {},
    "thresholds": {"mql": 50, "sql": 100},
}

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path) as found:
        found.configure(routing={"stages": ["SQL"], "pool": [ANA], "unassigned_owners": [ROBOT]})
        found.set_up()
        yield found


def somebody(world: Live, **more: Any) -> dict[str, Record]:
    """A lead with a call in both CRMs."""
    found = {}
    for name, seller in world.sellers.items():
        values: dict[str, Any] = {"last_name": "P", "company": "Firm", "email": "p@firm.example"}
        values |= {"industry": "Technology", "owner": seller.users[ROBOT].number, **more}
        found[name] = seller.crm.add(Kind.LEAD, values)
        call = {"type": "call", "at": world.clock() - timedelta(days=1), "outcome": "Connected"}
        seller.crm.add(Kind.ACTIVITY, {**call, "people": [found[name].number]})
    return found


def object_to(world: Live, records: dict[str, Record], *, opt_out: bool) -> None:
    world.clock.tick(hours=1)
    for name, seller in world.sellers.items():
        seller.crm.update(records[name], {"opt_out": opt_out})
    world.clock.tick(hours=1)


def shown(world: Live, records: dict[str, Record], output: str) -> list[Any]:
    return [seller.shown(records[name])[output] for name, seller in world.sellers.items()]


def test_withdrawn_consent_clears_or_freezes_and_comes_back(world: Live) -> None:
    """S081: the score fields are cleared, nobody is told, the chain says so, with what was read and
    since when; the owner stays; given again, all is back. Frozen, nothing is touched."""
    world.model(**MODEL, consent={"scoring": AGREED})
    records = somebody(world)
    world.sync()
    assert shown(world, records, "score") == [107, 107]
    assert shown(world, records, "owner") == [ANA, ANA]
    handed = len(world.run("status", "--json").json["handoffs"])

    world.clock.tick(days=2)
    object_to(world, records, opt_out=True)
    seen = f"{world.clock():%Y-%m-%d}"
    report = world.sync("--max-change-share", "1")
    assert balanced(report.json)
    for output in ("score", "tier", "stage", "reason", "model", "scored_at"):
        assert shown(world, records, output) == [None, None], output
    assert shown(world, records, "owner") == [ANA, ANA]
    assert len(world.run("status", "--json").json["handoffs"]) == handed
    for name, seller in world.sellers.items():
        lead = seller.id(records[name])
        explained = world.run("explain", lead, "--json").json[0]
        assert (explained["stage"], explained["score"]) == ("No consent", "0")
        assert explained["reason"].startswith("no consent to be scored; {any: [{email_opt_out: f")
        assert explained["reason"].endswith(f"not met: email_opt_out true since {seen}")
        assert (explained["next_stage"], explained["missing"]) == (None, None)
        latest = world.run("audit", lead, "--json").json["entries"][-1]
        assert latest["detail"]["changed"]["stage"] == ["SQL", "No consent"]
        assert latest["detail"]["cause"]["score"] == explained["reason"]
        for command in ("explain", "dossier"):
            said = world.run(command, lead).out
            assert f"email_opt_out true since {seen}" in " ".join(said.split()), command
            assert "points to" not in said, command
    idle = world.sync()
    assert [part["steps"][-1]["out"] for part in idle.json["connections"]] == [0, 0]

    object_to(world, records, opt_out=False)
    world.sync("--max-change-share", "1")
    assert shown(world, records, "score") == [107, 107]

    world.model(**MODEL, consent={"scoring": AGREED, "withdrawn": "freeze"})
    object_to(world, records, opt_out=True)
    world.sync("--max-change-share", "1")
    assert shown(world, records, "score") == [107, 107]
    assert shown(world, records, "stage") == ["SQL", "SQL"]


def told_of(world: Live) -> list[tuple[str, int]]:
    """The leads of which sales is told by a task, as the CRMs hold it."""
    return [
        (name, person)
        for name, seller in world.sellers.items()
        for task in seller.crm.records(Kind.ACTIVITY)
        if "[leadgauge:" in (task.values.get("subject") or "")
        for person in task.values["people"]
    ]


def test_nobody_is_told_of_who_withdrew_consent(world: Live) -> None:
    """S081: who becomes hot without consent raises no alert, while another does; given again, sales
    is told."""
    routing = {"stages": ["SQL"], "pool": [ANA], "unassigned_owners": [ROBOT]}
    world.configure(routing=routing, handoff={"task": {"due": "4 hours"}})
    world.model(**MODEL, consent={"scoring": AGREED})
    cold = {"industry": None}
    silent, other = somebody(world, **cold), somebody(world, email="q@firm.example", **cold)
    world.sync()
    assert told_of(world) == []
    object_to(world, silent, opt_out=True)
    for name, seller in world.sellers.items():
        for records in (silent, other):
            seller.crm.update(records[name], {"industry": "Technology"})
    world.clock.tick(hours=1)
    world.sync("--max-change-share", "1")
    assert shown(world, other, "stage") == ["SQL", "SQL"]
    assert sorted(told_of(world)) == sorted((n, other[n].number) for n in world.sellers)
    assert world.run("status", "--json").json["notices"] == []
    object_to(world, silent, opt_out=False)
    world.sync("--max-change-share", "1")
    everybody = [(n, who[n].number) for n in world.sellers for who in (silent, other)]
    assert sorted(told_of(world)) == sorted(everybody)


@pytest.mark.parametrize(("gate", "stored"), [("pull", 0), ("score", 1)])
def test_who_is_not_to_be_followed_is_not(world: Live, gate: str, stored: int) -> None:
    """S090: behind the gate `pull` what such a person does is not even stored, and counted; behind
    `score` it is, and earns nothing. Given consent, a reconciliation brings what was left out."""
    world.model(**MODEL, consent={"behaviour": AGREED, "gate": gate})
    silent, open_ = somebody(world, opt_out=True), somebody(world, email="q@firm.example")
    report = world.sync()
    assert balanced(report.json)
    assert shown(world, silent, "score") == [100, 100]
    assert shown(world, open_, "score") == [107, 107]
    for name, seller in world.sellers.items():
        held = report.step(name, "pull")["held"].get("no consent", 0)
        assert held == 1 - stored
        known = world.run("subject", seller.id(silent[name]), "--json").json["facts"]
        assert len(known.get("activities", ())) == 2 * stored, "one person, of one address"
        assert world.run("explain", seller.id(open_[name])).code == Exit.DONE
    object_to(world, silent, opt_out=False)
    world.sync("--reconcile", "--max-change-share", "1")
    assert shown(world, silent, "score") == [107, 107]


def test_consent_follows_the_individual(world: Live) -> None:
    """Who opts out of tracking in the Individual of a Salesforce lead is not followed from
    the next cycle on, though the lead itself did not change; given again, the points are back.
    Who is a lead by that alone has no score meanwhile."""
    sales = world.sellers["sales"]
    sales.face.rules.privacy = True  # type: ignore[attr-defined]
    agreed = {"any": [{"custom": {"opted_out_tracking": known}} for known in ("false", MISSING)]}
    world.model(**MODEL, consent={"behaviour": agreed})
    said = sales.crm.add(Kind.INDIVIDUAL, {"last_name": "P"})
    followed, alone = somebody(world, individual=said.number), somebody(world, email="q@b.example")
    nameless = somebody(world, individual=said.number, email=None)
    world.sync()
    assert [shown(world, lead, "score") for lead in (followed, alone, nameless)] == [[107, 107]] * 3
    for opted_out, score in ((True, 100), (False, 107)):
        world.clock.tick(hours=1)
        stamp = followed["sales"].modified
        sales.crm.update(said, {"no_tracking": opted_out})
        report = world.sync()
        assert followed["sales"].modified != stamp, "the score was written, and nothing else"
        assert report.step("sales", "write")["out"] == 2
        assert shown(world, followed, "score") == [score, 107]
        assert shown(world, nameless, "score") == [None if opted_out else 107, 107]
    assert shown(world, alone, "score") == [107, 107]
