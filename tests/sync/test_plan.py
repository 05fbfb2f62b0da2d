"""The plan: canonical values that fit their fields, only changed records, an exact price."""

from datetime import UTC, datetime, timedelta

import pytest

from connectors.base import Capabilities, Change, Field, FieldKind
from connectors.values import canonical as read_back
from core.decision import Decision, Output
from core.diff import Policy
from sync.plan import Compared, ConnectionPlan, PlannedChange, canonical, wanted
from sync.price import writing

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
BULK = Capabilities(
    objects=("Lead",),
    write_batch=200,
    read_back_batch=2000,
    lookback=timedelta(0),
    bulk_write_from=2001,
    bulk_write_batch=5000,
    bulk_write_calls=7,
)
DECISION = Decision("crm", "1", "Lead", 985_000, "B", "MQL", "98.5: title", "m@1", AT)
CAPABILITIES = Capabilities(("Lead",), write_batch=200, read_back_batch=2000, lookback=timedelta(0))


def field(kind: FieldKind = FieldKind.TEXT, **values) -> Field:
    return Field("F", "F", kind, writable=True, **values)


NUMBER = field(FieldKind.NUMBER)
TARGETS = {output: field() for output in Output} | {Output.SCORE: NUMBER}
POLICIES = dict.fromkeys(Output, Policy.OVERWRITE)


def plan(*compared: Compared) -> ConnectionPlan:
    found = ConnectionPlan("crm", CAPABILITIES, {"Lead": TARGETS}, POLICIES)
    for item in compared:
        found.add(item)
    return found


@pytest.mark.parametrize(
    ("score", "decimals", "text"),
    [
        (985_000, None, "98.5"),
        (985_000, 0, "99"),
        (984_999, 0, "98"),
        (1_070_000, 4, "107"),
        (1, 4, "0.0001"),
        (1_000_000, 0, "100"),
        (0, None, "0"),
        (-985_000, 0, "-99"),
        (-3_000, 0, "0"),
    ],
)
def test_scores_are_rounded_half_up_on_writing_only(score, decimals, text):
    """Decimals are kept inside, and fit to the CRM field when written."""
    decision = Decision("crm", "1", "Lead", score, None, None, "", "m", AT)
    assert canonical(Output.SCORE, decision, field(FieldKind.NUMBER, decimals=decimals)) == text


def test_text_is_cut_to_the_length_of_its_field():
    """A CRM refuses text that is too long; ours is cut before it is compared."""
    assert canonical(Output.REASON, DECISION, field(length=4)) == "98.5"
    assert canonical(Output.REASON, DECISION, field()) == "98.5: title"


@pytest.mark.parametrize("length", range(1, len("98.5: title") + 1))
def test_what_is_cut_is_what_comes_back(length):
    """D79: CRMs drop blanks at the end of a text; one that ended in them would differ for ever."""
    text = canonical(Output.REASON, DECISION, field(length=length))
    assert text == read_back(FieldKind.TEXT, text)


def test_times_are_written_in_whole_seconds_utc():
    """The one canonical form of a time."""
    assert canonical(Output.SCORED_AT, DECISION, field()) == "2026-03-01T12:30:00Z"


def test_without_an_owner_to_give_the_present_one_stays():
    """No owner decided: the owner field is not part of what is wanted."""
    assert Output.OWNER not in wanted(DECISION, TARGETS)
    given = Decision(**{**vars(DECISION), "owner_id": "005"})
    assert wanted(given, TARGETS)[Output.OWNER] == "005"


def test_a_user_of_the_crm_alone_sees_everything_decided():
    """S072: score, tier, stage, reason, owner, model version and time are all written."""
    given = Decision(**{**vars(DECISION), "owner_id": "005"})
    found = plan(Compared(given, {}, {}))
    assert next(iter(found.changes)).change.values == {
        Output.SCORE: "98.5",
        Output.TIER: "B",
        Output.STAGE: "MQL",
        Output.REASON: "98.5: title",
        Output.MODEL: "m@1",
        Output.SCORED_AT: "2026-03-01T12:30:00Z",
        Output.OWNER: "005",
    }


def test_an_unchanged_record_is_not_in_the_plan():
    """D79: equal values are not written; the record counts as equal."""
    values = dict(wanted(DECISION, TARGETS))
    later = Decision(**{**vars(DECISION), "scored_at": AT + timedelta(days=1)})
    found = plan(Compared(later, values, values))
    assert (list(found.changes), found.equal, found.price.total) == ([], 1, 0)


@pytest.mark.parametrize(
    ("changes", "calls"),
    [
        (0, {}),
        (1, {"write": 1}),
        (200, {"write": 1}),
        (201, {"write": 2}),
        (2000, {"write": 10}),
        (2001, {"bulk": 7}),
        (5001, {"bulk": 7, "write": 1}),
        (10_000, {"bulk": 14}),
    ],
)
def test_the_price_is_the_fewest_calls(changes, calls):
    """D41: batches of what one call takes, or bulk jobs of what one takes."""
    found = ConnectionPlan("crm", BULK, {"Lead": TARGETS}, POLICIES)
    sent = (Change("Lead", str(n), {Output.SCORE: "1"}) for n in range(changes))
    found.changes.extend(PlannedChange(change, {}) for change in sent)
    assert (found.price.calls, found.price.exact) == (calls, "bulk" not in calls)


def test_the_price_of_looking_and_reading_back():
    """Who gets an owner is looked at before and read back after in any case, all others when
    asked, and looked at where a person's word counts; each object type apart."""
    score, owner = {Output.SCORE: "1"}, {Output.OWNER: "5"}
    leads = [Change("Lead", str(n), score) for n in range(150)]
    contacts = [Change("Contact", str(n), owner) for n in range(250)]

    def reads(policy: Policy, *, verify: bool) -> int:
        policies = POLICIES | {Output.SCORE: policy}
        price = writing([*leads, *contacts], CAPABILITIES, policies, verify=verify)
        assert price.calls["write"] == 2
        return price.calls["read"]

    assert reads(Policy.OVERWRITE, verify=False) == 2
    assert [reads(p, verify=False) for p in (Policy.RESPECT_EDITS, Policy.FILL_EMPTY)] == [3, 3]
    assert [reads(p, verify=True) for p in (Policy.OVERWRITE, Policy.RESPECT_EDITS)] == [4, 4]


def test_a_refused_record_waits_until_something_changes():
    """What the CRM refused is not sent again as it was; a new value is tried at once."""
    values = dict(wanted(DECISION, TARGETS))
    before = {**values, Output.SCORE: "1", Output.SCORED_AT: "2026-01-01T00:00:00Z"}
    refused = {**values, Output.SCORED_AT: "2026-02-01T00:00:00Z"}
    same = plan(Compared(DECISION, {**refused, Output.SCORE: "1"}, before, {Output.SCORE: "98.5"}))
    assert (list(same.changes), same.waiting, same.equal) == ([], [DECISION.lead_id], 0)
    other = plan(Compared(DECISION, before, before, {Output.SCORE: "97"}))
    assert (len(other.changes), other.waiting) == (1, [])
