"""Areas of interest, depth and intensity, the buyer's stage, and the role in buying."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis import _
from ibis.expr.types import Table
from pydantic import ValidationError

from core.decision import UNIT
from core.lint import lint
from core.model import Activity
from core.profile import Profile, account_parts, areas, channels, engagement, parts, profile, stages
from core.rules import Model, parse
from core.unmapped import unmapped
from tests.core.golden import T0, World, activity, lead
from tests.core.test_presets import NAMES, preset

VIEW = {"id": "view", "points": 10, "when": {"type": "page_view"}, "count": "each"}
JOURNEY: dict[str, Any] = {
    "awareness": {"when": {"custom": {"stage": "awareness"}}},
    "consideration": {"when": {"custom": {"stage": "consideration"}}, "evidence": 2},
    "decision": {"when": {"custom": {"stage": "decision"}}, "evidence": 2, "within": "30 days"},
}


def model(**content: Any) -> Model:
    """A model that pays for page views, and asks for areas."""
    base = {"name": "m", "thresholds": {"mql": 30, "sql": 60}, "behaviour": [VIEW]}
    return parse({**base, "interest": {"areas": True}, **content})


def ago(days: float) -> Any:
    """An instant so many days before the scoring."""
    return T0 - timedelta(days=days)


def views(area: str | None, number: int, who: str = "x", **fields: Any) -> list[Activity]:
    """Page views of an area, one an hour."""
    return [
        activity(f"{who} {area} {n}", who, "page_view", ago(n / 24), area=area, **fields)
        for n in range(number)
    ]


def reading(
    *days: float, who: str = "x", stage: str | None = None, **fields: Any
) -> list[Activity]:
    """Page views so many days ago, with content of a stage."""
    custom = {"stage": stage} if stage else None
    return [
        activity(f"{who} {stage} {d}", who, "page_view", ago(d), custom=custom, **fields)
        for d in days
    ]


def contacts(**accounts: str) -> Table:
    """Whose contact each lead is."""
    keys = {"connection": "crm", "home": "crm"}
    rows = [{**keys, "lead_id": k, "account_id": v} for k, v in accounts.items()]
    return ibis.memtable(pa.Table.from_pylist(rows))


def interests(found: Iterable[Mapping[str, Any]], whose: str = "lead_id") -> dict[str, Any]:
    """Points by area, biggest first, of each lead or account."""
    listed: dict[str, dict[str, float]] = {}
    for row in sorted(found, key=lambda row: row["rank"]):
        listed.setdefault(row[whose], {})[row["area"]] = row["points"] / UNIT
    return listed


@pytest.mark.parametrize(
    ("change", "events", "found"),
    [
        ({}, [*views("A", 4), *views("B", 1)], {"a": 40, "b": 10}),
        ({}, [*views("B", 2), *views("A", 2), *views(" a ", 1)], {"a": 30, "b": 20}),
        ({}, [*views("b", 2), *views("c", 2), *views("a", 2)], {"a": 20, "b": 20, "c": 20}),
        ({}, [*reading(5, area="a"), *reading(1, area="b")], {"b": 10, "a": 10}),
        ({}, views(None, 3), {}),
        ({"behaviour": [{**VIEW, "count": "once"}]}, [*views("a", 4), *views("b", 4)],
         {"a": 10, "b": 10}),
        ({"behaviour": [{**VIEW, "cap": 20}]}, [*views("a", 4), *views("b", 1)],
         {"a": 20, "b": 10}),
        ({"behaviour": [{**VIEW, "group": "web"}], "groups": {"web": {"cap": 30}}},
         [*views("a", 4), *views("b", 1)], {"a": 30, "b": 10}),
        ({"behaviour": [{**VIEW, "decay": "old"}], "decays": {"old": {"over": "10 days"}}},
         [*reading(5, area="a"), *reading(0, area="b"), *reading(10, area="c")],
         {"b": 10, "a": 5}),
        ({"behaviour": [VIEW, {**VIEW, "id": "jobs", "points": -15, "when": {"asset": "/jobs"}}]},
         [*views("a", 1), *views("hr", 2, asset="/jobs")], {"a": 10}),
        ({"weights": {"behaviour": 0.5}}, views("a", 2), {"a": 10}),
        ({"ignore": [{"id": "us", "when": {"custom": {"stage": "own"}}}]},
         [*views("a", 2), *reading(0, 1, 2, stage="own", area="b")], {"a": 20}),
        ({"interest": {"areas": {"erp": {"asset": {"starts_with": "/erp"}},
                                 "web": {"type": "page_view"}}}},
         [*views("a", 1, asset="/erp"), *reading(1, 2, 3, asset="/erp/1"), *reading(4, 5)],
         {"erp": 30, "web": 20, "a": 10}),
        ({"interest": {"areas": {"calls": {"duration": {"at_least": 60}}}}},
         [*reading(1, duration=60), *reading(2, duration=59), *reading(3)], {"calls": 10}),
    ],
)  # fmt: skip
def test_areas_of_a_lead(change: Any, events: list[Activity], found: Any) -> None:
    """S070 S192 S213 D46: an area has the points that the rules give for its activities alone; the
    one with most comes first, of equal ones the most recent, then the first by name."""
    world = World([lead("x")], events)
    told = interests(world.rows(world.asked(areas, model(**change))))
    assert told == ({"x": found} if found else {})
    assert list(told.get("x", {})) == list(found)


def test_areas_of_an_account() -> None:
    """S213 D46: one person's two scores are the account's; of several people the sums are, and a
    person's activities of a merged record are its own."""
    events = [
        *views("a", 4, "x"), *views("b", 1, "x"),
        *views("b", 1, "y"), *views("b", 4, "gone"), *views("b", 9, "z"),
        *views("a", 50, ""),
    ]  # fmt: skip
    world = World(map(lead, "xyz"), events, aliases=[("leads", "gone", "y")])
    capped = model(behaviour=[{**VIEW, "cap": 40}])
    one = contacts(x="acme", y="else")
    found = interests(
        world.rows(account_parts([(capped, world.facts)], one, T0)["areas"]), "account_id"
    )
    assert found == {"acme": {"a": 40, "b": 10}, "else": {"b": 40}}
    assert found["acme"] == interests(world.rows(world.asked(areas, capped)))["x"]
    both = one.mutate(account_id=ibis.literal("acme"))
    found = interests(
        world.rows(account_parts([(capped, world.facts)], both, T0)["areas"]), "account_id"
    )
    assert found == {"acme": {"b": 50, "a": 40}}
    kept = world.facts.leads
    shares = [replace(world.facts, leads=kept.filter(_.id == one)) for one in "xy"]
    own = list(zip([capped, model()], shares, strict=True))
    found = interests(world.rows(account_parts(own, both, T0)["areas"]), "account_id")
    assert found == {"acme": {"b": 60, "a": 40}}, "each lead by its own model"


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["page_view", "call", "email_open"]),
        st.integers(0, 60),
    ),
    max_size=12,
)
RULES = [
    {**VIEW, "cap": 25, "group": "web"},
    {"id": "open", "points": 4, "when": {"type": "email_open"}, "count": {"per": "week"},
     "decay": "old"},
    {"id": "call", "points": 7, "when": {"type": "call"}, "at": {"nth": 2, "within": "20 days"},
     "group": "web"},
]  # fmt: skip


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(EVENTS)
def test_an_area_is_scored_as_if_it_were_alone(did: list[tuple[str, str, int]]) -> None:
    """S213 D46: whatever is counted, capped and decayed, an area has the score of a lead that did
    nothing else."""
    rules = model(
        behaviour=RULES,
        groups={"web": {"cap": 30}},
        decays={"old": {"after": "30 days", "factor": 0.5, "unless_engaged": True}},
    )
    events = [
        activity(f"{who}{n}", who, kind, ago(days), area=area)
        for n, (area, kind, days) in enumerate(did)
        for who in ("both", area)
    ]
    world = World([lead("both"), lead("a"), lead("b")], events)
    alone = world.scores(rules)
    found = interests(world.rows(world.asked(areas, rules))).get("both", {})
    assert {area: found.get(area, 0) * UNIT for area in "ab"} == {a: alone[a] for a in "ab"}


CONTENT = st.tuples(
    st.sampled_from([None, "awareness", "consideration", "decision"]),
    st.one_of(st.none(), st.integers(0, 400)),
    st.integers(0, 90),
)


Seen = tuple[str | None, int | None, int]
"""A page view: the stage of its content, how many seconds, and how many days ago."""


def depths(*histories: list[Seen]) -> list[int]:
    """The depth of leads that have seen this content."""
    events = [
        activity(
            f"{who} {n}",
            str(who),
            "page_view",
            ago(days),
            custom={"stage": stage} if stage else None,
            duration=seconds,
        )
        for who, history in enumerate(histories)
        for n, (stage, seconds, days) in enumerate(history)
    ]
    world = World([lead(str(who)) for who in range(len(histories))], events)
    found = world.rows(world.asked(engagement, model(journey=JOURNEY)))
    by_lead = {row["lead_id"]: row["depth"] for row in found}
    return [by_lead[str(who)] for who in range(len(histories))]


@settings(max_examples=8, deadline=None)
@given(st.lists(CONTENT, min_size=1, max_size=6), CONTENT, st.data())
def test_depth_grows_with_all_it_is_made_of(seen: list[Seen], another: Seen, data: Any) -> None:
    """S193: an activity more, or one longer by a minute, deepens the interest; one longer by less,
    or of a later stage, never lowers its depth."""
    number = data.draw(st.integers(0, len(seen) - 1))
    stage, seconds, days = seen[number]
    order = [None, *JOURNEY]
    later = data.draw(st.sampled_from(order[order.index(stage) :]))
    longer = (seconds or 0) + data.draw(st.integers(0, 200))
    changed = [(stage, (seconds or 0) + 60, days), (stage, longer, days), (later, seconds, days)]
    ways = [[*seen[:number], way, *seen[number + 1 :]] for way in changed]
    before, more, minute, *others = depths(seen, [*seen, another], *ways)
    assert more > before
    assert minute == before + 1
    assert min(others) >= before


def test_depth_is_counted_as_documented() -> None:
    """S193: 1 each, 1 for every stage along the journey, 1 a minute; rubbish counts for nothing."""
    two: list[Seen] = [("awareness", 59, 1), ("decision", 61, 2)]
    assert depths([(None, None, 1)], two, [*two, (None, -500, 3)]) == [1, 2 + 4 + 2, 8 + 1]


def test_intensity_of_people_and_of_organisations() -> None:
    """S219: 5 views in 1 day are more intense than 5 in 50 days; an account's intensity is that
    of all its people together, and what no rule pays for shows no interest."""
    events = [
        *reading(10.0, 10.1, 10.2, 10.3, 10.4, who="keen"),
        *reading(0, 12, 25, 37, 49, who="slow"),
        *[activity(f"m{n}", "slow", "email_sent", ago(n)) for n in range(40)],
    ]
    world = World([lead("keen"), lead("slow")], events)
    rules = model()
    found = {r["lead_id"]: r for r in world.rows(world.asked(engagement, rules))}
    assert (found["keen"]["events"], found["keen"]["days"]) == (5, 1)
    assert (found["slow"]["events"], found["slow"]["days"]) == (5, 50)
    assert found["keen"]["intensity"] == 5 * UNIT > found["slow"]["intensity"] == UNIT // 10
    firms = contacts(keen="acme", slow="acme")
    (together,) = world.rows(account_parts([(rules, world.facts)], firms, T0)["engagement"])
    assert together["account_id"] == "acme"
    assert (together["events"], together["days"]) == (10, 50)
    assert together["intensity"] == 2 * found["slow"]["intensity"]
    assert together["depth"] == found["keen"]["depth"] + found["slow"]["depth"]


STAGES: list[tuple[list[Activity], Any]] = [
    ([], None),
    (reading(1, 2, 3), None),
    (reading(1, stage="consideration"), None),
    (reading(400, stage="awareness"), ("awareness", 1)),
    ([*reading(1, stage="awareness"), *reading(1, 2, 3, stage="consideration")],
     ("consideration", 3)),
    ([*reading(1, 2, 3, stage="awareness"), *reading(1, stage="decision")], ("awareness", 3)),
    ([*reading(1, stage="awareness"), *reading(1, 2, stage="Decision ")], ("decision", 2)),
    (reading(1, 30, stage="decision"), ("decision", 2)),
    (reading(1, 30.01, stage="decision"), None),
    (reading(-1, 1, stage="decision"), None),
]  # fmt: skip


def test_the_buyers_stage() -> None:
    """S218: the highest stage with enough evidence, of its window, by then."""
    events = [
        event.model_copy(update={"lead_id": str(who)})
        for who, (seen, _found) in enumerate(STAGES)
        for event in seen
    ]
    world = World([lead(str(who)) for who in range(len(STAGES))], events)
    rows = world.rows(world.asked(stages, model(journey=JOURNEY)))
    told = {row["lead_id"]: (row["buyer_stage"], row["evidence"]) for row in rows}
    assert [told.get(str(who)) for who in range(len(STAGES))] == [found for _seen, found in STAGES]


def test_content_of_two_stages_is_of_the_later_one() -> None:
    """S218: a stage that is part of another takes its content."""
    journey = {
        "reading": {"when": {"type": "page_view"}},
        "choosing": {"when": {"asset": "/pricing"}, "evidence": 2},
    }
    events = [
        *reading(1, who="once", asset="/pricing"),
        *reading(1, 2, who="twice", asset="/pricing"),
    ]
    world = World([lead("once"), lead("twice")], events)
    rows = world.rows(world.asked(stages, model(journey=journey)))
    assert [(row["lead_id"], row["buyer_stage"]) for row in rows] == [("twice", "choosing")]


def test_decision_content_scores_above_awareness_content() -> None:
    """S218: by ordinary rules; a model that pays less for the later stage is warned."""
    early = {**VIEW, "id": "early", "points": 3, "when": JOURNEY["awareness"]["when"]}
    late = {**VIEW, "id": "late", "points": 12, "when": JOURNEY["decision"]["when"]}
    rules = model(behaviour=[early, late], journey=JOURNEY)
    world = World(
        [lead("early"), lead("late")],
        [*reading(1, who="early", stage="awareness"), *reading(1, who="late", stage="decision")],
    )
    scores = world.scores(rules)
    assert scores["late"] > scores["early"] > 0
    assert [f for f in lint(rules) if "stage" in f.what] == []
    odd = model(behaviour=[{**early, "points": 13}, late], journey=JOURNEY)
    (found,) = [f for f in lint(odd) if "stage" in f.what]
    assert found.place == ("behaviour", 0, "points")
    assert "13 points for content of stage awareness, more than the 12 of late" in found.what


def told(world: World, rules: Model) -> dict[str, Profile]:
    """The profile of every lead that has one."""
    rows = {name: world.rows(table) for name, table in world.asked(parts, rules).items()}
    people = {row["lead_id"] for part in rows.values() for row in part}
    return {
        who: profile({k: [r for r in part if r["lead_id"] == who] for k, part in rows.items()})
        for who in people
    }


def test_the_buyers_stage_is_not_the_pipeline() -> None:
    """S207: whatever sales says of a lead (status, acceptance, conversion, an outcome of an
    activity), the buyer's stage stays, and so does all of its profile."""
    rules = model(
        journey=JOURNEY, roles={"infer": {"user": {"did": {"asset": "/docs"}, "confidence": 1}}}
    )
    events = [*reading(1, 2, stage="decision"), *views("crm", 2, asset="/docs")]
    before = told(World([lead("x", status="New")], events), rules)
    sales = {"status": "Closed - lost", "accepted_at": T0, "converted_at": T0, "converted_to": "y"}
    heard = [event.model_copy(update={"outcome": "lost", "owner_id": "o"}) for event in events]
    assert told(World([lead("x", **sales)], heard), rules) == before
    assert before["x"].buyer_stage == "decision"
    assert str(before["x"]).splitlines() == [
        "interested in: crm 20",
        "depth 10, intensity 1.3333 activities a day (activities: 4, days: 3)",
        "buyer's stage: decision (evidence: 2)",
        "role: user (confidence 1)",
    ]


ROLES = {
    "explicit": "buying_role",
    "infer": {
        "economic": {"when": {"seniority": "executive"}, "did": {"asset": "/pricing"},
                     "confidence": 0.95},
        "decider": {"when": {"seniority": ["executive", "director"]}, "confidence": 0.8},
        "technical": {"when": {"function": "engineering"}, "confidence": 0.7},
        "user": {"did": {"asset": {"starts_with": "/docs"}}, "confidence": 0.3333},
    },
}  # fmt: skip


TOLD: list[tuple[dict[str, Any], str | None, Any]] = [
    ({"seniority": "executive"}, "/pricing", ("economic", 9500, False)),
    ({"seniority": "executive"}, "/docs", ("decider", 8000, False)),
    ({"seniority": "director", "function": "engineering"}, None, ("decider", 8000, False)),
    ({"function": "engineering"}, "/docs/api", ("technical", 7000, False)),
    ({"function": "sales"}, "/docs/api", ("user", 3333, False)),
    ({}, "/docs/api", ("user", 3333, False)),
    ({"function": "sales"}, "/pricing", None),
    ({}, None, None),
    ({"seniority": "executive", "custom": {"buying_role": " Champion"}}, "/pricing",
     ("champion", 10000, True)),
    ({"custom": {"buying_role": "user"}}, None, ("user", 10000, True)),
    ({"seniority": "director", "custom": {"buying_role": " "}}, None,
     ("decider", 8000, False)),
]  # fmt: skip


def test_the_role_in_buying() -> None:
    """S194: inferred from title and content, with its confidence; an explicit role overrides."""
    people = [lead(str(who), **fields) for who, (fields, _seen, _found) in enumerate(TOLD)]
    events = [
        activity(str(who), str(who), "page_view", asset=seen)
        for who, (_fields, seen, _found) in enumerate(TOLD)
        if seen
    ]
    world = World(people, events)
    told = {}
    for asked in (ROLES, {"infer": ROLES["infer"]}):
        rows = world.rows(world.asked(parts, model(roles=asked))["roles"])
        told = {r["lead_id"]: (r["role"], r["confidence"], r["explicit"]) for r in rows}
        for who, (fields, _seen, found) in enumerate(TOLD):
            if asked is ROLES or not (found and found[2]):
                assert told.get(str(who)) == found, fields
    assert not any(explicit for _role, _confidence, explicit in told.values())


def test_an_explicit_role_needs_none_to_infer() -> None:
    """S194: the CRM's word alone."""
    world = World([lead("x", custom={"r": "Buyer"}), lead("y")])
    assert {k: p.role for k, p in told(world, model(roles={"explicit": "r"})).items()} == {
        "x": "buyer"
    }


def test_the_field_of_explicit_roles_must_be_mapped() -> None:
    """S194: a field that nobody fills names no role."""
    rules = model(roles={"explicit": "r"})
    activities = {"type", "area"}
    facts: dict[str, set[str]] = {"leads": {"email"}, "accounts": set(), "activities": activities}
    (found,) = unmapped(rules, facts)
    assert (found.severity, found.place) == ("error", ("roles", "explicit"))
    assert unmapped(rules, {**facts, "leads": {"email", "custom.r"}}) == []


def test_points_by_channel() -> None:
    """S025: inbound and public channels alike; each is counted by itself, caps of groups, limits,
    measures and silences are of none, and what names no channel has the channel `unknown`."""
    view = {"points": 10, "when": {"type": "page_view"}, "count": "each"}
    rules = model(
        behaviour=[
            {**view, "id": "view", "cap": 15},
            {**view, "id": "post", "when": {"type": "social_message"}, "group": "g"},
            {**view, "id": "jobs", "points": -4, "when": {"asset": "/jobs"}},
            {**view, "id": "silent", "points": -7, "silent": "30 days"},
        ],
        groups={"g": {"cap": 12}},
        limits={"behaviour": {"until": 11, "cap": 9}},
        measures=[{"id": "all", "count": {"type": "page_view"}, "steps": {1: 3}}],
        interest=None,
    )
    old = T0 - timedelta(days=45)
    did = [
        activity("a", "x", "page_view", old, channel="inbound"),
        activity("b", "x", "page_view", old, channel=" Inbound"),
        activity("c", "x", "page_view", old, channel="public", asset="/jobs"),
        *(activity(f"d{n}", "x", "social_message", channel="public") for n in range(2)),
        activity("e", "x", "page_view", old),
        activity("f", "y", "social_message", channel="public"),
    ]
    world = World([lead("x"), lead("y")], did)
    rows = world.rows(world.asked(channels, rules))
    assert {(row["lead_id"], row["channel"]): row["points"] / UNIT for row in rows} == {
        ("x", "inbound"): 15, ("x", "public"): 26, ("x", "unknown"): 10, ("y", "public"): 10,
    }  # fmt: skip


def test_what_another_channel_spares_is_spared_in_the_split() -> None:
    """S025 S152: a webinar that a later e-mail saves from its decay counts in its own channel as it
    does in the score, so the split adds up to it; what nothing saves does not."""
    rules = model(
        behaviour=[
            {"id": "webinar", "points": 10, "when": {"type": "webinar_attended"}, "decay": "late"},
            {"id": "click", "points": 5, "when": {"type": "email_click"}},
        ],
        decays={"late": {"after": "90 days", "minus": 10, "unless_engaged": True}},
        interest=None,
    )
    did = [
        *(activity(f"w{who}", who, "webinar_attended", T0 - timedelta(days=100), channel="event")
          for who in "xy"),
        activity("c", "x", "email_click", T0 - timedelta(days=5), channel="email"),
    ]  # fmt: skip
    world = World([lead("x"), lead("y")], did)
    found = {(row["lead_id"], row["channel"]): row["points"] / UNIT
             for row in world.rows(world.asked(channels, rules))}  # fmt: skip
    assert found == {("x", "event"): 10, ("x", "email"): 5, ("y", "event"): 0}
    assert world.scores(rules) == {"x": 15 * UNIT, "y": 0}


NEUTRAL: dict[str, Any] = {
    "first_name": "Ada", "last_name": "Byron", "phone": "+1 202 555 0100", "company": "Acme",
    "website": "https://acme.example", "country": "AQ", "state": "none", "source": "form",
    "status": "open", "custom": {"hobby": "chess", "colour": "green"},
}  # fmt: skip


KINDS = ("demo_requested", "comparison_tool")


@pytest.mark.parametrize("name", NAMES)
def test_missing_answers_cost_nothing(name: str) -> None:
    """S191: a lead with two answers has the score of the same lead with ten neutral ones more."""
    world = World(
        [lead("few", seniority="executive"), lead("many", seniority="executive", **NEUTRAL)],
        [
            activity(f"{who} {n}", who, kind)
            for who in ("few", "many")
            for n, kind in enumerate(KINDS)
        ],
    )
    scores = world.scores(preset(name))
    assert scores["few"] == scores["many"] > 0


@pytest.mark.parametrize(
    "when",
    [
        {"custom": {"budget": {"below": 1000}}},
        {"not": {"custom": {"budget": {"at_least": 1000}}}},
        {"any": [{"industry": "education"}, {"not": {"country": "US"}}]},
        {"all": [{"email": {"known": True}}, {"not": {"function": "engineering"}}]},
    ],
)
def test_no_penalty_for_what_is_not_known(when: Any) -> None:
    """S191: a rule that takes points takes none of a lead that did not answer."""
    rules = model(fit=[{"id": "email", "points": 20, "when": {"email": {"known": True}}},
                       {"id": "penalty", "points": -15, "when": when}])  # fmt: skip
    answers = {"custom": {"budget": "1"}, "country": "DE", "function": "sales"}
    scores = World([lead("none"), lead("all", **answers)]).scores(rules)
    assert scores == {"none": 20 * UNIT, "all": 5 * UNIT}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"interest": {}}, "areas"),
        ({"interest": {"areas": {}}}, "at least 1"),
        ({"interest": {"areas": False}}, "should be True"),
        ({"interest": {"areas": {"CRM": {"asset": "/crm"}}}}, "lower case"),
        ({"behaviour": [], "fit": [{"id": "f", "points": 1, "when": {"title": "x"}}]},
         "interest needs behaviour rules"),
        ({"journey": {"a": {"when": {"type": "x"}, "evidence": 0}}}, "greater than or equal to 1"),
        ({"journey": {"a": {"when": {}}}}, "empty condition"),
        ({"roles": {}}, "roles to infer"),
        ({"roles": {"infer": {"a": {"confidence": 0.5}}}}, "nothing tells this role"),
        ({"roles": {"infer": {"a": {"when": {"title": "x"}, "confidence": 1.5}}}}, "less than"),
        ({"roles": {"infer": {"a": {"when": {"title": "x"}, "confidence": 0}}}}, "greater than 0"),
        ({"roles": {"infer": {"a": {"when": {"title": "x"}, "confidence": "0.33333"}}}},
         "1/10,000"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(change: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        model(**change)


def test_order_is_part_of_a_models_version() -> None:
    """Another order of stages or roles is another model; what is not said changes no version."""
    one, other = model(journey=JOURNEY), model(journey=dict(reversed(JOURNEY.items())))
    assert one.version != other.version
    turned = {**ROLES, "infer": dict(reversed(ROLES["infer"].items()))}  # type: ignore[attr-defined]
    assert model(roles=ROLES).version != model(roles=turned).version
    assert model(journey={}, roles=None).version == model().version


def test_what_a_model_does_not_ask_for_is_not_built() -> None:
    world = World([lead("x")], views("a", 1))
    plain = replace(world.facts, activities=None)
    assert parts(model(interest=None), plain, T0) == {}
    assert set(parts(model(interest=None, roles={"explicit": "r"}), plain, T0)) == {"roles"}


def test_ids_are_per_connection() -> None:
    """D46: the same id in two CRMs is two people, each with a profile of its own."""
    rules = model(journey=JOURNEY, roles=ROLES)
    world = World([lead("x", seniority="director")], reading(1, 2, stage="decision", area="a"))
    people, events = world.facts.leads, world.facts.activities
    others = events.filter(events.id.contains("1")).mutate(area=ibis.literal("b"))
    facts = replace(
        world.facts,
        leads=people.union(elsewhere(people)),
        activities=events.union(elsewhere(others)),
    )
    found = {name: world.rows(table) for name, table in parts(rules, facts, T0).items()}
    assert {(r["connection"], r["area"], r["points"] // UNIT) for r in found["areas"]} == {
        ("crm", "a", 20), ("other", "b", 10),
    }  # fmt: skip
    assert {(r["connection"], r["events"]) for r in found["engagement"]} == {
        ("crm", 2), ("other", 1),
    }  # fmt: skip
    assert [r["connection"] for r in found["stages"]] == ["crm"]
    assert sorted(r["connection"] for r in found["roles"]) == ["crm", "other"]


def elsewhere(table: Table) -> Table:
    """The same rows of another CRM."""
    return table.mutate(connection=ibis.literal("other")).cast(table.schema())
