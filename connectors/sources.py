"""Several CRM fields for one common field: the first that holds a readable value counts.

Between reading and mapping each source is a raw column of its own, `<field>@<origin>:<CRM field>`,
in order of precedence.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.columns import TEXT, Column, by_distinct, raw_array, text
from connectors.settings import MappedTo
from core.provenance import Origin, as_source

Raw = Mapping[str, Sequence[Any] | pa.Array]
_COLUMN = re.compile(rf"(.+?)@({'|'.join(Origin)}):(.+)")


def merged(defaults: Mapping[str, str], overrides: Mapping[str, MappedTo]) -> dict[str, str]:
    """Raw column -> CRM field: a connector's defaults with an admin's changes.

    A field that has several sources has a column for each; one that is left out has none.
    """
    found: dict[str, str] = {}
    for name, to in {**defaults, **overrides}.items():
        if isinstance(to, tuple):
            found |= {f"{name}@{source.origin}:{source.field}": source.field for source in to}
        elif to is not None:
            found[name] = to
    return found


def common_field(column: str) -> str:
    """The common field that a raw column is a source of."""
    match = _COLUMN.fullmatch(column)
    return match[1] if match else column


@dataclass(frozen=True)
class Resolved:
    """A field of several sources: the value that counts, whence it is, and what each one says.

    `unread` are the rows of each source that could not be read, with the reason.
    """

    values: pa.Array
    origin: pa.Array
    sources: pa.Array
    unread: tuple[Mapping[int, str], ...]


def resolve(raw: Raw, read: Callable[[str, pa.Array], Column]) -> dict[str, Resolved]:
    """The fields that have several sources; `read` makes a field's values of a raw column."""
    found: dict[str, list[tuple[str, str, Column]]] = {}
    for column, cells in raw.items():
        if match := _COLUMN.fullmatch(column):
            name, origin, field = match.groups()
            found.setdefault(name, []).append((origin, field, read(name, raw_array(cells))))
    return {name: _resolved(answers) for name, answers in found.items()}


def _resolved(answers: list[tuple[str, str, Column]]) -> Resolved:
    none = pa.scalar(None, TEXT)
    columns = [column for _origin, _field, column in answers]
    origin = pc.coalesce(
        *(pc.if_else(column.values.is_valid(), origin, none) for origin, _field, column in answers)
    )
    said = [
        by_distinct(_text(column.values), partial(as_source, field, origin)).values
        for origin, field, column in answers
    ]
    # Nulls filled by hand: skipping them, Arrow loses the rows in which all are null.
    lines = pc.binary_join_element_wise(*(pc.fill_null(one, "") for one in said), "")
    return Resolved(
        pc.coalesce(*(column.values for column in columns)),
        origin,
        pc.if_else(origin.is_valid(), lines, none),
        tuple(column.unread for column in columns),
    )


def _text(values: pa.Array) -> pa.Array:
    return pc.binary_join(values, ";") if pa.types.is_list(values.type) else text(values)
