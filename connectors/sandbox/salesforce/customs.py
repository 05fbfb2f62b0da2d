"""Custom fields: those the sandbox starts with, and those a client creates and is then shown.

A field made through the Tooling API exists at once but is hidden from everybody, describe and
writes included, until field permissions are granted to a permission set of the user's.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connectors.sandbox.crm import Crm, Kind
from connectors.sandbox.salesforce.errors import RowError
from connectors.sandbox.salesforce.fields import Field, Read, Row, SObject, by_name
from connectors.sandbox.salesforce.ids import full_id, record_id
from connectors.sandbox.salesforce.objects import PROFILE_ID
from connectors.sandbox.salesforce.org import seconds

KINDS = {
    "Lead": Kind.LEAD,
    "Contact": Kind.CONTACT,
    "Account": Kind.ACCOUNT,
    "Activity": Kind.ACTIVITY,
    "Opportunity": Kind.DEAL,
}
PROFILE_SET = record_id("0PS", 1)
"""The hidden permission set of the integration user's profile."""
_TYPES = {
    "Number": "double",
    "Currency": "currency",
    "Text": "string",
    "TextArea": "textarea",
    "LongTextArea": "textarea",
    "DateTime": "datetime",
    "Date": "date",
    "Checkbox": "boolean",
    "Picklist": "picklist",
    "MultiselectPicklist": "multipicklist",
    "Email": "email",
    "Phone": "phone",
    "Url": "url",
}
_STANDARD: tuple[tuple[Kind, str, str, dict[str, Any]], ...] = (
    *((Kind.ACTIVITY, f"{name}__c", name.lower(), {"type": "Text", "length": 255})
      for name in ("Asset", "Area", "Channel", "Campaign")),
    *((kind, "Tech_Stack__c", "technologies", {"type": "MultiselectPicklist"})
      for kind in (Kind.LEAD, Kind.CONTACT, Kind.ACCOUNT)),
    *((kind, "Sales_Accepted__c", "accepted_at", {"type": "DateTime"})
      for kind in (Kind.LEAD, Kind.CONTACT)),
)  # fmt: skip


class Customs:
    """The custom fields of one CRM, as Salesforce keeps them in `Crm.custom`.

    A definition is a mapping: id, metadata (as given to the Tooling API), store (the key of
    the record's values), readable, editable; a formula field has `formula` in place of a store.
    """

    def __init__(self, crm: Crm) -> None:
        self._crm = crm
        self._permissions: list[dict[str, Any]] = []
        self._count = 0
        for kind, name, store, metadata in _STANDARD:
            label = name.removesuffix("__c").replace("_", " ")
            self._define(kind, name, {**metadata, "label": label}, store=store, visible=True)

    def visible(self, kind: Kind) -> list[Field]:
        """The custom fields of a kind of record that the user can see."""
        return [
            _field(name, definition)
            for name, definition in self._crm.custom[kind].items()
            if name.endswith("__c") and definition["readable"]
        ]

    def create(self, body: Mapping[str, Any]) -> str:
        """Create a field from a Tooling API body; its id. RowError when it cannot be."""
        target, _, name = str(body.get("FullName", "")).partition(".")
        metadata = body.get("Metadata") or {}
        kind = KINDS.get("Activity" if target in ("Task", "Event") else target)
        if kind is None:
            raise RowError(
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                f"Entity Enumeration Or ID: bad value for restricted picklist field: {target}",
                ("EntityEnumOrId",),
            )
        if not name.endswith("__c") or metadata.get("type") not in _TYPES:
            raise RowError("FIELD_INTEGRITY_EXCEPTION", f"Invalid field: {target}.{name}")
        if name.lower() in (known.lower() for known in self._crm.custom[kind]):
            raise RowError(
                "DUPLICATE_DEVELOPER_NAME",
                f"There is already a field named {name.removesuffix('__c')} on {target}.",
                ("FullName",),
            )
        _check_size(metadata)
        return self._define(kind, name, metadata, store=name, visible=False)

    def grant(self, body: Mapping[str, Any]) -> str:
        """Create a FieldPermissions record; its id. RowError when it cannot be."""
        missing = [key for key in ("ParentId", "SobjectType", "Field") if not body.get(key)]
        if missing:
            raise RowError(
                "REQUIRED_FIELD_MISSING",
                f"Required fields are missing: [{', '.join(missing)}]",
                tuple(missing),
            )
        target, _, name = str(body["Field"]).partition(".")
        kind = KINDS.get("Activity" if target in ("Task", "Event") else target)
        definition = None if kind is None else self._crm.custom[kind].get(name)
        if full_id(str(body["ParentId"])) != PROFILE_SET:
            raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if definition is None or target != body["SobjectType"]:
            raise RowError(
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                f"Field Name: bad value for restricted picklist field: {body['Field']}",
                ("Field",),
            )
        if any(granted["Field"] == body["Field"] for granted in self._permissions):
            raise RowError("DUPLICATE_VALUE", "duplicate value found: Field on record")
        with self._crm.lock:
            definition["editable"] = bool(body.get("PermissionsEdit"))
            definition["readable"] = definition["editable"] or bool(body.get("PermissionsRead"))
            identity = record_id("01k", len(self._permissions) + 1)
            self._permissions.append({**body, "Id": identity})
            self._crm.revision += 1
        return identity

    def objects(self) -> list[SObject]:
        """The set-up objects that a client queries over REST."""
        sets = [
            {
                "Id": PROFILE_SET,
                "Name": "X" + PROFILE_SET,
                "Label": PROFILE_SET,
                "IsOwnedByProfile": True,
                "ProfileId": PROFILE_ID,
            }
        ]
        profiles = [{"Id": PROFILE_ID, "Name": "System Administrator"}]
        return [
            _setup("PermissionSet", "0PS", sets, _SET_FIELDS),
            _setup("Profile", "00e", profiles, {"Id": "id", "Name": "string"}),
            _setup("FieldPermissions", "01k", self._permissions, _PERMISSION_FIELDS),
        ]

    def tooling(self) -> list[SObject]:
        """The objects of the Tooling API: the custom fields, hidden ones too."""
        targets = {kind: name for name, kind in KINDS.items()}
        rows = [
            {
                "Id": definition["id"],
                "DeveloperName": name.removesuffix("__c"),
                "TableEnumOrId": targets[kind],
                "FullName": f"{targets[kind]}.{name}",
            }
            for kind in targets
            for name, definition in self._crm.custom[kind].items()
            if name.endswith("__c")
        ]
        return [_setup("CustomField", "00N", rows, dict.fromkeys(rows[0], "string"))]

    def _define(
        self, kind: Kind, name: str, metadata: Mapping[str, Any], *, store: str, visible: bool
    ) -> str:
        with self._crm.lock:
            self._count += 1
            identity = record_id("00N", self._count)
            self._crm.custom[kind][name] = {
                "id": identity,
                "metadata": dict(metadata),
                "store": store,
                "readable": visible,
                "editable": visible,
            }
            self._crm.revision += 1
        return identity


def add_formula(crm: Crm, kind: Kind, name: str, formula: Read) -> None:
    """Add a text field that is worked out at every look; what it rests on moves no stamp."""
    with crm.lock:
        crm.custom[kind][name] = {
            "id": record_id("00N", 9_000 + len(crm.custom[kind])),
            "metadata": {"type": "Text", "label": name.removesuffix("__c").replace("_", " ")},
            "store": None,
            "readable": True,
            "editable": False,
            "formula": formula,
        }
        crm.revision += 1


_SET_FIELDS = {
    "Id": "id",
    "Name": "string",
    "Label": "string",
    "IsOwnedByProfile": "boolean",
    "ProfileId": "reference",
}
_PERMISSION_FIELDS = {
    "Id": "id",
    "ParentId": "reference",
    "SobjectType": "string",
    "Field": "string",
    "PermissionsRead": "boolean",
    "PermissionsEdit": "boolean",
}


def _setup(name: str, prefix: str, rows: list[dict[str, Any]], types: Mapping[str, str]) -> SObject:
    def read(key: str) -> Read:
        return lambda row: row.get(key)

    fields = [Field(key, type_, read(key), length=255) for key, type_ in types.items()]
    return SObject(name, prefix, lambda: rows, by_name(fields), updates=False, bulk=False)


def _check_size(metadata: Mapping[str, Any]) -> None:
    precision, scale = metadata.get("precision"), metadata.get("scale")
    if metadata["type"] == "Number" and not (
        isinstance(precision, int) and isinstance(scale, int) and 0 <= scale <= precision <= 18
    ):
        raise RowError(
            "FIELD_INTEGRITY_EXCEPTION", "precision and scale must be given, 18 digits at most"
        )
    length = metadata.get("length")
    if metadata["type"] == "Text" and not (isinstance(length, int) and 0 < length <= 255):
        raise RowError("FIELD_INTEGRITY_EXCEPTION", "length must be given, 255 at most")


def _field(name: str, definition: Mapping[str, Any]) -> Field:
    metadata = definition["metadata"]
    values = metadata.get("valueSet", {})
    choices = values.get("valueSetDefinition", {}).get("value", ())
    return Field(
        name,
        _TYPES[metadata["type"]],
        definition.get("formula") or _reader(_TYPES[metadata["type"]], definition["store"]),
        store=definition["store"],
        label=metadata.get("label", name),
        length=metadata.get("length") or 4_099,
        precision=metadata.get("precision") or 18,
        scale=metadata.get("scale") or 0,
        filterable=metadata["type"] != "LongTextArea",
        choices=tuple(choice["fullName"] for choice in choices),
        restricted=bool(values.get("restricted")),
        editable=definition["editable"],
        calculated="formula" in definition,
    )


def _reader(type_: str, store: str) -> Read:
    def read(row: Row) -> Any:
        value = row.values.get(store)
        if isinstance(value, list):
            return ";".join(value) or None
        return seconds(value) if isinstance(value, datetime) else value

    def flag(row: Row) -> bool:
        return bool(row.values.get(store))

    return flag if type_ == "boolean" else read
