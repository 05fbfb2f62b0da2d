"""What a Salesforce object and its fields are: how to read, store and describe them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Row = Any
"""What an object's readers understand: a `Record`, a (`Record`, person) pair, or a mapping."""

Read = Callable[[Row], Any]

TEXT_TYPES = frozenset(
    {
        "string",
        "textarea",
        "picklist",
        "multipicklist",
        "email",
        "phone",
        "url",
    }
)
ID_TYPES = frozenset({"id", "reference"})
NUMBER_TYPES = frozenset({"int", "double", "currency"})


@dataclass(frozen=True)
class Field:
    """A field. `store` is the key of `Record.values` it writes; without one it is read-only.

    `read` gives Python values: text, bool, int, Decimal, datetime (aware UTC), date, or None.
    `precision` counts all digits and `scale` those after the point. `parent` is the
    relationship that a reference field opens: its name, its object and the way to its row.
    """

    name: str
    type: str
    read: Read
    store: str | None = None
    label: str = ""
    length: int = 0
    precision: int = 0
    scale: int = 0
    required: bool = False
    filterable: bool = True
    choices: tuple[str, ...] = ()
    restricted: bool = False
    editable: bool = True
    calculated: bool = False
    targets: tuple[str, ...] = ()
    parent: "Parent | None" = None

    @property
    def writable(self) -> bool:
        """Whether the API may set it."""
        return self.store is not None and self.editable


@dataclass(frozen=True)
class Parent:
    """A way from a row to the one it refers to (None when it refers to none)."""

    name: str
    target: str
    resolve: Callable[[Row], Row | None]


@dataclass(frozen=True)
class Children:
    """A way back: the rows of `target` whose reference field `field` names this row."""

    name: str
    target: str
    field: str


@dataclass(frozen=True)
class SObject:
    """An object type. `rows` gives every row, deleted ones too.

    `fields` are those that this user can see, by lower-case name: a field hidden by field-level
    security is not there. `creates` and `updates` say what the API may do, `bulk` whether the
    Bulk API knows the object.
    """

    name: str
    prefix: str
    rows: Callable[[], Iterable[Row]]
    fields: Mapping[str, Field]
    children: tuple[Children, ...] = ()
    creates: bool = False
    updates: bool = True
    bulk: bool = True

    def parent(self, name: str) -> Parent | None:
        """The relationship of that name, in any letter case."""
        wanted = name.lower()
        for item in self.fields.values():
            if item.parent is not None and item.parent.name.lower() == wanted:
                return item.parent
        return None


def by_name(fields: Iterable[Field]) -> dict[str, Field]:
    """Fields by lower-case name: Salesforce does not mind letter case."""
    return {item.name.lower(): item for item in fields}


def describe(sobject: SObject, version: str) -> dict[str, Any]:
    """The answer to /sobjects/{name}/describe."""
    return {
        **summary(sobject, version),
        "childRelationships": [
            {"relationshipName": c.name, "childSObject": c.target, "field": c.field}
            for c in sobject.children
        ],
        "fields": [_describe_field(item) for item in sobject.fields.values()],
        "recordTypeInfos": [
            {
                "recordTypeId": "012000000000000AAA",
                "name": "Master",
                "developerName": "Master",
                "available": True,
                "defaultRecordTypeMapping": True,
                "master": True,
            }
        ],
    }


def summary(sobject: SObject, version: str) -> dict[str, Any]:
    """An object's line in the answer to /sobjects."""
    base = f"/services/data/v{version}/sobjects/{sobject.name}"
    return {
        "name": sobject.name,
        "label": sobject.name,
        "keyPrefix": sobject.prefix,
        "custom": False,
        "queryable": True,
        "retrieveable": True,
        "replicateable": sobject.creates,
        "createable": sobject.creates,
        "updateable": sobject.updates,
        "deletable": sobject.creates,
        "mergeable": sobject.name in ("Account", "Contact", "Individual", "Lead"),
        "urls": {"sobject": base, "describe": f"{base}/describe", "rowTemplate": f"{base}/{{ID}}"},
    }


def _describe_field(item: Field) -> dict[str, Any]:
    custom = item.name.endswith("__c")
    return {
        "name": item.name,
        "label": item.label or item.name,
        "type": item.type,
        "length": item.length,
        "byteLength": item.length * 3,
        "precision": item.precision,
        "scale": item.scale,
        "digits": item.precision if item.type == "int" else 0,
        "nillable": not item.required and item.type not in ("id", "boolean"),
        "createable": item.writable,
        "updateable": item.writable,
        "calculated": item.calculated,
        "autoNumber": False,
        "defaultedOnCreate": item.type in ("id", "boolean"),
        "custom": custom,
        "externalId": False,
        "unique": False,
        "idLookup": item.type == "id",
        "filterable": item.filterable,
        "sortable": item.filterable,
        "groupable": item.filterable and item.type not in ("double", "datetime"),
        "restrictedPicklist": item.restricted,
        "picklistValues": [
            {"active": True, "defaultValue": False, "label": c, "validFor": None, "value": c}
            for c in item.choices
        ],
        "dependentPicklist": False,
        "controllerName": None,
        "referenceTo": list(item.targets),
        "relationshipName": item.parent.name if item.parent else None,
        "polymorphicForeignKey": len(item.targets) > 1,
        "compoundFieldName": None,
        "extraTypeInfo": None,
        "encrypted": False,
        "htmlFormatted": False,
        "permissionable": custom,
    }
