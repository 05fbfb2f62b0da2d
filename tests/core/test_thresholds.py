"""Thresholds proposed from what became of leads."""

from decimal import Decimal

import pytest

from core.decision import UNIT
from core.thresholds import FEWEST, Candidate, candidates, suggested

SHARE = Decimal("0.8")


def scored(customers: list[float], others: list[float]) -> list[tuple[int, bool]]:
    """Leads by their points, and whether each became a customer."""
    rows = [(points, True) for points in customers] + [(points, False) for points in others]
    return [(int(points * UNIT), won) for points, won in rows]


def test_a_threshold_is_inclusive_and_exact() -> None:
    """S161: who reaches it is counted, to 1/10,000 point."""
    found = candidates(scored([49.9999, 50, 120], [50, 10, -5]), [Decimal(50), Decimal("99.5")])
    by = {c.points: (c.leads, c.customers) for c in found}
    assert (by[Decimal(50)], by[Decimal("99.5")], by[Decimal(120)]) == ((3, 2), (1, 1), (1, 1))
    assert list(by) == sorted(by)
    assert min(by) == 10


@pytest.mark.parametrize(
    ("most", "step"), [(3, 1), (20, 1), (21, 2), (60, 5), (107, 10), (435, 50), (3062, 200)]
)
def test_candidates_are_round_and_few(most: int, step: int) -> None:
    points = [c.points for c in candidates(scored([], [most]))]
    assert points == [step * n for n in range(1, most // step + 1)]


def test_nothing_is_a_candidate_where_nobody_has_points() -> None:
    assert candidates([]) == candidates(scored([0], [-3])) == []


def test_the_highest_that_catches_enough_is_suggested() -> None:
    """S161: 80 % of the customers reach it, and fewer reach the next; with fewer than 20 customers
    or 20 others there is no suggestion."""
    won = [20.0] * 4 + [60.0] * 16
    rows = scored(won, [20.0] * 8 + [0.0] * 12)
    found = candidates(rows)
    assert suggested(found, 40, 20, SHARE) == Candidate(Decimal(60), 16, 16)
    assert suggested(found, 40, 20, Decimal("0.81")) == Candidate(Decimal(20), 28, 20)
    assert suggested(candidates(scored([0.0] * 20, [9.0] * 20)), 40, 20, SHARE) is None
    assert suggested(found, 40, FEWEST - 1, SHARE) is None
    assert suggested(found, 20 + FEWEST - 1, 20, SHARE) is None
