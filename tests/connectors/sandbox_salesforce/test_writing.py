"""Writing to the Salesforce face: records, collections, what is refused, the org's rules."""

from datetime import timedelta
from typing import Any

import pytest
from simple_salesforce.exceptions import (
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

from connectors.sandbox.crm import Kind
from connectors.sandbox.salesforce.org import id_of
from tests.connectors.sandbox_salesforce.world import World, patch, refusal


def test_record_by_record(world: World) -> None:
    """Create, read, update, clear and delete one record."""
    client = world.client()
    created = client.Lead.create({"LastName": "Bell", "Company": "Firm", "AnnualRevenue": 1.5})
    assert created["success"] is True
    identity = created["id"]
    world.now += timedelta(minutes=1)
    assert client.Lead.update(identity, {"Title": "CEO", "Company": "Other"}) == 204
    row = client.Lead.get(identity)
    assert (row["Title"], row["Company"], row["AnnualRevenue"]) == ("CEO", "Other", 2.0)
    assert row["SystemModstamp"] == "2026-03-01T12:01:00.000+0000"
    client.Lead.update(identity, {"Title": None})
    assert client.restful(f"sobjects/Lead/{identity}?fields=Title")["Title"] is None
    assert client.Lead.delete(identity) == 204
    for gone in (client.Lead.get, client.Lead.delete):
        with pytest.raises(SalesforceResourceNotFound):
            gone(identity)


def test_an_equal_value_moves_the_stamp_too(world: World) -> None:
    """Writing what is there already still counts as a change."""
    lead = world.lead(title="CEO")
    world.now += timedelta(minutes=1)
    world.client().Lead.update(id_of(lead), {"Title": "CEO"})
    assert lead.modified == world.now


@pytest.mark.parametrize(
    ("values", "code", "message"),
    [
        ({"Title": "x" * 129}, "STRING_TOO_LONG", "(max length=128)"),
        ({"NumberOfEmployees": 10**9}, "NUMBER_OUTSIDE_VALID_RANGE", "outside of valid range"),
        ({"NumberOfEmployees": "many"}, "JSON_PARSER_ERROR", "Cannot deserialize"),
        ({"Sales_Accepted__c": "2026-03-01T12:00:00"}, "JSON_PARSER_ERROR", "deserialize"),
        ({"Email": "nobody"}, "INVALID_EMAIL_ADDRESS", "invalid email address"),
        ({"Score__c": 1}, "INVALID_FIELD", "No such column 'Score__c' on sobject of type Lead"),
        ({"CreatedDate": None}, "INVALID_FIELD_FOR_INSERT_UPDATE", "CreatedDate"),
        ({"Id": "00Q"}, "INVALID_FIELD_FOR_INSERT_UPDATE", "Id"),
        ({"LastName": None}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]"),
        ({"OwnerId": None}, "INVALID_CROSS_REFERENCE_KEY", "owner cannot be blank"),
        ({"OwnerId": "abc"}, "MALFORMED_ID", "abc"),
        ({"OwnerId": "001000000000001"}, "MALFORMED_ID", "id value of incorrect type"),
        ({"OwnerId": "005000000000zzz"}, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference"),
    ],
)
def test_refused_values(world: World, values: dict[str, Any], code: str, message: str) -> None:
    """A value that does not fit is refused with its code, and nothing is stored."""
    lead = world.lead()
    before = (dict(lead.values), lead.modified)
    world.now += timedelta(minutes=1)
    with pytest.raises(SalesforceMalformedRequest) as refused:
        world.client().Lead.update(id_of(lead), values)
    assert refusal(refused) == (400, code)
    content: Any = refused.value.content
    assert message in content[0]["message"]
    assert (lead.values, lead.modified) == before


def test_inactive_owner(world: World) -> None:
    """Nothing can be given to an inactive user, and a contact not to a queue."""
    left = world.crm.add(Kind.USER, {"name": "Left", "email": "l@vendor.example", "active": False})
    queue = world.crm.add(Kind.QUEUE, {"name": "Web"})
    contact = world.crm.add(Kind.CONTACT, {"last_name": "Dee"})
    lead, client = world.lead(), world.client()
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.Lead.update(id_of(lead), {"OwnerId": id_of(left)})
    assert refusal(refused) == (400, "INACTIVE_OWNER_OR_USER")
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.Contact.update(id_of(contact), {"OwnerId": id_of(queue)})
    assert refusal(refused) == (400, "MALFORMED_ID")
    client.Lead.update(id_of(lead), {"OwnerId": id_of(queue)})
    assert lead.values["owner"] == queue.number


def test_task_for_a_rep(world: World) -> None:
    """A task created by a client is open, and belongs to its lead and owner."""
    lead, client = world.lead(), world.client()
    body = {"Subject": "Call back", "WhoId": id_of(lead), "ActivityDate": "2026-03-05"}
    identity = client.Task.create(body)["id"]
    row = client.Task.get(identity)
    assert (row["WhoId"], row["ActivityDate"]) == (id_of(lead), "2026-03-05")
    assert (row["Status"], row["IsClosed"], row["CompletedDateTime"]) == (
        "Not Started",
        False,
        None,
    )


@pytest.mark.parametrize(
    ("headers", "moved"),
    [({}, True), ({"Sforce-Auto-Assign": "TRUE"}, True), ({"Sforce-Auto-Assign": "FALSE"}, False)],
)
def test_assignment_rule(world: World, headers: dict[str, str], moved: bool) -> None:
    """An active rule takes every saved lead, unless the header forbids it."""
    queue = world.crm.add(Kind.QUEUE, {"name": "Web"})
    owner = world.crm.add(Kind.USER, {"name": "Rep", "email": "r@vendor.example"})
    lead = world.lead(owner=owner.number)
    world.face.rules.assign_to = queue.number
    world.client().Lead.update(id_of(lead), {"Title": "CEO"}, headers=headers)
    assert lead.values["owner"] == (queue.number if moved else owner.number)


def test_duplicate_rule(world: World) -> None:
    """An alerting rule refuses a second lead of one address, unless the header allows it."""
    world.lead(email="a@x.example")
    world.face.rules.duplicate_alert = True
    client = world.client()
    body = {"LastName": "Bell", "Company": "Firm", "Email": "A@X.example"}
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.Lead.create(body)
    assert refusal(refused) == (400, "DUPLICATES_DETECTED")
    allow = {"Sforce-Duplicate-Rule-Header": "allowSave=true; includeRecordDetails=false"}
    assert client.Lead.create(body, headers=allow)["success"] is True


def test_collection_has_an_outcome_for_each_record_in_order(world: World) -> None:
    """Good records are written between bad ones, in one call."""
    good, gone, busy, converted = world.leads(4)
    world.crm.delete(gone)
    world.crm.convert(converted)
    world.face.rules.locked[id_of(busy)] = 1
    records = [
        {"id": id_of(gone), "Title": "CEO"},
        {"Id": id_of(good), "Title": "CEO"},
        {"id": id_of(busy), "Title": "CEO"},
        {"id": id_of(converted), "Title": "CEO"},
        {"id": id_of(good), "Title": "CTO"},
        {"id": "00Q000000000zzz", "Title": "CEO"},
    ]
    client = world.client()
    outcomes = patch(client, *records)
    codes = [o["errors"][0]["statusCode"] if o["errors"] else o["id"] for o in outcomes]
    assert codes == [
        "ENTITY_IS_DELETED",
        id_of(good),
        "UNABLE_TO_LOCK_ROW",
        "CANNOT_UPDATE_CONVERTED_LEAD",
        "DUPLICATE_VALUE",
        "INVALID_CROSS_REFERENCE_KEY",
    ]
    assert [o["success"] for o in outcomes] == [False, True, False, False, False, False]
    assert id_of(busy) in outcomes[2]["errors"][0]["message"]
    assert good.values["title"] == "CEO"
    assert world.face.used == 1
    assert patch(client, records[2])[0]["success"] is True


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda rows: rows * 201, "LIMIT_EXCEEDED"),
        (lambda rows: [{**rows[0], "Nonsense__c": 1}], "INVALID_FIELD"),
        (lambda rows: [{**rows[0], "attributes": {"type": "Nonsense"}}], "INVALID_TYPE"),
        (lambda rows: [{**rows[0], "NumberOfEmployees": "many"}], "JSON_PARSER_ERROR"),
        (
            lambda rows: [*rows, {"attributes": {"type": "Contact"}}] * 6,
            "INVALID_OPERATION",
        ),
        (lambda _: [], "REQUIRED_FIELD_MISSING"),
    ],
)
def test_collection_refused_as_a_whole(world: World, change: Any, code: str) -> None:
    """A malformed collection is refused before anything is written."""
    lead = world.lead()
    rows = [{"attributes": {"type": "Lead"}, "id": id_of(lead), "Title": "CEO"}]
    body = {"allOrNone": False, "records": change(rows)}
    with pytest.raises(SalesforceMalformedRequest) as refused:
        world.client().restful("composite/sobjects", method="PATCH", json=body)
    assert refusal(refused) == (400, code)


def test_collection_create_read_and_delete(world: World) -> None:
    """Records are created, read back in the order asked for, and deleted."""
    client = world.client()
    rows = [{"attributes": {"type": "Lead"}, "LastName": name, "Company": "F"} for name in "AB"]
    made = client.restful("composite/sobjects", method="POST", json={"records": rows})
    ids = [outcome["id"] for outcome in made]
    asked = [ids[1], "00Q000000000zzz", ids[0]]
    body = {"ids": asked, "fields": ["LastName"]}
    posted = client.restful("composite/sobjects/Lead", method="POST", json=body)
    got = client.restful(
        "composite/sobjects/Lead", params={"ids": ",".join(asked), "fields": "LastName"}
    )
    assert posted == got
    assert [row and row["LastName"] for row in got] == ["B", None, "A"]
    outcomes = client.restful(
        "composite/sobjects", method="DELETE", params={"ids": ",".join(asked)}
    )
    assert [outcome["success"] for outcome in outcomes] == [True, False, True]
    assert client.query("SELECT COUNT() FROM Lead")["totalSize"] == 0
