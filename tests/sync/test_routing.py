"""Routing by the command line, on both CRMs: floods, calls that are due, leads nobody works."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.http import Request, Response, Server
from connectors.sandbox.scenario import Story, page
from core.routing import FREED, HUMAN, KEPT, UNSCORED
from core.turns import BELOW_CUT
from sync import daemon, talk
from sync.exits import Exit
from sync.session import read_setup
from sync.stop import Stop
from tests.live import ANA, BEN, LEFT, ROBOT, Live, Outcome, balanced, live
from tests.sync.test_cycle import HOT

MINUTE = timedelta(minutes=1)
SELLERS = ("sales", "marketing")
CAPPED = {
    "pool": {"owners": [{"owner": ANA, "weight": 3}, BEN, LEFT], "daily_cap": 20},
    "unassigned_owners": [ROBOT],
}


def visitor(name: str, minutes: int) -> Story:
    """Somebody whose one visit, so long ago, makes an SQL by the model HOT."""
    lead = {"last_name": name, "company": name, "email": f"{name}@{name}.example"}
    return Story(lead, (page("/pricing", ago=minutes * MINUTE),))


@dataclass
class Flood:
    """35 hot leads for a team that takes 20 a day, and what was seen as the days went by."""

    world: Live
    people: dict[str, dict[str, Record]]
    seen: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    runs: dict[str, Outcome] = field(default_factory=dict)
    alerts: list[tuple[str, str]] = field(default_factory=list)

    def owners(self) -> dict[str, list[str]]:
        """Who has each lead in each CRM, the latest visitor first; ours alone."""
        return {
            name: [seller.shown(who[name])["owner"] for who in self.people.values()]
            for name, seller in self.world.sellers.items()
        }


@pytest.fixture(scope="module")
def flood(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flood]:
    """Plan, sync, sync again on the same day, and on the next."""
    posted: list[tuple[str, str]] = []

    def face(request: Request) -> Response:
        said = json.loads(request.body)
        posted.append((said["job"], said["state"]))
        return Response(204)

    with live(tmp_path_factory.mktemp("flood")) as world, ExitStack() as stack:
        url = stack.enter_context(Server(face)).url
        world.configure(routing=CAPPED, alerts={"webhook": {"url": url}})
        world.model(**HOT)
        names = [f"v{n:02}" for n in range(35)]
        people = {name: world.tell(visitor(name, n + 1)) for n, name in enumerate(names)}
        found = Flood(world, people, alerts=posted)
        world.set_up()
        found.runs["plan"] = world.run("plan", "--json")
        found.runs["after the plan"] = world.run("status", "--json")
        setup, quiet = read_setup(world.config, world.outside), talk.as_text(lambda _: None)
        term = stack.enter_context(closing(daemon.Term(setup, world.outside, Stop(), quiet)))
        for day in ("first", "same day", "next day"):
            if day == "next day":
                world.clock.tick(days=1)
            found.runs[day] = world.sync()
            found.seen[day] = found.owners()
            term.tell_changes()
            term.tell_changes()
            found.runs[f"status {day}"] = world.run("status", "--json")
            found.runs[f"audit {day}"] = world.run("audit-routing", "--json")
        yield found


@pytest.mark.slow
def test_the_best_are_given_and_the_rest_waits_its_turn(flood: Flood) -> None:
    """S079, D59, D71: in both CRMs alike, with 20 a day and 35 hot leads the best 20 are routed, 15
    queued in rank order as `below capacity cut`, one alert told; the next day they are routed,
    none lost."""
    given = {name: [owner in (ANA, BEN) for owner in flood.seen["first"][name]] for name in SELLERS}
    assert given == dict.fromkeys(SELLERS, [True] * 20 + [False] * 15)
    assert flood.seen["first"]["sales"][:20] == flood.seen["first"]["marketing"][:20]
    assert flood.seen["first"]["sales"][:20].count(ANA) == 15
    for name, seller in flood.world.sellers.items():
        assert flood.runs["first"].step(name, "route")["held"] == {BELOW_CUT: 15}
        waiting = [w for w in flood.runs["status first"].json["waiting"] if w["connection"] == name]
        assert [w["rank"] for w in waiting] == list(range(1, 16))
        queued = [seller.id(who[name]) for who in list(flood.people.values())[20:]]
        assert [w["lead_id"] for w in waiting] == queued
    assert flood.seen["same day"] == flood.seen["first"]
    assert all(owner in (ANA, BEN) for name in SELLERS for owner in flood.seen["next day"][name])
    assert flood.runs["status next day"].json["waiting"] == []
    assert [one for one in flood.alerts if one[0] == "routing"] == [
        ("routing", "short of capacity"),
        ("routing", "ok"),
    ]
    assert all(balanced(flood.runs[day].json) for day in ("first", "same day", "next day"))


@pytest.mark.slow
def test_a_plan_simulates_all_of_it(flood: Flood) -> None:
    """U13: the plan gives the owners that the sync then gave, names the queue, records nothing."""
    assert flood.runs["after the plan"].json["waiting"] == []
    for plan in flood.runs["plan"].json["plans"]:
        seller = flood.world.sellers[plan["connection"]]
        owners = {email: seller.id(user) for email, user in seller.users.items()}
        planned = {c["id"]: c["fields"].get("owner", {}).get("to") for c in plan["changes"]}
        people = [seller.id(who[plan["connection"]]) for who in flood.people.values()]
        given = flood.seen["first"][plan["connection"]]
        assert [planned[lead] for lead in people[:20]] == [owners[email] for email in given[:20]]
        assert [q["id"] for q in plan["queued"]] == people[20:]


@pytest.mark.slow
def test_what_is_worked_by_nobody(flood: Flood) -> None:
    """D73: leads below the cut are found, with exit code 9; a day later there is nothing."""
    audit = flood.runs["audit first"]
    assert audit.code == Exit.ORPHANS
    found = audit.json["orphans"]
    assert {(o["kind"], o["reason"], o["hot"]) for o in found} == {
        ("waits for an owner", BELOW_CUT, True)
    }
    assert len(found) == 30
    assert flood.runs["audit next day"].code == Exit.DONE


@pytest.mark.slow
def test_why_this_rep_and_not_that_one(flood: Flood) -> None:
    """U13: of each lead, who was given it in whose turn, and what each of the pool had then."""
    seller = flood.world.sales
    leads = [seller.id(who["sales"]) for who in flood.people.values()]
    (given,) = flood.world.run("audit-routing", leads[3], "--json").json["given"]
    standings = {s["owner_id"]: s for s in given["standings"]}
    ana, ben, left = (seller.id(seller.users[email]) for email in (ANA, BEN, LEFT))
    assert given["owner_id"] == ben
    assert [standings[who]["in_day"] for who in (ana, ben)] == [3, 0]
    assert [standings[who]["why_not"] for who in (ana, ben, left)] == [
        "ahead of the share", None, "not active",
    ]  # fmt: skip
    shown = flood.world.run("audit-routing", leads[3])
    assert "round robin" in shown.out
    assert "<- given" in shown.out
    nobody = flood.world.run("audit-routing", "no-such-lead")
    assert nobody.code == Exit.USAGE
    assert "no-such-lead" in nobody.err


@pytest.mark.slow
def test_the_time_to_the_first_call(tmp_path: Path) -> None:
    """S006, D73: with an SLA of 15 minutes a call after 12 has met it, at a speed-to-lead of 12
    minutes, one after 16 has breached it; who was not called is found, and given to the other."""
    with live(tmp_path) as world:
        sla = {"within": "15 minutes"}
        routing: dict[str, Any] = {"pool": [ANA, BEN], "unassigned_owners": [ROBOT], "sla": sla}
        world.configure(routing=routing)
        world.model(**HOT)
        people = [world.tell(visitor(name, n + 1)) for n, name in enumerate(("soon", "late", "no"))]
        world.set_up()
        world.sync()
        with world.ledger() as ledger:
            (hot,) = {handed.at for handed in ledger.past.handoffs()}
        for who, minutes in ((people[0], 12), (people[1], 16)):
            for name, seller in world.sellers.items():
                call = {"type": "call", "at": hot + minutes * MINUTE, "people": [who[name].number]}
                seller.crm.add(Kind.ACTIVITY, {**call, "subject": "Call", "duration": 60})
        world.clock.tick(minutes=30)
        world.sync()
        audit = world.run("audit-routing", "--json")
        for name, seller in world.sellers.items():
            timers = [
                world.run("audit-routing", seller.id(who[name]), "--json").json["timers"]
                for who in people
            ]
            assert [[t["stands"], t["speed_to_lead_minutes"]] for (t,) in timers] == [
                ["met", 12], ["breached", 16], ["breached", None],
            ]  # fmt: skip
            late = [(o["lead_id"], o["kind"]) for o in audit.json["orphans"]
                    if o["connection"] == name]  # fmt: skip
            assert late == [(seller.id(people[2][name]), "not called in time")]
        before = {name: s.shown(people[2][name])["owner"] for name, s in world.sellers.items()}
        sla["reassign"] = True  # type: ignore[assignment]
        world.configure(routing=routing)
        world.model(**HOT)
        world.sync()
        for name, seller in world.sellers.items():
            after = seller.shown(people[2][name])["owner"]
            assert {before[name], after} == {ANA, BEN}
            assert seller.shown(people[1][name])["owner"] in (ANA, BEN)
        given = world.run("audit-routing", world.sales.id(people[2]["sales"]), "--json").json
        assert "did not call in time" in given["given"][-1]["reason"]
        again = world.sync()
        assert again.step("sales", "write")["in"] == 0


def test_leads_of_owners_who_are_gone(tmp_path: Path) -> None:
    """D72, D73: of an owner who left, of one whom the CRM does not show, in a queue that is gone:
    each is found, whatever its stage, and named by record id alone."""
    stamp = "2026-02-01T00:00:00Z"
    rows = {
        "leads": ["id,email,owner_id,modified_at", *(
            f"{id_},{id_}@x.example,{owner},{stamp}"
            for id_, owner in (("L1", "left"), ("L2", "nobody"), ("L3", "closed"), ("L4", "here"))
        )],
        "owners": ["id,kind,active,modified_at", *(
            f"{id_},{kind},{active},{stamp}"
            for id_, kind, active in (("left", "person", "false"), ("closed", "queue", "false"),
                                      ("here", "person", "true"))
        )],
    }  # fmt: skip
    files: dict[str, Any] = {"kind": "files", "folder": str(tmp_path)}
    for table, lines in rows.items():
        (tmp_path / f"{table}.csv").write_text("\n".join(lines) + "\n")
        files[table] = f"{table}.csv"
    with live(tmp_path) as world:
        world.config.write_text(
            yaml.safe_dump({"connections": {"crm": files}, "routing": {"pool": ["here"]}})
        )
        world.model()
        world.sync()
        audit = world.run("audit-routing", "--json")
        assert audit.code == Exit.ORPHANS
        assert [(o["lead_id"], o["kind"], o["owner_id"]) for o in audit.json["orphans"]] == [
            ("L1", "owner is not active", "left"),
            ("L2", "owner is unknown to the CRM", "nobody"),
            ("L3", "in a queue that is not served", "closed"),
        ]
        shown = world.run("audit-routing")
        assert "L1" in shown.out
        assert "x.example" not in shown.out + shown.err


@pytest.mark.slow
def test_what_a_person_chose_is_told_as_the_run_tells_it(tmp_path: Path) -> None:
    """Of a lead that was left to its owner before, `explain` says by the next run that a person
    chose another, and still says of before what was so then; `audit-routing` says when that was
    seen, and who has the lead, also once another person has it."""
    with live(tmp_path) as world:
        world.configure("marketing", routing={"pool": [ANA]})
        world.model(**HOT)
        (seller, lead) = world.marketing, world.tell(visitor("taken", 1))["marketing"]
        world.set_up()
        world.sync()
        world.sync()
        left, id_ = world.clock(), seller.id(lead)
        owner = world.run("explain", id_, "--json").json[0]["owner_reason"]
        assert owner == f"{KEPT}: round robin"
        assert world.run("audit-routing", id_, "--json").json["chosen"] == []
        seller.edit(lead, "owner", seller.users[BEN].number)
        report = world.sync()
        assert report.step("marketing", "route")["held"] == {HUMAN: 1}
        assert world.run("explain", id_, "--json").json[0]["owner_reason"] == HUMAN
        before = world.run("explain", id_, "--as-of", f"{left:%Y-%m-%dT%H:%M:%S}", "--json")
        assert before.json[0]["owner_reason"] == owner
        (chosen,) = world.run("audit-routing", id_, "--json").json["chosen"]
        assert chosen["owner_id"] == seller.id(seller.users[BEN])
        assert (chosen["run_id"], chosen["reason"]) == (report.json["run"], HUMAN)
        seller.edit(lead, "owner", seller.users[ROBOT].number)
        world.sync()
        (again,) = world.run("audit-routing", id_, "--json").json["chosen"]
        assert again == {**chosen, "owner_id": seller.id(seller.users[ROBOT])}
        more = {"id": "more", "points": 1, "when": {"type": "page_view"}}
        world.model(**{**HOT, "behaviour": [*HOT["behaviour"], more]})
        world.sync("--max-change-share", "1")
        assert world.run("audit-routing", id_, "--json").json["chosen"] == [again]
        said = world.run("audit-routing", id_).out
        assert f"{HUMAN}, seen at" in said
        assert f"with {again['owner_id']}" in said


@pytest.mark.slow
def test_a_hot_lead_that_is_taken_from_everybody_is_not_lost(tmp_path: Path) -> None:
    """D73: an owner that a person took away, for nobody or for one who counts as nobody, is left
    alone, and the lead is shown by `status`, `audit-routing` and what a run says; until a person
    gives it to somebody."""
    with live(tmp_path) as world:
        world.configure(routing={"pool": [ANA, BEN], "unassigned_owners": [ROBOT]})
        world.model(**HOT)
        people = world.tell(visitor("lost", 1))
        world.set_up()
        world.sync()
        robot = world.sales.users[ROBOT].number
        nobody: dict[str, tuple[int | None, str | None]] = {
            "sales": (robot, ROBOT), "marketing": (None, None)
        }  # fmt: skip
        for name, (number, _email) in nobody.items():
            world.sellers[name].edit(people[name], "owner", number)
        for _ in range(2):
            world.clock.tick(days=1)
            report = world.sync()
        leads = [(n, world.sellers[n].id(people[n])) for n in sorted(SELLERS)]
        for name, (_number, owner) in nobody.items():
            assert report.step(name, "route")["held"] == {FREED: 1}
            assert world.sellers[name].shown(people[name])["owner"] == owner
        waiting = world.run("status", "--json").json["waiting"]
        assert [(w["connection"], w["lead_id"], w["reason"]) for w in waiting] == [
            (*lead, FREED) for lead in leads
        ]
        audit = world.run("audit-routing", "--json")
        assert audit.code == Exit.ORPHANS
        assert [(o["connection"], o["lead_id"]) for o in audit.json["orphans"]] == leads
        for name, lead in leads:
            said = world.run("audit-routing", lead).out
            assert f"{name}: {FREED}, seen at" in said
            assert f"{name}: waits since" in said
        for name, seller in world.sellers.items():
            seller.edit(people[name], "owner", seller.users[BEN].number)
        world.sync()
        assert world.run("status", "--json").json["waiting"] == []
        assert world.run("audit-routing").code == Exit.DONE


@pytest.mark.slow
def test_a_hot_lead_that_is_with_nobody_is_found(tmp_path: Path) -> None:
    """D73: also where routing has not left it so: the CRM took no owner, or nothing routes."""
    with live(tmp_path) as world:
        world.configure()
        world.model(**HOT)
        people = world.tell(visitor("hot", 1))
        world.tell(Story({"last_name": "Cold", "company": "C", "email": "c@cold.example"}))
        world.set_up()
        world.sync()
        routing = {"pool": [ANA, BEN], "unassigned_owners": [ROBOT]}
        world.configure(routing=routing)
        world.model(**HOT)
        found = world.run("audit-routing", "--json")
        assert [(o["connection"], o["lead_id"], o["kind"]) for o in found.json["orphans"]] == [
            ("marketing", world.marketing.id(people["marketing"]), "nobody has it"),
            ("sales", world.sales.id(people["sales"]), "owner counts as nobody"),
        ]
        world.configure(routing={**routing, "champions": {"title": {"known": False}}})
        world.model(**HOT)
        assert world.run("audit-routing").code == Exit.DONE


@pytest.mark.slow
def test_who_has_no_score_gets_no_owner(tmp_path: Path) -> None:
    """S018: whoever may not be scored, or is held out of the score, is refused as unscored, also
    where the configuration names such a stage among those that get an owner; the owner is not
    written, and of whom may not be scored nothing is. Who is scored beside them is routed."""
    with live(tmp_path) as world:
        stages = ["SQL", "No consent", "Unusable"]
        world.configure(routing={"stages": stages, "pool": [ANA], "unassigned_owners": [ROBOT]})
        agreed = {"any": [{"email_opt_out": False}, {"email_opt_out": {"known": False}}]}
        world.model(**HOT, hygiene={}, consent={"scoring": agreed})
        seen = (page("/pricing"),)
        junk = {
            "first_name": "Mickey",
            "last_name": "Mouse",
            "company": "M",
            "email": "m@m.example",
        }
        objects = {"last_name": "O", "company": "O", "email": "quiet@firm.example", "opt_out": True}
        mouse, silent = world.tell(Story(junk, seen)), world.tell(Story(objects, seen))
        scored = world.tell(visitor("scored", 1))
        world.set_up()
        before = {name: dict(silent[name].values) for name in SELLERS}
        world.sync()
        with world.ledger() as ledger:
            for name, seller in world.sellers.items():
                assert seller.shown(scored[name])["owner"] == ANA
                assert seller.shown(mouse[name])["owner"] != ANA
                assert silent[name].values == before[name]
                for who in (mouse, silent):
                    (one,) = ledger.decisions(name, seller.id(who[name]))
                    assert (one.decision.owner_id, one.decision.owner_reason) == (None, UNSCORED)
                    assert ledger.routing.given(seller.id(who[name])) == []


@pytest.mark.slow
@pytest.mark.parametrize("years", [1, 6])
def test_an_old_lead_is_routed(tmp_path: Path, years: int) -> None:
    """D60: there is no window: a lead that was made, changed and active years ago gets an owner in
    the first sync, in both CRMs."""
    with live(tmp_path) as world:
        world.configure(routing={"pool": [ANA], "unassigned_owners": [ROBOT]})
        world.model(**HOT)
        ago = timedelta(days=365 * years)
        lead = {"last_name": "Old", "company": "Old", "email": "old@old.example"}
        now = world.clock.now
        world.clock.now = now - ago
        people = world.tell(Story(lead, (page("/pricing"),)))
        world.clock.now = now
        world.set_up()
        world.sync()
        for name, seller in world.sellers.items():
            assert seller.shown(people[name])["owner"] == ANA


@pytest.mark.slow
def test_champions_are_kept_apart_from_new_leads(tmp_path: Path) -> None:
    """S097: an active customer whose satisfaction is 9 or more gets no rep, and is in an audience
    apart; one who is less satisfied, gone or no customer is routed as any other is. Sales is not
    told of a champion and does not call it, until it is none any more."""
    stamp = "2026-02-01T00:00:00Z"
    people = (
        ("L1", "9", "Customer"), ("L2", "8", "Customer"), ("L3", "10", "Churned"), ("L4", "9", ""),
        ("L5", "10", "Customer"),
    )  # fmt: skip
    rows = {
        "leads": ["id,email,industry,satisfaction,status,email_opt_out,modified_at", *(
            f"{id_},{id_}@x.example,technology,{said},{status},false,{stamp}"
            for id_, said, status in people
        )],
        "owners": ["id,kind,active,modified_at", f"rep,person,true,{stamp}"],
    }  # fmt: skip
    mapping = {"leads": {"custom.satisfaction": "satisfaction"}}
    files: dict[str, Any] = {"kind": "files", "folder": str(tmp_path), "mapping": mapping}
    for table, lines in rows.items():
        (tmp_path / f"{table}.csv").write_text("\n".join(lines) + "\n")
        files[table] = f"{table}.csv"
    champion = {"status": "Customer", "custom": {"satisfaction": {"at_least": 9}}}
    config = {
        "connections": {"crm": files},
        "routing": {"pool": ["rep"], "champions": champion},
        "handoff": {"tiers": {"A": {"every": "1 day"}}},
        "nurture": {
            "tracks": [{"name": "all", "steps": ["1 day"]}],
            "audiences": [{"name": "champions", "when": champion}],
        },
    }
    with live(tmp_path) as world:
        world.config.write_text(yaml.safe_dump(config))
        fit = [{"id": "technology", "points": 100, "when": {"industry": "technology"}}]
        world.model(fit=fit, behaviour=[], decays={})
        report = world.sync()
        assert report.step("crm", "route")["held"] == {"champion: kept apart from new leads": 2}
        assert report.step("crm", "route")["out"] == 3
        with world.ledger() as ledger:
            decided = {id_: ledger.decisions("crm", id_)[-1].decision for id_, *_rest in people}
        apart = {id_ for id_, made in decided.items() if "champion" in made.owner_reason}
        assert apart == {"L1", "L5"}
        assert all(made.owner_id == "rep" for id_, made in decided.items() if id_ not in apart)
        audience = world.run("audience", "champions")
        assert audience.code == Exit.DONE, audience.err
        assert [id_ for id_, *_rest in people if f"{id_}" in audience.out] == ["L1", "L5"]
        others = ["L2", "L3", "L4"]
        assert handed(world) == others
        listed = world.run("calls", "--all", "--json").json
        assert sorted(c["lead_id"] for c in listed if c["call"]["due"]) == others
        why = {c["lead_id"]: c["call"]["not_called"] for c in listed if not c["call"]["due"]}
        assert why == dict.fromkeys(("L1", "L5"), "champion: kept apart from new leads")

        leads = tmp_path / "leads.csv"
        gone = leads.read_text().replace("10,Customer,false,2026-02-01", "10,Gone,false,2026-02-02")
        leads.write_text(gone)
        world.sync("--max-change-share", "1")
        assert handed(world) == [*others, "L5"]
        world.sync()
        assert handed(world) == [*others, "L5"]


def handed(world: Live) -> list[str]:
    """The leads that sales was handed, each as often as it was."""
    with world.ledger() as ledger:
        return sorted(handoff.lead_id for handoff in ledger.past.handoffs(99))
