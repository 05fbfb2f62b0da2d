"""Who can be given leads in one CRM: pools of owners, their terms, and who has a prior claim."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from core.availability import Terms
from core.timers import Sla

GENERAL = ""
"""The name of the pool for leads that nobody else has a claim to."""


class By(StrEnum):
    """Whose turn it is in a pool: by weighted turns, or whoever has the fewest open leads."""

    TURNS = "turns"
    LOAD = "load"


@dataclass(frozen=True)
class Share:
    """An owner of a pool and the weight of leads it is to get (2 gets twice what 1 gets)."""

    owner_id: str
    weight: int = 1


@dataclass(frozen=True)
class Pool:
    """Owners who share leads.

    `daily` is the most leads that they are given together by turn in a day (of time zone `zone`),
    `total` the most open leads that they have together. What none of them can take now goes to the
    general pool if it `passes_on`, else to the owner `fallback`, else it waits. With `catch_up`,
    who was away is given the leads that were missed; without, time away leaves no debt.
    """

    shares: tuple[Share, ...]
    name: str = GENERAL
    by: By = By.TURNS
    daily: int | None = None
    total: int | None = None
    zone: str = "UTC"
    fallback: str | None = None
    passes_on: bool = False
    catch_up: bool = False

    @property
    def label(self) -> str:
        """What reasons call it."""
        return f"territory {self.name}" if self.name else "round robin"


@dataclass(frozen=True)
class Roster:
    """Who can be given leads in one CRM.

    `active` are the owners that may hold a lead; those of them in `queues` may hold leads of
    `queue_objects` only. Leads of an owner in `unassigned` (a queue, the integration user)
    count as having none. `territories` are pools by territory name. `named` are the owners of
    named accounts, by domain or record id. `sticky`: the next lead of an account goes to whom the
    last one was given. `terms` are by owner; who has none works always, without a cap. `sla` is how
    soon leads are to be called.
    """

    active: frozenset[str]
    pool: Pool
    territories: Mapping[str, Pool] = field(default_factory=dict)
    unassigned: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    queue_objects: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset({"SQL"})
    named: Mapping[str, str] = field(default_factory=dict)
    sticky: bool = False
    terms: Mapping[str, Terms] = field(default_factory=dict)
    sla: Sla | None = None

    @property
    def pools(self) -> tuple[Pool, ...]:
        """All pools, the general one last."""
        return (*self.territories.values(), self.pool)

    @property
    def counts_open(self) -> bool:
        """Whether the number of an owner's open leads plays a part."""
        caps = [terms.total for terms in self.terms.values()] + [pool.total for pool in self.pools]
        return any(cap is not None for cap in caps) or any(p.by is By.LOAD for p in self.pools)

    def terms_of(self, owner_id: str) -> Terms:
        """An owner's terms."""
        return self.terms.get(owner_id, ALWAYS)


ALWAYS = Terms()
"""The terms of who works at any hour, without a cap."""
