"""What can be said of conditions without facts: which one holds wherever another does, or
never does."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from core.clauses import Clauses, clauses
from core.conditions import Condition
from core.operators import NumberTest, Test, TextTest

Bound = tuple[Decimal, bool]
"""A number, and whether it is excluded."""


def covers(wide: Condition, narrow: Condition) -> bool:
    """Whether `wide` surely holds wherever `narrow` does; False where that is not plain to see."""
    return wide == narrow or met_wherever(clauses(narrow).by_column, clauses(wide))


def met_wherever(given: Mapping[str, Sequence[Test]], wide: Clauses) -> bool:
    """Whether what `wide` says surely holds wherever all `given` tests do, by column."""
    if wide.negated or wide.choices:
        return False
    return all(
        any(_implies(narrow, test) for narrow in given.get(name, ())) for name, test in wide.tests
    )


def excluding(least: Bound | None, most: Bound | None) -> bool:
    """Whether no number is within two bounds."""
    if least is None or most is None:
        return False
    return least[0] > most[0] or (least[0] == most[0] and (least[1] or most[1]))


def _implies(narrow: Test, wide: Test) -> bool:
    if narrow == wide:
        return True
    if isinstance(narrow, TextTest) and isinstance(wide, TextTest):
        return _text_implies(narrow, wide)
    if isinstance(narrow, NumberTest) and isinstance(wide, NumberTest):
        return _number_implies(narrow, wide)
    return False


def folded(words: tuple[str, ...] | None) -> list[str]:
    """Words as they are compared."""
    return [word.strip().lower() for word in words or ()]


def _text_implies(narrow: TextTest, wide: TextTest) -> bool:
    equals, contains, starts = (
        folded(words) for words in (narrow.equals, narrow.contains, narrow.starts_with)
    )
    if wide.known is False or (wide.in_network and wide.in_network != narrow.in_network):
        return False
    if wide.known and not (narrow.known or equals or contains or starts):
        return False
    if wide.equals and not (equals and set(equals) <= set(folded(wide.equals))):
        return False
    if wide.contains:
        parts = folded(wide.contains)
        if not any(
            words and all(any(part in word for part in parts) for word in words)
            for words in (equals, contains, starts)
        ):
            return False
    if wide.starts_with:
        heads = tuple(folded(wide.starts_with))
        return any(
            bool(words) and all(word.startswith(heads) for word in words)
            for words in (equals, starts)
        )
    return True


def low(test: NumberTest) -> Bound | None:
    """The highest of the lower bounds."""
    given = [(test.at_least, False), (test.above, True)]
    bounds = [(number, excluded) for number, excluded in given if number is not None]
    return max(bounds, default=None)


def high(test: NumberTest) -> Bound | None:
    """The lowest of the upper bounds."""
    given = [(test.at_most, False), (test.below, True)]
    bounds = [(number, excluded) for number, excluded in given if number is not None]
    return min(bounds, key=lambda bound: (bound[0], not bound[1]), default=None)


def _number_implies(narrow: NumberTest, wide: NumberTest) -> bool:
    if wide.equals or wide.known is not None:
        return False
    lowest, highest = low(wide), high(wide)
    if narrow.equals:
        return not any(
            excluding(lowest, (number, False)) or excluding((number, False), highest)
            for number in narrow.equals
        )
    own_low, own_high = low(narrow), high(narrow)
    low_holds = lowest is None or (own_low is not None and own_low >= lowest)
    high_holds = highest is None or (
        own_high is not None and (own_high[0], not own_high[1]) <= (highest[0], not highest[1])
    )
    return low_holds and high_holds
