"""What the account is made of: properties and their groups, owners, pipelines, daily usage."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.http import Response
from connectors.sandbox.hubspot.call import Call, number
from connectors.sandbox.hubspot.fields import STAGES
from connectors.sandbox.hubspot.limits import Limits
from connectors.sandbox.hubspot.objects import OBJECTS, ObjectType
from connectors.sandbox.hubspot.properties import (
    INSTALLED,
    definition,
    group_of,
    option_list,
)
from connectors.sandbox.hubspot.replies import ApiError, invalid, not_found, reply, stamp

Definition = dict[str, Any]

FIELD_TYPES = {
    "string": ("text", "textarea", "html", "file", "phonenumber"),
    "number": ("number", "calculation_equation"),
    "bool": ("booleancheckbox",),
    "enumeration": ("select", "checkbox", "radio", "booleancheckbox"),
    "datetime": ("date",),
    "date": ("date",),
}
"""The field types that go with each type of property."""


class Groups:
    """The property groups of each object type; HubSpot brings one, apps add theirs."""

    def __init__(self) -> None:
        self._made: dict[str, dict[str, Definition]] = {}

    def of(self, kind: ObjectType) -> dict[str, Definition]:
        """The groups of an object type by name."""
        first = group_of(kind.name)
        label = f"{kind.singular.capitalize()} information"
        return self._made.setdefault(
            kind.name,
            {first: {"name": first, "label": label, "displayOrder": 0, "archived": False}},
        )


def install(crm: Crm) -> None:
    """The custom properties that the sandbox's account has from the start."""
    people = (Kind.LEAD, Kind.CONTACT, Kind.ACCOUNT)
    used = {t for r in crm.records(*people) for t in r.values.get("technologies") or ()}
    options = option_list([{"label": t, "value": t} for t in sorted(used)])
    for kind in (OBJECTS["contacts"], OBJECTS["companies"]):
        _put(crm, kind, "tech_stack", "Tech stack", "enumeration", "checkbox", options)
    contacts = OBJECTS["contacts"]
    _put(crm, contacts, "sales_accepted_at", "Sales accepted at", "datetime", "date", [])
    _put(crm, contacts, "salesforce_id", "Salesforce ID", "string", "text", [])


def add_formula(crm: Crm, type_name: str, name: str, formula: Callable[[Record], Any]) -> None:
    """Add a calculated property, worked out at every look; what it rests on moves no stamp."""
    kind = OBJECTS[type_name]
    with crm.lock:
        crm.custom[kind.custom_kind][name] = definition(
            name=name,
            label=name.replace("_", " ").capitalize(),
            type="string",
            fieldType="calculation_equation",
            groupName=group_of(type_name),
            objectTypeId=kind.type_id,
            calculated=True,
            readOnly=True,
            formula=formula,
            at=INSTALLED,
        )
        crm.revision += 1


def _put(
    crm: Crm,
    kind: ObjectType,
    name: str,
    label: str,
    type: str,
    field_type: str,
    options: list[Definition],
) -> None:
    crm.custom[kind.custom_kind][name] = definition(
        name=name,
        label=label,
        type=type,
        fieldType=field_type,
        groupName=group_of(kind.name),
        objectTypeId=kind.type_id,
        options=options,
        at=INSTALLED,
    )


def properties(call: Call, type_name: str) -> Response:
    """GET properties/{type}: all at once, not paged; archived ones by archived=true."""
    kind = _type(call, type_name)
    if call.flag("archived"):
        rows = [d for d in _made(call, kind) if d["archived"]]
    else:
        rows = [p.describe(kind.name) for p in call.index.properties(kind).values()]
    return reply(200, {"results": rows})


def property_named(call: Call, type_name: str, name: str) -> Response:
    """GET properties/{type}/{name}."""
    kind = _type(call, type_name)
    prop = call.index.properties(kind).get(name)
    if prop is None:
        raise not_found()
    return reply(200, prop.describe(kind.name))


def create_property(call: Call, type_name: str, groups: Groups) -> Response:
    """POST properties/{type}: 409 for a name that is taken, also by an archived property."""
    kind = _type(call, type_name, "write")
    body = call.body()
    required = ("name", "label", "type", "fieldType", "groupName")
    if missing := [name for name in required if not body.get(name)]:
        raise invalid(f"Some required fields were not set: {missing}")
    name = str(body["name"])
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name) or name.startswith("hs_"):
        raise invalid(f"Property name {name} is not allowed")
    if body["fieldType"] not in FIELD_TYPES.get(body["type"], ()):
        raise invalid(f"Type {body['type']} cannot have field type {body['fieldType']}")
    if body["groupName"] not in groups.of(kind):
        raise invalid(f"Property group {body['groupName']} does not exist")
    if name in kind.properties or any(d["name"] == name for d in _made(call, kind)):
        raise ApiError(409, "OBJECT_ALREADY_EXISTS", f"A property named '{name}' already exists.")
    given = {n: v for n, v in body.items() if v is not None}
    given["options"] = option_list(body.get("options") or [])
    made = definition(**(given | {"objectTypeId": kind.type_id, "at": call.crm.clock()}))
    call.crm.custom[kind.custom_kind][name] = made
    call.crm.revision += 1
    return reply(201, made)


def change_property(call: Call, type_name: str, name: str) -> Response:
    """PATCH properties/{type}/{name}: options are replaced as a whole."""
    kind = _type(call, type_name, "write")
    made = _own(call, kind, name)
    body = {n: v for n, v in call.body().items() if v is not None}
    if fixed := sorted({"name", "hasUniqueValue"} & body.keys()):
        raise invalid(f"These cannot be changed: {fixed}")
    if "options" in body:
        body["options"] = option_list(body["options"])
    made.update(body, updatedAt=stamp(call.crm.clock()))
    call.crm.revision += 1
    return reply(200, made)


def archive_property(call: Call, type_name: str, name: str) -> Response:
    """DELETE properties/{type}/{name}: its values stay, its name stays taken."""
    kind = _type(call, type_name, "write")
    _own(call, kind, name).update(archived=True, archivedAt=stamp(call.crm.clock()))
    call.crm.revision += 1
    return reply(204)


def property_groups(call: Call, type_name: str, groups: Groups) -> Response:
    """GET properties/{type}/groups."""
    kind = _type(call, type_name)
    return reply(200, {"results": list(groups.of(kind).values())})


def create_group(call: Call, type_name: str, groups: Groups) -> Response:
    """POST properties/{type}/groups."""
    kind = _type(call, type_name, "write")
    body = call.body()
    name, label = body.get("name"), body.get("label")
    if not name or not label:
        raise invalid("Some required fields were not set: [name, label]")
    if name in groups.of(kind):
        raise ApiError(409, "OBJECT_ALREADY_EXISTS", f"A group named '{name}' already exists.")
    made = {
        "name": name,
        "label": label,
        "displayOrder": body.get("displayOrder", -1),
        "archived": False,
    }
    groups.of(kind)[name] = made
    return reply(201, made)


def _type(call: Call, name: str, verb: str = "read") -> ObjectType:
    kind = call.object_type(name)
    call.access.require(f"crm.schemas.{kind.scope}.{verb}")
    return kind


def _made(call: Call, kind: ObjectType) -> Iterable[Definition]:
    made = call.crm.custom[kind.custom_kind].values()
    return [d for d in made if d.get("objectTypeId") == kind.type_id]


def _own(call: Call, kind: ObjectType, name: str) -> Definition:
    if name in kind.properties:
        raise invalid(f"{name} is defined by HubSpot and cannot be changed")
    made = next((d for d in _made(call, kind) if d["name"] == name and not d["archived"]), None)
    if made is None:
        raise not_found()
    return made


def owners(call: Call) -> Response:
    """GET owners: people and queues; removed users only by archived=true."""
    call.access.require("crm.objects.owners.read")
    archived, email = call.flag("archived"), call.one("email").lower()
    rows = [
        _owner(record)
        for record in call.crm.records(Kind.USER, Kind.QUEUE, deleted=True)
        if _removed(record) is archived
        and (not email or (record.values.get("email") or "").lower() == email)
    ]
    return reply(200, call.slice(rows, call.limit(100, 500)))


def owner(call: Call, id: str) -> Response:
    """GET owners/{id}."""
    call.access.require("crm.objects.owners.read")
    found = (call.crm.get(kind, number(id)) for kind in (Kind.USER, Kind.QUEUE))
    record = next((r for r in found if r is not None), None)
    if record is None or _removed(record) is not call.flag("archived"):
        raise not_found()
    return reply(200, _owner(record))


def _removed(record: Record) -> bool:
    return record.deleted_at is not None or record.values.get("active") is False


def _owner(record: Record) -> dict[str, Any]:
    person = record.kind is Kind.USER
    first, _, last = str(record.values.get("name") or "").partition(" ")
    # The user id differs from the owner id: writing it as an owner fails.
    user = 40_000_000 + record.number if person else None
    return {
        "id": str(record.number),
        "email": record.values.get("email"),
        "type": "PERSON" if person else "QUEUE",
        "firstName": first,
        "lastName": last,
        "userId": None if _removed(record) else user,
        "userIdIncludingInactive": user,
        "createdAt": stamp(record.created),
        "updatedAt": stamp(record.modified),
        "archived": _removed(record),
    }


def pipelines(call: Call, type_name: str, id: str = "") -> Response:
    """GET pipelines/{type}, or one of them: deals have one, nothing else has any."""
    kind = call.object_type(type_name)
    if kind.name != "deals":
        return reply(200, {"results": []})
    at = stamp(INSTALLED)
    times = {"archived": False, "createdAt": at, "updatedAt": at}
    stages = [
        {
            "id": stage,
            "label": label,
            "displayOrder": place,
            "metadata": {
                "isClosed": str(stage.startswith("closed")).lower(),
                "probability": "1.0" if stage == "closedwon" else f"{place % 5 / 5}",
            },
            "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
            **times,
        }
        for place, (label, stage) in enumerate(STAGES.items())
    ]
    only = {"id": "default", "label": "Sales", "displayOrder": 0, "stages": stages, **times}
    if id and id != "default":
        raise not_found()
    return reply(200, only if id else {"results": [only]})


def daily_usage(call: Call, limits: Limits) -> Response:
    """GET account-info daily usage of private apps."""
    now = stamp(call.crm.clock())
    row = {
        "name": "private-apps-api-calls-daily",
        "usageLimit": limits.daily,
        "currentUsage": limits.used,
        "collectedAt": now,
        "fetchStatus": "SUCCESS",
        "resetsAt": now[:10] + "T23:59:59.999Z",
    }
    return reply(200, {"results": [row]})
