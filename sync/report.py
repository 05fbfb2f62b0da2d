"""What a run did, in numbers that add up: for each step, in = out + held + rejected."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.base import Price
from connectors.usage import Usage
from core.hygiene import Standing
from sync.hygiene import Cleanliness
from sync.plan import ConnectionPlan


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


@dataclass(frozen=True)
class Comparison:
    """One object of a CRM read whole and compared with the facts, in records or rows.

    `counted` is how many records the CRM says it has (None: it does not say), `shown` how many
    came by; `held` how many the facts held before. What was `missing` there was added, what had
    `changed` was taken over, `unstamped` of it though its modified stamp had not moved (a
    formula field, an association), and what was `gone` from the CRM was marked removed, `purged` of
    it erased there for good. Where less was shown than is counted, nothing was taken for gone.
    """

    stream: str
    counted: int | None
    shown: int
    held: int
    missing: int
    changed: int
    unstamped: int
    gone: int = 0
    purged: int = 0

    @property
    def short(self) -> int:
        """How many records the CRM counts and did not show."""
        return max(0, (self.counted or 0) - self.shown)


@dataclass(frozen=True)
class Refreshed:
    """The records of one object of which some `fields` were looked at, as they change without a
    stamp, and how many of them had `moved`: those were taken over whole."""

    stream: str
    fields: tuple[str, ...]
    looked_at: int
    moved: int


STEPS = ("pull", "score", "qualify", "route", "diff", "write")

ERASE = "erase "
"""How the steps of retention begin, where it is configured."""


@dataclass
class Cost:
    """What a part of a run costs in API calls by class: as predicted before it, and as made.

    Reading only what changed is not predicted (None): asking how much that is costs as much. The
    budget of calls bounds it all the same.
    """

    predicted: Price | None = None
    made: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The cost as plain data."""
        return {"predicted": self.predicted and vars(self.predicted), "made": self.made}


@dataclass
class ConnectionReport:
    """One connection's part of a run.

    `calls` are all API calls by class, `waits` how often the CRM asked to slow down; `reading` and
    `writing` (with the reading back of what was written) are what the two cost. `quota` is what
    the CRM last said of its day: the calls used, by whomever, and the limit. `unread` counts values
    that could not be read, by field and reason; `foreign` the fields that held what somebody else
    put there. `anew` are the tables that were read whole, as other fields of them are mapped than
    before. `comparisons` are there where the CRM was read whole and compared, `refreshed` where
    fields that change without a stamp were looked at, at the cost `refreshing`. `hygiene` is None
    where no model asks for it; where one does, its step counts all leads in every run.
    """

    connection: str
    steps: dict[str, Step] = field(default_factory=lambda: {name: Step(name) for name in STEPS})
    calls: dict[str, int] = field(default_factory=dict)
    waits: int = 0
    quota: tuple[int, int] | None = None
    reading: Cost = field(default_factory=Cost)
    writing: Cost = field(default_factory=Cost)
    unread: Counter[str] = field(default_factory=Counter)
    foreign: int = 0
    anew: list[str] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    refreshed: list[Refreshed] = field(default_factory=list)
    refreshing: Cost = field(default_factory=Cost)
    hygiene: Cleanliness | None = None

    @property
    def of_reading(self) -> list[str]:
        """What to warn of: tables that were read whole, and objects of which the CRM showed fewer
        records than it counts."""
        anew = [
            f"{self.connection}: other fields of {table} are mapped or written than before: all of "
            "them were read again"
            for table in self.anew
        ]
        return anew + [
            f"{self.connection}: {c.stream}: the CRM counts {c.counted} records and showed "
            f"{c.shown}: none was taken for gone. Reconcile again; if it stays so, check what the "
            "CRM user may see"
            for c in self.comparisons
            if c.short
        ]

    def used(self, usage: Usage) -> None:
        """Take what a connector counted of its calls."""
        self.calls, self.waits = dict(usage.calls), usage.waits
        if usage.daily_used is not None and usage.daily_limit is not None:
            self.quota = usage.daily_used, usage.daily_limit

    def cleaned(self, found: Cleanliness) -> None:
        """Take what hygiene found: a step between pull and score."""
        self.hygiene, step = found, Step("hygiene")
        step.passed(found.usable)
        for check, count in found.held.items():
            step.hold(check, count)
        self.steps = {"pull": self.steps["pull"], "hygiene": step, **self.steps}

    def erased(self, what: str, due: int, kept: int = 0) -> None:
        """Take what retention erases at the end of the run, as a last step."""
        step = Step(f"{ERASE}{what}")
        step.passed(due)
        step.hold("another record of the person is kept", kept)
        self.steps[step.name] = step

    @property
    def erasures(self) -> dict[str, int]:
        """How much retention erases of what; nothing where it is not configured."""
        erasing = (step for name, step in self.steps.items() if name.startswith(ERASE))
        return {step.name.removeprefix(ERASE): step.out for step in erasing}

    @property
    def unusual(self) -> list[str]:
        """What to warn of: a share of unusable leads that is not the usual one."""
        found = self.hygiene
        if found is None or found.standing is Standing.USUAL:
            return []
        return [f"{self.connection}: {found}"]

    def compared(self, planned: ConnectionPlan, resting: int) -> None:
        """Take the balance of a plan; `resting` usable leads were not decided about."""
        if resting:
            self.steps["score"].hold("not affected since the last run", resting)
        step = self.steps["diff"]
        step.passed(len(planned.changes))
        step.hold("nothing to change", planned.equal)
        step.hold("in quarantine", len(planned.waiting))
        self.writing.predicted = planned.price
        self.foreign = len(planned.foreign)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "connection": self.connection,
            "steps": [step.as_dict() for step in self.steps.values()],
            "calls": self.calls,
            "waits": self.waits,
            "quota": self.quota and {"used": self.quota[0], "limit": self.quota[1]},
            "reading": self.reading.as_dict(),
            "writing": self.writing.as_dict(),
            "unread": dict(self.unread),
            "foreign_values": self.foreign,
            "comparisons": [vars(comparison) for comparison in self.comparisons],
            "refreshed": [vars(refreshed) for refreshed in self.refreshed],
            "refreshing": self.refreshing.as_dict(),
            "hygiene": self.hygiene and self.hygiene.as_dict(),
        }


@dataclass
class RunReport:
    """A whole run, and what its exit code depends on."""

    run_id: str
    connections: list[ConnectionReport] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether the CRM refused some record of this run."""
        return any(c.steps["write"].rejected for c in self.connections)

    @property
    def waiting(self) -> int:
        """How many records are to be written by the next run: locked, or sent and unanswered."""
        return sum(c.steps["write"].held for c in self.connections)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "run": self.run_id,
            "warnings": self.warnings,
            "connections": [c.as_dict() for c in self.connections],
        }
