"""Points out of proportion: more for what matters less, or for what is further from buying."""

from collections.abc import Iterator, Set

from core.covering import covers
from core.earning import BehaviourRule
from core.findings import Finding
from core.rules import Model

DEPTH = {
    "email_open": 1,
    "email_click": 2,
    "download": 3,
    "webinar_attended": 3,
    "trial_started": 4,
    "demo_requested": 4,
}
"""How near to buying an activity is, where its type alone says so; a page of a blog is as 1."""


def disproportions(model: Model) -> Iterator[Finding]:
    """Rules that give more than others which by their class, nearness or depth deserve more."""
    yield from _outweighing(model)
    yield from _far_above_near(model)
    yield from _shallow_above_deep(model)
    yield from _early_above_late(model)


def _outweighing(model: Model) -> Iterator[Finding]:
    """Nice-to-haves that move the score more than the least of the essentials does."""
    essential = [rule for rule in model.fit_rules if rule.class_ == "essential"]
    if not essential:
        return
    least = min(essential, key=lambda rule: abs(rule.points))
    for place, rule in model.placed_fit():
        if rule.class_ in ("typical", "ideal") and abs(rule.points) > abs(least.points):
            yield Finding(
                "warning",
                (*place, "points"),
                f"rule {rule.id} is {rule.class_} and gives {rule.points:f} points, more weight "
                f"than the {least.points:f} of {least.id}, which is essential",
                "Let the essential rule weigh more.",
            )


def _far_above_near(model: Model) -> Iterator[Finding]:
    """Rules that give more than one which says that it is nearer to buying."""
    for number, rule in enumerate(model.behaviour):
        nearer = [
            other
            for other in model.behaviour
            if rule.proximity and other.proximity and other.proximity > rule.proximity
        ]
        least = min(nearer, key=lambda other: other.points, default=rule)
        if rule.points > least.points:
            yield _out_of_order(number, rule, least)


def _shallow_above_deep(model: Model) -> Iterator[Finding]:
    """Rules that give more for a shallow asset than others of the same area give for a deep one.

    Where both say how near to buying they are, that counts, and not what their types suggest.
    """
    known = [(n, r, _depths(r)) for n, r in enumerate(model.behaviour) if r.points > 0]
    for number, shallow, low in known:
        for _number, deep, high in known:
            said = shallow.proximity and deep.proximity
            same = dict(shallow.when.tests()).get("area") == dict(deep.when.tests()).get("area")
            deeper = low and high and max(low) < min(high)
            if deeper and same and not said and shallow.points > deep.points:
                yield _out_of_order(number, shallow, deep)


def _depths(rule: BehaviourRule) -> Set[int]:
    """How deep the activities are that a rule counts; nothing where its types do not say."""
    tests = dict(rule.when.tests())
    types = getattr(tests.get("type"), "equals", None) or ()
    asset = tests.get("asset")
    words = [w for n in ("equals", "starts_with") for w in getattr(asset, n, None) or ()]
    blog = bool(words) and all(word.lower().startswith("/blog") for word in words)
    if set(types) == {"page_view"} and blog:
        return {1}
    return {DEPTH[type_] for type_ in types} if set(types) <= DEPTH.keys() else set()


def _out_of_order(number: int, rule: BehaviourRule, nearer: BehaviourRule) -> Finding:
    return Finding(
        "warning",
        ("behaviour", number, "points"),
        f"rule {rule.id} gives {rule.points:f} points, more than the {nearer.points:f} of "
        f"{nearer.id}, which is nearer to buying",
        "Let what is nearer to buying earn more.",
    )


def _early_above_late(model: Model) -> Iterator[Finding]:
    """Rules that give more for content of the buyer's journey than others for a later stage's."""
    stages = list(model.journey.items())
    known = [
        (number, rule, place)
        for number, rule in enumerate(model.behaviour)
        for place, (_name, stage) in enumerate(stages)
        if rule.points > 0 and covers(stage.when, rule.when)
    ]
    for number, early, place in known:
        for _number, late, further in known:
            if place < further and early.points > late.points:
                yield Finding(
                    "warning",
                    ("behaviour", number, "points"),
                    f"rule {early.id} gives {early.points:f} points for content of stage "
                    f"{stages[place][0]}, more than the {late.points:f} of {late.id} for "
                    f"{stages[further][0]}",
                    "Let content of the later stage earn more.",
                )
