"""Which scores a model can give at all, whatever the facts.

Bounds here may be wider than what facts can bring about (two criteria may exclude each other),
never narrower: what lies outside of them is surely out of reach.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.decision import UNIT
from core.earning import BestOf
from core.points import units
from core.rules import Model

THOUSAND = Decimal(1000)
"""What the size of a company counts for, where a model ranks by size."""

ZERO = Decimal(0)


@dataclass(frozen=True)
class Span:
    """All points from `low` to `high`, both included; None: without end on that side."""

    low: Decimal | None
    high: Decimal | None

    def meets(self, start: Decimal | None, end: Decimal | None) -> bool:
        """Whether some of its points lie from `start` to below `end`."""
        starts = start is None or self.high is None or self.high >= start
        return starts and (end is None or self.low is None or self.low < end)

    def weighted(self, weight: Decimal) -> "Span":
        """The span of its points times a weight."""
        low, high = (p if p is None else p * weight for p in (self.low, self.high))
        return Span(low, high) if weight else Span(ZERO, ZERO)

    def within(self, least: Decimal, most: Decimal) -> "Span":
        """What becomes of its points that are brought within bounds."""
        low = least if self.low is None else self.low
        high = most if self.high is None else self.high
        return Span(min(max(low, least), most), min(max(high, least), most))

    def __add__(self, other: "Span") -> "Span":
        low = None if self.low is None or other.low is None else self.low + other.low
        high = None if self.high is None or other.high is None else self.high + other.high
        return Span(low, high)


def fit(model: Model) -> Span:
    """The points that fit rules can give together, before weighting."""
    groups = [item.best_of if isinstance(item, BestOf) else (item,) for item in model.fit]
    least = sum((min(ZERO, *(rule.points for rule in rules)) for rules in groups), ZERO)
    floor = model.limits.fit.floor
    return Span(least if floor is None else max(least, floor), model.most_fit)


def behaviour(model: Model) -> Span:
    """The points that behaviour rules and measures can give together, before weighting."""
    taking = [rule for rule in model.behaviour if rule.points < 0]
    least = [rule.points if rule.count == "once" else None for rule in taking]
    least += [measure.least for measure in model.measures]
    lowest = None if None in least else sum((end for end in least if end is not None), ZERO)
    ends = [end for end in (lowest, model.limits.behaviour.floor) if end is not None]
    return Span(max(ends, default=None), model.most_behaviour)


def ageing(model: Model) -> Span:
    """The points that ageing rules can give together."""
    taking = [rule.most for rule in model.ageing if rule.points < 0]
    most = sum((end for end in taking if end is not None), ZERO)
    return Span(None if None in taking else -most, model.most_ageing)


def room(model: Model) -> Decimal | None:
    """The most that fit and behaviour may give, so that they leave the higher digits alone."""
    if model.sizes:
        return THOUSAND - 1
    return model.gates.worth - 1 if model.gates and model.gates.worth else None


def scores(model: Model) -> list[Span]:
    """The scores that there can be, lowest first: one span for each number of table stakes met,
    or each size; of any other model, one."""
    did = behaviour(model).weighted(model.weights.behaviour)
    rest = fit(model).weighted(model.weights.fit) + did + ageing(model)
    if model.scale:
        low = 1 if rest.low is None else scaled(model, rest.low)
        high = 100 if rest.high is None else scaled(model, rest.high)
        return [Span(Decimal(low), Decimal(high))]
    left = room(model)
    if left is None:
        return [rest]
    rest = rest.within(ZERO, left)
    worth = THOUSAND if model.sizes else left + 1
    steps = len(model.sizes) or len(model.gates.criteria if model.gates else ())
    return [Span(worth * n, worth * n) + rest for n in range(steps + 1)]


def scaled(model: Model, points: Decimal) -> int:
    """The number from 1 to 100 that a model with a scale makes of points."""
    return min(max(units(points) * 99 // _top(model) + 1, 1), 100)


def needed(model: Model, score: Decimal) -> Decimal | None:
    """The points of fit and behaviour rules that make a score by themselves; None: none do."""
    left = room(model)
    if left is not None:
        return score if score <= left else None
    if model.scale:
        steps = -int(-score // 1) - 1
        return Decimal(-(-steps * _top(model) // 99)) / UNIT if steps < 100 else None
    return score


def _top(model: Model) -> int:
    top = model.scale and (model.scale.top or model.most)
    assert top, "a model with a scale has a top"
    return units(top)
