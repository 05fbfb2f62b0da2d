"""Writing records: create, update, upsert, archive, merge and erase, one or a batch."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.http import Response
from connectors.sandbox.hubspot.associations import TYPE_IDS
from connectors.sandbox.hubspot.call import Call, number
from connectors.sandbox.hubspot.fields import LIFECYCLE
from connectors.sandbox.hubspot.objects import OBJECTS, ObjectType
from connectors.sandbox.hubspot.properties import InvalidValue
from connectors.sandbox.hubspot.reading import Shape, batch_reply, look_up
from connectors.sandbox.hubspot.replies import (
    ApiError,
    invalid,
    invalid_values,
    not_found,
    reply,
)

Values = dict[str, Any]


def update(call: Call, type_name: str, id: str) -> Response:
    """PATCH objects/{type}/{id}: answers with the changed and the system properties alone."""
    kind = call.object_type(type_name, "write")
    record = look_up(call.index, kind, id, call.one("idProperty"))
    if record is None:
        raise not_found()
    given = _properties(call.body())
    _store(call, [(record, _checked(call, kind, given, record))])
    return reply(200, Shape(call, kind, given)(record))


def batch_update(call: Call, type_name: str) -> Response:
    """POST batch/update: a refused value refuses the whole batch, a missing id only itself."""
    kind = call.object_type(type_name, "write")
    inputs = call.inputs()
    _refuse_duplicates(each.get("id") for each in inputs)
    _refuse_duplicates(_properties(each).get("email") for each in inputs)
    changes: list[tuple[Record, Values]] = []
    missing: list[str] = []
    given: Values = {}
    for each in inputs:
        by = each.get("idProperty") or ""
        if by == "email":
            raise invalid(f"Unable to perform update/upsert by non-unique {kind.type_id} property")
        record = look_up(call.index, kind, each.get("id"), by)
        if record is None:
            missing.append(str(each.get("id")))
            continue
        values = _properties(each)
        given |= values
        changes.append((record, _checked(call, kind, values, record)))
    _store(call, changes)
    shape = Shape(call, kind, given)
    rows = {record.number: shape(record) for record, _ in changes}
    return batch_reply(call, kind, list(reversed(rows.values())), missing)


def create(call: Call, type_name: str) -> Response:
    """POST objects/{type}."""
    kind = call.object_type(type_name, "write")
    body = call.body()
    values = _checked(call, kind, _properties(body), None)
    record = _add(call, kind, values, body.get("associations") or [])
    return reply(201, Shape(call, kind, _properties(body))(record))


def batch_create(call: Call, type_name: str) -> Response:
    """POST batch/create: all or none."""
    kind = call.object_type(type_name, "write")
    inputs = call.inputs()
    _refuse_duplicates(_properties(each).get("email") for each in inputs)
    checked = [_checked(call, kind, _properties(each), None) for each in inputs]
    shape = Shape(call, kind, {name for each in inputs for name in _properties(each)})
    made = [
        _add(call, kind, values, each.get("associations") or [])
        for each, values in zip(inputs, checked, strict=True)
    ]
    return batch_reply(call, kind, [shape(record) for record in made], (), done=201)


def batch_upsert(call: Call, type_name: str) -> Response:
    """POST batch/upsert by a unique value: one conflict refuses the whole batch."""
    kind = call.object_type(type_name, "write")
    inputs = call.inputs()
    _refuse_duplicates(each.get("id") for each in inputs)
    plan = []
    for each in inputs:
        by = each.get("idProperty") or ""
        record = look_up(call.index, kind, each.get("id"), by)
        named = {} if by in ("", "hs_object_id") else {by: each.get("id")}
        plan.append((record, _checked(call, kind, named | _properties(each), record)))
    _store(call, [(record, values) for record, values in plan if record])
    shape = Shape(call, kind, {name for each in inputs for name in _properties(each)})
    rows = [
        shape(record or _add(call, kind, values, [])) | {"new": record is None}
        for record, values in plan
    ]
    return batch_reply(call, kind, rows, ())


def archive(call: Call, type_name: str, id: str) -> Response:
    """DELETE objects/{type}/{id}: into the recycle bin, and the stamp does not move."""
    return _archive(call, call.object_type(type_name, "write"), [id])


def batch_archive(call: Call, type_name: str) -> Response:
    """POST batch/archive."""
    kind = call.object_type(type_name, "write")
    return _archive(call, kind, [each.get("id") for each in call.inputs()])


def _archive(call: Call, kind: ObjectType, ids: Sequence[object]) -> Response:
    for each in ids:
        record = call.index.find(kind, number(each))
        if record is not None:
            call.crm.delete(record, bump=False)
    return reply(204)


def merge(call: Call, type_name: str) -> Response:
    """POST merge: the survivor gets a new id, and both old ones go on to resolve to it."""
    kind = call.object_type(type_name, "write")
    body = call.body()
    primary = call.index.find(kind, number(body.get("primaryObjectId")))
    other = call.index.find(kind, number(body.get("objectIdToMerge")))
    if primary is None or other is None:
        raise not_found()
    if primary is other:
        raise invalid("A record cannot be merged with itself")
    record = call.crm.add(primary.kind, primary.values)
    record.created = primary.created
    call.crm.merge(record, primary)
    call.crm.merge(record, other)
    return reply(200, Shape(call, kind, ())(record))


def erase(call: Call, type_name: str) -> Response:
    """POST gdpr-delete: gone for good, from the archive too."""
    kind = call.object_type(type_name, "write")
    body = call.body()
    record = look_up(call.index, kind, body.get("objectId"), body.get("idProperty") or "")
    if record is None:
        raise not_found()
    call.crm.delete(record, bump=False)
    record.values.clear()
    return reply(204)


def _properties(body: Mapping[str, Any]) -> Values:
    properties = body.get("properties") or {}
    if not isinstance(properties, dict):
        raise invalid("Invalid input JSON: properties must be an object")
    return {name.lower(): value for name, value in properties.items()}


def _refuse_duplicates(keys: Iterable[object]) -> None:
    counted = Counter(str(key).lower() for key in keys if key)
    twice = [key for key, times in counted.items() if times > 1]
    if twice:
        raise invalid(f"Duplicate IDs found in batch input: {twice}. IDs must be unique")


def _checked(call: Call, kind: ObjectType, given: Values, record: Record | None) -> Values:
    """The neutral values of one record. Raises ApiError with all that is wrong with them."""
    known = call.index.properties(kind)
    present = record.values if record else {}
    values: Values = {}
    problems = []
    for name, raw in given.items():
        try:
            if name not in known:
                raise InvalidValue("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
            prop = known[name]
            value = prop.parse(raw, present.get(prop.key))
            if name == "hubspot_owner_id" and value is not None:
                if call.index.owner(number(value)) is None:
                    raise InvalidValue("INVALID_OWNER_ID", f"Owner {value} does not exist")
                value = number(value)
            values[prop.key] = value
        except InvalidValue as error:
            problems.append(
                {"isValid": False, "message": str(error), "error": error.error, "name": name}
            )
    if problems:
        raise invalid_values(problems)
    _refuse_taken_email(call, kind, values, record)
    _keep_lifecycle(call, kind, values, record)
    if kind.name == "deals" and "stage" in values:
        won = values["stage"] == "closedwon"
        values |= {"closed": won or values["stage"] == "closedlost", "won": won}
    return values


def _refuse_taken_email(
    call: Call, kind: ObjectType, values: Values, record: Record | None
) -> None:
    email = values.get("email")
    if kind.name != "contacts" or not email:
        return
    holder = call.index.contact_by_email.get(email.lower())
    if holder is not None and holder is not record:
        raise ApiError(409, "CONFLICT", f"Contact already exists. Existing ID: {holder.number}")


def _keep_lifecycle(call: Call, kind: ObjectType, values: Values, record: Record | None) -> None:
    """HubSpot ignores a move backwards without a word; clearing first allows it."""
    stage = values.get("lifecyclestage")
    if record is None or stage is None:
        return
    present = kind.properties["lifecyclestage"].value(record, call.index)
    if present in LIFECYCLE and LIFECYCLE.index(stage) < LIFECYCLE.index(present):
        del values["lifecyclestage"]


def _store(call: Call, changes: Iterable[tuple[Record, Values]]) -> None:
    for record, values in changes:
        call.crm.update(record, values)


def _add(
    call: Call, kind: ObjectType, values: Values, associations: Sequence[Mapping[str, Any]]
) -> Record:
    """A new record with what it is associated with."""
    if kind.activities:
        if values.get("at") is None:
            raise invalid_values([_required("hs_timestamp")])
        values = {"type": kind.activities[0], "people": []} | values
    pairs = [(ids, name) for (of, name), ids in TYPE_IDS.items() if of == kind.name]
    types = {type_id: name for ids, name in pairs for type_id in ids}
    link: dict[str, Callable[[int], None]] = {
        "contacts": lambda n: values.setdefault("people", []).append(n),
        "companies": lambda n: values.update(account=n),
        "deals": lambda n: values.update(deal=n),
    }
    for association in associations:
        to = number(association.get("to", {}).get("id"))
        for each in association.get("types", ()):
            name = types.get(each.get("associationTypeId"), "")
            if name not in link or call.index.find(OBJECTS[name], to) is None:
                raise invalid(f"Cannot associate with {to} by {dict(each)}")
            link[name](to)
    of = Kind.LEAD if kind.name == "contacts" else kind.kinds[0]
    return call.crm.add(of, values)


def _required(name: str) -> Mapping[str, Any]:
    message = f'Property "{name}" is required'
    return {"isValid": False, "message": message, "error": "REQUIRED_FIELD", "name": name}
