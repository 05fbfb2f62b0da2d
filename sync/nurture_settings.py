"""The part of config.yaml about leads that are not ready: nurture tracks, and audiences."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from connectors.settings import Settings
from core.conditions import ActivityCondition, LeadCondition
from core.points import RuleId
from sync.service_settings import Interval


def _ascending(steps: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    if list(steps) != sorted({*steps}):
        raise ValueError("each step must be later than the one before")
    return steps


Steps = Annotated[tuple[Interval, ...], Field(min_length=1), AfterValidator(_ascending)]


class Track(Settings):
    """A sequence of messages to leads that are not ready for sales."""

    name: RuleId = Field(description="Name of the track, as the nurture list shows it.")
    when: LeadCondition | None = Field(
        None,
        description="Which leads are on it, of those that no earlier track has; unknown is not "
        "true. Left out (in the last one, and only there): all that are left.",
    )
    steps: Steps = Field(
        description="When each message is due, from when the lead was first scored, or was last "
        "qualified or rejected: 1 day, 7 days, 30 days."
    )


class Audience(Settings):
    """Leads to be reached elsewhere, such as by advertisements: only those who did not opt out."""

    name: RuleId = Field(description="Name of the audience.")
    when: LeadCondition | None = Field(None, description="What a lead, or its account, must be.")
    did: ActivityCondition | None = Field(
        None, description="What it must have done, once at least: seen a page, downloaded a paper."
    )
    tiers: tuple[str, ...] | None = Field(
        None, min_length=1, description="Only leads of these tiers; left out: of any."
    )

    @model_validator(mode="after")
    def _says_who(self) -> Self:
        if not (self.when or self.did or self.tiers):
            raise ValueError("say when, did or tiers: who is in it")
        return self


class Nurture(Settings):
    """What happens to leads that are not ready for sales."""

    tracks: tuple[Track, ...] = Field(
        (), description="In order of precedence: a lead is on the first whose condition holds."
    )
    audiences: tuple[Audience, ...] = Field((), description="Leads to be exported, by condition.")

    @model_validator(mode="after")
    def _everybody_on_one(self) -> Self:
        for number, track in enumerate(self.tracks, start=1):
            last = number == len(self.tracks)
            if last and track.when is not None:
                raise ValueError(f"track {track.name} is the last: without `when`, for all others")
            if not last and track.when is None:
                raise ValueError(f"track {track.name} has no `when`, so nobody is on a later one")
        for kind, named in (("tracks", self.tracks), ("audiences", self.audiences)):
            names = [each.name for each in named]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"two {kind} are called {twice[0]}")
        return self
