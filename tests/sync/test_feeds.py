"""Feeds of activities through the command line: what an export says is mapped, and scored."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors import registry
from connectors.sandbox.crm import Kind
from sync.exits import Exit
from tests.live import Live, live

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
THRESHOLDS = {"mql": 50, "sql": 100}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows as a CSV file; all begin with a time."""
    named = dict.fromkeys(name for row in rows for name in row)
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, list(named))
        writer.writeheader()
        writer.writerows(rows)


def did(id: str, kind: str, days: float, **more: Any) -> dict[str, Any]:
    """A line of the export of activities."""
    at = (NOON - timedelta(days=days)).isoformat()
    base = {"id": id, "lead_id": "L1", "type": kind, "occurred_at": at, "modified_at": at}
    return {**base, **more}


@pytest.fixture
def feed(tmp_path: Path) -> Any:
    """A folder of exports as the only connection."""
    with live(tmp_path) as world:
        world.connect = registry.open
        write(
            tmp_path / "leads.csv",
            [{"id": "L1", "email": "l1@x.example", "modified_at": NOON.isoformat()}],
        )
        types = {"Chat Bot": "chatbot"}
        mapping = {"activity_types": types, "activities": {"length": "planned"}}
        files = {"leads": "leads.csv", "activities": "activities.csv", "mapping": mapping}
        connections = {"feed": {"kind": "files", "folder": str(tmp_path), **files}}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"connections": connections}))
        yield world


def explained(world: Live, **model: Any) -> tuple[dict[str, Any], dict[str, float]]:
    """The lead's explanation after a sync, and the points of its lines."""
    text = yaml.safe_dump({"name": "m", "thresholds": THRESHOLDS, **model}, sort_keys=False)
    (world.folder / "model.yaml").write_text(text)
    world.sync()
    outcome = world.run("explain", "L1", "--json")
    assert outcome.code == Exit.DONE, outcome.err
    (found,) = outcome.json
    return found, {line["rule"]: float(line["points"]) for line in found["lines"]}


@pytest.mark.slow
def test_a_new_channel_needs_only_configuration(feed: Live) -> None:
    """S091: activity type chatbot is mapped in config.yaml, scored in model.yaml, explained."""
    write(
        feed.folder / "activities.csv", [did("a", "Chat Bot", 1, planned=60), did("b", "Other", 1)]
    )
    rule = {"id": "chat", "points": 7, "when": {"type": "chatbot"}, "count": "each"}
    assert explained(feed, behaviour=[rule])[1] == {"chat": 7}


@pytest.mark.slow
def test_feeds_of_one_lead_in_the_whole_language(feed: Live) -> None:
    """S077 S133 S217: columns of an export reach e-mail, rate, attendance, limits and resets."""
    sent = {"message_id": "<1@mail>", "subject": "A private matter"}
    rows = [
        did("old", "webinar_attended", 60, planned=3600, duration=3600),
        did("u", "unsubscribed", 50),
        did("w1", "webinar_attended", 9, planned=3600, duration=2700),
        did("w2", "webinar_attended", 8, planned=3600, duration=2699),
        did("s1", "email_sent", 7, **sent),
        did("s2", "email_sent", 6.9, **sent),
        did("s3", "email_sent", 5, message_id="<2@mail>"),
        did("o1", "email_open", 6),
        did("bad", "bounced", 2),
    ]
    write(feed.folder / "activities.csv", rows)
    webinar = {"type": "webinar_attended", "attended": {"at_least": 0.75}}
    found, lines = explained(
        feed,
        behaviour=[
            {"id": "webinar", "points": 10, "when": webinar, "count": {"per": "session"}},
            {"id": "mail", "points": 1, "when": {"type": "email_sent"}, "count": "each"},
            {"id": "bounce", "points": -20, "when": {"type": "bounced"}},
        ],
        measures=[
            {
                "id": "rate",
                "share": {"type": "email_open"},
                "of": {"type": "email_sent"},
                "steps": {0.5: 4, 0.51: 40},
            },
            {
                "id": "clicks",
                "share": {"type": "email_click"},
                "of": {"type": "email_open", "campaign": "none"},
                "steps": {0.1: 5},
            },
        ],
        reset=[{"id": "gone", "when": {"type": "unsubscribed"}}],
        limits={"behaviour": {"nightly_floor": 0}},
    )
    expected = {"webinar": 10, "mail": 2, "bounce": -20, "rate": 4}
    assert lines == {**expected, "limit:nightly": 8, "reset:gone": 0}
    assert float(found["score"]) == sum(lines.values()) == 4
    assert found["unknown"] == ["clicks"]
    (reset,) = (line for line in found["lines"] if line["rule"] == "reset:gone")
    assert (reset["events"], reset["evidence"]) == (2, "u")
    outcome = feed.run("explain", "L1")
    assert "reset:gone" in outcome.out
    assert "private" not in outcome.out + outcome.err


def test_mistakes_are_told_by_their_place(feed: Live) -> None:
    """A measure, a period or a limit that means nothing: file, line and column."""
    write(feed.folder / "activities.csv", [did("a", "call", 1)])
    (feed.folder / "model.yaml").write_text(
        "name: m\nthresholds: {mql: 1, sql: 2}\nbehaviour:\n"
        "  - {id: a, points: 1, when: {type: call}, count: {per: fortnight}}\n"
        "measures:\n  - {id: b, count: {type: call}}\n"
        "limits: {behaviour: {nightly_floor: 3}}\n"
    )
    outcome = feed.run("check")
    assert outcome.code == Exit.USAGE
    for place in ("model.yaml:4:", "model.yaml:6:5: measures[0]: a measure pays", "model.yaml:7:"):
        assert place in outcome.err


@pytest.mark.slow
def test_one_e_mail_in_each_crm(tmp_path: Path) -> None:
    """S077: a CRM's own e-mails carry what tells a repetition: HubSpot the id, both the subject."""
    rule = {"id": "mail", "points": 1, "when": {"type": "email_sent"}, "count": "each"}
    with live(tmp_path) as world:
        world.model(behaviour=[rule], decays={})
        at = world.clock() - timedelta(days=3)
        mails = (("<1>", "Offer", at), ("<1>", "Offer", at), ("<2>", "Other", at),
                 ("<3>", "Offer", at - timedelta(days=1)))  # fmt: skip
        people = {}
        for name, seller in world.sellers.items():
            who = {"last_name": "Roe", "email": "roe@x.example", "company": "X"}
            person = people[name] = seller.crm.add(Kind.CONTACT, who)
            for id_, subject, when in mails:
                mail = {"type": "email_sent", "at": when, "people": [person.number]}
                seller.crm.add(Kind.ACTIVITY, {**mail, "message_id": id_, "subject": subject})
        world.set_up()
        world.sync()
        for name, seller in world.sellers.items():
            ids = ("explain", seller.id(people[name]), "--json", "--connection", name)
            (line,) = world.run(*ids).json[0]["lines"]
            assert line["events"] == 3, name


@pytest.mark.slow
def test_visits_of_nobody_are_those_of_an_account_by_its_networks(feed: Live) -> None:
    """S206 S215: an IP-lookup export beside the model; the list of accounts and the explanation of
    one tell the same visits, in no lead's name."""
    folder, at = feed.folder, NOON.isoformat()
    firms = [
        {"id": "A", "domain": "acme.example", "modified_at": at},
        {"id": "B", "domain": "b.example", "modified_at": at},
        {"id": "C", "domain": "b.example", "modified_at": at},
    ]
    write(folder / "accounts.csv", firms)
    addresses = ("203.0.113.9", "2001:DB8::7", "198.51.100.1", "198.51.100.2", "none", "192.0.2.1")
    rows = [did(f"v{n}", "page_view", 1 + n, lead_id="", ip=ip) for n, ip in enumerate(addresses)]
    write(folder / "activities.csv", [*rows, did("own", "page_view", 1, ip="203.0.113.9")])
    config = yaml.safe_load(feed.config.read_text())
    connection = config["connections"]["feed"]
    connection["accounts"] = "accounts.csv"
    connection["mapping"]["activities"] = {"custom.ip": "ip"}
    feed.config.write_text(yaml.safe_dump(config))
    table = "network,account,confidence\n203.0.113.0/24,acme.example,0.9\n2001:db8::/32,A,0.9\n"
    table += "198.51.100.1,b.example,0.9\n198.51.100.2,B,0.9\n192.0.2.0/24,A,0.5\n"
    (folder / "networks.csv").write_text(table)
    rule = {"id": "view", "points": 7, "when": {"type": "page_view"}, "count": "each"}
    networks = {"address": "ip", "at_least": 0.8, "file": "networks.csv"}
    scored = {"top": 100, "anonymous": {}, "networks": networks}
    assert explained(feed, behaviour=[rule], accounts=scored)[1] == {"view": 7}
    listed = {row["account_id"]: row["raw"] for row in feed.run("accounts", "--json").json}
    assert listed == {"A": "14", "B": "7", "C": "0"}
    for account, events in (("A", 2), ("B", 1)):
        (firm,) = feed.run("explain", account, "--json").json
        (line,) = (line for line in firm["lines"] if line["part"] == "anonymous")
        assert (line["events"], line["lead_id"], firm["raw"]) == (events, None, listed[account])
    (folder / "networks.csv").write_text(f"{table}192.0.2.1,A,2\n")
    outcome = feed.run("accounts")
    assert outcome.code == Exit.USAGE
    assert "networks.csv:7:13: confidence: Input should be less than or equal to 1" in outcome.err
