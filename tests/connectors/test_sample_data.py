"""The sample is the same for a seed, is lifelike where it matters, and fast enough."""

import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.data import DAYS, FIT, sample
from connectors.sandbox.memory import MemoryConnector
from connectors.sandbox.scenario import GOLDEN_50, GOLDEN_107, Story, build
from tests.world import Mirror

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TYPES = {
    *("page_view", "download", "form_submission", "trial_started", "demo_requested"),
    *("email_open", "email_click", "email_sent", "email_reply", "call", "meeting", "note"),
    *("task", "social_message", "webinar_registered", "webinar_attended", "trade_show"),
}


def made(seed: int = 7, leads: int = 3000) -> Crm:
    """A sampled CRM."""
    crm = Crm(lambda: NOW)
    sample(crm, seed=seed, now=NOW, leads=leads)
    return crm


def content(crm: Crm) -> list[tuple[Any, ...]]:
    """Everything in a CRM, for comparison."""
    return [
        (r.kind, r.number, r.values, r.created, r.modified, r.deleted_at, r.survivor)
        for r in crm.records(*Kind, deleted=True)
    ]


@pytest.fixture(scope="module")
def crm() -> Crm:
    """The sample at its full size; tests only look at it."""
    return made()


def records(crm: Crm, *kinds: Kind) -> list[Record]:
    """Records of some kinds, deleted ones too."""
    return list(crm.records(*kinds, deleted=True))


def test_same_seed_same_world() -> None:
    """A seed gives one world, whatever the CRM's own clock says; another gives another."""
    later = Crm(lambda: NOW + timedelta(days=1))
    sample(later, seed=1, now=NOW, leads=200)
    assert content(made(1, 200)) == content(later)
    assert content(made(1, 200)) != content(made(2, 200))


def test_sizes_and_types(crm: Crm) -> None:
    """A few thousand leads, some hundred accounts, tens of thousands of activities of all types."""
    count = Counter(r.kind for r in records(crm, *Kind))
    assert 3000 <= count[Kind.LEAD] + count[Kind.CONTACT] <= 3500
    assert 300 <= count[Kind.ACCOUNT] <= 600
    assert 30_000 <= count[Kind.ACTIVITY] <= 60_000
    assert {r.values["type"] for r in records(crm, Kind.ACTIVITY)} == TYPES


def test_nothing_lies_in_the_future(crm: Crm) -> None:
    """No stamp is later than the sample's time; activities reach back half a year."""
    all_records = records(crm, *Kind)
    assert all(r.created <= r.modified <= NOW for r in all_records)
    assert all(r.deleted_at is None or r.deleted_at <= NOW for r in all_records)
    times = [r.values["at"] for r in records(crm, Kind.ACTIVITY)]
    assert NOW - timedelta(days=DAYS + 1) <= min(times) < NOW - timedelta(days=DAYS - 5)
    assert NOW - timedelta(days=1) < max(times) <= NOW


@pytest.mark.parametrize(
    ("kind", "page"),
    [(k, p) for k in (Kind.LEAD, Kind.ACTIVITY) for p in (200, 1000, 2000)] + [(Kind.CONTACT, 200)],
)
def test_equal_stamps_cross_page_boundaries(crm: Crm, kind: Kind, page: int) -> None:
    """D18: in the order of a pull, the records before and after a page's end share a stamp."""
    stamps = sorted(r.modified for r in records(crm, kind))
    ends = [n for n in range(page, len(stamps), page) if stamps[n - 1] == stamps[n]]
    assert ends
    assert Counter(stamps).most_common(1)[0][1] > min(page, 600)


def test_mess_of_a_real_crm(crm: Crm) -> None:
    """Junk, duplicates, merged, converted and deleted records, blanks and unicode are in it."""
    leads = records(crm, Kind.LEAD)
    assert any(r.values["first_name"] == "Mickey" for r in leads)
    assert any(r.values["last_name"] == "asdf" for r in leads)
    assert sum(r.survivor is not None for r in leads) >= 20
    assert sum(r.deleted_at is not None and r.survivor is None for r in leads) >= 20
    assert sum(r.values.get("converted_to") is not None for r in leads) >= 50
    assert any(not str(r.values["last_name"]).isascii() for r in leads)
    for name in ("title", "industry", "country", "employees", "phone", "email"):
        empty = sum(r.values.get(name) is None for r in leads)
        assert 0 < empty < len(leads) / 2, name
    living = [r for r in leads if r.deleted_at is None]
    people = Counter((r.values["last_name"], r.values.get("website")) for r in living)
    assert sum(n > 1 for (_, site), n in people.items() if site) >= 20


def test_owners(crm: Crm) -> None:
    """Web leads lie with the integration user or a queue; contacts belong to people; some left."""
    users = {r.number: r for r in records(crm, Kind.USER)}
    queues = {r.number for r in records(crm, Kind.QUEUE)}
    assert any(not user.values["active"] for user in users.values())
    assert queues
    assert crm.integration_user in users
    web = [r.values["owner"] for r in records(crm, Kind.LEAD) if r.values["source"] == "Web"]
    unworked = sum(owner in queues or owner == crm.integration_user for owner in web)
    assert 0.6 < unworked / len(web) < 0.95
    assert {r.values["owner"] for r in records(crm, Kind.CONTACT)} <= set(users)


def test_deals_depend_on_fit_and_behaviour(crm: Crm) -> None:
    """Contacts that fit, and those that acted, have and win more deals than the others."""
    pricing: dict[int, int] = defaultdict(int)
    for activity in records(crm, Kind.ACTIVITY):
        for person in activity.values["people"]:
            pricing[person] += activity.values.get("asset") == "/pricing"
    accounts = {r.number: r for r in records(crm, Kind.ACCOUNT)}
    deals = {p: r for r in records(crm, Kind.DEAL) for p in r.values["people"]}
    assert len(deals) > 150

    def rates(group: list[Record]) -> tuple[float, float]:
        own = [deals[r.number] for r in group if r.number in deals]
        return len(own) / len(group), sum(d.values["won"] for d in own) / len(group)

    contacts = records(crm, Kind.CONTACT)
    active = [r for r in contacts if pricing[r.number] >= 2]
    idle = [r for r in contacts if pricing[r.number] == 0]
    assert all(a > 2 * b for a, b in zip(rates(active), rates(idle), strict=True))

    def fit(contact: Record) -> float:
        firm = accounts[contact.values["account"]].values
        return FIT.get(firm["industry"], 0) + FIT.get(firm["country"], 0)

    fitting = [r for r in contacts if fit(r) >= 1]
    others = [r for r in contacts if fit(r) < 0.5]
    assert all(a > 1.2 * b for a, b in zip(rates(fitting), rates(others), strict=True))
    assert all(d.values["closed"] or not d.values["won"] for d in deals.values())


def test_nobody_is_real(crm: Crm) -> None:
    """Every address and site is under .example."""
    for record in records(crm, *Kind):
        if email := record.values.get("email"):
            assert email.endswith(".example"), record.number
            assert re.fullmatch(r"[a-z0-9.+-]+@[a-z0-9.-]+", email), record.number
        if website := record.values.get("website"):
            assert re.fullmatch(r"https://www\.[a-z0-9.-]+\.example", website), record.number


def test_addresses_are_unique(crm: Crm) -> None:
    """Living people share no address, as HubSpot demands; a converted lead is its contact."""
    living = [
        r.values["email"]
        for r in crm.records(Kind.LEAD, Kind.CONTACT)
        if r.values.get("email") and r.values.get("converted_to") is None
    ]
    assert len(living) == len(set(living))


def test_a_person_joins_a_campaign_once(crm: Crm) -> None:
    """No person has two memberships in one campaign, as Salesforce demands."""
    members = Counter(
        (person, r.values["campaign"])
        for r in records(crm, Kind.ACTIVITY)
        for person in r.values["people"]
        if r.values["type"] in ("webinar_registered", "webinar_attended", "trade_show")
    )
    assert set(members.values()) == {1}


def test_the_sample_can_be_read() -> None:
    """Through a connector, all of it is read, with no value that the mapping cannot read."""
    crm = made(3, 300)
    pages = Mirror().pull(MemoryConnector("memory", crm), NOW)
    assert [problem for page in pages for problem in page.rejected] == []
    read = Counter(page.stream.table for page in pages for _ in range(page.rows.num_rows))
    assert read["leads"] == len(list(crm.records(Kind.LEAD, Kind.CONTACT)))
    assert read["activities"] == len(list(crm.records(Kind.ACTIVITY)))


@pytest.mark.parametrize(
    ("story", "fit"),
    [
        (GOLDEN_107, ("executive", "technology", "north_america")),
        (GOLDEN_50, ("manager", "healthcare", "europe")),
    ],
)
def test_golden_leads_arrive_as_told(story: Story, fit: tuple[str, str, str]) -> None:
    """S155, S156: built in a CRM, the golden leads arrive with all that their scores rest on."""
    crm = Crm(lambda: NOW)
    person = build(crm, story, at=NOW)
    mirror = Mirror()
    mirror.pull(MemoryConnector("memory", crm), NOW)
    (lead,) = mirror.table("leads")
    assert (lead["seniority"], lead["industry"], lead["region"]) == fit
    deeds = [(a["type"], a["asset"], a["occurred_at"]) for a in mirror.table("activities")]
    told = [(d.type, d.more.get("asset"), NOW - d.ago) for d in story.deeds]
    assert sorted(deeds, key=str) == sorted(told, key=str)
    assert {a["lead_id"] for a in mirror.table("activities")} == {str(person.number)}
