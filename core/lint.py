"""What is suspicious in a model that is valid: thresholds out of reach, dead rules, odd points.

Everything here looks at the model alone; `core.unmapped` is told what the connections
fill, `unscored` and `silent` what the facts show. Only what is called an error is surely one.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from decimal import ROUND_CEILING, Decimal
from itertools import combinations

import ibis
from ibis import _
from ibis.expr.types import Table

from core import reach
from core.allowed import never_holds
from core.coherence import BOUNDS, POINTS
from core.conditions import ActivityCondition
from core.covering import covers
from core.decay import Step
from core.earning import BehaviourRule, BestOf, FitRule
from core.findings import Finding, Placed, placed_conditions, placed_rules
from core.mistakes import Place
from core.proportion import disproportions
from core.reach import Span
from core.rules import Model
from core.scoring import Scored
from core.visitors import disputed
from core.vocabulary import Words, occurs, unheard

NOTHING_ELSE = Words()

LISTED = 5
"""Disputed networks that are told one by one."""


def lint(
    model: Model, words: Words = NOTHING_ELSE, broken: Set[str] = frozenset()
) -> list[Finding]:
    """Everything suspicious in the model itself; `words` is what is known of those in facts.

    `broken` are sections of which something was left out for what is wrong with it: what only the
    whole of them can tell is not looked for.
    """
    checks: tuple[tuple[Iterable[Finding], Set[str]], ...] = (
        (_unreachable(model), {*POINTS, "thresholds", "tiers", "matrix"}),
        (_worthless(model), {"weights", "stages"}),
        (hopeless(placed_conditions(model), words), frozenset()),
        (_shadowed(model), frozenset()),
        (_capped(model), frozenset()),
        (_enough_alone(model, words), {*(POINTS if model.scale else BOUNDS), "thresholds"}),
        (_unused_decays(model), {"behaviour"}),
        (_idle_decays(model), {"decays"}),
        (disproportions(model), frozenset()),
        (_disputed(model), frozenset()),
    )
    return [finding for found, whole in checks if not whole & broken for finding in found]


def hopeless(placed: Iterable[Placed], words: Words) -> Iterator[Finding]:
    """Conditions that nothing meets, and words in them that no fact holds."""
    for place, name, condition in placed:
        if never_holds(condition):
            what = f"{name} never holds: what it asks excludes itself"
            yield Finding("error", place, what, "Mend it: nothing meets all of it at once.")
        yield from unheard([(place, name, condition)], words)


def unscored(model: Model, activities: Table) -> Table:
    """Observed types that no behaviour rule can match, with their count: type, events.

    All that is put to a rule is the type: it cannot match where its condition is then false,
    and may where it is unknown.
    """
    types = activities.group_by("type").aggregate(events=_.count())
    found = (condition for _place, _name, condition in placed_conditions(model))
    conditions = [condition for condition in found if isinstance(condition, ActivityCondition)]
    asked = {"type"}.union(*(condition.columns() for condition in conditions)) - {"type"}
    unknown = {
        name: ibis.null("string" if name.startswith("custom.") else activities[name].type())
        for name in sorted(asked)
    }
    wide = types.mutate(**unknown)
    for condition in conditions:
        wide = wide.filter(~condition.holds(wide).fill_null(True))
    return wide.select("type", "events").order_by(_.events.desc(), "type")


def silent(model: Model, fired: Set[str]) -> list[Finding]:
    """The rules that give no lead anything; `fired` are those that do."""
    rules = [(place, rule.id) for place, rule in placed_rules(model)]
    rules += [(("measures", number), measure.id) for number, measure in enumerate(model.measures)]
    return [
        Finding("warning", place, f"rule {name} fires for no lead", "Mend it, or remove it.")
        for place, name in rules
        if name not in fired
    ]


def fired(scored: Scored) -> Table:
    """The rules that have a contribution to some score: rule."""
    return scored.contributions.select("rule").distinct()


def _disputed(model: Model) -> Iterator[Finding]:
    """Networks that are several accounts' alike: what comes from there is nobody's."""
    networks = model.accounts.networks if model.accounts else None
    found = disputed(networks) if networks else []
    advice = "Remove one, narrow it, or give the surer one more confidence."
    for links in found[:LISTED]:
        said = " and ".join(link.told for link in links)
        what = f"networks are several accounts' alike, so visits from there are nobody's: {said}"
        yield Finding("warning", ("accounts", "networks"), what, advice)
    if len(found) > LISTED:
        what = f"{len(found) - LISTED} more networks are several accounts' alike"
        yield Finding("warning", ("accounts", "networks"), what, advice)


def _unreachable(model: Model) -> Iterator[Finding]:
    spans = reach.scores(model)
    for name, start in (("mql", model.thresholds.mql), ("sql", model.thresholds.sql)):
        if not any(span.meets(start, None) for span in spans):
            what = f"threshold {name} {start:f} is out of reach: {_end(spans)}"
            advice = _within(spans[-1].high)
            yield Finding("error", ("thresholds", name), what, advice)
    yield from _empty(("tiers",), "tier", spans, model.tiers)
    if model.matrix:
        for axis, span in (("fit", reach.fit(model)), ("behaviour", reach.behaviour(model))):
            grades = getattr(model.matrix, axis) or {}
            lowest = dict.fromkeys(list(grades)[-1:])
            yield from _empty(("matrix", axis), f"{axis} grade", [span], {**grades, **lowest})


def _within(most: Decimal | None) -> str:
    """What to do about a threshold that is above the most that there can be."""
    if most is None or most <= 0:
        return "Give points: a threshold is above 0."
    return f"Lower it to {most:f} or less, or give more points."


def _empty(
    place: Place, kind: str, spans: list[Span], starts: Mapping[str, Decimal | None]
) -> Iterator[Finding]:
    """The labels, best first, that no points there can be belong to; from None: all below."""
    end: Decimal | None = None
    for name, start in starts.items():
        if not any(span.meets(start, end) for span in spans):
            if not any(span.meets(start, None) for span in spans):
                why = f"from {start:f} is out of reach: {_end(spans)}"
            elif not any(span.meets(None, end) for span in spans):
                why = f"is out of reach: no score is below {spans[0].low:f}"
            else:
                why = f"is out of reach: no score lies from {start:f} to below {end:f}"
            advice = "Move the points it begins at, or remove it."
            yield Finding("warning", (*place, name), f"{kind} {name} {why}", advice)
        end = start


def _end(spans: list[Span]) -> str:
    return f"all rules together give {spans[-1].high:f}"


def _counts(model: Model, rule: FitRule | BehaviourRule) -> Decimal:
    """What one match of a rule adds to the score."""
    part = model.weights.fit if isinstance(rule, FitRule) else model.weights.behaviour
    return rule.points * part


def _worthless(model: Model) -> Iterator[Finding]:
    """Rules that give nothing, and mark no stage."""
    marks = {mark for _stage, named in model.stages for mark in named}
    for place, rule in placed_rules(model):
        if _counts(model, rule) == 0 and rule.id not in marks:
            what = f"rule {rule.id} gives no points"
            yield Finding("warning", (*place, "points"), what, "Give it points, or remove it.")
    for number, measure in enumerate(model.measures):
        if measure.most == measure.least == 0:
            what = f"rule {measure.id} gives no points"
            yield Finding("warning", ("measures", number), what, "Give it points, or remove it.")


def _shadowed(model: Model) -> Iterator[Finding]:
    for first, size in combinations(model.sizes, 2):
        if covers(first.when, size.when):
            yield Finding(
                "warning",
                ("sizes", model.sizes.index(size)),
                f"size {size.id} is dead: {first.id} holds wherever it does, and comes first",
                "Narrow the condition of the smaller size, or remove this one.",
            )
    for number, item in enumerate(model.fit):
        if not isinstance(item, BestOf):
            continue
        for better, rule in combinations(item.ranked, 2):
            if covers(better.when, rule.when):
                yield Finding(
                    "warning",
                    ("fit", number, "best_of", item.best_of.index(rule)),
                    f"rule {rule.id} is dead: {better.id} holds wherever it does, and counts first",
                    "Narrow the condition of the better rule, or remove this one.",
                )


def _capped(model: Model) -> Iterator[Finding]:
    """Rules that a part's cap does not let give all their points."""
    for name, rules in (("fit", model.fit_rules), ("behaviour", model.behaviour)):
        cap = getattr(model.limits, name).cap
        above = [rule for rule in rules if cap is not None and rule.points > cap]
        if above:
            most = max(above, key=lambda rule: rule.points)
            yield Finding(
                "warning",
                ("limits", name, "cap"),
                f"limits.{name}: cap {cap:f} is below the {most.points:f} points of rule {most.id}",
                "Raise the cap, or give fewer points.",
            )


def _enough_alone(model: Model, words: Words) -> Iterator[Finding]:
    mql = model.thresholds.mql
    points = reach.needed(model, mql)
    if points is None:
        return
    for place, rule in placed_rules(model):
        each = _counts(model, rule)
        capped = any(bound < points for bound in _bounds(model, rule))
        if each <= 0 or capped or never_holds(rule.when, occurs(rule.when, words)):
            continue
        events = max(int((points / each).to_integral_value(ROUND_CEILING)), 1)
        if events == 1 or (isinstance(rule, BehaviourRule) and rule.count != "once"):
            how = "" if events == 1 else f": {events} events do"
            yield Finding(
                "warning",
                place,
                f"rule {rule.id} alone reaches mql {mql:f}{how}",
                "Give it a cap below the threshold, or fewer points, unless that is meant.",
            )
    for number, measure in enumerate(model.measures):
        ends = (measure.most, model.limits.behaviour.cap)
        if all(end is None or end * model.weights.behaviour >= mql for end in ends):
            what = f"rule {measure.id} alone reaches mql {mql:f}"
            yield Finding(
                "warning",
                ("measures", number),
                what,
                "Give it a cap below the threshold, or fewer points, unless that is meant.",
            )


def _bounds(model: Model, rule: FitRule | BehaviourRule) -> Iterator[Decimal]:
    """What no number of matches of a rule can add more to the score than."""
    if isinstance(rule, FitRule):
        caps, weight = [model.limits.fit.cap], model.weights.fit
    else:
        group = model.groups[rule.group] if rule.group else None
        caps = [rule.cap, group.cap if group and group.per is None else None]
        caps, weight = [*caps, model.limits.behaviour.cap], model.weights.behaviour
    return (cap * weight for cap in caps if cap is not None)


def _unused_decays(model: Model) -> Iterator[Finding]:
    used = {rule.decay for rule in model.behaviour}
    for name in model.decays:
        if name not in used:
            what = f"decay {name} is used by no rule"
            yield Finding("warning", ("decays", name), what, "Remove it.")


def _idle_decays(model: Model) -> Iterator[Finding]:
    """Decays that begin after the events of their rule no longer count."""
    for number, rule in enumerate(model.behaviour):
        decay = model.decays[rule.decay] if rule.decay else None
        if isinstance(decay, Step) and rule.within and rule.within <= decay.after:
            yield Finding(
                "warning",
                ("behaviour", number, "decay"),
                f"rule {rule.id}: its events leave the window before decay {rule.decay} begins",
                "Remove the decay, or widen `within`.",
            )
