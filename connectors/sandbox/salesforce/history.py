"""Field history as Salesforce objects: LeadHistory and its kin, and which fields are tracked.

A row for each change of a tracked field since tracking was switched on, and one with Field
`created` for each record made since; a changed reference has two, one with names and one with
ids. Long text and multi-select picklists are told without their values, formulas not at all.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.salesforce.columns import reference
from connectors.sandbox.salesforce.fields import Field, Parent, Row, SObject, by_name
from connectors.sandbox.salesforce.ids import record_id
from connectors.sandbox.salesforce.org import Org, id_of, seconds
from connectors.sandbox.salesforce.write import Rules

KEPT = timedelta(days=730)
"""How long a change can be read by the API."""

PREFIX, DEFINITION_PREFIX, ENTITY_PREFIX = "017", "00N", "000"
OBJECTS = ("Lead", "Contact", "Account")
_UNTOLD = ("textarea", "multipicklist")
_SPAN = 10**4
"""A row is numbered by its record and by its place in the record's history."""


def history_objects(org: Org, rules: Rules, objects: Sequence[SObject]) -> list[SObject]:
    """The history of leads, contacts and accounts, and the definitions of all fields."""
    histories = [_history(org, rules, item) for item in objects if item.name in OBJECTS]
    return [*histories, *_definitions(rules, objects)]


def _history(org: Org, rules: Rules, item: SObject) -> SObject:
    def rows() -> Iterator[Row]:
        tracked = rules.tracked.get(item.name, {})
        oldest = org.crm.clock() - KEPT
        for record in item.rows() if tracked else ():
            told = _changes(item, record, tracked)
            for number, row in enumerate(told):
                if row["CreatedDate"] >= oldest:
                    yield {"Id": record_id(PREFIX, record.number * _SPAN + number), **row}

    fields = [
        _plain("Id", "id"),
        _plain(f"{item.name}Id", "reference", targets=(item.name,)),
        _plain("Field", "picklist"),
        _plain("DataType", "picklist"),
        _plain("OldValue", "anyType", filterable=False),
        _plain("NewValue", "anyType", filterable=False),
        _plain("CreatedDate", "datetime"),
        reference("CreatedById", lambda row: org.one(Kind.USER, row["by"]), "CreatedBy", "User"),
        _plain("IsDeleted", "boolean"),
    ]
    return SObject(f"{item.name}History", PREFIX, rows, by_name(fields), updates=False)


def _changes(
    item: SObject, record: Record, tracked: Mapping[str, datetime]
) -> Iterator[dict[str, Any]]:
    """What is told of one record, oldest first."""
    states = list(record.states())[::-1]
    common = {f"{item.name}Id": id_of(record), "IsDeleted": record.deleted_at is not None}
    if record.created >= min(tracked.values()):
        yield {**common, **_told("created", "Text", states[0])}
    for before, after in pairwise(states):
        for name, since in tracked.items():
            field = item.fields[name.lower()]
            if after.modified < since or field.calculated:
                continue
            old, new = field.read(before), field.read(after)
            if old == new:
                continue
            if field.type in _UNTOLD:
                yield {**common, **_told(field.name, "Text", after)}
            elif field.parent is None:
                yield {**common, **_told(field.name, "Text", after, old, new)}
            else:
                names = (_name(field.parent.resolve(state)) for state in (before, after))
                yield {**common, **_told(field.parent.name, "Text", after, *names)}
                yield {**common, **_told(field.parent.name, "EntityId", after, old, new)}


def _told(
    name: str, data_type: str, state: Record, old: Any = None, new: Any = None
) -> dict[str, Any]:
    return {
        "Field": name,
        "DataType": data_type,
        "OldValue": old,
        "NewValue": new,
        "CreatedDate": seconds(state.modified),
        "by": state.modified_by,
    }


def _name(row: Row | None) -> str | None:
    return row and row.values.get("name")


def _definitions(rules: Rules, objects: Iterable[SObject]) -> list[SObject]:
    entities = {item.name: {"QualifiedApiName": item.name} for item in objects}

    def rows() -> Iterator[Row]:
        for item in objects:
            tracked = rules.tracked.get(item.name, {})
            for field in item.fields.values():
                yield {
                    "QualifiedApiName": field.name,
                    "IsFieldHistoryTracked": field.name in tracked,
                    "EntityDefinitionId": item.name,
                }

    entity = Parent(
        "EntityDefinition", "EntityDefinition", lambda row: entities[row["EntityDefinitionId"]]
    )
    own = [_plain("QualifiedApiName", "string")]
    tracked = _plain("IsFieldHistoryTracked", "boolean")
    fields = [*own, tracked, _plain("EntityDefinitionId", "string", parent=entity)]
    return [
        _virtual("FieldDefinition", DEFINITION_PREFIX, rows, fields),
        _virtual("EntityDefinition", ENTITY_PREFIX, entities.values, own),
    ]


def _virtual(
    name: str, prefix: str, rows: Callable[[], Iterable[Row]], fields: Iterable[Field]
) -> SObject:
    """An object of definitions, which are no records: they share the empty id."""
    nobody = Field("Id", "id", lambda _: record_id("000", 0), length=18)
    return SObject(name, prefix, rows, by_name([nobody, *fields]), updates=False, bulk=False)


def _plain(name: str, type: str, **more: Any) -> Field:
    return Field(name, type, lambda row: row[name], length=255, **more)
