"""The sections of a scoring model: the types of the model file.

A model says which facts earn points (fit), which activities do (behaviour), and at which
scores a lead becomes an MQL, an SQL, or reaches a tier. Unknown keys are refused. Points are
exact to 1/10,000 point; a model whose numbers would need rounding is refused.
"""

import hashlib
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from core.accounts import AccountScoring
from core.ageing import AgeingRule
from core.consent import Consent
from core.decay import Decay
from core.earning import BehaviourRule, BestOf, FitRule
from core.gates import Criterion, Gates
from core.hygiene import Hygiene
from core.icp import Icp
from core.interest import Interest, Journey, Roles
from core.limits import Group, Limits
from core.measures import Measure
from core.mistakes import Place
from core.past import Keep, asks
from core.points import CustomName, Duration, Grain, Part, Points, RuleId, Share
from core.scales import Labels, Matrix, Scale
from core.uncounted import Ignored, Reset


class Weights(Part):
    """How much of each part goes into the score."""

    fit: Share = Field(Decimal(1), description="Share of the fit points.")
    behaviour: Share = Field(Decimal(1), description="Share of the behaviour points.")


class Thresholds(Part):
    """The scores, inclusive, at which a lead changes its stage."""

    mql: Points = Field(gt=0, description="A marketing qualified lead from here.")
    sql: Points = Field(gt=0, description="A sales qualified lead from here.")
    keep: Keep | None = Field(
        None, description="Where a lead loses a stage it has; left out: where it gets it."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.sql <= self.mql:
            raise ValueError(f"sql {self.sql:f} must be above mql {self.mql:f}")
        if self.keep and (problem := self.keep.misplaced(self.mql, self.sql)):
            raise ValueError(problem)
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


class Sections(Part):
    """What a model file says, section by section."""

    name: str = Field(min_length=1, max_length=40, description="Name of the model.")
    fit: tuple[FitItem, ...] = Field((), description="Rules over lead and account.")
    behaviour: tuple[BehaviourRule, ...] = Field((), description="Rules over activities.")
    measures: tuple[Measure, ...] = Field(
        (), description="Rules over all matching activities of a lead together."
    )
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
    reset: tuple[Reset, ...] = Field(
        (), description="Activities that undo all behaviour up to them, such as unsubscribing."
    )
    weights: Weights = Field(Weights(), description="How fit and behaviour are mixed.")
    ageing: tuple[AgeingRule, ...] = Field(
        (), description="Rules over how long a condition has held."
    )
    thresholds: Thresholds = Field(description="When a lead becomes MQL and SQL. Required.")
    cool_down: Duration | None = Field(
        None, description="How long a lead that lost its qualified stage cannot get one again."
    )
    sql: Sql = Field(Sql(), description="How a lead becomes an SQL.")
    stages: Stages = Field(Stages(), description="Stages that behaviour gives.")
    checklists: dict[RuleId, Checklist] = Field(
        {}, description="Sales checklists by name, such as bant: criteria in the order asked."
    )
    probability: CustomName | None = Field(
        None,
        description="Custom field of the lead with a predicted probability, from 0 to 1: kept and "
        "shown beside the score, never part of it.",
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
    interest: Interest | None = Field(None, description="What leads are interested in.")
    journey: Journey = Field(
        {}, description="Stages of the buyer's journey by name, first to last."
    )
    roles: Roles | None = Field(None, description="Roles in the buying process.")
    accounts: AccountScoring | None = Field(None, description="How accounts are scored.")
    consent: Consent | None = Field(
        None, description="What people must have agreed to; left out: nothing is asked."
    )
    hygiene: Hygiene | None = Field(
        None, description="What keeps a lead out of score and route; left out: nothing."
    )

    @property
    def fit_rules(self) -> list[FitRule]:
        """All fit rules, those of groups included, in the order of the file."""
        return [rule for _place, rule in self.placed_fit()]

    def placed_fit(self) -> Iterator[tuple[Place, FitRule]]:
        """All fit rules, each with its place in the file."""
        for number, item in enumerate(self.fit):
            if isinstance(item, BestOf):
                for inner, rule in enumerate(item.best_of):
                    yield ("fit", number, "best_of", inner), rule
            else:
                yield ("fit", number), item

    @property
    def version(self) -> str:
        """A short hash of what the model says: equal content has an equal version."""
        said = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:10]

    @property
    def label(self) -> str:
        """Name and version, as written to the CRM."""
        return f"{self.name} {self.version}"

    @property
    def recalls(self) -> bool:
        """Whether anything rests on what was decided before."""
        criteria = self.gates.criteria if self.gates else ()
        asking = [rule.when for rule in (*criteria, *self.sizes, *self.disqualify)]
        asking += [rule.when for rules in self.checklists.values() for rule in rules]
        asking += [rule.when for rule in self.fit_rules] + [rule.when for rule in self.ageing]
        asking += [self.icp.persona] if self.icp else []
        asking += (
            [role.when for role in self.roles.infer.values() if role.when] if self.roles else []
        )
        if self.accounts and self.accounts.committee:
            asking += self.accounts.committee.roles.values()
        return bool(self.thresholds.keep or self.cool_down or asks(asking))

    @property
    def remembers(self) -> bool:
        """Whether anything rests on all stages that were decided, not on the last alone."""
        return any(rule.lasts for rule in self.ageing)

    def left(self, rule: BehaviourRule) -> Decimal:
        """The points of an event of this rule once its decay is through."""
        return self.decays[rule.decay].left(rule.points) if rule.decay else rule.points

    @property
    def grain(self) -> Grain:
        """In what behaviour points are counted."""
        return Grain(self.weights.behaviour)

    @property
    def most(self) -> Decimal | None:
        """The most points that all rules can give together; None: no end to it."""
        behaviour, aged = self.most_behaviour, self.most_ageing
        if behaviour is None or aged is None:
            return None
        return self.most_fit * self.weights.fit + behaviour * self.weights.behaviour + aged

    @property
    def most_ageing(self) -> Decimal | None:
        """The most that ageing rules can give together; None: no end to it."""
        ends = [rule.most for rule in self.ageing if rule.points > 0]
        if None in ends:
            return None
        return sum((end for end in ends if end is not None), Decimal(0))

    @property
    def most_fit(self) -> Decimal:
        """The most that fit rules can give together, before weighting."""
        best = Decimal(0)
        for item in self.fit:
            rules = item.best_of if isinstance(item, BestOf) else (item,)
            best += max(Decimal(0), *(rule.points for rule in rules))
        cap = self.limits.fit.cap
        return best if cap is None else min(best, cap)

    @property
    def most_behaviour(self) -> Decimal | None:
        """The most that behaviour rules can give together, before weighting; None: no end."""
        ends = [self.limits.behaviour.cap, self._most_behaviour()]
        return min((end for end in ends if end is not None), default=None)

    def _most_behaviour(self) -> Decimal | None:
        """The most that rules and measures give before the part's own limit."""
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
        for measure in self.measures:
            if measure.most is None:
                return None
            most += measure.most
        return most
