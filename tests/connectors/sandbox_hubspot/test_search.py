"""Search: operators, caps, id windows and the lagging index."""

import json
from datetime import timedelta
from typing import Any

import pytest

from connectors.sandbox.crm import Kind, Record
from tests.connectors.sandbox_hubspot.world import MINUTE, MS, T0, World, ids, where


def search_world(world: World) -> list[Record]:
    """Five people with distinct values, the last with none."""
    people = [
        world.crm.add(
            Kind.LEAD,
            {
                "last_name": name,
                "email": f"{name}@x.example".lower(),
                "revenue": revenue,
                "technologies": technologies,
            },
            at=T0 + place * MINUTE,
        )
        for place, (name, revenue, technologies) in enumerate(
            [("Ada", 10, ["A"]), ("bob", 9, ["A", "B"]), ("Cy Dee", 100, ["B"]), ("Dan", 11, ["A"])]
        )
    ]
    return [*people, world.crm.add(Kind.LEAD, {"email": "z@x.example"}, at=T0 + 4 * MINUTE)]


STAMP = "lastmodifieddate"


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        (where("annualrevenue", "GT", "10"), [2, 3]),
        (where("annualrevenue", "GTE", "10"), [0, 2, 3]),
        (where("annualrevenue", "LT", "10"), [1]),
        (where("annualrevenue", "LTE", "10"), [0, 1]),
        (where("annualrevenue", "BETWEEN", "10", highValue="11"), [0, 3]),
        (where("lastname", "EQ", "ADA"), [0]),
        (where("lastname", "NEQ", "ada"), [1, 2, 3]),
        (where("lastname", "IN", values=["ada", "bob"]), [0, 1]),
        (where("lastname", "IN", values=["Ada"]), []),
        (where("lastname", "NOT_IN", values=["ada"]), [1, 2, 3]),
        (where("lastname", "HAS_PROPERTY"), [0, 1, 2, 3]),
        (where("lastname", "NOT_HAS_PROPERTY"), [4]),
        (where("lastname", "CONTAINS_TOKEN", "DEE"), [2]),
        (where("lastname", "CONTAINS_TOKEN", "D*"), [2, 3]),
        (where("lastname", "NOT_CONTAINS_TOKEN", "dee"), [0, 1, 3]),
        (where("tech_stack", "IN", values=["B"]), [1, 2]),
        (where("tech_stack", "EQ", "b"), []),
        (where(STAMP, "GTE", str(MS + 120_000)), [2, 3, 4]),
        (where(STAMP, "LTE", "2026-03-01T12:01:00Z"), [0, 1]),
        ({"filterGroups": [], "query": "dee"}, [2]),
        (
            {
                "filterGroups": [
                    {"filters": where("lastname", "EQ", "ada")["filterGroups"][0]["filters"]},
                    {"filters": where("lastname", "EQ", "dan")["filterGroups"][0]["filters"]},
                ]
            },
            [0, 3],
        ),
    ],
)
def test_search_operators(world: World, filter: dict[str, Any], found: list[int]) -> None:
    people = search_world(world)
    answer = world.search(**filter)
    assert ids(answer) == [people[place].number for place in found]
    assert answer["total"] == len(found)
    assert "paging" not in answer


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ([], [0, 1, 2, 3, 4]),
        ([{"propertyName": "annualrevenue", "direction": "ASCENDING"}], [1, 0, 3, 2, 4]),
        ([{"propertyName": "annualrevenue", "direction": "DESCENDING"}], [2, 3, 0, 1, 4]),
        (["-hs_object_id"], [4, 3, 2, 1, 0]),
    ],
)
def test_search_sorts(world: World, sort: list[Any], order: list[int]) -> None:
    people = search_world(world)
    assert ids(world.search(sorts=sort)) == [people[place].number for place in order]


def test_ids_compare_as_numbers(world: World) -> None:
    people = world.people(12)
    found = ids(world.search(**where("hs_object_id", "GT", "9")))
    assert found == [person.number for person in people if person.number > 9]


def test_search_by_association(world: World) -> None:
    account = world.crm.add(Kind.ACCOUNT, {"name": "A"})
    person = world.person(last_name="L", account=account.number)
    world.person(last_name="M")
    assert ids(world.search(**where("associations.company", "EQ", str(account.number)))) == [
        person.number
    ]


def some_filters(*sizes: int) -> dict[str, Any]:
    one = {"propertyName": "email", "operator": "HAS_PROPERTY"}
    return {"filterGroups": [{"filters": [one] * size} for size in sizes]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"limit": 200}, 200),
        ({"limit": 201}, 400),
        ({"limit": 200, "after": "9800"}, 200),
        ({"limit": 200, "after": "9900"}, 400),
        ({"limit": 1, "after": "10000"}, 400),
        (some_filters(6, 6, 6), 200),
        (some_filters(7), 400),
        (some_filters(1, 1, 1, 1, 1), 200),
        (some_filters(1, 1, 1, 1, 1, 1), 400),
        (some_filters(6, 6, 6, 1), 400),
        ({"sorts": ["email", "lastname"]}, 400),
        ({"properties": ["x" * 2900]}, 200),
        ({"properties": ["x" * 3000]}, 400),
        (where("annualrevenue", "GT", "many"), 400),
        (where("email", "LIKE", "x"), 400),
        (where("hs_lastmodifieddate", "GT", "1"), 400),
    ],
)
def test_search_caps(world: World, body: dict[str, Any], status: int) -> None:
    assert world.call("POST", "/crm/v3/objects/contacts/search", body).status == status


def test_a_wrong_stamp_name_finds_nothing_in_other_objects(world: World) -> None:
    world.crm.add(Kind.ACCOUNT, {"name": "A"})
    assert world.search("companies", **where(STAMP, "GT", "1"))["total"] == 0
    assert world.search("companies", **where("hs_lastmodifieddate", "GT", "1"))["total"] == 1


def test_ten_thousand_with_one_stamp_are_read_by_id_windows(world: World) -> None:
    """12,000 contacts share one modified stamp; the id window gets them all."""
    for n in range(12_000):
        world.crm.add(Kind.LEAD, {"last_name": f"L{n}"}, at=T0)
    api = world.client.crm.contacts.search_api
    read: list[int] = []
    after, last = "0", 0
    while True:
        request = {
            "filterGroups": [
                {
                    "filters": [
                        {"propertyName": STAMP, "operator": "GTE", "value": str(MS)},
                        {"propertyName": "hs_object_id", "operator": "GT", "value": str(last)},
                    ]
                }
            ],
            "sorts": ["hs_object_id"],
            "properties": ["hs_object_id"],
            "limit": 200,
            "after": after,
        }
        page = json.loads(api.do_search(request, _preload_content=False).data)
        read += ids(page)
        if "paging" not in page:
            break
        after = page["paging"]["next"]["after"]
        if after == "10000":
            after, last = "0", read[-1]
    assert read == [r.number for r in world.crm.records(Kind.LEAD)]
    assert len(read) == 12_000


def test_the_index_lags_with_old_values(world: World) -> None:
    """Search neither shows new records nor new values at once; the list does."""
    world.options |= {"index_lag": 30.0}
    person = world.crm.add(Kind.LEAD, {"last_name": "Old"}, at=T0 - MINUTE)
    assert ids(world.search()) == [person.number]
    world.crm.update(person, {"last_name": "New"})
    new = world.person(last_name="Added")

    def shown() -> list[tuple[int, str]]:
        rows = world.search()["results"]
        return [(int(row["id"]), row["properties"]["lastname"]) for row in rows]

    assert shown() == [(person.number, "Old")]
    assert ids(world.get("/crm/v3/objects/contacts")) == [person.number, new.number]
    world.now = T0 + timedelta(seconds=29)
    assert shown() == [(person.number, "Old")]
    world.now = T0 + timedelta(seconds=30)
    assert shown() == [(person.number, "New"), (new.number, "Added")]
    world.crm.delete(new, bump=False)
    assert shown() == [(person.number, "New")]
