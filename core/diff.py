"""The three-way diff: wanted by us, present in the CRM, last written by us.

Equal to present: no write. Present differs from what we last wrote: somebody else did that,
and the field's policy decides. A pure function of its arguments, one record at a time.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from core.decision import Output

Values = Mapping[Output, str | None]
"""Output -> canonical text; None is an empty field, a missing key an unknown one."""

COMPANIONS = frozenset({Output.MODEL, Output.SCORED_AT})
"""Outputs that say how the others came about: written beside a change, never for themselves.

Otherwise every cycle would rewrite every record for its time stamp alone.
"""


class Policy(StrEnum):
    """Whose word counts when the field holds something that we did not write."""

    OVERWRITE = "overwrite"
    RESPECT_EDITS = "respect_edits"
    FILL_EMPTY = "fill_empty"
    NEVER = "never"


@dataclass(frozen=True)
class ForeignValue:
    """A field that holds what somebody else put there. `kept`: the policy left it alone."""

    output: Output
    kept: bool


@dataclass(frozen=True)
class RecordDiff:
    """What to set on one record (nothing: leave it alone), and what others had set."""

    changes: Values
    foreign: tuple[ForeignValue, ...] = ()


def diff(
    wanted: Values,
    present: Values,
    last_written: Values,
    policies: Mapping[Output, Policy],
    lapsed: Collection[Output] = (),
) -> RecordDiff:
    """Compare field by field; an output without a policy is never written.

    `lapsed` are outputs where another's value was respected for as long as it should be.
    """
    changes: dict[Output, str | None] = {}
    foreign: list[ForeignValue] = []
    for output, value in wanted.items():
        policy = policies.get(output, Policy.NEVER)
        there = present.get(output)
        if policy is Policy.NEVER or value == there:
            continue
        others = is_foreign(output, there, last_written)
        write = (
            policy is Policy.OVERWRITE
            or (policy is Policy.RESPECT_EDITS and (not others or output in lapsed))
            or (policy is Policy.FILL_EMPTY and there is None)
        )
        if others and output not in COMPANIONS:
            foreign.append(ForeignValue(output, kept=not write))
        if write:
            changes[output] = value
    if changes.keys() <= COMPANIONS:
        changes = {}
    return RecordDiff(changes, tuple(foreign))


def is_foreign(output: Output, there: str | None, last_written: Values) -> bool:
    """Whether somebody else set the present value: also an emptied field is a choice."""
    if output in last_written:
        return there != last_written[output]
    return there is not None
