"""Fit by family: what firmographic, demographic and technographic rules give, and to whom."""

from decimal import Decimal
from typing import Any

import pytest

from connectors.mapping import table
from core.decision import UNIT
from core.model import Account, Lead
from core.prediction import probabilities
from core.rules import Model, parse
from core.scoring import unknown
from tests.core.golden import T0, World, lead


def model(*fit: tuple[str, int, Any]) -> Model:
    """A model of these rules: id, points, condition."""
    rules = [{"id": id_, "points": points, "when": when} for id_, points, when in fit]
    return parse({"name": "m", "thresholds": {"mql": 10, "sql": 30}, "fit": rules})


Found = dict[str, tuple[dict[str, float], set[str]]]


def given(rules: Model, *people: Lead, firms: tuple[Account, ...] = ()) -> Found:
    """The points that each rule gives each lead, and the rules that stay unknown for it."""
    world = World(people, accounts=firms)
    found: Found = {person.id: ({}, set()) for person in people}
    for (who, rule), row in world.contributions(rules).items():
        found[who][0][rule] = row["points"] / UNIT
    for row in world.rows(world.asked(unknown, rules)):
        found[row["lead_id"]][1].add(row["rule"])
    return found


def test_each_family_gives_its_points() -> None:
    """S022: one rule of each family; a lead has the points of those that it meets."""
    rules = model(
        ("firmographic", 7, {"employees": {"at_least": 200}}),
        ("demographic", 5, {"seniority": ["executive", "director"]}),
        ("technographic", 3, {"technologies": {"contains": "salesforce"}}),
    )
    facts: dict[str, Any] = {
        "employees": 200, "seniority": "director", "technologies": ("salesforce",),
    }  # fmt: skip
    other: dict[str, Any] = {"employees": 199, "seniority": "staff", "technologies": ("sap",)}
    alone = [lead(name, **{**other, name: facts[name]}) for name in facts]
    assert given(rules, lead("all", **facts), lead("none", **other), *alone) == {
        "all": ({"firmographic": 7, "demographic": 5, "technographic": 3}, set()),
        "none": ({}, set()),
        "employees": ({"firmographic": 7}, set()),
        "seniority": ({"demographic": 5}, set()),
        "technologies": ({"technographic": 3}, set()),
    }


MIDWEST = {
    "us_region": "midwest",
    "revenue": {"above": 10_000_000, "below": 50_000_000},
    "technologies": {"contains": "Salesforce"},
}
ASKED: dict[str, tuple[dict[str, Any], bool | None]] = {
    "asked for": ({}, True),
    "by name": ({"state": "Illinois", "country": "United States"}, True),
    "revenue 10M": ({"revenue": "10000000"}, False),
    "just above": ({"revenue": "10000000.01"}, True),
    "revenue 50M": ({"revenue": "50000000"}, False),
    "Texas": ({"state": "TX"}, False),
    "abroad": ({"country": "Germany", "state": "Hessen"}, False),
    "another stack": ({"technologies": "SAP"}, False),
    "unknown stack": ({"technologies": None}, None),
    "unknown state": ({"state": None}, None),
    "unknown revenue": ({"revenue": None}, None),
    "Texas, unknown stack": ({"state": "TX", "technologies": None}, False),
}


@pytest.mark.parametrize("owner", ["lead", "account"])
def test_the_worked_fit_question(owner: str) -> None:
    """S023: Midwest, more than 10 and less than 50 million, and Salesforce; unknown is not false.
    The same of a lead's own fields and of its account's."""
    base: dict[str, Any] = {
        "country": "US", "state": "IL", "revenue": "30000000", "technologies": "SAP;Salesforce",
    }  # fmt: skip
    raw = [{**base, **change} for change, _answer in ASKED.values()]
    columns = {name: [row[name] for row in raw] for name in base}
    columns |= {"id": list(ASKED), "object_type": ["x"] * len(raw), "modified_at": [T0] * len(raw)}
    kind = Lead if owner == "lead" else Account
    rows = [_read(kind, row) for row in table(kind, columns).rows.to_pylist()]
    rules = model(("fits", 25, MIDWEST))
    if owner == "lead":
        people = [row.model_copy(update={"email": "x@x.example"}) for row in rows]
        found = given(rules, *people)
    else:
        people = [lead(row.id, account_id=row.id) for row in rows]
        found = given(rules, *people, firms=tuple(rows))
    answers = {
        who: None if "fits" in gaps else bool(points) for who, (points, gaps) in found.items()
    }
    assert answers == {name: answer for name, (_change, answer) in ASKED.items()}
    assert found["asked for"][0] == {"fits": 25}


def _read(kind: Any, row: dict[str, Any]) -> Any:
    """A row of a page as the common model has it."""
    return kind(**{**row, "custom": None})


@pytest.mark.parametrize(
    ("technologies", "answer"),
    [
        (("sap", "salesforce"), True),
        (("sap",), False),
        ((), False),
        (None, None),
    ],
)
def test_a_stack_that_contains_a_product(technologies: Any, answer: bool | None) -> None:
    """S051: true, false, and unknown where there is no list at all."""
    rules = model(("crm", 5, {"technologies": {"contains": "Salesforce"}}))
    points, gaps = given(rules, lead("x", technologies=technologies))["x"]
    assert (points, gaps) == ({"crm": 5} if answer else {}, {"crm"} if answer is None else set())


def test_a_custom_percentage() -> None:
    """S130: a technology adoption rate that has risen by a quarter or more; a value that is no
    number is as unknown as a missing one."""
    rules = model(("adoption", 10, {"custom": {"adoption_growth": {"at_least": 25}}}))
    values = ("25", "25.5", "24.99", "-3", "a lot", None)
    people = [
        lead(f"{value}", custom={"adoption_growth": value} if value else None) for value in values
    ]
    found = given(rules, *people)
    assert {who: points for who, (points, _gaps) in found.items() if points} == {
        "25": {"adoption": 10},
        "25.5": {"adoption": 10},
    }
    assert {who for who, (_points, gaps) in found.items() if gaps} == {"a lot", "None"}


def test_demographic_rules_against_the_ideal_customer() -> None:
    """S131: industry, size, title and location, each with its own points, each on its own."""
    rules = model(
        ("industry", 1, {"industry": ["healthcare", "education"]}),
        ("size", 2, {"employees": {"at_least": 50, "below": 1000}}),
        ("title", 4, {"title": {"contains": "chief"}}),
        ("location", 8, {"region": "europe"}),
    )
    ideal: dict[str, Any] = {
        "industry": "education", "employees": 50, "title": "Chief of Staff", "region": "europe",
    }  # fmt: skip
    other: dict[str, Any] = {
        "industry": "retail",
        "employees": 1000,
        "title": "Clerk",
        "region": "asia",
    }
    alone = [lead(name, **{**other, name: value}) for name, value in ideal.items()]
    found = given(rules, lead("ideal", **ideal), lead("other", **other), lead("blank"), *alone)
    names = {"industry", "size", "title", "location"}
    assert found == {
        "ideal": ({"industry": 1, "size": 2, "title": 4, "location": 8}, set()),
        "other": ({}, set()),
        "blank": ({}, names),
        "industry": ({"industry": 1}, set()),
        "employees": ({"size": 2}, set()),
        "title": ({"title": 4}, set()),
        "region": ({"location": 8}, set()),
    }


def test_a_probability_is_a_number_from_0_to_1() -> None:
    """S056: anything else is not known, and said to be misread where it is something."""
    values = ("0", "1", "0.25", "1.000000001", "-0.1", "82 %", "1e400", None)
    people = [lead(f"{v}", custom={"won": v} if v is not None else None) for v in values]
    world = World(people)
    rows = world.rows(probabilities("won", world.facts, T0))
    known = {r["lead_id"]: r["probability"] for r in rows if r["probability"] is not None}
    assert known == {"0": Decimal(0), "1": Decimal(1), "0.25": Decimal("0.25")}
    wrong = {r["lead_id"] for r in rows if r["misread"]}
    assert wrong == {"1.000000001", "-0.1", "82 %", "1e400"}
