"""Consent: whose activities count, and who is scored at all."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import pytest
import yaml
from pydantic import ValidationError

from core.permitted import NOTHING_LEFT, REASON
from core.rules import Model, parse
from core.segments import Segment
from core.sources import Kind, Sources
from core.verdict import judge
from tests.core.golden import T0, World, account, activity, lead

BASE: dict[str, Any] = {
    "name": "m",
    "fit": [{"id": "cto", "points": 5, "when": {"title": "CTO"}}],
    "behaviour": [{"id": "call", "points": 7, "count": "each", "when": {"type": "call"}}],
    "thresholds": {"mql": 5, "sql": 12},
}
DOCS = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text(encoding="utf-8")
FOLLOWED = {"custom": {"tracking": "yes"}}
BOUGHT = {
    "any": [
        {"not": {"source": "Purchased list"}},
        {"not": {"region": "europe"}},
        {"custom": {"basis": {"known": True}}},
    ]
}


def model(**changes: Any) -> Model:
    return parse({**BASE, **changes})


def judged(world: World, *models: Model) -> dict[str, dict[str, Any]]:
    """The verdict on every lead by some models, all but the last for leads of its own name."""
    segments = [
        Segment(one, parse_when(one.name) if one is not models[-1] else None) for one in models
    ]
    verdicts = world.judged(*segments).verdicts
    return {row["lead_id"]: row for row in world.rows(verdicts)}


def parse_when(company: str) -> Any:
    """The condition that a lead is of a company."""
    return model(fit=[{"id": "x", "points": 1, "when": {"company": company}}]).fit_rules[0].when


def points(world: World, *models: Model) -> dict[str, int]:
    return {id_: row["score"] // 10_000 for id_, row in judged(world, *models).items()}


def called(*ids: str) -> Sequence[Any]:
    return [activity(f"c-{id_}", id_, "call") for id_ in ids]


def test_activities_count_where_consent_is_known() -> None:
    """S081, S090: without consent to be followed only what a person is counts; unknown is none."""
    people = [
        lead("yes", title="CTO", custom={"tracking": "yes"}),
        lead("no", title="CTO", custom={"tracking": "no"}),
        lead("unknown", title="CTO"),
    ]
    world = World(people, called("yes", "no", "unknown"))
    assert points(world, model(consent={"behaviour": FOLLOWED})) == {
        "yes": 12,
        "no": 5,
        "unknown": 5,
    }
    assert set(points(world, model()).values()) == {12}


def test_who_is_of_a_bought_list_is_followed_on_a_legal_basis_alone() -> None:
    """S045: the sources of a kind are named by their words, as the docs have it: whoever is of a
    third party's needs a known basis before what it does counts; others, and of unknown source, do
    not."""
    (section,) = re.findall(r"```yaml\n(consent:\n  behaviour:\n    any:\n.*?)```", DOCS, re.S)[-1:]
    consent = yaml.safe_load(section)["consent"]
    words = [word for word, kind in Sources().of().items() if kind is Kind.THIRD_PARTY]
    bought = [lead(word, title="CTO", source=word.upper()) for word in words]
    others = [
        lead("basis", title="CTO", source="Purchased list", custom={"legal_basis": "contract"}),
        lead("web", title="CTO", source="Web"),
        lead("unknown", title="CTO"),
    ]
    world = World([*bought, *others], called(*(row.id for row in (*bought, *others))))
    assert points(world, model(consent=consent)) == {
        **dict.fromkeys(words, 5),
        **dict.fromkeys(("basis", "web", "unknown"), 12),
    }


def test_what_was_merged_into_a_record_goes_by_its_consent() -> None:
    """S081: the survivor decides, also about what its former records did."""
    for tracking, score in (("yes", 12), ("no", 5)):
        people = [lead("L", title="CTO", custom={"tracking": tracking})]
        world = World(people, called("old"), aliases=[("leads", "old", "L")])
        assert points(world, model(consent={"behaviour": FOLLOWED})) == {"L": score}


def test_a_person_who_objects_in_one_record_is_not_followed_in_another() -> None:
    """S081: where records are one person, each must have agreed; others are not concerned."""
    people = [
        lead("no", custom={"tracking": "no"}),
        *(lead(id_, custom={"tracking": "yes"}) for id_ in ("kin", "other")),
    ]
    world = World(people, called("no", "kin", "other"))
    named = {
        "connection": ["crm"] * 3,
        "lead_id": ["no", "kin", "other"],
        "person": ["p", "p", "q"],
    }
    facts = replace(world.facts, persons=ibis.memtable(named))
    asking = (Segment(model(consent={"behaviour": FOLLOWED})),)
    verdicts = world.rows(judge(asking, facts, T0).verdicts)
    found = {row["lead_id"]: row["score"] // 10_000 for row in verdicts}
    assert found == {"no": 0, "kin": 0, "other": 7}


@pytest.mark.parametrize(
    ("withdrawn", "stage"), [("clear", "No consent"), ("freeze", "No consent, frozen")]
)
def test_who_may_not_be_scored_is_not(withdrawn: str, stage: str) -> None:
    """S081, S045: a European of a bought list without a legal basis has no score, and a reason; an
    American, another source and a known basis have."""
    bought = {"title": "CTO", "source": "Purchased list"}
    people = [
        lead("eu", region="europe", **bought),
        lead("unknown", **bought),
        lead("us", region="north_america", **bought),
        lead("web", title="CTO", source="Web", region="europe"),
        lead("basis", region="europe", custom={"basis": "contract"}, **bought),
    ]
    world = World(people, called("eu", "us"))
    found = judged(world, model(consent={"scoring": BOUGHT, "withdrawn": withdrawn}))
    out = {id_ for id_, row in found.items() if row["stage"] == stage}
    assert out == {"eu", "unknown"}
    assert all((found[id_]["score"], found[id_]["tier"]) == (0, None) for id_ in out)
    asked = (
        "{any: [{not: {source: Purchased list}}, {not: {region: europe}}, "
        "{custom: {basis: {known: true}}}]}"
    )
    since = "since 2000-01-01"
    assert {id_: found[id_]["reason"] for id_ in out} == {
        id_: f"{REASON}; {asked} not met: custom.basis not known {since}, region {region} {since}, "
        f"source Purchased list {since}"
        for id_, region in (("eu", "europe"), ("unknown", "not known"))
    }
    assert {id_: row["score"] // 10_000 for id_, row in found.items() if id_ not in out} == {
        "us": 12,
        "web": 5,
        "basis": 5,
    }


def test_who_is_a_lead_by_withheld_activities_alone_has_no_score() -> None:
    """What was written of such a record is cleared as configured, because without what it did
    it is no lead; an empty record is none, consent or not."""
    nobody = {"email": None, "phone": None}
    people = [
        lead("silent", custom={"tracking": "no"}, **nobody),
        lead("open", custom={"tracking": "yes"}, **nobody),
        lead("empty", custom={"tracking": "no"}, **nobody),
        lead("known", custom={"tracking": "no"}),
    ]
    world = World(people, called("silent", "open", "known"))
    for withdrawn, stage in (("clear", "No consent"), ("freeze", "No consent, frozen")):
        consent = {"behaviour": FOLLOWED, "withdrawn": withdrawn}
        found = judged(world, model(consent=consent))
        assert {id_: row["stage"] for id_, row in found.items()} == {
            "silent": stage,
            "open": "MQL",
            "known": None,
        }
        evidence = "{custom: {tracking: yes}} not met: custom.tracking no since 2000-01-01"
        assert found["silent"]["reason"] == f"{NOTHING_LEFT}; {evidence}"


def test_evidence_names_what_is_not_met_and_repeats_nothing_personal() -> None:
    """S081: of several conditions those that do not hold are told, with what they read: of an
    address only that it is known."""
    asked = [
        {"email_opt_out": False},
        {"email": {"known": False}},
        {"account": {"industry": "technology"}},
    ]
    people = [lead("L", email="a@b.example", email_opt_out=True, account_id="A")]
    world = World(people, accounts=[account("A", industry="technology")])
    reason = judged(world, model(consent={"scoring": {"all": asked}}))["L"]["reason"]
    assert reason == (
        f"{REASON}; {{email_opt_out: false}} not met: email_opt_out true since 2000-01-01"
        "; {email: {known: false}} not met: email known since 2000-01-01"
    )


def test_each_model_asks_its_own_leads() -> None:
    """D70: one model asks for consent to be followed, another for none."""
    people = [lead("a", title="CTO", company="strict"), lead("b", title="CTO", company="other")]
    world = World(people, called("a", "b"))
    strict = model(name="strict", consent={"behaviour": FOLLOWED})
    assert points(world, strict, model(name="rest")) == {"a": 5, "b": 12}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, "say who may be followed"),
        ({"withdrawn": "freeze"}, "say who may be followed"),
        ({"scoring": FOLLOWED, "gate": "pull"}, "nothing to hold back"),
        ({"scoring": {"past": {"stage": "MQL"}}}, "what was decided before"),
        ({"scoring": FOLLOWED, "gate": "never"}, "'score' or 'pull'"),
    ],
)
def test_a_section_that_cannot_mean_what_it_says_is_refused(said: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        model(consent=said)
