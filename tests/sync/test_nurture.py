"""Leads that are not ready: tracks and audiences, through the command line."""

import csv
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.scenario import Did, Story, build, page
from sync.exits import Exit
from sync.nurture_settings import Nurture
from tests.live import ANA, Live, live
from tests.sync.test_calls import MODEL

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")

DAY = timedelta(days=1)
NURTURE = {
    "tracks": [
        {"name": "education", "when": {"industry": "technology"}, "steps": ["2 days", "9 days"]},
        {"name": "newsletter", "steps": ["30 days"]},
    ],
    "audiences": [
        {"name": "pricing", "did": {"type": "page_view", "asset": "/pricing"}},
        {
            "name": "abm",
            "when": {"account": {"custom": {"tier": "A"}}, "past": {"stage": ["none", "IQL"]}},
        },
        {"name": "best", "tiers": ["A"]},
    ],
}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tracks": NURTURE["tracks"][:1]}, "education is the last"),
        ({"tracks": NURTURE["tracks"][1:] * 2}, "nobody is on a later one"),
        ({"tracks": [{"name": "n", "steps": ["2 days", "1 day"]}]}, "later than the one before"),
        ({"audiences": [{"name": "all"}]}, "say when, did or tiers"),
        ({"audiences": NURTURE["audiences"][:1] * 2}, "two audiences are called pricing"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], said: str) -> None:
    """Every lead is on one track, and every audience has somebody to be in it."""
    with pytest.raises(ValidationError, match=said):
        Nurture.model_validate(wrong)


def person(world: Live, name: str, title: str, *did: Did, **values: Any) -> Record:
    """A lead, who gave consent unless told otherwise."""
    given = {"last_name": name, "title": title, "company": "F", "email": f"{name}@firm.example"}
    return build(world.sales.crm, Story({**given, **values}, did), at=world.clock())


def nurtured(world: Live) -> dict[str, tuple[str, str, int, str | None]]:
    """Track, reason, step and when it is due of every lead that is nurtured."""
    found = world.run("nurture", "--json").json
    assert len({lead["lead_id"] for lead in found}) == len(found)
    return {n["lead_id"]: (n["track"], n["reason"], n["step"], n["next_step"]) for n in found}


def exported(world: Live, name: str) -> list[str]:
    """The leads of an audience."""
    outcome = world.run("audience", name)
    assert outcome.code == Exit.DONE, outcome.err
    return [row["lead_id"] for row in csv.DictReader(io.StringIO(outcome.out))]


@pytest.mark.slow
def test_who_is_not_ready(tmp_path: Path) -> None:
    """S011 S060 S068 S069 S071 D52: a lead below MQL is on exactly one track, with the reason, and
    gets no owner; its next step is told, until it is qualified, opts out or its e-mail bounces.
    Audiences hold those who did not opt out of what they ask: who saw the page; who is at a tier A
    account and not qualified; or who is of a tier, with score, tier and stage for other tools."""
    with live(tmp_path) as world:
        world.configure("sales", nurture=NURTURE, routing={"pool": [ANA]})
        world.configure_mapping("sales", accounts={"custom.tier": "Type"})
        world.model(**MODEL)
        world.set_up()
        firm = world.sales.crm.add(Kind.ACCOUNT, {"name": "Big", "type": "A"})
        seen = page("/pricing", ago=DAY)
        tech = person(world, "Tech", "Clerk", seen, industry="Technology", opt_out=False)
        plain = person(world, "Plain", "Clerk", opt_out=False)
        ready = person(world, "Ready", "CTO", seen, opt_out=False)
        away = person(world, "Away", "Clerk", seen, opt_out=True)
        person(world, "Rival", "Clerk", company="Rival", opt_out=False)
        person(world, "Bounced", "Clerk", opt_out=False, bounced_at=world.clock() - DAY)
        at_firm = {"account": firm.number, "opt_out": False}
        near, won = (
            build(world.sales.crm, Story({**at_firm, **who}, (), Kind.CONTACT), at=world.clock())
            for who in (
                {"last_name": "N", "title": "Clerk", "email": "n@big.example"},
                {"last_name": "W", "title": "CTO", "email": "w@big.example"},
            )
        )
        ids = {
            name: world.sales.id(record)
            for name, record in locals().items()
            if isinstance(record, Record) and name != "firm"
        }
        world.sync()
        start = world.clock()
        found = nurtured(world)
        assert set(found) == {ids["tech"], ids["plain"], ids["near"]}
        track, reason, step, due = found[ids["tech"]]
        assert (track, step, due) == ("education", 1, str(start + 2 * DAY))
        assert reason == "below every threshold; {industry: technology}"
        assert found[ids["plain"]][:2] == ("newsletter", "below every threshold; on no other track")
        assert world.sales.shown(tech)["owner"] is None
        assert sorted(exported(world, "pricing")) == sorted([ids["tech"], ids["ready"]])
        assert exported(world, "abm") == [ids["near"]]
        rows = list(csv.DictReader(io.StringIO(world.run("audience", "best").out)))
        assert {(row["tier"], row["stage"], row["score"]) for row in rows} == {("A", "SQL", "120")}
        assert sorted(exported(world, "best")) == sorted([ids["ready"], ids["won"]])
        assert "no audience is called x (there are: pricing" in world.run("audience", "x").err
        world.clock.tick(days=3)
        assert nurtured(world)[ids["tech"]][2:] == (2, str(start + 9 * DAY))
        world.sales.crm.update(tech, {"title": "CTO"})
        world.sales.crm.update(plain, {"opt_out": True})
        world.sync("--max-change-share", "1")
        assert set(nurtured(world)) == {ids["near"]}
        assert ids["away"] not in exported(world, "pricing")
        world.clock.tick(days=40)
        assert nurtured(world)[ids["near"]][2:] == (1, None)


@pytest.mark.slow
def test_an_audience_holds_nobody_who_may_not_be_in_one(tmp_path: Path) -> None:
    """S069 S081 S090: what somebody did who may not be followed counts for no audience; who may not
    be scored, is unusable, stands twice or bounced is in none. A duplicate's visit counts for the
    record that stands for it. Once everybody agrees and is mended, they are all there."""
    everybody = {"when": {"title": "CTO"}, "name": "everybody"}
    with live(tmp_path) as world:
        audiences = [*NURTURE["audiences"][:1], everybody]
        world.configure("sales", nurture={"audiences": audiences})
        world.sales.face.rules.privacy = True  # type: ignore[attr-defined]
        known = ("false", {"known": False})
        consent = {
            gate: {"any": [{"custom": {f"opted_out_{of}": value}} for value in known]}
            for gate, of in (("behaviour", "tracking"), ("scoring", "profiling"))
        }
        world.model(**MODEL, consent=consent, hygiene={})
        world.set_up()
        seen, crm = page("/pricing", ago=DAY), world.sales.crm
        given = {"title": "CTO", "opt_out": False}
        private = crm.add(Kind.INDIVIDUAL, {"last_name": "U", "no_tracking": True})
        nobody = crm.add(Kind.INDIVIDUAL, {"last_name": "R", "no_profiling": True})
        fine = person(world, "Fine", "CTO", seen, opt_out=False)
        untracked = person(world, "U", "CTO", seen, opt_out=False, individual=private.number)
        refused = person(world, "Refused", "CTO", seen, opt_out=False, individual=nobody.number)
        junk = person(world, "Mouse", "CTO", seen, opt_out=False, first_name="Mickey")
        bounced = person(world, "B", "CTO", seen, opt_out=False, bounced_at=world.clock() - DAY)
        twin = {**given, "last_name": "Twin", "company": "F", "email": "twin@firm.example"}
        first = crm.add(Kind.LEAD, twin)
        world.clock.tick(minutes=1)
        second = build(crm, Story(twin, (page("/pricing"),)), at=world.clock())
        world.sync()
        id_ = world.sales.id
        stages = {
            entry["lead_id"]: entry["stage"]
            for entry in (
                world.run("explain", id_(lead), "--json").json[0]
                for lead in (refused, junk, first, second)
            )
        }
        assert sorted(stages.values()) == ["Duplicate", "No consent", "SQL", "Unusable"]
        (stands,) = (lead for lead in (id_(first), id_(second)) if stages[lead] == "SQL")
        assert exported(world, "pricing") == sorted([id_(fine), stands])
        assert exported(world, "everybody") == sorted([id_(fine), id_(untracked), stands])

        world.clock.tick(hours=1)
        crm.update(private, {"no_tracking": False})
        crm.update(nobody, {"no_profiling": False})
        crm.update(junk, {"first_name": "Mickey R.", "last_name": "Rourke"})
        crm.update(bounced, {"bounced_at": None})
        crm.update(second, {"email": "other@firm.example"})
        world.sync("--max-change-share", "1")
        everyone = [fine, untracked, refused, junk, bounced, first, second]
        assert exported(world, "everybody") == sorted(map(id_, everyone))
        assert exported(world, "pricing") == sorted(id_(w) for w in everyone if w is not first)
