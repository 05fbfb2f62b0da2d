"""Who should own a lead, and why: repeatable, never an inactive owner, never over a human.

First come the reasons to leave the owner alone, then the account's owner, then the territory,
then a weighted round robin over the active owners of the pool. The outcome is a function of
its arguments: what was assigned before is one of them, so a run that is repeated after a
crash gives every lead to the same owner again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True)
class Candidate:
    """A decided lead that may need an owner.

    `object_type` is the lead's in its CRM. `score` is in 1/10,000 point, None when unscored.
    `present_owner` is what the CRM holds, `written_owner` what we last wrote there,
    `assigned_owner` what we decided last, written or not. `territory` is the name of the lead's
    territory, if it is in one.
    """

    lead_id: str
    object_type: str
    score: int | None
    stage: str | None
    present_owner: str | None = None
    written_owner: str | None = None
    assigned_owner: str | None = None
    account_owner: str | None = None
    territory: str | None = None


@dataclass(frozen=True)
class Share:
    """An owner of a pool and the weight of leads it is to get (2 gets twice what 1 gets)."""

    owner_id: str
    weight: int = 1


@dataclass(frozen=True)
class Roster:
    """Who can be given leads in one CRM.

    `active` are the owners that may hold a lead; those of them in `queues` may hold leads of
    `queue_objects` only. Leads of an owner in `unassigned` (a queue, the integration user)
    count as having none. `territories` are pools by territory name.
    """

    active: frozenset[str]
    pool: tuple[Share, ...]
    territories: Mapping[str, tuple[Share, ...]] = field(default_factory=dict)
    unassigned: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    queue_objects: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset({"SQL"})

    def able(self, lead: Candidate) -> frozenset[str]:
        """The owners that a lead can be given to."""
        return self.active if lead.object_type in self.queue_objects else self.active - self.queues


@dataclass(frozen=True)
class Assignment:
    """What routing decided about one lead. `owner_id` None: leave the owner as it is."""

    lead_id: str
    owner_id: str | None
    reason: str


UNSCORED = "unscored"
NOT_READY = "stage is not routed"
HUMAN = "owner chosen by a human"
KEPT = "already assigned"
NOBODY = "no active owner in the pool"


def route(
    candidates: Iterable[Candidate], roster: Roster, given: Mapping[str, int]
) -> list[Assignment]:
    """Assign owners, best score first, ties by id; `given` counts what each owner had before."""
    counts = dict(given)
    order = sorted(candidates, key=lambda c: (-(c.score or 0), c.lead_id))
    return [_assign(candidate, roster, counts) for candidate in order]


def _assign(lead: Candidate, roster: Roster, counts: dict[str, int]) -> Assignment:
    if lead.score is None:
        return Assignment(lead.lead_id, None, UNSCORED)
    if lead.stage not in roster.stages:
        return Assignment(lead.lead_id, None, NOT_READY)
    kept = _reason_to_keep(lead, roster)
    if kept:
        return Assignment(lead.lead_id, None, kept)
    able = roster.able(lead)
    if lead.assigned_owner in able and lead.written_owner is None:
        return Assignment(lead.lead_id, lead.assigned_owner, "decided before, not yet written")
    if lead.account_owner in able and lead.account_owner not in roster.unassigned:
        return Assignment(lead.lead_id, lead.account_owner, "owner of the account")
    territory = roster.territories.get(lead.territory or "", ())
    for shares, why in ((territory, f"territory {lead.territory}"), (roster.pool, "round robin")):
        owner = _next(shares, able, counts)
        if owner is not None:
            counts[owner] = counts.get(owner, 0) + 1
            return Assignment(lead.lead_id, owner, why)
    return Assignment(lead.lead_id, None, NOBODY)


def _reason_to_keep(lead: Candidate, roster: Roster) -> str | None:
    owner = lead.present_owner
    # One who counts as nobody has a lead back that was given to another: that was undone.
    undone = owner in roster.unassigned and lead.assigned_owner not in (None, owner)
    if owner in roster.active and owner == lead.written_owner and not undone:
        return KEPT
    if owner is None or owner in roster.unassigned:
        # A lead that we had assigned and that is free again was freed by somebody.
        moved = lead.written_owner is not None and lead.written_owner != owner
        return HUMAN if moved else None
    return HUMAN if owner in roster.active else None


def _next(shares: Sequence[Share], able: frozenset[str], counts: Mapping[str, int]) -> str | None:
    """The able owner that is furthest behind its weight; the first of equals."""
    open_ = [share for share in shares if share.owner_id in able]
    if not open_:
        return None
    return min(open_, key=lambda s: Fraction(counts.get(s.owner_id, 0) + 1, s.weight)).owner_id
