"""The rules that earn points: for what a lead is, and for what it did."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from core.conditions import ActivityCondition, LeadCondition
from core.mistakes import refuse
from core.points import Days, Duration, Part, Period, Points, RuleId, Span


class FitRule(Part):
    """Points for what a lead, or its account, is."""

    id: RuleId = Field(description="Name of the rule, as explanations show it.")
    points: Points = Field(description="Points it gives; negative takes away.")
    when: LeadCondition = Field(description="What must hold.")
    class_: Literal["essential", "typical", "ideal"] | None = Field(
        None,
        alias="class",
        description="How much it matters: essential outweighs typical and ideal. No points hang "
        "on it; `leadgauge check` holds the points to it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _does_not_age(cls, value: object) -> object:
        if isinstance(value, dict):
            foreign = BehaviourRule.model_fields.keys() - cls.model_fields.keys()
            refuse(
                ((key,), f"{key} is for behaviour rules: what a lead is neither ages nor repeats")
                for key in value
                if key in foreign
            )
        return value


class BestOf(Part):
    """Rules of which only the best match counts; of equal ones, the first."""

    best_of: tuple[FitRule, ...] = Field(min_length=2, description="The rules that compete.")

    @property
    def ranked(self) -> list[FitRule]:
        """The rules, best first."""
        return sorted(self.best_of, key=lambda rule: -rule.points)


class Per(Part):
    """Events count again in every period, once in each."""

    per: Span = Field(
        description="A calendar period in UTC: day, week (from Monday), month, quarter, year; "
        "session: until 30 minutes pass without an event of the rule; or a number of days or "
        "months, such as 90 days, counted from the lead's first event of the rule.",
    )


class Run(Part):
    """An event counts only as the n-th of a run of events that the rule matches."""

    nth: int = Field(ge=2, le=1000, description="How many events complete a run.")
    within: Duration | None = Field(
        None, description="The first of them must be no older than this at the last."
    )


def _said(count: object) -> object:
    if count in ("once", "each") or isinstance(count, (dict, Per)):
        return count
    raise ValueError("say once, each, or a period: {per: week}, {per: 90 days}")


class BehaviourRule(Part):
    """Points for what a lead did."""

    id: RuleId = Field(description="Name of the rule, as explanations show it.")
    points: Points = Field(description="Points of one event; negative takes away.")
    when: ActivityCondition = Field(description="Which activities count.")
    count: Annotated[Literal["once", "each"] | Per, BeforeValidator(_said)] = Field(
        "once", description="Whether one event in all earns points, each one, or one a period."
    )
    at: Run | None = Field(None, description="Which event of a run of them earns the points.")
    silent: Days | None = Field(
        None,
        description="What counts are not the events, but the times that so long, and again so "
        "long, passed without another; the points must be negative.",
    )
    within: Duration | None = Field(None, description="Older events do not count at all.")
    cap: Points | None = Field(None, description="The most that all events together give.")
    decay: str | None = Field(None, description="Name of the decay its points are subject to.")
    group: str | None = Field(None, description="Name of the group whose cap it is subject to.")
    proximity: int | None = Field(
        None,
        ge=1,
        description="How near to buying it is: 1 is far off. No points hang on it; "
        "`leadgauge check` holds the points to it.",
    )
    flag: RuleId | None = Field(
        None,
        description="What a lead is marked with while the rule gives it points, such as intent; "
        "explanations, dossiers and the call list show it.",
    )

    @property
    def span(self) -> Period | Literal["session"] | timedelta | int | None:
        """The period that it counts one event of; a number is of months. None: no period is told
        from another."""
        return self.count.per if isinstance(self.count, Per) else None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.points <= 0:
            refuse(
                ((key,), f"{key} needs positive points: give some, or remove the {key}")
                for key in ("cap", "decay", "flag")
                if getattr(self, key) is not None
            )
        if self.cap is not None and self.count == "once":
            raise ValueError("cap needs count: each; a single event is its own cap")
        if self.cap is not None and self.cap < self.points:
            raise ValueError(
                f"cap {self.cap:f} is below the {self.points:f} points of one event: raise the cap"
            )
        if self.at is not None and self.count == "each":
            raise ValueError(
                "at needs count: once or {per: ...}: every further event would complete a run too"
            )
        if self.silent and self.points >= 0:
            raise ValueError("silent needs negative points: doing nothing earns none")
        if self.silent and (self.at or self.within or self.group):
            raise ValueError("silent goes with none of at, within and group: they are for events")
        return self
