"""Batches of writes, and what a value may be."""

import json
from datetime import timedelta

import pytest

from connectors.sandbox.crm import Kind
from tests.connectors.sandbox_hubspot.world import MINUTE, T0, World, ids, refused, where


def test_batch_read_tells_the_missing_ids(world: World) -> None:
    person, other = world.people(2)
    answer = world.client.crm.contacts.batch_api.read(
        {
            "inputs": [{"id": str(person.number)}, {"id": "999"}, {"id": str(other.number)}],
            "properties": ["email"],
            "propertiesWithHistory": [],
        }
    )
    assert [int(row.id) for row in answer.results] == [other.number, person.number]
    assert (answer.num_errors, answer.errors[0].category) == (1, "OBJECT_NOT_FOUND")
    assert answer.errors[0].context == {"ids": ["999"]}


def test_batch_update_writes_the_found_and_tells_the_missing(world: World) -> None:
    person = world.person(last_name="L", phone="1")
    world.now = T0 + MINUTE
    answer = world.call(
        "POST",
        "/crm/v3/objects/contacts/batch/update",
        {
            "inputs": [
                {"id": str(person.number), "properties": {"phone": "", "jobtitle": "CTO"}},
                {"id": "999", "properties": {"phone": "2"}},
            ]
        },
    )
    assert answer.status == 207
    body = answer.json()
    assert body["errors"][0]["context"] == {"ids": ["999"]}
    (row,) = body["results"]
    assert row["updatedAt"] == "2026-03-01T12:01:00.000Z"
    assert set(row["properties"]) == {
        "phone",
        "jobtitle",
        "hs_object_id",
        "createdate",
        "lastmodifieddate",
    }
    assert (person.values["phone"], person.values["title"]) == (None, "CTO")


def test_one_refused_value_refuses_the_whole_batch(world: World) -> None:
    good, bad = world.people(2)
    api = world.client.crm.contacts.batch_api
    inputs = [
        {"id": str(good.number), "properties": {"phone": "1"}},
        {"id": str(bad.number), "properties": {"no_such": "1", "hs_email_open": "3"}},
    ]
    status, body = refused(lambda: api.update({"inputs": inputs}))
    assert (status, body["category"]) == (400, "VALIDATION_ERROR")
    prefix, _, listed = body["message"].partition("valid: ")
    assert prefix == "Property values were not "
    assert [(each["name"], each["error"]) for each in json.loads(listed)] == [
        ("no_such", "PROPERTY_DOESNT_EXIST"),
        ("hs_email_open", "READ_ONLY_VALUE"),
    ]
    assert "phone" not in good.values


@pytest.mark.parametrize(
    ("operation", "size", "status"),
    [
        ("read", 100, 207),
        ("read", 101, 400),
        ("update", 100, 207),
        ("update", 101, 400),
        ("archive", 101, 400),
    ],
)
def test_batches_take_a_hundred(world: World, operation: str, size: int, status: int) -> None:
    body = {"inputs": [{"id": str(9000 + n), "properties": {}} for n in range(size)]}
    path = f"/crm/v3/objects/contacts/batch/{operation}"
    assert world.call("POST", path, body).status == status


def test_duplicate_ids_in_a_batch_are_refused(world: World) -> None:
    person = world.person(last_name="L")
    each = {"id": str(person.number), "properties": {"phone": "1"}}
    answer = world.call("POST", "/crm/v3/objects/contacts/batch/update", {"inputs": [each, each]})
    assert answer.status == 400
    assert "phone" not in person.values


def test_create_conflict_names_the_id_in_the_text(world: World) -> None:
    person = world.person(email="a@x.example")
    api = world.client.crm.contacts.basic_api
    status, body = refused(lambda: api.create({"properties": {"email": "A@X.example"}}))
    assert (status, body["category"]) == (409, "CONFLICT")
    assert body["message"] == f"Contact already exists. Existing ID: {person.number}"


def test_upsert_by_email_creates_and_updates(world: World) -> None:
    person = world.person(email="a@x.example")
    inputs = [
        {"idProperty": "email", "id": "A@x.example", "properties": {"phone": "1"}},
        {"idProperty": "email", "id": "b@x.example", "properties": {"phone": "2"}},
    ]
    answer = world.client.crm.contacts.batch_api.upsert({"inputs": inputs})
    assert [(row.new, row.properties["phone"]) for row in answer.results] == [
        (False, "1"),
        (True, "2"),
    ]
    assert person.values["phone"] == "1"
    assert ids(world.search(**where("email", "EQ", "b@x.example"))) == [int(answer.results[1].id)]


def test_an_upsert_conflict_refuses_all(world: World) -> None:
    world.person(email="taken@x.example")
    mine = world.person(email="mine@x.example")
    inputs = [
        {"idProperty": "email", "id": "new@x.example", "properties": {}},
        {
            "idProperty": "email",
            "id": "mine@x.example",
            "properties": {"email": "taken@x.example"},
        },
    ]
    api = world.client.crm.contacts.batch_api
    assert refused(lambda: api.upsert({"inputs": inputs}))[0] == 409
    assert world.search()["total"] == 2
    assert mine.values["email"] == "mine@x.example"


def test_batch_update_by_email_is_refused(world: World) -> None:
    world.person(email="a@x.example")
    each = {"idProperty": "email", "id": "a@x.example", "properties": {"phone": "1"}}
    status, body = refused(lambda: world.client.crm.contacts.batch_api.update({"inputs": [each]}))
    assert status == 400
    assert "non-unique 0-1 property" in body["message"]


def test_batch_create_and_archive(world: World) -> None:
    api = world.client.crm.companies.batch_api
    made = api.create(
        {"inputs": [{"properties": {"name": n, "industry": "RETAIL"}} for n in "AB"]}
    ).results
    assert [row.properties["name"] for row in made] == ["A", "B"]
    assert [r.values["industry"] for r in world.crm.records(Kind.ACCOUNT)] == ["Retail"] * 2
    api.archive({"inputs": [{"id": made[0].id}, {"id": "999"}]})
    assert ids(world.get("/crm/v3/objects/companies")) == [int(made[1].id)]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("annualrevenue", "much", "INVALID_LONG"),
        ("annualrevenue", "NaN", "INVALID_LONG"),
        ("hs_lead_status", "HAPPY", "INVALID_OPTION"),
        ("tech_stack", "A;Z", "INVALID_OPTION"),
        ("hs_email_optout", "maybe", "INVALID_OPTION"),
        ("sales_accepted_at", "yesterday", "INVALID_DATE"),
        ("email", "nobody", "INVALID_EMAIL"),
        ("hubspot_owner_id", "777", "INVALID_OWNER_ID"),
        ("hs_object_id", "1", "READ_ONLY_VALUE"),
        ("Leadgauge_Score__c", "1", "PROPERTY_DOESNT_EXIST"),
        ("lastname", "x" * 65_537, "INVALID_LENGTH"),
    ],
)
def test_values_that_are_refused(world: World, name: str, value: str, error: str) -> None:
    person = world.person(last_name="L", technologies=["A", "B"])
    api = world.client.crm.contacts.basic_api
    status, body = refused(lambda: api.update(str(person.number), {"properties": {name: value}}))
    assert status == 400
    (problem,) = json.loads(body["message"].partition("valid: ")[2])
    assert (problem["error"], problem["isValid"], problem["name"]) == (error, False, name.lower())


def test_option_errors_list_all_options(world: World) -> None:
    person = world.person(technologies=["A", "B"])
    _, body = refused(
        lambda: world.client.crm.contacts.basic_api.update(
            str(person.number), {"properties": {"tech_stack": "C"}}
        )
    )
    assert "C was not one of the allowed options: [A, B]" in body["message"]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("annualrevenue", "1234.50", "1234.5"),
        ("numemployees", "12", "12"),
        ("sales_accepted_at", "1772366400123", "2026-03-01T12:00:00.123Z"),
        ("sales_accepted_at", "2026-03-01T12:00:00Z", "2026-03-01T12:00:00.000Z"),
        ("hs_email_optout", "True", "true"),
        ("tech_stack", "B", "B"),
        ("tech_stack", ";B", "A;B"),
        ("firstname", "", None),
    ],
)
def test_values_come_back_as_text(world: World, name: str, value: str, shown: str) -> None:
    person = world.person(first_name="F", technologies=["A"])
    world.person(technologies=["B"])
    row = world.client.crm.contacts.basic_api.update(
        str(person.number), {"properties": {name: value}}
    )
    assert row.properties[name] == shown


def test_owners_that_can_be_given(world: World) -> None:
    active = world.crm.add(Kind.USER, {"name": "A B", "active": True})
    left = world.crm.add(Kind.USER, {"name": "C D", "active": False})
    person = world.person(last_name="L")
    api = world.client.crm.contacts.basic_api
    userid = world.get("/crm/v3/owners/")["results"][0]["userId"]
    for wrong in (left.number, userid):
        change = {"properties": {"hubspot_owner_id": str(wrong)}}
        assert refused(lambda c=change: api.update(str(person.number), c))[0] == 400
    api.update(str(person.number), {"properties": {"hubspot_owner_id": str(active.number)}})
    assert person.values["owner"] == active.number
    api.update(str(person.number), {"properties": {"hubspot_owner_id": ""}})
    assert person.values["owner"] is None


def test_lifecycle_moves_back_only_after_it_was_cleared(world: World) -> None:
    person = world.person(last_name="L")
    api = world.client.crm.contacts.basic_api

    def put(stage: str) -> str | None:
        row = api.update(str(person.number), {"properties": {"lifecyclestage": stage}})
        shown: str | None = row.properties["lifecyclestage"]
        return shown

    stages = ["opportunity", "lead", "", "lead"]
    assert [put(stage) for stage in stages] == ["opportunity", "opportunity", None, "lead"]


def test_a_write_without_change_moves_the_stamp(world: World) -> None:
    person = world.person(last_name="L")
    world.now = T0 + timedelta(milliseconds=1)
    row = world.client.crm.contacts.basic_api.update(
        str(person.number), {"properties": {"lastname": "L"}}
    )
    assert row.updated_at == T0 + timedelta(milliseconds=1)


def test_a_deal_is_closed_by_its_stage(world: World) -> None:
    deal = world.crm.add(Kind.DEAL, {"name": "D", "stage": "Qualification", "people": []})
    api = world.client.crm.deals.basic_api
    assert api.get_by_id(str(deal.number)).properties["dealstage"] == "qualifiedtobuy"
    api.update(str(deal.number), {"properties": {"dealstage": "closedwon"}})
    row = api.get_by_id(str(deal.number), properties=["dealstage", "hs_is_closed_won"])
    assert (row.properties["dealstage"], row.properties["hs_is_closed_won"]) == (
        "closedwon",
        "true",
    )
