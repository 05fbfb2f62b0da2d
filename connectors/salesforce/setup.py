"""Creating the fields that outputs are written to, and making them visible.

A field made by API is invisible to everyone, administrators too, until field-level security is
granted: to the profile of the user who made it.
"""

from collections.abc import Sequence
from typing import Any

from connectors.base import FieldKind, NewField, Problem
from connectors.errors import CredentialsError
from connectors.salesforce import soql
from connectors.salesforce.client import SalesforceClient
from connectors.salesforce.failures import CallRefused
from connectors.salesforce.fields import WRITTEN_OBJECTS, Schema
from connectors.values import WRITTEN_KINDS

TYPES: dict[FieldKind, dict[str, Any]] = {
    FieldKind.NUMBER: {"type": "Number", "precision": 18, "scale": 4},
    FieldKind.DATETIME: {"type": "DateTime"},
    FieldKind.TEXT: {"type": "Text", "length": 255},
}
EXISTS = frozenset({"DUPLICATE_DEVELOPER_NAME", "DUPLICATE_VALUE"})
BY_HAND = "create it in Setup, Object Manager, or ask an administrator for Customize Application"


def missing(schema: Schema) -> list[NewField]:
    """The custom fields of outputs that the org does not have, or does not show."""
    return [
        NewField(
            object_type=name,
            output=output,
            name=target,
            label=target.removesuffix("__c").replace("_", " "),
            description=f"The {output.replace('_', ' ')}, written by leadgauge.",
            kind=WRITTEN_KINDS[output],
        )
        for name in WRITTEN_OBJECTS
        for output, target in schema.outputs().items()
        if target.endswith("__c")
        and WRITTEN_KINDS[output] in TYPES
        and target not in schema.fields(name)
    ]


def create(client: SalesforceClient, fields: Sequence[NewField]) -> list[Problem]:
    """Create fields and grant them to the user's own profile; what exists is left alone."""
    problems = []
    permission_set = _own_permission_set(client) if fields else ""
    for new in fields:
        try:
            _unless_there(client, "tooling/sobjects/CustomField", _definition(new))
            _unless_there(client, "sobjects/FieldPermissions", _permission(new, permission_set))
        except (CallRefused, CredentialsError) as error:
            where = f"{new.object_type}.{new.name}"
            problems.append(Problem("error", where, f"could not be created: {error}", BY_HAND))
    return problems


def _definition(new: NewField) -> dict[str, Any]:
    metadata = {"label": new.label, "description": new.description, "required": False}
    return {"FullName": f"{new.object_type}.{new.name}", "Metadata": metadata | TYPES[new.kind]}


def _permission(new: NewField, permission_set: str) -> dict[str, Any]:
    return {
        "ParentId": permission_set,
        "SobjectType": new.object_type,
        "Field": f"{new.object_type}.{new.name}",
        "PermissionsRead": True,
        "PermissionsEdit": True,
    }


def _unless_there(client: SalesforceClient, path: str, body: dict[str, Any]) -> None:
    try:
        client.send("POST", path, body)
    except CallRefused as error:
        if error.code not in EXISTS:
            raise


def _own_permission_set(client: SalesforceClient) -> str:
    """The hidden permission set of the user's profile."""
    me = client.user_id()
    (user,) = client.records(soql.select(("ProfileId",), "User", f"Id = {soql.literal(me)}"))
    profile = f"ProfileId = {soql.literal(user['ProfileId'])}"
    (found,) = client.records(
        soql.select(("Id",), "PermissionSet", profile, "IsOwnedByProfile = true")
    )
    return str(found["Id"])
