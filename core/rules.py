"""The scoring model: the types of the model file, and what makes a model valid.

A model says which facts earn points (fit), which activities do (behaviour), and at which
scores a lead becomes an MQL, an SQL, or reaches a tier. Unknown keys are refused. Points are
exact to 1/10,000 point; a model whose numbers would need rounding is refused.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from core.conditions import ActivityCondition, LeadCondition
from core.decision import UNIT

LARGEST = 1_000_000
"""The most points one rule may give: sums of many events still fit 64-bit integers."""


def units(points: Decimal) -> int:
    """Points in whole units of 1/10,000. ValueError: they do not come out even."""
    scaled = points * UNIT
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{points} is not a whole number of 1/10,000 point")
    return int(scaled)


def _exact(points: Decimal) -> Decimal:
    units(points)
    return points.normalize()


def _duration(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+) (day|hour)s?", value.strip())
    if not match:
        raise ValueError("a duration is a whole number of days or hours, such as 30 days")
    return timedelta(**{f"{match[2]}s": int(match[1])})


Points = Annotated[Decimal, Field(ge=-LARGEST, le=LARGEST), AfterValidator(_exact)]
Duration = Annotated[timedelta, Field(gt=timedelta()), BeforeValidator(_duration)]
Share = Annotated[Decimal, Field(ge=0, le=1), AfterValidator(_exact)]
RuleId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=32)]


class Part(BaseModel):
    """A part of the model file; frozen, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class Decay(Part):
    """What an event loses, in one step, once it is strictly older than `after`.

    Either its points are multiplied by `factor`, or `minus` is taken off, never below zero.
    """

    after: Duration = Field(description="The age up to which an event keeps its points.")
    factor: Share | None = Field(None, lt=1, description="Share of the points it keeps.")
    minus: Points | None = Field(None, gt=0, description="Points it loses.")
    unless_engaged: bool = Field(
        False, description="It keeps its points if a later activity earned points."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.factor is None) == (self.minus is None):
            raise ValueError("a decay needs either factor or minus")
        return self

    def left(self, points: Decimal) -> Decimal:
        """What remains of an event's points after the step."""
        if self.factor is not None:
            return points * self.factor
        assert self.minus is not None
        return max(points - self.minus, Decimal(0))


class BehaviourRule(Part):
    """Points for what a lead did."""

    id: RuleId = Field(description="Name of the rule, as explanations show it.")
    points: Points = Field(description="Points of one event; negative takes away.")
    when: ActivityCondition = Field(description="Which activities count.")
    count: Literal["once", "each"] = Field(
        "once", description="Whether the first event alone earns points, or each one does."
    )
    within: Duration | None = Field(None, description="Older events do not count at all.")
    cap: Points | None = Field(None, description="The most that all events together give.")
    decay: str | None = Field(None, description="Name of the decay its points are subject to.")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.points <= 0 and (self.cap is not None or self.decay is not None):
            raise ValueError("cap and decay need positive points")
        if self.cap is not None and self.count == "once":
            raise ValueError("cap needs count: each; a single event is its own cap")
        if self.cap is not None and self.cap < self.points:
            raise ValueError(f"cap {self.cap} is below the {self.points} points of one event")
        return self


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
    weights: Weights = Field(Weights(), description="How fit and behaviour are mixed.")
    thresholds: Thresholds = Field(description="When a lead becomes MQL and SQL. Required.")
    sql: Sql = Field(Sql(), description="How a lead becomes an SQL.")
    tiers: dict[str, Points] = Field({}, description="Tier and the score it begins at, best first.")

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
        """The points of an event of this rule once it is past its decay's step."""
        return self.decays[rule.decay].left(rule.points) if rule.decay else rule.points

    @field_validator("tiers")
    @classmethod
    def _tiers_fall(cls, tiers: dict[str, Decimal]) -> dict[str, Decimal]:
        starts = list(tiers.values())
        if any(lower >= upper for upper, lower in pairwise(starts)):
            raise ValueError("tiers must be listed best first, each beginning below the one before")
        return tiers

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        ids = [*(rule.id for rule in self.fit_rules), *(rule.id for rule in self.behaviour)]
        if not ids:
            yield "a model needs at least one rule"
        for id_ in sorted({id_ for id_ in ids if ids.count(id_) > 1}):
            yield f"two rules are called {id_}"
        for rule in self.behaviour:
            if rule.decay is not None and rule.decay not in self.decays:
                known = ", ".join(self.decays) or "none"
                yield f"rule {rule.id}: no decay is called {rule.decay} (there are: {known})"
                return
        yield from self._inexact()

    def _inexact(self) -> Iterator[str]:
        """Rules whose decayed or weighted points would need rounding."""
        parts = [(r.id, r.points, self.weights.fit) for r in self.fit_rules]
        for rule in self.behaviour:
            for points in {rule.points, self.left(rule), rule.cap or rule.points}:
                parts.append((rule.id, points, self.weights.behaviour))
        for id_, points, weight in parts:
            for value in (points, points * weight):
                if value * UNIT != (value * UNIT).to_integral_value():
                    yield f"rule {id_}: {points} x weight {weight} is finer than 1/10,000 point"
                    break


def parse(data: object) -> Model:
    """The model that the content of a model file describes.

    Raises `pydantic.ValidationError` with the place and reason of every mistake.
    """
    return Model.model_validate(data)
