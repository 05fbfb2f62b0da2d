"""What counts as an event, and how often: sessions, spans, resets, attendance, e-mail, feeds."""

from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.decision import UNIT
from core.model import Activity
from tests.core.golden import T0, World, activity, lead
from tests.core.test_behaviour import (
    CALL,
    DAY,
    EACH,
    RUN,
    SECOND,
    VIEW,
    days,
    model,
    points,
    views,
)

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("minutes", "paid"),
    [((0,), 1), ((0, 29), 1), ((0, 30), 2), ((0, 29, 58, 87), 1), ((0, 0, 31, 31, 90), 3)],
)
def test_one_event_a_session(minutes: tuple[int, ...], paid: int) -> None:
    """Events less than 30 minutes apart are one session, and each session pays once."""
    rules = model({**VIEW, "count": {"per": "session"}, "cap": 25})
    other = activity("between", "x", "call", T0 - 45 * MINUTE)
    events = [*views(*(T0 - n * MINUTE for n in minutes)), other]
    assert points(rules, events) == min(25, paid * 10)


@pytest.mark.parametrize(
    ("ages", "paid"),
    [
        ((200,), 1),
        ((200, 110.001), 1),
        ((200, 110), 2),
        ((200, 111, 109, 21, 19), 3),
        ((290, 200, 100, 0), 4),
    ],
)
def test_one_event_in_so_many_days(ages: tuple[float, ...], paid: int) -> None:
    """D45: 90 days counted from the first event that the rule matches."""
    rules = model({**VIEW, "count": {"per": "90 days"}})
    assert points(rules, views(*days(*ages))) == paid * 10


def test_periods_of_days_do_not_slide() -> None:
    """D45: the first event still tells the periods when it is itself too old to count."""
    rules = model({**VIEW, "count": {"per": "90 days"}, "within": "100 days"})
    events = views(*days(180, 91, 89))
    assert points(rules, events) == 20
    assert points(rules, events, T0 + 10 * DAY) == 10


@pytest.mark.parametrize(
    ("times", "paid"),
    [
        (("2025-03-31T12:00", "2025-09-30T23:59"), 1),
        (("2025-03-31T12:00", "2025-10-01T00:00"), 2),
        (("2025-03-31T12:00", "2025-10-31T12:00", "2025-12-31T12:00"), 2),
        (("2025-06-30T12:00", "2025-12-30T11:59"), 1),
        (("2025-06-30T12:00", "2025-12-30T12:00"), 2),
        (("2024-11-30T12:00", "2025-05-30T11:59", "2025-05-30T12:00", "2025-11-30T12:00"), 3),
    ],
)
def test_one_event_in_so_many_months(times: tuple[str, ...], paid: int) -> None:
    """Full months are counted from the first event; a month without its day is over at its end."""
    rules = model({**VIEW, "count": {"per": "6 months"}})
    events = views(*(datetime.fromisoformat(f"{time}+00:00") for time in times))
    assert points(rules, events) == paid * 10


SILENT = {"id": "silent", "points": -10, "when": {"type": "page_view"}, "silent": "30 days"}


@pytest.mark.parametrize(
    ("count", "ages", "taken"),
    [
        ("each", (30 - 0.00002,), 0),
        ("each", (30,), 1),
        ("each", (95,), 3),
        ("each", (95, 65), 2),
        ("each", (95, 64), 3),
        ("each", (95, 60, 25, 0), 2),
        ("each", (60, 60, 30, 30), 1),
        ("once", (95,), 1),
        ({"per": "month"}, (122,), 3),
        ({"per": "90 days"}, (122,), 2),
    ],
)
def test_silences(count: Any, ages: tuple[float, ...], taken: int) -> None:
    """Each 30 days without another event: over at the second, unless an event comes at that very
    one; it stays taken after the next event. 122 days are over twice in October."""
    rules = model({**SILENT, "count": count})
    assert points(rules, [*views(*days(*ages)), *views(T0 - DAY, kind="call")]) == -10 * taken


def test_silences_are_events_on_the_way() -> None:
    """The nightly floor forgives them, a reset ends what they began; the line names the activity
    before."""
    rules = model(EACH, {**SILENT, "count": "each"}, limits={"behaviour": {"nightly_floor": 0}})
    events = views(*days(100, 5))
    world = World([lead("x")], events)
    assert world.scores(rules) == {"x": 10 * UNIT}
    line = world.contributions(rules)["x", "silent"]
    assert (line["events"], line["evidence"], line["points"]) == (3, events[0].id, -30 * UNIT)
    assert (line["first"], line["last"]) == (T0 - 70 * DAY, T0 - 10 * DAY)
    reset = [*events, *views(T0 - 75 * DAY, kind="unsubscribed")]
    assert points(model({**SILENT, "count": "each"}, reset=RESETS), reset) == 0


@pytest.mark.parametrize(
    "change",
    [{"points": 10}, {"points": 0}, {"at": {"nth": 2}}, {"within": "90 days"}, {"group": "g"}],
)
def test_a_silence_that_means_nothing_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="silent"):
        model({**SILENT, **change}, groups={"g": {"cap": 50}})


@pytest.mark.parametrize("per", ["fortnight", "90 hours", "0 days", "0 months", 90, None])
def test_a_period_that_means_nothing_is_refused(per: Any) -> None:
    with pytest.raises(ValidationError):
        model({**VIEW, "count": {"per": per}})


def test_a_group_by_the_period_refuses_sessions_and_days() -> None:
    for per in ("session", "90 days"):
        rule = {**VIEW, "count": {"per": per}, "group": "g"}
        with pytest.raises(ValidationError, match="capped by the month"):
            model(rule, groups={"g": {"cap": 50, "per": "month"}})


RESETS = [
    {"id": "unsubscribed", "when": {"type": "unsubscribed"}},
    {"id": "bounced", "when": {"type": "bounced"}},
]


def test_a_reset_silences_all_behaviour_up_to_it() -> None:
    """The score falls back to what the lead is; a line says when, and how many events it cost."""
    fit = [{"id": "fit", "points": 5, "when": {"title": "CTO"}}]
    share = {"id": "calls", "count": {"type": "call"}, "steps": {1: 3}}
    rules = model(EACH, CALL, measures=[share], fit=fit, reset=RESETS)
    events = [
        *views(*days(9, 8, 7, 1)),
        *views(T0 - 8 * DAY, kind="bounced"),
        *views(T0 - 7 * DAY, kind="unsubscribed"),
        *views(T0 - 7 * DAY, kind="call"),
    ]
    world = World([lead("x", title="CTO"), lead("y")], [*events, activity("z", "y", "page_view")])
    assert world.scores(rules) == {"x": 15 * UNIT, "y": 10 * UNIT}
    found = world.contributions(rules)
    assert set(found) == {
        ("x", "fit"), ("x", "view"), ("x", "reset:unsubscribed"), ("y", "view"),
    }  # fmt: skip
    line = found["x", "reset:unsubscribed"]
    assert (line["points"], line["events"], line["evidence"]) == (0, 6, "unsubscribed0")
    assert (line["first"], line["last"]) == (T0 - 9 * DAY, T0 - 7 * DAY)
    assert world.scores(rules, T0 - 7 * DAY - SECOND)["x"] == 5 * UNIT
    assert world.scores(rules, T0 - 8 * DAY - SECOND)["x"] == 15 * UNIT


def test_an_ignored_activity_resets_nothing() -> None:
    ignore = [{"id": "test", "when": {"type": "bounced", "campaign": "test"}}]
    rules = model(EACH, ignore=ignore, reset=RESETS)
    events = [*views(T0 - DAY), activity("b", "x", "bounced", campaign="test")]
    assert points(rules, events) == 10


@pytest.mark.parametrize(
    ("fields", "score"),
    [
        ({"duration": 2700, "length": 3600}, 10),
        ({"duration": 2699, "length": 3600}, 0),
        ({"duration": 3600, "length": 3600}, 10),
        ({"duration": 3600}, 0),
        ({"length": 3600}, 0),
        ({"duration": 10, "length": 0}, 0),
    ],
)
def test_share_attended(fields: dict[str, Any], score: int) -> None:
    """S217: 45 of 60 minutes is 75 %, exactly enough; what is not known gives nothing."""
    when = {"type": "webinar_attended", "attended": {"at_least": "0.75"}}
    event = activity("w", "x", "webinar_attended", **fields)
    assert points(model({**EACH, "when": when}), [event]) == score


def test_share_attended_is_unknown_without_a_length() -> None:
    """S217: `not` of an unknown share stays unknown; `known` asks for it."""
    short = {"not": {"attended": {"at_least": "0.75"}}}
    asked = {"attended": {"known": False}}
    events = [
        activity("w", "x", "webinar", duration=60),
        activity("v", "x", "webinar", duration=60, length=90),
        activity("u", "x", "webinar", duration=30, length=60),
    ]
    assert points(model({**EACH, "when": short}), events) == 20
    assert points(model({**EACH, "when": asked}), events) == 10
    third = {"attended": {"equals": ["0.5", "0.25"], "above": "0.4999", "below": "0.6"}}
    assert points(model({**EACH, "when": third}), events) == 10


@pytest.mark.parametrize(("seconds", "score"), [(180, 10), (179, 0), (None, 0)])
def test_time_on_a_product_page(seconds: int | None, score: int) -> None:
    """S132: 180 seconds on a product page pay, 179 do not."""
    when = {"type": "page_view", "asset": {"starts_with": "/product"}}
    rules = model({**VIEW, "when": {**when, "duration": {"at_least": 180}}})
    seen = activity("p", "x", "page_view", asset="/products/one", duration=seconds)
    other = activity("q", "x", "page_view", asset="/blog", duration=900)
    assert points(rules, [seen, other]) == score


def mail(id: str, who: str = "x", at: datetime = T0, **fields: Any) -> Activity:
    """An e-mail that was sent."""
    return activity(id, who, fields.pop("kind", "email_sent"), at, **fields)


@pytest.mark.parametrize(
    ("events", "counted"),
    [
        ([mail("a", message_id="<1>"), mail("b", at=T0 - 5 * SECOND, message_id="<1>")], 1),
        ([mail("a", message_id="<1>"), mail("a", message_id="<1>", object_type="emails")], 1),
        ([mail("a", message_id="<1>"), mail("b", message_id="<2>")], 2),
        ([mail("a", message_id="<1>"), mail("b", "y", message_id="<1>")], 2),
        ([mail("a", subject="Hello"), mail("b", subject=" hello ")], 1),
        ([mail("a", subject="Hello"), mail("b", subject="Offer")], 2),
        ([mail("a", subject="Hello"), mail("b", at=T0 - SECOND, subject="Hello")], 2),
        ([mail("a", subject="Hello"), mail("b", "y", subject="Hello")], 2),
        ([mail("a", subject="Hello", message_id="<1>"), mail("b", subject="Hello")], 1),
        ([mail("a", subject="Hi", message_id="<1>"), mail("b", subject="Hi", message_id="<2>")], 2),
        ([mail("a"), mail("b")], 2),
        ([mail(n, kind="email_open", message_id="<1>") for n in "abc"], 3),
        ([mail(n, kind="email", message_id="<1>") for n in "abc"], 1),
        ([mail(n, kind="email_forward", message_id="<1>") for n in "abc"], 1),
        ([mail(n, kind="email_forward", subject="Fwd") for n in "abc"], 1),
        ([mail("a", kind="email_forward", message_id="<1>"), mail("b", message_id="<2>")], 2),
    ],
)
def test_an_e_mail_that_two_tools_logged_counts_once(events: list[Activity], counted: int) -> None:
    """S077: the same message id, or person, time and subject; each opening is its own event."""
    rule = {**EACH, "when": {"type": {"starts_with": "email"}}}
    scores = World([lead("x"), lead("y")], events).scores(model(rule))
    assert sum(scores.values()) == counted * 10 * UNIT


def test_an_e_mail_logged_for_a_merged_record_counts_once() -> None:
    """S077 S073: the survivor's copy and the merged record's are the same e-mail."""
    events = [mail("a", message_id="<1>"), mail("b", "gone", message_id="<1>")]
    world = World([lead("x")], events, aliases=[("leads", "gone", "x")])
    rule = {**EACH, "when": {"type": "email_sent"}}
    assert world.contributions(model(rule))["x", "view"]["events"] == 1


@pytest.mark.parametrize(
    ("rule", "scored", "other"),
    [
        # S027: two points for ebook xyz.
        ({"type": "download", "asset": "xyz"}, {"type": "download", "asset": "xyz"},
         {"type": "download", "asset": "abc"}),
        # S038: a trade show visit, imported.
        ({"type": "trade_show"}, {"type": "trade_show", "channel": "event"},
         {"type": "direct_mail"}),
        # S052: intent, by topic.
        ({"type": "intent_surge", "area": "crm"}, {"type": "intent_surge", "area": "crm"},
         {"type": "intent_surge", "area": "erp"}),
        # S214: post-sales.
        ({"type": "support_case", "outcome": "resolved"},
         {"type": "support_case", "outcome": "Resolved"},
         {"type": "support_case", "outcome": "escalated"}),
        # S216: social.
        ({"type": "social_message", "channel": "social"},
         {"type": "social_message", "channel": "social"}, {"type": "call", "channel": "phone"}),
        # S221: a conversation with its sentiment.
        ({"type": "conversation", "outcome": "interested", "custom": {"sentiment": {"above": 0.5}}},
         {"type": "conversation", "outcome": "interested", "custom": {"sentiment": "0.8"}},
         {"type": "conversation", "outcome": "interested", "custom": {"sentiment": "0.2"}}),
    ],
)  # fmt: skip
def test_activities_of_every_feed_are_scored(
    rule: dict[str, Any], scored: dict[str, Any], other: dict[str, Any]
) -> None:
    """S027 S038 S052 S214 S216 S221: what the rule names gives its points, anything else none."""
    rules = model({"id": "feed", "points": 2, "when": rule})
    assert points(rules, [activity("a", "x", **scored), activity("b", "x", **other)]) == 2
    assert points(rules, [activity("b", "x", **other)]) == 0


RICHER = settings(max_examples=5, deadline=None)


@pytest.mark.slow
@RICHER
@given(
    st.lists(st.tuples(st.sampled_from(["page_view", "call"]), st.integers(0, 300)), max_size=15),
    st.lists(
        st.tuples(st.sampled_from(["page_view", "call"]), st.integers(0, 300)),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["once", "each", {"per": "day"}, {"per": "month"}]),
    st.sampled_from([None, "half", "slow"]),
)
def test_more_activity_never_lowers_a_score(
    before: list[tuple[str, int]], more: list[tuple[str, int]], count: Any, decay: str | None
) -> None:
    """S092: with rules that give points, one more event never lowers the score.

    But sessions and periods from a first event: there a further event can join two into one.
    """
    rules = model(
        {**VIEW, "count": count, "decay": decay, "within": "250 hours", "group": "all"},
        {**CALL, "cap": 21, "group": "all"},
        {**RUN, "id": "run"},
        measures=[{"id": "busy", "count": {"type": "call"}, "steps": {2: 3, 5: 8}}],
        groups={"all": {"cap": 60}},
        decays={"half": {"after": "60 hours", "factor": "0.5"}, "slow": {"over": "9 days"}},
    )

    def history(did: list[tuple[str, int]]) -> list[Activity]:
        hour = timedelta(hours=1)
        return [activity(f"e{n:02}", "x", kind, T0 - h * hour) for n, (kind, h) in enumerate(did)]

    assert points(rules, history(before)) <= points(rules, history([*before, *more]))


@pytest.mark.slow
@RICHER
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["page_view", "call", "bad", "unsubscribed"]), st.integers(0, 3000)
        ),
        max_size=25,
    ),
    st.sampled_from([{"per": "session"}, {"per": "9 days"}, "each", "once"]),
    st.sampled_from(["1", "0.4"]),
    st.sampled_from([{}, {"nightly_floor": 0}, {"until": 40}, {"cap": 30, "until": 60}]),
)
def test_lines_add_up_in_the_whole_language(
    did: list[tuple[str, int]], count: Any, weight: str, limit: dict[str, int]
) -> None:
    """S020: a model of many kinds of rules, over what rules count and limits forget: every line is
    whole, and they add up."""
    rules = model(
        {**VIEW, "count": count, "group": "all"},
        {**CALL, "count": {"per": "day"}, "decay": "slow"},
        {"id": "bad", "points": -15, "when": {"type": "bad"}, "count": "each"},
        measures=[
            {"id": "rate", "share": {"type": "call"}, "of": {"type": "page_view"},
             "steps": {0: -5, "0.5": 5}},
            {"id": "quiet", "silence": {"type": {"known": True}}, "every": 7, "points": -1},
        ],
        reset=RESETS,
        fit=[{"id": "fit", "points": 20, "when": {"title": "CTO"}}],
        groups={"all": {"cap": 35}},
        decays={"slow": {"half_life": "30 days"}},
        limits={"behaviour": limit},
        weights={"behaviour": weight},
    )  # fmt: skip
    rows = [activity(f"e{n:02}", "x", kind, T0 - 10 * n * MINUTE - age * MINUTE)
            for n, (kind, age) in enumerate(did)]  # fmt: skip
    world = World([lead("x", title="CTO")], rows)
    (score,) = world.rows(world.scored(rules).scores)
    found = world.contributions(rules)
    assert sum(row["points"] for row in found.values()) == score["score"]
    for row in found.values():
        kept = row["raw"] - row["decay_loss"] - row["cap_loss"]
        share = Fraction(weight) if row["part"] == "behaviour" else 1
        assert row["points"] == kept * share
    reset = max((e.occurred_at for e in rows if e.type == "unsubscribed"), default=None)
    counting = [e for e in rows if reset is None or e.occurred_at > reset]
    seen = sorted(e.occurred_at for e in counting if e.type == "page_view")
    begun = seen[:1] + [b for a, b in pairwise(seen) if b - a >= 30 * MINUTE]
    spans = {(at - seen[0]) // (9 * DAY) for at in seen}
    paid = {"each": len(seen), "once": len(seen[:1])}.get(str(count))
    if paid is None:
        paid = len(begun) if count == {"per": "session"} else len(spans)
    assert found.get(("x", "view"), {"raw": 0})["raw"] == 10 * UNIT * paid


def test_the_whole_language_compiles_for_spark() -> None:
    rules = model(
        {**VIEW, "count": {"per": "session"}},
        {**CALL, "when": {"attended": {"above": "0.5"}}, "count": {"per": "9 days"}},
        reset=RESETS,
        limits={"behaviour": {"until": 9}},
    )
    scored = World([lead("x")]).scored(rules)
    assert "SELECT" in str(ibis.to_sql(scored.contributions, dialect="pyspark"))
