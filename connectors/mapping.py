"""CRM records <-> the common model, column by column.

A connector reads raw columns (lists, or Arrow arrays of text) under common field names;
`table` turns them into the Arrow form of a facts table. `custom.<name>` columns become the
`custom` map and `present.<output>` columns the `present` map; of columns that are sources of one
field (`connectors.sources`) the first readable value counts. What a single value means, and the
text in which written values are compared, is said in `connectors.values`.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from functools import partial, reduce

import pyarrow as pa
import pyarrow.compute as pc

from connectors import values
from connectors.base import RowProblem
from connectors.columns import TEXT, Column, by_distinct, convert, raw_array, text
from connectors.countries import country_code
from connectors.errors import MappingError
from connectors.reachable import email_valid, phone_number, phone_valid
from connectors.settings import MappedTo
from connectors.sources import Raw, common_field, merged, resolve
from core import normalise
from core.decision import Output
from core.facts import arrow_schema
from core.model import Row

CHANNELS: Mapping[str, str] = {
    "page_view": "web",
    "download": "web",
    "form_submission": "web",
    "trial_started": "web",
    "demo_requested": "web",
    "email_open": "email",
    "email_click": "email",
    "email_sent": "email",
    "email_reply": "email",
    "email_forward": "email",
    "call": "phone",
    "meeting": "meeting",
    "webinar_registered": "event",
    "webinar_attended": "event",
    "trade_show": "event",
    "social_message": "social",
}
"""Activity type -> its channel, where the CRM names none."""

MAPS = {"custom", "present", "origins", "sources"}
"""Columns of the model that are gathered from others, and so cannot be mapped."""

_FOLLOWS: Mapping[str, tuple[str, ...]] = {
    "title": ("seniority", "function"),
    "country": ("region", "us_region"),
    "type": ("channel",),
    "email": ("email_valid",),
    "phone": ("phone_number", "phone_valid"),
}
"""Field -> those that `table` reads from it where they are not mapped themselves."""

RESTS_ON: Mapping[str, tuple[str, ...]] = {
    "seniority": ("title",),
    "function": ("title",),
    "state": ("country",),
    "region": ("country",),
    "us_region": ("country", "state"),
    "email_valid": ("email",),
    "phone_number": ("phone",),
    "phone_valid": ("phone",),
}
"""From what else `table` reads a column."""


@dataclass(frozen=True)
class Mapped:
    """Rows in the common model, and the values that could not be read (left null)."""

    rows: pa.Table
    rejected: tuple[RowProblem, ...] = ()


def field_map(
    model: type[Row], defaults: Mapping[str, str], overrides: Mapping[str, MappedTo]
) -> dict[str, str]:
    """Raw column -> CRM field: a connector's defaults with an admin's changes.

    A column is named as its common field, or after its source (`connectors.sources`). An override
    of None leaves the field out. Raises ValueError for a common field that does not exist (naming
    the nearest that does), and for leaving out one that every row must have.
    """
    for name, field in overrides.items():
        _known(model, name)
        if field is None and _required(model, name):
            raise ValueError(f"{name} cannot be left out: every row must have it")
    return merged(defaults, overrides)


def filled(model: type[Row], fields: Iterable[str]) -> frozenset[str]:
    """Fields that are read, with all that a row has besides: what follows from them, its stamps."""
    read = {*fields, "id", "object_type", "modified_at"}
    following = {name for field in read for name in _FOLLOWS.get(field, ())}
    return frozenset(read | following & set(model.model_fields))


def narrowed(columns: Mapping[str, str], only: Set[str]) -> dict[str, str]:
    """Raw columns -> CRM fields: of some common fields alone (empty: of all), with the stamp and
    what `table` reads them by."""
    read = {"modified_at", *only}.union(*(RESTS_ON.get(name, ()) for name in only))
    return {
        column: field
        for column, field in columns.items()
        if not only or common_field(column) in read
    }


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The CRM field that is probably meant by a name, whatever the case of its letters."""
    names = {field.casefold(): field for field in known}
    near = difflib.get_close_matches(name.casefold(), names, n=1)
    return names[near[0]] if near else None


def refuse_unmapped(names: Iterable[str], mapped: Iterable[str], connection: str) -> None:
    """Refuse names under `mapping.unstamped` that are no mapped CRM field. Raises MappingError."""
    known = set(mapped)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise MappingError(
                f"mapping.unstamped names {name}, which no field is mapped to{hint}",
                connection=connection,
            )


def _known(model: type[Row], name: str) -> None:
    prefix, dot, rest = name.partition(".")
    if dot and rest and prefix == "custom" and "custom" in model.model_fields:
        return
    known = [field for field in model.model_fields if field not in MAPS]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it may be {', '.join(known)}"
        further = " or custom.<name>" if "custom" in model.model_fields else ""
        raise ValueError(f"{name} is not a field of {model.__name__.lower()}: {hint}{further}")


def _required(model: type[Row], name: str) -> bool:
    return name in model.model_fields and model.model_fields[name].is_required()


def table(model: type[Row], raw: Raw) -> Mapped:
    """Convert raw columns of equal length; columns not given are null.

    A value that cannot be read becomes null and is reported. A row without an id, or without
    another required column, is left out and reported. What follows from other columns (regions,
    seniority, function, channel) is filled in where it is not given. Raises ValueError for a
    column that the model does not have, or for columns of different lengths.
    """
    schema = arrow_schema(model)
    count = _count(model, raw)
    columns = {
        field.name: _read(schema, field.name, raw_array(raw[field.name]))
        for field in schema
        if field.name in raw
    }
    found = {name: column.values for name, column in columns.items()}
    unread = [(name, column.unread) for name, column in columns.items()]
    cells = dict(raw)
    for name, field in resolve(raw, partial(_read, schema)).items():
        (cells if name.startswith("custom.") else found)[name] = field.values
        cells |= {f"origins.{name}": field.origin, f"sources.{name}": field.sources}
        unread += [(name, rows) for rows in field.unread]
    _derive(schema, found)
    for prefix in MAPS & set(schema.names):
        parts = {n: cells[n] for n in cells if n.startswith(f"{prefix}.") and common_field(n) == n}
        if parts:
            found[prefix] = _text_map(prefix, parts, count).cast(schema.field(prefix).type)
    for name, info in model.model_fields.items():
        if name not in found:
            found[name] = pa.nulls(count, schema.field(name).type)
        if info.default == "":
            found[name] = found[name].fill_null("")
    return _settle(schema, found, unread)


def _count(model: type[Row], raw: Raw) -> int:
    for name in raw:
        prefix, _, output = name.partition(".")
        if prefix == "present" and "present" in model.model_fields:
            Output(output)
        else:
            _known(model, common_field(name))
    lengths = {len(column) for column in raw.values()}
    if len(lengths) > 1:
        raise ValueError("columns of one table must have the same length")
    return lengths.pop() if lengths else 0


def _read(schema: pa.Schema, name: str, array: pa.Array) -> Column:
    if name == "email":
        return Column(pc.utf8_lower(text(array)))
    normal = values.canonical_custom if name.startswith("custom.") else _NORMAL.get(name)
    return by_distinct(text(array), normal) if normal else convert(array, schema.field(name).type)


def _country(given: str) -> str:
    code = country_code(given)
    if code is None:
        raise values.Unreadable("is not a known country")
    return code


def _domain(given: str) -> str:
    name = normalise.domain(given)
    if name is None:
        raise values.Unreadable("is not a web address")
    return name


_NORMAL: Mapping[str, Callable[[str], str]] = {
    "asset": normalise.path,
    "country": _country,
    "domain": _domain,
    "industry": normalise.industry,
}


def _derive(schema: pa.Schema, found: dict[str, pa.Array]) -> None:
    """Fill in the columns that follow from others."""
    for source, name, follows in (
        ("title", "seniority", normalise.seniority),
        ("title", "function", normalise.function),
        ("country", "region", normalise.region),
        ("type", "channel", CHANNELS.get),
    ):
        if source in found and name in schema.names:
            _fill(found, name, by_distinct(found[source], follows).values)
    if "country" in found and "us_region" in schema.names:
        _within_the_us(found)
    if "email" in found and "email_valid" in schema.names:
        _fill(found, "email_valid", by_distinct(found["email"], email_valid, pa.bool_()).values)
    if "phone" in found and "phone_number" in schema.names:
        _dialled(found)


def _fill(found: dict[str, pa.Array], name: str, derived: pa.Array) -> None:
    """Derive a column where it is not mapped itself."""
    found[name] = pc.coalesce(found[name], derived) if name in found else derived


def _dialled(found: dict[str, pa.Array]) -> None:
    """Read telephone numbers, each with its country once."""
    nowhere = pa.nulls(len(found["phone"]), TEXT)
    country = found.get("country", nowhere).fill_null("")
    both = pc.binary_join_element_wise(found["phone"], country, "\n")

    def of(read: Callable[[str, str | None], object]) -> Callable[[str], object]:
        def each(pair: str) -> object:
            phone, _, code = pair.rpartition("\n")
            return read(phone, code or None)

        return each

    _fill(found, "phone_number", by_distinct(both, of(phone_number)).values)
    _fill(found, "phone_valid", by_distinct(both, of(phone_valid), pa.bool_()).values)


def _within_the_us(found: dict[str, pa.Array]) -> None:
    """Write US states in two letters, and fill in the region; any other country is abroad."""
    american = pc.equal(found["country"], "US")
    given = found.get("state", pa.nulls(len(american), TEXT))
    states = by_distinct(given, normalise.us_state).values
    found["state"] = pc.if_else(american.fill_null(False), states, given)
    regions = by_distinct(states, normalise.us_region).values
    _fill(found, "us_region", pc.if_else(american, regions, "abroad"))


def _text_map(prefix: str, parts: Raw, count: int) -> pa.Array:
    """A column that is gathered from others: what is not empty, as canonical text by name."""
    names = [name.removeprefix(f"{prefix}.") for name in parts]
    columns = []
    for name, raw in zip(names, parts.values(), strict=True):
        read: Callable[[str], str | None] = str
        if prefix == "custom":
            read = values.canonical_custom
        elif prefix == "present":
            read = partial(values.canonical, values.WRITTEN_KINDS[Output(name)])
        columns.append(by_distinct(text(raw_array(raw)), read).values)
    width = len(columns)
    by_row = [row + column * count for row in range(count) for column in range(width)]
    cells = pa.concat_arrays(columns).take(pa.array(by_row, pa.int64()))
    kept = cells.is_valid()
    ends = pc.cumulative_sum(kept.cast(pa.int32()))
    ends = ends.take(pa.array(range(width - 1, count * width, width), pa.int64()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    keys = pa.array(names * count, TEXT)
    return pa.MapArray.from_arrays(offsets, keys.filter(kept), cells.filter(kept))


def _settle(
    schema: pa.Schema,
    found: Mapping[str, pa.Array],
    unread: Iterable[tuple[str, Mapping[int, str]]],
) -> Mapped:
    """Leave out the rows that lack a required value, and name what could not be read."""
    ids = found["id"]
    problems = [
        RowProblem(ids[row].as_py() or "", name, reason)
        for name, rows in unread
        for row, reason in rows.items()
    ]
    required = [field.name for field in schema if not field.nullable]
    whole = reduce(pc.and_, (found[name].is_valid() for name in required))
    cells = dict(found)
    if not pc.all(whole).as_py():
        for name in required:
            for row in pc.indices_nonzero(found[name].is_null()).to_pylist():
                reason = f"is missing: row {row + 1} of its page is left out"
                problems.append(RowProblem(ids[row].as_py() or "", name, reason))
        cells = {name: array.filter(whole) for name, array in found.items()}
    rows = pa.Table.from_arrays([cells[name] for name in schema.names], schema=schema)
    return Mapped(rows, tuple(problems))
