"""A CRM's field history -> the versions of records before the rows that were read.

A history says of some fields what they held, and since when. Each instant at which one of them
changed begins a version: a row of the facts table that begins at its `modified_at`, with one
column more: `known` names the columns that are known of that time. What the others hold is
nothing to go by, for the past must not be guessed from what came later.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.columns import WORDS
from connectors.mapping import RESTS_ON, table
from connectors.sources import common_field
from core.model import Row

ALWAYS = datetime.min.replace(tzinfo=UTC)
"""Since when something has held that was never otherwise."""

Steps = Sequence[tuple[datetime, Any]]
"""The values of a field and since when each held, oldest first; not known before the first."""

Histories = Mapping[str, Mapping[str, Steps]]
"""Record id -> CRM field -> what its history says; a field that is absent has none."""

KNOWN = "known"
FIXED = ("id", "object_type", "created_at")
"""What is fixed when a record is created."""


def traced(columns: Mapping[str, str]) -> dict[str, str]:
    """Raw column -> CRM field, of those whose history is of use: no stamps, no written fields."""
    apart = (*FIXED, "modified_at")
    return {
        column: field
        for column, field in columns.items()
        if column not in apart and not column.startswith("present.")
    }


def earlier(
    model: type[Row], rows: pa.Table, columns: Mapping[str, str], histories: Histories
) -> pa.Table:
    """The versions before some rows, from the creation of their records on.

    `columns` are raw column -> CRM field, as the rows were mapped. A history that does not end
    in what the row holds is not believed: the field was not followed all the time.
    """
    spread = _Spread(model, traced(columns))
    stamps = (rows[name].to_pylist() for name in (*FIXED, "modified_at"))
    for key, object_type, created_at, modified_at in zip(*stamps, strict=True):
        spread.add(key, object_type, created_at, modified_at, histories.get(key, {}))
    mapped = table(model, spread.raw).rows
    last = pa.array(spread.last, pa.bool_())
    doubtful = _differing(rows, mapped.filter(last))
    known = [
        [name for name in names if name not in doubtful.get(key, ())]
        for key, names in zip(spread.raw["id"], spread.known, strict=True)
    ]
    versions = mapped.append_column(KNOWN, pa.array(known, WORDS))
    return versions.filter(pc.invert(last))


class _Spread:
    """Raw columns with a row for each instant of each record, up to its row's own (`last`)."""

    def __init__(self, model: type[Row], columns: Mapping[str, str]) -> None:
        self._columns = columns
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        for column in columns:
            self._by_name[common_field(column)].append(column)
        self._derived = [
            name
            for name, rests in RESTS_ON.items()
            if name in model.model_fields
            and name not in self._by_name
            and any(other in self._by_name for other in rests)
        ]
        self.raw: dict[str, list[Any]] = {
            name: [] for name in (*FIXED, "modified_at", *self._columns)
        }
        self.known: list[list[str]] = []
        self.last: list[bool] = []

    def add(
        self,
        key: str,
        object_type: str,
        created_at: datetime | None,
        modified_at: datetime,
        history: Mapping[str, Steps],
    ) -> None:
        """Add a record as its history has it."""
        since = created_at or ALWAYS
        changes = {at for steps in history.values() for at, _ in steps}
        begun = {created_at} if created_at else set()
        for at in sorted(at for at in changes | begun if since <= at < modified_at and at > ALWAYS):
            self._row((key, object_type, created_at, at), history, last=False)
        self._row((key, object_type, created_at, modified_at), history, last=True)

    def _row(self, stamps: tuple[Any, ...], history: Mapping[str, Steps], *, last: bool) -> None:
        at = stamps[-1]
        held = {
            column: step
            for column, field in self._columns.items()
            if (step := _at(history.get(field, ()), at)) is not None
        }
        names = self._names(held)
        for name, value in zip((*FIXED, "modified_at"), stamps, strict=True):
            self.raw[name].append(value)
        for column in self._columns:
            told = held[column][1] if common_field(column) in names else None
            self.raw[column].append(told)
        self.known.append([*FIXED, *sorted(names)])
        self.last.append(last)

    def _names(self, held: Mapping[str, Any]) -> set[str]:
        """The columns that are known where these raw ones are."""
        found = {
            name
            for name, columns in self._by_name.items()
            if all(column in held for column in columns)
        }

        def rests(name: str) -> bool:
            return all(o in found for o in RESTS_ON.get(name, ()) if o in self._by_name)

        return {name for name in (*found, *self._derived) if rests(name)}


def _at(steps: Steps, moment: datetime) -> tuple[datetime, Any] | None:
    """The step in force at an instant; None before the first."""
    place = bisect_right(steps, moment, key=lambda step: step[0])
    return steps[place - 1] if place else None


def _differing(rows: pa.Table, told: pa.Table) -> dict[str, set[str]]:
    """By record id, the columns in which two tables of the same records differ."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    ids = rows["id"].to_pylist()
    for name in rows.column_names:
        pairs = zip(ids, rows[name].to_pylist(), told[name].to_pylist(), strict=True)
        for key, held, said in pairs:
            if held == said:
                continue
            if name == "custom":
                ours, theirs = dict(held or ()), dict(said or ())
                unlike = {k for k in {**ours, **theirs} if ours.get(k) != theirs.get(k)}
                found[key] |= {f"custom.{k}" for k in unlike}
            else:
                found[key].add(name)
    return found
