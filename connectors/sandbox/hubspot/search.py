"""Search: filters, sorting and caps, over an index that may lag behind the records."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any

from connectors.sandbox.crm import Crm, Record
from connectors.sandbox.http import Response
from connectors.sandbox.hubspot.associations import linked, pair
from connectors.sandbox.hubspot.call import Call, number
from connectors.sandbox.hubspot.index import Index
from connectors.sandbox.hubspot.objects import ObjectType
from connectors.sandbox.hubspot.properties import Property, moment
from connectors.sandbox.hubspot.reading import Shape
from connectors.sandbox.hubspot.replies import invalid, millis, reply

LONGEST_BODY = 3000
MOST_RESULTS = 10_000
MOST_GROUPS, MOST_PER_GROUP, MOST_FILTERS = 5, 6, 18

Test = Callable[[Record], bool]
Read = Callable[[Record], Any]


class LaggingIndex:
    """What search knows: each record as it was `lag` ago, old values included.

    Versions are taken whenever a request comes in, so a change that was itself changed
    before any request saw it is never found in between.
    """

    def __init__(self, crm: Crm, lag: float) -> None:
        self._crm = crm
        self.lag = lag
        self._versions: dict[int, list[Record]] = {}
        self._seen: dict[str, int] = {}

    @property
    def lags(self) -> bool:
        """Whether search answers from the past."""
        return bool(self.lag)

    def records(self, index: Index, kind: ObjectType) -> list[Record]:
        """The records as search shows them now, by number; archived ones never appear."""
        if not self.lag:
            return index.live(kind)
        self.observe(index, kind)
        limit = self._crm.clock() - timedelta(seconds=self.lag)
        shown = (self._shown(record.number, limit) for record in index.live(kind))
        return [record for record in shown if record is not None]

    def observe(self, index: Index, kind: ObjectType) -> None:
        """Take the versions that are new in this revision."""
        if not self.lag or self._seen.get(kind.name) == index.revision:
            return
        self._seen[kind.name] = index.revision
        for record in index.live(kind):
            versions = self._versions.setdefault(record.number, [])
            if versions and versions[-1].modified == record.modified:
                versions.pop()
            versions.append(replace(record, values=dict(record.values)))

    def _shown(self, number: int, limit: datetime) -> Record | None:
        versions = self._versions[number]
        while len(versions) > 1 and versions[1].modified <= limit:
            versions.pop(0)
        return versions[0] if versions[0].modified <= limit else None


def search(call: Call, type_name: str, lagging: LaggingIndex) -> Response:
    """POST objects/{type}/search: at most 200 a page, 10,000 for a query."""
    kind = call.object_type(type_name)
    if len(call.request.body) > LONGEST_BODY:
        raise invalid(f"The request body is longer than {LONGEST_BODY} characters")
    body = call.body()
    limit = _within(body.get("limit") or 10, 200, "limit")
    start = number(body.get("after") or 0)
    if start < 0 or start + limit > MOST_RESULTS:
        raise invalid(f"Search results beyond {MOST_RESULTS} are not available")
    key = repr([kind.name, *(body.get(k) for k in ("filterGroups", "sorts", "query"))])
    rows = call.index.memo.get(key)
    if rows is None or lagging.lags:
        rows = _matches(call, kind, body, lagging.records(call.index, kind))
        call.index.memo[key] = rows
    end = start + limit
    shape = Shape(call, kind, body.get("properties") or [])
    answer: dict[str, Any] = {
        "total": len(rows),
        "results": [shape(record) for record in rows[start:end]],
    }
    if end < len(rows):
        answer["paging"] = {"next": {"after": str(end)}}
    return reply(200, answer)


def _within(value: Any, most: int, name: str) -> int:
    wanted = number(value)
    if not 1 <= wanted <= most:
        raise invalid(f"Invalid {name}: it must be between 1 and {most}")
    return wanted


def _matches(
    call: Call, kind: ObjectType, body: Mapping[str, Any], records: list[Record]
) -> list[Record]:
    groups = [group.get("filters") or [] for group in body.get("filterGroups") or []]
    if len(groups) > MOST_GROUPS:
        raise invalid(f"Maximum number of filter groups is {MOST_GROUPS}")
    if any(len(group) > MOST_PER_GROUP for group in groups):
        raise invalid(f"Maximum number of filters in a group is {MOST_PER_GROUP}")
    if sum(map(len, groups)) > MOST_FILTERS:
        raise invalid(f"Maximum number of filters is {MOST_FILTERS}")
    tests = [[_test(call, kind, each) for each in group] for group in groups]
    if tests:
        records = [r for r in records if any(all(t(r) for t in group) for group in tests)]
    if words := str(body.get("query") or "").lower():
        properties = [p for n, p in kind.properties.items() if n in _SEARCHED]
        records = [
            r
            for r in records
            if any(words in (p.text(r, call.index) or "").lower() for p in properties)
        ]
    return _sorted(call, kind, body.get("sorts") or [], records)


_SEARCHED = ("email", "firstname", "lastname", "phone", "company", "name", "domain", "dealname")


def _sorted(
    call: Call, kind: ObjectType, sorts: Sequence[Any], records: list[Record]
) -> list[Record]:
    if len(sorts) > 1:
        raise invalid("Only one sort is allowed")
    name, descending = "createdate", False
    if sorts and isinstance(sorts[0], str):
        name, descending = sorts[0].removeprefix("-"), sorts[0].startswith("-")
    elif sorts:
        name = str(sorts[0].get("propertyName"))
        descending = sorts[0].get("direction") == "DESCENDING"
    if name == "hs_object_id":
        return records[::-1] if descending else records
    prop = call.index.properties(kind).get(name)
    if prop is None:
        raise invalid(f"There is no property {name} to sort by")
    read = _comparable(prop, call.index)
    values = [(read(record), record) for record in records]
    held = [row for row in values if row[0] is not None]
    held.sort(key=lambda row: row[0], reverse=descending)
    return [r for _, r in held] + [r for value, r in values if value is None]


def _comparable(prop: Property, index: Index) -> Read:
    """A value in the form in which search compares it: ms, number or text."""

    def read(record: Record) -> Any:
        value = prop.value(record, index)
        if value is None or value == "":
            return None
        if prop.type == "number":
            return Decimal(str(value))
        if isinstance(value, datetime):
            return millis(value)
        return prop.text(record, index) if prop.type == "enumeration" else _lower(prop, record)

    def _lower(prop: Property, record: Record) -> str | None:
        text = prop.text(record, index)
        return None if text is None else text.lower()

    return read


def _operand(prop: Property, raw: Any) -> Any:
    """A filter's value in the same form; text other than of enumerations ignores case."""
    try:
        if prop.type == "number":
            return Decimal(str(raw))
        if prop.type in ("datetime", "date"):
            return millis(moment(str(raw)))
    except (InvalidOperation, ValueError):
        raise invalid(f"{raw} is no valid value for {prop.name}") from None
    return str(raw) if prop.type == "enumeration" else str(raw).lower()


def _test(call: Call, kind: ObjectType, given: Mapping[str, Any]) -> Test:
    """One filter as a test of a record."""
    name, operator = str(given.get("propertyName")), str(given.get("operator"))
    if name.startswith("associations."):
        between = pair(kind, name.removeprefix("associations."))
        wanted = number(given.get("value"))
        return lambda r: any(o.number == wanted for o in linked(call.index, between, r))
    prop = call.index.properties(kind).get(name)
    if prop is None:
        # By object an unknown name is an error, or silently matches nothing.
        if kind.name == "contacts":
            raise invalid(f"There was a problem with the request: no property {name}")
        return lambda _: False
    read = _comparable(prop, call.index)
    if operator == "HAS_PROPERTY":
        return lambda r: read(r) is not None
    if operator == "NOT_HAS_PROPERTY":
        return lambda r: read(r) is None
    holds = _operator(prop, operator, given)
    return lambda r: (value := read(r)) is not None and holds(value)


def _operator(prop: Property, operator: str, given: Mapping[str, Any]) -> Callable[[Any], bool]:
    """What an operator says of a value that is not empty; NEQ and NOT_IN drop empty ones."""
    if operator in ("IN", "NOT_IN"):
        values = given.get("values")
        if not values:
            raise invalid(f"{operator} needs values")
        # Unlike EQ, IN does not lower the case of what it is given for text.
        text = prop.type == "string"
        among = {str(v) if text else _operand(prop, v) for v in values}
        parts = _parts(prop)
        return lambda v: (not among.isdisjoint(parts(v))) is (operator == "IN")
    if given.get("value") is None:
        raise invalid(f"{operator} needs a value")
    if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
        pattern = str(given["value"]).lower()
        return lambda v: (
            any(fnmatchcase(token, pattern) for token in (str(v), *re.split(r"[^\w*]+", str(v))))
            is (operator == "CONTAINS_TOKEN")
        )
    low = _operand(prop, given["value"])
    if operator == "BETWEEN":
        high = _operand(prop, given.get("highValue"))
        return lambda v: bool(low <= v <= high)
    parts = _parts(prop)
    operators: dict[str, Callable[[Any], bool]] = {
        "EQ": lambda v: low in parts(v),
        "NEQ": lambda v: low not in parts(v),
        "LT": lambda v: bool(v < low),
        "LTE": lambda v: bool(v <= low),
        "GT": lambda v: bool(v > low),
        "GTE": lambda v: bool(v >= low),
    }
    if operator not in operators:
        raise invalid(f"Unknown operator: {operator}")
    return operators[operator]


def _parts(prop: Property) -> Callable[[Any], Sequence[Any]]:
    """The single values of a value: a multi-select holds several."""
    if prop.field_type == "checkbox":
        return lambda v: str(v).split(";")
    return lambda v: (v,)
