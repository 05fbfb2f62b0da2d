"""HubSpot properties: how one is read from a neutral record, described, checked and written."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.sandbox.crm import Record
from connectors.sandbox.hubspot.lookup import Lookup
from connectors.sandbox.hubspot.replies import stamp, text

LONGEST_TEXT = 65_536
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTALLED = datetime(2024, 1, 1, tzinfo=UTC)
FIELD_TYPES = {
    "string": "text",
    "number": "number",
    "bool": "booleancheckbox",
    "enumeration": "select",
    "datetime": "date",
    "date": "date",
}


class InvalidValue(Exception):
    """A value that a property does not take; `error` is HubSpot's word for why."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error


@dataclass(frozen=True)
class Property:
    """One property of an object type.

    `key` names the neutral value behind it; empty for one that is computed by `read` alone and
    so read-only. `words` translates neutral words to HubSpot's; `scale` is what a neutral
    number is multiplied by. `as_float`: HubSpot answers this number as "12.0".
    """

    name: str
    type: str = "string"
    key: str = ""
    read: Callable[[Record, Lookup], Any] | None = None
    label: str = ""
    field_type: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    choices: Sequence[str] = ()
    scale: int = 1
    as_float: bool = False
    definition: Mapping[str, Any] | None = None

    @property
    def options(self) -> Sequence[str]:
        """The internal values that an enumeration takes; empty for any."""
        return self.choices or tuple(self.words.values())

    def value(self, record: Record, index: Lookup) -> Any:
        """The value as Python has it, in HubSpot's words and units."""
        value = self.read(record, index) if self.read else record.values.get(self.key)
        if isinstance(value, str):
            if self.name == "email":
                return value.lower()
            value = self.words.get(value, value)
            code = value.upper().replace(" ", "_")
            return code if code in self.choices else value
        if value is not None and self.scale != 1:
            return value * self.scale
        return value

    def text(self, record: Record, index: Lookup) -> str | None:
        """The value as it goes over the wire."""
        value = self.value(record, index)
        if self.as_float and value is not None:
            return str(float(value))
        return text(value)

    def parse(self, raw: Any, present: Any) -> Any:
        """The neutral value for what was sent. Raises InvalidValue."""
        if not self.key:
            raise InvalidValue("READ_ONLY_VALUE", f'"{self.name}" is a read only property')
        if raw is None or raw == "":
            return None
        value = _PARSERS[self.type](self, str(raw), present)
        if self.scale != 1:
            return value // self.scale
        return value

    def describe(self, type_name: str) -> dict[str, Any]:
        """The definition, as the properties API gives it."""
        if self.definition is not None:
            return dict(self.definition)
        options = ["true", "false"] if self.type == "bool" else self.options
        labels = {code: word for word, code in self.words.items()}
        return definition(
            name=self.name,
            label=self.label or self.name.replace("_", " ").capitalize(),
            type=self.type,
            fieldType=self.field_type or FIELD_TYPES[self.type],
            groupName=group_of(type_name),
            options=option_list([{"label": labels.get(o, o), "value": o} for o in options]),
            hubspotDefined=True,
            externalOptions=self.name == "hubspot_owner_id",
            hasUniqueValue=self.name == "email",
            readOnly=not self.key,
            at=INSTALLED,
        )


def group_of(type_name: str) -> str:
    """The name of an object type's first property group: contactinformation ..."""
    return {"companies": "company"}.get(type_name, type_name.removesuffix("s")) + "information"


def option_list(options: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The options of an enumeration in full form."""
    return [
        {"hidden": False, "displayOrder": place, "description": "", **option}
        for place, option in enumerate(options)
    ]


def definition(*, readOnly: bool = False, at: datetime, **given: Any) -> dict[str, Any]:  # noqa: N803
    """A property definition with everything that HubSpot adds."""
    return {
        "description": "",
        "options": [],
        "calculated": False,
        "externalOptions": False,
        "hubspotDefined": False,
        "hasUniqueValue": False,
        "hidden": False,
        "formField": not readOnly,
        "displayOrder": -1,
        "archived": False,
        "dataSensitivity": "non_sensitive",
        "modificationMetadata": {
            "archivable": not given.get("hubspotDefined", False),
            "readOnlyDefinition": given.get("hubspotDefined", False),
            "readOnlyOptions": given.get("hubspotDefined", False),
            "readOnlyValue": readOnly,
        },
        "createdAt": stamp(at),
        "updatedAt": stamp(at),
        **given,
    }


def custom(definition: Mapping[str, Any], key: str = "") -> Property:
    """A property that an admin or an app made; its value stands under `key`, else its name.

    A calculated one is worked out at every look by `formula`, which is not shown to clients.
    """
    formula = definition.get("formula")
    shown = {name: value for name, value in definition.items() if name != "formula"}
    return Property(
        definition["name"],
        definition["type"],
        "" if formula else key or definition["name"],
        read=(lambda record, _: formula(record)) if formula else None,
        field_type=definition["fieldType"],
        choices=tuple(option["value"] for option in definition["options"]),
        definition=shown,
    )


def _string(prop: Property, raw: str, _: Any) -> str:
    if len(raw) > LONGEST_TEXT:
        raise InvalidValue("INVALID_LENGTH", f"{prop.name} is longer than {LONGEST_TEXT}")
    if prop.name == "email" and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", raw):
        raise InvalidValue("INVALID_EMAIL", "Email address is invalid")
    return raw


def _number(_: Property, raw: str, __: Any) -> Decimal | int:
    try:
        number = Decimal(raw)
    except InvalidOperation:
        raise InvalidValue("INVALID_LONG", f"{raw} was not a valid long.") from None
    if not number.is_finite():
        raise InvalidValue("INVALID_LONG", f"{raw} was not a valid long.")
    return int(number) if number == number.to_integral() else number


def _bool(_: Property, raw: str, __: Any) -> bool:
    if raw.lower() not in ("true", "false"):
        raise _not_an_option(raw, ("true", "false"))
    return raw.lower() == "true"


def _enumeration(prop: Property, raw: str, present: Any) -> Any:
    if prop.field_type != "checkbox":
        if prop.options and raw not in prop.options:
            raise _not_an_option(raw, prop.options)
        return next((word for word, code in prop.words.items() if code == raw), raw)
    chosen = [value for value in raw.split(";") if value]
    for value in chosen:
        if value not in prop.options:
            raise _not_an_option(value, prop.options)
    # A leading semicolon adds to what is there; without it the list is replaced.
    before = list(present or []) if raw.startswith(";") else []
    return list(dict.fromkeys(before + chosen))


def _not_an_option(raw: str, options: Sequence[str]) -> InvalidValue:
    listed = ", ".join(options)
    return InvalidValue("INVALID_OPTION", f"{raw} was not one of the allowed options: [{listed}]")


def _datetime(_: Property, raw: str, __: Any) -> datetime:
    try:
        return moment(raw)
    except ValueError:
        raise InvalidValue("INVALID_DATE", f"{raw} was not a valid date.") from None


def _date(_: Property, raw: str, __: Any) -> date:
    at = _datetime(_, raw, __)
    if (at.hour, at.minute, at.second, at.microsecond) != (0, 0, 0, 0):
        raise InvalidValue("INVALID_DATE", f"{raw} is at no UTC midnight.")
    return at.date()


def moment(raw: str) -> datetime:
    """A time given in milliseconds or in ISO form. Raises ValueError."""
    if re.fullmatch(r"-?\d+", raw):
        return EPOCH + timedelta(milliseconds=int(raw))
    at = datetime.fromisoformat(raw)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


_PARSERS: dict[str, Callable[[Property, str, Any], Any]] = {
    "string": _string,
    "phone_number": _string,
    "number": _number,
    "bool": _bool,
    "enumeration": _enumeration,
    "datetime": _datetime,
    "date": _date,
}
