"""Whether anything can meet a condition: what all its tests together allow of each field."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from itertools import combinations, product
from operator import and_
from typing import Any

from core.clauses import Clauses, clauses
from core.conditions import Condition
from core.covering import Bound, excluding, folded, high, low, met_wherever
from core.networks import bounds, key
from core.operators import NumberTest, Span, Test, TextTest, TimeTest

Occurs = Callable[[str, str, str], bool]
"""Whether a column can hold a word at all; by the operator: have it as a part, begin with it."""

Ends = tuple[list[Bound], list[Bound]]
"""Lower and upper bounds of one quantity."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTH = Decimal("30.436875")
_UNEVEN = 3
"""Days by which so many months may be longer or shorter than as many times the average one."""


def anything(_column: str, _word: str, _operator: str) -> bool:
    """Every word can occur."""
    return True


def never_holds(condition: Condition, occurs: Occurs = anything) -> bool:
    """Whether nothing can meet a condition; False where that is not plain to see."""
    return _impossible(clauses(condition), occurs)


def exclude(one: Condition, other: Condition) -> bool:
    """Whether nothing can meet both; False where that is not plain to see."""
    return _impossible(clauses(one) + clauses(other), anything)


def _impossible(said: Clauses, occurs: Occurs) -> bool:
    given = said.by_column
    if any(_nothing_left(name, tests, occurs) for name, tests in given.items()):
        return True
    if any(met_wherever(given, clauses(condition)) for condition in said.negated):
        return True
    alone = replace(said, choices=())
    return any(
        all(_impossible(alone + clauses(option), occurs) for option in options)
        for options in said.choices
    )


def _nothing_left(column: str, tests: Sequence[Test], occurs: Occurs) -> bool:
    """Whether no value of a field, nor its lack, meets all tests of it."""
    asking = [test for test in tests if test.known or _asks(test)]
    if asking and any(test.known is False for test in tests):
        return True
    kinds = {type(test) for test in tests}
    return any(_none_of(column, [t for t in tests if type(t) is kind], occurs) for kind in kinds)


def _asks(test: Test) -> bool:
    """Whether it asks more than whether there is a value."""
    return any(value is not None for name, value in test if name != "known")


def _none_of(column: str, tests: Sequence[Any], occurs: Occurs) -> bool:
    """Whether no value meets all tests, which are of one kind."""
    listed = [_listed(test) for test in tests if getattr(test, "equals", None) is not None]
    if listed:
        left = reduce(and_, listed)
        return not any(
            _meets(value, tests) and occurs(column, str(value), "equals") for value in left
        )
    if isinstance(tests[0], TextTest):
        return _no_part(column, tests, occurs) or _no_beginning(tests) or _no_address(tests)
    return any(
        excluding(max(lows, default=None), min(highs, key=_tightest, default=None))
        for lows, highs in _ends(tests)
    )


def _listed(test: Any) -> set[Any]:
    """The values that a test lists, as they are compared."""
    if isinstance(test, TextTest):
        return set(folded(test.equals))
    if isinstance(test.equals, tuple):
        return {value if isinstance(value, Decimal) else str(value) for value in test.equals}
    return {test.equals}


def _meets(value: Any, tests: Sequence[Any]) -> bool:
    """Whether a value that all tests list meets what else they ask."""
    return all(
        _text_meets(value, test)
        if isinstance(test, TextTest)
        else not isinstance(test, NumberTest)
        or not (excluding(low(test), (value, False)) or excluding((value, False), high(test)))
        for test in tests
    )


def _text_meets(value: str, test: TextTest) -> bool:
    parts, heads = folded(test.contains), folded(test.starts_with)
    if parts and not any(part in value for part in parts):
        return False
    if heads and not value.startswith(tuple(heads)):
        return False
    address = key(value)
    if address is None or not test.in_network:
        return True
    return any(low <= address <= high for low, high in map(bounds, test.in_network))


def _no_part(column: str, tests: Sequence[TextTest], occurs: Occurs) -> bool:
    """Whether a test wants one of parts that no word of the field has."""
    return any(
        not any(occurs(column, part, operator) for part in parts)
        for test in tests
        for operator in ("contains", "starts_with")
        if (parts := getattr(test, operator))
    )


def _no_beginning(tests: Sequence[TextTest]) -> bool:
    """Whether two tests want texts to begin in ways that exclude each other."""
    heads = [folded(test.starts_with) for test in tests if test.starts_with]
    return any(
        not any(one.startswith(other) or other.startswith(one) for one, other in product(*pair))
        for pair in combinations(heads, 2)
    )


def _no_address(tests: Sequence[TextTest]) -> bool:
    """Whether two tests want addresses of networks that share none."""
    networks = [[*map(bounds, test.in_network)] for test in tests if test.in_network]
    return any(
        not any(one[0] <= other[1] and other[0] <= one[1] for one, other in product(*pair))
        for pair in combinations(networks, 2)
    )


def _ends(tests: Sequence[Any]) -> Iterator[Ends]:
    """The bounds that tests together set to each quantity that they compare."""
    sides: list[list[Ends]] = [_bounds(test) for test in tests]
    for of_one in zip(*sides, strict=True):
        yield [b for lows, _highs in of_one for b in lows], [b for _l, hs in of_one for b in hs]


def _bounds(test: Any) -> list[Ends]:
    """The bounds that a test sets to a number; to a time, as an instant and as days from now."""
    if isinstance(test, NumberTest):
        return [(_given(low(test)), _given(high(test)))]
    if not isinstance(test, TimeTest):
        return []
    instants = [
        [] if moment is None else [(Decimal((moment - _EPOCH).total_seconds()), excluded)]
        for moment, excluded in ((test.since, False), (test.before, True))
    ]
    lows, highs = [], []
    if test.at_least_ago:
        highs.append((-_days(test.at_least_ago)[0], False))
    if test.at_most_ago:
        lows.append((-_days(test.at_most_ago)[1], False))
        highs.append((Decimal(0), False))
    if test.within_next:
        lows.append((Decimal(0), False))
        highs.append((_days(test.within_next)[1], False))
    return [(instants[0], instants[1]), (lows, highs)]


def _given(bound: Bound | None) -> list[Bound]:
    return [] if bound is None else [bound]


def _tightest(bound: Bound) -> tuple[Decimal, bool]:
    """What the lowest of upper bounds is told by: of equal ones, that which is excluded."""
    return bound[0], not bound[1]


def _days(span: Span) -> tuple[Decimal, Decimal]:
    """The fewest and the most days that a span of days, months or years may have."""
    number, unit = span.rstrip("s").split(" ")
    if unit == "day":
        return Decimal(number), Decimal(number)
    days = int(number) * (12 if unit == "year" else 1) * _MONTH
    return days - _UNEVEN, days + _UNEVEN
