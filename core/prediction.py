"""A predicted probability that stands beside the score, and is never part of it."""

from datetime import datetime
from decimal import Decimal

import ibis
import ibis.expr.datatypes as dt
from ibis import _
from ibis.expr.types import Table

from core.facts import as_of
from core.known import Facts

PROBABILITY = dt.Decimal(38, 9)


def probabilities(field: str, facts: Facts, at: datetime) -> Table:
    """What a custom field of the leads holds as of `at`: connection, lead_id, probability, to nine
    decimals, and misread: it holds something that is no number from 0 to 1, so nothing is known.
    """
    leads = as_of(facts.leads, at)
    held = leads.custom.get(field)
    read = held.try_cast(PROBABILITY)
    known = read.between(Decimal(0), Decimal(1)).ifelse(read, ibis.null(PROBABILITY))
    said = leads.select("connection", lead_id="id", held=held, probability=known)
    misread = _.held.notnull() & _.probability.isnull()
    return said.select("connection", "lead_id", "probability", misread=misread).view()


def exact(read: Decimal | None) -> Decimal | None:
    """A probability without the zeros that the engine puts behind it: 0.82."""
    return None if read is None else read.normalize()
