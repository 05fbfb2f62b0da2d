"""Writing records: what Salesforce refuses, what it changes on the way, what it stores."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.salesforce.errors import ApiError, RowError, locked
from connectors.sandbox.salesforce.fields import NUMBER_TYPES, TEXT_TYPES, Field, SObject
from connectors.sandbox.salesforce.ids import full_id
from connectors.sandbox.salesforce.org import PREFIX, Org, id_of

_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+\.[^@\s,;.]+")
_KINDS = {prefix: kind for kind, prefix in PREFIX.items()}


@dataclass
class Rules:
    """What the org's admins have set up, and a test switches on.

    `assign_to` is the number of the user or queue that the active assignment rule gives every
    saved lead to. `duplicate_alert` turns on an alerting duplicate rule on equal e-mail
    addresses. `locked` says how many more times a record (by its 18-character id) is locked,
    `invalid` with which words a validation rule refuses to save a record (by its id). `tracked`
    says by object which fields have their history kept, each since when. `privacy` turns Data
    Protection and Privacy on, and with it the Individuals of leads and contacts.
    """

    assign_to: int | None = None
    duplicate_alert: bool = False
    locked: dict[str, int] = field(default_factory=dict)
    invalid: dict[str, str] = field(default_factory=dict)
    tracked: dict[str, Mapping[str, datetime]] = field(default_factory=dict)
    privacy: bool = False


@dataclass(frozen=True)
class Options:
    """What a request's headers ask of a write."""

    assign: bool = True
    allow_duplicates: bool = False

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Options":
        """Read the headers. Sforce-Auto-Assign absent means TRUE."""
        assign = headers.get("sforce-auto-assign", "TRUE").upper() != "FALSE"
        duplicates = headers.get("sforce-duplicate-rule-header", "").replace(" ", "").lower()
        return cls(assign, "allowsave=true" in duplicates)


class Writer:
    """Creates, updates and deletes records of an org, one at a time."""

    def __init__(self, org: Org, rules: Rules) -> None:
        self._org = org
        self._rules = rules

    def create(self, sobject: SObject, given: Mapping[str, Any], options: Options) -> str:
        """Create a record; its id. RowError or ApiError when Salesforce would refuse it."""
        if not sobject.creates:
            raise RowError(
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
                f"entity type cannot be inserted: {sobject.name}",
            )
        values = self._values(sobject, given)
        missing = [
            item.name
            for item in sobject.fields.values()
            if item.required and values.get(item.store or "") is None
        ]
        if missing:
            raise _missing(missing)
        with self._org.crm.lock:
            if sobject.name == "Task":
                now = self._org.crm.clock()
                values = {"type": "task", "Status": "Not Started", "at": now, **values}
            kind = _KINDS.get(sobject.prefix, Kind.ACTIVITY)
            self._apply_rules(sobject, kind, None, values, options)
            return id_of(self._org.crm.add(kind, values))

    def update(
        self, sobject: SObject, record_id: str, given: Mapping[str, Any], options: Options
    ) -> None:
        """Set fields of a record. RowError or ApiError when Salesforce would refuse it."""
        values = self._values(sobject, given)
        with self._org.crm.lock:
            record = self.live(sobject, record_id)
            if record.values.get("converted_at"):
                raise RowError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
            empty = [
                item.name
                for item in sobject.fields.values()
                if item.required and item.store in values and values[item.store] is None
            ]
            if empty:
                raise _missing(empty)
            self._apply_rules(sobject, record.kind, record, values, options)
            self._org.crm.update(record, values)

    def delete(self, sobject: SObject, record_id: str) -> None:
        """Move a record to the recycle bin."""
        with self._org.crm.lock:
            self._org.crm.delete(self.live(sobject, record_id))

    def live(self, sobject: SObject, record_id: str) -> Record:
        """The record to write. RowError when it is gone, another object's, or locked."""
        identity = full_id(record_id)
        if not identity.startswith(sobject.prefix):
            words = f"{sobject.name} ID: id value of incorrect type: {record_id}"
            raise RowError("MALFORMED_ID", words, ("Id",))
        record = self._org.find(identity)
        if record is None:
            raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if record.deleted_at is not None:
            raise RowError("ENTITY_IS_DELETED", "entity is deleted")
        if self._rules.locked.get(identity, 0) > 0:
            self._rules.locked[identity] -= 1
            raise locked(identity)
        return record

    def _values(self, sobject: SObject, given: Mapping[str, Any]) -> dict[str, Any]:
        """Field values as the CRM keeps them, every one checked."""
        found: dict[str, Field] = {}
        for name in given:
            item = sobject.fields.get(name.lower())
            if item is None:
                raise ApiError(
                    400,
                    "INVALID_FIELD",
                    f"No such column '{name}' on sobject of type {sobject.name}",
                )
            found[name] = item
        fixed = tuple(item.name for item in found.values() if not item.writable)
        if fixed:
            raise RowError(
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                f"Unable to create/update fields: {', '.join(fixed)}. Please check the security "
                "settings of this field and verify that it is read/write for your profile or "
                "permission set.",
                fixed,
            )
        values: dict[str, Any] = {}
        for name, item in found.items():
            values |= self._stored(sobject, item, given[name])
        return values

    def _stored(self, sobject: SObject, item: Field, value: Any) -> dict[str, Any]:
        if item.type == "reference":
            return self._reference(sobject, item, value)
        checked = check(item, value)
        if item.store == "type" and sobject.name in ("Task", "Event"):
            checked = checked and checked.lower().replace(" ", "_")
        if item.type == "multipicklist":
            checked = checked and checked.split(";")
        return {item.store or "": checked}

    def _reference(self, sobject: SObject, item: Field, value: Any) -> dict[str, Any]:
        if value in (None, ""):
            if item.store == "owner":
                raise RowError(
                    "INVALID_CROSS_REFERENCE_KEY", "Owner ID: owner cannot be blank", (item.name,)
                )
            return {"people": []} if item.store == "who" else {item.store or "": None}
        identity = full_id(str(value))
        target = self._org.find(identity)
        accepted = {PREFIX[kind] for kind in PREFIX if _object(kind) in item.targets}
        if identity[:3] not in accepted:
            raise RowError(
                "MALFORMED_ID", f"{item.name}: id value of incorrect type: {value}", (item.name,)
            )
        if target is None or target.deleted_at is not None:
            raise RowError(
                "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", (item.name,)
            )
        if target.kind is Kind.USER and not target.values.get("active", True):
            raise RowError(
                "INACTIVE_OWNER_OR_USER",
                f"operation performed with inactive user [{identity}] as owner of "
                f"{sobject.name.lower()}",
                (item.name,),
            )
        if item.store == "who":
            return {"people": [target.number]}
        store = target.kind.value if item.store == "what" else item.store
        return {store or "": target.number}

    def _apply_rules(
        self,
        sobject: SObject,
        kind: Kind,
        record: Record | None,
        values: dict[str, Any],
        options: Options,
    ) -> None:
        if record is not None and (words := self._rules.invalid.get(id_of(record))):
            raise RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", words)
        if self._rules.duplicate_alert and not options.allow_duplicates and kind is Kind.LEAD:
            known = record.values if record is not None else {}
            email = values.get("email", known.get("email"))
            others = (r for r in self._org.crm.records(kind) if r is not record)
            if email and any(_equal_text(r.values.get("email"), email) for r in others):
                raise RowError("DUPLICATES_DETECTED", "Use one of these records?")
        if self._rules.assign_to is not None and options.assign and sobject.name == "Lead":
            values["owner"] = self._rules.assign_to


def _object(kind: Kind) -> str:
    return {
        Kind.LEAD: "Lead",
        Kind.CONTACT: "Contact",
        Kind.ACCOUNT: "Account",
        Kind.DEAL: "Opportunity",
        Kind.USER: "User",
        Kind.QUEUE: "Group",
        Kind.INDIVIDUAL: "Individual",
    }[kind]


def _equal_text(one: str | None, other: str) -> bool:
    return one is not None and one.lower() == other.lower()


def _missing(names: list[str]) -> RowError:
    return RowError(
        "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(names)}]", tuple(names)
    )


def check(item: Field, value: Any) -> Any:
    """A value as its field keeps it. RowError when it does not fit.

    INVALID_TYPE_ON_FIELD_IN_RECORD stands for a value of the wrong type: over REST that is a
    JSON_PARSER_ERROR of the whole request.
    """
    if value is None or value == "":
        return False if item.type == "boolean" else None
    if item.type in TEXT_TYPES:
        return _text(item, value)
    if item.type in NUMBER_TYPES:
        return _number(item, value)
    if item.type == "boolean" and str(value).lower() in ("true", "false", "1", "0"):
        return str(value).lower() in ("true", "1")
    if item.type in ("date", "datetime") and isinstance(value, str):
        return _time(item, value)
    raise _wrong_type(item, value)


def _text(item: Field, value: Any) -> str:
    label = item.label or item.name
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise _wrong_type(item, value)
    text = str(value)
    if item.length and len(text) > item.length:
        raise RowError(
            "STRING_TOO_LONG",
            f"{label}: data value too large: {text} (max length={item.length})",
            (item.name,),
        )
    chosen = text.split(";") if item.type == "multipicklist" else [text]
    if item.restricted and not set(chosen) <= set(item.choices):
        raise RowError(
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            f"{label}: bad value for restricted picklist field: {text}",
            (item.name,),
        )
    if item.type == "email" and not _EMAIL.fullmatch(text):
        raise RowError(
            "INVALID_EMAIL_ADDRESS", f"{label}: invalid email address: {text}", (item.name,)
        )
    return text


def _number(item: Field, value: Any) -> Decimal | int:
    try:
        number = Decimal(str(value))
    except InvalidOperation as wrong:
        raise _wrong_type(item, value) from wrong
    if isinstance(value, bool) or not number.is_finite():
        raise _wrong_type(item, value)
    number = number.quantize(Decimal(1).scaleb(-item.scale), ROUND_HALF_UP)
    if abs(number) >= Decimal(10) ** (item.precision - item.scale):
        raise RowError(
            "NUMBER_OUTSIDE_VALID_RANGE",
            f"{item.label or item.name}: value outside of valid range on numeric field: {value}",
            (item.name,),
        )
    return int(number) if item.type == "int" else number


def _time(item: Field, value: str) -> date | datetime:
    try:
        if item.type == "date":
            return date.fromisoformat(value)
        at = datetime.fromisoformat(value)
    except ValueError as wrong:
        raise _wrong_type(item, value) from wrong
    if at.tzinfo is None:
        raise _wrong_type(item, value)
    return at.astimezone(UTC)


def _wrong_type(item: Field, value: Any) -> RowError:
    return RowError(
        "INVALID_TYPE_ON_FIELD_IN_RECORD",
        f"Cannot deserialize instance of {item.type} from value {value} or request may be missing "
        "a required field",
        (item.name,),
    )
