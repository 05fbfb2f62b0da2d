"""The part of config.yaml about the hand-off: who is told of a lead, and how sales works it."""

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from connectors.settings import Settings
from core.calls import Cadence
from core.points import Points, units
from sync.ledger_surges import Surging
from sync.service_settings import Address, Interval, MailServer, Webhook


class Way(StrEnum):
    """How somebody is told of a hand-off."""

    EMAIL = "email"
    WEBHOOK = "webhook"
    TASK = "task"
    NOTE = "note"


class Told(Settings):
    """One way to tell of a hand-off."""

    stages: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Tell only of leads that are handed off in these stages; left out: of all.",
    )


class OwnerEmail(Told, MailServer):
    """The dossier by e-mail to the lead's owner: over TLS, or to a loopback address."""

    without_owner: tuple[Address, ...] = Field(
        min_length=1, description="Who is told where the owner is a queue, or has no address."
    )


class Channel(Told, Webhook):
    """A message to a channel, as Slack and its likes take it."""


class OwnerTask(Told):
    """A task in the CRM, for the lead's owner."""

    due: Interval = Field(
        timedelta(days=1), description="How long after the hand-off it is due: 4 hours, 1 day."
    )


class DossierNote(Told):
    """The dossier as a note on the lead's record in the CRM."""


class SurgeRule(Settings):
    """What a fast rise of a score is, and how it is told."""

    points: Points = Field(gt=0, description="A rise by so many points, or more, is a surge.")
    within: Interval = Field(
        timedelta(days=1), description="Above the lowest score of so long before: 24 hours."
    )
    by: tuple[Way, ...] = Field(
        (), description="By which of the ways of `handoff` it is told; left out: only flagged."
    )


class TierWork(Settings):
    """How sales works the leads of a tier."""

    playbook: str | None = Field(
        None, min_length=1, description="What to say and to show, or a link to it."
    )
    every: Interval | None = Field(
        None, description="How often they are called: 1 day, 30 days; left out: never."
    )
    attempts: int | None = Field(
        None, ge=1, description="How often they are called in vain; left out: without end."
    )

    @model_validator(mode="after")
    def _called_at_all(self) -> Self:
        if self.attempts and not self.every:
            raise ValueError("attempts without every: say how often they are called")
        return self


class Handoff(Settings):
    """Who is told, once, of a lead that is handed to sales, and how sales works it."""

    email: OwnerEmail | None = Field(None, description="The dossier by e-mail to the owner.")
    webhook: Channel | None = Field(None, description="A message to a channel such as Slack's.")
    task: OwnerTask | None = Field(None, description="A task in the CRM for the owner.")
    surge: SurgeRule | None = Field(
        None, description="Flag leads whose score rises fast, and tell it once."
    )
    note: DossierNote | None = Field(None, description="The dossier as a note in the CRM.")
    connections: tuple[str, ...] | None = Field(
        None, min_length=1, description="Of whose leads is told; left out: of all connections'."
    )
    notes: tuple[str, ...] = Field(
        (),
        description="Custom fields of the lead and its account with people's notes on it: the "
        "dossier repeats them.",
    )
    most: int = Field(
        100, ge=1, description="Most leads told of in one run, each way; the others wait."
    )
    reasons: tuple[str, ...] = Field(
        (), description="Why sales may reject a lead (`leadgauge answer`); left out: any reason."
    )
    answered: tuple[str, ...] = Field(
        ("Connected",), description="Outcomes of calls that somebody answered, as the CRM has them."
    )
    tiers: dict[str, TierWork] = Field({}, description="How sales works a lead, by its tier.")

    @property
    def cadences(self) -> dict[str, Cadence]:
        """How often leads are called, by tier."""
        return {t: Cadence(w.every, w.attempts) for t, w in self.tiers.items() if w.every}

    def ways(self) -> Iterator[tuple[Way, Told]]:
        """The configured ways."""
        for way in Way:
            if told := getattr(self, way):
                yield way, told

    @model_validator(mode="after")
    def _surge_by_a_way(self) -> Self:
        ways = dict(self.ways())
        for way in self.surge.by if self.surge else ():
            if way not in ways:
                raise ValueError(f"surge is told by {way}, and handoff.{way} is not configured")
        return self

    def surging(self, connection: str) -> Surging | None:
        """What a surge is of a connection's leads, and by which ways it is told."""
        if self.surge is None:
            return None
        told = self.surge.by if self.concerns(connection) else ()
        return Surging(units(self.surge.points), self.surge.within, told)

    def concerns(self, connection: str) -> bool:
        """Whether is told of a connection's leads."""
        return self.connections is None or connection in self.connections

    def told(self, connection: str, stages: tuple[str, ...]) -> dict[str, tuple[Way, ...]]:
        """By which ways is told of a connection's hand-offs, by the stage of the lead."""
        ways = list(self.ways()) if self.concerns(connection) else []
        return {
            stage: tuple(way for way, told in ways if told.stages is None or stage in told.stages)
            for stage in stages
        }
