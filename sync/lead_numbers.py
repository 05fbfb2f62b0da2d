"""A number for each lead's id, stored beside its activities: by it they are found among millions.

DuckDB compares whole columns. Of four bytes for each activity that takes a tenth of the time that
it takes of the ids themselves, which have to be read as texts.
"""

from collections.abc import Collection
from hashlib import md5

import ibis

from core.facts import ACTIVITIES, FactsTable

NUMBER = "lead_number"
_NUMBERS = 2**32


def stored(table: FactsTable) -> ibis.Schema:
    """The columns of a facts table in the file: of activities the number comes last."""
    number = {NUMBER: "!uint32"} if table is ACTIVITIES else {}
    return ibis.schema({**dict(table.schema.items()), **number})


def numbered(table: FactsTable) -> str:
    """SQL for what a row of a facts table is stored with, after all its other columns."""
    if table is not ACTIVITIES:
        return ""
    return f", CAST(md5_number_lower(lead_id) % {_NUMBERS} AS UINTEGER)"


_UNREAD = ("modified_at", "owner_id")
DID = ibis.schema({name: t for name, t in ACTIVITIES.schema.items() if name not in _UNREAD})
"""The columns of what leads did that anything is asked of: each costs a look all over the file."""


def did(leads: Collection[str]) -> str:
    """SQL for the activities of some leads, and perhaps of a few others, and of the accounts `$a`
    those without a person.

    First the places of the rows are looked for, by no other column than is needed, and only these
    rows are then read.
    """
    numbers = ", ".join(str(_number(lead)) for lead in sorted(leads)) or "NULL"
    return f"""
        WITH places AS MATERIALIZED (
            SELECT rowid AS place FROM activities WHERE {NUMBER} IN ({numbers})
            UNION ALL SELECT rowid FROM activities
                WHERE {NUMBER} = {_number("")} AND account_id IN (SELECT unnest($a))
        )
        SELECT {", ".join(DID)} FROM activities a SEMI JOIN places ON a.rowid = place
    """


def _number(lead: str) -> int:
    return int.from_bytes(md5(lead.encode()).digest()[8:], "little") % _NUMBERS
