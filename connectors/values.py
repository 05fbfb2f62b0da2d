"""What a single CRM value means, and the one text in which a written value is compared.

Every value has a text form; the readers take that text, trimmed and not empty, and raise
Unreadable with a reason that never repeats the value.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from connectors.base import FieldKind
from core.decision import Output

WRITTEN_KINDS: Mapping[Output, FieldKind] = {
    Output.SCORE: FieldKind.NUMBER,
    Output.TIER: FieldKind.TEXT,
    Output.STAGE: FieldKind.TEXT,
    Output.REASON: FieldKind.TEXT,
    Output.MODEL: FieldKind.TEXT,
    Output.SCORED_AT: FieldKind.DATETIME,
    Output.OWNER: FieldKind.REFERENCE,
    Output.AREA: FieldKind.TEXT,
    Output.BUYER_STAGE: FieldKind.TEXT,
}
"""What kind of value each output is."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_FRACTION = re.compile(r"[+-]?\d+\.\d+(?:[eE][+-]?\d{1,3})?", re.ASCII)
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d(?::\d\d(?::\d\d(?:\.\d{1,9})?)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CENT = Decimal("0.01")
_LARGEST_AMOUNT = Decimal(10) ** 18
_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class Unreadable(ValueError):
    """A value cannot be read; the message is the reason, without the value."""


def number(text: str) -> Decimal:
    """An exact number: `12`, `12.0`, `-1.5e3`."""
    if not _NUMBER.fullmatch(text):
        raise Unreadable("is not a number")
    return Decimal(text)


def integer(text: str) -> int:
    """A whole number, also when written `12.0`."""
    value = number(text)
    if abs(value) >= 2**63:
        raise Unreadable("is too large")
    if value != value.to_integral_value():
        raise Unreadable("is not a whole number")
    return int(value)


def amount(text: str) -> Decimal:
    """An amount of money in whole cents, rounded half up."""
    value = number(text)
    if abs(value) >= _LARGEST_AMOUNT - 1:
        raise Unreadable("is too large")
    return value.quantize(_CENT, rounding=ROUND_HALF_UP)


def boolean(text: str) -> bool:
    """true, yes or 1; false, no or 0."""
    value = _WORDS.get(text.lower())
    if value is None:
        raise Unreadable("is not true or false")
    return value


def moment(text: str) -> datetime:
    """A time in UTC: ISO 8601 (a bare date is midnight, no offset is UTC) or epoch milliseconds."""
    try:
        if _NUMBER.fullmatch(text):
            return _EPOCH + timedelta(microseconds=int(Decimal(text) * 1000))
        if _MOMENT.fullmatch(text) or _DAY.fullmatch(text):
            return utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise Unreadable("is not a time that exists") from None
    raise Unreadable("is not a date or time")


def seconds_between(start: str | None, end: str | None) -> int | str | None:
    """Whole seconds from one time to another; what is no time comes back, to be reported."""
    if not start or not end:
        return None
    for text in (start, end):
        try:
            moment(text)
        except Unreadable:
            return text
    return int((moment(end) - moment(start)).total_seconds())


def words(text: str) -> list[str]:
    """The parts of `a;b`, lower case and trimmed, each once, in their order."""
    parts = (part.strip().lower() for part in text.split(";"))
    return list(dict.fromkeys(part for part in parts if part))


def utc(time: datetime) -> datetime:
    """An aware UTC time; one without an offset is taken for UTC."""
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def as_text(value: Any) -> str | None:
    """The text form of a value as JSON or Arrow gives it; None where it is None or NaN."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return plain_number(Decimal(repr(value))) if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return plain_number(value) if value.is_finite() else None
    if isinstance(value, datetime):
        return utc(value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return ";".join(text for part in value if (text := as_text(part)))
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    raise TypeError(f"a CRM value cannot be of type {type(value).__name__}")


def plain_number(value: Decimal) -> str:
    """A number in plain decimals without trailing zeros: 98.5, 107."""
    return f"{value.normalize():f}" if value else "0"


def plain_time(value: datetime) -> str:
    """A time as `2026-03-01T12:00:00Z`, in whole seconds."""
    return utc(value).strftime("%Y-%m-%dT%H:%M:%SZ")


def canonical(kind: FieldKind, value: Any) -> str | None:
    """The one text of a written value, equal whichever CRM or interface it came from.

    None where it is empty. A value that is not of its kind stays as text: it is what the CRM
    holds, and differs from anything leadgauge would write.
    """
    text = (as_text(value) or "").replace("\0", "").strip()
    if not text:
        return None
    try:
        if kind is FieldKind.NUMBER:
            return plain_number(number(text))
        if kind is FieldKind.DATETIME:
            return plain_time(moment(text))
    except Unreadable:
        return text
    return text


def canonical_custom(text: str) -> str:
    """The canonical text of a mapped field whose kind is not known.

    REST says 5.0 and 2024-09-24T03:26:07.000+0000 where Bulk CSV says "5.0" and ...000Z, so
    what reads as a decimal fraction or as a time is written in its one form.
    """
    if _FRACTION.fullmatch(text):
        return plain_number(Decimal(text))
    return canonical(FieldKind.DATETIME, text) or text if _MOMENT.fullmatch(text) else text
