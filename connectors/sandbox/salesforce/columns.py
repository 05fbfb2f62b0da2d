"""The building blocks of an object: fields that read, store and refer in the usual ways."""

from collections.abc import Callable
from typing import Any

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.salesforce import org as o
from connectors.sandbox.salesforce.fields import (
    Children,
    Field,
    Parent,
    Read,
    Row,
    SObject,
    by_name,
)
from connectors.sandbox.salesforce.org import Org, id_of, seconds


def value(key: str) -> Read:
    """Reads what is kept under a neutral key."""
    return lambda row: row.values.get(key)


def flag(key: str) -> Read:
    """Reads a checkbox: what is not known is false."""
    return lambda row: bool(row.values.get(key))


def stamp(key: str) -> Read:
    """Reads a time."""
    return lambda row: seconds(row.values.get(key))


def text(name: str, key: str, length: int = 255, type: str = "string", **more: Any) -> Field:
    """A field of text that is stored under a neutral key."""
    return Field(name, type, value(key), store=key, length=length, **more)


def number(name: str, key: str, type: str, precision: int, scale: int = 0) -> Field:
    """A field of numbers that is stored under a neutral key."""
    return Field(name, type, value(key), store=key, precision=precision, scale=scale)


def derived(name: str, type: str, read: Read, length: int = 0, **more: Any) -> Field:
    """A field that cannot be written."""
    return Field(name, type, read, length=length, **more)


def system(org: Org, target: str, *, deletes: bool = True) -> list[Field]:
    """The fields that Salesforce keeps itself: id, stamps, who, whether deleted or merged."""

    def user(row: Record) -> Record | None:
        return org.one(Kind.USER, row.modified_by or org.crm.integration_user)

    def creator(_: Record) -> Record | None:
        return org.one(Kind.USER, org.crm.integration_user)

    fields = [
        derived("Id", "id", id_of, 18),
        derived("CreatedDate", "datetime", lambda row: row.created.replace(microsecond=0)),
        derived("LastModifiedDate", "datetime", lambda row: row.modified.replace(microsecond=0)),
        derived("SystemModstamp", "datetime", lambda row: row.modified.replace(microsecond=0)),
        reference("CreatedById", creator, "CreatedBy", "User"),
        reference("LastModifiedById", user, "LastModifiedBy", "User"),
    ]
    if deletes:
        fields.append(derived("IsDeleted", "boolean", lambda row: row.deleted_at is not None))
    if target in ("Lead", "Contact", "Account", "Individual"):
        fields.append(
            derived(
                "MasterRecordId",
                "reference",
                lambda row: org.reference(row.kind, row.survivor),
                18,
                targets=(target,),
            )
        )
    return fields


def reference(
    name: str,
    resolve: Callable[[Row], Record | None],
    relation: str,
    target: str,
    *,
    store: str | None = None,
    targets: tuple[str, ...] = (),
) -> Field:
    """A field that refers to a record, and opens the relationship to it."""

    def read(row: Row) -> str | None:
        found = resolve(row)
        return None if found is None else id_of(found)

    parent = Parent(relation, target, resolve)
    return Field(
        name, "reference", read, store=store, length=18, targets=targets or (target,), parent=parent
    )


def owner(org: Org, *targets: str) -> Field:
    """OwnerId, which may name a record of these objects."""
    target = "Name" if len(targets) > 1 else targets[0]
    return reference("OwnerId", org.owner, "Owner", target, store="owner", targets=targets)


def date_of(key: str) -> Read:
    """Reads the day of a time."""

    def read(row: Record) -> Any:
        at = row.values.get(key)
        return at and at.date()

    return read


def of_kind(
    org: Org,
    name: str,
    kind: Kind,
    fields: list[Field],
    children: tuple[Children, ...] = (),
    *,
    creates: bool = True,
) -> SObject:
    """An object whose rows are the records of one kind."""

    return SObject(
        name, o.PREFIX[kind], lambda: org.records(kind), by_name(fields), children, creates=creates
    )
