"""Custom fields of the Salesforce face: created, granted, described, written."""

import pytest
from simple_salesforce.exceptions import (
    SalesforceMalformedRequest,
)

from connectors.sandbox.crm import Kind
from connectors.sandbox.salesforce.org import id_of
from tests.connectors.sandbox_salesforce.world import World, refusal


def test_field_is_invisible_until_it_is_granted(world: World) -> None:
    """A field made by the Tooling API is described and writable only with permissions."""
    lead, client = world.lead(), world.client()

    def seen() -> bool:
        return "Score__c" in [item["name"] for item in client.Lead.describe()["fields"]]

    body = {
        "FullName": "Lead.Score__c",
        "Metadata": {"label": "Score", "type": "Number", "precision": 18, "scale": 4},
    }
    made = client.toolingexecute("sobjects/CustomField", method="POST", data=body)
    assert made["success"] is True
    assert not seen()
    with pytest.raises(SalesforceMalformedRequest) as hidden:
        client.Lead.update(id_of(lead), {"Score__c": 1})
    assert refusal(hidden) == (400, "INVALID_FIELD")
    with pytest.raises(SalesforceMalformedRequest) as hidden:
        client.query("SELECT Score__c FROM Lead")
    assert refusal(hidden) == (400, "INVALID_FIELD")
    known = client.toolingexecute(
        "query/?q=SELECT+Id+FROM+CustomField+WHERE+DeveloperName='Score'+AND+TableEnumOrId='Lead'"
    )
    assert [row["Id"] for row in known["records"]] == [made["id"]]
    with pytest.raises(SalesforceMalformedRequest) as twice:
        client.toolingexecute("sobjects/CustomField", method="POST", data=body)
    assert refusal(twice) == (400, "DUPLICATE_DEVELOPER_NAME")

    [owned] = client.query("SELECT Id FROM PermissionSet WHERE IsOwnedByProfile = true")["records"]
    grant = {
        "ParentId": owned["Id"],
        "SobjectType": "Lead",
        "Field": "Lead.Score__c",
        "PermissionsRead": True,
        "PermissionsEdit": True,
    }
    client.FieldPermissions.create(grant)
    assert seen()
    client.Lead.update(id_of(lead), {"Score__c": 98.50004})
    assert client.query("SELECT Score__c FROM Lead")["records"][0]["Score__c"] == 98.5
    with pytest.raises(SalesforceMalformedRequest) as large:
        client.Lead.update(id_of(lead), {"Score__c": 10**14})
    assert refusal(large) == (400, "NUMBER_OUTSIDE_VALID_RANGE")


def test_field_that_may_only_be_read(world: World) -> None:
    """Read permission alone describes a field as not updateable, and refuses a write."""
    lead, client = world.lead(), world.client()
    value = [{"fullName": name, "label": name} for name in ("A", "B")]
    body = {
        "FullName": "Lead.Tier__c",
        "Metadata": {
            "label": "Tier",
            "type": "Picklist",
            "valueSet": {"restricted": True, "valueSetDefinition": {"value": value}},
        },
    }
    client.toolingexecute("sobjects/CustomField", method="POST", data=body)
    [owned] = client.query("SELECT Id FROM PermissionSet")["records"]
    grant = {"ParentId": owned["Id"], "SobjectType": "Lead", "Field": "Lead.Tier__c"}
    client.FieldPermissions.create({**grant, "PermissionsRead": True})
    [field] = [f for f in client.Lead.describe()["fields"] if f["name"] == "Tier__c"]
    assert (field["updateable"], field["restrictedPicklist"]) == (False, True)
    assert [choice["value"] for choice in field["picklistValues"]] == ["A", "B"]
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.Lead.update(id_of(lead), {"Tier__c": "A"})
    assert refusal(refused) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")
    world.crm.custom[Kind.LEAD]["Tier__c"]["editable"] = True
    world.crm.revision += 1
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.Lead.update(id_of(lead), {"Tier__c": "C"})
    assert refusal(refused) == (400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST")
