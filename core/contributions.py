"""What every part of a score is made of: matched rules, and the points they contribute."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import BooleanValue, Table, Value

from core.facts import TIME
from core.points import Grain

CONTRIBUTIONS = ibis.schema(
    {
        "connection": "string",
        "lead_id": "string",
        "rule": "string",
        "part": "string",
        "events": "int64",
        "first": TIME,
        "last": TIME,
        "evidence": "string",
        "raw": "int64",
        "decay_loss": "int64",
        "cap_loss": "int64",
        "points": "int64",
    }
)

NO_EVENTS: Mapping[str, Value] = {
    "events": ibis.null("int64"),
    "first": ibis.null(TIME),
    "last": ibis.null(TIME),
    "evidence": ibis.null("string"),
}
"""The columns of a contribution that rests on no activity."""

NUMBERS = "array<int32>"
"""Rules go by their number until the end, fit and behaviour rules each from 0."""


def matched(
    table: Table, signatures: Table, groups: Iterable[Iterable[tuple[BooleanValue, int]]]
) -> Table:
    """Each row of `table` with the `number` of every rule that it matches.

    `signatures` are the distinct values of the columns that decide, `groups` conditions on them,
    each with its number: of each group the first that holds counts. The numbers are flattened
    from arrays of one or none, because DuckDB and Spark agree on them without a lambda.
    """
    none = ibis.literal([], NUMBERS)
    groups = [list(group) for group in groups]
    found = [
        ibis.cases(*((holds, ibis.literal([n], NUMBERS)) for holds, n in group), else_=none)
        for group in groups
    ]
    numbered = signatures.mutate(number=ibis.array(found).flatten().unnest())
    # Joined with the numbers themselves, engines expect few signatures, and look up each row of
    # `table` among them; DuckDB 1.5 else looks up the signatures among all rows.
    asked = pa.array([n for group in groups for _holds, n in group], pa.int32())
    numbered = numbered.join(ibis.memtable(pa.table({"number": asked})), "number")
    same = [table[column].identical_to(numbered[column]) for column in signatures.columns]
    return table.join(numbered, same).select(table, "number")


def contributions(table: Table, **columns: Value) -> Table:
    """The columns of CONTRIBUTIONS, some of them given."""
    return table.select(
        **{
            name: (columns[name] if name in columns else table[name]).cast(kind)
            for name, kind in CONTRIBUTIONS.items()
        }
    )


def capped(
    table: Table,
    name: str,
    grain: Grain,
    *,
    part: str = "behaviour",
    cap: Decimal | None = None,
    floor: Decimal | None = None,
) -> Table:
    """The contribution that brings each lead's sum of `amount`, in grains, within bounds.

    Sums are taken by lead, and by `period` too where the table has one. The loss is a line of its
    own, so that no rule's own points depend on another's; a floor's is negative.
    """
    keys = ["connection", "lead_id"]
    sums = table.group_by([*keys, *({"period"} & set(table.columns))]).aggregate(
        amount=table.amount.sum()
    )
    kept = sums.amount
    if cap is not None:
        kept = (kept > grain.of(cap)).ifelse(grain.of(cap), kept)
    if floor is not None:
        kept = (kept < grain.of(floor)).ifelse(grain.of(floor), kept)
    rows = sums.mutate(loss=sums.amount - kept).group_by(keys).aggregate(loss=_.loss.sum())
    return lost(rows, name, grain, part=part)


def lost(rows: Table, name: str, grain: Grain, *, part: str = "behaviour") -> Table:
    """The contribution that takes each lead's `loss`, in grains; a negative one is given."""
    rows = rows.filter(rows.loss != 0)
    return contributions(
        rows,
        rule=ibis.literal(name),
        part=ibis.literal(part),
        raw=ibis.literal(0, "int64"),
        decay_loss=ibis.literal(0, "int64"),
        cap_loss=rows.loss * grain.raw,
        points=-rows.loss * grain.weighted,
        **NO_EVENTS,
    )
