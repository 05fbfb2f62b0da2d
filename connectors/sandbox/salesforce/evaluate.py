"""A parsed query over the objects: names resolved, types checked, rows chosen and ordered."""

import operator as op
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from connectors.sandbox.salesforce import soql
from connectors.sandbox.salesforce.errors import ApiError, RowError
from connectors.sandbox.salesforce.fields import (
    ID_TYPES,
    NUMBER_TYPES,
    TEXT_TYPES,
    Children,
    Field,
    Parent,
    Read,
    Row,
    SObject,
)
from connectors.sandbox.salesforce.ids import full_id

Test = Callable[[Row], bool]
Objects = Mapping[str, SObject]
_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "<": op.lt,
    "<=": op.le,
    ">": op.gt,
    ">=": op.ge,
}
_ADVICE = (
    "If you are attempting to use a custom {kind}, be sure to append the '__{end}' after the "
    "{what} name. Please reference your WSDL or the describe call for the appropriate names."
)


@dataclass(frozen=True)
class Column:
    """A selected field: the parents on the way to it, and itself."""

    parents: tuple[Parent, ...]
    field: Field

    def value(self, row: Row) -> Any:
        """Its value for a row; None where a parent is missing."""
        for parent in self.parents:
            row = parent.resolve(row)
            if row is None:
                return None
        return self.field.read(row)

    @property
    def name(self) -> str:
        """The dotted name, as CSV heads the column."""
        return ".".join([*(parent.name for parent in self.parents), self.field.name])


@dataclass(frozen=True)
class Plan:
    """A query bound to its object: what to show of which rows.

    `hidden`: deleted and archived rows too, in sub-queries as well.
    """

    query: soql.Query
    sobject: SObject
    columns: tuple[Column, ...]
    children: tuple[tuple[Children, "Plan"], ...]
    test: Test
    order: tuple[tuple[soql.Order, Column], ...]
    hidden: bool

    def choose(self, rows: Sequence[Row]) -> list[Row]:
        """The rows of the answer, in order.

        Without ORDER BY the newest come first: Salesforce promises no order, and a client
        that relies on rising ids should fail here rather than there.
        """
        tests = [self.test] if self.hidden else [*_shown(self.sobject), self.test]
        chosen = [row for row in rows if all(test(row) for test in tests)]
        if not self.order:
            chosen.reverse()
        for order, column in reversed(self.order):
            chosen = _ordered(chosen, order, column)
        chosen = chosen[self.query.offset :]
        return chosen if self.query.limit is None else chosen[: self.query.limit]


def _ordered(rows: list[Row], order: soql.Order, column: Column) -> list[Row]:
    fold = column.field.type in TEXT_TYPES
    keyed = [(column.value(row), row) for row in rows]
    empty = [row for value, row in keyed if value is None]
    full = [(value.lower() if fold else value, row) for value, row in keyed if value is not None]
    full.sort(key=lambda pair: pair[0], reverse=order.descending)
    present = [row for _, row in full]
    return [*present, *empty] if order.nulls_last else [*empty, *present]


def _shown(sobject: SObject) -> list[Test]:
    flags = [sobject.fields.get(name) for name in ("isdeleted", "isarchived")]
    return [_not(flag.read) for flag in flags if flag is not None]


def _not(test: Test) -> Test:
    return lambda row: not test(row)


def bind(query: soql.Query, objects: Objects, now: datetime, *, hidden: bool) -> Plan:
    """Resolve a query's names. ApiError INVALID_FIELD or INVALID_TYPE, with its place."""
    sobject = objects.get(query.target.text.lower())
    if sobject is None or not sobject.prefix:
        raise soql.error_at(
            query.source,
            query.target.at,
            "INVALID_TYPE",
            f"sObject type '{query.target.text}' is not supported. "
            + _ADVICE.format(kind="object", end="c", what="entity"),
        )
    return _Binder(query, sobject, objects, now, hidden).plan()


class _Binder:
    """Resolves the names of one query (or sub-query) against one object."""

    def __init__(
        self, query: soql.Query, sobject: SObject, objects: Objects, now: datetime, hidden: bool
    ) -> None:
        self._query = query
        self._sobject = sobject
        self._objects = objects
        self._now = now
        self._hidden = hidden

    def plan(self) -> Plan:
        where = self._query.where
        return Plan(
            self._query,
            self._sobject,
            self._columns(),
            tuple(self._child(child) for child in self._query.children),
            (lambda _: True) if where is None else self._condition(where),
            tuple((order, self._sortable(order.field)) for order in self._query.order),
            self._hidden,
        )

    def _columns(self) -> tuple[Column, ...]:
        seen: set[str] = set()
        for name in self._query.fields:
            if name.text.lower() in seen:
                raise self._error(name.at, f"duplicate field selected: {name.text}")
            seen.add(name.text.lower())
        return tuple(self._column(name) for name in self._query.fields)

    def _column(self, name: soql.Name) -> Column:
        *path, last = name.text.split(".")
        sobject = self._sobject
        if path and path[0].lower() == sobject.name.lower():
            path = path[1:]
        parents = []
        for step in path:
            parent = sobject.parent(step)
            if parent is None:
                raise self._error(
                    name.at,
                    f"Didn't understand relationship '{step}' in field path. "
                    + _ADVICE.format(kind="relationship", end="r", what="custom relationship"),
                )
            parents.append(parent)
            sobject = self._objects[parent.target.lower()]
        field = sobject.fields.get(last.lower())
        if field is None:
            raise self._error(
                name.at,
                f"No such column '{last}' on entity '{sobject.name}'. "
                + _ADVICE.format(kind="field", end="c", what="custom field"),
            )
        return Column(tuple(parents), field)

    def _child(self, query: soql.Query) -> tuple[Children, Plan]:
        wanted = query.target.text.lower()
        for relation in self._sobject.children:
            if relation.name.lower() == wanted:
                target = self._objects[relation.target.lower()]
                binder = _Binder(query, target, self._objects, self._now, self._hidden)
                return relation, binder.plan()
        raise self._error(
            query.target.at,
            f"Didn't understand relationship '{query.target.text}' in FROM part of query call. "
            + _ADVICE.format(kind="relationship", end="r", what="entity"),
            "INVALID_TYPE",
        )

    def _sortable(self, name: soql.Name) -> Column:
        column = self._column(name)
        if not column.field.filterable:
            raise self._error(name.at, f"field '{name.text}' can not be sorted in a query call")
        return column

    def _condition(self, condition: soql.Condition) -> Test:
        if isinstance(condition, soql.Junction):
            tests = [self._condition(term) for term in condition.terms]
            if condition.operator == "AND":
                return lambda row: all(test(row) for test in tests)
            return lambda row: any(test(row) for test in tests)
        if isinstance(condition, soql.Negation):
            return _not(self._condition(condition.term))
        column = self._column(condition.field)
        if not column.field.filterable:
            raise self._error(
                condition.field.at,
                f"field '{condition.field.text}' can not be filtered in a query call",
            )
        read = column.value if column.parents else column.field.read
        return self._comparison(condition, column.field, read)

    def _comparison(self, condition: soql.Comparison, field: Field, read: Read) -> Test:
        value = condition.value
        if field.type in TEXT_TYPES:
            read = _folded(read)
        if isinstance(value, soql.Query):
            return _among(read, self._selected_by(value), condition.operator)
        if isinstance(value, tuple):
            members = {self._operand(condition, field, member) for member in value}
            return _among(read, members, condition.operator)
        if isinstance(value, re.Pattern):
            if field.type not in TEXT_TYPES:
                raise self._error(condition.at, "invalid operator on " + field.type + " field")
            return _matches(read, value)
        if isinstance(value, soql.RelativeDate):
            return self._relative(condition, field, read, value)
        operand = self._operand(condition, field, value)
        if condition.operator in ("=", "!="):
            return _among(read, {operand}, "IN" if condition.operator == "=" else "NOT IN")
        return _compares(read, _ORDERED[condition.operator], operand)

    def _selected_by(self, query: soql.Query) -> set[Any]:
        plan = bind(query, self._objects, self._now, hidden=self._hidden)
        rows = plan.choose(list(plan.sobject.rows()))
        return {plan.columns[0].value(row) for row in rows} - {None}

    def _relative(
        self, condition: soql.Comparison, field: Field, read: Read, value: soql.RelativeDate
    ) -> Test:
        first, after = _days(value, self._now.astimezone(UTC).date())
        start: date = first
        end: date = after
        if field.type == "datetime":
            start = datetime.combine(first, time(), UTC)
            end = datetime.combine(after, time(), UTC)
        elif field.type != "date":
            raise self._wrong_type(condition, field, quoted=False)
        tests: dict[str, Test] = {
            "=": lambda row: (at := read(row)) is not None and start <= at < end,
            "!=": lambda row: (at := read(row)) is None or not start <= at < end,
            "<": _compares(read, op.lt, start),
            "<=": _compares(read, op.lt, end),
            ">": _compares(read, op.ge, end),
            ">=": _compares(read, op.ge, start),
        }
        return tests[condition.operator]

    def _operand(self, condition: soql.Comparison, field: Field, value: object) -> Any:
        """A literal as the field's own type; refuses what Salesforce refuses."""
        if value is None:
            return False if field.type == "boolean" else None
        quoted = isinstance(value, str)
        if field.type in ID_TYPES and isinstance(value, str):
            return self._id(condition, value)
        if field.type in TEXT_TYPES and isinstance(value, str):
            return value.lower() or None
        wanted: type = {
            "boolean": bool,
            "datetime": datetime,
            "date": date,
            **dict.fromkeys(NUMBER_TYPES, Decimal),
        }.get(field.type, str)
        if type(value) is not wanted:
            raise self._wrong_type(condition, field, quoted=quoted)
        return value

    def _id(self, condition: soql.Comparison, value: str) -> str | None:
        if not value:
            return None
        try:
            return full_id(value)
        except RowError as malformed:
            raise self._error(
                condition.at, f"invalid ID field: {value}", "INVALID_QUERY_FILTER_OPERATOR"
            ) from malformed

    def _wrong_type(self, condition: soql.Comparison, field: Field, *, quoted: bool) -> ApiError:
        kind = {"datetime": "dateTime", "currency": "double"}.get(field.type, field.type)
        if field.type in TEXT_TYPES | ID_TYPES:
            advice = "string and should be enclosed in quotes"
        else:
            advice = f"{kind} and should not be enclosed in quotes" if quoted else kind
        return self._error(
            condition.at,
            f"value of filter criterion for field '{field.name}' must be of type {advice}",
        )

    def _error(self, at: int, message: str, code: str = "INVALID_FIELD") -> ApiError:
        return soql.error_at(self._query.source, at, code, message)


def _folded(read: Read) -> Read:
    def folded(row: Row) -> Any:
        value = read(row)
        return value.lower() or None if value is not None else None

    return folded


def _among(read: Read, members: set[Any], operator: str) -> Test:
    if operator == "IN":
        return lambda row: read(row) in members
    return lambda row: read(row) not in members


def _matches(read: Read, pattern: re.Pattern[str]) -> Test:
    return lambda row: (value := read(row)) is not None and pattern.fullmatch(value) is not None


def _compares(read: Read, compare: Callable[[Any, Any], bool], operand: Any) -> Test:
    if operand is None:
        return lambda _: False
    return lambda row: (value := read(row)) is not None and compare(value, operand)


def _days(value: soql.RelativeDate, today: date) -> tuple[date, date]:
    """First day and the day after the last of a date literal."""
    day = timedelta(days=1)
    days = (value.days or 0) * day
    week = today - timedelta(days=(today.weekday() + 1) % 7)
    month = today.replace(day=1)
    next_month = (month + 32 * day).replace(day=1)
    year = today.replace(month=1, day=1)
    return {
        "TODAY": (today, today + day),
        "YESTERDAY": (today - day, today),
        "TOMORROW": (today + day, today + 2 * day),
        "THIS_WEEK": (week, week + 7 * day),
        "LAST_WEEK": (week - 7 * day, week),
        "THIS_MONTH": (month, next_month),
        "LAST_MONTH": ((month - day).replace(day=1), month),
        "THIS_YEAR": (year, year.replace(year=year.year + 1)),
        "LAST_90_DAYS": (today - 90 * day, today + day),
        "LAST_N_DAYS": (today - days, today + day),
        "NEXT_N_DAYS": (today + day, today + day + days),
    }[value.word]


def child_rows(relation: Children, rows: Iterable[Row], objects: Objects) -> dict[str, list[Row]]:
    """The rows of a child object, by the id of their parent."""
    read = objects[relation.target.lower()].fields[relation.field.lower()].read
    found: dict[str, list[Row]] = {}
    for row in rows:
        parent = read(row)
        if parent is not None:
            found.setdefault(parent, []).append(row)
    return found
