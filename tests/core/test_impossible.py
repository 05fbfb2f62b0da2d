"""Lint: what can never be met, whether it excludes itself or asks for words that no fact holds."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis
import pytest
from pydantic import ValidationError

from core.allowed import never_holds
from core.conditions import ActivityCondition, LeadCondition
from core.facts import TIME
from core.lint import lint
from core.rules import Model, parse
from core.vocabulary import Words

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAPER = {"id": "paper", "points": 45, "when": {"type": "download"}}


def model(when: Any, points: int = 5, **content: Any) -> Model:
    """A sound model with one more rule over leads."""
    boss = {"id": "boss", "points": 60, "when": {"seniority": "executive"}}
    base = {"name": "m", "thresholds": {"mql": 70, "sql": 100}, "behaviour": [PAPER]}
    return parse({**base, "fit": [boss, {"id": "r", "points": points, "when": when}], **content})


US, DE = {"country": "US"}, {"country": "DE"}


@pytest.mark.parametrize(
    "when",
    [
        {"all": [US, DE]},
        {**US, "all": [{"all": [DE]}]},
        {**US, "any": [DE, {"country": {"starts_with": "f"}}]},
        {**US, "any": [{"any": [DE]}]},
        {**US, "not": US},
        {"country": "US", "title": "CTO", "not": {"any": [DE, {"country": ["US", "FR"]}]}},
        {"country": {"equals": "US", "starts_with": "D"}},
        {"country": {"known": False, "contains": "x"}},
        {"all": [{"country": {"known": False}}, US]},
        {"all": [{"title": {"starts_with": "vp"}}, {"title": {"starts_with": ["head", "chief"]}}]},
        {"created_at": {"since": "2026-02-01", "before": "2026-01-01"}},
        {"created_at": {"since": "2026-01-01", "before": "2026-01-01"}},
        {"created_at": {"at_least_ago": "3 years", "at_most_ago": "1 year"}},
        {"created_at": {"at_least_ago": "100 days", "at_most_ago": "3 months"}},
        {"created_at": {"at_least_ago": "1 day", "within_next": "9 days"}},
        {"all": [{"employees": {"above": 9}}, {"employees": {"below": 9}}]},
        {"all": [{"employees": {"above": 9}}, {"account": {"employees": 1}, "employees": 9}]},
        {"employees": {"equals": 5, "above": 9}},
        {"employees": {"equals": [5, 6], "below": 5}},
        {"all": [{"email_opt_out": True}, {"email_opt_out": False}]},
        {"all": [{"past": {"stage": "MQL"}}, {"past": {"stage": "SQL"}}]},
        {"custom": {"x": {"in_network": "10.0.0.0/8", "equals": "11.0.0.1"}}},
        {"custom": {"x": {"in_network": "2001:db8::/32", "equals": ["::1", "10.0.0.1"]}}},
    ],
)
def test_what_excludes_itself_is_an_error(when: Any) -> None:
    """U20: whatever operators and nesting it takes, no lead can meet it."""
    found = [f for f in lint(model(when)) if f.place == ("fit", 1, "when")]
    assert [(f.severity, "rule r never holds" in f.what) for f in found] == [("error", True)]


@pytest.mark.parametrize(
    "when",
    [
        {"any": [US, DE]},
        {**US, "not": DE},
        {"title": "CTO", "not": {"title": {"starts_with": "cto a"}}},
        {**US, "any": [DE, {"title": "CTO"}]},
        {"created_at": {"at_least_ago": "90 days", "at_most_ago": "3 months"}},
        {"created_at": {"at_least_ago": "1 month", "at_most_ago": "1 month"}},
        {"created_at": {"at_most_ago": "1 month", "within_next": "1 month"}},
        {"all": [{"employees": {"at_least": 9}}, {"employees": {"at_most": 9}}]},
        {"all": [{"title": {"contains": "vp"}}, {"title": {"contains": "sales"}}]},
        {"all": [{"title": {"starts_with": "vp"}}, {"title": {"starts_with": "vp sales"}}]},
        {"all": [{"technologies": {"contains": "a"}}, {"technologies": {"contains": "b"}}]},
        {"custom": {"x": {"equals": "a", "in_network": "10.0.0.0/8"}}},
        {"all": [{"custom": {"x": "5"}}, {"custom": {"x": {"above": 4}}}]},
        {**US, "account": DE},
    ],
)
def test_what_can_be_met_is_left_alone(when: Any) -> None:
    """U20: an error is surely one."""
    assert lint(model(when)) == []


def test_a_share_is_no_percentage() -> None:
    """U20: three quarters are 0.75; nobody attended 75 times as long as it was."""
    with pytest.raises(ValidationError, match="75 is no share from 0 to 1"):
        ActivityCondition.model_validate({"attended": {"at_least": 75}})


def test_what_lint_calls_impossible_matches_no_lead() -> None:
    """U20: of random conditions, none that never holds by lint holds for any random lead."""
    chance = random.Random(20)
    drawn = [LeadCondition.model_validate(_condition(chance, 2)) for _ in range(800)]
    impossible = [when for when in drawn if never_holds(when)]
    assert 50 < len(impossible) < 500
    people = ibis.memtable([_lead(chance) for _ in range(300)], schema=_LEADS)
    columns = {f"c{n}": when.holds(people).sum() for n, when in enumerate(impossible[:100])}
    possible = [when for when in drawn if not never_holds(when)][:20]
    columns |= {f"p{n}": when.holds(people).sum() for n, when in enumerate(possible)}
    engine = ibis.duckdb.connect()
    engine.raw_sql("SET TimeZone = 'UTC'")
    (found,) = engine.to_pyarrow(people.aggregate(**columns)).to_pylist()
    assert {name for name, holds in found.items() if holds and name.startswith("c")} == set()
    assert sum(bool(holds) for name, holds in found.items() if name.startswith("p")) > 10


_LEADS = ibis.schema(
    {
        "now": TIME,
        "country": "string",
        "employees": "int64",
        "created_at": TIME,
        "email_opt_out": "boolean",
        "custom.x": "string",
    }
)


def _lead(chance: random.Random) -> dict[str, Any]:
    ago = timedelta(days=chance.choice([-40, -1, 0, 1, 29, 31, 60, 364, 366, 800]))
    values = {
        "country": chance.choice(["US", "us ", "DE", "usa"]),
        "employees": chance.randrange(4),
        "created_at": NOW - ago,
        "email_opt_out": chance.random() < 0.5,
        "custom.x": chance.choice(["1", "2", "a", "us"]),
    }
    return {"now": NOW} | {n: v if chance.random() < 0.9 else None for n, v in values.items()}


def _condition(chance: random.Random, depth: int) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name in chance.sample(sorted(_TESTS), chance.choice([1, 1, 2])):
        test = _TESTS[name](chance)
        if chance.random() < 0.1:
            test = {**test, "known": chance.random() < 0.5} if isinstance(test, dict) else test
        said |= {"custom": {"x": test}} if name == "custom.x" else {name: test}
    if depth and chance.random() < 0.7:
        key = chance.choice(["all", "any", "not"])
        inner = [_condition(chance, depth - 1) for _ in range(chance.choice([1, 2]))]
        said[key] = inner[0] if key == "not" else inner
    return said


def _text(chance: random.Random) -> Any:
    words = ["US", "us", "DE", "d", "1", "a"]
    chosen = chance.sample(words, chance.choice([1, 2]))
    if chance.random() < 0.4:
        return chosen
    return {
        n: chance.choice(words) for n in chance.sample(["contains", "starts_with", "equals"], 2)
    }


def _number(chance: random.Random) -> Any:
    operators = ["at_least", "above", "at_most", "below", "equals"]
    return {name: chance.randrange(4) for name in chance.sample(operators, 2)}


def _time(chance: random.Random) -> Any:
    def span() -> str:
        return f"{chance.choice([1, 2, 12, 30])} {chance.choice(['day', 'month', 'year'])}"

    def day() -> str:
        return f"{NOW - timedelta(days=chance.choice([0, 30, 365, 700])):%Y-%m-%d}"

    given = {name: span() for name in ("at_least_ago", "at_most_ago", "within_next")}
    given |= {name: day() for name in ("since", "before")}
    return {name: given[name] for name in chance.sample(sorted(given), chance.choice([1, 2]))}


_TESTS = {
    "country": _text,
    "employees": _number,
    "created_at": _time,
    "email_opt_out": lambda chance: chance.random() < 0.5,
    "custom.x": lambda chance: chance.choice([_text, _number])(chance),
}

SAYS: dict[str, tuple[dict[str, Any], str]] = {
    "c-level": ({"seniority": "c-level"}, "one of executive, director, manager, staff"),
    "a title": ({"seniority": "VP"}, "director"),
    "a line of work": ({"function": "IT"}, "engineering"),
    "a hyphen": ({"us_region": "mid-west"}, "midwest"),
    "a state for its region": ({"us_region": "Illinois"}, "midwest"),
    "a region that is none": ({"region": "emea"}, "one of north_america, latin_america, europe"),
    "a blank": ({"region": "North America"}, "north_america"),
    "a country for its region": ({"region": "Germany"}, "europe"),
    "a name of a country": ({"country": "Germany"}, "DE"),
    "another code": ({"country": ["US", "UK"]}, "GB"),
    "no country": ({"country": "Atlantis"}, "the ISO 3166 code of a country"),
    "an industry": ({"industry": "Tech"}, "technology"),
    "an industry of an account": (
        {"account": {"industry": "Financial Services"}},
        "financial_serv",
    ),
    "a web address": ({"account": {"domain": "https://www.Acme.com/x"}}, "acme.com"),
    "in what must not hold": ({"not": {"any": [{"industry": "Tech"}]}}, "technology"),
}
CODES = {"germany": "DE", "uk": "GB", "us": "US", "de": "DE"}
WORDS = Words(country=lambda text: CODES.get(text.lower()))


@pytest.mark.parametrize("case", SAYS)
def test_words_that_no_fact_holds(case: str) -> None:
    """U20: an error at the very field, with the word that facts hold; and no rule that can never
    hold is said to reach the threshold alone."""
    when, said = SAYS[case]
    (found,) = lint(model(when, points=1), WORDS)
    assert (found.severity, found.place[:3]) == ("error", ("fit", 1, "when"))
    assert len(found.place) > 3
    assert found.advice.startswith(f"Say {said}")
    if "not" not in when and case != "another code":
        assert lint(model(when, points=99), WORDS) == [found]


def test_each_word_of_a_list_is_named_where_it_stands() -> None:
    """U20: in lists and in what must not hold, as in a bare value; every wrong one."""
    when = {"not": {"account": {"industry": ["technology", "Banking", "Tech"]}}}
    found = lint(model(when, points=1), WORDS)
    at = ("fit", 1, "when", "not", "account", "industry", "equals")
    assert [(f.place, f.advice) for f in found] == [
        ((*at, 1), "Say financial_services."), ((*at, 2), "Say technology."),
    ]  # fmt: skip


PARTS: dict[str, tuple[Any, str]] = {
    "of a rank": ({"seniority": {"contains": "exekutive"}}, "executive"),
    "of a region": ({"region": {"starts_with": ["Germ"]}}, "one of north_america"),
    "of a country": ({"country": {"contains": "Germany"}}, "DE"),
    "of a domain": ({"account": {"domain": {"starts_with": "https://acme.com"}}}, "acme.com"),
    "with www": ({"account": {"domain": {"starts_with": "www.acme.com"}}}, "acme.com"),
}


@pytest.mark.parametrize("case", PARTS)
def test_parts_that_no_word_in_facts_has(case: str) -> None:
    """U20: `contains` and `starts_with` are held to the same words as equality."""
    when, said = PARTS[case]
    (found,) = lint(model(when, points=99), WORDS)
    assert found.severity == "error"
    assert found.advice.startswith(f"Say {said}")
    assert "which no fact holds" in found.what


def test_parts_that_a_word_in_facts_may_have() -> None:
    """U20: a part is no word: what may be in one is left alone."""
    fine = {
        "seniority": {"contains": "EXEC"}, "region": {"starts_with": "north"},
        "country": {"starts_with": "d"}, "industry": {"contains": "Tech"},
        "account": {"domain": {"contains": [".edu", "acme"]}},
    }  # fmt: skip
    assert lint(model(fine, points=1), WORDS) == []
    visits = {"asset": {"starts_with": ["/pricing/", "/"]}, "type": {"contains": "page"}}
    view = {"id": "view", "points": 1, "when": visits}
    assert lint(model({"title": "x"}, behaviour=[PAPER, view])) == []


def test_words_of_activities() -> None:
    """U20: types are single words, and assets paths; of accounts a type is the CRM's own text."""
    views = [
        ({"type": "Page View"}, "page_view"),
        ({"asset": "https://www.acme.com/pricing"}, "/pricing"),
        ({"asset": "/pricing/"}, "/pricing"),
        ({"asset": {"starts_with": "https://www.acme.com/pricing"}}, "/pricing"),
        ({"type": {"starts_with": "Page View"}}, "page_view"),
    ]
    for when, said in views:
        rule = {"id": "view", "points": 70, "when": when}
        (found,) = lint(model({"title": "x"}, behaviour=[PAPER, rule]))
        assert (found.place[:3], found.advice) == (("behaviour", 1, "when"), f"Say {said}.")
    assert lint(model({"account": {"type": "Key Account"}})) == []


def test_a_state_by_its_name_is_a_warning() -> None:
    """U20: of a lead in the US it is two letters; elsewhere it stays as it is given."""
    (found,) = lint(model({"state": "Illinois"}))
    assert (found.severity, found.advice) == ("warning", "Say IL, unless that is meant.")
    assert lint(model({"state": ["IL", "Ontario"]})) == []


def test_words_that_can_occur_are_left_alone() -> None:
    """U20: whatever case they have; and all of those that a mapping takes over as they are."""
    assert lint(model({"industry": "Technology", "seniority": " Executive", "country": "de"})) == []
    assert lint(model({"industry": "beekeeping", "us_region": ["abroad", "territory"]})) == []
    assert lint(model({"seniority": "c-level"}), Words(own={"seniority"})) == []


def test_a_size_that_an_earlier_one_covers_is_dead() -> None:
    """U20: the first size that holds counts."""
    sizes = [{"id": f"s{n}", "when": {"employees": {"below": n}}} for n in (100, 50)]
    limits = {"behaviour": {"cap": 100}}
    smelly = model({"title": "x"}, sizes=sizes, limits=limits, thresholds={"mql": 70, "sql": 90})
    found = [f for f in lint(smelly) if f.place == ("sizes", 1)]
    assert ["size s50 is dead: s100 holds wherever it does" in f.what for f in found] == [True]
    assert not [f for f in lint(smelly) if f.place == ("sizes", 0)]


@pytest.mark.parametrize("part", ["fit", "behaviour"])
def test_a_cap_of_a_part_below_its_rules(part: str) -> None:
    """U20: what no rule can give is said, as of a group."""
    smelly = model({"title": "x"}, limits={part: {"cap": 10}}, thresholds={"mql": 10, "sql": 20})
    (found,) = [f for f in lint(smelly) if f.place == ("limits", part, "cap")]
    points, name = (60, "boss") if part == "fit" else (45, "paper")
    assert f"cap 10 is below the {points} points of rule {name}" in found.what


def test_a_threshold_cannot_be_lowered_to_nothing() -> None:
    """U20: where no rule gives points, the advice is to give some."""
    taking = {**PAPER, "points": -5}
    content = {"name": "m", "thresholds": {"mql": 1, "sql": 2}, "behaviour": [taking]}
    mql, _sql = lint(parse(content))
    assert (mql.what, mql.advice) == (
        "threshold mql 1 is out of reach: all rules together give 0",
        "Give points: a threshold is above 0.",
    )
