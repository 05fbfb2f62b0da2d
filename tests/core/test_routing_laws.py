"""Routing over time: days go by, people come and go, and the shares stay what they should be."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.availability import Hours, Leave, Terms
from core.fairness import at_turn
from core.roster import By, Pool, Roster, Share
from core.routing import FREED, HUMAN, KEPT, Assignment, Candidate, Routed, route
from core.turns import BELOW_CUT, NOBODY, OFF_DUTY, REASONS, UNIT, Had

MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def hot(number: int, **values: object) -> Candidate:
    """A lead that needs an owner; a higher number has the higher score."""
    return replace(Candidate(f"L{number:06}", "Lead", number, "SQL"), **values)  # type: ignore[arg-type]


@dataclass
class Desk:
    """A team to which leads come day by day, with what is remembered between the days."""

    roster: Roster
    at: datetime = MONDAY
    had: Had = field(default_factory=Had)
    waiting: list[Candidate] = field(default_factory=list)
    came: int = 0
    all: Counter[str] = field(default_factory=Counter)

    def day(self, leads: int) -> Routed:
        """Let so many leads come at noon, and the night pass."""
        new = [hot(self.came + n) for n in range(leads)]
        self.came += leads
        made = self.route([*self.waiting, *new])
        self.at += DAY
        self.had = replace(self.had, in_day={}, pool_in_day={})
        return made

    def route(self, leads: list[Candidate]) -> Routed:
        """Route leads, and remember what a ledger does."""
        made = route(leads, self.roster, self.had, self.at)
        owners = Counter(a.owner_id for a in made.assignments if a.owner_id and not a.waits)
        pools = Counter(a.pool for a in made.assignments if a.pool is not None)
        today = Counter(self.had.in_day) + owners
        self.had = replace(
            self.had, levels=made.levels, in_day=today, open=Counter(self.had.open) + owners,
            pool_in_day=Counter(self.had.pool_in_day) + pools,
        )  # fmt: skip
        self.all += owners
        waits = {a.lead_id: a.owner_id for a in made.assignments if a.waits}
        self.waiting = [
            replace(lead, waits=True, **_parked(waits[lead.lead_id]))
            for lead in leads
            if lead.lead_id in waits
        ]
        return made


def _parked(queue: str | None) -> dict[str, Any]:
    """What is known of a lead that was put into a queue."""
    names = ("present_owner", "written_owner", "assigned_owner")
    return dict.fromkeys(names, queue) if queue else {}


def team(*shares: Share, pool: Pool | None = None, **more: object) -> Roster:
    """A roster of one pool of people who are all active."""
    active = frozenset(share.owner_id for share in shares)
    return Roster(active, replace(pool or Pool(()), shares=shares), **more)  # type: ignore[arg-type]


ANN, BOB, CYD = Share("ann"), Share("bob"), Share("cyd")
AWAY = Terms(leave=(Leave(date(2026, 3, 12), date(2026, 3, 26)),))
THREE = team(ANN, BOB, CYD, terms={"ann": AWAY})


def owners(made: Routed) -> dict[str, str | None]:
    """Lead -> the owner it is given to."""
    return {a.lead_id: a.owner_id for a in made.assignments}


def test_the_same_state_gives_the_same_owner() -> None:
    """U13: weights 2:1:1 and 400 leads give 200, 100 and 100, within one at any moment, and the
    same again from the same state; who was on leave neither gets a lead nor a debt."""
    roster = team(Share("ann", 2), BOB, CYD)
    leads = [hot(n) for n in range(400)]
    made = route(leads, roster, Had(), MONDAY)
    assert Counter(owners(made).values()) == {"ann": 200, "bob": 100, "cyd": 100}
    assert route(leads[::-1], roster, Had(), MONDAY) == made
    half = Counter(a.owner_id for a in made.assignments[:201])
    assert abs(half["ann"] - 100) <= 1 >= abs(half["bob"] - 50)
    desk = Desk(replace(roster, terms={"ann": AWAY}))
    per_day = [Counter(owners(desk.day(40)).values()) for _ in range(60)]
    away = [n for n in range(60) if 10 <= n <= 24]
    assert all(per_day[n] == {"bob": 20, "cyd": 20} for n in away)
    assert all(per_day[n] == {"ann": 20, "bob": 10, "cyd": 10} for n in range(60) if n not in away)


def test_leave_leaves_no_gap_and_no_flood_in_any_window() -> None:
    """D58, D62: in every window of 30 days that begins after a leave the shares are equal, also
    when the days of the leave drop out of it; while away nobody gets anything."""
    desk = Desk(THREE)
    per_day = [Counter(owners(desk.day(31)).values()) for _ in range(120)]
    assert all(per_day[n]["ann"] == 0 for n in range(10, 25))
    for start in range(25, 90):
        window: Counter[str | None] = sum(per_day[start : start + 30], Counter())
        assert max(window.values()) - min(window.values()) <= 2
    assert max(day["ann"] for day in per_day[25:]) <= 11


def test_catching_up_is_asked_for() -> None:
    """D61: back from leave nobody is flooded; with catch_up the missed leads come; of equal turns
    the first in the pool's order is next, which the standings show."""
    calm, eager = Desk(THREE), Desk(replace(THREE, pool=replace(THREE.pool, catch_up=True)))
    for desk in (calm, eager):
        for _ in range(25):
            desk.day(30)
    back = [Counter(owners(desk.day(30)).values()) for desk in (calm, eager)]
    assert back == [{"ann": 10, "bob": 10, "cyd": 10}, {"ann": 30}]
    first = route([hot(3), hot(2), hot(1)], team(ANN, BOB, CYD), Had(), MONDAY)
    assert [a.owner_id for a in first.assignments] == ["ann", "bob", "cyd"]
    assert [s.owner_id for s in first.before[""]] == ["ann", "bob", "cyd"]


def test_who_is_new_begins_with_the_others() -> None:
    """Somebody who joins a team of years gets a share, and not all the leads of these years."""
    desk = Desk(team(ANN, BOB))
    desk.day(1000)
    desk.roster = team(ANN, BOB, Share("new", 2))
    assert Counter(owners(desk.day(40)).values()) == {"ann": 10, "bob": 10, "new": 20}


def test_the_best_first_and_the_rest_waits() -> None:
    """S002: ten scored leads, two reps with room for two each: the four highest are routed, the
    others stay with the reason `below capacity cut`; equal scores by latest activity, then id."""
    cap = Terms(total=2)
    roster = team(ANN, BOB, terms={"ann": cap, "bob": cap})
    leads = [hot(n) for n in (9, 8, 7)]
    tied = [
        replace(hot(n), score=5, active_at=MONDAY - n % 3 * DAY) for n in range(7)
    ]  # The latest activity: 0, 3 and 6; of these the lowest id is first.
    made = route([*tied, *leads], roster, Had(), MONDAY).assignments
    routed = [a.lead_id for a in made if a.owner_id]
    assert routed == ["L000009", "L000008", "L000007", "L000000"]
    rest = [a for a in made if not a.owner_id]
    assert [a.lead_id[-1] for a in rest] == ["3", "6", "1", "4", "2", "5"]
    assert {(a.reason, a.waits) for a in rest} == {(BELOW_CUT, BELOW_CUT)}


def test_a_flood_is_taken_up_day_by_day() -> None:
    """S079, D59: of 35 leads and room for 20 a day the best 20 are routed and 15 are queued in
    rank order; the next day they come first, and none is lost."""
    roster = team(ANN, BOB, pool=Pool((), daily=20))
    desk = Desk(roster)
    first = desk.day(35)
    given = [a.lead_id for a in first.assignments if a.owner_id]
    assert given == [f"L{n:06}" for n in range(34, 14, -1)]
    queued = [a.lead_id for a in first.assignments if a.waits == BELOW_CUT]
    assert queued == [f"L{n:06}" for n in range(14, -1, -1)]
    second = desk.day(10)
    given = [a.lead_id for a in second.assignments if a.owner_id]
    assert given[:15] == [f"L{n:06}" for n in range(14, -1, -1)]
    assert given[15:] == [f"L{n:06}" for n in range(44, 39, -1)]
    assert len(desk.waiting) == 5


def test_an_old_lead_is_not_forgotten() -> None:
    """D60: a lead that waited for years, and was never touched since, is given like any other."""
    old = hot(1, active_at=MONDAY - 2000 * DAY, waits=True)
    (made,) = route([old], team(ANN), Had(), MONDAY).assignments
    assert made.owner_id == "ann"


OFFICE = Hours(frozenset(range(5)), time(9), time(17, 30))
NIGHT = Hours(frozenset({4}), time(22), time(6))


@pytest.mark.parametrize(
    ("terms", "at", "works"),
    [
        (Terms(), "2026-03-01T03:00", True),
        (Terms(hours=OFFICE), "2026-03-02T09:00", True),
        (Terms(hours=OFFICE), "2026-03-02T17:30", False),
        (Terms(hours=OFFICE), "2026-03-01T12:00", False),
        (Terms("America/New_York", OFFICE), "2026-03-02T13:59", False),
        (Terms("America/New_York", OFFICE), "2026-03-02T14:00", True),
        # Summer time begins on 8 March: the same local hour is an hour earlier in UTC.
        (Terms("America/New_York", OFFICE), "2026-03-09T13:00", True),
        (Terms("Asia/Tokyo", holidays=frozenset({date(2026, 3, 3)})), "2026-03-02T14:59", True),
        (Terms("Asia/Tokyo", holidays=frozenset({date(2026, 3, 3)})), "2026-03-02T15:00", False),
        (Terms(hours=NIGHT), "2026-03-06T23:00", True),
        (Terms(hours=NIGHT), "2026-03-07T05:59", True),
        (Terms(hours=NIGHT), "2026-03-07T06:00", False),
        (Terms(hours=NIGHT), "2026-03-06T05:00", False),
        (AWAY, "2026-03-12T00:00", False),
        (AWAY, "2026-03-26T23:59", False),
        (AWAY, "2026-03-27T00:00", True),
    ],
)
def test_when_somebody_works(terms: Terms, at: str, works: bool) -> None:
    """D62: hours, holidays and leave are those of the owner's own time zone."""
    assert terms.working(datetime.fromisoformat(at).replace(tzinfo=UTC)) is works


ROBOT, QUEUE = "robot", "queue"
CLAIMS = Roster(
    frozenset({"ann", "bob", "cyd", "dee", QUEUE}),
    Pool((ANN, BOB), fallback=QUEUE),
    {
        "west": Pool((CYD,), "west", daily=1, passes_on=True),
        "east": Pool((CYD,), "east", daily=1, fallback="dee"),
        "north": Pool((Share("gone"),), "north"),
    },
    unassigned=frozenset({QUEUE}),
    queues=frozenset({QUEUE}),
    queue_objects=frozenset({"Lead"}),
    named={"acme.example": "dee"},
    sticky=True,
)
TOLD = Had(accounts={"A1": "bob"})


@pytest.mark.parametrize(
    ("lead", "owner", "reason"),
    [
        (hot(1, domain="acme.example", account_owner="ann"), "dee", "owner of the named account"),
        (hot(1, account_id="A1", account_owner="ann"), "ann", "owner of the account"),
        (hot(1, account_id="A1"), "bob", "has the account's other leads"),
        (hot(1, territory="west"), "cyd", "territory west"),
        (hot(1, territory="north"), None, NOBODY),
        (hot(1, present_owner="bob", written_owner="bob", missed=frozenset({"bob"})), "ann",
         "round robin, as bob did not call in time"),
        (hot(1, present_owner="bob", missed=frozenset({"bob"})), None, "owner chosen by a human"),
        (hot(1, present_owner=QUEUE, written_owner=QUEUE, assigned_owner=QUEUE, waits=True), "ann",
         "round robin"),
        (hot(1, present_owner=QUEUE, written_owner=QUEUE, assigned_owner="bob", unsent=True), "bob",
         "decided before, not yet written"),
    ],
)  # fmt: skip
def test_who_comes_first(lead: Candidate, owner: str | None, reason: str) -> None:
    """Named accounts before account owners before whoever has the account's leads, then pools."""
    (made,) = route([lead], CLAIMS, TOLD, MONDAY).assignments
    assert (made.owner_id, made.reason) == (owner, reason)


def test_what_a_pool_cannot_take_goes_its_way() -> None:
    """To the general pool, to an owner, or into a queue, from which it is still routed."""
    west = route([hot(2, territory="west"), hot(1, territory="west")], CLAIMS, TOLD, MONDAY)
    assert [a.reason for a in west.assignments] == ["territory west", "round robin"]
    east = route([hot(2, territory="east"), hot(1, territory="east")], CLAIMS, TOLD, MONDAY)
    assert east.assignments[1].reason == "fallback of territory east"
    night = {name: Terms(hours=NIGHT) for name in ("ann", "bob")}
    (made,) = route([hot(1)], replace(CLAIMS, terms=night), TOLD, MONDAY).assignments
    parked = Assignment("L000001", QUEUE, f"{OFF_DUTY}: in its queue", True, waits=OFF_DUTY)
    assert made == parked
    there = hot(1, present_owner=QUEUE, written_owner=QUEUE, assigned_owner=QUEUE, waits=True)
    (still,) = route([there], replace(CLAIMS, terms=night), TOLD, MONDAY).assignments
    assert still == Assignment("L000001", None, OFF_DUTY, waits=OFF_DUTY)


def test_a_claim_is_served_at_any_hour_but_not_in_leave_or_above_a_cap() -> None:
    """An account's owner is given its leads at night as well; on leave, or full, others are."""
    mine = hot(1, account_owner="cyd")
    for terms, owner in (
        (Terms(hours=NIGHT), "cyd"),
        (Terms(holidays=frozenset({MONDAY.date()})), "ann"),
        (Terms(daily=1), "ann"),
    ):
        had = Had(in_day={"cyd": 1})
        (made,) = route([mine], replace(CLAIMS, terms={"cyd": terms}), had, MONDAY).assignments
        assert made.owner_id == owner


def test_the_least_loaded_is_next() -> None:
    """By open leads for the weight, whatever was given before."""
    pool = Pool((), by=By.LOAD)
    had = Had({("", "ann"): 0, ("", "bob"): 90 * UNIT}, open={"ann": 7, "bob": 1, "cyd": 4})
    made = route(
        [hot(n) for n in range(6)], team(ANN, BOB, Share("cyd", 2), pool=pool), had, MONDAY
    )
    assert Counter(owners(made).values()) == {"bob": 3, "cyd": 3}


def test_what_everybody_had_at_a_turn() -> None:
    """U13: what each owner had when a lead was given follows from the ledger's few bytes, and
    explains the choice: of those without a reason against them the first lowest turn."""
    roster = team(Share("ann", 2), BOB, CYD, terms={"cyd": Terms(daily=2)})
    made = route([hot(n) for n in range(20)], roster, Had(), MONDAY)
    before = made.before[""]
    for number, one in enumerate(made.assignments):
        had = at_turn(before, [a.owner_id or "" for a in made.assignments[:number]])
        free = [s for s in had if not s.why_not]
        turns = {s.owner_id: Fraction(s.level + UNIT // s.weight) for s in free}
        assert one.owner_id == min(turns, key=lambda owner: turns[owner])
    assert {s.owner_id: s.in_day for s in had} == {"ann": 12, "bob": 5, "cyd": 2}
    assert [s.why_not for s in had if s.owner_id == "cyd"] == ["full"]


NAMES = tuple("abcdefgh")
TERMS = st.builds(
    Terms,
    zone=st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York"]),
    hours=st.none() | st.just(OFFICE),
    holidays=st.frozensets(st.dates(date(2026, 3, 1), date(2026, 3, 14)), max_size=2),
    leave=st.lists(
        st.dates(date(2026, 3, 1), date(2026, 3, 14)).map(lambda d: Leave(d, d + 2 * DAY)),
        max_size=1,
    ).map(tuple),
    daily=st.none() | st.integers(1, 4),
    total=st.none() | st.integers(1, 9),
)
SHARES = st.lists(
    st.builds(Share, st.sampled_from(NAMES), st.integers(1, 5)),
    min_size=1,
    max_size=6,
    unique_by=lambda share: share.owner_id,
).map(tuple)
CAP = st.none() | st.integers(1, 12)
ENDS = st.sampled_from([None, QUEUE, *NAMES])
POOLS = st.builds(Pool, SHARES, by=st.sampled_from(By), daily=CAP, total=CAP, fallback=ENDS)
ROSTERS = st.builds(
    lambda active, pool, west, passes, terms, sticky, objects: Roster(
        active | {QUEUE},
        pool,
        {"west": replace(west, name="west", passes_on=passes)},
        unassigned=frozenset({QUEUE}),
        queues=frozenset({QUEUE}),
        queue_objects=objects,
        terms=terms,
        sticky=sticky,
    ),
    st.frozensets(st.sampled_from(NAMES)),
    POOLS,
    POOLS,
    st.booleans(),
    st.dictionaries(st.sampled_from(NAMES), TERMS),
    st.booleans(),
    st.sampled_from([frozenset(), frozenset({"Lead"})]),
)
OWNED = st.sampled_from(NAMES).flatmap(
    lambda name: st.sampled_from(
        [
            {},
            {"present_owner": QUEUE},
            {"present_owner": name},
            {"present_owner": name, "written_owner": name},
            {"written_owner": name},
        ]
    )
)
"""With nobody, in a queue, chosen by a human, given by us, taken away by a human."""
COMING = st.lists(
    st.builds(
        lambda number, owned, **values: hot(number, **values, **owned),
        st.integers(0, 99),
        OWNED,
        territory=st.sampled_from([None, "west"]),
        account_owner=st.sampled_from([None, None, *NAMES]),
        account_id=st.sampled_from([None, "A1", "A2"]),
        missed=st.frozensets(st.sampled_from(NAMES), max_size=2),
    ),
    max_size=25,
    unique_by=lambda lead: lead.lead_id,
)


@given(ROSTERS, st.lists(COMING, min_size=1, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_laws(roster: Roster, days: list[list[Candidate]], random: object) -> None:
    """Over random rosters, hours, leave, caps, queues and fallbacks: nobody is above a cap, nobody
    away or inactive is given anything, nobody off duty by turn, nobody who was late again, and
    nothing is taken from whom a human chose; the order of leads is irrelevant, and every lead has
    somebody, or waits for a reason."""
    desk = Desk(roster)
    for number, leads in enumerate(days):
        leads = [replace(lead, lead_id=f"{number}-{lead.lead_id}") for lead in leads]
        leads = [*desk.waiting, *leads]
        shuffled = list(leads)
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        again = route(shuffled, roster, desk.had, desk.at)
        before, at = Counter(desk.had.open), desk.at
        made = desk.route(leads)
        assert made == again
        by_id = {lead.lead_id: lead for lead in leads}
        assert by_id.keys() == {one.lead_id for one in made.assignments}
        for one in made.assignments:
            _lawful(one, by_id[one.lead_id], roster, at)
        _within_totals(made, roster, before)
        for owner in NAMES:
            terms = roster.terms_of(owner)
            assert terms.daily is None or desk.had.in_day.get(owner, 0) <= terms.daily
            assert terms.total is None or desk.had.open.get(owner, 0) <= terms.total
        for pool in roster.pools:
            assert pool.daily is None or desk.had.pool_in_day.get(pool.name, 0) <= pool.daily
        desk.at += DAY
        desk.had = replace(desk.had, in_day={}, pool_in_day={})


def _lawful(one: Assignment, lead: Candidate, roster: Roster, at: datetime) -> None:
    """What holds of each lead by itself."""
    works = lead.present_owner in roster.active and lead.present_owner != QUEUE
    ours = lead.present_owner == lead.written_owner
    if one.owner_id is None and not one.waits:
        assert works
        assert one.reason == (KEPT if ours else HUMAN)
        return
    assert not works or (ours and lead.present_owner in lead.missed)
    freed = lead.written_owner not in (None, lead.present_owner)
    if one.owner_id is None:
        assert (one.waits == FREED) == (freed and lead.present_owner in (None, QUEUE))
        return
    assert one.owner_id in roster.active
    assert one.owner_id not in lead.missed
    if one.owner_id == QUEUE:
        assert one.waits in REASONS
        assert "Lead" in roster.queue_objects
        return
    assert not one.waits
    assert not roster.terms_of(one.owner_id).absent(at)
    assert one.pool is None or roster.terms_of(one.owner_id).working(at)
    if one.reason.startswith("fallback"):
        assert one.owner_id in {pool.fallback for pool in roster.pools}


def _within_totals(made: Routed, roster: Roster, open_: Counter[str]) -> None:
    """No turn of a pool came whose owners had as many open leads as they are to have together."""
    pools = {pool.name: pool for pool in roster.pools}
    for one in made.assignments:
        if one.pool is not None and (total := pools[one.pool].total) is not None:
            assert sum(open_[share.owner_id] for share in pools[one.pool].shares) < total
        if one.owner_id and not one.waits:
            open_[one.owner_id] += 1


@given(SHARES, st.lists(st.integers(0, 30), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_weights_are_met_within_one_lead(shares: tuple[Share, ...], days: list[int]) -> None:
    """After every single lead everybody has the share of the weight, within one lead."""
    desk, weight, count = Desk(team(*shares)), sum(s.weight for s in shares), 0
    given: Counter[str | None] = Counter()
    for leads in days:
        for one in desk.day(leads).assignments:
            count += 1
            given[one.owner_id] += 1
            for share in shares:
                assert abs(given[share.owner_id] - Fraction(count * share.weight, weight)) <= 1


TURNS = 5
"""How many turns each comes to on a day of the long run."""
FIRST = MONDAY.date()
LEAVES = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 4)).map(
        lambda days: Leave(FIRST + days[0] * DAY, FIRST + sum(days) * DAY)
    ),
    max_size=3,
).map(tuple)


@given(SHARES, st.data())
@settings(max_examples=100, deadline=None)
def test_the_long_run_with_leave_and_caps(shares: tuple[Share, ...], data: st.DataObject) -> None:
    """However leave and daily caps fall: nobody away is given anything, who is capped has the cap
    and no more, and all others have the share of their weights, within one lead, day by day and in
    all."""
    caps = {
        share.owner_id: data.draw(st.none() | st.integers(1, (TURNS - 1) * share.weight))
        for share in shares
    }
    terms = {name: Terms(leave=data.draw(LEAVES), daily=cap) for name, cap in caps.items()}
    desk = Desk(team(*shares, terms=terms))
    off: Counter[str] = Counter()
    for _ in range(12):
        there = {s.owner_id: s.weight for s in shares if not terms[s.owner_id].absent(desk.at)}
        due = {name: caps[name] or TURNS * weight for name, weight in there.items()}
        given = Counter(owners(desk.day(sum(due.values()))).values())
        assert given.keys() <= due.keys()
        for name, count in due.items():
            off[name] += given[name] - count
            assert abs(given[name] - count) <= (0 if caps[name] else 1)
            assert abs(off[name]) <= 1
