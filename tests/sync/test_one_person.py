"""A person with a record in both CRMs: one owner, one hand-off, one line in the call list."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.http import Fault, Request, Response, Server
from connectors.sandbox.scenario import Story, build
from sync.exits import Exit
from tests.live import ANA, BEN, ROBOT, Live, live
from tests.sync.test_handoff import LIMITS
from tests.sync.test_past_live import PATH

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning"),
]


@dataclass
class Team:
    """Two reps in both CRMs, and the channel in which they are told."""

    world: Live
    channel: Server
    posted: list[Request] = field(default_factory=list)

    def configure(self, **handoff: Any) -> None:
        """Persons by their addresses; both reps in one pool."""
        self.world.configure(
            identity={"email": True},
            handoff={
                "webhook": {"url": f"{self.channel.url}/hook"},
                "tiers": {"A": {"every": "1 day", "attempts": 3}},
                **handoff,
            },
            routing={
                "pool": [ANA, BEN],
                "unassigned_owners": [ROBOT],
                "sla": {"within": "2 hours", "reassign": True},
            },
        )
        self.world.model(**PATH, **LIMITS)

    def told(self) -> list[tuple[str, str]]:
        """Of which leads the channel was told, by connection."""
        said = [json.loads(request.body) for request in self.posted]
        return [(one["connection"], one["lead"]) for one in said]

    def add(self, crm: str, name: str, title: str, owner: str | None = None) -> Record:
        """A person in one CRM."""
        seller = self.world.sellers[crm]
        email = f"{name}@{name}.example".lower()
        values: dict[str, Any] = {"last_name": name, "company": name, "email": email}
        values |= {"owner": seller.users[owner].number} if owner else {}
        return build(seller.crm, Story({**values, "title": title}), at=self.world.clock())

    def owner(self, crm: str, record: Record) -> str | None:
        """Who has a record."""
        owner: str | None = self.world.sellers[crm].shown(record)["owner"]
        return owner

    def key(self, crm: str, record: Record) -> tuple[str, str]:
        """A record as hand-offs name it."""
        return crm, self.world.sellers[crm].id(record)

    def sync(self) -> None:
        """A cycle."""
        self.world.sync("--max-change-share", "1")

    def rests(self) -> bool:
        """Whether one more cycle writes nothing and tells nobody."""
        before = [s.writes() for s in self.world.sellers.values()], len(self.posted)
        self.sync()
        return before == ([s.writes() for s in self.world.sellers.values()], len(self.posted))


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    """Both CRMs, and a channel."""
    posted: list[Request] = []

    def face(request: Request) -> Response:
        posted.append(request)
        return Response(200, b"ok")

    with live(tmp_path) as world, Server(face) as channel:
        world.set_up()
        yield Team(world, channel, posted)


def test_a_person_is_handed_off_once_and_has_one_owner(team: Team) -> None:
    """S066 U14 U13: persons whose records qualify in both CRMs at once are told of once, get one
    owner in both, and are one turn each; the plan says why the second record gets its owner, so do
    explain and audit-routing; the call list names each once."""
    team.configure(connections=["sales", "marketing"])
    world = team.world
    people = [
        {crm: team.add(crm, name, "CTO") for crm in world.sellers} for name in ("Ada", "Bo", "Cy")
    ]
    alone = team.add("marketing", "Dee", "CTO")
    planned = {
        change["id"]: change["fields"]["owner"]["to"]
        for plan in world.run("plan", "--json").json["plans"]
        for change in plan["changes"]
    }
    team.sync()
    assert team.rests()
    assert sorted(team.told()) == sorted(
        [*(team.key("sales", who["sales"]) for who in people), team.key("marketing", alone)]
    )
    owners = [{team.owner(crm, who[crm]) for crm in who} for who in people]
    assert sorted(map(len, owners)) == [1, 1, 1]
    assert {ANA} in owners
    assert {BEN} in owners
    # Nobody had a turn in marketing before: its first is Ana's.
    assert team.owner("marketing", alone) == ANA
    for who in people:
        for crm, record in who.items():
            seller = world.sellers[crm]
            users = {seller.id(user): email for email, user in seller.users.items()}
            assert users[planned[seller.id(record)]] == team.owner(crm, record)
    _sales, ours = team.key("sales", people[0]["sales"])
    theirs = world.marketing.id(people[0]["marketing"])
    why = f"owner of the same person's record sales:{ours}"
    assert why in world.run("explain", theirs).out
    way = world.run("audit-routing", theirs, "--json").json
    assert [(given["reason"], given["pool"]) for given in way["given"]] == [(why, None)]
    assert way["timers"] == []
    assert len(world.run("audit-routing", ours, "--json").json["timers"]) == 1

    def called() -> list[tuple[str, str]]:
        listed = world.run("calls", "--json").json
        return sorted((one["connection"], one["lead_id"]) for one in listed)

    assert called() == sorted(team.told())
    no = ("--reject", "--reason", "no budget", "--by", "ana")
    assert world.run("answer", ours, *no).code == Exit.DONE
    assert called() == sorted(set(team.told()) - {("sales", ours)})


def test_the_owner_goes_with_the_person(team: Team) -> None:
    """U13: a lead that somebody has in one CRM gives its owner to the other record, beyond turns; a
    human's choice in one CRM moves what leadgauge gave in the other; who is no active user there is
    passed over, and nobody is left without an owner. Sales is told of the record that qualified
    first, of another where that one left before anybody was told, and of both where they turn out
    to be two people."""
    team.configure()
    world, sales, marketing = team.world, team.world.sales, team.world.marketing
    cold = team.add("marketing", "Ada", "Intern", BEN)
    hot = team.add("sales", "Ada", "CTO")
    gone = marketing.crm.add(Kind.USER, {"name": "Zoe", "email": "zoe@z.example", "active": True})
    marketing.users["zoe@z.example"] = gone
    stranger = team.add("marketing", "Eve", "CTO", "zoe@z.example")
    unknown = team.add("sales", "Eve", "CTO")
    team.sync()
    assert (team.owner("sales", hot), team.owner("marketing", cold)) == (BEN, BEN)
    assert team.owner("marketing", stranger) == "zoe@z.example"
    assert team.owner("sales", unknown) == ANA
    told = [team.key("sales", hot), team.key("marketing", stranger)]
    assert sorted(team.told()) == sorted(told)
    (given,) = world.run("audit-routing", sales.id(hot), "--json").json["given"]
    assert given["reason"] == f"owner of the same person's record marketing:{marketing.id(cold)}"

    marketing.crm.update(stranger, {"owner": marketing.users[BEN].number})
    team.sync()
    assert team.owner("sales", unknown) == BEN
    sales.edit(unknown, "owner", sales.users[ANA].number)
    team.sync()
    assert (team.owner("sales", unknown), team.owner("marketing", stranger)) == (ANA, BEN)
    marketing.crm.update(cold, {"title": "CTO"})
    team.sync()
    assert sorted(team.told()) == sorted(told)

    # They were two people all along.
    marketing.crm.update(cold, {"email": "other@ada.example"})
    team.sync()
    told += [team.key("marketing", cold)]
    assert sorted(team.told()) == sorted(told)
    assert (team.owner("sales", hot), team.owner("marketing", cold)) == (BEN, BEN)

    # The channel does not answer, and one record leaves before it does.
    team.channel.faults.append(Fault("/hook", response=Response(500)))
    late = {crm: team.add(crm, "Fay", "CTO") for crm in world.sellers}
    team.sync()
    world.clock.tick(hours=1)
    marketing.crm.update(late["marketing"], {"title": "Intern"})
    team.sync()
    assert team.rests()
    told += [team.key("sales", late["sales"])]
    assert sorted(team.told()) == sorted(told)


def test_nobody_is_told_of_again_as_a_lead_becomes_a_contact(team: Team) -> None:
    """S066 U14: a lead that sales converts, or merges into another, hands its stage and its
    hand-off down; what was not told yet is told of who stands for it. Who leaves and comes back is
    told of anew."""
    team.configure()
    world, sales = team.world, team.world.sales
    ada, bo, cold = (
        team.add("sales", n, t) for n, t in (("Ada", "CTO"), ("Bo", "CTO"), ("B", "VP"))
    )
    team.sync()
    told = [team.key("sales", ada), team.key("sales", bo)]
    assert sorted(team.told()) == sorted(told)
    world.clock.tick(hours=1)
    contact = sales.crm.convert(ada)
    sales.crm.merge(cold, bo)
    sales.crm.update(cold, {"title": "CTO"})
    team.sync()
    assert {sales.shown(record)["stage"] for record in (contact, cold)} == {"SQL"}
    assert sorted(team.told()) == sorted(told)
    assert "handed to sales: 2026-03-01" in world.run("explain", sales.id(contact)).out
    world.clock.tick(hours=1)
    assert team.rests()

    for title in ("Intern", "CTO"):
        world.clock.tick(hours=1)
        sales.crm.update(contact, {"title": title})
        team.sync()
    told += [team.key("sales", contact)]
    assert sorted(team.told()) == sorted(told)

    team.channel.faults.append(Fault("/hook", response=Response(500)))
    late = team.add("sales", "Fay", "CTO")
    team.sync()
    world.clock.tick(hours=1)
    told += [team.key("sales", sales.crm.convert(late))]
    team.sync()
    assert sorted(team.told()) == sorted(told)
    assert team.rests()
