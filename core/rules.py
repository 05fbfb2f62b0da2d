"""The scoring model: the types of the model file, and what makes a model valid.

A model says which facts earn points (fit), which activities do (behaviour), and at which
scores a lead becomes an MQL, an SQL, or reaches a tier. Unknown keys are refused. Points are
exact to 1/10,000 point; a model whose numbers would need rounding is refused.
"""

import hashlib
import json
from collections.abc import Iterator
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from core.conditions import ActivityCondition, LeadCondition
from core.decay import Decay
from core.decision import UNIT
from core.gates import Criterion, Gates
from core.icp import Icp
from core.points import Duration, Grain, Part, Period, Points, RuleId, Share
from core.scales import Labels, Limits, Matrix, Scale


class FitRule(Part):
    """Points for what a lead, or its account, is."""

    id: RuleId = Field(description="Name of the rule, as explanations show it.")
    points: Points = Field(description="Points it gives; negative takes away.")
    when: LeadCondition = Field(description="What must hold.")


class BestOf(Part):
    """Rules of which only the best match counts; of equal ones, the first."""

    best_of: tuple[FitRule, ...] = Field(min_length=2, description="The rules that compete.")

    @property
    def ranked(self) -> list[FitRule]:
        """The rules, best first."""
        return sorted(self.best_of, key=lambda rule: -rule.points)


class Per(Part):
    """Events count again in every calendar period, once in each."""

    per: Period = Field(description="The period, in UTC: day, week (from Monday), month, ...")


class Run(Part):
    """An event counts only as the n-th of a run of events that the rule matches."""

    nth: int = Field(ge=2, le=1000, description="How many events complete a run.")
    within: Duration | None = Field(
        None, description="The first of them must be no older than this at the last."
    )


class BehaviourRule(Part):
    """Points for what a lead did."""

    id: RuleId = Field(description="Name of the rule, as explanations show it.")
    points: Points = Field(description="Points of one event; negative takes away.")
    when: ActivityCondition = Field(description="Which activities count.")
    count: Literal["once", "each"] | Per = Field(
        "once", description="Whether one event in all earns points, each one, or one a period."
    )
    at: Run | None = Field(None, description="Which event of a run of them earns the points.")
    within: Duration | None = Field(None, description="Older events do not count at all.")
    cap: Points | None = Field(None, description="The most that all events together give.")
    decay: str | None = Field(None, description="Name of the decay its points are subject to.")
    group: str | None = Field(None, description="Name of the group whose cap it is subject to.")

    @property
    def period(self) -> Period | None:
        """The period that it counts one event of; None: no period is told from another."""
        return self.count.per if isinstance(self.count, Per) else None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.points <= 0 and (self.cap is not None or self.decay is not None):
            raise ValueError("cap and decay need positive points")
        if self.cap is not None and self.count == "once":
            raise ValueError("cap needs count: each; a single event is its own cap")
        if self.cap is not None and self.cap < self.points:
            raise ValueError(f"cap {self.cap} is below the {self.points} points of one event")
        if self.at is not None and self.count == "each":
            raise ValueError(
                "at needs count: once or {per: ...}: every further event would complete a run too"
            )
        return self


class Ignored(Part):
    """Activities that no rule counts; the explanation lists them with no points."""

    id: RuleId = Field(description="Name of the rule, as explanations show it.")
    when: ActivityCondition = Field(description="Which activities are not counted.")


class Group(Part):
    """Behaviour rules that share a cap."""

    cap: Points = Field(ge=0, description="The most that its rules together give.")
    per: Period | None = Field(
        None, description="The cap holds anew in every calendar period; left out: over all time."
    )


class Weights(Part):
    """How much of each part goes into the score."""

    fit: Share = Field(Decimal(1), description="Share of the fit points.")
    behaviour: Share = Field(Decimal(1), description="Share of the behaviour points.")


class Thresholds(Part):
    """The scores, inclusive, at which a lead changes its stage."""

    mql: Points = Field(gt=0, description="A marketing qualified lead from here.")
    sql: Points = Field(gt=0, description="A sales qualified lead from here.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.sql <= self.mql:
            raise ValueError(f"sql {self.sql} must be above mql {self.mql}")
        return self


class Sql(Part):
    """How a lead above the threshold becomes an SQL."""

    mode: Literal["score", "vetted"] = Field(
        "score",
        description="score: at once; vetted: `SQL pending` until sales accepts the lead.",
    )


class Stages(Part):
    """Stages that behaviour gives, whatever the score: by the ids of behaviour rules.

    A rule worth 0 points marks a stage without moving the score.
    """

    iql: tuple[RuleId, ...] = Field(
        (), description="Any of these makes a lead below MQL an IQL: it asked for information."
    )
    pql: tuple[RuleId, ...] = Field(
        (), description="All of these make a lead a PQL: a trial, and its key actions."
    )
    fast_lane: tuple[RuleId, ...] = Field(
        (), description="Any of these makes a lead an SQL at any score: a demo request."
    )


Checklist = Annotated[tuple[Criterion, ...], Field(min_length=1)]


def _fit_item(value: object) -> str:
    group = "best_of" in value if isinstance(value, dict) else isinstance(value, BestOf)
    return "group" if group else "rule"


FitItem = Annotated[
    Annotated[FitRule, Tag("rule")] | Annotated[BestOf, Tag("group")], Discriminator(_fit_item)
]


class Model(Part):
    """A scoring model."""

    name: str = Field(min_length=1, max_length=40, description="Name of the model.")
    fit: tuple[FitItem, ...] = Field((), description="Rules over lead and account.")
    behaviour: tuple[BehaviourRule, ...] = Field((), description="Rules over activities.")
    decays: dict[str, Decay] = Field({}, description="Decays by name, for rules to refer to.")
    groups: dict[RuleId, Group] = Field({}, description="Groups by name, for rules to refer to.")
    limits: Limits = Field(Limits(), description="Bounds of whole parts of the score.")
    gates: Gates | None = Field(None, description="What a lead must be whatever it does.")
    disqualify: tuple[Criterion, ...] = Field(
        (), description="What rules a lead out: show-stoppers."
    )
    ignore: tuple[Ignored, ...] = Field(
        (), description="Activities that no rule counts, such as visits from our own office."
    )
    weights: Weights = Field(Weights(), description="How fit and behaviour are mixed.")
    thresholds: Thresholds = Field(description="When a lead becomes MQL and SQL. Required.")
    sql: Sql = Field(Sql(), description="How a lead becomes an SQL.")
    stages: Stages = Field(Stages(), description="Stages that behaviour gives.")
    checklists: dict[RuleId, Checklist] = Field(
        {}, description="Sales checklists by name, such as bant: criteria in the order asked."
    )
    icp: Icp | None = Field(
        None, description="The ideal customer profile: shown beside the score, gives no points."
    )
    sizes: tuple[Criterion, ...] = Field(
        (), description="Company sizes, smallest first: each adds a thousand more than the last."
    )
    scale: Scale | None = Field(None, description="Scores from 1 to 100 instead of plain points.")
    matrix: Matrix | None = Field(None, description="Tiers of two letters, by fit and behaviour.")
    tiers: Labels = Field({}, description="Tier and the score it begins at, best first.")

    @property
    def fit_rules(self) -> list[FitRule]:
        """All fit rules, those of groups included, in the order of the file."""
        return [
            rule
            for item in self.fit
            for rule in (item.best_of if isinstance(item, BestOf) else (item,))
        ]

    @property
    def version(self) -> str:
        """A short hash of what the model says: equal content has an equal version."""
        said = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:10]

    @property
    def label(self) -> str:
        """Name and version, as written to the CRM."""
        return f"{self.name} {self.version}"

    def left(self, rule: BehaviourRule) -> Decimal:
        """The points of an event of this rule once its decay is through."""
        return self.decays[rule.decay].left(rule.points) if rule.decay else rule.points

    @property
    def grain(self) -> Grain:
        """In what behaviour points are counted."""
        return Grain(self.weights.behaviour)

    @property
    def most(self) -> Decimal | None:
        """The most points that fit and behaviour rules can give together; None: no end to it."""
        best = Decimal(0)
        for item in self.fit:
            rules = item.best_of if isinstance(item, BestOf) else (item,)
            best += max(Decimal(0), *(rule.points for rule in rules))
        fit = self.limits.fit.cap
        behaviour = [self.limits.behaviour.cap, self._most_behaviour()]
        bounds = [bound for bound in behaviour if bound is not None]
        if not bounds:
            return None
        fit_points = best if fit is None else min(best, fit)
        return fit_points * self.weights.fit + min(bounds) * self.weights.behaviour

    def _most_behaviour(self) -> Decimal | None:
        """The most that behaviour rules give before weighting and the part's own limit."""
        most = Decimal(0)
        for name in (None, *self.groups):
            rules = [r for r in self.behaviour if r.group == name and r.points > 0]
            ends = [r.points if r.count == "once" else r.cap for r in rules]
            group = self.groups[name] if name else None
            bounds = [group.cap] if group and group.per is None else []
            if None not in ends:
                bounds.append(sum((end for end in ends if end is not None), Decimal(0)))
            if not bounds:
                return None
            most += min(bounds)
        return most

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        criteria = self.gates.criteria if self.gates else ()
        ids = [rule.id for rule in self.fit_rules] + [rule.id for rule in self.behaviour]
        ids += [rule.id for rule in criteria] + [rule.id for rule in self.sizes]
        if not ids:
            yield "a model needs at least one rule"
        ids += [rule.id for rule in self.disqualify] + [rule.id for rule in self.ignore]
        for id_ in sorted({id_ for id_ in ids if ids.count(id_) > 1}):
            yield f"two rules are called {id_}"
        for rule in self.behaviour:
            named = (("decay", rule.decay, self.decays), ("group", rule.group, self.groups))
            for kind, name, there in named:
                if name is not None and name not in there:
                    known = ", ".join(there) or "none"
                    yield f"rule {rule.id}: no {kind} is called {name} (there are: {known})"
                    return
        yield from self._unmarked()
        yield from self._misscaled()
        yield from self._misgrouped()
        yield from self._inexact()

    def _unmarked(self) -> Iterator[str]:
        """Stages that no behaviour can give."""
        known = [rule.id for rule in self.behaviour]
        for stage, marks in self.stages:
            for mark in marks:
                if mark not in known:
                    near = get_close_matches(mark, known, 1)
                    hint = f" (did you mean {near[0]}?)" if near else ""
                    yield f"stages.{stage}: no behaviour rule is called {mark}{hint}"

    def _misscaled(self) -> Iterator[str]:
        """Scales that contradict each other, or that the rules do not fit."""
        given = {"gates": self.gates and self.gates.worth, "sizes": self.sizes, "scale": self.scale}
        named = [name for name, value in given.items() if value]
        if len(named) > 1:
            yield f"{' and '.join(named)} each decide what the digits of a score mean: keep one"
        if self.matrix and self.tiers:
            yield "matrix and tiers both name the tier: keep one"
        most = self.most
        if self.sizes and (most is None or most > 999):
            said = "without end" if most is None else f"up to {most:f}"
            yield f"sizes leave 999 points for all else, and the rules give {said}: cap them"
        if self.scale and not self.scale.top and not most:
            yield "scale: the rules give points without end; cap them, or say top"

    def _misgrouped(self) -> Iterator[str]:
        """Groups that nothing belongs to, and rules that their group's cap cannot hold."""
        for name, group in self.groups.items():
            rules = [rule for rule in self.behaviour if rule.group == name]
            if not rules:
                yield f"group {name}: no rule belongs to it"
            for rule in rules:
                if group.cap < rule.points:
                    yield f"group {name}: cap {group.cap} is below the points of rule {rule.id}"
                if group.per and (rule.cap is not None or not _fits(rule, group.per)):
                    yield (
                        f"rule {rule.id}: group {name} is capped by the {group.per}; that needs "
                        f"count: each, {{per: day}} or {{per: {group.per}}}, and no cap of its own"
                    )

    def _inexact(self) -> Iterator[str]:
        """Rules whose decayed or weighted points would need rounding."""
        parts = [(f"rule {r.id}", r.points, self.weights.fit) for r in self.fit_rules]
        for rule in self.behaviour:
            for points in {rule.points, self.left(rule), rule.cap or rule.points}:
                parts.append((f"rule {rule.id}", points, self.weights.behaviour))
        for name, group in self.groups.items():
            parts.append((f"group {name}", group.cap, self.weights.behaviour))
        for name, limit in self.limits:
            for bound in (limit.cap, limit.floor):
                parts.append((f"limits.{name}", bound or Decimal(0), getattr(self.weights, name)))
        for what, points, weight in parts:
            for value in (points, points * weight):
                if value * UNIT != (value * UNIT).to_integral_value():
                    yield f"{what}: {points} x weight {weight} is finer than 1/10,000 point"
                    break


def _fits(rule: BehaviourRule, period: Period) -> bool:
    """Whether each thing the rule pays for belongs to one such period alone."""
    return rule.count == "each" or rule.period in (Period.DAY, period)


def parse(data: object) -> Model:
    """The model that the content of a model file describes.

    Raises `pydantic.ValidationError` with the place and reason of every mistake.
    """
    return Model.model_validate(data)
