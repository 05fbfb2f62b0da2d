"""How clean the leads of a connection are: counted in every run, and read back from the ledger.

All leads are counted, whichever a run decides about: the share of those that are duplicate or
unusable says something only of the whole.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ibis import _
from ibis.expr.types import Table

from core.cleaning import findings, first_holding
from core.facts import as_of
from core.hygiene import Hygiene, Standing
from core.known import Facts
from core.past import Past
from sync.health import GOOD, State
from sync.ledger import Ledger

LATEST = 50
"""Runs among which the last one of each connection is looked for."""


@dataclass(frozen=True)
class Cleanliness:
    """The leads of a connection: how many, held out by which check, and what is noted of how many
    besides."""

    leads: int
    standing: Standing
    held: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)

    @property
    def usable(self) -> int:
        """How many are left to be scored."""
        return self.leads - self.held.total()

    def __str__(self) -> str:
        return in_words(self.held.total(), self.leads, self.standing)

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain data, for --json and the ledger."""
        return {
            "leads": self.leads,
            "unusable": self.held.total(),
            "standing": self.standing,
            "noted": dict(self.noted),
        }


def in_words(unusable: int, leads: int, standing: str) -> str:
    """`17 of 100 leads are duplicate or unusable: 17.0 %, as usual`."""
    share = f"{100 * unusable / leads:.1f} %" if leads else "none"
    return f"{unusable} of {leads} leads are duplicate or unusable: {share}, {standing}"


def cleanliness(
    hygiene: Hygiene, facts: Facts, at: datetime, past: Past | None
) -> dict[str, Cleanliness]:
    """How clean the leads of each connection are as of `at`."""
    found = findings(hygiene, facts, at, past)
    held = _counted(first_holding(hygiene, found))
    noted = _counted(found.filter(_.check.notin([str(check) for check in hygiene.holding])))
    people = as_of(facts.leads, at).group_by("connection").aggregate(leads=_.count())
    return {
        row["connection"]: Cleanliness(
            row["leads"],
            hygiene.usual.standing(held[row["connection"]].total(), row["leads"]),
            held[row["connection"]],
            noted[row["connection"]],
        )
        for row in people.to_pyarrow().to_pylist()
    }


def _counted(found: Table) -> Mapping[str, Counter[str]]:
    """How many leads of each connection are found by each check, most first."""
    counts = found.group_by("connection", "check").aggregate(leads=_.count())
    listed: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in counts.order_by(_.leads.desc(), "check").to_pyarrow().to_pylist():
        listed[row["connection"]][row["check"]] = row["leads"]
    return listed


@dataclass(frozen=True)
class Rate:
    """How clean a connection was in its last run, which is `run_id`; where `state` is not OK, the
    share of unusable leads is not the usual one."""

    connection: str
    leads: int
    unusable: int
    standing: Standing
    run_id: str

    @property
    def job(self) -> str:
        """What alerts call it."""
        return f"hygiene of {self.connection}"

    @property
    def state(self) -> State | Standing:
        """The state it is in."""
        return State.OK if self.standing is Standing.USUAL else self.standing

    @property
    def reason(self) -> str:
        """The figures in words."""
        return in_words(self.unusable, self.leads, self.standing)


def rates(ledger: Ledger) -> list[Rate]:
    """The rate of each connection whose last complete run measured hygiene, by name."""
    last: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for run in ledger.runs(LATEST, among=GOOD):
        for connection, counts in run.counts.items():
            last.setdefault(connection, (run.id, counts.get("hygiene") or {}))
    return [
        Rate(connection, said["leads"], said["unusable"], Standing(said["standing"]), run_id)
        for connection, (run_id, said) in sorted(last.items())
        if said
    ]
