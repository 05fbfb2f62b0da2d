"""Owner assignment: the order of the rules, and its laws."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.availability import Leave, Terms
from core.roster import Pool, Roster, Share
from core.routing import FREED, HUMAN, KEPT, NOT_READY, PENDING, UNSCORED, Candidate, ranked, route
from core.turns import BELOW_CUT, NOBODY, UNIT, Had, Held

ROSTER = Roster(
    active=frozenset({"ann", "bob", "cyd", "acct", "desk"}),
    pool=Pool((Share("ann", 2), Share("bob"), Share("gone"), Share("cyd"))),
    territories={
        "west": Pool((Share("cyd"),), "west", passes_on=True),
        "empty": Pool((Share("gone"),), "empty", passes_on=True),
        "desk": Pool((Share("desk", 9), Share("bob")), "desk", passes_on=True),
    },
    unassigned=frozenset({"queue", "robot", "desk"}),
    queues=frozenset({"desk"}),
    queue_objects=frozenset({"Lead"}),
)


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""A Monday."""
NOTHING = Had()
FOLLOWED = "owner of the same person's record crm:9"
LATE = "round robin, as ann did not call in time"


def routed(leads, roster=ROSTER, had=NOTHING, at=NOON):
    """The assignments in their order."""
    return list(route(leads, roster, had, at).assignments)


def lead(**values):
    return Candidate(
        **{"lead_id": "L1", "object_type": "Lead", "score": 1_000_000, "stage": "SQL", **values}
    )


@pytest.mark.parametrize(
    ("candidate", "owner", "reason"),
    [
        (lead(score=None), None, UNSCORED),
        (lead(stage="MQL"), None, NOT_READY),
        (lead(stage=None), None, NOT_READY),
        (lead(present_owner="bob"), None, HUMAN),
        (lead(present_owner="bob", written_owner="bob"), None, KEPT),
        (lead(present_owner="bob", written_owner="ann"), None, HUMAN),
        (lead(present_owner="desk", written_owner="desk", assigned_owner="desk"), None, KEPT),
        # Given back to nobody's owner by an undo: it is free again.
        (
            lead(present_owner="desk", written_owner="desk", assigned_owner="bob"),
            "ann",
            "round robin",
        ),
        (lead(present_owner="desk", written_owner="desk"), None, KEPT),
        (lead(present_owner="desk"), "ann", "round robin"),
        (lead(present_owner="queue", written_owner="ann"), None, FREED),
        (lead(present_owner=None, written_owner="ann"), None, FREED),
        (lead(present_owner="queue"), "ann", "round robin"),
        (lead(present_owner="robot"), "ann", "round robin"),
        (lead(present_owner="gone"), "ann", "round robin"),
        (lead(present_owner="gone", written_owner="gone"), "ann", "round robin"),
        (lead(assigned_owner="bob"), "bob", "decided before, not yet written"),
        (lead(assigned_owner="gone"), "ann", "round robin"),
        (lead(account_owner="acct"), "acct", "owner of the account"),
        (lead(account_owner="acct", territory="west"), "acct", "owner of the account"),
        (lead(account_owner="gone"), "ann", "round robin"),
        (lead(account_owner="robot"), "ann", "round robin"),
        (lead(territory="west"), "cyd", "territory west"),
        (lead(territory="empty"), "ann", "round robin"),
        (lead(territory="desk"), "desk", "territory desk"),
        (lead(territory="desk", object_type="Contact"), "bob", "territory desk"),
        (lead(assigned_owner="desk"), "desk", "decided before, not yet written"),
        (lead(assigned_owner="desk", object_type="Contact"), "ann", "round robin"),
    ],
)
def test_who_gets_a_lead(candidate, owner, reason):
    """S018: a lead without a score is refused as unscored; D33: nobody inactive gets one."""
    (found,) = routed([candidate])
    assert (found.owner_id, found.reason) == (owner, reason)


def test_without_an_active_owner_the_lead_keeps_its_place():
    """An empty pool assigns nobody, and says so."""
    (found,) = routed([lead()], Roster(active=frozenset(), pool=Pool((Share("ann"),))))
    assert (found.owner_id, found.reason) == (None, NOBODY)


def test_the_round_robin_holds_the_weights_and_starts_with_the_best_lead():
    """400 leads over weights 2:1:1 give 200, 100 and 100."""
    leads = [lead(lead_id=f"L{i:03}", score=i) for i in range(400)]
    assigned = routed(leads)
    assert assigned[0].lead_id == "L399"
    assert Counter(a.owner_id for a in assigned) == {"ann": 200, "bob": 100, "cyd": 100}


def test_what_was_given_before_counts():
    """Somebody who had more than the weight allows waits for the others."""
    levels = {("", "ann"): 2 * UNIT, ("", "bob"): UNIT, ("", "cyd"): 0}
    assigned = routed([lead(lead_id=f"L{i}") for i in range(3)], had=Had(levels))
    assert Counter(a.owner_id for a in assigned) == {"cyd": 2, "bob": 1}


OWNERS = ["ann", "bob", "cyd", "gone", "queue", "desk", None]
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        lead_id=st.uuids().map(str),
        object_type=st.sampled_from(["Lead", "Contact"]),
        score=st.none() | st.integers(0, 2_000_000),
        stage=st.sampled_from(["SQL", "MQL", None]),
        present_owner=st.sampled_from(OWNERS),
        written_owner=st.sampled_from(OWNERS),
        assigned_owner=st.sampled_from(OWNERS),
        account_owner=st.sampled_from(OWNERS),
        territory=st.sampled_from(["west", "empty", "desk", None]),
    ),
    max_size=30,
    unique_by=lambda c: c.lead_id,
)


@given(CANDIDATES, st.randoms(use_true_random=False))
def test_laws(candidates, random):
    """The order of leads is irrelevant; only who may own it is assigned; a human's choice stays."""
    assigned = {a.lead_id: a for a in routed(candidates)}
    shuffled = list(candidates)
    random.shuffle(shuffled)
    assert {a.lead_id: a for a in routed(shuffled)} == assigned
    assert set(assigned) == {c.lead_id for c in candidates}
    for candidate in candidates:
        owner = assigned[candidate.lead_id].owner_id
        assert owner is None or owner in ROSTER.active
        assert owner != "desk" or candidate.object_type == "Lead"
        if candidate.present_owner in ROSTER.active - {candidate.written_owner, "desk"}:
            assert owner is None


@given(CANDIDATES)
def test_a_repeated_run_decides_the_same(candidates):
    """What was decided but not written is decided again, whatever the others then have."""
    first = {a.lead_id: a.owner_id for a in routed(candidates)}
    again = [
        Candidate(**{**vars(c), "assigned_owner": first[c.lead_id], "written_owner": None})
        for c in candidates
        if first[c.lead_id] is not None and c.written_owner is None
    ]
    for assignment in routed(again):
        assert assignment.owner_id == first[assignment.lead_id]


FULL = Roster(
    active=frozenset({"ann", "bob"}),
    pool=Pool((Share("ann"), Share("bob"))),
    terms={name: Terms(daily=1, leave=(Leave(NOON.date(), NOON.date()),)) for name in ("ann",)},
)


@pytest.mark.parametrize(
    ("candidate", "held", "owner", "reason"),
    [
        # Who has the person has all of it: before claims and turns, away or not.
        (lead(account_owner="bob"), Held("crm:9", "ann"), "ann", FOLLOWED),
        (lead(present_owner="bob", written_owner="bob"), Held("crm:9", "ann"), "ann", FOLLOWED),
        (lead(assigned_owner="bob"), Held("crm:9", "ann"), "ann", FOLLOWED),
        (lead(present_owner="ann", written_owner="ann"), Held("crm:9", "ann"), None, KEPT),
        # A human's choice stays; so does the owner of one who is nobody here.
        (lead(present_owner="bob"), Held("crm:9", "ann"), None, HUMAN),
        (lead(stage="MQL"), Held("crm:9", "ann"), None, NOT_READY),
        (lead(), Held("crm:9"), "bob", "round robin"),
        (lead(), Held("crm:9", "gone"), "bob", "round robin"),
        (lead(present_owner="bob", written_owner="bob"), Held("crm:9"), None, KEPT),
        # By itself it follows nobody.
        (lead(assigned_owner="bob"), Held("L1", "bob"), "bob", PENDING),
        # It waits with the other record, but not for want of anybody there.
        (lead(), Held("crm:9", waits=BELOW_CUT), None, BELOW_CUT),
        (lead(), Held("crm:9", waits=NOBODY), "bob", "round robin"),
        (
            lead(present_owner="bob", written_owner="bob"),
            Held("crm:9", waits=BELOW_CUT),
            None,
            KEPT,
        ),
        # Who did not call in time loses the person.
        (lead(missed=frozenset({"ann"})), Held("crm:9", "ann"), "bob", LATE),
    ],
)
def test_who_has_the_person(candidate, held, owner, reason):
    """U13: a record gets the owner of the same person's other record, and that says why."""
    (made,) = routed([replace(candidate, person="p")], FULL, Had(people={"p": held}))
    assert (made.owner_id, made.reason) == (owner, reason)
    assert (made.follows is not None) == (reason in (FOLLOWED, BELOW_CUT))


def test_all_records_of_a_person_follow_one():
    """U13: it is named by each of them, and not the one before by the next."""
    records = [lead(lead_id=f"L{n}", person="p") for n in range(3)]
    assert [made.follows for made in routed(records)] == [None, "L0", "L0"]
    had = Had(people={"p": Held("crm:9", "bob")})
    assert [made.follows for made in routed(records, had=had)] == ["crm:9"] * 3


def test_a_call_that_one_owner_missed_is_not_held_against_the_next():
    """A lead that was given to another for a missed call stays there while that one has time."""
    given = lead(present_owner="bob", written_owner="bob", missed=frozenset({"ann"}))
    (made,) = routed([given])
    assert (made.owner_id, made.reason) == (None, KEPT)


def test_a_late_owner_is_better_than_a_queue():
    """Where nobody else can take a lead, it stays with who did not call, and is in no queue."""
    alone = replace(ROSTER, pool=Pool((Share("ann"),), fallback="desk"))
    late = lead(present_owner="ann", written_owner="ann", missed=frozenset({"ann"}))
    (made,) = routed([late], alone)
    assert (made.owner_id, made.reason, made.waits) == (None, KEPT, None)


def test_an_account_goes_on_with_who_got_its_last_lead():
    """Who had it before is away: the next lead of the account follows the one given since."""
    people = frozenset({"ann", "bob", "cyd"})
    shares = Pool((Share("ann"), Share("bob"), Share("cyd")))
    roster = replace(FULL, active=people, pool=shares, sticky=True)
    leads = [lead(lead_id=f"L{n}", account_id="A") for n in range(2)]
    made = routed(leads, roster, Had(accounts={"A": "ann"}))
    assert [(m.owner_id, m.reason) for m in made] == [
        ("bob", "round robin"),
        ("bob", "has the account's other leads"),
    ]


@pytest.mark.parametrize(("before", "fresh"), [(None, True), ("ann", True), ("desk", False)])
def test_a_lead_is_given_to_a_queue_once(before, fresh):
    """One that was left there before, which is not written yet, is not given anew."""
    nobody = replace(ROSTER, pool=Pool((Share("gone"),), fallback="desk"))
    (made,) = routed([lead(assigned_owner=before, waits=True)], nobody)
    assert (made.owner_id, made.fresh, made.waits) == ("desk", fresh, NOBODY)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9)), max_size=20),
    st.lists(st.integers(1, 3), min_size=1, max_size=3),
    st.integers(1, 4),
)
def test_a_person_is_one_turn(records, weights, cap):
    """U13: over random persons of one record or several, in any order: all records of a person get
    one owner, or wait, and turns, caps and who is given what are as if each had its best record
    alone."""
    names = ("ann", "bob", "cyd")[: len(weights)]
    roster = Roster(
        frozenset(names),
        Pool(tuple(map(Share, names, weights))),
        terms=dict.fromkeys(names, Terms(daily=cap)),
    )
    leads = [
        lead(lead_id=f"L{n}", score=score, person=f"p{person}")
        for n, (person, score) in enumerate(records)
    ]
    whose = {one.lead_id: one.person for one in leads}
    best: dict[str | None, Candidate] = {}
    for one in ranked(leads):
        best.setdefault(one.person, one)
    whole, alone = (route(each, roster, NOTHING, NOON) for each in (leads, best.values()))
    given = {made.lead_id: (made.owner_id, made.waits) for made in whole.assignments}
    assert len({(whose[id_], *got) for id_, got in given.items()}) == len(best)
    assert [m for m in whole.assignments if not m.follows] == list(alone.assignments)
    assert whole.levels == alone.levels
    assert route(leads[::-1], roster, NOTHING, NOON) == whole


def test_who_was_taken_from_everybody_holds_no_other_record_back():
    """Only the record that a person took the owner from is left alone, and shown to wait."""
    taken = lead(present_owner=None, written_owner="ann", person="p")
    freed, other = routed([taken, lead(lead_id="L2", person="p")], ROSTER, Had())
    assert (freed.owner_id, freed.waits) == (None, FREED)
    assert (other.owner_id, other.waits) == ("ann", None)
