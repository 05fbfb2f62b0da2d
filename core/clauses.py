"""What a condition says, taken apart: the tests that must all hold, what must not, and choices."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from core.conditions import Condition
from core.operators import Test


@dataclass(frozen=True)
class Clauses:
    """A condition holds where all `tests` do, none of `negated`, and one of each of `choices`."""

    tests: tuple[tuple[str, Test], ...] = ()
    negated: tuple[Condition, ...] = ()
    choices: tuple[tuple[Condition, ...], ...] = ()

    def __add__(self, other: Self) -> "Clauses":
        return Clauses(
            self.tests + other.tests, self.negated + other.negated, self.choices + other.choices
        )

    @property
    def by_column(self) -> dict[str, list[Test]]:
        """All tests of each column."""
        found: dict[str, list[Test]] = {}
        for name, test in self.tests:
            found.setdefault(name, []).append(test)
        return found


def clauses(condition: Condition) -> Clauses:
    """A condition taken apart, whatever it nests."""
    found = Clauses(tuple(condition.tests()), tuple(_negated(condition)))
    for inner in condition.all_:
        found += clauses(inner)
    if len(condition.any_) == 1:
        return found + clauses(condition.any_[0])
    return found + Clauses(choices=(condition.any_,)) if condition.any_ else found


def _negated(condition: Condition) -> Iterator[Condition]:
    """What must not hold: of a `not` that only lists choices, each of them."""
    inner = condition.not_
    if inner is None:
        return
    if inner.any_ and not (list(inner.tests()) or inner.all_ or inner.not_):
        yield from inner.any_
    else:
        yield inner
