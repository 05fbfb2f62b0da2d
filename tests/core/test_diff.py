"""The three-way diff: tables of cases, and its laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decision import Output
from core.diff import ForeignValue, Policy, diff

SCORE, TIER, OWNER = Output.SCORE, Output.TIER, Output.OWNER


@pytest.mark.parametrize(
    ("policy", "present", "last", "written", "kept"),
    [
        # policy, present, last written, is our value written?, is another's value kept?
        (Policy.OVERWRITE, None, None, True, None),
        (Policy.OVERWRITE, "50", "50", True, None),
        (Policy.OVERWRITE, "60", "50", True, False),
        (Policy.OVERWRITE, "60", ..., True, False),
        (Policy.RESPECT_EDITS, None, ..., True, None),
        (Policy.RESPECT_EDITS, "50", "50", True, None),
        (Policy.RESPECT_EDITS, "60", "50", False, True),
        (Policy.RESPECT_EDITS, "60", ..., False, True),
        (Policy.RESPECT_EDITS, None, "50", False, True),
        (Policy.FILL_EMPTY, None, ..., True, None),
        (Policy.FILL_EMPTY, "50", "50", False, None),
        (Policy.FILL_EMPTY, "60", "50", False, True),
        (Policy.FILL_EMPTY, None, "50", True, False),
        (Policy.NEVER, None, ..., False, None),
        (Policy.NEVER, "60", "50", False, None),
    ],
)
def test_the_policy_decides_about_a_value_of_somebody_else(policy, present, last, written, kept):
    """D37: a human's edit is seen as such, and the field's policy decides."""
    last_written = {} if last is ... else {SCORE: last}
    found = diff({SCORE: "98.5"}, {SCORE: present}, last_written, {SCORE: policy})
    assert found.changes == ({SCORE: "98.5"} if written else {})
    assert found.foreign == (() if kept is None else (ForeignValue(SCORE, kept=kept),))


@pytest.mark.parametrize(
    ("policy", "written"),
    [(Policy.RESPECT_EDITS, True), (Policy.FILL_EMPTY, False), (Policy.NEVER, False)],
)
def test_an_edit_is_respected_for_as_long_as_it_should_be(policy, written):
    """U09: when its time is over, the field is ours again; other policies know no such time."""
    found = diff({SCORE: "98.5"}, {SCORE: "60"}, {SCORE: "50"}, {SCORE: policy}, {SCORE})
    assert found.changes == ({SCORE: "98.5"} if written else {})


def test_equal_values_are_not_written_whoever_wrote_them():
    """D79: a value that the CRM already holds is never sent."""
    for last in ({}, {SCORE: "1"}, {SCORE: "98.5"}):
        found = diff({SCORE: "98.5"}, {SCORE: "98.5"}, last, {SCORE: Policy.OVERWRITE})
        assert found.changes == {}
        assert found.foreign == ()


def test_only_changed_fields_are_sent():
    """Of three outputs only the one that differs is in the change."""
    policies = dict.fromkeys(Output, Policy.OVERWRITE)
    wanted = {SCORE: "50", TIER: "B", Output.STAGE: "MQL"}
    found = diff(wanted, {**wanted, TIER: "C"}, {**wanted, TIER: "C"}, policies)
    assert found.changes == {TIER: "B"}


def test_companions_ride_along_but_never_alone():
    """The time of scoring alone is no reason to write."""
    policies = dict.fromkeys(Output, Policy.OVERWRITE)
    now = {SCORE: "50", Output.SCORED_AT: "2026-02-01T00:00:00Z", Output.MODEL: "m2"}
    before = {SCORE: "50", Output.SCORED_AT: "2026-01-01T00:00:00Z", Output.MODEL: "m1"}
    assert diff(now, before, before, policies).changes == {}
    assert diff(now, {**before, SCORE: "40"}, before, policies).changes == now


VALUES = st.dictionaries(
    st.sampled_from([SCORE, TIER, OWNER]), st.sampled_from([None, "a", "b"]), max_size=3
)


@given(VALUES, VALUES, VALUES, st.sampled_from(Policy))
def test_applying_a_diff_leaves_nothing_to_write(wanted, present, last, policy):
    """A second run after an acknowledged write finds an empty diff."""
    policies = dict.fromkeys(Output, policy)
    first = diff(wanted, present, last, policies)
    applied = {**present, **first.changes}
    again = diff(wanted, applied, {**last, **first.changes}, policies)
    assert again.changes == {}


@given(VALUES, VALUES, VALUES)
def test_respected_edits_are_never_overwritten(wanted, present, last):
    """Under respect_edits a value that we did not write is never in the changes."""
    found = diff(wanted, present, last, dict.fromkeys(Output, Policy.RESPECT_EDITS))
    for output in found.changes:
        there = present.get(output)
        assert there == last[output] if output in last else there is None
