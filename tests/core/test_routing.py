"""Owner assignment: the order of the rules, and its laws."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.roster import Pool, Roster, Share
from core.routing import HUMAN, KEPT, NOT_READY, UNSCORED, Candidate, route
from core.turns import NOBODY, UNIT, Had

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
        (lead(present_owner="queue", written_owner="ann"), None, HUMAN),
        (lead(present_owner=None, written_owner="ann"), None, HUMAN),
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
