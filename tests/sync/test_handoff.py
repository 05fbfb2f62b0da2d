"""The hand-off: who is told of a lead that sales gets, by each way's real protocol, once."""

import json
import os
import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_string
from email.policy import default
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from connectors.base import Entry
from connectors.salesforce.connector import SalesforceConnector
from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.http import Fault, Request, Response, Server
from connectors.sandbox.salesforce.face import SalesforceFace
from connectors.sandbox.scenario import Story, build, page
from sync import handoff, senders
from sync.config import load
from sync.dossier import dossiers
from sync.exits import Exit
from sync.session import Session
from sync.yaml_source import ConfigError
from tests.live import ANA, BEN, ROBOT, Live, live
from tests.sync.test_notify import Mailbox, mail_server
from tests.sync.test_past_live import PATH

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")

PERSON = {"first_name": "Ada", "last_name": "Moss", "company": "Moss", "email": "m@moss.example"}
LIMITS = {"thresholds": {"mql": 50, "sql": 100}, "tiers": {"A": 100, "B": 50, "C": 0}}
SALES = {
    "kind": "salesforce",
    "url": "https://acme.my.salesforce.com",
    "auth": {"flow": "session", "session_id": "x"},
}
PLAYBOOK = "Show the migration demo first."


@dataclass
class Desk:
    """Sales, as it is told: a mail server, a channel, and both CRMs."""

    world: Live
    box: Mailbox
    channel: Server
    posted: list[Request] = field(default_factory=list)

    def configure(
        self, *names: str, routing: Mapping[str, Any] = MappingProxyType({}), **more: Any
    ) -> None:
        """Tell by every way, of the leads of some connections."""
        sender = {"server": "127.0.0.1", "port": self.box.port, "sender": "lg@seller.example"}
        handoff = {
            "email": {**sender, "without_owner": ["lead-desk@seller.example"]},
            "webhook": {"url": f"{self.channel.url}/hook"},
            "task": {"due": "4 hours"},
            "note": {},
            "tiers": {"A": {"playbook": PLAYBOOK}},
            **more,
        }
        self.world.configure(*names, handoff=handoff, routing={"pool": [ANA], **routing})
        self.world.model(**PATH, **LIMITS, cool_down="10 days")

    def messages(self) -> list[Any]:
        """The e-mails that were taken."""
        return [message_from_string(text, policy=default) for text in self.box.messages]

    def entries(self, crm: str, kind: str) -> list[Record]:
        """The tasks or notes in a CRM; Salesforce's note is a task that is done."""
        found = self.world.sellers[crm].crm.records(Kind.ACTIVITY)
        return [
            r
            for r in found
            if "[leadgauge:" in (r.values.get("subject") or "")
            and (
                r.values["type"] == kind
                if crm == "marketing"
                else (r.values["Status"] == "Completed") is (kind == "note")
            )
        ]

    def told(self, crm: str) -> list[int]:
        """How often somebody was told, by each way."""
        entries = [len(self.entries(crm, kind)) for kind in ("task", "note")]
        return [len(self.box.messages), len(self.posted), *entries]

    def waiting(self) -> list[dict[str, Any]]:
        """What status says is still to be told."""
        return list(self.world.run("status", "--json").json["notices"])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Both CRMs, a mail server and a channel."""
    posted: list[Request] = []

    def face(request: Request) -> Response:
        posted.append(request)
        return Response(200, b"ok")

    with live(tmp_path) as world, mail_server() as box, Server(face) as channel:
        world.set_up()
        yield Desk(world, box, channel, posted)


@pytest.mark.parametrize("common", ["accepted_at", "custom.pain"])
def test_people_keep_their_fields(tmp_path: Path, common: str) -> None:
    """S199: no output is written to a field in which people say what they make of a lead."""
    mapping = {"leads": {common: "Word__c", "custom.other": "Other__c"}}
    for name, refused in (("Word__c", True), ("Other__c", False)):
        written = {"mapping": mapping, "write": {"stage": {"field": name}}}
        content = {"connections": {"sales": {**SALES, **written}}, "handoff": {"notes": ["pain"]}}
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(content))
        if not refused:
            load(path, {})
            continue
        with pytest.raises(ConfigError) as raised:
            load(path, {})
        assert "connections.sales.write.stage: people write into Word__c" in str(raised.value)


@pytest.mark.parametrize(
    ("handoff", "said"),
    [
        ({"note": {"stages": ["MQL"]}}, "handoff.note: no lead is handed off as MQL"),
        ({"connections": ["x"]}, "no connection is called x (there are: sales)"),
        ({"surge": {"points": 9, "by": ["task"]}}, "handoff.task is not configured"),
        ({"tiers": {"A": {"attempts": 2}}}, "attempts without every"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, handoff: dict[str, Any], said: str) -> None:
    """A way that would never be taken is a mistake that is named."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"connections": {"sales": SALES}, "handoff": handoff}))
    with pytest.raises(ConfigError) as raised:
        load(path, {})
    assert said in str(raised.value)


@pytest.mark.slow
def test_one_notice_a_qualification(desk: Desk) -> None:
    """S066 U14 D50: crossing up tells once by each way; the same data again tells nobody, nor does
    a lead that drops and comes back within its cool-down; after the cool-down it is told anew."""
    world, crm = desk.world, desk.world.sales.crm
    desk.configure("sales")
    person = world.tell(Story({**PERSON, "title": "VP"}))["sales"]
    steps = [
        ("VP", 0, 0), ("CTO", 0, 1), ("CTO", 1, 1), ("Intern", 1, 1), ("CTO", 1, 1), ("CTO", 11, 2),
    ]  # fmt: skip
    for title, days, times in steps:
        world.clock.tick(days=days)
        crm.update(person, {"title": title})
        world.sync("--max-change-share", "1")
        assert desk.told("sales") == [times] * 4, title
        assert desk.waiting() == []
    ids = [message["Message-ID"] for message in desk.messages()]
    keys = [request.headers["idempotency-key"] for request in desk.posted]
    assert len({*ids}) == len({*keys}) == 2


@pytest.mark.slow
def test_a_surge_is_told_once_by_a_sync(desk: Desk) -> None:
    """S172: a lead whose score rises within a day is flagged, and told of once however often it is
    synced; explain shows it, and a rise that is too small is none."""
    world = desk.world
    desk.configure("sales", surge={"points": 40, "by": ["webhook"]})
    rising = world.tell(Story({**PERSON, "title": "Intern"}))["sales"]
    other = {"last_name": "Slow", "company": "S", "email": "s@slow.example", "title": "Intern"}
    calm = world.tell(Story(other))["sales"]
    world.sync()
    told = len(desk.posted)
    world.clock.tick(hours=2)
    world.sales.crm.update(rising, {"title": "VP"})
    world.sales.crm.update(calm, {"phone": "+1 303 555 0100"})
    for _again in range(3):
        world.clock.tick(hours=1)
        world.sync("--max-change-share", "1")
    (posted,) = desk.posted[told:]
    document = json.loads(posted.body)
    assert document["lead"] == world.sales.id(rising)
    (found,) = world.run("explain", world.sales.id(rising), "--json").json
    assert found["history"]["surge"]
    assert "surge: +" in world.run("explain", world.sales.id(rising)).out
    assert "surge" not in world.run("explain", world.sales.id(calm)).out


@pytest.mark.slow
def test_what_is_told_and_to_whom(desk: Desk) -> None:
    """S065 S067 S008 S187: the owner gets the dossier as an e-mail and on the record: the criteria
    met in the words of the model file, every point, what the lead did, its engagement, people's
    notes on lead and account, and the playbook of its tier; a part of which nothing is known says
    so. The channel gets a line, the record a task that is due. None of it comes back as something
    that the lead did, and nobody is told of the leads of another connection."""
    world, seller = desk.world, desk.world.marketing
    desk.configure(connections=["marketing"], notes=["pain"])
    pains = {"leads": {"custom.pain": "phone"}, "accounts": {"custom.pain": "state"}}
    world.configure_mapping("marketing", **pains)
    firm = seller.crm.add(Kind.ACCOUNT, {"name": "Fern", "state": "Spreadsheets | everywhere"})
    near = {"last_name": "Fern", "title": "VP", "phone": "Budget in May", "account": firm.number}
    other = build(seller.crm, Story(near, (page("/pricing"),), Kind.CONTACT), at=world.clock())
    people = world.tell(Story({**PERSON, "title": "CTO", "company": "Moss <& Co>"}))
    world.sync()
    assert desk.told("sales")[2:] == [0, 0]
    assert desk.told("marketing") == [1, 1, 1, 1]
    (message,) = desk.messages()
    assert message["To"] == ANA
    assert message["Subject"] == "SQL: Ada Moss, Moss (& Co) (100 points, tier A)"
    said = "\n".join([*message.get_content().splitlines(), ""])
    parts = [line for line in said.splitlines() if line.startswith("## ")]
    assert parts == [
        "## Where it stands", "## Criteria met", "## Why", "## What it did", "## Engagement",
        "## Qualification notes", "## Playbook", "## The account",
    ]  # fmt: skip
    assert "- SQL from 100 points: it has 100\n- cto +100: {title: CTO}\n" in said
    assert f"## Playbook\n{PLAYBOOK}\n" in said
    for missing in ("What it did", "Engagement", "Qualification notes", "The account"):
        assert f"## {missing}\nnone\n" in said, missing
    (document,) = (json.loads(request.body) for request in desk.posted)
    assert document["text"].startswith(f"{message['Subject']}\nowner: Ana\n100: cto +100")
    assert (document["lead"], document["number"]) == (seller.id(people["marketing"]), 1)
    (task,), (note,) = (desk.entries("marketing", kind) for kind in ("task", "note"))
    assert task.values["people"] == [people["marketing"].number]
    assert task.values["owner"] == seller.users[ANA].number
    assert (task.values["at"] - world.clock()).total_seconds() / 3600 == pytest.approx(4, abs=0.1)
    assert PLAYBOOK in task.values["hs_task_body"]
    assert "## Criteria met<br>" in note.values["subject"]
    world.sync()
    record, file = seller.id(people["marketing"]), world.folder / "page.md"
    assert world.run("dossier", record, "--out", str(file)).code == Exit.DONE
    assert "## What it did\nnone\n" in file.read_text()
    noted = world.run("dossier", seller.id(other)).out
    assert "- pain (lead): Budget in May\n- pain (account): Spreadsheets / everywhere\n" in noted
    assert "| page_view | 1 | 1 |" in noted
    assert other.values["phone"] == "Budget in May"
    assert world.run("dossier", record, "--out", str(world.folder)).code == Exit.USAGE


@pytest.mark.slow
def test_the_dossiers_of_a_run_are_made_together(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all that are told of in a run in one go, however many ways they take; each is what it is
    alone, with its own points, deeds and account."""
    made: list[list[str]] = []

    def counted(session: Session, leads: list[str], at: datetime) -> dict[tuple[str, str], str]:
        made.append(leads)
        return dossiers(session, leads, at)

    monkeypatch.setattr(handoff, "dossiers", counted)
    world, seller = desk.world, desk.world.marketing
    desk.configure("marketing", webhook=None, task=None)
    firm = seller.crm.add(Kind.ACCOUNT, {"name": "Fern"})
    people: dict[str, str] = {}
    for name, account in {"Ada": firm.number, "Bea": firm.number, "Cay": None}.items():
        who = {"first_name": name, "title": "CTO", "last_name": "M", "email": f"{name}@m.example"}
        seen = tuple(page(f"/{name}/{n}") for n in range(len(people) + 1))
        story = Story({**who, "account": account}, seen, Kind.CONTACT)
        people[name] = seller.id(build(seller.crm, story, at=world.clock()))
    world.sync()
    assert [sorted(leads) for leads in made] == [sorted(people.values())]
    assert desk.told("marketing") == [3, 0, 0, 3]
    pages = {m["Subject"].split()[1]: m.get_content() for m in desk.messages()}
    for name, lead in people.items():
        (at,) = re.findall(r"as of (\S+ \S+) UTC", pages[name])
        alone = world.run("dossier", lead, "--as-of", at.replace(" ", "T") + ":00").out
        assert alone.split() == pages[name].split(), name
        assert f"| /{name}/0 |" in alone
        assert ("| colleague | points |" in alone) == (name != "Cay")


@pytest.mark.slow
def test_a_way_that_fails_is_tried_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook that times out is said in words, waits in the outbox, and comes again with the same
    key; a task whose answer was lost is found by its mark and not made twice. Nobody is told of a
    lead whose write the CRM refused, until it takes it."""
    world, seller = desk.world, desk.world.sales
    desk.configure("sales", email=None, note=None)
    monkeypatch.setattr(senders, "TIMEOUT", 0.2)
    desk.channel.faults.append(Fault("/hook", delay=0.5))
    seller.server.faults.append(Fault("/sobjects/Task/?$", method="POST", drop="after"))
    hot = world.tell(Story({**PERSON, "title": "CTO"}))["sales"]
    refused = world.tell(Story({**PERSON, "last_name": "Fern", "title": "CTO"}))["sales"]
    assert isinstance(seller.face, SalesforceFace)
    seller.face.rules.invalid[seller.id(refused)] = "Region is required"
    outcome = world.sync(code=Exit.REFUSED)
    assert "by webhook: webhook not delivered, will try again: no answer within 0.2" in outcome.err
    assert "by task: sales: no complete answer" in outcome.err
    assert {(n["lead_id"], n["way"], n["tries"]) for n in desk.waiting()} == {
        (seller.id(hot), "webhook", 1), (seller.id(hot), "task", 1),
        (seller.id(refused), "webhook", 0), (seller.id(refused), "task", 0),
    }  # fmt: skip
    assert "no answer within" in world.run("status").out
    seller.face.rules.invalid.clear()
    world.clock.tick(minutes=5)
    seller.crm.update(refused, {"title": "CTO"})
    world.sync()
    assert desk.waiting() == []
    assert len(desk.entries("sales", "task")) == 2
    keys = [request.headers["idempotency-key"] for request in desk.posted]
    leads = [json.loads(request.body)["lead"] for request in desk.posted]
    assert sorted(leads) == sorted([seller.id(hot), seller.id(hot), seller.id(refused)])
    assert len({*keys}) == 2


@pytest.mark.slow
def test_whoever_took_a_lead_in_mid_run_is_told_of_it(desk: Desk) -> None:
    """U09: somebody takes a lead by hand just before it would be given away: nothing is written to
    it, so nobody is told; the next run tells whoever has it."""
    world, seller = desk.world, desk.world.sales
    desk.configure("sales", routing={"unassigned_owners": [ROBOT]})
    lead = world.tell(Story({**PERSON, "title": "CTO"}))["sales"]
    seller.crm.update(lead, {"owner": seller.users[ROBOT].number})

    def taking(request: Request) -> Response:
        seller.edit(lead, "owner", seller.users[BEN].number)
        return seller.face(request)

    seller.server.faults.append(Fault("/composite/sobjects/Lead$", response=taking))
    world.sync(code=Exit.TEMPORARY)
    assert desk.told("sales") == [0] * 4
    world.sync()
    assert desk.told("sales") == [1] * 4
    assert [message["To"] for message in desk.messages()] == [BEN]


@pytest.mark.slow
def test_a_stop_while_a_task_waits_to_be_sent_again(desk: Desk) -> None:
    """The wait ends, and the task is left for the next run, which puts it there once."""
    world = desk.world
    desk.configure("sales", email=None, webhook=None, note=None)
    down = b'[{"errorCode": "SERVER_UNAVAILABLE", "message": "try again"}]'
    away = Response(503, down, {"Content-Type": "application/json"})
    refusing = Fault("/sobjects/Task/?$", "POST", times=None, response=away)
    world.sales.server.faults.append(refusing)
    waits: list[float] = []

    def told_to_stop(seconds: float) -> None:
        if seconds:
            waits.append(seconds)
            os.kill(os.getpid(), signal.SIGTERM)

    world.timer.sleep = told_to_stop  # type: ignore[method-assign]
    world.tell(Story({**PERSON, "title": "CTO"}))
    outcome = world.run("sync")
    assert "by task: stopped as asked" in outcome.err
    assert (len(waits), refusing.hit, len(desk.waiting())) == (1, 1, 1)
    world.sales.server.faults.clear()
    world.clock.tick(minutes=5)
    world.sync()
    assert (desk.waiting(), len(desk.entries("sales", "task"))) == ([], 1)


class Killed(BaseException):
    """The process ends here: nothing catches it."""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_it_tells(desk: Desk, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """S066 U14: killed just before a task is made, or just after it and before anybody knows: the
    next run tells what is left, and there is one task."""
    world = desk.world
    desk.configure("sales", email=None, note=None)
    world.tell(Story({**PERSON, "title": "CTO"}))
    add = SalesforceConnector.add_entry

    def dies(connector: SalesforceConnector, entry: Entry) -> None:
        if when == "after":
            add(connector, entry)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(SalesforceConnector, "add_entry", dies)
        with pytest.raises(Killed):
            world.sync()
    assert [(n["way"], n["state"]) for n in desk.waiting()] == [("task", "sent")]
    world.sync()
    assert desk.waiting() == []
    assert desk.told("sales") == [0, 1, 1, 0]
