"""What of the facts is about whom: which columns name a record, and which say nothing personal.

Every other column may hold what a person can be known by (names, addresses, numbers, titles, pages
with something in their address, further mapped fields), and is left empty where facts are made
anonymous. So a column that is added to the common model is personal until it is named here.
"""

import ibis
from ibis.expr.types import StringValue, Table

IDS = frozenset({"id", "lead_id", "account_id", "owner_id", "parent_id", "converted_to"})
"""Columns that hold the id of a record."""

OPEN = frozenset(
    {
        "connection", "object_type", "kind", "type", "active", "valid_from", "valid_to",
        "created_at", "modified_at", "occurred_at", "accepted_at", "converted_at", "bounced_at",
        "closed_at", "seniority", "function", "industry", "employees", "revenue", "country",
        "region", "us_region", "technologies", "email_opt_out", "channel", "direction", "duration",
        "length", "result", "amount", "currency", "at", "score", "tier", "stage", "model",
        "email_valid", "phone_valid", "probability", "fit", "behaviour",
    }
)  # fmt: skip
"""Columns that say nothing personal."""


def anonymous(table: Table, salt: str) -> Table:
    """`table` with ids that nobody can trace back without the salt, and nothing personal.

    The same record has the same id in every table and every export with one salt. Rows are neither
    added nor left out; columns that may be personal are null.
    """

    def pseudonym(id_: StringValue) -> StringValue:
        known = id_.notnull() & (id_ != "")
        hashed = (ibis.literal(salt) + ":" + table.connection + ":" + id_).hexdigest("sha256")
        return known.ifelse(hashed, id_)

    columns = {}
    for name, kind in table.schema().items():
        if name in IDS:
            columns[name] = pseudonym(table[name])
        elif name in OPEN:
            columns[name] = table[name]
        else:
            columns[name] = ibis.null(kind.copy(nullable=True))
    return table.select(**columns)
