"""Field history as the Salesforce face shows it."""

from datetime import timedelta
from typing import Any

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest

from connectors.sandbox.crm import Kind
from connectors.sandbox.salesforce.org import id_of
from tests.connectors.sandbox_salesforce.world import START, World, refusal

QUERY = "SELECT Field, DataType, OldValue, NewValue, CreatedDate FROM {} ORDER BY CreatedDate, Id"


def told(world: World, name: str = "LeadHistory") -> list[tuple[Any, ...]]:
    """Field, data type, old and new value and minute of every row."""
    rows = world.client().query(QUERY.format(name))["records"]
    keys = ("Field", "DataType", "OldValue", "NewValue")
    return [(*(row[key] for key in keys), int(row["CreatedDate"][14:16])) for row in rows]


def change(world: World, record: Any, **values: Any) -> None:
    """Change a record a minute later."""
    world.now += timedelta(minutes=1)
    world.crm.update(record, values)


def test_changes_of_tracked_fields(world: World) -> None:
    """A row for the creation and for each change; none of what is not tracked, or not changed."""
    world.face.rules.tracked["Lead"] = dict.fromkeys(("Title", "NumberOfEmployees"), START)
    lead = world.lead(title="Clerk", employees=5)
    change(world, lead, title="CEO", phone="1")
    change(world, lead, title="CEO", employees=6)
    change(world, lead, title=None)
    assert told(world) == [
        ("created", "Text", None, None, 0),
        ("Title", "Text", "Clerk", "CEO", 1),
        ("NumberOfEmployees", "Text", 5, 6, 2),
        ("Title", "Text", "CEO", None, 3),
    ]
    assert told(world, "ContactHistory") == []


def test_a_reference_has_two_rows_and_long_values_are_not_told(world: World) -> None:
    """One with names and one with ids; a multi-select picklist changed without saying to what."""
    tracked = ("OwnerId", "Tech_Stack__c")
    world.face.rules.tracked["Lead"] = dict.fromkeys(tracked, START)
    ann, bob = (world.crm.add(Kind.USER, {"name": name}) for name in ("Ann", "Bob"))
    lead = world.lead(owner=ann.number, technologies=["a"])
    change(world, lead, owner=bob.number, technologies=["a", "b"])
    assert told(world)[1:] == [
        ("Owner", "Text", "Ann", "Bob", 1),
        ("Owner", "EntityId", id_of(ann), id_of(bob), 1),
        ("Tech_Stack__c", "Text", None, None, 1),
    ]


def test_history_begins_with_tracking_and_ends_with_retention(world: World) -> None:
    """Nothing of before tracking was switched on, nothing older than 24 months."""
    lead = world.lead(title="Clerk")
    change(world, lead, title="CEO")
    world.face.rules.tracked["Lead"] = {"Title": START + timedelta(minutes=2)}
    change(world, lead, title="CTO")
    assert told(world) == [("Title", "Text", "CEO", "CTO", 2)]
    world.now += timedelta(days=731)
    assert told(world) == []


def test_which_fields_are_tracked(world: World) -> None:
    """FieldDefinition says it; the values of a history cannot be asked for."""
    world.face.rules.tracked["Lead"] = {"Title": START}
    client = world.client()
    found = client.query(
        "SELECT QualifiedApiName FROM FieldDefinition WHERE "
        "EntityDefinition.QualifiedApiName = 'Lead' AND IsFieldHistoryTracked = true"
    )
    assert [row["QualifiedApiName"] for row in found["records"]] == ["Title"]
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.query("SELECT Id FROM LeadHistory WHERE OldValue = 'x'")
    assert refusal(refused)[1] == "INVALID_FIELD"
