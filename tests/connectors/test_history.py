"""Field history: what each connector tells of the versions before a row, and what it costs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import Connector, Cursor, Page
from connectors.history import ALWAYS, KNOWN, earlier
from connectors.mapping import table
from connectors.salesforce.history import steps
from connectors.sandbox.crm import Crm, Kind
from connectors.sandbox.memory import MemoryConnector
from connectors.settings import FieldMapping
from core.model import Lead
from tests.hubspot import account
from tests.salesforce import salesforce_world
from tests.world import Clock

CUSTOM = FieldMapping.model_validate({"leads": {"custom.phase": "status"}})
LEAD = "00Q5e00001ABCDE"
BORN = datetime(2026, 3, 1, tzinfo=UTC)


def day(n: int) -> datetime:
    """Some days after the birth of the lead."""
    return BORN + timedelta(days=n)


def told(columns: dict[str, str], now: dict[str, Any], **steps: Any) -> list[dict[str, Any]]:
    """What a history by CRM field says of a lead that was last changed on the ninth day."""
    stamps = {"id": LEAD, "object_type": "Lead", "created_at": BORN, "modified_at": day(9)}
    rows = table(Lead, {name: [value] for name, value in (stamps | now).items()}).rows
    found: list[dict[str, Any]] = earlier(Lead, rows, columns, {LEAD: steps}).to_pylist()
    return found


def test_a_version_for_each_change_with_what_follows_from_it() -> None:
    """Each instant of a change, from the creation on, with all that is known of then and what the
    mapping reads from it; what happened at the row's own stamp or later is the row's to say."""
    steps = [(ALWAYS, "Sales Manager"), (day(2), None), (day(5), "CEO"), (day(9), "CEO")]
    found = told({"title": "Title", "phone": "Phone"}, {"title": "CEO", "phone": "1"}, Title=steps)
    assert [(row["modified_at"], row["title"], row["seniority"]) for row in found] == [
        (BORN, "Sales Manager", "manager"), (day(2), None, None), (day(5), "CEO", "executive"),
    ]  # fmt: skip
    names = ["id", "object_type", "created_at", "function", "seniority", "title"]
    assert [row[KNOWN] for row in found] == [names] * 3
    assert {row["phone"] for row in found} == {None}


def test_nothing_is_known_before_a_history_begins() -> None:
    """A field is unknown before its first step; one that is read with another's help, before
    the other's; one of several sources, before the last of theirs."""
    columns = {
        "state": "State",
        "country": "Country",
        "industry@given:Said__c": "Said__c",
        "industry@appended:Bought__c": "Bought__c",
        "custom.budget": "Budget__c",
    }
    now = {
        "state": "California",
        "country": "US",
        "industry@given:Said__c": None,
        "industry@appended:Bought__c": "Retail",
        "custom.budget": "7",
    }
    found = told(
        columns,
        now,
        State=[(ALWAYS, "California")],
        Country=[(day(1), "US")],
        Said__c=[(day(2), None)],
        Bought__c=[(day(3), "Retail")],
        Budget__c=[(day(4), 7)],
    )
    fixed = {"id", "object_type", "created_at"}
    place = {"state", "country", "region", "us_region"}
    assert [set(row[KNOWN]) - fixed for row in found] == [
        set(), place, place, place | {"industry"}, place | {"industry", "custom.budget"},
    ]  # fmt: skip
    assert (found[1]["state"], found[1]["us_region"]) == ("CA", "west")
    assert (found[3]["industry"], found[4]["custom"]) == ("retail", [("budget", "7")])


def test_a_history_that_ends_elsewhere_is_not_believed() -> None:
    """A field that now holds something else was not followed all the time."""
    columns = {"title": "Title", "custom.phase": "Phase__c", "phone": "Phone"}
    now = {"title": "CEO", "custom.phase": "two", "phone": "1"}
    (found,) = told(
        columns, now, Title=[(BORN, "Clerk")], Phase__c=[(BORN, "one")], Phone=[(BORN, "1")]
    )
    numbers = ["phone", "phone_number", "phone_valid"]
    assert found[KNOWN] == ["id", "object_type", "created_at", *numbers]


Open = Callable[[], tuple[Connector, Crm, Clock]]


@contextmanager
def memory() -> Iterator[Open]:
    """The connector to the in-memory CRM."""
    clock = Clock()
    crm = Crm(clock)
    yield lambda: (MemoryConnector("crm", crm, history=("title", "industry")), crm, clock)


@contextmanager
def salesforce() -> Iterator[Open]:
    """An org that tracks some fields."""
    with salesforce_world() as world:
        for name in ("Lead", "Contact", "Account"):
            fields = ("Title", "Industry") if name == "Lead" else ("Industry", "OwnerId")
            world.face.rules.tracked[name] = dict.fromkeys(fields, world.clock())
        yield lambda: (world.open(history=True), world.crm, world.clock)


@contextmanager
def hubspot() -> Iterator[Open]:
    """A HubSpot account, which keeps the history of everything."""
    with account() as own:
        yield lambda: (own.connect(history=True), own.crm, own.clock)


@pytest.mark.parametrize("crm_of", [memory, salesforce, hubspot])
def test_every_connector_tells_the_versions_before_a_row(
    crm_of: Callable[[], Any],
) -> None:
    """D14: leads and accounts come with the versions before them, at the first pull and later,
    for the calls that were predicted; no other stream has any."""
    with crm_of() as opened:
        connector, crm, clock = opened()
        assert connector.capabilities.history
        firm = crm.add(Kind.ACCOUNT, {"name": "Muster", "industry": "Retail"})
        lead = crm.add(Kind.LEAD, {"last_name": "M", "company": "Muster", "title": "CEO"})
        for record, key, value in ((lead, "title", "CTO"), (firm, "industry", "Energy")):
            crm.update(record, {key: value}, at=clock.tick())
        clock.tick()
        for record in (lead, firm):
            crm.update(record, {"phone": "1"})
        pages = pulled(connector, clock(), None)
        assert versions(pages, "leads") == [("CEO", 0), ("CTO", 1)]
        assert versions(pages, "accounts") == [("retail", 0), ("energy", 2)]
        crm.update(lead, {"title": "Clerk"}, at=clock.tick())
        since = clock.tick()
        crm.update(lead, {"phone": "2"})
        later = pulled(connector, clock(), Cursor(since))
        assert versions(later, "leads") == [("CEO", 0), ("CTO", 1), ("Clerk", 4)]


def pulled(connector: Connector, until: datetime, cursor: Cursor | None) -> list[Page]:
    """All pages after a cursor, each stream for the calls that were predicted."""
    pages = []
    for stream in connector.streams():
        price = connector.price(stream, cursor, connector.count(stream, cursor))
        before = dict(connector.usage.calls)
        found = list(connector.pull(stream, cursor if stream.incremental else None, until))
        pages += found
        if stream.table in ("leads", "accounts"):
            made = connector.usage.since(before)
            read = {kind: n for kind, n in price.calls.items() if kind in ("read", "search")}
            assert made.get("read", 0) + made.get("search", 0) == sum(read.values()), stream
    return pages


def versions(pages: list[Page], name: str) -> list[tuple[str, int]]:
    """The title or industry of the earlier versions of a table, and the hour of each."""
    column = {"leads": "title", "accounts": "industry"}[name]
    found = []
    for page in pages:
        if page.stream.table not in ("leads", "accounts"):
            assert page.earlier is None
        if page.stream.table != name or page.earlier is None:
            continue
        assert page.earlier.schema.names == [*page.rows.schema.names, KNOWN]
        for row in page.earlier.to_pylist():
            assert column in row[KNOWN]
            found.append((row[column], (row["modified_at"] - Clock().now).seconds // 3600))
    found.sort(key=lambda each: each[1])
    return [each for n, each in enumerate(found) if n == 0 or each[0] != found[n - 1][0]]


def test_what_salesforce_keeps_no_history_of_is_not_known() -> None:
    """A reference is told by ids; a field that is not tracked, and one that is told without its
    values, is unknown; nothing is known of before tracking was switched on."""
    with salesforce_world() as world:
        lead = world.lead(title="Clerk", technologies=["a"], industry="Retail", phone="1")
        tracked = ("Title", "OwnerId", "Tech_Stack__c", "Industry")
        since = world.clock.tick()
        world.face.rules.tracked["Lead"] = dict.fromkeys(tracked, since)
        world.lead()
        other = world.crm.add(Kind.USER, {"name": "Other", "email": "o@seller.example"})
        for changes in (
            {"owner": other.number, "technologies": ["b"]}, {"title": "CEO"}, {"phone": "2"},
        ):  # fmt: skip
            world.crm.update(lead, changes, at=world.clock.tick())
        connector = world.open(history=True)
        page = next(p for p in pulled(connector, world.clock(), None) if p.stream.name == "Lead")
        assert page.earlier is not None
        born, *rows = (row for row in page.earlier.to_pylist() if row["id"] == world.id(lead))
        assert born[KNOWN] == ["id", "object_type", "created_at"]
        assert [(row["modified_at"].hour, row["title"], row["owner_id"]) for row in rows] == [
            (13, "Clerk", world.id(world.rep)),
            (14, "Clerk", world.id(other)),
            (15, "CEO", world.id(other)),
        ]
        assert {row["industry"] for row in rows} == {"retail"}
        assert not any({"phone", "technologies"} & set(row[KNOWN]) for row in rows)
        (warned,) = (p.what for p in connector.check() if p.where == "Lead")
        assert "Phone" in warned
        assert "Title" not in warned


def row(hour: int, old: Any, new: Any) -> dict[str, Any]:
    """A row of a field's history."""
    return {"CreatedDate": f"2026-03-02T{hour:02}:00:00.000+0000", "OldValue": old, "NewValue": new}


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ([], [(-1, "now")]),
        ([row(1, "a", "b"), row(2, "b", None)], [(-1, "a"), (1, "b"), (2, None)]),
        ([row(1, "a", "b"), row(2, "x", "y")], [(2, "y")]),
        ([row(1, None, None)], []),
        ([row(1, "a", "b"), row(2, None, None), row(3, "c", "d")], [(3, "d")]),
    ],
)
def test_what_a_history_of_salesforce_proves(
    changes: list[dict[str, Any]], known: list[tuple[int, Any]]
) -> None:
    """Up to the first change the old value held; what does not join, or is not told, ends it."""
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    found = steps(changes, "now", midnight - timedelta(hours=1))
    assert [((at - midnight) // timedelta(hours=1), value) for at, value in found] == known
    assert steps(changes, "now", None) == ()


def test_what_hubspot_keeps_no_longer_is_not_known() -> None:
    """A property with as many values as HubSpot keeps is known from the oldest of them on."""
    with account() as own:
        firm = own.crm.add(Kind.ACCOUNT, {"name": "F0", "industry": "Retail"})
        for n in range(1, 25):
            own.crm.update(firm, {"name": f"F{n}"}, at=own.clock.tick())
        connector = own.connect(history=True)
        page = next(p for p in pulled(connector, own.clock(), None) if p.stream.name == "companies")
        assert page.earlier is not None
        rows = page.earlier.to_pylist()
        assert all("industry" in row[KNOWN] for row in rows)
        assert [row["name"] for row in rows if "name" in row[KNOWN]] == [
            f"F{n}" for n in range(5, 24)
        ]
        assert rows[0]["created_at"] == rows[0]["modified_at"]
