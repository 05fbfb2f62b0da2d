"""Stages that behaviour gives, and sales checklists."""

from collections import defaultdict
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from pydantic import ValidationError

from core.decision import UNIT
from core.explain import explain
from core.rules import Model, parse
from core.scoring import checklists
from core.segments import Segment
from core.verdict import judge
from tests.core.golden import LONG_AGO, T0, World, activity, lead
from tests.core.test_past import past, was

RULES = [
    {"id": "ebook", "points": 2, "when": {"type": "download"}},
    {"id": "trial", "points": 0, "when": {"type": "trial_started"}, "within": "60 days"},
    {"id": "invite", "points": 0, "when": {"type": "invited_colleague"}},
    {"id": "demo", "points": 20, "when": {"type": "demo_requested"}},
    {"id": "call", "points": 50, "when": {"type": "call"}, "count": "each"},
]
STAGES = {"iql": ["ebook"], "pql": ["trial", "invite"], "fast_lane": ["demo"]}


def model(**content: Any) -> Model:
    """A model in which behaviour gives stages."""
    base = {"name": "m", "thresholds": {"mql": 50, "sql": 100}, "behaviour": RULES}
    return parse({**base, "stages": STAGES, **content})


def stage(*kinds: str, rules: Model | None = None, **fields: Any) -> str | None:
    """The stage of a lead that did these things."""
    events = [activity(f"e{n}", "x", kind, T0 - timedelta(days=n)) for n, kind in enumerate(kinds)]
    world, rules = World([lead("x", **fields)], events), rules or model()
    (row,) = world.verdicts(rules)
    found: str | None = row["stage"]
    return found


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        ((), None),
        (("page_view",), None),
        (("download",), "IQL"),
        (("download", "call"), "MQL"),
        (("download", "call", "call"), "SQL"),
    ],
)
def test_an_exchange_for_content_makes_an_iql(kinds: tuple[str, ...], found: str | None) -> None:
    """S016: content below MQL is IQL; from MQL on the score decides."""
    assert stage(*kinds) == found


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        (("trial_started",), None),
        (("invited_colleague",), None),
        (("trial_started", "invited_colleague"), "PQL"),
        (("trial_started", "trial_started", "download"), "IQL"),
        (("trial_started", "invited_colleague", "call"), "PQL"),
        (("trial_started", "invited_colleague", "call", "call"), "SQL"),
    ],
)
def test_a_trial_with_its_key_actions_makes_a_pql(
    kinds: tuple[str, ...], found: str | None
) -> None:
    """S041: a PQL even with 0 marketing points, and not before every key action is done."""
    assert stage(*kinds) == found


def test_a_mark_has_the_window_of_its_rule() -> None:
    events = [
        activity("t", "x", "trial_started", T0 - timedelta(days=61)),
        activity("i", "x", "invited_colleague"),
    ]
    world = World([lead("x")], events)
    (row,) = world.verdicts(model())
    assert row["stage"] is None


def test_the_fast_lane() -> None:
    """S139: a demo request is an SQL candidate at 20 points, if so configured."""
    assert stage("demo_requested") == "SQL"
    assert stage("demo_requested", rules=model(stages={})) is None
    vetted = model(sql={"mode": "vetted"})
    assert stage("demo_requested", rules=vetted) == "SQL pending"
    assert stage("demo_requested", rules=vetted, accepted_at=T0) == "SQL"


def test_no_lane_leads_past_the_gates() -> None:
    """S111 S139: what a lead did opens no gate."""
    gated = model(gates={"criteria": [{"id": "area", "when": {"region": "europe"}}]})
    assert stage("demo_requested", rules=gated, region="asia") == "Ineligible"
    assert stage("demo_requested", rules=gated) == "Pending"
    assert stage("trial_started", "invited_colleague", rules=gated, region="europe") == "SQL"


def test_a_mark_that_is_named_twice_is_one_mark() -> None:
    """S041: all of the rules make a PQL, however often the model names one of them."""
    twice = model(stages={"pql": ["trial", "invite", "trial"]})
    assert stage("trial_started", "invited_colleague", rules=twice) == "PQL"
    assert stage("trial_started", rules=twice) is None


def test_a_stage_without_its_rule_is_refused() -> None:
    said = r"stages.pql: no behaviour rule is called trail \(did you mean trial\?\)"
    with pytest.raises(ValidationError, match=said):
        model(stages={"pql": ["trail"]})


def criteria(*ids: str) -> list[dict[str, Any]]:
    """Criteria that are yes or no by a custom field of their name."""
    return [{"id": id_, "when": {"custom": {id_: True}}} for id_ in ids]


BANT = criteria("budget", "authority", "need", "timeline")
CHAMP = criteria("challenges", "authority", "money", "priorities")
ANUM = criteria("authority", "need", "urgency", "money")
MAN = criteria("money", "authority", "need")


def checked(items: list[dict[str, Any]], **answers: bool) -> str:
    """What is said of a lead with these answers."""
    rules = model(checklists={"list": items})
    custom = {name: str(answer).lower() for name, answer in answers.items()}
    world = World([lead("x", custom=custom)])
    told = explain(rules, 0, [], [], world.rows(world.asked(checklists, rules)))
    (found,) = told.checklists
    return str(found)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"timeline": True}, "list: 4/4, passed"),
        ({}, "list: 3/4, missing: timeline"),
        ({"budget": False}, "list: 0/4, failed at budget"),
        ({"timeline": False}, "list: 3/4, failed at timeline"),
    ],
)
def test_bant(answers: dict[str, bool], said: str) -> None:
    """S053: four yes are 4/4; what is not known is missing; a no fails there."""
    assert checked(BANT, **{"budget": True, "authority": True, "need": True, **answers}) == said


def test_champ() -> None:
    """S054: the order is kept, so an unknown challenge is the first that is missing."""
    assert (
        checked(CHAMP, authority=True, money=True) == "list: 2/4, missing: challenges, priorities"
    )


def test_anum() -> None:
    """S055: a no to authority ends it, later answers are not asked; unknown money is missing."""
    rest = {"need": True, "urgency": True}
    assert checked(ANUM, authority=False, **rest) == "list: 0/4, failed at authority"
    assert checked(ANUM, authority=True, **rest) == "list: 3/4, missing: money"


def test_money_authority_need() -> None:
    """S204: three of three pass, two of three do not."""
    assert checked(MAN, money=True, authority=True, need=True) == "list: 3/3, passed"
    assert checked(MAN, money=True, authority=True, need=False) == "list: 2/3, failed at need"


def test_several_checklists_of_several_leads() -> None:
    rules = model(checklists={"bant": BANT, "anum": ANUM})
    world = World([lead("x"), lead("y", custom={"authority": "true"})])
    rows = world.rows(world.asked(checklists, rules))
    found = {(r["lead_id"], r["checklist"]): (r["met"], r["failed"]) for r in rows}
    assert found == {
        ("x", "bant"): (0, None), ("x", "anum"): (0, None),
        ("y", "bant"): (1, None), ("y", "anum"): (1, None),
    }  # fmt: skip


SETTLED: dict[str, Any] = {
    "stages": {},
    "behaviour": [{"id": "call", "points": 45, "when": {"type": "call"}, "count": "each"}],
    "fit": [{"id": f"p{n}", "points": n, "when": {"employees": n}} for n in (45, 90, 135)],
    "gates": {"criteria": [{"id": "area", "when": {"region": "europe"}}], "worth": 0},
    "sql": {"mode": "vetted"},
}


def test_a_stage_is_a_function_of_score_gates_and_acceptance() -> None:
    """S137: leads with equal score, gates and acceptance have the same stage, one for what it is
    and never seen before, others for their calls and once an SQL; the score alone moves it."""
    rules, people, did, known = model(**SETTLED), [], [], []
    cases = product((0, 45, 90, 135), ("europe", "asia", None), (None, T0))
    for points, region, accepted in cases:
        for once in ("new", "none", "SQL", "SQL pending"):
            who = f"{points}/{region}/{accepted and 'accepted'}/{once}"
            what: dict[str, Any] = {"employees": points} if once == "new" else {"title": "CEO"}
            people.append(lead(who, region=region, accepted_at=accepted, **what))
            calls = range(0 if once == "new" else points // 45)
            did += [activity(f"{who}{n}", who, "call", T0 - timedelta(days=n)) for n in calls]
            known += [was(who, once, LONG_AGO)] if once.startswith("SQL") else []
    world, stages = World(people, did), defaultdict(set)
    judged = judge((Segment(rules),), world.facts, T0, past(known))
    for row in world.rows(judged.verdicts):
        points, region, accepted, _once = row["lead_id"].split("/")
        assert row["score"] == int(points) * UNIT
        stages[points, region, accepted].add(row["stage"])
    for (points, region, accepted), found in stages.items():
        top = "SQL" if accepted == "accepted" else "SQL pending"
        by_score = {"0": None, "45": None, "90": "MQL"}.get(points, top)
        expected = {"europe": by_score, "asia": "Ineligible", "None": "Pending"}[region]
        assert found == {expected}, (points, region, accepted)
    assert len(stages) == 24
