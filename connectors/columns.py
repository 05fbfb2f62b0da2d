"""Raw columns -> Arrow columns: at once where Arrow can, else by distinct value.

A vectorised cast that fails, or does not apply, leaves the column to the readers of
`connectors.values`, so that one unreadable cell costs time in its own column only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors import values
from core import facts

TEXT = pa.string()
MONEY = facts.MONEY.to_pyarrow()
TIME = facts.TIME.to_pyarrow()
WORDS = pa.list_(pa.string())
_NAIVE = pa.timestamp("us")
_YEAR_1, _YEAR_9999 = -62_135_596_800_000_000, 253_402_300_799_999_999
"""Bounds of Python's datetime in microseconds; Arrow's own are wider."""


@dataclass(frozen=True)
class Column:
    """Converted values, and the reason of each row that could not be read (left null)."""

    values: pa.Array
    unread: Mapping[int, str] = field(default_factory=dict)


def raw_array(raw: Sequence[Any] | pa.Array) -> pa.Array:
    """A raw column as an Arrow array of one simple type; as text where cells are mixed."""
    if isinstance(raw, pa.Array):
        return raw
    try:
        array = pa.array(raw)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        return _texts(raw)
    return _texts(raw) if pa.types.is_nested(array.type) else array


def _texts(raw: Sequence[Any]) -> pa.Array:
    # JSON may carry half of a surrogate pair, which UTF-8 cannot hold.
    texts = (values.as_text(value) for value in raw)
    return pa.array(
        [t if t is None else t.encode("utf-8", "replace").decode() for t in texts], TEXT
    )


def text(array: pa.Array) -> pa.Array:
    """A column as trimmed text without null bytes; null where it is empty."""
    if not pa.types.is_string(array.type):
        encoded = array.dictionary_encode()
        array = _texts(encoded.dictionary.to_pylist()).take(encoded.indices)
    if pc.any(pc.match_substring(array, "\0")).as_py():
        array = pc.replace_substring(array, "\0", "")
    array = pc.utf8_trim_whitespace(array)
    empty = pc.equal(array, "")
    return pc.if_else(empty, None, array) if pc.any(empty).as_py() else array


def by_distinct(array: pa.Array, read: Callable[[str], object], type: pa.DataType = TEXT) -> Column:
    """Read each distinct text of a column once."""
    encoded = array.dictionary_encode()
    found: list[object] = []
    reasons: dict[int, str] = {}
    for code, value in enumerate(encoded.dictionary.to_pylist()):
        try:
            found.append(read(value))
        except values.Unreadable as unreadable:
            found.append(None)
            reasons[code] = str(unreadable)
    column = pa.array(found, type).take(encoded.indices)
    if not reasons:
        return Column(column)
    codes = enumerate(encoded.indices.to_pylist())
    return Column(column, {row: reasons[code] for row, code in codes if code in reasons})


def convert(array: pa.Array, type: pa.DataType) -> Column:
    """A raw column in the type of a facts column."""
    if type == TEXT:
        return Column(text(array))
    at_once, read = _CONVERSIONS[type]
    try:
        return Column(at_once(array))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return by_distinct(text(array), read, type)


def _never(array: pa.Array) -> pa.Array:
    raise pa.ArrowNotImplementedError(f"{array.type} is read by distinct value")


def _booleans(array: pa.Array) -> pa.Array:
    return array if pa.types.is_boolean(array.type) else _never(array)


def _integers(array: pa.Array) -> pa.Array:
    if pa.types.is_string(array.type):
        return text(array).cast(pa.int64())
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        return array.cast(pa.int64())
    return _never(array)


def _amounts(array: pa.Array) -> pa.Array:
    if pa.types.is_boolean(array.type) or pa.types.is_temporal(array.type):
        return _never(array)
    # By way of text: it is exact for a float's shortest form, and Arrow widens no integers.
    texts = text(array) if pa.types.is_string(array.type) else array.cast(TEXT)
    return texts.cast(MONEY)


def _times(array: pa.Array) -> pa.Array:
    if pa.types.is_string(array.type):
        times = _times_of_text(text(array))
    elif pa.types.is_temporal(array.type):
        times = array.cast(_NAIVE)
    elif pa.types.is_integer(array.type):
        times = array.cast(pa.timestamp("ms")).cast(_NAIVE)
    else:
        return _never(array)
    ends = pc.min_max(times.cast(pa.int64())).as_py()
    if ends["min"] is not None and not (ends["min"] >= _YEAR_1 and ends["max"] <= _YEAR_9999):
        return _never(array)
    return times.cast(TIME)


def _times_of_text(array: pa.Array) -> pa.Array:
    try:
        return array.cast(TIME).cast(_NAIVE)
    except pa.ArrowInvalid:
        return array.cast(_NAIVE)


_CONVERSIONS: Mapping[
    pa.DataType, tuple[Callable[[pa.Array], pa.Array], Callable[[str], object]]
] = {
    pa.int64(): (_integers, values.integer),
    MONEY: (_amounts, values.amount),
    pa.bool_(): (_booleans, values.boolean),
    TIME: (_times, values.moment),
    WORDS: (_never, values.words),
}
