"""What Salesforce's describe says of a field, and whether an output can be written to it."""

from collections.abc import Mapping
from typing import Any

from connectors.base import Field, FieldKind, Problem
from connectors.values import WRITTEN_KINDS
from core.decision import Output

_KINDS = {
    "boolean": FieldKind.BOOLEAN,
    "date": FieldKind.DATE,
    "datetime": FieldKind.DATETIME,
    "reference": FieldKind.REFERENCE,
    "id": FieldKind.REFERENCE,
    "picklist": FieldKind.CHOICE,
    **dict.fromkeys(("int", "long", "double", "currency", "percent"), FieldKind.NUMBER),
    **dict.fromkeys(
        ("string", "textarea", "email", "phone", "url", "combobox", "encryptedstring"),
        FieldKind.TEXT,
    ),
}
_HOLDS = {
    FieldKind.NUMBER: {FieldKind.NUMBER, FieldKind.TEXT},
    FieldKind.DATETIME: {FieldKind.DATETIME, FieldKind.TEXT},
    FieldKind.TEXT: {FieldKind.TEXT, FieldKind.CHOICE},
    FieldKind.REFERENCE: {FieldKind.REFERENCE},
}


def described(item: Mapping[str, Any]) -> Field:
    """A field as Salesforce describes it -> a Field."""
    kind = _KINDS.get(item["type"], FieldKind.OTHER)
    number, whole = kind is FieldKind.NUMBER, item["type"] in ("int", "long")
    digits, decimals = item.get("precision") or 0, item.get("scale") or 0
    choices = item.get("picklistValues") or () if item.get("restrictedPicklist") else ()
    return Field(
        name=item["name"],
        label=item["label"],
        kind=kind,
        writable=bool(item["updateable"]) and not item.get("calculated"),
        length=item.get("length") or None if kind in (FieldKind.TEXT, FieldKind.CHOICE) else None,
        whole_digits=(item.get("digits") or None if whole else digits - decimals)
        if number
        else None,
        decimals=(0 if whole else decimals) if number else None,
        choices=tuple(c["value"] for c in choices if c["active"]),
        calculated=bool(item.get("calculated")),
    )


def unfit(where: str, output: Output, known: Field | None) -> list[Problem]:
    """Why an output cannot be written to a field (None: there is none)."""
    if known is None:
        what = "does not exist, or the integration user may not see it"
        return [Problem("error", where, what, "create it: leadgauge setup")]
    if not known.writable:
        return [Problem("error", where, "is read-only to the integration user", "grant edit")]
    if known.kind not in _HOLDS[WRITTEN_KINDS[output]]:
        what = f"is of kind {known.kind}, which cannot hold the {output}"
        return [Problem("error", where, what, "map the output to another field")]
    return []
