"""What the ledger gives back, as values, and how values become rows."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any, TypeVar

from connectors.base import Change
from core.decision import OPTIONAL, Decision, Output

CHANGES = ("score", "tier", "stage", "owner_id", "model", "probability")
"""What of a decision is told in the audit chain where it changes."""

SUBSTANCE = (*CHANGES, "owner_reason")
"""What of a decision makes it another one: the rest follows from it, or from the clock.

Where no owner is given, only the reason tells that a person has chosen one since.
"""

PARTS = ("fit", "behaviour")
"""What of a decision is kept true in its place: parts may shift under one and the same score."""

CHUNK = 5_000
"""Rows handled by one statement: within every database's limit of parameters."""

NOT_KEPT = "NOT_KEPT"
"""The code of our own for values that the CRM acknowledged and does not hold."""

T = TypeVar("T")


class Team(StrEnum):
    """Who agrees to a model."""

    MARKETING = "marketing"
    SALES = "sales"


class RunStatus(StrEnum):
    """How a run stands.

    refused: done, but the CRM refused some records; stopped: ended early, as asked; guarded: a
    guard stopped it, before the first write or at its budget of calls; failed: an error ended it;
    died: it never ended.
    """

    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    STOPPED = "stopped"
    GUARDED = "guarded"
    FAILED = "failed"
    DIED = "died"


COMPLETE = frozenset({RunStatus.DONE, RunStatus.REFUSED})
"""How a run stands that carried out its plan."""


@dataclass(frozen=True)
class Run:
    """One run. `counts` are by step, `calls` by class; `error` is for the person who must act."""

    id: str
    kind: str
    model: str
    started_at: datetime
    finished_at: datetime | None
    status: RunStatus
    counts: Mapping[str, Any]
    calls: Mapping[str, Any]
    error: str | None


@dataclass(frozen=True)
class Decided:
    """A decision as it was recorded, with the run that made it."""

    run_id: str
    decision: Decision


@dataclass(frozen=True)
class Quarantined:
    """A record that the CRM refuses, in the CRM's own words, and the values it refused.

    `fields` stands for the written fields as they were then, `modified_at` is the record's stamp by
    which it was decided what to send (None: not known). `next_try`: when it is sent again by
    itself, by our own clock; None for a refusal that does not pass.
    """

    connection: str
    object_type: str
    record_id: str
    values: Mapping[Output, str | None]
    code: str
    reason: str
    first_seen: datetime
    last_seen: datetime
    tries: int
    next_try: datetime | None
    fields: str | None
    modified_at: datetime | None
    run_id: str | None

    def due(self, modified_at: datetime, fields: str, at: datetime) -> bool:
        """Whether to send the record again, last changed at `modified_at`, with these `fields`.

        Stamps of the CRM are compared with each other alone: its clock may not be ours.
        A change of the record is no reason where the CRM did not keep what it had acknowledged:
        our own write was such a change, and would be repeated for ever.
        """
        if self.next_try is not None and self.next_try <= at:
            return True
        changed = modified_at != self.modified_at and self.code != NOT_KEPT
        return changed or self.fields not in (None, fields)


@dataclass(frozen=True)
class Held:
    """A field that holds a human's value, which is left alone since and until then.

    `value` is a hash of it. `until` None: for ever.
    """

    connection: str
    object_type: str
    record_id: str
    output: Output
    value: str
    since: datetime
    until: datetime | None

    def lapsed(self, at: datetime) -> bool:
        """Whether the field is ours again."""
        return self.until is not None and self.until <= at


def decision_row(run_id: str, decision: Decision) -> dict[str, Any]:
    """A decision as a row of the ledger, the latest about its lead.

    Optional outputs are kept only as what was written of them.
    """
    row = {k: v for k, v in vars(decision).items() if k not in OPTIONAL}
    row["at"] = row.pop("scored_at")
    return {**row, "run_id": run_id, "latest": True}


def decided_of(row: Mapping[Any, Any]) -> Decided:
    """The decision in a row of the ledger."""
    values = {k: v for k, v in row.items() if k not in ("id", "run_id", "latest", "at")}
    return Decided(row["run_id"], Decision(**values, scored_at=row["at"]))


def change_key(connection: str, change: Change) -> dict[str, str]:
    """The columns that name the record of a change."""
    return {
        "connection": connection,
        "object_type": change.object_type,
        "record_id": change.id,
    }


def plain(values: Mapping[Output, str | None]) -> dict[str, str | None]:
    """Written values in the form of a JSON column; an output is its own name."""
    return dict(values.items())


def outputs(values: Mapping[str, str | None]) -> dict[Output, str | None]:
    """Written values out of a JSON column."""
    return {Output(name): text for name, text in values.items()}


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """Items by the number that one statement handles."""
    remaining = iter(items)
    while chunk := list(islice(remaining, CHUNK)):
        yield chunk
