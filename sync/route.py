"""Route: who is given a connection's hot leads, by the facts and by what was given before."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from core.availability import day_start
from core.decision import Output
from core.roster import Roster
from core.routing import Assignment, Candidate, Routed, route
from core.turns import UNIT, Had
from sync.decide import Decider
from sync.kin import Holders, People, Record
from sync.ledger import Ledger

_Called = dict[tuple[str, datetime], datetime]
_Missed = dict[str, set[str]]


@dataclass(frozen=True)
class Round:
    """What routing decided in a run about one connection.

    `holders` says who then has each lead. `calls` are the first calls that came since timers
    started, by lead and start.
    """

    roster: Roster | None = None
    routed: Routed = field(default_factory=Routed)
    holders: Mapping[str, str] = field(default_factory=dict)
    calls: Mapping[tuple[str, datetime], datetime] = field(default_factory=dict)

    @property
    def assignments(self) -> dict[str, Assignment]:
        """What was decided about each lead, by its id."""
        return {made.lead_id: made for made in self.routed.assignments}

    @property
    def waiting(self) -> list[Assignment]:
        """The leads that nobody can take now, in the order in which they are to be given."""
        return [made for made in self.routed.assignments if made.waits]


def assign(
    decider: Decider,
    rosters: Mapping[str, Roster | None],
    ledger: Ledger,
    people: People | None = None,
    colleagues: Mapping[Record, str] = MappingProxyType({}),
) -> dict[str, Round]:
    """Who gets the hot leads of each connection that has a roster. Nothing is recorded.

    All records of a person get one owner: `people` are the persons of several records, `colleagues`
    the owners by whom they are told (`sync.roster.colleagues`).
    """
    calls = {
        name: _calls(decider, name, roster, ledger) for name, roster in rosters.items() if roster
    }
    late = {
        (name, lead): owners
        for name, (_called, missed) in calls.items()
        for lead, owners in missed.items()
    }
    holders = Holders(people, ledger, colleagues, late)
    order = sorted(rosters, key=people.order.index) if people else rosters
    return {name: _round(decider, name, rosters[name], ledger, calls, holders) for name in order}


def _round(
    decider: Decider,
    connection: str,
    roster: Roster | None,
    ledger: Ledger,
    calls: Mapping[str, tuple[_Called, _Missed]],
    holders: Holders,
) -> Round:
    if roster is None:
        return Round()
    called, missed = calls[connection]
    candidates = [
        _with_person(holders, connection, lead)
        for lead in _candidates(decider, connection, roster, ledger, missed)
    ]
    had = _had(decider, connection, roster, ledger)
    had = replace(had, people=holders.of(connection))
    routed = route(candidates, roster, had, decider.at)
    given = {made.lead_id: made.owner_id for made in routed.assignments}
    owners = {lead.lead_id: given[lead.lead_id] or lead.present_owner for lead in candidates}
    held = {lead: id_ for lead, id_ in owners.items() if id_ and id_ not in roster.unassigned}
    holders.note(connection, routed.assignments, held)
    return Round(roster, routed, held, called)


def _with_person(holders: Holders, connection: str, lead: Candidate) -> Candidate:
    person = holders.persons.get((connection, lead.lead_id))
    if person is None:
        return lead
    return replace(lead, person=person, missed=holders.late(connection, person))


def record(made: Round, run_id: str, connection: str, ledger: Ledger, *, at: datetime,
           now: datetime) -> None:  # fmt: skip
    """Record what routing decided as of `at`, before anything is written to the CRM."""
    ledger.routing.record(run_id, connection, made.routed, at=at, now=now)
    ledger.timers.called(connection, made.calls)


def start_timers(made: Round, run_id: str, connection: str, ledger: Ledger, at: datetime) -> None:
    """Start the timers of the leads that were given, or handed off, as of `at`."""
    if made.roster is not None and made.roster.sla is not None:
        fresh = [one.lead_id for one in made.routed.assignments if one.fresh]
        within = made.roster.sla.within
        ledger.timers.start(run_id, connection, made.holders, fresh, at=at, within=within)


def _calls(
    decider: Decider, connection: str, roster: Roster, ledger: Ledger
) -> tuple[_Called, _Missed]:
    """The first calls on leads whose timers are open; and who did not call in time, by lead."""
    if roster.sla is None:
        return {}, {}
    timers = ledger.timers.open(connection)
    since = {timer.lead_id: timer.started_at for timer in reversed(timers)}
    came: defaultdict[str, list[datetime]] = defaultdict(list)
    for lead, at in decider.first_calls(connection, since, roster.sla.by):
        came[lead].append(at)
    calls: _Called = {}
    missed: defaultdict[str, set[str]] = defaultdict(set)
    for timer in timers:
        first = next((at for at in came[timer.lead_id] if at >= timer.started_at), None)
        if first is not None:
            calls[timer.lead_id, timer.started_at] = first
        elif roster.sla.reassign and timer.due_at < decider.at:
            missed[timer.lead_id].add(timer.owner_id)
    return calls, missed


def _candidates(
    decider: Decider,
    connection: str,
    roster: Roster,
    ledger: Ledger,
    missed: Mapping[str, set[str]],
) -> list[Candidate]:
    rows = decider.hot(connection, roster.stages)
    assigned = ledger.routing.assigned(connection)
    unsent = ledger.routing.unsent(connection)
    waiting = {one.lead_id for one in ledger.routing.waiting(connection)}
    written = ledger.last_written(connection, [row["lead_id"] for row in rows])
    return [
        Candidate(
            lead_id=(lead := row["lead_id"]),
            object_type=row["object_type"],
            score=row["score"],
            stage=row["stage"],
            present_owner=row["owner_id"],
            written_owner=written.get(lead, {}).get(Output.OWNER),
            assigned_owner=assigned.get(lead),
            unsent=lead in unsent,
            account_id=row["account_id"],
            account_owner=row["account_owner"],
            domain=row["domain"],
            territory=row["territory"],
            active_at=row["active_at"],
            champion=row["champion"],
            waits=lead in waiting,
            missed=frozenset(missed.get(lead, ())),
        )
        for row in rows
    ]


def _had(decider: Decider, connection: str, roster: Roster, ledger: Ledger) -> Had:
    """What everybody was given before, each day being the owner's own."""
    kept = ledger.routing
    zones = {pool.zone for pool in roster.pools}
    zones |= {roster.terms_of(owner).zone for owner in roster.active}
    of_owner: dict[str, Counter[str]] = {}
    of_pool: dict[str, Counter[str | None]] = {}
    for zone in zones:
        of_owner[zone], of_pool[zone] = Counter(), Counter()
        given = kept.given_since(connection, day_start(zone, decider.at))
        for (owner, name), count in given.items():
            of_owner[zone][owner] += count
            of_pool[zone][name] += count
    return Had(
        kept.levels(connection) or _first_levels(roster, kept.assigned_counts(connection)),
        {owner: of_owner[roster.terms_of(owner).zone][owner] for owner in roster.active},
        {pool.name: of_pool[pool.zone][pool.name] for pool in roster.pools},
        decider.open_leads(connection, roster.stages) if roster.counts_open else {},
        kept.accounts(connection) if roster.sticky else {},
    )


def _first_levels(roster: Roster, counts: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """The levels of a ledger from before there were any: what each owner was ever given."""
    return {
        (pool.name, share.owner_id): counts.get(share.owner_id, 0) * UNIT // share.weight
        for pool in roster.pools
        for share in pool.shares
    }
