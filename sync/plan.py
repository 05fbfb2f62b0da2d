"""The plan of a cycle: which fields of which records to set, why, and what it costs.

A value: it can be printed, priced in calls, refused by a guard, or carried out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from decimal import ROUND_HALF_UP, Decimal

from connectors.base import Capabilities, Change, Field
from core.decision import Decision, Output
from core.diff import ForeignValue, Policy, Values, diff


@dataclass(frozen=True)
class PlannedChange:
    """One record's change with what it replaces, for the person who reads the plan."""

    change: Change
    before: Values
    decision: Decision


@dataclass
class ConnectionPlan:
    """What to write to one CRM.

    `records` is how many records were compared, `equal` how many need no write. `foreign`
    lists, by record id, the fields that hold what somebody else put there.
    """

    connection: str
    capabilities: Capabilities
    changes: list[PlannedChange] = field(default_factory=list)
    foreign: list[tuple[str, ForeignValue]] = field(default_factory=list)
    records: int = 0

    @property
    def equal(self) -> int:
        """How many records already hold what is wanted, or are left to their human."""
        return self.records - len(self.changes)

    @property
    def write_calls(self) -> int:
        """The fewest API calls that carry this plan out."""
        return write_calls(len(self.changes), self.capabilities)


def write_calls(changes: int, capabilities: Capabilities) -> int:
    """The price in calls of writing so many records."""
    bulk = capabilities.bulk_write_from
    if bulk is not None and changes >= bulk:
        return capabilities.bulk_write_calls
    return -(-changes // capabilities.write_batch)


def canonical(output: Output, decision: Decision, target: Field) -> str | None:
    """A decision's value as canonical text that fits its CRM field.

    Numbers are rounded half up to the field's decimals (requirements, decision 10: rounding
    happens on writing only); text is cut to its length, which the CRM would refuse.
    """
    if output is Output.SCORED_AT:
        return decision.scored_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if output is Output.SCORE:
        points = decision.points
        if target.decimals is not None:
            points = points.quantize(Decimal(1).scaleb(-target.decimals), ROUND_HALF_UP)
        return _plain(points)
    text = {
        Output.TIER: decision.tier,
        Output.STAGE: decision.stage,
        Output.REASON: decision.reason,
        Output.MODEL: decision.model,
        Output.OWNER: decision.owner_id,
    }[output]
    return text[: target.length] if text and target.length else text or None


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def wanted(decision: Decision, targets: Mapping[Output, Field]) -> Values:
    """What the CRM should hold for a decision, in the fields that it has.

    Without an owner to give, the owner is not among them: the present one stays.
    """
    return {
        output: canonical(output, decision, target)
        for output, target in targets.items()
        if output is not Output.OWNER or decision.owner_id is not None
    }


@dataclass(frozen=True)
class Compared:
    """A decision beside what the CRM holds and what we last wrote there."""

    decision: Decision
    present: Values
    last_written: Values
    group: str = ""


def plan(
    connection: str,
    capabilities: Capabilities,
    compared: Iterable[Compared],
    targets: Mapping[str, Mapping[Output, Field]],
    policies: Mapping[Output, Policy],
) -> ConnectionPlan:
    """Compare every decision with its record; `targets` are the written fields by object type."""
    result = ConnectionPlan(connection, capabilities)
    for item in compared:
        decision = item.decision
        result.records += 1
        found = diff(
            wanted(decision, targets[decision.object_type]),
            item.present,
            item.last_written,
            policies,
        )
        result.foreign.extend((decision.lead_id, value) for value in found.foreign)
        if found.changes:
            change = Change(decision.object_type, decision.lead_id, found.changes, item.group)
            result.changes.append(PlannedChange(change, item.present, decision))
    return result
