"""How much of what a model's fit rules ask is known of a lead; never part of its score."""

from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import add

import ibis
from ibis.expr.types import Table

from core.accounts import TARGET
from core.known import Facts, known_columns
from core.operators import NOW
from core.past import PREFIX
from core.rules import Model


@dataclass(frozen=True)
class Completeness:
    """How many of the fields asked are known."""

    known: int
    asked: int

    def __str__(self) -> str:
        return f"{self.known} of {self.asked} ({100 * self.known // self.asked} %)"


def fit_fields(model: Model) -> frozenset[str]:
    """The fields that the model's fit rules read; an account's own are further ones."""
    asked = frozenset[str]().union(*(rule.when.columns() for rule in model.fit_rules))
    return frozenset(
        name
        for name in asked - {NOW, TARGET}
        if "origins." not in name and not name.startswith(PREFIX)
    )


def completeness(model: Model, facts: Facts, at: datetime) -> Table:
    """How complete each lead is as of `at`: connection, lead_id, known, asked.

    What a lead takes from its account is known where the account says it. The model's fit rules
    must read some field.
    """
    fields = sorted(fit_fields(model))
    wide = known_columns({*fields}, facts, at, model=model)
    known = reduce(add, (wide[name].notnull().cast("int64") for name in fields))
    return wide.select("connection", "lead_id", known=known, asked=ibis.literal(len(fields)))
