"""Hygiene: what makes a lead unusable, and what is only noted of it, as the model file says it.

A check that a model holds by keeps the leads it finds out of score and route; what another check
finds is shown beside the score. `core.cleaning` puts all of this to the facts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from core.mistakes import Mistake, refuse
from core.model import Lead
from core.points import CustomName, Duration, Part, Share


class Check(StrEnum):
    """What is looked for, in order: the first that a lead is held by is its reason."""

    INTERNAL = "internal"
    COMPETITOR = "competitor"
    JUNK_NAME = "junk-name"
    INVALID_EMAIL = "invalid-email"
    JUNK_EMAIL = "junk-email"
    DISPOSABLE_EMAIL = "disposable-email"
    ROLE_EMAIL = "role-email"
    BOUNCED = "bounced"
    INVALID_PHONE = "invalid-phone"
    STALE = "stale"
    INCOMPLETE = "incomplete"
    CONFLICT = "conflict"
    DUPLICATE = "duplicate"

    @property
    def field(self) -> str:
        """The field of the lead that it looks at."""
        return _SAID[self][0]

    @property
    def reason(self) -> str:
        """What it means to be found by it."""
        return _SAID[self][1]


_SAID = {
    Check.INTERNAL: ("company", "one of our own people"),
    Check.COMPETITOR: ("company", "works for a competitor"),
    Check.JUNK_NAME: ("name", "nobody is called so"),
    Check.INVALID_EMAIL: ("email", "not an e-mail address"),
    Check.JUNK_EMAIL: ("email", "a made-up e-mail address"),
    Check.DISPOSABLE_EMAIL: ("email", "a throw-away e-mail address"),
    Check.ROLE_EMAIL: ("email", "the e-mail address of a role, not of a person"),
    Check.BOUNCED: ("email", "e-mail status invalid: a message bounced hard"),
    Check.INVALID_PHONE: ("phone", "not a telephone number"),
    Check.STALE: ("verified", "not verified for too long"),
    Check.INCOMPLETE: ("completeness", "too few of its key fields are known"),
    Check.CONFLICT: ("sources", "its sources disagree; the first one mapped counts"),
    Check.DUPLICATE: ("email", "another record has the same e-mail address"),
}


@dataclass(frozen=True)
class Found:
    """What a check found on a lead, and whether it is held out for it; of a duplicate, `survivor`
    is the record that stands for it."""

    check: Check
    field: str
    reason: str
    holds: bool
    survivor: str | None = None

    def __str__(self) -> str:
        whom = f", {self.survivor}" if self.survivor else ""
        held = "; held out of score and route" if self.holds else ""
        return f"{self.check} ({self.field}): {self.reason}{whom}{held}"


HOLD = (
    Check.INTERNAL,
    Check.COMPETITOR,
    Check.JUNK_NAME,
    Check.INVALID_EMAIL,
    Check.JUNK_EMAIL,
    Check.DISPOSABLE_EMAIL,
    Check.DUPLICATE,
)
"""What a lead is held by unless the model says otherwise."""

Word = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1)]
Domain = Annotated[Word, StringConstraints(pattern=r"^[\w-]+(\.[\w-]+)+$")]


class Names(Part):
    """Names beside those that every model knows."""

    junk: tuple[Word, ...] = Field((), description="Full names that are nobody's.")
    real: tuple[Word, ...] = Field((), description="Full names that are somebody's all the same.")


class Emails(Part):
    """E-mail addresses beside those that every model knows."""

    disposable: tuple[Domain, ...] = Field((), description="Domains of throw-away addresses.")
    role: tuple[Word, ...] = Field((), description="What stands before the @ of roles.")
    trusted: tuple[Word, ...] = Field(
        (), description="Addresses and domains that no e-mail check finds."
    )


class Stale(Part):
    """When the verification of a lead is too old."""

    field: CustomName = Field(description="Custom field with the time of verification.")
    after: Duration = Field(description="How long a verification is good for: 180 days.")


class Complete(Part):
    """How much must be known of a lead."""

    fields: tuple[str, ...] = Field(
        min_length=1, description="The key fields: of leads, or further ones as custom.<name>."
    )
    at_least: Share = Field(description="Share of them that must be known, such as 0.6.")

    @model_validator(mode="after")
    def _known(self) -> Self:
        refuse(self._problems())
        return self

    def _problems(self) -> Iterator[Mistake]:
        for number, name in enumerate(self.fields):
            if name not in Lead.model_fields and not name.startswith("custom."):
                yield ("fields", number), f"a lead has no field {name}; further ones: custom.<name>"


class Standing(StrEnum):
    """How the share of unusable leads stands beside what is usual."""

    USUAL = "as usual"
    LOW = "unusually low: check rules"
    HIGH = "unusually high"


class Usual(Part):
    """The share of duplicate and unusable leads that is usual, both ends inclusive."""

    at_least: Share = Field(Decimal("0.14"), description="Less is unusually low.")
    at_most: Share = Field(Decimal("0.21"), description="More is unusually high.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.at_most < self.at_least:
            raise ValueError(f"at_most {self.at_most:f} is below at_least {self.at_least:f}")
        return self

    def standing(self, held: int, leads: int) -> Standing:
        """How so many held among so many leads stand; of no leads nothing is unusual."""
        if leads and held < self.at_least * leads:
            return Standing.LOW
        return Standing.HIGH if held > self.at_most * leads else Standing.USUAL


class Hygiene(Part):
    """What keeps leads out of score and route. Empty: what every model knows."""

    hold: tuple[Check, ...] = Field(
        HOLD, description="Checks that hold a lead out; what others find is shown, no more."
    )
    ignore: tuple[Check, ...] = Field((), description="Checks that are not made.")
    names: Names = Field(Names(), description="Names that are junk, or are not.")
    emails: Emails = Field(Emails(), description="Addresses that are unusable, or are not.")
    internal: tuple[Word, ...] = Field(
        (), description="Our own companies: domains of e-mail and web addresses, or names."
    )
    competitors: tuple[Word, ...] = Field((), description="Competitors, likewise.")
    stale: Stale | None = Field(None, description="When a verification is too old.")
    complete: Complete | None = Field(None, description="How much must be known.")
    usual: Usual = Field(Usual(), description="The usual share of duplicate and unusable leads.")

    @property
    def made(self) -> tuple[Check, ...]:
        """The checks that are made, in order."""
        idle = {
            Check.INTERNAL: not self.internal,
            Check.COMPETITOR: not self.competitors,
            Check.STALE: self.stale is None,
            Check.INCOMPLETE: self.complete is None,
        }
        return tuple(c for c in Check if c not in self.ignore and not idle.get(c))

    def found(self, check: Check, survivor: str | None) -> Found:
        """What a check has found."""
        return Found(check, check.field, check.reason, check in self.holding, survivor)

    @property
    def holding(self) -> tuple[Check, ...]:
        """The checks that are made and hold a lead out, in order."""
        return tuple(check for check in self.made if check in self.hold)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        refuse(self._problems())
        return self

    def _problems(self) -> Iterator[Mistake]:
        for number, check in enumerate(self.hold):
            if "hold" in self.model_fields_set and check in self.ignore:
                yield ("hold", number), f"{check} both holds and is ignored: keep one"
            if check is Check.STALE and self.stale is None:
                yield ("hold", number), "stale: say `stale: {field: ..., after: 180 days}`"
            if check is Check.INCOMPLETE and self.complete is None:
                yield ("hold", number), "incomplete: say `complete: {fields: [...], at_least: 0.6}`"
