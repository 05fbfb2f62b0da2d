"""What a run did, in numbers that add up: for each step, in = out + held + rejected."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Step:
    """One step's balance. `reasons` counts what was held or rejected, by reason."""

    name: str
    taken: int = 0
    out: int = 0
    reasons_held: Counter[str] = field(default_factory=Counter)
    reasons_rejected: Counter[str] = field(default_factory=Counter)

    @property
    def held(self) -> int:
        """How many wait: nothing to do for them now, and nothing wrong."""
        return self.reasons_held.total()

    @property
    def rejected(self) -> int:
        """How many were refused, by us or by the CRM."""
        return self.reasons_rejected.total()

    @property
    def balanced(self) -> bool:
        """Whether nothing went missing in this step."""
        return self.taken == self.out + self.held + self.rejected

    def passed(self, count: int = 1) -> None:
        """Count records that went on to the next step."""
        self.taken += count
        self.out += count

    def hold(self, reason: str, count: int = 1) -> None:
        """Count records that stay here for a reason."""
        self.taken += count
        self.reasons_held[reason] += count

    def reject(self, reason: str, count: int = 1) -> None:
        """Count records that were refused for a reason."""
        self.taken += count
        self.reasons_rejected[reason] += count

    def as_dict(self) -> dict[str, Any]:
        """The balance as plain data, for --json and the ledger."""
        return {
            "step": self.name,
            "in": self.taken,
            "out": self.out,
            "held": dict(self.reasons_held),
            "rejected": dict(self.reasons_rejected),
        }


STEPS = ("pull", "score", "qualify", "route", "diff", "write")


@dataclass
class ConnectionReport:
    """One connection's part of a run. `calls` are by class;."""

    connection: str
    steps: dict[str, Step] = field(default_factory=lambda: {name: Step(name) for name in STEPS})
    calls: dict[str, int] = field(default_factory=dict)
    planned_write_calls: int = 0
    foreign: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "connection": self.connection,
            "steps": [step.as_dict() for step in self.steps.values()],
            "calls": self.calls,
            "planned_write_calls": self.planned_write_calls,
            "foreign_values": self.foreign,
        }


@dataclass
class RunReport:
    """A whole run. `refused` says whether some records were, for the exit code."""

    run_id: str
    connections: list[ConnectionReport] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether the CRM refused some record of this run."""
        return any(c.steps["write"].rejected for c in self.connections)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {"run": self.run_id, "connections": [c.as_dict() for c in self.connections]}
