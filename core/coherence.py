"""What a model as a whole cannot mean, however well each of its parts is formed."""

from collections.abc import Callable, Iterator, Set
from decimal import Decimal
from difflib import get_close_matches
from itertools import chain

from core.accounts import misplaced
from core.decision import UNIT
from core.earning import BehaviourRule
from core.mistakes import Mistake, Place
from core.points import Period
from core.sections import Sections

BOUNDS = frozenset({"weights", "limits", "groups", "gates", "sizes", "scale"})
"""The sections that say what the points of a rule come to."""

POINTS = BOUNDS | {"fit", "behaviour", "measures", "ageing"}
"""The sections that decide which scores there can be."""


def incoherent(model: Sections, broken: Set[str]) -> Iterator[Mistake]:
    """Every mistake; `broken` are sections of which something was left out for what is wrong with
    it: what only the whole of them can tell is not looked for."""
    for check, whole in _CHECKS:
        if not whole & broken:
            yield from check(model)


def _without_rules(model: Sections) -> Iterator[Mistake]:
    criteria = model.gates.criteria if model.gates else ()
    earning = (model.fit, model.behaviour, model.measures, model.ageing, criteria, model.sizes)
    if not any(earning):
        yield "a model needs at least one rule"


def _without_interest(model: Sections) -> Iterator[Mistake]:
    if model.interest and not any(rule.points > 0 for rule in model.behaviour):
        yield "interest needs behaviour rules: what they pay for is what shows interest"


def _misplaced(model: Sections) -> Iterator[Mistake]:
    """What is said of accounts, and cannot be meant."""
    criteria = model.gates.criteria if model.gates else ()
    asked = chain.from_iterable(model.checklists.values())
    conditions = [rule.when for rule in model.fit_rules]
    conditions += [rule.when for rule in (*criteria, *model.sizes, *model.disqualify, *asked)]
    yield from misplaced(model.accounts, conditions, behaves=bool(model.behaviour))


def _twice(model: Sections) -> Iterator[Mistake]:
    """Rules that are called as one before them."""
    placed: list[tuple[Place, str]] = [(place, rule.id) for place, rule in model.placed_fit()]
    for name in ("behaviour", "measures", "ageing", "sizes", "disqualify", "ignore", "reset"):
        placed += [((name, n), rule.id) for n, rule in enumerate(getattr(model, name))]
    criteria = model.gates.criteria if model.gates else ()
    placed += [(("gates", "criteria", n), rule.id) for n, rule in enumerate(criteria)]
    seen: set[str] = set()
    for place, id_ in placed:
        if id_ in seen:
            yield (*place, "id"), f"two rules are called {id_}: give this one another name"
        seen.add(id_)


def _misnamed(model: Sections) -> Iterator[Mistake]:
    """Decays and groups that a rule names, and that are not there."""
    for number, rule in enumerate(model.behaviour):
        named = (("decay", rule.decay, model.decays), ("group", rule.group, model.groups))
        for kind, name, there in named:
            if name is not None and name not in there:
                known = ", ".join(there) or "none"
                text = f"rule {rule.id}: no {kind} is called {name} (there are: {known})"
                yield ("behaviour", number, kind), text


def _unmarked(model: Sections) -> Iterator[Mistake]:
    """Stages that no behaviour can give."""
    known = [rule.id for rule in model.behaviour] + [rule.id for rule in model.measures]
    for stage, marks in model.stages:
        for number, mark in enumerate(marks):
            if mark not in known:
                near = get_close_matches(mark, known, 1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                text = f"stages.{stage}: no behaviour rule is called {mark}{hint}"
                yield ("stages", stage, number), text


def _misscaled(model: Sections) -> Iterator[Mistake]:
    """Scales that contradict each other."""
    given = {"gates": model.gates and model.gates.worth, "sizes": model.sizes, "scale": model.scale}
    named = [name for name, value in given.items() if value]
    if len(named) > 1:
        said = f"{' and '.join(named)} each decide what the digits of a score mean: keep one"
        yield (named[-1],), said
    if model.matrix and model.tiers:
        yield ("tiers",), "matrix and tiers both name the tier: keep one"


def _endless(model: Sections) -> Iterator[Mistake]:
    """Scales that have no room for what the rules give."""
    most = model.most
    if model.sizes and (most is None or most > 999):
        said = "without end" if most is None else f"up to {most:f}"
        text = f"sizes leave 999 points for all else, and the rules give {said}: cap them"
        yield ("sizes",), text
    if model.scale and not model.scale.top and not most:
        yield ("scale",), "scale: the rules give points without end; cap them, or say top"


def _empty(model: Sections) -> Iterator[Mistake]:
    """Groups that nothing belongs to."""
    used = {rule.group for rule in model.behaviour}
    for name in model.groups:
        if name not in used:
            yield ("groups", name), f"group {name}: no rule belongs to it"


def _misgrouped(model: Sections) -> Iterator[Mistake]:
    """Rules that their group's cap cannot hold."""
    for name, group in model.groups.items():
        rules = [(n, rule) for n, rule in enumerate(model.behaviour) if rule.group == name]
        for number, rule in rules:
            if group.cap < rule.points:
                text = f"group {name}: cap {group.cap:f} is below the points of rule {rule.id}"
                yield ("groups", name, "cap"), f"{text}: raise the cap"
            if group.per and (rule.cap is not None or not _fits(rule, group.per)):
                yield (
                    ("behaviour", number, "group"),
                    f"rule {rule.id}: group {name} is capped by the {group.per}; that needs "
                    f"count: each, {{per: day}} or {{per: {group.per}}}, and no cap of its own",
                )


def _inexact(model: Sections) -> Iterator[Mistake]:
    """Rules whose decayed or weighted points would need rounding."""
    if any(_misnamed(model)):
        return
    fit, behaviour = model.weights.fit, model.weights.behaviour
    parts: list[tuple[Place, str, Decimal, Decimal]] = [
        ((*place, "points"), f"rule {r.id}", r.points, fit) for place, r in model.placed_fit()
    ]
    for number, rule in enumerate(model.behaviour):
        for points in {rule.points, model.left(rule), rule.cap or rule.points}:
            parts.append((("behaviour", number), f"rule {rule.id}", points, behaviour))
    for name, group in model.groups.items():
        parts.append((("groups", name, "cap"), f"group {name}", group.cap, behaviour))
    for number, measure in enumerate(model.measures):
        for points in measure.amounts:
            parts.append((("measures", number), f"rule {measure.id}", points, behaviour))
    for name, limit in model.limits:
        weight = getattr(model.weights, name)
        for key, bound in limit:
            if bound is not None and key != "until":
                parts.append((("limits", name, key), f"limits.{name}", bound, weight))
    for place, what, points, weight in parts:
        for value in (points, points * weight):
            if value * UNIT != (value * UNIT).to_integral_value():
                text = f"{what}: {points:f} x weight {weight:f} is finer than 1/10,000 point"
                yield place, text
                break


def _fits(rule: BehaviourRule, period: Period) -> bool:
    """Whether each thing the rule pays for belongs to one such period alone."""
    return rule.count == "each" or rule.span in (Period.DAY, period)


_CHECKS: tuple[tuple[Callable[[Sections], Iterator[Mistake]], Set[str]], ...] = (
    (_without_rules, POINTS),
    (_twice, frozenset()),
    (_without_interest, frozenset({"behaviour"})),
    (_misplaced, frozenset({"accounts", "behaviour"})),
    (_misnamed, frozenset({"decays", "groups"})),
    (_unmarked, frozenset({"behaviour", "measures"})),
    (_misscaled, frozenset()),
    (_endless, POINTS),
    (_empty, frozenset({"behaviour"})),
    (_misgrouped, frozenset()),
    (_inexact, frozenset({"weights", "decays", "groups"})),
)
"""Each check, and the sections that it has to know whole."""
