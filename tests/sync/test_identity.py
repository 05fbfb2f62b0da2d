"""Persons with records in both CRMs, through the command line."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.hubspot.schema import add_formula
from connectors.sandbox.scenario import Did, Story, build
from sync.exits import Exit
from tests.live import ANA, ROBOT, Live, live

MODEL: dict[str, Any] = {
    "thresholds": {"mql": 10, "sql": 25},
    "fit": [{"id": "cto", "points": 7, "when": {"title": "CTO"}}],
    "behaviour": [
        {"id": "form", "points": 20, "when": {"type": "form_submission"}},
        {"id": "call", "points": 5, "count": "each", "when": {"type": "call"}},
        {"id": "visit", "points": 1, "count": "each", "when": {"type": "page_view"}},
    ],
}
HOUR = timedelta(hours=1)
ADA = {"last_name": "Ada", "company": "Fern", "email": "ada@fern.example"}
CALL = Did("call", HOUR, {"subject": "First call", "duration": 60, "direction": "outbound"})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, empty, with an identity by address and by a key of HubSpot."""
    with live(tmp_path) as world:
        crm = world.marketing.crm
        add_formula(crm, "contacts", "sales_id", lambda record: record.values.get("sales_id"))
        mapping = {"leads": {"custom.sales_id": "sales_id"}}
        world.configure(
            identity={"keys": [{"marketing": "custom.sales_id", "sales": "id"}]},
            routing={"stages": ["SQL"], "pool": [ANA], "unassigned_owners": [ROBOT]},
            marketing={"mapping": mapping},
        )
        world.model(**MODEL)
        world.set_up()
        yield world


def told(world: Live, name: str, *deeds: Did, **values: Any) -> Record:
    """A person in one CRM alone."""
    return build(world.sellers[name].crm, Story({**ADA, **values}, deeds), at=world.clock())


def form(world: Live, person: Record) -> None:
    """The person sends a form in marketing."""
    at = world.clock()
    values = {"type": "form_submission", "at": at, "people": [person.number], "asset": "demo"}
    world.marketing.crm.add(Kind.ACTIVITY, values, at=at)


def points(world: Live, **records: Record) -> dict[str, Any]:
    """What the CRMs hold as scores."""
    return {name: world.sellers[name].shown(record)["score"] for name, record in records.items()}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_form_in_marketing_gives_the_sales_lead_an_owner(world: Live) -> None:
    """Activities from one CRM score the lead in the other, and both get the result: a form that is
    sent in HubSpot makes the Salesforce lead an SQL with an owner in an incremental cycle; a call
    that both show counts once; when the address changes, the link and its points are gone in both;
    a key restores them. Explanations name the other record and the CRM of the evidence."""
    ours = told(world, "sales", CALL, title="CTO")
    theirs = told(world, "marketing", CALL)
    idle = told(world, "marketing", email="idle@fern.example")
    both = {"sales": ours, "marketing": theirs}
    world.sync()
    assert points(world, **both) == {"sales": 12, "marketing": 5}

    form(world, theirs)
    outcome = world.sync()
    assert {n: outcome.step(n, "score")["out"] for n in both} == {"sales": 1, "marketing": 1}
    assert points(world, **both) == {"sales": 32, "marketing": 25}
    assert world.sales.shown(ours)["stage"] == "SQL"
    assert world.sales.shown(ours)["owner"] == ANA
    (said,) = world.run("explain", world.sales.id(ours), "--json").json
    lines = {line["rule"]: line["shown_by"] for line in said["lines"]}
    assert lines == {"form": "marketing", "cto": None, "call": "marketing"}
    theirs_id = world.marketing.id(theirs)
    assert said["known"]["person"] == [f"contacts {theirs_id} in marketing, by email"]
    text = world.run("explain", world.sales.id(ours)).out
    assert f"the same person: contacts {theirs_id} in marketing, by email" in text

    world.marketing.crm.update(theirs, {"email": "ada@new.example"})
    world.sync()
    assert points(world, **both) == {"sales": 12, "marketing": 25}
    world.marketing.crm.update(theirs, {"sales_id": world.sales.id(ours)})
    world.sync()
    assert points(world, **both) == {"sales": 32, "marketing": 25}
    assert points(world, marketing=idle) == {"marketing": 0}
    (person,) = world.run("identity", "--json").json["persons"]
    assert person["by"] == ["key marketing.custom.sales_id = sales.id"]
    replayed = world.run("replay", world.sales.id(ours), "--json").out
    assert json.loads(replayed)["score"] == "32"


@pytest.mark.slow
def test_claims_are_said_and_join_nobody(world: Live) -> None:
    """Two leads that claim one address: a clear message with their ids in `check` and `identity`,
    no address in it, and none of them gets the points of another."""
    ours = told(world, "sales"), told(world, "sales", last_name="Twin")
    theirs = told(world, "marketing", CALL)
    alike = told(world, "marketing", email="ada.x@fern.example", first_name="Ada")
    told(world, "sales", email="a.ada@fern.example", first_name="Ada")
    world.sync()
    assert [world.sales.shown(lead)["score"] for lead in ours] == [0, 0]
    assert points(world, marketing=theirs) == {"marketing": 5}
    checked = world.run("check").err
    said = "warning: identity: several of one kind claim one e-mail address: "
    (line,) = (line for line in checked.splitlines() if line.startswith(said))
    for record in (*(f"Lead {world.sales.id(lead)} in sales" for lead in ours),):
        assert record in line
    shown = world.run("identity")
    assert shown.code == Exit.DONE
    assert "0 persons, 1 claims, 1 alike" in shown.err
    assert world.marketing.id(alike) in shown.out
    assert "@" not in shown.out + line


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"email": False}, "say email: true, or name keys"),
        ({"keys": [{"sales": "id"}]}, "a key names a column in each of two connections"),
        ({"keys": [{"sales": "id", "crm": "id"}]}, "keys name crm, which is no connection"),
        ({"keys": [{"sales": "id", "marketing": "name"}]}, "identity.keys"),
    ],
)
def test_a_section_with_a_mistake_is_refused(
    tmp_path: Path, section: dict[str, Any], message: str
) -> None:
    """A mistake in `identity` is said with its place, and nothing runs."""
    with live(tmp_path) as world:
        world.configure(identity=section)
        outcome = world.run("plan")
    assert outcome.code == Exit.USAGE
    assert message in outcome.err
    assert "config.yaml:" in outcome.err


def test_without_a_section_there_is_nothing_to_show(tmp_path: Path) -> None:
    """`identity` says what is missing."""
    with live(tmp_path) as world:
        outcome = world.run("identity")
    assert outcome.code == Exit.USAGE
    assert "no `identity:` section" in outcome.err


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_account_has_the_contacts_of_its_company_in_both(world: Live) -> None:
    """One account across both: `accounts` counts the contacts of both CRMs at each, a person once,
    and `explain ACCOUNT` names the connection of a contact from elsewhere, to its last point."""
    world.configure(identity={"accounts": True})
    world.model(**MODEL, accounts={"top": 100})
    firms = {
        name: seller.crm.add(
            Kind.ACCOUNT, {"name": "Fern", "website": "https://www.fern.example", "owner": None}
        )
        for name, seller in world.sellers.items()
    }
    told(world, "sales", CALL, account=firms["sales"].number)
    told(world, "marketing", CALL, account=firms["marketing"].number)
    other = told(
        world, "marketing", CALL, email="bo@fern.example", account=firms["marketing"].number
    )
    world.sync()
    ranked = world.run("accounts", "--json").json
    assert [(a["contacts"], a["raw"]) for a in ranked] == [(2, "10"), (2, "10")]
    account = world.sales.id(firms["sales"])
    shown = world.run("explain", account)
    assert f"{world.marketing.id(other)} in marketing" in shown.out
    assert f"contacts {world.marketing.id(other)} in marketing" in shown.out
