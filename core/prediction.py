"""A predicted probability that stands beside the score, and is never part of it."""

from datetime import datetime
from decimal import Decimal

import ibis
import ibis.expr.datatypes as dt
from ibis.expr.types import Table

from core.facts import as_of
from core.known import Facts, lead_columns

PROBABILITY = dt.Decimal(38, 9)


def probabilities(field: str, facts: Facts, at: datetime) -> Table:
    """What a custom field of the leads holds as of `at`: connection, lead_id, probability.

    A value that is no number from 0 to 1 is not known: null.
    """
    name = f"custom.{field}"
    wide = lead_columns({name}, as_of(facts.leads, at), as_of(facts.accounts, at), at)
    read = wide[name].try_cast(PROBABILITY)
    known = read.between(Decimal(0), Decimal(1)).ifelse(read, ibis.null(PROBABILITY))
    return wide.select("connection", "lead_id", probability=known)
