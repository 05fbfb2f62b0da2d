"""The neutral records of the sandbox as raw columns of the common model."""

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.base import Removed
from connectors.sandbox.crm import Kind, Record

_COMPANY = ("website", "industry", "employees", "revenue", "country", "state", "technologies")
_PERSON = ("first_name", "last_name", "email", "phone", "title", "company", "source", "status")
_ACTION = ("type", "asset", "campaign", "area", "channel", "direction", "outcome", "duration")

FIELDS: Mapping[str, Mapping[str, str]] = {
    "leads": {
        **{name: name for name in (*_PERSON, *_COMPANY, "bounced_at", "accepted_at")},
        "email_opt_out": "opt_out",
        "account_id": "account",
        "owner_id": "owner",
        "converted_at": "converted_at",
        "converted_to": "converted_to",
    },
    "accounts": {
        **{name: name for name in ("name", "type", *_COMPANY) if name != "website"},
        "domain": "website",
        "parent_id": "parent",
        "owner_id": "owner",
    },
    "activities": {
        **{name: name for name in _ACTION},
        "occurred_at": "at",
        "account_id": "account",
        "owner_id": "owner",
    },
    "owners": {"name": "name", "email": "email"},
    "outcomes": {
        **{name: name for name in ("stage", "amount", "currency", "closed_at")},
        "account_id": "account",
    },
}
"""Facts table -> common field -> neutral name, where nothing is computed."""

COMPUTED = {
    "leads": ("created_at",),
    "accounts": ("created_at",),
    "activities": ("lead_id",),
}
"""Facts table -> the other fields that a row of it has."""

_REFERENCES = {"account", "owner", "parent", "converted_to"}


def columns(
    table: str, records: Sequence[Record], fields: Mapping[str, str]
) -> dict[str, list[Any]]:
    """Columns of a facts table: a row for each record, or for each of its people.

    `fields` says which neutral or custom field stands for which common one.
    """
    by_person = table in ("activities", "outcomes")
    pairs = [
        (record, person)
        for record in records
        for person in ((record.values.get("people") or [None]) if by_person else [None])
    ]
    found: dict[str, list[Any]] = {
        "id": [str(r.number) for r, _ in pairs],
        "object_type": [r.kind.value for r, _ in pairs],
        "modified_at": [r.modified for r, _ in pairs],
    }
    for common, name in fields.items():
        found[common] = [value(r, name) for r, _ in pairs]
    if table in ("leads", "accounts", "outcomes"):
        found["created_at"] = [r.created for r, _ in pairs]
    if by_person:
        found["lead_id"] = ["" if person is None else str(person) for _, person in pairs]
    if table == "outcomes":
        found["result"] = [_result(r) for r, _ in pairs]
    if table == "owners":
        found["kind"] = ["queue" if r.kind is Kind.QUEUE else "person" for r, _ in pairs]
        found["active"] = [r.values.get("active", True) for r, _ in pairs]
    return found


def removed(record: Record) -> Removed | None:
    """What to say of a record that is gone, or that a contact now stands for."""
    key, values = str(record.number), record.values
    if record.deleted_at is not None:
        survivor = None if record.survivor is None else str(record.survivor)
        return Removed(key, record.deleted_at, survivor)
    if record.kind is Kind.LEAD and values.get("converted_to") is not None:
        return Removed(key, values["converted_at"], str(values["converted_to"]))
    return None


def value(record: Record, name: str) -> Any:
    """A value as this CRM gives it out: references as ids."""
    value = record.values.get(name)
    return str(value) if name in _REFERENCES and value is not None else value


def _result(deal: Record) -> str:
    if not deal.values.get("closed"):
        return "open"
    return "won" if deal.values.get("won") else "lost"
