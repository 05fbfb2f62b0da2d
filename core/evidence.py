"""Evidence for what people did not agree to: which condition does not hold, what it read, and
since when that was so.

What a person can be known by is not repeated: of a name or an address only that it is known.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce
from operator import add

import ibis
from ibis.expr.types import BooleanValue, StringValue, Table, Value

from core.conditions import LeadCondition
from core.criteria import text
from core.events import LEAD
from core.facts import TIME
from core.known import VALID, Facts, known_versions
from core.operators import NOW
from core.privacy import OPEN

_OPEN = OPEN | {"source"}
"""The fields whose values are repeated, beside further ones: those, a model asks for consent by."""


def evidence(
    condition: LeadCondition, leads: Table, facts: Facts, reason: str, at: datetime
) -> Table:
    """Why a condition does not hold as of `at` for some `leads` (connection, lead_id), after
    `reason`: connection, lead_id, reason.

    `<reason>; {email_opt_out: false} not met: email_opt_out true since 2026-03-31`. Where all of
    several must hold, those are told that do not.
    """
    columns = sorted(condition.columns() - {NOW})
    mine = replace(facts, leads=facts.leads.semi_join(leads, ["connection", ("id", "lead_id")]))
    wide = known_versions({*condition.columns(), *VALID}, mine, at)
    parts = list(_parts(condition))
    read = {f"read_{n}": _read(wide[name], name) for n, name in enumerate(columns)}
    unmet = {f"unmet_{n}": ~part.holds(wide).fill_null(False) for n, part in enumerate(parts)}
    every = wide.select(*LEAD, *VALID, **read, **unmet).view()
    moment = ibis.literal(at, type=TIME)
    now = every.filter(every.valid_to.isnull() | (every.valid_to > moment)).drop(*VALID)
    before = every.select(*LEAD, *VALID, **{f"was_{name}": every[name] for name in read})
    both = now.join(before, LEAD)
    since = {
        f"since_{n}": both.valid_to.max(where=both[f"was_{name}"] != both[name]).coalesce(
            both.valid_from.min()
        )
        for n, name in enumerate(read)
    }
    told = both.group_by(*now.columns).aggregate(**since)
    said = [_told(told, part, n, columns) for n, part in enumerate(parts)]
    return told.select(*LEAD, reason=reduce(add, said, ibis.literal(reason)))


def _parts(condition: LeadCondition) -> Sequence[LeadCondition]:
    """The conditions that must all hold, where it is nothing else."""
    return condition.all_ if {*condition.model_fields_set} == {"all_"} else (condition,)


def _told(told: Table, part: LeadCondition, number: int, columns: Sequence[str]) -> StringValue:
    """What there is to say of a part: nothing where it holds."""
    asked = text(part.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    read = [
        ibis.literal(f"{name} ")
        + told[f"read_{n}"]
        + " since "
        + told[f"since_{n}"].strftime("%Y-%m-%d")
        for n, name in enumerate(columns)
        if name in part.columns()
    ]
    values = reduce(lambda one, other: one + ", " + other, read) if read else ibis.literal("time")
    unmet = ibis.literal(f"; {asked} not met: ") + values
    return told[f"unmet_{number}"].ifelse(unmet, "")


def _read(value: Value, name: str) -> StringValue:
    """A value as it is told."""
    own = name.removeprefix("account.")
    plain = own in _OPEN or own.startswith(("custom.", "origins."))
    shown: StringValue = ibis.literal("known")
    if plain and isinstance(value, BooleanValue):
        shown = value.ifelse("true", "false")
    elif plain and value.type().is_timestamp():
        shown = value.strftime("%Y-%m-%d")
    elif plain and (value.type().is_string() or value.type().is_integer()):
        shown = value.cast("string")
    return value.isnull().ifelse("not known", shown)
