"""Lists, single records and the properties computed for them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sandbox.crm import Kind
from connectors.sandbox.hubspot.limits import TOKEN
from tests.connectors.sandbox_hubspot.world import MINUTE, T0, World, ids, refused


def test_list_pages_by_id_to_the_end(world: World) -> None:
    numbers = [person.number for person in world.people(250)]
    api = world.client.crm.contacts.basic_api
    pages, after = [], None
    while True:
        page = api.get_page(limit=100, after=after, properties=["email"])
        pages.append([int(row.id) for row in page.results])
        if page.paging is None:
            break
        after = page.paging.next.after
    assert [len(page) for page in pages] == [100, 100, 50]
    assert [n for page in pages for n in page] == numbers


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"limit": 100}, 200),
        ({"limit": 101}, 400),
        ({"limit": 50, "propertiesWithHistory": "email"}, 200),
        ({"limit": 51, "propertiesWithHistory": "email"}, 400),
        ({"after": "x"}, 400),
    ],
)
def test_list_limits(world: World, query: dict[str, Any], status: int) -> None:
    assert world.call("GET", "/crm/v3/objects/contacts", **query).status == status


def test_a_list_that_changes_while_it_is_walked_skips_none(world: World) -> None:
    people = world.people(30)
    first = world.get("/crm/v3/objects/contacts", limit=10)
    world.crm.delete(people[10], bump=False)
    late = world.person(last_name="Late")
    rest = world.get("/crm/v3/objects/contacts", limit=100, after=first["paging"]["next"]["after"])
    assert ids(first) + ids(rest) == [
        *(p.number for p in people if p is not people[10]),
        late.number,
    ]


def test_every_value_is_text_and_null_when_empty(world: World) -> None:
    """The vendor's habits: numbers as "120.0" or "7", times with milliseconds, lists by ;."""
    owner = world.crm.add(Kind.USER, {"name": "Ann Lee", "active": True})
    account = world.crm.add(
        Kind.ACCOUNT,
        {
            "name": "Zürich AG",
            "website": "https://www.zuerich.example/x",
            "industry": "Healthcare",
            "employees": 120,
            "technologies": ["A", "B"],
            "owner": owner.number,
            "country": "",
        },
    )
    names = "name,domain,industry,numberofemployees,tech_stack,hubspot_owner_id,country,nonsense"
    row = world.get(f"/crm/v3/objects/companies/{account.number}", properties=names)
    assert row["properties"] == {
        "name": "Zürich AG",
        "domain": "zuerich.example",
        "industry": "HOSPITAL_HEALTH_CARE",
        "numberofemployees": "120.0",
        "tech_stack": "A;B",
        "hubspot_owner_id": str(owner.number),
        "country": None,
        "hs_object_id": str(account.number),
        "createdate": "2026-03-01T12:00:00.000Z",
        "hs_lastmodifieddate": "2026-03-01T12:00:00.000Z",
    }
    assert row["archived"] is False


@pytest.mark.parametrize(
    "target",
    [
        "/crm/v3/objects/contacts?properties=email&properties=lastname",
        "/crm/v3/objects/contacts/?properties=email,lastname&archived=False",
        "/crm/v3/objects/0-1?properties=EMAIL,lastname&archived=false",
    ],
)
def test_spellings_of_one_request(world: World, target: str) -> None:
    world.person(email="A@X.example", last_name="Ł")
    row = world.http.request(
        "GET", world.server.url + target, headers={"Authorization": f"Bearer {TOKEN}"}
    ).json()["results"][0]
    assert row["properties"]["email"] == "a@x.example"
    assert row["properties"]["lastname"] == "Ł"
    assert "phone" not in row["properties"]


def test_default_properties(world: World) -> None:
    person = world.person(email="a@x.example", last_name="L")
    row = world.client.crm.contacts.basic_api.get_by_id(str(person.number))
    assert set(row.properties) == {
        "createdate",
        "email",
        "firstname",
        "hs_object_id",
        "lastmodifieddate",
        "lastname",
    }


def test_archived_records_stand_apart_with_an_unmoved_stamp(world: World) -> None:
    """Archiving is only seen in the archived list; the modified stamp says nothing."""
    gone, stays = world.people(2)
    world.now = T0 + MINUTE
    api = world.client.crm.contacts.basic_api
    api.archive(str(gone.number))
    assert [row.id for row in api.get_page(archived=False).results] == [str(stays.number)]
    (row,) = api.get_page(archived=True).results
    assert (row.id, row.archived) == (str(gone.number), True)
    assert (row.updated_at, row.archived_at) == (T0, T0 + MINUTE)
    assert refused(lambda: api.get_by_id(str(gone.number)))[0] == 404
    assert api.get_by_id(str(gone.number), archived=True).archived is True
    assert ids(world.search()) == [stays.number]
    world.crm.restore(gone)
    assert [row.id for row in api.get_page().results] == [str(gone.number), str(stays.number)]


def test_history_gives_value_time_and_source(world: World) -> None:
    person = world.person(last_name="L")
    row = world.client.crm.contacts.basic_api.get_by_id(
        str(person.number), properties_with_history=["lastname"]
    )
    (version,) = row.properties_with_history["lastname"]
    assert (version.value, version.timestamp, version.source_type) == ("L", T0, "INTEGRATION")


def test_history_is_newest_first_and_of_limited_length(world: World) -> None:
    """Only changes of a property count, clearing it too; 45 of a contact's are kept, of a
    company's 20; what was never set has none. Batches of 50."""
    person = world.person(last_name="L")
    firm = world.crm.add(Kind.ACCOUNT, {"name": "F"})
    for n in range(1, 50):
        world.now += MINUTE
        world.crm.update(person, {"last_name": f"L{n}", "title": "CEO" if n < 3 else None}, by=7)
        world.crm.update(firm, {"name": f"F{n}"})
    body = {"propertiesWithHistory": ["lastname", "jobtitle", "phone"], "properties": []}
    path = "/crm/v3/objects/contacts/batch/read"
    (row,) = world.post(path, {"inputs": [{"id": str(person.number)}], **body})["results"]
    told = row["propertiesWithHistory"]
    assert [version["value"] for version in told["lastname"]] == [f"L{n}" for n in range(49, 4, -1)]
    assert [(v["value"], v["timestamp"], v["sourceType"]) for v in told["jobtitle"]] == [
        ("", "2026-03-01T12:03:00.000Z", "CRM_UI"), ("CEO", "2026-03-01T12:01:00.000Z", "CRM_UI"),
    ]  # fmt: skip
    assert told["phone"] == []
    named = {"inputs": [{"id": str(firm.number)}], "propertiesWithHistory": ["name"]}
    (row,) = world.post("/crm/v3/objects/companies/batch/read", named)["results"]
    assert len(row["propertiesWithHistory"]["name"]) == 20
    many = [{"id": str(n)} for n in range(1, 52)]
    assert world.call("POST", path, {"inputs": many, **body}).status == 400


def test_late_commits_appear_in_lists_already_asked_for(world: World) -> None:
    held = world.person(last_name="Late")
    held.visible_from = T0 + MINUTE
    assert ids(world.get("/crm/v3/objects/contacts")) == []
    world.now = T0 + MINUTE
    assert ids(world.get("/crm/v3/objects/contacts")) == [held.number]


def test_the_same_request_answers_anew_after_a_write(world: World) -> None:
    person = world.person(last_name="Old")
    path = "/crm/v3/objects/contacts"
    assert world.get(path)["results"][0]["properties"]["lastname"] == "Old"
    world.crm.update(person, {"last_name": "New"})
    assert world.get(path)["results"][0]["properties"]["lastname"] == "New"


def test_long_urls_meet_the_edge(world: World) -> None:
    answer = world.call("GET", "/crm/v3/objects/contacts", properties="x" * 16_000)
    assert answer.status == 414
    assert answer.data.startswith(b"<html>")


def test_analytics_are_counted_from_the_activities(world: World) -> None:
    person = world.person(email="a@x.example")
    for minutes, kind, values in [
        (1, "page_view", {"url": "https://s.example/a"}),
        (3, "page_view", {"url": "https://s.example/b"}),
        (2, "email_open", {}),
        (4, "email_click", {}),
        (5, "form_submission", {"asset": "Demo"}),
        (6, "form_submission", {"asset": "Price list"}),
        (7, "trade_show", {"campaign": "Factory Days"}),
    ]:
        world.did(person, kind, T0 + minutes * MINUTE, **values)
    expected = {
        "hs_analytics_num_page_views": "2.0",
        "hs_analytics_last_timestamp": "2026-03-01T12:07:00.000Z",
        "hs_analytics_last_visit_timestamp": "2026-03-01T12:03:00.000Z",
        "hs_analytics_last_url": "https://s.example/b",
        "hs_email_open": "1",
        "hs_email_click": "1",
        "hs_email_last_open_date": "2026-03-01T12:02:00.000Z",
        "hs_email_last_click_date": "2026-03-01T12:04:00.000Z",
        "num_conversion_events": "2",
        "first_conversion_date": "2026-03-01T12:05:00.000Z",
        "recent_conversion_date": "2026-03-01T12:06:00.000Z",
        "recent_conversion_event_name": "Price list",
    }
    row = world.get(f"/crm/v3/objects/contacts/{person.number}", properties=",".join(expected))
    assert {name: row["properties"][name] for name in expected} == expected


@pytest.mark.parametrize(
    ("kind", "type", "values", "expected"),
    [
        (
            "calls",
            "call",
            {"duration": 90, "direction": "inbound", "outcome": "No answer"},
            {
                "hs_call_duration": "90000",
                "hs_call_direction": "INBOUND",
                "hs_call_disposition": "73a0d17f-1163-4015-bdd5-ec830791da20",
                "hs_timestamp": "2026-03-01T12:00:00.000Z",
            },
        ),
        (
            "meetings",
            "meeting",
            {"duration": 1800, "outcome": "No show"},
            {"hs_meeting_end_time": "2026-03-01T12:30:00.000Z", "hs_meeting_outcome": "NO_SHOW"},
        ),
        ("emails", "email_reply", {"subject": "Re"}, {"hs_email_direction": "INCOMING_EMAIL"}),
        ("emails", "email_sent", {"subject": "Hi"}, {"hs_email_subject": "Hi"}),
        ("notes", "note", {"subject": "N"}, {"hs_note_body": "N"}),
        ("tasks", "task", {"subject": "T"}, {"hs_task_subject": "T"}),
        (
            "communications",
            "social_message",
            {},
            {"hs_communication_channel_type": "LINKEDIN_MESSAGE"},
        ),
    ],
)
def test_engagements(
    world: World, kind: str, type: str, values: dict[str, Any], expected: dict[str, str]
) -> None:
    person = world.person(last_name="L")
    activity = world.did(person, type, **values)
    world.did(person, "page_view")
    answer = world.get(f"/crm/v3/objects/{kind}", properties=",".join(expected))
    (row,) = answer["results"]
    assert row["id"] == str(activity.number)
    assert {name: row["properties"][name] for name in expected} == expected


@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(0, 40),
    limit=st.integers(1, 100),
    gone=st.sets(st.integers(0, 39)),
)
def test_lists_and_archive_together_hold_every_record_once(
    size: int, limit: int, gone: set[int]
) -> None:
    world = World()
    people = world.people(size)
    for place in gone & set(range(size)):
        world.crm.delete(people[place], bump=False)

    def walk(archived: bool) -> list[int]:
        found: list[int] = []
        query: dict[str, Any] = {"limit": limit, "archived": archived}
        while True:
            page = world.get("/crm/v3/objects/contacts", **query)
            found += ids(page)
            if "paging" not in page:
                return found
            query["after"] = page["paging"]["next"]["after"]

    live, archived = walk(False), walk(True)
    world.close()
    assert live == [p.number for n, p in enumerate(people) if n not in gone]
    assert archived == [p.number for n, p in enumerate(people) if n in gone]
