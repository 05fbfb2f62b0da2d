"""Sales checklists such as BANT, CHAMP and ANUM: criteria in order, and what is missing of them.

A checklist fails at its first criterion that does not hold; what comes after it is not asked. If
none fails, those that are not known are missing.
"""

from collections.abc import Mapping
from functools import reduce
from operator import add

import ibis
from ibis.expr.types import Table

from core.conditions import undecided
from core.gates import Criterion, names

Checklists = Mapping[str, tuple[Criterion, ...]]


def check(checklists: Checklists, wide: Table) -> Table:
    """How far each lead has come: connection, lead_id, checklist, met, asked, failed, missing.

    `met` of `asked` criteria hold; `failed` is the one it stopped at, or null; `missing` are the
    unknown ones, in order, with commas between them, or null. `wide` holds connection, lead_id and
    all columns that the criteria read.
    """
    return ibis.union(*(_checked(name, items, wide) for name, items in checklists.items()))


def _checked(name: str, criteria: tuple[Criterion, ...], wide: Table) -> Table:
    holds = [(rule.id, rule.when.holds(wide)) for rule in criteria]
    failed = ibis.cases(*((~yes, id_) for id_, yes in holds))
    place = ibis.cases(*((~yes, n) for n, (_id, yes) in enumerate(holds)), else_=len(holds))
    met = reduce(
        add,
        (((place > n) & yes.fill_null(False)).cast("int64") for n, (_id, yes) in enumerate(holds)),
    )
    missing = names({id_: undecided(yes) for id_, yes in holds})
    return wide.select(
        "connection",
        "lead_id",
        checklist=ibis.literal(name),
        met=met,
        asked=ibis.literal(len(holds), "int64"),
        failed=failed,
        missing=failed.isnull().ifelse(missing.nullif(""), ibis.null("string")),
    )
