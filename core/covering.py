"""What can be said of conditions without facts: which one holds wherever another does, or
never does."""

from decimal import Decimal

from core.conditions import AccountFields, Condition
from core.operators import NumberTest, Test, TextTest

Bound = tuple[Decimal, bool]
"""A number, and whether it is excluded."""


def covers(wide: Condition, narrow: Condition) -> bool:
    """Whether `wide` surely holds wherever `narrow` does; False where that is not plain to see."""
    if wide == narrow:
        return True
    if wide.all_ or wide.any_ or wide.not_:
        return False
    given = dict(narrow.tests())
    return all(name in given and _implies(given[name], test) for name, test in wide.tests())


def exclude(one: Condition, other: Condition) -> bool:
    """Whether both surely never hold of one row; False where that is not plain to see."""
    tests = dict(other.tests())
    return any(name in tests and _disjoint(test, tests[name]) for name, test in one.tests())


def _disjoint(one: Test, other: Test) -> bool:
    if isinstance(one, TextTest) and isinstance(other, TextTest):
        words = (_folded(one.equals), _folded(other.equals))
        return all(words) and not {*words[0]} & {*words[1]}
    if isinstance(one, NumberTest) and isinstance(other, NumberTest):
        return _excluding(_low(one), _high(other)) or _excluding(_low(other), _high(one))
    return False


def never_holds(condition: Condition | AccountFields) -> bool:
    """Whether the bounds of a number exclude each other."""
    return any(
        isinstance(test, NumberTest) and _excluding(_low(test), _high(test))
        for _name, test in condition.tests()
    )


def _excluding(low: Bound | None, high: Bound | None) -> bool:
    if low is None or high is None:
        return False
    return low[0] > high[0] or (low[0] == high[0] and (low[1] or high[1]))


def _implies(narrow: Test, wide: Test) -> bool:
    if narrow == wide:
        return True
    if isinstance(narrow, TextTest) and isinstance(wide, TextTest):
        return _text_implies(narrow, wide)
    if isinstance(narrow, NumberTest) and isinstance(wide, NumberTest):
        return _number_implies(narrow, wide)
    return False


def _folded(words: tuple[str, ...] | None) -> list[str]:
    return [word.strip().lower() for word in words or ()]


def _text_implies(narrow: TextTest, wide: TextTest) -> bool:
    equals, contains, starts = (
        _folded(words) for words in (narrow.equals, narrow.contains, narrow.starts_with)
    )
    if wide.known is False:
        return False
    if wide.known and not (narrow.known or equals or contains or starts):
        return False
    if wide.equals and not (equals and set(equals) <= set(_folded(wide.equals))):
        return False
    if wide.contains:
        parts = _folded(wide.contains)
        if not any(
            words and all(any(part in word for part in parts) for word in words)
            for words in (equals, contains, starts)
        ):
            return False
    if wide.starts_with:
        heads = tuple(_folded(wide.starts_with))
        return any(
            bool(words) and all(word.startswith(heads) for word in words)
            for words in (equals, starts)
        )
    return True


def _low(test: NumberTest) -> Bound | None:
    """The highest of the lower bounds."""
    given = [(test.at_least, False), (test.above, True)]
    bounds = [(number, excluded) for number, excluded in given if number is not None]
    return max(bounds, default=None)


def _high(test: NumberTest) -> Bound | None:
    """The lowest of the upper bounds."""
    given = [(test.at_most, False), (test.below, True)]
    bounds = [(number, excluded) for number, excluded in given if number is not None]
    return min(bounds, key=lambda bound: (bound[0], not bound[1]), default=None)


def _number_implies(narrow: NumberTest, wide: NumberTest) -> bool:
    if wide.equals or wide.known is not None:
        return False
    low, high = _low(wide), _high(wide)
    if narrow.equals:
        return not any(
            _excluding(low, (number, False)) or _excluding((number, False), high)
            for number in narrow.equals
        )
    own_low, own_high = _low(narrow), _high(narrow)
    low_holds = low is None or (own_low is not None and own_low >= low)
    high_holds = high is None or (
        own_high is not None and (own_high[0], not own_high[1]) <= (high[0], not high[1])
    )
    return low_holds and high_holds
