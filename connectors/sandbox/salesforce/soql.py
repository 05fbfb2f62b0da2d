"""SOQL as text -> a query as a value. The subset that reads records; errors say where.

Salesforce's grammar is stricter than SQL's in one way that matters: AND and OR cannot be mixed
on one level without parentheses.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeVar

from connectors.sandbox.salesforce.errors import ApiError

T = TypeVar("T")

MAX_LENGTH = 100_000
MAX_OFFSET = 2_000


@dataclass(frozen=True, slots=True)
class Name:
    """A name in a query, dotted or not, and where it stands."""

    text: str
    at: int


@dataclass(frozen=True, slots=True)
class RelativeDate:
    """A date literal such as TODAY or LAST_N_DAYS:90."""

    word: str
    days: int | None = None


Value = str | bool | Decimal | datetime | date | RelativeDate | re.Pattern[str] | None
"""A literal; a pattern is what LIKE compares with, in lower case."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field operator value`; IN and NOT IN have a tuple of values or a sub-query."""

    field: Name
    operator: str
    value: "Value | tuple[Value, ...] | Query"
    at: int


@dataclass(frozen=True, slots=True)
class Junction:
    """All (AND) or any (OR) of the terms."""

    operator: str
    terms: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """NOT the term."""

    term: "Condition"


Condition = Comparison | Junction | Negation


@dataclass(frozen=True, slots=True)
class Order:
    """One key of an ORDER BY; empty values come first unless asked otherwise."""

    field: Name
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. `count` is SELECT COUNT(); `children` are sub-queries of the SELECT."""

    source: str
    fields: tuple[Name, ...]
    children: tuple["Query", ...]
    count: bool
    target: Name
    where: Condition | None
    order: tuple[Order, ...]
    limit: int | None
    offset: int


def parse(source: str) -> Query:
    """Parse a query. ApiError MALFORMED_QUERY with row, column and a caret when it is none."""
    if len(source) > MAX_LENGTH:
        raise ApiError(
            400,
            "MALFORMED_QUERY",
            f"SOQL statements cannot be longer than {MAX_LENGTH} characters.",
        )
    parser = _Parser(source)
    query = parser.query()
    parser.end()
    return query


def error_at(source: str, at: int, code: str, message: str) -> ApiError:
    """An error that points into the query, in Salesforce's form."""
    row = source.count("\n", 0, at) + 1
    column = at - (source.rfind("\n", 0, at) + 1)
    start = max(at - column, at - 40)
    line = source[start : at + 30].split("\n", 1)[0]
    caret = " " * (at - start) + "^"
    return ApiError(
        400, code, f"\n{line}\n{caret}\nERROR at Row:{row}:Column:{column + 1}\n{message}"
    )


_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
  | (?P<date>\d{4}-\d\d-\d\d)
  | (?P<number>[+-]?\d+(?:\.\d+)?)
  | (?P<string>'(?:[^'\\]|\\.)*')
  | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
  | (?P<operator><=|>=|!=|<>|[=<>(),:])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_RELATIVE = {
    "TODAY",
    "YESTERDAY",
    "TOMORROW",
    "THIS_WEEK",
    "LAST_WEEK",
    "THIS_MONTH",
    "LAST_MONTH",
    "THIS_YEAR",
    "LAST_90_DAYS",
}
_RELATIVE_N = {"LAST_N_DAYS", "NEXT_N_DAYS"}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int

    @property
    def word(self) -> str:
        return self.text.upper() if self.kind == "name" else self.text


class _Parser:
    """Recursive descent over the tokens of one query."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = self._tokenise()
        self._next = 0

    def query(self) -> Query:
        self._expect("SELECT")
        count, fields, children = self._selection()
        self._expect("FROM")
        target = self._name()
        where = self._condition() if self._accept("WHERE") else None
        order: tuple[Order, ...] = ()
        if self._accept("ORDER"):
            self._expect("BY")
            order = self._list(self._order)
        limit = self._whole_number() if self._accept("LIMIT") else None
        offset = self._whole_number() if self._accept("OFFSET") else 0
        if offset > MAX_OFFSET:
            raise self._error(
                self._tokens[self._next - 1],
                f"Maximum SOQL offset allowed is {MAX_OFFSET}",
                "NUMBER_OUTSIDE_VALID_RANGE",
            )
        return Query(self._source, fields, children, count, target, where, order, limit, offset)

    def end(self) -> None:
        if self._token.kind != "end":
            raise self._unexpected()

    def _selection(self) -> tuple[bool, tuple[Name, ...], tuple[Query, ...]]:
        if self._token.word == "COUNT" and self._tokens[self._next + 1].text == "(":
            self._next += 2
            self._expect(")")
            return True, (), ()
        items = self._list(self._selected)
        fields = tuple(item for item in items if isinstance(item, Name))
        return False, fields, tuple(item for item in items if isinstance(item, Query))

    def _selected(self) -> "Name | Query":
        if not self._accept("("):
            return self._name()
        query = self.query()
        self._expect(")")
        return query

    def _condition(self) -> Condition:
        terms = [self._term()]
        operator = self._token.word
        if operator not in ("AND", "OR"):
            return terms[0]
        while self._accept(operator):
            terms.append(self._term())
        if self._token.word in ("AND", "OR"):
            raise self._unexpected()
        return Junction(operator, tuple(terms))

    def _term(self) -> Condition:
        if self._accept("NOT"):
            return Negation(self._term())
        if self._accept("("):
            condition = self._condition()
            self._expect(")")
            return condition
        field = self._name()
        operator = self._operator()
        at = self._token.at
        if operator in ("IN", "NOT IN"):
            return Comparison(field, operator, self._members(), at)
        if operator == "LIKE":
            return Comparison(field, operator, self._pattern(), at)
        return Comparison(field, operator, self._value(), at)

    def _operator(self) -> str:
        token = self._token
        if token.word in ("=", "!=", "<>", "<", "<=", ">", ">=", "LIKE", "IN"):
            self._next += 1
            return "!=" if token.text == "<>" else token.word
        if token.word == "NOT" and self._tokens[self._next + 1].word == "IN":
            self._next += 2
            return "NOT IN"
        raise self._unexpected()

    def _members(self) -> "tuple[Value, ...] | Query":
        self._expect("(")
        members = self.query() if self._token.word == "SELECT" else self._list(self._value)
        self._expect(")")
        return members

    def _value(self) -> Value:
        token = self._token
        self._next += 1
        match token.kind, token.word:
            case "string", _:
                return self._string(token)
            case "number", text:
                return Decimal(text)
            case "datetime", text:
                return datetime.fromisoformat(text).astimezone(UTC)
            case "date", text:
                return date.fromisoformat(text)
            case "name", ("TRUE" | "FALSE") as word:
                return word == "TRUE"
            case "name", "NULL":
                return None
            case "name", word if word in _RELATIVE:
                return RelativeDate(word)
            case "name", word if word in _RELATIVE_N:
                self._expect(":")
                return RelativeDate(word, self._whole_number())
        self._next -= 1
        raise self._unexpected()

    def _order(self) -> Order:
        field = self._name()
        descending = self._accept("DESC") or (self._accept("ASC") and False)
        nulls_last = False
        if self._accept("NULLS"):
            nulls_last = self._accept("LAST")
            if not nulls_last:
                self._expect("FIRST")
        return Order(field, descending, nulls_last)

    def _string(self, token: _Token) -> str:
        return re.sub(
            r"\\(.)", lambda match: self._unescaped(token, match[1]), token.text[1:-1], flags=re.S
        )

    def _unescaped(self, token: _Token, char: str) -> str:
        if char in "'\"\\":
            return char
        if char.lower() not in _ESCAPES:
            raise self._error(token, f"invalid escape sequence: \\{char}")
        return _ESCAPES[char.lower()]

    def _pattern(self) -> re.Pattern[str]:
        token = self._token
        if token.kind != "string":
            raise self._unexpected()
        self._next += 1
        parts = []
        for escaped, char in re.findall(r"(\\?)(.)", token.text[1:-1], flags=re.S):
            if not escaped:
                parts.append({"%": ".*", "_": "."}.get(char) or re.escape(char.lower()))
            elif char in "_%":
                parts.append(re.escape(char))
            else:
                parts.append(re.escape(self._unescaped(token, char)))
        return re.compile("".join(parts), re.S)

    def _list(self, item: Callable[[], T]) -> tuple[T, ...]:
        items = [item()]
        while self._accept(","):
            items.append(item())
        return tuple(items)

    def _name(self) -> Name:
        token = self._token
        if token.kind != "name" or token.word in ("FROM", "WHERE", "SELECT"):
            raise self._unexpected()
        self._next += 1
        return Name(token.text, token.at)

    def _whole_number(self) -> int:
        token = self._token
        if token.kind != "number" or not token.text.isdecimal():
            raise self._unexpected()
        self._next += 1
        return int(token.text)

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _accept(self, word: str) -> bool:
        if self._token.kind == "string" or self._token.word != word:
            return False
        self._next += 1
        return True

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise self._unexpected()

    def _tokenise(self) -> list[_Token]:
        tokens = []
        at = 0
        while at < len(self._source):
            match = _TOKEN.match(self._source, at)
            if match is None:
                raise error_at(
                    self._source,
                    at,
                    "MALFORMED_QUERY",
                    f"line 1:{at} no viable alternative at character '{self._source[at]}'",
                )
            if match.lastgroup != "space":
                tokens.append(_Token(match.lastgroup or "", match[0], at))
            at = match.end()
        tokens.append(_Token("end", "<EOF>", at))
        return tokens

    def _unexpected(self) -> ApiError:
        return self._error(self._token, f"unexpected token: '{self._token.text}'")

    def _error(self, token: _Token, message: str, code: str = "MALFORMED_QUERY") -> ApiError:
        return error_at(self._source, token.at, code, message)
