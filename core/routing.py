"""Who should own a lead, and why: repeatable, never an inactive owner, never over a human.

First come the reasons to leave the owner alone, then whoever has the same person by another record,
then whoever has a claim (the owner of a named account, the account's owner, who has its other
leads), then the territory, then the general pool, then its fallback. Leads that waited come first,
then the best: by score, then by the latest activity, then by id. What nobody can take now waits, in
that order.

The outcome is a function of its arguments: what was assigned before is one of them, so a run that
is repeated after a crash gives every lead to the same owner again.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from core.roster import Roster
from core.turns import NOBODY, REASONS, Had, Held, Line, Standing, Tally


@dataclass(frozen=True)
class Candidate:
    """A decided lead that may need an owner.

    `object_type` is the lead's in its CRM. `score` is in 1/10,000 point, None when unscored.
    `present_owner` is what the CRM holds, `written_owner` what we last wrote there,
    `assigned_owner` what we decided last; `unsent` where that is newer than what was written.
    `territory` is the name of the lead's territory, `domain` that of its account or address.
    `active_at` is its latest activity. A `champion` is kept apart; it `waits` where nobody
    could take it before, and `missed` are those who had it and did not call in time. `person` is
    whose record it is, where there are several.
    """

    lead_id: str
    object_type: str
    score: int | None
    stage: str | None
    present_owner: str | None = None
    written_owner: str | None = None
    assigned_owner: str | None = None
    unsent: bool = False
    account_id: str | None = None
    account_owner: str | None = None
    domain: str | None = None
    territory: str | None = None
    active_at: datetime | None = None
    champion: bool = False
    waits: bool = False
    missed: frozenset[str] = frozenset()
    person: str | None = None

    @property
    def rank(self) -> tuple[bool, int, datetime, str]:
        """Sorted downwards by all but the id, this is the order in which leads get owners."""
        return self.waits, self.score or 0, self.active_at or NEVER, self.lead_id


NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Assignment:
    """What routing decided about one lead. `owner_id` None: leave the owner as it is.

    `fresh`: it is given to this owner now, and was not before. `pool` is the pool whose turn it
    was, None where it was nobody's. `waits` is why it waits: it is to be routed again as soon as
    somebody can take it, and the fallback queue may have it until then; one of which a person took
    the owner away waits for a person to choose another. `follows` is the record of the
    same person whose owner it is given: it adds nothing to turns and to what was given in a day.
    """

    lead_id: str
    owner_id: str | None
    reason: str
    fresh: bool = False
    pool: str | None = None
    account_id: str | None = None
    waits: str | None = None
    follows: str | None = None


@dataclass(frozen=True)
class Routed:
    """What a run decided about who owns what.

    `assignments` are in the order in which they were made. `before` is what the owners of each
    pool had before the first of them, `levels` what they have after the last (`core.turns`).
    """

    assignments: tuple[Assignment, ...] = ()
    before: Mapping[str, tuple[Standing, ...]] = field(default_factory=dict)
    levels: Mapping[tuple[str, str], int] = field(default_factory=dict)


UNSCORED = "unscored"
NOT_READY = "stage is not routed"
CHAMPION = "champion: kept apart from new leads"
HUMAN = "owner chosen by a human"
FREED = "owner taken away by a human"
KEPT = "already assigned"
PENDING = "decided before, not yet written"
FOLLOWING = "owner of the same person's record "
"""The name of the record comes after it."""


def route(candidates: Iterable[Candidate], roster: Roster, had: Had, at: datetime) -> Routed:
    """Assign owners as of `at`."""
    run = _Run(roster, had, at)
    before = {line.pool.name: line.standings() for line in run.lines.values()}
    made = tuple(run.assign(candidate) for candidate in ranked(candidates))
    levels = {
        (name, owner): level
        for name, line in run.lines.items()
        for owner, level in line.settle().items()
    }
    return Routed(made, before, levels)


def ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The order in which leads get owners: those that waited, then the best."""
    by_id = sorted(candidates, key=lambda lead: lead.lead_id)
    return sorted(by_id, key=lambda lead: lead.rank[:-1], reverse=True)


class _Run:
    """One run: what everybody has, as the leads are given one after the other."""

    def __init__(self, roster: Roster, had: Had, at: datetime) -> None:
        self._roster = roster
        self._at = at
        self._tally = Tally(roster, had)
        self._accounts = dict(had.accounts)
        self._held = dict(had.people)
        self._people = roster.active - roster.queues
        self.lines = {
            pool.name: Line(
                pool,
                roster,
                self._tally,
                {owner: level for (name, owner), level in had.levels.items() if name == pool.name},
                at,
            )
            for pool in roster.pools
        }
        self._lines_of: defaultdict[str, list[Line]] = defaultdict(list)
        for line in self.lines.values():
            for owner in line.levels:
                self._lines_of[owner].append(line)

    def assign(self, lead: Candidate) -> Assignment:
        """Decide about one lead, and count what it adds to its owner."""
        made = self._assigned(lead)
        if lead.person is not None:
            self._hold(lead.person, lead, made)
        return made

    def _assigned(self, lead: Candidate) -> Assignment:
        left = self._left_alone(lead)
        if left not in (None, KEPT):
            return Assignment(lead.lead_id, None, left, waits=left if left == FREED else None)
        able = self._able(lead)
        followed = self._follow(lead, able, kept=left is not None)
        if followed is not None:
            return followed
        late = left is not None and lead.present_owner in lead.missed
        if left is not None and not late:
            return Assignment(lead.lead_id, None, left)
        before = lead.assigned_owner if lead.written_owner is None or lead.unsent else None
        if before is not None and before in able and not lead.waits:
            self._count_again(before)
            return Assignment(lead.lead_id, before, PENDING)
        found = self._by_claim(lead, able) or self._by_turn(lead, able)
        if late and found.waits:
            # Better the one who is late than nobody.
            return Assignment(lead.lead_id, None, KEPT)
        because = f", as {', '.join(sorted(lead.missed))} did not call in time"
        return replace(found, reason=found.reason + because) if lead.missed else found

    def _follow(self, lead: Candidate, able: Set[str], *, kept: bool) -> Assignment | None:
        """Leave a person to whoever has it by another record: neither a turn nor a cap counts, as
        nobody is given a person more. While that record waits, this one does."""
        held = self._held.get(lead.person) if lead.person is not None else None
        if held is None or held.record == lead.lead_id:
            return None
        if held.owner_id in able:
            owner = held.owner_id
            assert owner is not None
            if owner == lead.present_owner:
                return Assignment(lead.lead_id, None, KEPT)
            self._count_again(owner)
            why = FOLLOWING + held.record
            fresh = lead.assigned_owner != owner
            return Assignment(lead.lead_id, owner, why, fresh, follows=held.record)
        if kept or held.waits in (None, NOBODY):
            return None
        return Assignment(
            lead.lead_id, None, held.waits or "", waits=held.waits, follows=held.record
        )

    def _hold(self, person: str, lead: Candidate, made: Assignment) -> None:
        """Note who has a person now, or that it waits, for the records that come after."""
        held = self._held.get(person)
        if held is not None and held.owner_id in self._able(lead):
            return
        if made.waits == FREED:
            return
        if made.waits:
            self._held.setdefault(person, Held(lead.lead_id, waits=made.waits))
        elif made.owner_id or made.reason == KEPT:
            self._held[person] = Held(lead.lead_id, made.owner_id or lead.present_owner)

    def _count_again(self, owner: str) -> None:
        """Count an open lead of an owner who had it, or its person, before."""
        self._tally.hold(owner)
        for line in self._lines_of.get(owner, ()):
            line.count(owner, given=False)

    def _left_alone(self, lead: Candidate) -> str | None:
        """Why the owner stays as it is, if it does."""
        if lead.score is None:
            return UNSCORED
        if lead.stage not in self._roster.stages:
            return NOT_READY
        if lead.champion:
            return CHAMPION
        return _reason_to_keep(lead, self._roster)

    def _able(self, lead: Candidate) -> Set[str]:
        """The owners that a lead can be given to."""
        queues_too = lead.object_type in self._roster.queue_objects
        able = self._roster.active if queues_too else self._people
        return able - lead.missed if lead.missed else able

    def _by_claim(self, lead: Candidate, able: Set[str]) -> Assignment | None:
        for owner, why in self._claims(lead):
            free = owner in able and owner not in self._roster.unassigned
            if free and not self._barred(owner):
                return self._give(lead, owner, why)
        return None

    def _claims(self, lead: Candidate) -> Iterator[tuple[str, str]]:
        """Who is to have a lead before all others, and why."""
        for key in (lead.account_id, lead.domain):
            if key is not None and key in self._roster.named:
                yield self._roster.named[key], "owner of the named account"
        if lead.account_owner is not None:
            yield lead.account_owner, "owner of the account"
        if self._roster.sticky and lead.account_id is not None:
            last = self._accounts.get(lead.account_id)
            if last is not None:
                yield last, "has the account's other leads"

    def _barred(self, owner: str) -> bool:
        """Whether somebody with a claim is away or full; the hour is no matter."""
        return self._roster.terms_of(owner).absent(self._at) or self._tally.full(owner)

    def _by_turn(self, lead: Candidate, able: Set[str]) -> Assignment:
        """The first who can take a lead in the pools that it comes to; else it waits."""
        why = NOBODY
        for line in self._lines(lead):
            owner, fallback = line.next(able), line.pool.fallback
            if owner is not None:
                return self._give(lead, owner, line.pool.label, line)
            why = max(why, line.why_nobody(able), key=REASONS.index)
            if fallback is not None and fallback in able:
                if fallback in self._roster.queues:
                    return self._park(lead, fallback, why)
                if not self._barred(fallback):
                    return self._give(lead, fallback, f"fallback of {line.pool.label}")
            if not line.pool.passes_on:
                break
        return Assignment(lead.lead_id, None, why, waits=why)

    def _lines(self, lead: Candidate) -> Iterator[Line]:
        """The pools that a lead comes to, one after the other."""
        if lead.territory is not None and lead.territory in self._roster.territories:
            yield self.lines[lead.territory]
        yield self.lines[self._roster.pool.name]

    def _park(self, lead: Candidate, queue: str, why: str) -> Assignment:
        """Leave a lead in a queue until somebody can take it."""
        if lead.present_owner == queue:
            return Assignment(lead.lead_id, None, why, waits=why)
        fresh = lead.assigned_owner != queue
        return Assignment(lead.lead_id, queue, f"{why}: in its queue", fresh, waits=why)

    def _give(self, lead: Candidate, owner: str, why: str, line: Line | None = None) -> Assignment:
        turn = line.pool if line else None
        self._tally.give(owner, turn)
        for each in self._lines_of.get(owner, ()):
            each.count(owner, turn=each is line)
        if lead.account_id is not None:
            self._accounts[lead.account_id] = owner
        pool = turn.name if turn else None
        return Assignment(lead.lead_id, owner, why, True, pool, lead.account_id)


def _reason_to_keep(lead: Candidate, roster: Roster) -> str | None:
    owner = lead.present_owner
    # One who counts as nobody has a lead back that was given to another: that was undone.
    undone = owner in roster.unassigned and lead.assigned_owner not in (None, owner)
    parked = owner in roster.unassigned and lead.waits
    if owner in roster.active and owner == lead.written_owner and not undone and not parked:
        return KEPT
    if owner is None or owner in roster.unassigned:
        # A lead that we had assigned and that is free again was freed by somebody.
        moved = lead.written_owner is not None and lead.written_owner != owner
        return FREED if moved else None
    return HUMAN if owner in roster.active else None
