"""Accounts on the command line: ranked, explained down to an event, and around a lead."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.scenario import Did, Story, build, page
from sync.exits import Exit
from tests.live import ANA, BEN, ROBOT, Live, Seller, live

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")

HOUR = timedelta(hours=1)
RULES: dict[str, Any] = {
    "fit": [
        {"id": "abm", "points": 10, "when": {"account": {"target": True}}},
        {"id": "title", "points": 20, "when": {"title": "VP Sales"}},
    ],
    "behaviour": [
        {"id": "pricing", "points": 20, "when": {"type": "page_view", "asset": "/pricing"}},
        {"id": "call", "points": 14, "when": {"type": "call"}, "count": "each"},
    ],
    "decays": {},
    "thresholds": {"mql": 15, "sql": 90},
    "tiers": {},
}
ACCOUNTS = {
    "targets": {"domains": ["acme.example"]},
    "rollup": {"method": "top", "top": 2},
    "committee": {"roles": {"economic": {"seniority": "executive"}}, "points": 6},
    "anonymous": {},
    "top": 100,
}


def told(world: Live, seller: Seller) -> dict[str, Record]:
    """Acme with two people and a call with nobody in particular, and two accounts with one each."""
    ana = seller.users[ANA].number
    found = {
        name: seller.crm.add(
            Kind.ACCOUNT,
            {"name": name.title(), "website": f"https://www.{name}.example", "owner": ana},
        )
        for name in ("acme", "early", "late")
    }

    def person(name: str, firm: str, ago: timedelta, *, named: bool, **more: Any) -> None:
        values = {"last_name": name, "company": firm, "email": f"{name}@{firm}.example", **more}
        if named:
            values["account"] = found[firm].number
        story = Story(values, (page("/pricing", ago=ago),), Kind.CONTACT if named else Kind.LEAD)
        found[name] = build(seller.crm, story, at=world.clock())

    person("jane", "acme", HOUR, named=False, title="CEO")
    person("bob", "acme", 2 * HOUR, named=True)
    person("eve", "early", 9 * HOUR, named=True, title="VP Sales")
    person("lou", "late", 3 * HOUR, named=False, title="VP Sales")
    call = Did("call", HOUR, {"account": found["acme"].number, "outcome": "connected"})
    values = {"type": call.type, "at": world.clock() - call.ago, "people": [], **call.more}
    found["call"] = seller.crm.add(Kind.ACTIVITY, values)
    return found


@dataclass(frozen=True)
class Told:
    """Both CRMs after a sync, and the ids of their records, by connection and name."""

    world: Live
    ids: dict[str, dict[str, str]]

    def asked(self, *arguments: str) -> Any:
        """What a command prints for machines."""
        outcome = self.world.run(*arguments, "--json")
        assert outcome.code == Exit.DONE, outcome.err
        return outcome.json


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """The story in both CRMs, synced; the tests only read."""
    with live(tmp_path_factory.mktemp("accounts")) as world:
        routing = {"pool": [BEN], "unassigned_owners": [ROBOT], "stages": ["MQL"]}
        world.configure(routing=routing)
        world.model(**RULES, accounts=ACCOUNTS)
        world.set_up()
        stories = {name: told(world, seller) for name, seller in world.sellers.items()}
        world.sync()
        for name, seller in world.sellers.items():
            assert seller.shown(stories[name]["jane"])["owner"] == ANA
        yield Told(
            world,
            {
                name: {who: world.sellers[name].id(record) for who, record in story.items()}
                for name, story in stories.items()
            },
        )


def test_accounts_are_listed_best_first(after: Told) -> None:
    """S013 S024 S206: by score, and of equal ones the newer signal first; nobody's call counts
    for the account. A lead matched by its domain got the account's owner. No CRM is asked."""
    requests = [len(seller.server.requests) for seller in after.world.sellers.values()]
    listed = after.asked("accounts")
    for name, ids in after.ids.items():
        mine = [row for row in listed if row["connection"] == name]
        assert [(row["account_id"], row["aps"], row["contacts"]) for row in mine] == [
            (ids["acme"], "80", 2), (ids["late"], "40", 1), (ids["early"], "40", 1),
        ]  # fmt: skip
        assert [mine[0][key] for key in ("roles", "asked", "target", "name")] == [
            1, 1, True, "Acme",
        ]  # fmt: skip
    text = after.world.run("accounts", "--limit", "2", "--connection", "sales").out
    assert "3 accounts, best first" in text
    assert "... and 1 more" in text
    assert [len(seller.server.requests) for seller in after.world.sellers.values()] == requests


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sales", "marketing"])
def test_an_account_is_explained_down_to_its_contacts_events(after: Told, name: str) -> None:
    """U11: its lines add up to its score, and each contact's own lines to what stands behind."""
    ids = after.ids[name]
    (firm,) = after.asked("explain", ids["acme"], "--connection", name)
    lines = {(line["rule"], line["lead_id"]): line for line in firm["lines"]}
    assert {key: line["points"] for key, line in lines.items()} == {
        ("rollup:top-2", ids["jane"]): "30",
        ("rollup:top-2", ids["bob"]): "30",
        ("role:economic", ids["jane"]): "6",
        ("call", None): "14",
    }
    assert (firm["aps"], lines["call", None]["events"]) == ("80", 1)
    assert lines["call", None]["evidence"] == ids["call"]
    assert len(firm["explained"]) == 2
    for contact in firm["explained"]:
        own = {line["rule"]: line for line in contact["lines"]}
        raw = lines["rollup:top-2", contact["lead_id"]]["raw"]
        assert sum(Decimal(line["points"]) for line in own.values()) == Decimal(raw)
        assert own["pricing"]["evidence"]


@pytest.mark.slow
def test_a_lead_is_explained_with_its_account_and_colleagues(after: Told) -> None:
    """S012 S202: the account it was matched to, both scores, and the colleagues' points, which
    are none of its own."""
    ids = after.ids["sales"]
    (lead,) = after.asked("explain", ids["jane"], "--connection", "sales")
    assert lead["account"] == {
        "account_id": ids["acme"],
        "by_domain": True,
        "aps": "80",
        "colleagues": [{"lead_id": ids["bob"], "points": "30"}],
    }
    assert {line["rule"]: line["points"] for line in lead["lines"]} == {
        "abm": "10", "pricing": "20",
    }  # fmt: skip
    text = after.world.run("explain", ids["bob"], "--connection", "sales").out
    assert f"account {ids['acme']} (named by the CRM), account score 80" in text
    assert ids["jane"] in text


def test_as_of_a_date_before_the_first_account(after: Told) -> None:
    """S013: accounts are scored by what was known then."""
    assert after.asked("accounts", "--as-of", "2020-01-01") == []


@pytest.mark.slow
def test_a_model_without_accounts_says_so(tmp_path: Path) -> None:
    """S202: colleagues need no accounts section; the list of accounts does."""
    with live(tmp_path) as world:
        world.configure("sales")
        world.model(**{**RULES, "fit": []})
        world.set_up()
        found = told(world, world.sales)
        world.sync()
        outcome = world.run("accounts")
        assert (outcome.code, "no `accounts:` section" in outcome.err) == (Exit.USAGE, True)
        missing = world.run("explain", world.sales.id(found["acme"]))
        assert (missing.code, "no lead " in missing.err) == (Exit.USAGE, True)
        (lead,) = world.run("explain", world.sales.id(found["bob"]), "--json").json
    assert lead["account"]["aps"] is None
    jane = {"lead_id": world.sales.id(found["jane"]), "points": "20"}
    assert lead["account"]["colleagues"] == [jane]


@pytest.mark.slow
def test_an_account_is_interested_in_what_its_people_are(tmp_path: Path) -> None:
    """S213 S219 D46: one person's areas are those of its account; of several people the points add
    up, and the account's depth and intensity are those of all of them together."""
    areas = {name: {"asset": {"starts_with": f"/{name}"}} for name in "ab"}
    view = {"id": "view", "points": 10, "when": {"type": "page_view"}, "count": "each"}
    days = timedelta(days=1)
    told: dict[str, dict[str, list[Did]]] = {
        "one": {"ann": [page("/a", ago=n * HOUR) for n in range(4)] + [page("/b", ago=HOUR)]},
        "two": {
            "keen": [page("/a", ago=n * HOUR) for n in range(5)],
            "slow": [page("/b", ago=n * days) for n in (0, 12, 25, 37, 49)],
        },
        "none": {"new": []},
    }
    with live(tmp_path) as world:
        world.configure("sales")
        world.model(
            **{**RULES, "fit": [], "behaviour": [view]},
            accounts={"top": 200},
            interest={"areas": areas},
        )
        world.set_up()
        seller, ids = world.sales, {}
        for firm, people in told.items():
            account = seller.crm.add(Kind.ACCOUNT, {"name": firm})
            ids[firm] = seller.id(account)
            for name, did in people.items():
                values = {
                    "last_name": name,
                    "email": f"{name}@x.example",
                    "account": account.number,
                }
                story = Story(values, tuple(did), Kind.CONTACT)
                ids[name] = seller.id(build(seller.crm, story, at=world.clock()))
        world.sync()
        listed = {row["name"]: row["profile"] for row in world.run("accounts", "--json").json}
        shown = {
            name: world.run("explain", id_, "--json").json[0]["profile"]
            for name, id_ in ids.items()
        }
        text = {name: world.run("explain", ids[name]).out for name in ("one", "ann", "none")}
        table = world.run("accounts").out
    assert {name: listed[name] for name in told} == {name: shown[name] for name in told}
    assert listed["one"] == shown["ann"]
    assert listed["one"]["areas"] == {"a": "40", "b": "10"}
    assert listed["two"]["areas"] == {"b": "50", "a": "50"}
    assert (listed["two"]["events"], listed["two"]["days"]) == (10, 50)
    assert listed["two"]["depth"] == shown["keen"]["depth"] + shown["slow"]["depth"]
    assert [shown[name]["intensity"] for name in ("keen", "slow", "two")] == ["5", "0.1", "0.2"]
    assert listed["none"]["areas"] == {}
    assert listed["none"]["intensity"] is None
    for name in ("one", "ann"):
        assert "interested in: a 40, b 10" in text[name]
        assert "depth 5, intensity 5 activities a day (activities: 5, days: 1)" in text[name]
    assert "interested" not in text["none"]
    assert [line.split()[-3] for line in table.splitlines() if " one " in line] == ["a"]
