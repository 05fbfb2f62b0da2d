"""How soon sales calls: from when a lead was qualified, and from when somebody was given it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Called(StrEnum):
    """Whether the first call came in time; open: it may still."""

    MET = "met"
    BREACHED = "breached"
    OPEN = "open"


@dataclass(frozen=True)
class Sla:
    """A first call `within` so long, by an activity of one of some types; `reassign`: who does not
    call in time loses the lead."""

    within: timedelta
    by: tuple[str, ...]
    reassign: bool = False


@dataclass(frozen=True)
class Timer:
    """The time that an owner has for the first call on one lead.

    It started at `started_at`, when the owner was given the lead that had become hot at
    `qualified_at`, and is over at `due_at`. `called_at` is the first call since it started.
    """

    connection: str
    lead_id: str
    owner_id: str
    qualified_at: datetime
    started_at: datetime
    due_at: datetime
    called_at: datetime | None = None

    def stands(self, at: datetime) -> Called:
        """How it stands at an instant."""
        if self.called_at is not None:
            return Called.MET if self.called_at <= self.due_at else Called.BREACHED
        return Called.BREACHED if at > self.due_at else Called.OPEN

    @property
    def speed_to_lead(self) -> timedelta | None:
        """From becoming hot to the first call."""
        return None if self.called_at is None else self.called_at - self.qualified_at
