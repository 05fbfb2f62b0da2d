"""What is suspicious in a model that is valid: thresholds out of reach, dead rules, odd points.

Everything here looks at the model alone; `unmapped` is told what the connections map, and
`unscored` and `silent` what the facts show. Only what is called an error is surely one.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from itertools import combinations, pairwise

import ibis
from ibis import _
from ibis.expr.types import Table

from core.conditions import NOW
from core.covering import covers, never_holds
from core.decay import Step
from core.rules import BehaviourRule, BestOf, FitRule, Model
from core.scoring import FROM_ACCOUNT, Scored

Place = tuple[str | int, ...]
"""Keys and indexes from the top of the model file."""

DEPTH = {
    "email_open": 1,
    "email_click": 2,
    "download": 3,
    "webinar_attended": 3,
    "trial_started": 4,
    "demo_requested": 4,
}
"""How near to buying an activity is, where its type alone says so; a page of a blog is as 1."""


@dataclass(frozen=True)
class Finding:
    """Something suspicious, where it stands, and what to do. `severity`: error or warning."""

    severity: str
    place: Place
    what: str
    advice: str


def lint(model: Model) -> list[Finding]:
    """Everything suspicious in the model itself."""
    return [
        *_unreachable(model),
        *_dead(model),
        *_shadowed(model),
        *_enough_alone(model),
        *_idle_decays(model),
        *_shallow_above_deep(model),
    ]


def unmapped(model: Model, mapped: Mapping[str, Set[str]]) -> list[Finding]:
    """Conditions on fields that no connection maps; `mapped` are the fields of each facts table."""
    found = []
    for place, rule in _rules(model):
        for column in sorted(rule.when.columns() - {NOW}):
            if not _tables(rule, column, mapped):
                found.append(
                    Finding(
                        "error",
                        (*place, "when"),
                        f"rule {rule.id} asks for {column}, which no connection maps",
                        "Map it under `mapping` of a connection, or remove the condition.",
                    )
                )
    return found


def _tables(
    rule: FitRule | BehaviourRule, column: str, mapped: Mapping[str, Set[str]]
) -> list[str]:
    """The facts tables that fill a column of a condition."""
    if isinstance(rule, BehaviourRule):
        return ["activities"] if column in mapped["activities"] else []
    return mapped_in(column, mapped)


def mapped_in(column: str, mapped: Mapping[str, Set[str]]) -> list[str]:
    """The facts tables that fill a column of a condition on leads."""
    if column.startswith("account."):
        return ["accounts"] if column.removeprefix("account.") in mapped["accounts"] else []
    tables = ["leads", "accounts"] if column in FROM_ACCOUNT else ["leads"]
    return [table for table in tables if column in mapped[table]]


def unscored(model: Model, activities: Table) -> Table:
    """Observed types that no behaviour rule can match, with their count: type, events.

    All that is put to a rule is the type: it cannot match where its condition is then false,
    and may where it is unknown.
    """
    types = activities.group_by("type").aggregate(events=_.count())
    asked = {"type"}.union(*(rule.when.columns() for rule in model.behaviour)) - {"type"}
    unknown = {
        name: ibis.null("string" if name.startswith("custom.") else activities[name].type())
        for name in sorted(asked)
    }
    wide = types.mutate(**unknown)
    for rule in model.behaviour:
        wide = wide.filter(~rule.when.holds(wide).fill_null(True))
    return wide.select("type", "events").order_by(_.events.desc(), "type")


def silent(model: Model, fired: Set[str]) -> list[Finding]:
    """The rules that give no lead anything; `fired` are those that do."""
    return [
        Finding("warning", place, f"rule {rule.id} fires for no lead", "Mend it, or remove it.")
        for place, rule in _rules(model)
        if rule.id not in fired
    ]


def fired(scored: Scored) -> Table:
    """The rules that have a contribution to some score: rule."""
    return scored.contributions.select("rule").distinct()


def _rules(model: Model) -> Iterator[tuple[Place, FitRule | BehaviourRule]]:
    for number, item in enumerate(model.fit):
        if isinstance(item, BestOf):
            for inner, rule in enumerate(item.best_of):
                yield ("fit", number, "best_of", inner), rule
        else:
            yield ("fit", number), item
    for number, behaviour in enumerate(model.behaviour):
        yield ("behaviour", number), behaviour


def _counts(model: Model, rule: FitRule | BehaviourRule) -> Decimal:
    """What one match of a rule adds to the score."""
    part = model.weights.fit if isinstance(rule, FitRule) else model.weights.behaviour
    return rule.points * part


def _most(model: Model) -> Decimal | None:
    """The highest score there can be; None: not bounded, or not by the rules alone."""
    return None if model.gates or model.sizes or model.scale else model.most


def _least(model: Model) -> Decimal | None:
    """The lowest score there can be; None: not bounded, or not by the rules alone."""
    if model.scale or any(r.points < 0 and r.count != "once" for r in model.behaviour):
        return None
    groups = [item.best_of if isinstance(item, BestOf) else (item,) for item in model.fit]
    worst = [min(_counts(model, rule) for rule in rules) for rules in groups]
    worst += [_counts(model, rule) for rule in model.behaviour]
    return sum((points for points in worst if points < 0), Decimal(0))


def _unreachable(model: Model) -> Iterator[Finding]:
    most, least = _most(model), _least(model)
    for name, start in (("mql", model.thresholds.mql), ("sql", model.thresholds.sql)):
        if most is not None and start > most:
            yield Finding(
                "error",
                ("thresholds", name),
                f"threshold {name} {start:f} is out of reach: all rules together give {most:f}",
                "Lower the threshold, or give more points.",
            )
    for name, start in model.tiers.items():
        if most is not None and start > most:
            what = f"tier {name} from {start:f} is out of reach: all rules together give {most:f}"
            yield Finding("warning", ("tiers", name), what, "Let it begin lower, or remove it.")
    for (_above, start), (name, _start) in pairwise(model.tiers.items()):
        if least is not None and start <= least:
            what = f"tier {name} is out of reach: no score is below {least:f}"
            yield Finding("warning", ("tiers", name), what, "Remove it.")


def _dead(model: Model) -> Iterator[Finding]:
    for place, rule in _rules(model):
        if _counts(model, rule) == 0:
            what = f"rule {rule.id} gives no points"
            yield Finding("warning", (*place, "points"), what, "Give it points, or remove it.")
        if never_holds(rule.when):
            what = f"rule {rule.id} never holds: its bounds exclude each other"
            yield Finding("error", (*place, "when"), what, "Mend the bounds.")


def _shadowed(model: Model) -> Iterator[Finding]:
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


def _enough_alone(model: Model) -> Iterator[Finding]:
    mql = model.thresholds.mql
    for place, rule in _rules(model):
        points = _counts(model, rule)
        if points <= 0:
            continue
        events = int((mql / points).to_integral_value(ROUND_CEILING))
        if isinstance(rule, FitRule) or rule.count == "once":
            alone = events <= 1
        else:
            group = model.groups[rule.group] if rule.group else None
            caps = [rule.cap, model.limits.behaviour.cap]
            caps += [group.cap] if group and group.per is None else []
            bounds = [cap * model.weights.behaviour for cap in caps if cap is not None]
            alone = all(bound >= mql for bound in bounds)
        if alone:
            how = "" if events == 1 else f": {events} events do"
            yield Finding(
                "warning",
                place,
                f"rule {rule.id} alone reaches mql {mql:f}{how}",
                "Give it a cap below the threshold, or fewer points, unless that is meant.",
            )


def _idle_decays(model: Model) -> Iterator[Finding]:
    used = {rule.decay for rule in model.behaviour}
    for name in model.decays:
        if name not in used:
            what = f"decay {name} is used by no rule"
            yield Finding("warning", ("decays", name), what, "Remove it.")
    for number, rule in enumerate(model.behaviour):
        decay = model.decays[rule.decay] if rule.decay else None
        if isinstance(decay, Step) and rule.within and rule.within <= decay.after:
            yield Finding(
                "warning",
                ("behaviour", number, "decay"),
                f"rule {rule.id}: its events leave the window before decay {rule.decay} begins",
                "Remove the decay, or widen `within`.",
            )


def _depths(rule: BehaviourRule) -> Iterable[int]:
    """How deep the activities are that a rule counts; nothing where its types do not say."""
    tests = dict(rule.when.tests())
    types = getattr(tests.get("type"), "equals", None) or ()
    asset = tests.get("asset")
    words = [w for n in ("equals", "starts_with") for w in getattr(asset, n, None) or ()]
    blog = bool(words) and all(word.lower().startswith("/blog") for word in words)
    if set(types) == {"page_view"} and blog:
        return [1]
    return [DEPTH[type_] for type_ in types] if set(types) <= DEPTH.keys() else []


def _shallow_above_deep(model: Model) -> Iterator[Finding]:
    """Rules that give more for a shallow asset than others of the same area give for a deep one."""
    known = [(n, r, list(_depths(r))) for n, r in enumerate(model.behaviour) if r.points > 0]
    for number, shallow, low in known:
        for _number, deep, high in known:
            same = dict(shallow.when.tests()).get("area") == dict(deep.when.tests()).get("area")
            if low and high and same and max(low) < min(high) and shallow.points > deep.points:
                yield Finding(
                    "warning",
                    ("behaviour", number, "points"),
                    f"rule {shallow.id} gives {shallow.points:f} points, more than the "
                    f"{deep.points:f} of {deep.id}, which is nearer to buying",
                    "Let what is nearer to buying earn more.",
                )
