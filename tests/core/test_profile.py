"""What is shown beside the score: the ideal customer, completeness, and what was said before."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from core.completeness import completeness, fit_fields
from core.model import Account
from core.provenance import as_source, changed_answers
from core.rules import Model
from core.scoring import icp_fit
from tests.core.golden import T0, World, account, lead, weighted

ICP = {
    "company": {"industry": "technology", "any": [{"employees": {"at_least": 50}},
                                                  {"revenue": {"at_least": 1000000}}]},
    "persona": {"seniority": ["executive", "director"], "function": "engineering"},
}  # fmt: skip
IDEAL = {"industry": "technology", "employees": 200}
CTO = {"seniority": "executive", "function": "engineering"}


@pytest.mark.parametrize(
    ("firm", "person", "company", "persona"),
    [
        (IDEAL, CTO, "match", "match"),
        (IDEAL, {**CTO, "function": "sales"}, "match", "no match"),
        ({**IDEAL, "industry": "education"}, CTO, "no match", "match"),
        ({**IDEAL, "employees": 10, "revenue": 1_000_000}, CTO, "match", "match"),
        ({**IDEAL, "employees": 10}, CTO, "unknown", "match"),
        ({**IDEAL, "employees": 10, "revenue": 10}, CTO, "no match", "match"),
        (IDEAL, {"seniority": "executive"}, "match", "unknown"),
        (IDEAL, {"seniority": "staff"}, "match", "no match"),
        (None, {**CTO, "industry": "technology", "employees": 200}, "unknown", "match"),
    ],
)
def test_company_and_person_are_matched_apart(
    firm: Any, person: Any, company: str, persona: str
) -> None:
    """S007: the ideal company with the wrong person is a match and no match, side by side; the
    company is the account, whatever the lead says of its own; neither gives a point."""
    world = World([lead("x", account_id="a", **person)], [], [account("a", **firm)] if firm else [])
    plain, ideal = weighted(), weighted(icp=ICP)
    (row,) = world.rows(world.asked(icp_fit, ideal))
    assert (row["company"], row["persona"]) == (company, persona)
    assert world.scores(plain) == world.scores(ideal)


@pytest.mark.parametrize("icp", [{}, {"company": {"industry": "x"}}, {**ICP, "company": {}}])
def test_a_profile_names_company_and_person(icp: Any) -> None:
    """S007: half a profile, or an empty condition, is refused."""
    with pytest.raises(ValidationError):
        weighted(icp=icp)


def asking(*fields: str) -> Model:
    """A model that gives points for each of some fields of the lead."""
    rules = [
        {"id": f"r{n}", "points": 1, "when": {name: "x"} if isinstance(name, str) else name}
        for n, name in enumerate(fields)
    ]
    return weighted(fit=rules)


TEN = ("first_name", "last_name", "title", "seniority", "function", "company", "website", "state",
       "source", "status")  # fmt: skip


def test_missing_answers_cost_nothing_and_are_counted() -> None:
    """S191: two neutral answers of ten, or ten of ten: the same score; completeness tells them
    apart. What the account says is known, a custom field too; a field asked twice counts once."""
    few = dict.fromkeys(TEN[:2], "neutral")
    many = dict.fromkeys(TEN, "neutral")
    world = World([lead("few", **few), lead("many", **many)])
    model = asking(*TEN, *TEN[:1])
    assert world.scores(model) == {"few": 0, "many": 0}
    rows = world.rows(world.asked(completeness, model))
    assert {r["lead_id"]: (r["known"], r["asked"]) for r in rows} == {
        "few": (2, 10), "many": (10, 10),
    }  # fmt: skip
    firm = account("a", industry="technology", revenue=5)
    world = World([lead("x", account_id="a", custom={"budget": "1"})], [], [firm])
    model = weighted(
        fit=[
            {"id": "a", "points": 1,
             "when": {"industry": "x", "created_at": {"at_most_ago": "2 days"}}},
            {"id": "b", "points": 1, "when": {"account": {"revenue": 1, "type": "x"}}},
            {"id": "c", "points": 1, "when": {"custom": {"budget": 1, "need": True}}},
            {"id": "d", "points": 1, "when": {"origins": {"title": "given"}, "title": "x"}},
        ]
    )  # fmt: skip
    (row,) = world.rows(world.asked(completeness, model))
    assert (row["known"], row["asked"]) == (3, 7)
    assert not fit_fields(weighted(fit=[]))


@pytest.mark.parametrize(
    ("origins", "points"),
    [({"employees": "given"}, 1), ({"employees": "appended"}, 0), ({}, 0), (None, 0)],
)
def test_a_rule_may_ask_where_a_value_comes_from(origins: Any, points: int) -> None:
    """A number that was bought need not earn what one that was given does; of lead and account."""
    source = {"employees": as_source("N", "given", "60")}
    told = {"employees": 60, "origins": origins, "sources": source}
    world = World([lead("x", **told), lead("y", account_id="a")], [],
                  [Account(id="a", object_type="A", modified_at=T0, **told)])  # fmt: skip
    asked = {"employees": {"at_least": 50}, "origins": {"employees": "given"}}
    own = weighted(fit=[{"id": "own", "points": 1, "when": asked}])
    assert world.scores(own) == {"x": points * 10_000, "y": 0}
    firm = weighted(fit=[{"id": "firm", "points": 1, "when": {"account": asked}}])
    assert world.scores(firm) == {"x": 0, "y": points * 10_000}


def day(n: int) -> datetime:
    """A day of January."""
    return datetime(2026, 1, n, tzinfo=UTC)


def test_earlier_answers_are_kept_with_time_and_stage() -> None:
    """S190: each value with since when it held and the stage of that time; one that was taken
    back is empty; what never changed, and what leadgauge itself writes, is not listed."""
    first = {"id": "x", "valid_from": day(1), "valid_to": day(5), "connection": "crm",
             "title": "CTO", "employees": 10, "technologies": ["a"], "custom": None,
             "present": [("score", "1")], "modified_at": day(1)}  # fmt: skip
    second = {**first, "valid_from": day(5), "valid_to": day(9), "employees": 20,
              "technologies": ["a", "b"], "custom": [("budget", "5")],
              "present": [("score", "2")], "modified_at": day(5)}  # fmt: skip
    third = {**second, "valid_from": day(9), "valid_to": None, "custom": [("budget", "7")],
             "technologies": None}  # fmt: skip
    stages = [(day(2), "IQL"), (day(5), "MQL"), (day(9) + timedelta(seconds=1), "SQL")]
    said = [(s.field, s.value, s.since, s.stage)
            for s in changed_answers([first, second, third], stages)]  # fmt: skip
    assert said == [
        ("custom.budget", "5", day(5), "MQL"),
        ("custom.budget", "7", day(9), "MQL"),
        ("employees", "10", day(1), None),
        ("employees", "20", day(5), "MQL"),
        ("technologies", "a", day(1), None),
        ("technologies", "a, b", day(5), "MQL"),
        ("technologies", None, day(9), "MQL"),
    ]
