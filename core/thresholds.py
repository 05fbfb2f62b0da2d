"""Thresholds from history: what each would have passed on, and how much of it became customers."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from itertools import count

from core.decision import UNIT
from core.points import units

FEWEST = 20
"""So many customers, and as many others, make a suggestion more than chance."""

ROWS = 20
"""A table has no more rows than that, beside the thresholds in force."""


@dataclass(frozen=True)
class Candidate:
    """A threshold in `points`: the `leads` that reach it, and the `customers` among them."""

    points: Decimal
    leads: int
    customers: int


def candidates(
    scores: Iterable[tuple[int, bool]], present: Iterable[Decimal] = ()
) -> list[Candidate]:
    """Round thresholds from the lowest to the best score, and those at `present`, lowest first.

    `scores` are those of leads, in units, each with whether it became a customer. A threshold is
    above 0, and inclusive.
    """
    found = list(scores)
    every = sorted(score for score, _won in found)
    won = sorted(score for score, became in found if became)
    points = {*_round_numbers(Decimal(every[-1]) / UNIT if every else Decimal(0)), *present}
    return [Candidate(p, _reaching(every, p), _reaching(won, p)) for p in sorted(points)]


def suggested(
    found: Sequence[Candidate], leads: int, customers: int, share: Decimal
) -> Candidate | None:
    """The highest threshold that at least `share` of the customers reach; None: there is none, or
    there are too few customers, or others, among the `leads` to say so."""
    if min(customers, leads - customers) < FEWEST:
        return None
    wanted = (share * customers).to_integral_value(ROUND_CEILING)
    return next((c for c in reversed(found) if c.customers >= wanted), None)


def _reaching(scores: Sequence[int], points: Decimal) -> int:
    return len(scores) - bisect_left(scores, units(points))


def _round_numbers(most: Decimal) -> list[Decimal]:
    """Multiples of 1, 2 or 5 times a power of ten, up to the most points there are."""
    steps = (Decimal(step) * 10**power for power in count() for step in (1, 2, 5))
    step = next(step for step in steps if most <= step * ROWS)
    return [step * n for n in range(1, int(most // step) + 1)]
