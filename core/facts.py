"""The facts tables: their schemas, derived from the common model, and their views.

Every facts table holds the columns of its model type plus the name of the connection the row
came from. Leads, accounts and activities are kept in versions: a row holds from `valid_from`
(inclusive) to `valid_to` (exclusive; null while it is the latest), so that they can be read as
of a date: an activity that is given to another person later was the first one's until then.
A record that is removed has no open version; where it was merged into another or converted,
`ALIASES` says which record now stands for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import ibis
import ibis.expr.datatypes as dt
import pyarrow as pa
from ibis.expr.types import Table

from core.model import Account, Activity, Lead, Outcome, Owner, Row

MONEY = dt.Decimal(20, 2)
TIME = dt.Timestamp(timezone="UTC", scale=6)

_TYPES: Mapping[object, dt.DataType] = {
    str: dt.String(),
    int: dt.Int64(),
    bool: dt.Boolean(),
    Decimal: MONEY,
    datetime: TIME,
    tuple: dt.Array(dt.String()),
    dict: dt.Map(dt.String(), dt.String()),
}


def _datatype(annotation: Any) -> dt.DataType:
    nullable = False
    if get_origin(annotation) is UnionType:
        inner = [a for a in get_args(annotation) if a is not NoneType]
        nullable = len(inner) < len(get_args(annotation))
        (annotation,) = inner
    return _TYPES[get_origin(annotation) or annotation].copy(nullable=nullable)


def schema(model: type[Row]) -> ibis.Schema:
    """The columns of a model type as an Ibis schema, in the order of their definition."""
    return ibis.schema({name: _datatype(f.annotation) for name, f in model.model_fields.items()})


def arrow_schema(model: type[Row]) -> pa.Schema:
    """The same columns as an Arrow schema: the form in which a page carries its rows."""
    return schema(model).to_pyarrow()


@dataclass(frozen=True)
class FactsTable:
    """One facts table.

    `key` are the columns that, with the connection, identify a row. A page replaces what it
    names: all rows of `replaced_by` columns found in it (an activity comes with all its people).
    """

    name: str
    model: type[Row]
    key: tuple[str, ...]
    replaced_by: tuple[str, ...]
    versioned: bool = False

    @property
    def schema(self) -> ibis.Schema:
        """The columns of the stored table."""
        columns = {"connection": dt.String(nullable=False), **dict(schema(self.model).items())}
        if self.versioned:
            columns["valid_from"] = TIME.copy(nullable=False)
            columns["valid_to"] = TIME
        return ibis.schema(columns)


LEADS = FactsTable("leads", Lead, ("id",), ("id",), versioned=True)
ACCOUNTS = FactsTable("accounts", Account, ("id",), ("id",), versioned=True)
ACTIVITIES = FactsTable(
    "activities",
    Activity,
    ("object_type", "id", "lead_id"),
    ("object_type", "id"),
    versioned=True,
)
OWNERS = FactsTable("owners", Owner, ("id",), ("id",))
OUTCOMES = FactsTable("outcomes", Outcome, ("id", "lead_id"), ("id",))
TABLES = (LEADS, ACCOUNTS, ACTIVITIES, OWNERS, OUTCOMES)
BY_NAME = {table.name: table for table in TABLES}
SCORED = (LEADS, ACCOUNTS, ACTIVITIES)
"""The tables of whose fields a model asks."""

ALIASES = ibis.schema(
    {
        "connection": "!string",
        "table_name": "!string",
        "id": "!string",
        "survivor": "!string",
    }
)
"""Merged and converted records: `survivor` stands for `id`, and is never itself an alias."""


def as_of(table: Table, at: datetime) -> Table:
    """The rows of a table with `valid_from` and `valid_to` that held at `at`."""
    moment = ibis.literal(at, type=TIME)
    return table.filter(
        table.valid_from <= moment, table.valid_to.isnull() | (table.valid_to > moment)
    )
