"""The plan of a cycle: which fields of which records to set, why, and what it costs.

A value: it can be printed, priced in calls, refused by a guard, or carried out. What grows with
the records lives on disk (`sync.spool`), so that a plan for every record of a CRM fits in memory.
"""

import hashlib
import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

from connectors.base import Capabilities, Change, Field, Price
from connectors.values import plain_number
from core.decision import Decision, Output
from core.diff import COMPANIONS, ForeignValue, Policy, Values, diff
from core.routing import Assignment
from core.stages import WITHHELD, Stage
from sync.ledger_rows import Held
from sync.price import by_bulk, writing
from sync.spool import Spool

PORTION_CALLS = 10
"""How many calls' worth of changes go out between two points where a stop is honoured."""


@dataclass(frozen=True)
class PlannedChange:
    """One record's change with what it replaces, for the person who reads the plan."""

    change: Change
    before: Values
    owner_reason: str = ""

    @property
    def replaced(self) -> Values:
        """What the fields held that the change sets."""
        return {output: self.before.get(output) for output in self.change.values}


def canonical(output: Output, decision: Decision, target: Field) -> str | None:
    """A decision's value as canonical text that fits its CRM field, as it will be read back.

    Numbers are rounded half up to the field's decimals (rounding happens on writing
    only); text is cut to its length, which the CRM would refuse.
    """
    if output is Output.SCORED_AT:
        return decision.scored_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if output is Output.SCORE:
        points = decision.points
        if target.decimals is not None:
            points = points.quantize(Decimal(1).scaleb(-target.decimals), ROUND_HALF_UP)
        return plain_number(points)
    text = {
        Output.TIER: decision.tier,
        Output.STAGE: decision.stage,
        Output.REASON: decision.reason,
        Output.MODEL: decision.model,
        Output.OWNER: decision.owner_id,
        Output.AREA: decision.area,
        Output.BUYER_STAGE: decision.buyer_stage,
    }[output]
    # Of a base that is written whole, most values are alike: each takes memory once.
    return sys.intern((text or "")[: target.length or None].strip()) or None


def wanted(decision: Decision, targets: Mapping[Output, Field]) -> Values:
    """What the CRM should hold for a decision, in the fields that it has.

    Without an owner to give, the owner is not among them: the present one stays. Of a lead that
    may not be scored, what was written is to be gone, or is not touched.
    """
    if decision.stage in WITHHELD:
        gone = targets.keys() - {Output.OWNER} if decision.stage == Stage.NO_CONSENT else ()
        return dict.fromkeys(sorted(gone))
    return {
        output: canonical(output, decision, target)
        for output, target in targets.items()
        if output is not Output.OWNER or decision.owner_id is not None
    }


@dataclass(frozen=True)
class Compared:
    """A decision beside what the CRM holds and what we last wrote there.

    `refused` are the values that the CRM refused and will refuse again, because the record has
    not changed since; None where there are none. `group` is the record's parent, `modified_at` its
    stamp. `held` are the fields that hold a human's value, `lapsed` the outputs among them that are
    ours again.
    """

    decision: Decision
    present: Values
    last_written: Values
    refused: Values | None = None
    group: str = ""
    modified_at: datetime | None = None
    held: Sequence[Held] = ()
    lapsed: Collection[Output] = ()


@dataclass
class ConnectionPlan:
    """What to write to one CRM.

    `targets` are the written fields by object type. `records` counts what was compared, `waiting`
    the records in quarantine that are not tried again yet, `unaffected` those that were not
    compared because nothing about them changed. `foreign` lists, by record id, the fields that
    hold what somebody else put there, `held` those of them that are left to a human, and until
    when; with `changes` they lie in `folder`. `queued` are the leads that wait for an owner, in the
    order in which they are to be given. `verify`: every write is read back before it counts, and
    not the owners alone. `telling` is the price of the tasks and notes of hand-offs.
    """

    connection: str
    capabilities: Capabilities
    targets: Mapping[str, Mapping[Output, Field]]
    policies: Mapping[Output, Policy]
    folder: Path | None = None
    records: int = 0
    waiting: list[str] = field(default_factory=list)
    queued: list[Assignment] = field(default_factory=list)
    unaffected: int = 0
    verify: bool = False
    telling: Price = field(default_factory=Price)

    def __post_init__(self) -> None:
        self.changes = Spool[PlannedChange](self.folder)
        self.foreign = Spool[tuple[str, ForeignValue]](self.folder)
        self.held = Spool[Held](self.folder)

    @property
    def known(self) -> int:
        """How many records there are to write to."""
        return self.records + self.unaffected

    @property
    def equal(self) -> int:
        """How many records already hold what is wanted, or are left to their human."""
        return self.records - len(self.waiting) - len(self.changes)

    @property
    def fields(self) -> str:
        """A hash of the written fields: with other ones, what was refused may be taken."""
        targets = {
            object_type: {output: asdict(target) for output, target in fields.items()}
            for object_type, fields in self.targets.items()
        }
        return hashlib.sha256(json.dumps(targets, sort_keys=True).encode()).hexdigest()

    @property
    def price(self) -> Price:
        """The fewest API calls that carry this plan out, read back what is to be, and tell."""
        sent = ([planned.change for planned in portion] for portion in self.portions())
        prices = (
            writing(changes, self.capabilities, self.policies, verify=self.verify)
            for changes in sent
        )
        return sum(prices, self.telling)

    def portions(self) -> Iterator[Iterator[PlannedChange]]:
        """The changes in the portions in which they are sent: what a bulk job or ten calls take.

        Each is to be read before the next one: nothing of a portion is kept here.
        """
        found = self.capabilities
        bulk = by_bulk(len(self.changes), found)
        size = found.bulk_write_batch if bulk else found.write_batch * PORTION_CALLS
        # A bulk job is for records of one object type.
        for _type, changes in groupby(self.changes, lambda p: bulk and p.change.object_type):
            for _number, part in groupby(enumerate(changes), lambda counted: counted[0] // size):
                yield (planned for _, planned in part)

    def add(self, item: Compared) -> None:
        """Compare a decision with its record, and plan what differs."""
        decision = item.decision
        self.records += 1
        values = wanted(decision, self.targets[decision.object_type])
        found = diff(values, item.present, item.last_written, self.policies, item.lapsed)
        self.held.extend(entry for entry in item.held if entry.output not in item.lapsed)
        self.foreign.extend((decision.lead_id, value) for value in found.foreign)
        if not found.changes:
            return
        if item.refused is not None and _substance(found.changes) == _substance(item.refused):
            self.waiting.append(decision.lead_id)
            return
        change = Change(
            decision.object_type, decision.lead_id, found.changes, item.group, item.modified_at
        )
        self.changes.append(PlannedChange(change, item.present, decision.owner_reason))

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain data, for --json."""
        return {
            "connection": self.connection,
            "records": self.records,
            "price": vars(self.price),
            "changes": [
                {
                    "object_type": p.change.object_type,
                    "id": p.change.id,
                    "fields": {
                        output: {"from": p.before.get(output), "to": value}
                        for output, value in p.change.values.items()
                    },
                    "owner_reason": p.owner_reason,
                }
                for p in self.changes
            ],
            "foreign": [
                {"id": id_, "output": value.output, "kept": value.kept}
                for id_, value in self.foreign
            ],
            "queued": [{"id": made.lead_id, "reason": made.waits} for made in self.queued],
            "held": [
                {"id": h.record_id, "output": h.output, "since": h.since, "until": h.until}
                for h in self.held
            ],
        }


def _substance(values: Values) -> Values:
    return {output: value for output, value in values.items() if output not in COMPANIONS}
