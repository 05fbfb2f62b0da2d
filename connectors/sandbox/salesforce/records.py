"""Records one by one, and sObject Collections: up to 200 in a call, each with its own outcome."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from connectors.sandbox.salesforce.errors import ApiError, RowError, not_found
from connectors.sandbox.salesforce.evaluate import Objects
from connectors.sandbox.salesforce.fields import Field, Row, SObject
from connectors.sandbox.salesforce.ids import full_id
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.salesforce.render import json_value, reader
from connectors.sandbox.salesforce.write import Options, Writer

COLLECTION = 200
CHUNKS = 10
"""How often the object may change within one collection."""
READ_COLLECTION = 2_000
UPDATED_WINDOW = timedelta(days=30)
DELETED_WINDOW = timedelta(days=15)


class Records:
    """Reads and writes records of an org by id."""

    def __init__(self, org: Org, writer: Writer) -> None:
        self._org = org
        self._writer = writer

    def read(self, sobject: SObject, record_id: str, names: Sequence[str], version: str) -> str:
        """A record as JSON, all its fields or those named. ApiError when it is not there."""
        row = self._row(sobject, record_id)
        if row is None:
            raise not_found()
        return _record_json(sobject, _chosen(sobject, names), row, version)

    def read_many(
        self, sobject: SObject, ids: Sequence[str], names: Sequence[str], version: str
    ) -> str:
        """Records as a JSON list in the order asked for; null for one that is not there."""
        if len(ids) > READ_COLLECTION:
            raise _too_many(READ_COLLECTION)
        fields = _chosen(sobject, names)
        rows = (self._row(sobject, record_id) for record_id in ids)
        texts = (
            "null" if row is None else _record_json(sobject, fields, row, version) for row in rows
        )
        return f"[{','.join(texts)}]"

    def update(
        self, body: Mapping[str, Any], objects: Objects, options: Options
    ) -> list[dict[str, Any]]:
        """Update a collection: one outcome for each record, in order."""
        seen: set[str] = set()

        def write(given: Mapping[str, Any]) -> str:
            identity = full_id(str(_identity(given)))
            if identity in seen:
                raise RowError("DUPLICATE_VALUE", f"duplicate id specified: {identity}", ("Id",))
            seen.add(identity)
            self._writer.update(_target(given, objects), identity, _values(given), options)
            return identity

        return [_outcome(write, record) for record in _records(body, objects)]

    def create(
        self, body: Mapping[str, Any], objects: Objects, options: Options
    ) -> list[dict[str, Any]]:
        """Create a collection: one outcome for each record, in order."""

        def write(given: Mapping[str, Any]) -> str:
            return self._writer.create(_target(given, objects), _values(given), options)

        return [_outcome(write, record) for record in _records(body, objects)]

    def delete(self, ids: Sequence[str], objects: Objects) -> list[dict[str, Any]]:
        """Delete a collection: one outcome for each id, in order."""
        if len(ids) > COLLECTION:
            raise _too_many(COLLECTION)
        prefixes = {sobject.prefix: sobject for sobject in objects.values() if sobject.prefix}

        def write(record_id: str) -> str:
            identity = full_id(record_id)
            if identity[:3] not in prefixes:
                raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
            self._writer.delete(prefixes[identity[:3]], identity)
            return identity

        return [_outcome(write, record_id) for record_id in ids]

    def updated(self, sobject: SObject, start: datetime, end: datetime) -> dict[str, Any]:
        """The ids of live records changed from `start` to before `end`."""
        self._check_window(start, end, UPDATED_WINDOW)
        rows = [row for row in sobject.rows() if row.deleted_at is None]
        identify = sobject.fields["id"].read
        ids = [identify(row) for row in rows if start <= row.modified < end]
        return {"ids": ids, "latestDateCovered": _stamp(min(end, self._org.crm.clock()))}

    def deleted(self, sobject: SObject, start: datetime, end: datetime) -> dict[str, Any]:
        """The ids of records deleted from `start` to before `end`, and when."""
        self._check_window(start, end, DELETED_WINDOW)
        identify = sobject.fields["id"].read
        found = [
            {"id": identify(row), "deletedDate": _stamp(row.deleted_at)}
            for row in sobject.rows()
            if row.deleted_at is not None and start <= row.deleted_at < end
        ]
        now = self._org.crm.clock()
        return {
            "deletedRecords": found,
            "earliestDateAvailable": _stamp(now - DELETED_WINDOW),
            "latestDateCovered": _stamp(min(end, now)),
        }

    def _row(self, sobject: SObject, record_id: str) -> Row | None:
        identity = full_id(record_id)
        if not identity.startswith(sobject.prefix):
            return None
        record = self._org.find(identity)
        if record is not None:
            return None if record.deleted_at is not None else record
        # Rows that stand for a record and a person have ids of their own.
        identify = sobject.fields["id"].read
        return next((row for row in sobject.rows() if identify(row) == identity), None)

    def _check_window(self, start: datetime, end: datetime, longest: timedelta) -> None:
        if end - start < timedelta(minutes=1):
            message = "endDate must be at least one minute greater than startDate"
        elif start < self._org.crm.clock() - longest:
            message = f"startDate before org replication enabled date or {longest.days} days ago"
        else:
            return
        raise ApiError(400, "INVALID_REPLICATION_DATE", message)


def _outcome(write: Callable[[Any], str], given: Any) -> dict[str, Any]:
    try:
        return {"id": write(given), "success": True, "errors": []}
    except RowError as error:
        if error.code == "INVALID_TYPE_ON_FIELD_IN_RECORD":
            raise error.request_error() from error
        return error.outcome()


def _records(body: Mapping[str, Any], objects: Objects) -> Sequence[Mapping[str, Any]]:
    records = body.get("records")
    if not isinstance(records, list) or not records:
        raise ApiError(400, "REQUIRED_FIELD_MISSING", "Records list cannot be empty")
    if body.get("allOrNone"):
        raise ApiError(400, "FUNCTIONALITY_NOT_ENABLED", "The sandbox has no allOrNone=true")
    if len(records) > COLLECTION:
        raise _too_many(COLLECTION)
    names = [_target(record, objects).name for record in records]
    if len(list(groupby(names))) > CHUNKS:
        raise ApiError(
            400,
            "INVALID_OPERATION",
            "Cannot have more than 10 chunks in a single operation. Please rearrange the data to "
            "reduce chunking.",
        )
    return records


def _target(given: Mapping[str, Any], objects: Objects) -> SObject:
    name = str((given.get("attributes") or {}).get("type", ""))
    if name.lower() not in objects:
        raise ApiError(400, "INVALID_TYPE", f"Invalid sObject type: {name}")
    return objects[name.lower()]


def _identity(given: Mapping[str, Any]) -> object:
    found = [value for name, value in given.items() if name.lower() == "id"]
    if not found:
        raise RowError("MISSING_ARGUMENT", "Id not specified in an update call", ("Id",))
    return found[0]


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in given.items() if k.lower() not in ("id", "attributes")}


def _too_many(limit: int) -> ApiError:
    return ApiError(
        400, "LIMIT_EXCEEDED", f"record limit reached. cannot submit more than {limit} records"
    )


def _chosen(sobject: SObject, names: Sequence[str]) -> list[Field]:
    unknown = [name for name in names if name.lower() not in sobject.fields]
    if unknown:
        raise ApiError(
            400,
            "INVALID_FIELD",
            f"No such column '{unknown[0]}' on entity '{sobject.name}'. If you are attempting to "
            "use a custom field, be sure to append the '__c' after the custom field name. Please "
            "reference your WSDL or the describe call for the appropriate names.",
        )
    chosen: Iterable[str] = names or sobject.fields
    return [sobject.fields[name.lower()] for name in chosen]


def _record_json(sobject: SObject, fields: Iterable[Field], row: Row, version: str) -> str:
    url = f"/services/data/v{version}/sobjects/{sobject.name}/{sobject.fields['id'].read(row)}"
    members = "".join(f',"{item.name}":{json_value(reader(item)(row))}' for item in fields)
    return f'{{"attributes":{{"type":"{sobject.name}","url":"{url}"}}{members}}}'


def _stamp(at: datetime) -> str:
    return f"{at.isoformat()[:19]}.000+0000"
