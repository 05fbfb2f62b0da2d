"""What Salesforce's field history says of leads, contacts and accounts.

Only tracked fields have a history, which goes back to when tracking was switched on, and no
further than Salesforce keeps it (18 to 24 months): to the first row of the object's history. Up
to its first change a field held the old value of that change; without one, what it holds now.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.base import Problem
from connectors.history import Histories, Steps, earlier, traced
from connectors.salesforce import soql
from connectors.salesforce.client import SalesforceClient
from connectors.salesforce.failures import CallRefused
from connectors.salesforce.fields import BY_NAME, ObjectMap, Schema
from connectors.salesforce.shape import Columns, listed
from connectors.values import moment
from core import facts

HISTORIES: Mapping[str, str] = {name: f"{name}History" for name in ("Account", "Lead", "Contact")}
"""The objects that have a history, and its name."""

COLUMNS = ("Field", "DataType", "OldValue", "NewValue", "CreatedDate")
AT_ONCE = 5_000
"""Records whose histories are in hand together: a page of a bulk job has many times as many."""

REFERENCE = "EntityId"
"""The data type of the one of two rows on a changed reference that holds ids."""


@dataclass(frozen=True)
class _Tracked:
    """The fields of an object whose history is kept, by their names in it; and since when."""

    fields: Mapping[str, str]
    since: datetime | None


class FieldHistory:
    """The histories of one org; what is tracked is asked once for each object."""

    def __init__(self, client: SalesforceClient, schema: Schema) -> None:
        self._client = client
        self._schema = schema
        self._known: dict[str, _Tracked] = {}

    def asked(self, name: str) -> int:
        """The calls that it still takes to know what is tracked of an object, and since when."""
        return 0 if name in self._known else 2

    def earlier(self, item: ObjectMap, columns: Columns, rows: pa.Table) -> pa.Table:
        """The versions before the rows of a page; `columns` are what they were made of."""
        parts = []
        for start in range(0, len(columns["Id"]), AT_ONCE):
            some = {path: listed(cells[start : start + AT_ONCE]) for path, cells in columns.items()}
            own = rows.filter(pc.is_in(rows["id"], pa.array(some["Id"])))
            histories = self._histories(item.name, some)
            wanted = self._schema.columns(item)
            parts.append(earlier(facts.BY_NAME[item.table].model, own, wanted, histories))
        return pa.concat_tables(parts)

    def _histories(self, name: str, columns: Mapping[str, Sequence[Any]]) -> Histories:
        """What is known of the tracked fields of some records."""
        tracked = self._tracked(name)
        said = self._changes(name, columns["Id"], tracked)
        return {
            key: {
                path: steps(said[key, field], columns[path][place], tracked.since)
                for field, path in tracked.fields.items()
            }
            for place, key in enumerate(columns["Id"])
        }

    def problems(self) -> list[Problem]:
        """The mapped fields without a history, for each object."""
        found = []
        for name in HISTORIES:
            mapped = set(traced(self._schema.columns(BY_NAME[name])).values())
            missing = sorted(mapped - set(self._tracked(name).fields.values()))
            if missing:
                what = (
                    f"no history is kept of {', '.join(missing)}: not known before the first sync"
                )
                advice = "turn on field history tracking for what scores go by"
                found.append(Problem("warning", name, what, advice))
        return found

    def _tracked(self, name: str) -> _Tracked:
        if name not in self._known:
            try:
                self._known[name] = self._asked(name)
            except CallRefused:
                # Without tracking, or the right to see it, there is no such object.
                self._known[name] = _Tracked({}, None)
        return self._known[name]

    def _asked(self, name: str) -> _Tracked:
        entity = f"EntityDefinition.QualifiedApiName = {soql.literal(name)}"
        tracked = "IsFieldHistoryTracked = true"
        definitions = soql.select(["QualifiedApiName"], "FieldDefinition", entity, tracked)
        followed = {row["QualifiedApiName"] for row in self._client.records(definitions)}
        mapped = traced(self._schema.columns(BY_NAME[name])).values()
        first = soql.select(["CreatedDate"], HISTORIES[name], order=("CreatedDate",)) + " LIMIT 1"
        begun = [moment(row["CreatedDate"]) for row in self._client.records(first)]
        fields = {self._schema.in_history(name, path): path for path in mapped if path in followed}
        return _Tracked(fields, begun[0] if begun else None)

    def _changes(
        self, name: str, ids: Sequence[str], tracked: _Tracked
    ) -> Mapping[tuple[str, str], list[Mapping[str, Any]]]:
        """The changes of each record and field, oldest first."""
        found: defaultdict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
        if not tracked.fields or tracked.since is None:
            return found
        key = f"{name}Id"
        some_fields = f"Field IN {soql.literal(tracked.fields)}"
        for start in range(0, len(ids), soql.IDS_PER_QUERY):
            some = f"{key} IN {soql.literal(ids[start : start + soql.IDS_PER_QUERY])}"
            query = soql.select(
                [key, *COLUMNS], HISTORIES[name], some, some_fields, order=("CreatedDate", "Id")
            )
            for row in self._client.records(query):
                field = row["Field"]
                whole = self._schema.is_reference(name, tracked.fields[field])
                if not whole or row["DataType"] == REFERENCE:
                    found[row[key], field].append(row)
        return found


def steps(changes: Sequence[Mapping[str, Any]], present: Any, since: datetime | None) -> Steps:
    """What a field held that now holds `present`, of which a history is kept `since` (None: none).

    Where a change is told without its values, or does not follow from the one before, nothing is
    known up to it.
    """
    if since is None:
        return ()
    known = [(since, changes[0]["OldValue"] if changes else present)]
    for change in changes:
        old, new = change["OldValue"], change["NewValue"]
        if known and known[-1][1] != old:
            known = []
        if old is None and new is None:
            known = []
        else:
            known.append((moment(change["CreatedDate"]), new))
    return known
