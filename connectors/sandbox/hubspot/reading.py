"""Reading records: list, get and batch read."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

from connectors.sandbox.crm import Record
from connectors.sandbox.http import Response
from connectors.sandbox.hubspot.associations import inline
from connectors.sandbox.hubspot.call import Call, number
from connectors.sandbox.hubspot.index import Index
from connectors.sandbox.hubspot.objects import ObjectType
from connectors.sandbox.hubspot.properties import Property
from connectors.sandbox.hubspot.replies import invalid, not_found, reply, stamp

LONGEST_HISTORY = {"contacts": 45}
EMAIL_CONTENT = ("hs_email_subject", "hs_email_text")


class Shape:
    """How records of one type are written out: with which properties, and whose history."""

    def __init__(
        self, call: Call, kind: ObjectType, names: Iterable[str], history: Iterable[str] = ()
    ) -> None:
        known = call.index.properties(kind)
        asked = list(names) or kind.defaults
        wanted = {name.lower(): None for name in asked}
        system = ("hs_object_id", "createdate", kind.stamp)
        self._properties = [known[n] for n in (*wanted, *system) if n in known]
        self._history = [known[name.lower()] for name in history if name.lower() in known]
        self._kind = kind
        self._index = call.index
        self._redacted = "sales-email-read" not in call.access.scopes

    def __call__(self, record: Record) -> dict[str, Any]:
        """A record in HubSpot's form: every value is text, null when empty."""
        body: dict[str, Any] = {
            "id": str(record.number),
            "properties": {
                prop.name: None if self._hidden(prop) else prop.text(record, self._index)
                for prop in self._properties
            },
            "createdAt": stamp(record.created),
            "updatedAt": stamp(record.modified),
            "archived": record.deleted_at is not None,
        }
        if record.deleted_at is not None:
            body["archivedAt"] = stamp(record.deleted_at)
        if self._history:
            body["propertiesWithHistory"] = {
                prop.name: _versions(self._kind, prop, record, self._index)
                for prop in self._history
            }
        return body

    def _hidden(self, prop: Property) -> bool:
        return self._redacted and prop.name in EMAIL_CONTENT


def _versions(kind: ObjectType, prop: Property, record: Record, index: Index) -> list[Any]:
    """The values of a property, newest first: the latest 45 of a contact's, 20 of others'."""
    found: list[tuple[str, Record]] = []
    for state in record.states():
        value = prop.text(state, index) or ""
        if found and found[-1][0] == value:
            found[-1] = (value, state)
        else:
            found.append((value, state))
    if found[-1][0] == "":
        found.pop()
    kept = found[: LONGEST_HISTORY.get(kind.name, 20)]
    return [_version(value, state, index) for value, state in kept]


def _version(value: str, state: Record, index: Index) -> dict[str, Any]:
    by_api = state.modified_by == index.crm.integration_user
    return {
        "value": value,
        "timestamp": stamp(state.modified),
        "sourceType": "INTEGRATION" if by_api else "CRM_UI",
        "sourceId": "" if by_api else f"userId:{state.modified_by}",
    }


def page(call: Call, type_name: str) -> Response:
    """GET objects/{type}: the primary store in order of id; `after` is the next id."""
    kind = call.object_type(type_name)
    history = call.many("propertiesWithHistory")
    limit = call.limit(10, 50 if history else 100)
    archived = call.flag("archived")
    records = call.index.archived(kind) if archived else call.index.live(kind)
    start = bisect_left(records, call.after(), key=lambda r: r.number)
    end = start + limit
    more = call.paging(records[end].number) if end < len(records) else {}
    shape = Shape(call, kind, call.many("properties"), history)
    rows = [shape(record) | inline(call, kind, record) for record in records[start:end]]
    return reply(200, {"results": rows, **more})


def get(call: Call, type_name: str, id: str) -> Response:
    """GET objects/{type}/{id}: an old id of a merged record answers with its survivor."""
    kind = call.object_type(type_name)
    record = look_up(call.index, kind, id, call.one("idProperty"), archived=call.flag("archived"))
    if record is None:
        raise not_found()
    shape = Shape(call, kind, call.many("properties"), call.many("propertiesWithHistory"))
    return reply(200, shape(record) | inline(call, kind, record))


def look_up(
    index: Index, kind: ObjectType, id: object, id_property: str = "", *, archived: bool = False
) -> Record | None:
    """The record with an id, or with a unique value."""
    if id_property in ("", "hs_object_id"):
        return index.find(kind, number(id), archived=archived)
    if id_property == "email" and kind.name == "contacts":
        return None if archived else index.contact_by_email.get(str(id).lower())
    prop = index.properties(kind).get(id_property)
    if prop is None or not prop.describe(kind.name)["hasUniqueValue"]:
        raise invalid(f"{id_property} is not a unique property of {kind.type_id}")
    return next((r for r in index.live(kind) if prop.text(r, index) == str(id)), None)


def batch_read(call: Call, type_name: str) -> Response:
    """POST batch/read: 207 with the missing ids in one error; no associations."""
    kind = call.object_type(type_name)
    body = call.body()
    history = body.get("propertiesWithHistory") or []
    inputs = call.inputs(50 if history else 100)
    shape = Shape(call, kind, body.get("properties") or [], history)
    found, missing = {}, []
    for each in inputs:
        wanted, by = each.get("id"), body.get("idProperty") or ""
        record = look_up(call.index, kind, wanted, by, archived=call.flag("archived"))
        if record is None:
            missing.append(str(wanted))
        else:
            found[record.number] = record
    # HubSpot promises no order, so the answer never has that of the inputs.
    rows = [shape(found[n]) for n in sorted(found, reverse=True)]
    return batch_reply(call, kind, rows, missing)


def batch_reply(
    call: Call, kind: ObjectType, rows: Sequence[Any], missing: Sequence[str], done: int = 200
) -> Response:
    """The answer to a batch, 207 when some ids are missing."""
    now = stamp(call.crm.clock())
    body: dict[str, Any] = {
        "status": "COMPLETE",
        "results": rows,
        "requestedAt": now,
        "startedAt": now,
        "completedAt": now,
    }
    if not missing:
        return reply(done, body)
    error = {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": f"Could not get some {kind.singular.upper()} objects, they may be deleted "
        "or not exist. Check that ids are valid.",
        "context": {"ids": list(missing)},
    }
    return reply(207, body | {"numErrors": 1, "errors": [error]})
