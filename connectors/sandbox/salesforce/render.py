"""Rows as Salesforce writes them: JSON (compact, or indented when asked) and bulk CSV.

A page of 2,000 rows is what a client's speed is measured on, so the shape of a record is
worked out once a query, and a record then costs one reading and one formatting of each value.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from connectors.sandbox.salesforce.evaluate import Column, Objects, Plan, child_rows
from connectors.sandbox.salesforce.fields import Children, Field, Parent, Row, SObject

Write = Callable[[Row], str]
CHILDREN = 200
"""How many records of a sub-query come with their parent; the rest is on pages of its own."""

_JSON: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "null",
    str: json.encoder.encode_basestring,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: repr,
    Decimal: lambda value: repr(float(value)),
    datetime: lambda value: f'"{value.isoformat()[:19]}.000+0000"',
    date: lambda value: f'"{value.isoformat()}"',
}


def json_value(value: Any) -> str:
    """A field's value as JSON text. Whole seconds end in .000+0000; amounts are floats."""
    return _JSON[type(value)](value)


def csv_value(value: Any) -> str:
    """A field's value as a bulk CSV cell; empty for none."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return f"{value.isoformat()[:19]}.000Z"
    return value.isoformat() if isinstance(value, date) else str(value)


def reader(field: Field) -> Callable[[Row], Any]:
    """A field's value as its type shows it: a double is one even when whole (12 -> 12.0)."""
    read = field.read
    if field.type not in ("double", "currency"):
        return read

    def number(row: Row) -> float | None:
        value = read(row)
        return None if value is None else float(value)

    return number


class Renderer:
    """Writes the records of one plan as JSON."""

    def __init__(self, plan: Plan, objects: Objects, version: str, *, pretty: bool) -> None:
        self._objects = objects
        self._version = version
        self._pretty = pretty
        self._write = self._plan(plan, 1)

    def records(self, rows: Iterable[Row]) -> str:
        """The records of a page, without the brackets around them."""
        return (", " if self._pretty else ",").join(map(self._write, rows))

    def _plan(self, plan: Plan, depth: int) -> Write:
        children = {
            relation.name: self._children(plan.sobject, relation, inner, depth)
            for relation, inner in plan.children
        }
        columns = [(list(column.parents), column.field) for column in plan.columns]
        return self._object(plan.sobject, columns, depth, children)

    def _object(
        self,
        sobject: SObject,
        columns: Sequence[tuple[list[Parent], Field]],
        depth: int,
        children: Mapping[str, Write],
    ) -> Write:
        members: dict[str, Write] = {}
        nested: dict[str, tuple[Parent, list[tuple[list[Parent], Field]]]] = {}
        for parents, field in columns:
            if parents:
                parent, *rest = parents
                members.setdefault(parent.name, str)
                nested.setdefault(parent.name, (parent, []))[1].append((rest, field))
            else:
                members[field.name] = _leaf(reader(field))
        for name, (parent, inner) in nested.items():
            target = self._objects[parent.target.lower()]
            members[name] = _parent(parent, self._object(target, inner, depth + 1, {}))
        members.update(children)
        return self._record(sobject, members, depth)

    def _record(self, sobject: SObject, members: Mapping[str, Write], depth: int) -> Write:
        """`attributes`, then the members; the template is the same for every record."""
        outer, inner = "  " * depth, "  " * (depth + 1)
        url = f"/services/data/v{self._version}/sobjects"
        if self._pretty:
            head = (
                f'{{\n{outer}  "attributes" : {{\n{inner}  "type" : "%s",\n'
                f'{inner}  "url" : "{url}/%s/%s"\n{outer}  }}'
            )
            template = head + "".join(f',\n{outer}  "{m}" : %s' for m in members) + f"\n{outer}}}"
        else:
            head = f'{{"attributes":{{"type":"%s","url":"{url}/%s/%s"}}'
            template = head + "".join(f',"{member}":%s' for member in members) + "}"
        writes = list(members.values())
        identify = sobject.fields["id"].read
        kind = sobject.fields["type"].read if sobject.name == "Name" else None

        def write(row: Row) -> str:
            name = kind(row) if kind else sobject.name
            return template % (name, name, identify(row), *[part(row) for part in writes])

        return write

    def _children(self, sobject: SObject, relation: Children, plan: Plan, depth: int) -> Write:
        limit = plan.query.limit
        unlimited = replace(plan, query=replace(plan.query, limit=None))
        rows = unlimited.choose(list(plan.sobject.rows()))
        by_parent = child_rows(relation, rows, self._objects)
        write = self._plan(plan, depth + 2)
        identify = sobject.fields["id"].read

        def children(row: Row) -> str:
            found = by_parent.get(identify(row), [])[:limit]
            if not found:
                return "null"
            records = ",".join(map(write, found[:CHILDREN]))
            if len(found) <= CHILDREN:
                return f'{{"totalSize":{len(found)},"done":true,"records":[{records}]}}'
            # The sandbox keeps no cursor for the rest: the one that it names is lost.
            rest = f"/services/data/v{self._version}/query/01g0{identify(row)}-{CHILDREN}"
            head = f'"totalSize":{len(found)},"done":false,"nextRecordsUrl":"{rest}"'
            return f'{{{head},"records":[{records}]}}'

        return children


def _leaf(read: Callable[[Row], Any]) -> Write:
    return lambda row: json_value(read(row))


def _parent(parent: Parent, write: Write) -> Write:
    def related(row: Row) -> str:
        found = parent.resolve(row)
        return "null" if found is None else write(found)

    return related


def csv_page(
    columns: Sequence[Column], rows: Iterable[Row], delimiter: str, line_ending: str
) -> str:
    """A page of a bulk query's result: the header, on every page, and the rows; all quoted."""
    text = io.StringIO()
    writer = csv.writer(
        text, delimiter=delimiter, lineterminator=line_ending, quoting=csv.QUOTE_ALL
    )
    writer.writerow([column.name for column in columns])
    reads = [reader(column.field) if not column.parents else column.value for column in columns]
    writer.writerows([[csv_value(read(row)) for read in reads] for row in rows])
    return text.getvalue()
