"""Properties, owners and pipelines."""

from typing import Any

import pytest

from connectors.sandbox.crm import Kind
from tests.connectors.sandbox_hubspot.world import World, ids, refused, where


def test_properties_describe_what_can_be_written(world: World) -> None:
    world.person(technologies=["B", "A"])
    rows = world.client.crm.properties.core_api.get_all("contacts").results
    by_name = {row.name: row for row in rows}
    assert by_name["hs_email_open"].modification_metadata.read_only_value is True
    assert by_name["email"].modification_metadata.read_only_value is False
    stack = by_name["tech_stack"]
    assert (stack.type, stack.field_type, stack.hubspot_defined) == (
        "enumeration",
        "checkbox",
        False,
    )
    assert [option.value for option in stack.options] == ["A", "B"]
    accepted = by_name["sales_accepted_at"]
    assert (accepted.type, accepted.field_type) == ("datetime", "date")


def score_property(**more: Any) -> dict[str, Any]:
    return {
        "name": "leadgauge_score",
        "label": "Score",
        "type": "number",
        "fieldType": "number",
        "groupName": "leadgauge",
    } | more


def test_a_created_property_takes_values(world: World) -> None:
    person = world.person(last_name="L")
    api = world.client.crm.properties
    group = {"name": "leadgauge", "label": "leadgauge", "displayOrder": -1}
    assert api.groups_api.create("contacts", group).name == "leadgauge"
    made = api.core_api.create("contacts", score_property())
    assert (made.name, made.hubspot_defined) == ("leadgauge_score", False)
    contacts = world.client.crm.contacts.basic_api
    row = contacts.update(str(person.number), {"properties": {"leadgauge_score": "98.5"}})
    assert row.properties["leadgauge_score"] == "98.5"
    assert ids(world.search(**where("leadgauge_score", "GT", "9"))) == [person.number]
    status, _ = refused(lambda: api.core_api.create("contacts", score_property()))
    assert status == 409
    api.core_api.archive("contacts", "leadgauge_score")
    change = {"properties": {"leadgauge_score": "1"}}
    _, body = refused(lambda: contacts.update(str(person.number), change))
    assert "PROPERTY_DOESNT_EXIST" in body["message"]
    (archived,) = api.core_api.get_all("contacts", archived=True).results
    assert archived.name == "leadgauge_score"
    assert refused(lambda: api.core_api.create("contacts", score_property()))[0] == 409


@pytest.mark.parametrize(
    "given",
    [
        {"groupName": "nowhere"},
        {"name": "Leadgauge_Score__c"},
        {"name": "hs_score"},
        {"name": "9lives"},
        {"type": "number", "fieldType": "text"},
        {"label": ""},
    ],
)
def test_properties_that_are_refused(world: World, given: dict[str, Any]) -> None:
    body = score_property(groupName="contactinformation") | given
    assert world.call("POST", "/crm/v3/properties/contacts", body).status == 400


def test_changed_options_replace_the_old_ones(world: World) -> None:
    person = world.person(technologies=["A"])
    options = [{"label": "C", "value": "C", "displayOrder": 0, "hidden": False}]
    world.client.crm.properties.core_api.update("contacts", "tech_stack", {"options": options})
    api = world.client.crm.contacts.basic_api
    api.update(str(person.number), {"properties": {"tech_stack": "C"}})
    assert person.values["technologies"] == ["C"]
    assert (
        refused(lambda: api.update(str(person.number), {"properties": {"tech_stack": "A"}}))[0]
        == 400
    )


def test_owners(world: World) -> None:
    ann = world.crm.add(Kind.USER, {"name": "Ann Lee", "email": "ann@x.example", "active": True})
    left = world.crm.add(Kind.USER, {"name": "Bob Roe", "email": "bob@x.example", "active": False})
    queue = world.crm.add(Kind.QUEUE, {"name": "Inbound"})
    api = world.client.crm.owners.owners_api
    rows = api.get_page(archived=False, limit=500).results
    assert [(row.id, row.type) for row in rows] == [
        (str(ann.number), "PERSON"),
        (str(queue.number), "QUEUE"),
    ]
    assert (rows[0].first_name, rows[0].last_name) == ("Ann", "Lee")
    assert rows[0].user_id not in (None, ann.number)
    (gone,) = api.get_page(archived=True).results
    assert (gone.id, gone.archived, gone.user_id) == (str(left.number), True, None)
    assert gone.user_id_including_inactive is not None
    assert [row.id for row in api.get_page(email="ann@x.example").results] == [str(ann.number)]
    first = api.get_page(limit=1)
    assert api.get_page(limit=1, after=first.paging.next.after).results[0].id == str(queue.number)
    assert api.get_by_id(ann.number).email == "ann@x.example"
    assert refused(lambda: api.get_by_id(999))[0] == 404


def test_pipelines(world: World) -> None:
    (pipeline,) = world.client.crm.pipelines.pipelines_api.get_all("deals").results
    closed = {s.id for s in pipeline.stages if s.metadata["isClosed"] == "true"}
    assert closed == {"closedwon", "closedlost"}
    assert (
        refused(lambda: world.client.crm.pipelines.pipelines_api.get_by_id("deals", "nope"))[0]
        == 404
    )
