"""Scoring: the worked example to the last digit, and the laws every model obeys."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import ibis
import pytest

from core import reach
from core.decision import UNIT
from core.model import Activity
from core.rules import Model, parse
from core.scoring import unknown
from tests.core.golden import GOLDEN_LEADS, T0, World, account, activity, golden, lead, weighted

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def points_of(world: World, model: Model, at: datetime = T0) -> dict[str, Decimal]:
    """Score of every lead in points."""
    return {who: Decimal(units) / UNIT for who, units in world.scores(model, at).items()}


def one(fields: dict[str, Any], *events: Activity, at: datetime = T0) -> Decimal:
    """Score of a single lead under the preset."""
    return points_of(World([lead("x", **fields)], events), weighted(), at)["x"]


def model(**content: Any) -> Model:
    """A model of one's own."""
    return parse({"name": "m", "thresholds": {"mql": 50, "sql": 100}, **content})


def behaviour(*rules: dict[str, Any], **content: Any) -> Model:
    """A model of behaviour rules."""
    return model(behaviour=list(rules), **content)


@pytest.mark.parametrize(("days", "score"), [(0, "107"), (30, "107"), (31, "98.5"), (91, "88.5")])
def test_golden_lead_1(days: int, score: str) -> None:
    """S155: CTO, technology, US, and every activity: 107, day 31 98.5, day 91 88.5."""
    world = golden()
    assert points_of(world, weighted(), T0 + days * DAY)["cto"] == Decimal(score)


def test_golden_lead_2() -> None:
    """S156: manager, healthcare, Germany and five blog visits: exactly 50."""
    world = golden()
    assert points_of(world, weighted())["manager"] == 50


@pytest.mark.parametrize(
    ("fields", "score"),
    [
        ({"industry": "technology"}, 20),
        ({"industry": "healthcare"}, 10),
        ({"industry": "education"}, 5),
        ({"industry": "retail"}, 0),
        ({}, 0),
        ({"seniority": "executive"}, 15),
        ({"seniority": "manager"}, 10),
        ({"seniority": "director"}, 10),
        ({"seniority": "staff"}, 0),
        ({"country": "MX", "region": "north_america"}, 10),
        ({"country": "DE", "region": "europe"}, 5),
        ({"country": "JP", "region": "asia"}, 0),
    ],
)
def test_fit_points_of_the_example(fields: dict[str, Any], score: int) -> None:
    """S134 S140 S141 S143 D44: each value gives exactly its points, any other none."""
    assert one(fields) == score


@pytest.mark.parametrize(
    ("events", "score"),
    [
        ([("page_view", {"asset": "/pricing"})], 20),
        ([("page_view", {"asset": "/pricing"})] * 3, 20),
        ([("download", {"asset": "Product Datasheet 2026"})], 15),
        ([("webinar_attended", {})], 10),
        ([("webinar_registered", {})], 0),
        ([("page_view", {"asset": "/blog/a"})] * 3, 15),
        ([("email_open", {})], 2),
        ([("email_click", {})], 5),
        ([("email_click", {}), ("email_open", {})], 7),
        ([("download", {"asset": "White paper", "channel": "email"})], 10),
        ([("call", {})], 0),
    ],
)
def test_behaviour_points_of_the_example(events: list[tuple[str, Any]], score: int) -> None:
    """S144 S145 S146 S147 S148 S149 S150: once by default, blog visits each."""
    rows = [activity(f"e{n}", "x", kind, **fields) for n, (kind, fields) in enumerate(events)]
    assert one({}, *rows) == score


def test_the_best_match_of_a_group_counts_once() -> None:
    """S142: a title that matches both classes gets the higher once, never the sum."""
    low = {"id": "low", "points": 10, "when": {"title": {"contains": "director"}}}
    high = {"id": "high", "points": 15, "when": {"title": {"contains": "chief"}}}
    world = World([lead("x", title="Chief Director")])
    assert points_of(world, model(fit=[{"best_of": [low, high]}]))["x"] == 15
    assert points_of(world, model(fit=[low, high]))["x"] == 25


def test_the_best_of_a_group_may_take_points() -> None:
    """S142: a rule that takes points is the last of its group, listed first though it is: it counts
    where nothing better holds, and alone."""
    taking = {"id": "taking", "points": -5, "when": {"industry": "retail"}}
    nothing = {"id": "nothing", "points": 0, "when": {"state": "KS"}}
    giving = {"id": "giving", "points": 10, "when": {"country": "US"}}
    world = World(
        [
            lead("all", industry="retail", state="KS", country="US"),
            lead("none", industry="retail", state="KS", country="CA"),
            lead("bad", industry="retail"),
            lead("other", industry="energy"),
        ]
    )
    group = model(fit=[{"best_of": [taking, nothing, giving]}])
    assert points_of(world, group) == {"all": 10, "none": 0, "bad": -5, "other": 0}
    assert {rule for _lead, rule in world.contributions(group)} == {"giving", "nothing", "taking"}
    assert reach.fit(group) == reach.Span(Decimal(-5), Decimal(10))
    other = {**giving, "id": "other", "points": 5}
    assert reach.fit(model(fit=[{"best_of": [giving, other]}])) == reach.Span(
        Decimal(0), Decimal(10)
    )


def test_repeats_count_by_the_setting_of_the_rule() -> None:
    """D45 S147: once, each, or each up to a cap, and the cap's effect is shown."""
    events = [activity(f"e{n}", "x", "page_view", T0 - n * DAY) for n in range(10)]
    world = World([lead("x")], events)
    rule = {"id": "view", "points": 5, "when": {"type": "page_view"}}
    assert points_of(world, behaviour(rule))["x"] == 5
    assert points_of(world, behaviour({**rule, "count": "each"}))["x"] == 50
    capped = behaviour({**rule, "count": "each", "cap": 20})
    row = world.contributions(capped)["x", "view"]
    assert (row["raw"], row["cap_loss"], row["points"]) == (500_000, 300_000, 200_000)
    assert (row["events"], row["evidence"], row["last"]) == (10, "e0", T0)
    assert row["first"] == T0 - 9 * DAY


@pytest.mark.parametrize(
    ("age", "score"), [(timedelta(), 17), (30 * DAY, 17), (30 * DAY + SECOND, "8.5"),
                       (61 * DAY, "8.5")],
)  # fmt: skip
def test_email_points_halve_once(age: timedelta, score: Any) -> None:
    """S151: 17 at exactly 30 days, 8.5 a second later, and still 8.5 at day 61."""
    events = [
        activity("o", "x", "email_open", T0 - age),
        activity("c", "x", "email_click", T0 - age),
        activity("d", "x", "download", T0 - age, asset="White paper", channel="email"),
    ]
    assert one({}, *events) == Decimal(score)


@pytest.mark.parametrize(
    ("after", "score"), [(0, "10"), (1, "5"), (2, "2.5"), (3, "1.25"), (4, "0.625"), (16, "0.0001"),
                         (17, "0"), (99, "0")],
)  # fmt: skip
def test_a_decay_may_repeat(after: int, score: str) -> None:
    """S151: with `repeat` the points halve again a second after each further 30 days, exact to
    1/10,000 point and rounded down; `minus` goes down to zero and stays there."""
    rule = {"id": "v", "points": 10, "when": {"type": "page_view"}, "decay": "again"}
    halves = behaviour(rule, decays={"again": {"after": "30 days", "factor": 0.5, "repeat": True}})
    less = behaviour(rule, decays={"again": {"after": "30 days", "minus": 4, "repeat": True}})
    ages = {"first": after * 30 * DAY + SECOND, "last": (after + 1) * 30 * DAY, "once": 31 * DAY}
    views = [activity(who, who, "page_view", T0 - age) for who, age in ages.items()]
    world = World(map(lead, ages), views)
    for who in ("first", "last"):
        assert points_of(world, halves)[who] == Decimal(score)
        assert points_of(world, less)[who] == max(10 - 4 * after, 0)
    row = world.contributions(halves)["once", "v"]
    assert (row["raw"], row["decay_loss"], row["points"]) == (100_000, 50_000, 50_000)


def webinar_points(*events: Activity, at: datetime) -> Decimal:
    """What the webinar rule gives a lead with these events."""
    found = World([lead("x")], events).contributions(weighted(), at)
    return Decimal(found["x", "webinar"]["points"]) / UNIT


def test_webinar_points_go_unless_engaged() -> None:
    """S152: lost after 90 days of silence, never below zero, kept by any later scored event."""
    old = activity("w", "x", "webinar_attended", T0 - 91 * DAY)
    click = activity("c", "x", "email_click", T0 - 5 * DAY)
    call = activity("k", "x", "call", T0 - 5 * DAY)
    assert webinar_points(old, at=T0) == 0
    assert webinar_points(old, at=T0 - DAY) == 10
    assert webinar_points(old, click, at=T0) == 10
    assert webinar_points(old, call, at=T0) == 0


def test_the_day_of_the_webinar_is_no_further_engagement() -> None:
    """S152 U17: whether a CRM tells the instant of a webinar or its day alone, what else happened
    on that day saves nothing, before it or after; the next day does, from its first second."""
    midnight = T0.replace(hour=0)
    for known in (midnight, T0, midnight + DAY - SECOND):
        old = activity("w", "x", "webinar_attended", known)
        for clicked in (midnight, T0, midnight + DAY - SECOND, midnight + DAY):
            click = activity("c", "x", "email_click", clicked)
            left = webinar_points(old, click, at=T0 + 92 * DAY)
            assert left == (10 if clicked == midnight + DAY else 0), (known, clicked)


def test_each_webinar_is_treated_on_its_own() -> None:
    """S152: the earlier of two is saved by the later; two at the same instant are both lost."""
    first = activity("w1", "x", "webinar_attended", T0 - 200 * DAY)
    second = activity("w2", "x", "webinar_attended", T0 - 100 * DAY)
    twin = activity("w3", "x", "webinar_attended", T0 - 100 * DAY)
    recent = activity("w4", "x", "webinar_attended", T0 - DAY)
    assert webinar_points(first, second, at=T0) == 10
    assert webinar_points(first, second, twin, at=T0) == 10
    assert webinar_points(second, twin, at=T0) == 0
    assert webinar_points(first, second, recent, at=T0) == 30


def test_a_window_ends_at_an_exact_instant() -> None:
    rule = {"id": "v", "points": 5, "when": {"type": "page_view"}, "within": "12 hours"}
    world = World([lead("x")], [activity("v", "x", "page_view")])
    assert points_of(world, behaviour(rule), T0 + timedelta(hours=12))["x"] == 5
    assert points_of(world, behaviour(rule), T0 + timedelta(hours=12) + SECOND)["x"] == 0


def test_the_future_does_not_count() -> None:
    world = World([lead("x")], [activity("v", "x", "page_view", T0 + SECOND, asset="/pricing")])
    assert points_of(world, weighted())["x"] == 0
    assert points_of(world, weighted(), T0 + SECOND)["x"] == 20


def test_conditions_on_duration_and_custom_fields() -> None:
    long = {"type": "call", "duration": {"at_least": 600}}
    when = {"any": [long, {"type": "call", "custom": {"grade": "hot"}}]}
    rules = behaviour({"id": "call", "points": 1, "when": when, "count": "each"})
    calls = [
        activity("a", "x", "call", duration=599),
        activity("b", "x", "call", duration=600),
        activity("c", "x", "call", custom={"grade": "Hot"}),
        activity("d", "x", "email_open", duration=900),
    ]
    row = World([lead("x")], calls).contributions(rules)["x", "call"]
    assert (row["events"], row["evidence"]) == (2, "c")


def test_weights_mix_fit_and_behaviour() -> None:
    """S019: weights 0.6/0.4, fit 80, behaviour 50 -> 68.0; both parts are kept."""
    rules = model(
        fit=[{"id": "f", "points": 80, "when": {"industry": "technology"}}],
        behaviour=[{"id": "b", "points": 50, "when": {"type": "call"}}],
        weights={"fit": 0.6, "behaviour": 0.4},
    )
    world = World([lead("x", industry="technology")], [activity("c", "x", "call")])
    (row,) = world.rows(world.scored(rules).scores)
    assert (row["fit"], row["behaviour"], row["score"]) == (800_000, 500_000, 680_000)


def test_the_account_speaks_where_the_lead_does_not() -> None:
    leads = [
        lead("own", account_id="a", industry="retail", country="JP"),
        lead("none", account_id="a"),
        lead("other", account_id="gone"),
    ]
    firm = account(
        "a", industry="technology", country="US", region="north_america", type="Customer"
    )
    world = World(leads, accounts=[firm])
    assert points_of(world, weighted()) == {"own": 0, "none": 30, "other": 0}
    customer = {"id": "c", "points": 1, "when": {"account": {"type": "customer"}}}
    assert points_of(world, model(fit=[customer])) == {"own": 1, "none": 1, "other": 0}


def test_unknown_costs_nothing_and_is_listed() -> None:
    """S143: a blank country gives 0 and is unknown; Japan gives 0 and is not."""
    world = World([lead("blank"), lead("jp", country="JP", region="asia", industry="x")])
    rows = world.rows(world.asked(unknown, weighted()))
    found = {(row["lead_id"], row["rule"]) for row in rows}
    assert {rule for who, rule in found if who == "jp"} == {
        "title-decision-maker",
        "title-influencer",
    }
    assert ("blank", "region-europe") in found
    assert set(points_of(world, weighted()).values()) == {Decimal(0)}


def test_a_model_of_behaviour_alone_has_no_unknown_facts() -> None:
    world = World([lead("x")])
    rules = behaviour({"id": "call", "points": 1, "when": {"type": "call"}})
    assert world.rows(world.asked(unknown, rules)) == []
    assert world.scores(rules) == {"x": 0}


def test_a_record_with_neither_contact_data_nor_activity_is_not_a_lead() -> None:
    """S034: rejected; either one present is accepted; a company alone may be a lead."""
    leads = [
        lead("nobody", email=None, industry="technology"),
        lead("phone", email=None, phone="+1 555 0100"),
        lead("active", email=None),
        lead("firm", company="Acme", email="info@acme.example"),
        lead("later", email=None),
    ]
    events = [activity("a", "active", "call"), activity("b", "later", "call", T0 + DAY)]
    world = World(leads, events)
    scored = world.scored(weighted())
    assert {row["lead_id"] for row in world.rows(scored.rejected)} == {"nobody", "later"}
    assert set(world.scores(weighted())) == {"phone", "active", "firm"}
    assert not {row["lead_id"] for row in world.rows(scored.contributions)} & {"nobody"}


def test_activities_of_merged_records_count_for_the_survivor_once() -> None:
    """S073: counted once, though the CRM shows them for several records of one person."""
    events = [
        activity("a", "kept", "email_open"),
        activity("a", "gone", "email_open"),
        activity("b", "gone", "email_open"),
        activity("b", "gone2", "email_open"),
        activity("b", "gone", "email_open", object_type="Event"),
    ]
    aliases = [("leads", "gone", "kept"), ("leads", "gone2", "kept"), ("accounts", "x", "kept")]
    world = World([lead("kept")], events, aliases=aliases)
    rule = {"id": "open", "points": 1, "when": {"type": "email_open"}, "count": "each"}
    assert points_of(world, behaviour(rule)) == {"kept": 3}


def test_a_survivor_without_contact_data_is_a_lead_by_the_activity_it_took_over() -> None:
    """S034: the interest shown as the merged record counts."""
    events = [activity("a", "gone", "call")]
    world = World([lead("kept", email=None)], events, aliases=[("leads", "gone", "kept")])
    assert world.scores(weighted()) == {"kept": 0}


def test_events_of_every_channel_meet_in_one_person() -> None:
    """S170: one event each from CRM, social and web: three lines, one person."""
    kinds = {"call": "phone", "social_message": "social", "page_view": "web"}
    events = [activity(kind, "x", kind, channel=channel) for kind, channel in kinds.items()]
    rules = [{"id": kind, "points": 1, "when": {"channel": c}} for kind, c in kinds.items()]
    world = World([lead("x")], events)
    assert set(world.contributions(behaviour(*rules))) == {("x", "call"), ("x", "page_view"),
                                                           ("x", "social_message")}  # fmt: skip


def test_numbers_live_in_the_model_alone() -> None:
    """S166: another number in the file is another score, without code."""
    world = World([lead("x", industry="technology")])
    rule = {"id": "tech", "when": {"industry": "technology"}}
    for points in (1, "0.0001", -20):
        rules = model(fit=[{**rule, "points": points}])
        assert points_of(world, rules)["x"] == Decimal(points)


def test_fit_alone_is_static() -> None:
    """S061: history changes nothing where no rule reads it."""
    rules = model(fit=[{"id": "tech", "points": 20, "when": {"industry": "technology"}}])
    plain = World([lead("x", industry="technology")])
    busy = World([lead("x", industry="technology")], [activity("a", "x", "call")])
    later = T0 + 400 * DAY
    assert plain.scores(rules) == busy.scores(rules) == busy.scores(rules, later) == {"x": 200_000}


def test_the_expression_compiles_for_spark() -> None:
    world = World(GOLDEN_LEADS)
    scored = world.scored(weighted())
    for expression in (scored.scores, scored.contributions, scored.rejected):
        assert "SELECT" in str(ibis.to_sql(expression, dialect="pyspark"))
