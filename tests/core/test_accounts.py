"""Accounts: who belongs to them, and how their people's points become theirs."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any

import ibis
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from core.changes import changes
from core.decision import UNIT
from core.identity import Identity
from core.known import Facts
from core.model import Lead
from core.persons import shared
from core.propensity import Accounts, propensity
from core.rules import Model, parse
from core.segments import Segment
from core.unmapped import unmapped
from core.verdict import judge
from tests.core.golden import T0, World, account, activity, lead

DAY = timedelta(days=1)
PAYS = [
    {"id": f"pays-{points}", "points": points, "when": {"custom": {"worth": points}}}
    for points in (60, 40, 30, 20, 10, -10)
]
VIEW = {"id": "view", "points": 4, "when": {"type": "page_view"}, "count": "each"}
CALL = {"id": "call", "points": 7, "when": {"type": "call"}}
CEO = {"seniority": "executive", "function": "management"}
CTO = {"seniority": "director", "function": "engineering"}
USER = {"seniority": "staff", "function": "sales"}
ROLES = {
    "economic": {"seniority": "executive"},
    "technical": {"function": "engineering"},
    "user": {"seniority": "staff"},
}


def model(accounts: Any, **content: Any) -> Model:
    """A model in which a lead is worth what it says, and does."""
    given = {"fit": PAYS, "behaviour": [VIEW, CALL], **content}
    scoring = {"top": 100, **accounts}
    return parse({"name": "m", "thresholds": {"mql": 50, "sql": 100}, "accounts": scoring, **given})


def worth(id: str, points: int, firm: str = "A", **fields: Any) -> Lead:
    """A contact of an account that is worth so many points."""
    return lead(id, account_id=firm, custom={"worth": str(points)}, **fields)


def ranked(rules: Model, facts: Facts, at: datetime) -> Accounts:
    """What a model says of the accounts."""
    return propensity(rules, judge((Segment(rules),), facts, at), facts, at)


def scores(world: World, rules: Model) -> dict[str, Any]:
    """The scores of the accounts of the connection `crm`, by account."""
    rows = world.rows(world.asked(ranked, rules).scores)
    return {row["account_id"]: row for row in rows if row["connection"] == "crm"}


def lines(world: World, rules: Model) -> dict[tuple[Any, ...], tuple[int, int]]:
    """By itself, and what counts: by (account, rule, contact)."""
    rows = world.rows(world.asked(ranked, rules).contributions)
    key = ("account_id", "rule", "lead_id")
    return {tuple(row[k] for k in key): (row["raw"], row["points"]) for row in rows}


@pytest.mark.parametrize(
    ("rollup", "total", "each"),
    [
        ({}, 60, (30, 20, 10)),
        ({"method": "max"}, 30, (30, 0, 0)),
        ({"method": "mean"}, 20, (10, 6.6666, 3.3334)),
        ({"method": "top", "top": 2}, 50, (30, 20, 0)),
    ],
)
def test_the_roll_up(rollup: Any, total: int, each: tuple[float, ...]) -> None:
    """S212 D47: contacts 30, 20, 10: sum 60, max 30, mean 20, top-2 50; every contact has a
    line, and they add up."""
    world = World([worth("c", 10), worth("a", 30), worth("b", 20)], accounts=[account("A")])
    rules = model({"rollup": rollup})
    counted = {who: pair for (_, _, who), pair in lines(world, rules).items() if who}
    assert counted == {
        who: (amount * UNIT, round(share * UNIT))
        for who, amount, share in zip("abc", (30, 20, 10), each, strict=True)
    }
    assert sum(points for _raw, points in counted.values()) == total * UNIT


def test_a_mean_is_exact_and_rounded_down() -> None:
    """S212: to 1/10,000 point; people with no points count, and who is no lead does not."""
    firms = {"A": (10, 10, 0), "B": (-10, 0, 0), "C": (10, -10), "D": (20,), "E": ()}
    people = [
        worth(f"{firm}{n}", points, firm)
        for firm, amounts in firms.items()
        for n, points in enumerate(amounts)
    ]
    people.append(lead("nobody", email=None, account_id="D"))
    world = World(people, accounts=[account(firm) for firm in firms])
    rows = scores(world, model({"rollup": {"method": "mean"}}))
    assert {firm: (row["raw"], row["contacts"]) for firm, row in rows.items()} == {
        "A": (66_666, 3), "B": (-33_334, 3), "C": (0, 2), "D": (200_000, 1), "E": (0, 0),
    }  # fmt: skip


def test_a_roll_up_of_behaviour_leaves_fit_out() -> None:
    """S212: the behaviour points of contacts, before weighting."""
    world = World([worth("a", 30)], [activity("v", "a", "page_view")], [account("A")])
    weights = {"fit": 1, "behaviour": 0.5}
    assert scores(world, model({}, weights=weights))["A"]["raw"] == 32 * UNIT
    rules = model({"rollup": {"of": "behaviour"}}, weights=weights)
    assert scores(world, rules)["A"]["raw"] == 4 * UNIT


def test_one_strong_contact_and_a_committee() -> None:
    """S014: one contact of 60 and three of 20 in three roles: the same raw total, and a coverage
    of 1 and of 3 roles. Nobody is a committee alone: a contact fills the first role that holds,
    what is not known fills none, and a role counts once."""
    people = [
        worth("x", 60, "X", **CTO),
        worth("y1", 20, "Y", **CEO),
        worth("y2", 20, "Y", **CTO),
        worth("y3", 20, "Y", **USER),
        lead("z1", account_id="Z", seniority="executive", function="engineering"),
        lead("z2", account_id="Z", seniority="executive"),
        lead("z3", account_id="Z"),
    ]
    world = World(people, accounts=[account(firm) for firm in "XYZ"])
    plain = scores(world, model({"committee": {"roles": ROLES, "points": 0}}))
    assert {firm: (row["raw"], row["roles"]) for firm, row in plain.items()} == {
        "X": (60 * UNIT, 1), "Y": (60 * UNIT, 3), "Z": (0, 1),
    }  # fmt: skip
    paid = lines(world, model({"committee": {"roles": ROLES, "points": 5}}))
    assert {key: points for key, (_, points) in paid.items() if key[1].startswith("role:")} == {
        ("X", "role:technical", "x"): 5 * UNIT,
        ("Y", "role:economic", "y1"): 5 * UNIT,
        ("Y", "role:technical", "y2"): 5 * UNIT,
        ("Y", "role:user", "y3"): 5 * UNIT,
        ("Z", "role:economic", "z1"): 5 * UNIT,
    }


TARGET_RULE = {"id": "abm", "points": 30, "when": {"account": {"target": True}}}


@pytest.mark.parametrize(
    ("targets", "firms"),
    [
        (
            {"domains": ["https://www.Acme.com/"]},
            [(True, {"domain": "acme.com"}), (False, {"domain": "other.com"}), (None, {})],
        ),
        (
            {"domains": ["acme.com"], "when": {"type": "prospect", "custom": {"list": "abm"}}},
            [
                (True, {"type": "Prospect", "custom": {"list": "ABM"}, "domain": "x.com"}),
                (False, {"type": "Customer", "custom": {"list": "abm"}, "domain": "x.com"}),
                (True, {"type": "Customer", "domain": "acme.com"}),
                (None, {"type": "Customer"}),
            ],
        ),
        (
            {"when": {"created_at": {"at_most_ago": "3 days"}}},
            [(True, {"created_at": T0 - DAY}), (False, {"created_at": T0 - 4 * DAY})],
        ),
    ],
)
def test_target_accounts(targets: Any, firms: list[tuple[bool | None, Any]]) -> None:
    """S017: on the list the flag is true and the rules fire, off it neither; where it is not
    known, no rule fires."""
    fit = [{"id": "target", "points": 9, "when": {"target": True}}]
    rules = model({"targets": targets, "fit": fit}, fit=[TARGET_RULE])
    accounts = [account(f"A{n}", **fields) for n, (_, fields) in enumerate(firms)]
    world = World([lead(f"p{firm.id}", account_id=firm.id) for firm in accounts], (), accounts)
    rows = scores(world, rules)
    flags = {f"A{n}": flag for n, (flag, _) in enumerate(firms)}
    assert {firm: row["target"] for firm, row in rows.items()} == flags
    points = {firm: 39 * UNIT if flag else 0 for firm, flag in flags.items()}
    assert {firm: row["raw"] for firm, row in rows.items()} == points


def test_fit_of_the_account_alone() -> None:
    """S013: rules over the account's own fields; what is not known costs nothing."""
    rules = model(
        {
            "fit": [
                {"id": "mid", "points": 10, "when": {"employees": {"at_least": 50, "below": 99}}},
                {"id": "free", "points": 3, "when": {"not": {"type": "Customer"}}},
                {"id": "cloud", "points": 5, "when": {"any": [
                    {"technologies": {"contains": "aws"}}, {"custom": {"cloud": True}}]}},
            ]
        }
    )  # fmt: skip
    firms = [
        account("A", employees=50, type="Prospect", technologies=("aws", "linux")),
        account("B", employees=99, type="Customer", custom={"cloud": "true"}),
        account("C"),
    ]
    world = World([], accounts=firms)
    assert {firm: row["raw"] // UNIT for firm, row in scores(world, rules).items()} == {
        "A": 18, "B": 5, "C": 0,
    }  # fmt: skip


def test_the_scale() -> None:
    """S013: a whole number from 0 to 100, rounded down; what the scale takes is a line."""
    expected = {60: 98, 61: 100, 40: 65, 0: 0, -10: 0, 100: 100}
    extra = {"id": "one", "points": 1, "when": {"custom": {"worth": 61}}}
    hundred = {"id": "hundred", "points": 100, "when": {"custom": {"worth": 100}}}
    sixty = {"id": "sixty", "points": 60, "when": {"custom": {"worth": 61}}}
    world = World(
        [worth(f"p{points}", points, f"{points}") for points in expected],
        accounts=[account(f"{points}") for points in expected],
    )
    rules = model({"top": 61}, fit=[*PAYS, extra, sixty, hundred])
    assert {firm: row["aps"] for firm, row in scores(world, rules).items()} == {
        f"{points}": aps * UNIT for points, aps in expected.items()
    }
    found = {key[0]: pair for key, pair in lines(world, rules).items() if key[1] == "scale:100"}
    assert found == {
        f"{points}": (0, (aps - points) * UNIT) for points, aps in expected.items() if aps != points
    }


VISITS = [
    activity("v1", "", "page_view", T0 - 2 * DAY, account_id="A", custom={"confidence": "0.8"}),
    activity("v2", "", "page_view", T0 - DAY, account_id="A", custom={"confidence": "0.95"}),
    activity("v3", "", "page_view", account_id="A", custom={"confidence": "0.79"}),
    activity("v4", "", "page_view", account_id="A"),
    activity("v5", "", "page_view", T0 + DAY, account_id="A", custom={"confidence": "1"}),
    activity("v6", "", "download", account_id="A", custom={"confidence": "1"}),
    activity("v7", "a", "page_view", account_id="A", custom={"confidence": "1"}),
    activity("v8", "", "page_view", account_id="gone", custom={"confidence": "1"}),
]
SURE = {"when": {"custom": {"confidence": {"at_least": 0.8}}}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("anonymous", "points", "last"),
    [(None, 0, None), ({}, 16, "v4"), (SURE, 8, "v2")],
)
def test_anonymous_visits_count_for_the_account(
    anonymous: Any, points: int, last: str | None
) -> None:
    """S206 S215: for the account and for no person; below the limit of confidence, and where
    none is known, they are ignored."""
    world = World([lead("a", account_id="A")], VISITS, [account("A")])
    rules = model({"anonymous": anonymous})
    rows = world.rows(world.asked(ranked, rules).contributions)
    nobodys = [row for row in rows if row["part"] == "anonymous"]
    assert sum(row["points"] for row in nobodys) == points * UNIT
    assert {row["evidence"] for row in nobodys} == ({last} if last else set())
    assert all(row["lead_id"] is None for row in nobodys)
    assert world.scores(rules) == {"a": 4 * UNIT}
    assert sum(row["points"] for row in rows if row["part"] != "scale") == (points + 4) * UNIT


@pytest.mark.slow
def test_anonymous_visits_obey_caps_limits_and_weights() -> None:
    """S206: the same behaviour rules as for a person, weighted where contacts' scores are."""
    world = World([], [v.model_copy(update={"custom": None}) for v in VISITS], [account("A")])
    capped = {**VIEW, "cap": 10}
    weights = {"behaviour": 0.5}
    for content, points in (
        ({"behaviour": [capped]}, 10),
        ({"behaviour": [capped], "weights": weights}, 5),
        ({"limits": {"behaviour": {"cap": 6}}}, 6),
        ({"ignore": [{"id": "us", "when": {"type": "page_view"}}]}, 0),
    ):
        assert scores(world, model({"anonymous": {}}, **content))["A"]["raw"] == points * UNIT
    rules = model({"anonymous": {}, "rollup": {"of": "behaviour"}}, weights=weights)
    assert scores(world, rules)["A"]["raw"] == 16 * UNIT


def test_merged_accounts_count_for_the_survivor() -> None:
    """S212: contacts and anonymous visits that still name the merged account are the other's."""
    aliases = [("accounts", "gone", "A"), ("leads", "B", "A")]
    people = [worth("a", 20), worth("b", 10, "gone"), worth("c", 60, "B")]
    visits = [v for v in VISITS if v.id in ("v1", "v8")]
    world = World(people, visits, [account("A", industry="technology"), account("B")], aliases)
    tech = {"id": "tech", "points": 1, "when": {"industry": "technology"}}
    rules = model({"anonymous": {}}, fit=[*PAYS, tech])
    assert {firm: row["raw"] // UNIT for firm, row in scores(world, rules).items()} == {
        "A": 40, "B": 60,
    }  # fmt: skip
    assert world.scores(rules)["b"] == 11 * UNIT


def test_the_newest_signal_is_the_last_thing_that_earned_points() -> None:
    """S024: of contacts and of nobody in particular; other activities are no signal of intent."""
    did = [
        activity("1", "a", "page_view", T0 - 9 * DAY),
        activity("2", "a", "email_open", T0 - DAY),
        activity("3", "b", "page_view", T0 - 5 * DAY),
        activity("4", "", "page_view", T0 - 3 * DAY, account_id="C"),
    ]
    people = [lead("a", account_id="A"), lead("b", account_id="A"), lead("d", account_id="D")]
    world = World(people, did, [account(firm) for firm in "ACD"])
    rows = scores(world, model({"anonymous": {}}))
    assert {firm: row["latest"] for firm, row in rows.items()} == {
        "A": T0 - 5 * DAY, "C": T0 - 3 * DAY, "D": None,
    }  # fmt: skip


TWINS = (account("twin1", domain="twin.com"), account("twin2", domain="twin.com"))


def with_twin(facts: Facts) -> Facts:
    """The same records in a second CRM, all but the lead `b` and the second half of a domain."""

    def doubled(table: ibis.Table) -> ibis.Table:
        twin = table.mutate(connection=ibis.literal("other")).select(table.columns)
        return table.union(twin.filter(~twin.id.isin(["b", "twin2"])).cast(table.schema()))

    return Facts(*map(doubled, (facts.leads, facts.accounts, facts.activities, facts.aliases)))


def test_records_of_two_crms_never_meet() -> None:
    """U11: ids and domains are a connection's own."""
    people = [worth("a", 20), worth("b", 10), lead("x", email="x@twin.com")]
    world = World(people, accounts=[account("A"), *TWINS])
    rows = world.rows(ranked(model({}), with_twin(world.facts), T0).scores)
    raw = {(r["connection"], r["account_id"]): (r["raw"] // UNIT, r["contacts"]) for r in rows}
    assert (raw["crm", "A"], raw["other", "A"]) == ((30, 2), (20, 1))
    assert (raw["crm", "twin1"], raw["other", "twin1"]) == ((0, 0), (0, 1))


def test_of_people_that_two_crms_call_the_same_the_first_by_connection_counts() -> None:
    """U11: contacts with equal points and equal ids are told apart by their CRM, so that it is the
    same one whatever the order of the rows."""
    rules, names = model({"rollup": {"method": "max"}}), ("mid", "abc", "zzz")
    people = [(name, worth("7", 10, email=f"{name}@acme.com")) for name in names]
    world = World(people, accounts=[(name, account("A", domain="acme.com")) for name in names])
    facts = shared(Identity(accounts=True), world.facts, T0)
    rows = world.rows(ranked(rules, facts, T0).contributions)
    found = [r for r in rows if r["part"] == "contact" and r["points"]]
    home = {r["connection"]: r["shown_by"] or r["connection"] for r in found}
    assert home == dict.fromkeys(names, "abc")


ROLLUPS: dict[str, Callable[[list[int]], int]] = {
    "sum": sum,
    "max": lambda amounts: max(amounts, default=0),
    "mean": lambda amounts: sum(amounts) // len(amounts) if amounts else 0,
    "top": lambda amounts: sum(sorted(amounts)[-2:]),
}
PEOPLE = st.lists(
    st.tuples(
        st.sampled_from((60, 30, 20, -10, 0)),
        st.sampled_from(("A", "B", None)),
        st.sampled_from((CEO, CTO, USER, {})),
    ),
    max_size=8,
)
DEEDS = st.lists(st.tuples(st.integers(0, 8), st.sampled_from(("page_view", "call"))), max_size=12)


@pytest.mark.slow
@settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(PEOPLE, DEEDS, st.sampled_from(sorted(ROLLUPS)), st.integers(1, 200), st.integers())
def test_an_account_is_the_sum_of_its_lines(
    people: list[Any], deeds: list[Any], method: str, top: int, seed: int
) -> None:
    """U11 S013: the contact lines are the roll-up of the contacts' own scores, each of them the
    sum of its contributions; all lines add up to a score within 0 and 100, in any row order."""
    leads = [worth(f"p{n}", w, firm, **who) for n, (w, firm, who) in enumerate(people)]
    did = [
        activity(f"e{n}", f"p{who}" if who < 8 else "", kind, account_id="A")
        for n, (who, kind) in enumerate(deeds)
    ]
    rollup = {"method": method, **({"top": 2} if method == "top" else {})}
    committee = {"roles": ROLES, "points": 5}
    rules = model({"rollup": rollup, "anonymous": {}, "committee": committee, "top": top})
    world = World(leads, did, [account("A"), account("B")])
    said = world.asked(ranked, rules)
    rows, totals = world.rows(said.contributions), world.rows(said.scores)
    own: dict[str, int] = dict.fromkeys((one.id for one in leads), 0)
    for (who, _rule), line in world.contributions(rules).items():
        own[who] += line["points"]
    for total in totals:
        mine = [row for row in rows if row["account_id"] == total["account_id"]]
        contacts = [row for row in mine if row["part"] == "contact"]
        assert {r["lead_id"]: r["raw"] for r in contacts} == {
            one.id: own[one.id] for one in leads if one.account_id == total["account_id"]
        }
        assert sum(r["points"] for r in contacts) == ROLLUPS[method]([r["raw"] for r in contacts])
        assert sum(row["points"] for row in mine) == total["aps"]
        assert total["aps"] == min(max(total["raw"], 0) * 100 // (top * UNIT), 100) * UNIT
    Random(seed).shuffle(leads)
    Random(seed).shuffle(did)
    again = World(leads, did, [account("B"), account("A")])

    def order(row: dict[str, Any]) -> str:
        return str(sorted(row.items(), key=str))

    assert sorted(again.rows(said.contributions), key=order) == sorted(rows, key=order)


@pytest.mark.parametrize(
    ("accounts", "content", "problem"),
    [
        ({"top": 0}, {}, "greater than 0"),
        ({"rollup": {"method": "top"}}, {}, "says how many contacts"),
        ({"rollup": {"method": "mean", "top": 2}}, {}, "says how many contacts"),
        ({"targets": {}}, {}, "say domains, when, or both"),
        ({"targets": {"domains": ["acme"]}}, {}, "'acme' is no web domain"),
        ({"targets": {"when": {"not": {"target": True}}}}, {}, "cannot ask for `target`"),
        ({"committee": {"roles": {}, "points": 1}}, {}, "at least 1 item"),
        ({"fit": [{"id": "a", "points": 1, "when": {"type": "x"}}] * 2}, {}, "two rules are"),
        ({"fit": [{"id": "a", "points": 1, "when": {"target": True}}]}, {}, "accounts.targets"),
        ({"committee": {"roles": {"a": {"account": {"target": True}}}, "points": 1}}, {},
         "accounts.targets"),
        ({}, {"fit": [TARGET_RULE]}, "accounts.targets"),
        ({}, {"disqualify": [{"id": "d", "when": {"not": TARGET_RULE["when"]}}]},
         "accounts.targets"),
        ({}, {"checklists": {"c": [{"id": "d", "when": TARGET_RULE["when"]}]}}, "accounts.targets"),
        ({"anonymous": {}}, {"behaviour": []}, "no behaviour rules"),
        ({"rollup": {"method": "median"}}, {}, "'sum', 'max', 'mean' or 'top'"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(accounts: Any, content: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        model(accounts, **content)


def test_a_change_of_accounts_is_said_in_the_model_s_terms() -> None:
    """U04: a roll-up by another method, and a rule of accounts."""
    fit = {"id": "t", "points": 5, "when": {"type": "x"}}
    old = model({"fit": [fit]})
    new = model({"fit": [{**fit, "points": 6}], "rollup": {"method": "max"}})
    assert sorted(changes(old, new)) == [
        "model: accounts rollup method sum -> max",
        "rule t: points 5 -> 6",
    ]


def test_what_no_connection_maps_is_found() -> None:
    """S017: a rule on accounts is held to the mapping; whether one is a target needs none."""
    fit = [
        {"id": "mapped", "points": 1, "when": {"domain": "acme.com", "target": True}},
        {"id": "lost", "points": 1, "when": {"any": [{"type": "x"}, {"domain": "y"}]}},
    ]
    rules = model({"targets": {"domains": ["acme.com"]}, "fit": fit}, fit=[TARGET_RULE])
    mapped = {"leads": {"email"}, "accounts": {"domain"}, "activities": {"type"}}
    (problem,) = unmapped(rules, mapped)
    assert (problem.place, problem.severity) == (("accounts", "fit", 1, "when"), "error")
    assert "rule lost asks for type" in problem.what


def test_the_expression_compiles_for_spark() -> None:
    rules = model({"committee": {"roles": ROLES, "points": 5}, "anonymous": SURE,
                   "rollup": {"method": "mean"}, "targets": {"domains": ["acme.com"]}})  # fmt: skip
    said = World([lead("a")]).asked(ranked, rules)
    for expression in (said.scores, said.contributions):
        assert "SELECT" in str(ibis.to_sql(expression, dialect="pyspark"))
