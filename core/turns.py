"""Whose turn it is: what owners have been given so far, their caps, and their order in a pool.

An owner's level in a pool is the leads given so far divided by the owner's weight, in UNIT; in a
pool by load, the open leads. Of those who are not ahead of their share (whose level is not above
what it were if the next lead were spread over all) the lead goes to whoever then has the lowest
level, the first in the pool's order of equals. So nobody is ever more than one lead off the share.

Time away leaves no debt: who can take nothing is kept at the level of whoever's turn comes next,
and so has nothing to catch up afterwards.
"""

from collections import Counter, defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heapify, heappop, heappush, heapreplace

from core.roster import By, Pool, Roster

NOBODY = "no active owner in the pool"
OFF_DUTY = "nobody in the pool is at work"
BELOW_CUT = "below capacity cut"
REASONS = (NOBODY, OFF_DUTY, BELOW_CUT)
"""Why a lead waits; of several pools' reasons the last counts."""

UNIT = 720_720 * 10**6
"""What a lead adds to the level of an owner of weight 1; every usual weight divides it."""


@dataclass(frozen=True)
class Held:
    """Who has a person by another record than the one that is routed: `record` names it.

    `owner_id` is the owner in this CRM; None: it has none here, or waits for one, `waits` says why.
    """

    record: str
    owner_id: str | None = None
    waits: str | None = None


@dataclass(frozen=True)
class Had:
    """What was given before a run.

    `levels` are by pool and owner, in UNIT. `in_day` counts the leads given to each owner on the
    owner's present day, `pool_in_day` those given by turn in each pool, `open` the open leads of
    each owner. `accounts`: to whom the last lead of an account was given; `people`: who has a
    person of several records.
    """

    levels: Mapping[tuple[str, str], int] = field(default_factory=dict)
    in_day: Mapping[str, int] = field(default_factory=dict)
    pool_in_day: Mapping[str, int] = field(default_factory=dict)
    open: Mapping[str, int] = field(default_factory=dict)
    accounts: Mapping[str, str] = field(default_factory=dict)
    people: Mapping[str, Held] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """What one owner of a pool had at a moment, and `why_not`: what kept leads away, if anything.

    `level` is in UNIT; `in_day` and `open` are leads (None: nothing asks for them), `daily` and
    `total` their caps.
    """

    owner_id: str
    weight: int
    level: int
    in_day: int
    open: int | None
    daily: int | None
    total: int | None
    why_not: str | None = None


class Tally:
    """What owners and pools have, as a run gives it to them; who is full."""

    def __init__(self, roster: Roster, had: Had) -> None:
        self._roster = roster
        self.in_day = Counter(had.in_day)
        self.open = Counter(had.open)
        self.pool_in_day = Counter(had.pool_in_day)
        self._pools_of: defaultdict[str, list[Pool]] = defaultdict(list)
        self._pool_open: Counter[str] = Counter()
        for pool in roster.pools:
            for share in pool.shares:
                self._pools_of[share.owner_id].append(pool)
                self._pool_open[pool.name] += self.open[share.owner_id]

    def give(self, owner_id: str, pool: Pool | None) -> None:
        """Count a lead that an owner is given, in the turn of a pool if it is one."""
        self.in_day[owner_id] += 1
        self.hold(owner_id)
        if pool is not None:
            self.pool_in_day[pool.name] += 1

    def hold(self, owner_id: str) -> None:
        """Count an open lead of an owner that was given before."""
        self.open[owner_id] += 1
        for pool in self._pools_of[owner_id]:
            self._pool_open[pool.name] += 1

    def full(self, owner_id: str) -> bool:
        """Whether an owner has as many leads as are to be given."""
        terms = self._roster.terms_of(owner_id)
        return reached(self.in_day[owner_id], terms.daily) or reached(
            self.open[owner_id], terms.total
        )

    def pool_full(self, pool: Pool) -> bool:
        """Whether the owners of a pool together have as many leads as are to be given."""
        return reached(self.pool_in_day[pool.name], pool.daily) or reached(
            self._pool_open[pool.name], pool.total
        )


def reached(count: int, cap: int | None) -> bool:
    """Whether a count has come to its cap, if there is one."""
    return cap is not None and count >= cap


class Line:
    """The owners of one pool in the order of their turn, during one run."""

    def __init__(
        self, pool: Pool, roster: Roster, tally: Tally, levels: Mapping[str, int], at: datetime
    ) -> None:
        self.pool = pool
        self._roster = roster
        self._tally = tally
        self._weights = {share.owner_id: share.weight for share in pool.shares}
        self._names = list(self._weights)
        self._away = {owner: _why_away(owner, roster, at) for owner in self._names}
        working = [owner for owner in self._names if self._away[owner] is None]
        # Who is new begins where those are whose turn comes next.
        known = [levels[owner] for owner in working if owner in levels]
        start = min(known or levels.values(), default=0)
        self.levels = {owner: levels.get(owner, start) for owner in self._names}
        self._last: int | None = None
        # Who is in line, with the level that is part of `_sum`, the sum of levels by weight.
        self._counted = {owner: self._level(owner) for owner in working}
        self._sum = sum(level * self._weights[owner] for owner, level in self._counted.items())
        self._weight = sum(self._weights[owner] for owner in working)
        self._ready: list[tuple[int, int]] = []
        self._ahead = [
            (self._counted[o], n) for n, o in enumerate(self._names) if o in self._counted
        ]
        heapify(self._ahead)

    def next(self, able: Container[str]) -> str | None:
        """Whose turn it is of those who can take a lead now; None: nobody's."""
        if self._tally.pool_full(self.pool):
            return None
        passed_over, found = [], None
        while found is None and self._ripen():
            turn, place = heappop(self._ready)
            owner = self._names[place]
            if self._tally.full(owner):
                self._leave(owner)
            elif self._is_ahead(owner):
                heappush(self._ahead, (self._level(owner), place))
            elif self._turn(owner) > turn:
                heappush(self._ready, (self._turn(owner), place))
            else:
                passed_over.append((turn, place))
                found = owner if owner in able else None
        for entry in passed_over:
            heappush(self._ready, entry)
        return found or self._out_of_turn(able)

    def _ripen(self) -> bool:
        """Let those into the line who are not ahead any more; whether anybody is there."""
        while self._ahead:
            level, place = self._ahead[0]
            owner = self._names[place]
            if self._level(owner) > level:
                heapreplace(self._ahead, (self._level(owner), place))
            elif self._is_ahead(owner):
                break
            else:
                heappop(self._ahead)
                heappush(self._ready, (self._turn(owner), place))
        return bool(self._ready)

    def _out_of_turn(self, able: Container[str]) -> str | None:
        """Who is least ahead, where those whose turn it is cannot be given this lead."""
        owners = (self._names[place] for _level, place in sorted(self._ahead))
        return next((o for o in owners if o in able and not self._tally.full(o)), None)

    def count(self, owner_id: str, *, turn: bool = False, given: bool = True) -> None:
        """Count a lead that the tally has already: `given` now, or before; in `turn`, or not."""
        if turn:
            self._last = self.levels[owner_id]
        if given:
            self.levels[owner_id] += UNIT // self._weights[owner_id]
        if owner_id in self._counted:
            now = self._level(owner_id)
            self._sum += (now - self._counted[owner_id]) * self._weights[owner_id]
            self._counted[owner_id] = now

    def _leave(self, owner_id: str) -> None:
        """Who is full gets nothing more in this run: counts only grow."""
        weight = self._weights[owner_id]
        self._sum -= self._counted.pop(owner_id) * weight
        self._weight -= weight

    def _level(self, owner_id: str) -> int:
        if self.pool.by is By.LOAD:
            return self._tally.open[owner_id] * UNIT // self._weights[owner_id]
        return self.levels[owner_id]

    def _turn(self, owner_id: str) -> int:
        """The level that one lead more would bring somebody to."""
        return self._level(owner_id) + UNIT // self._weights[owner_id]

    def _is_ahead(self, owner_id: str) -> bool:
        return ahead(self._level(owner_id), self._sum, self._weight)

    def settle(self) -> dict[str, int]:
        """Everybody's level after the run, with no debt for who could take nothing."""
        able = [level for owner, level in self.levels.items() if self.why_not(owner) is None]
        start = min(able) if able else self._last
        if start is None or self.pool.catch_up:
            return self.levels
        return {
            owner: level if self.why_not(owner) is None else max(level, start)
            for owner, level in self.levels.items()
        }

    def standings(self) -> tuple[Standing, ...]:
        """What everybody has now, in the pool's order."""
        return tuple(
            Standing(
                share.owner_id,
                share.weight,
                self._level(share.owner_id),
                self._tally.in_day[share.owner_id],
                self._tally.open[share.owner_id] if self._roster.counts_open else None,
                self._roster.terms_of(share.owner_id).daily,
                self._roster.terms_of(share.owner_id).total,
                self._away[share.owner_id],
            )
            for share in self.pool.shares
        )

    def why_not(self, owner_id: str) -> str | None:
        """What keeps leads away from an owner now, if anything."""
        return self._away[owner_id] or ("full" if self._tally.full(owner_id) else None)

    def why_nobody(self, able: Container[str]) -> str:
        """Why none of those who can be given a lead takes it now."""
        away = [why for owner, why in self._away.items() if owner in able]
        if None in away:
            return BELOW_CUT
        return OFF_DUTY if away else NOBODY


def ahead(level: int, levels: int, weight: int) -> bool:
    """Whether a level is above what everybody's were if the next lead were spread over all.

    `levels` is the sum of all levels by weight, `weight` that of all weights.
    """
    return level * weight >= levels + UNIT


def _why_away(owner_id: str, roster: Roster, at: datetime) -> str | None:
    """What keeps an owner from being given leads at an instant, but for caps."""
    terms = roster.terms_of(owner_id)
    if owner_id not in roster.active:
        return "not active"
    if terms.absent(at):
        return "away"
    return None if terms.working(at) else "off duty"
