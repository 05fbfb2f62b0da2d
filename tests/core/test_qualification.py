"""Stage, tier, and the explanation of a score."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest

from core.explain import explain
from core.qualification import Stage
from core.rules import Model
from tests.core.golden import (
    GOLDEN_ACTIVITIES,
    GOLDEN_LEADS,
    LONG_AGO,
    T0,
    World,
    activity,
    golden,
    lead,
    weighted,
)


def scoring(points: str, **content: Any) -> Model:
    """The preset's thresholds and tiers, and one rule that gives every lead these points."""
    rule = {"id": "all", "points": points, "when": {"email": {"known": True}}}
    return weighted(fit=[rule], behaviour=[], decays={}, **content)


def by_title(points: Iterable[str]) -> Model:
    """The same, and rules r0, r1, ... that give these points to who has them for a title."""
    rules = [{"id": f"r{n}", "points": p, "when": {"title": p}} for n, p in enumerate(points)]
    return weighted(fit=rules, behaviour=[], decays={})


def qualified(model: Model, **fields: Any) -> tuple[str | None, str | None]:
    """Tier and stage of one lead."""
    world = World([lead("x", **fields)])
    (row,) = world.verdicts(model)
    return row["tier"], row["stage"]


def test_thresholds_move_stages() -> None:
    """S039 S137 S153 S154 D51: inclusive thresholds, compared with the unrounded score."""
    table = {
        "-1": (None, None),
        "0": ("D", None),
        "49.99": ("D", None),
        "49.9999": ("D", None),
        "50": ("C", "MQL"),
        "99.99": ("B", "MQL"),
        "100": ("A", "SQL"),
        "120": ("A", "SQL"),
    }
    found = World(lead(points, title=points) for points in table).verdicts(by_title(table))
    assert {row["lead_id"]: (row["tier"], row["stage"]) for row in found} == table


@pytest.mark.parametrize(
    ("accepted_at", "stage"),
    [(None, "SQL pending"), (T0, "SQL"), (T0.replace(hour=13), "SQL pending")],
)
def test_a_vetted_sql_waits_for_sales(accepted_at: Any, stage: str) -> None:
    """S040 S154: 120 without acceptance is `SQL pending`, with it SQL; a later one is unknown."""
    vetted = scoring("120", sql={"mode": "vetted"})
    assert qualified(vetted, accepted_at=accepted_at) == ("A", stage)
    assert qualified(scoring("120"), accepted_at=accepted_at) == ("A", "SQL")


def test_acceptance_alone_makes_no_sql() -> None:
    vetted = scoring("50", sql={"mode": "vetted"})
    assert qualified(vetted, accepted_at=LONG_AGO) == ("C", "MQL")


def test_a_model_without_tiers_gives_none() -> None:
    assert qualified(scoring("120", tiers={})) == (None, "SQL")


def test_reasons_name_the_biggest_first_and_add_up() -> None:
    """S120: the score, its biggest parts, and the rest as a sum."""
    world = World([*GOLDEN_LEADS, lead("none")], GOLDEN_ACTIVITIES)
    assert world.reasons(weighted()) == {
        "cto": "107: industry-technology +20, pricing-page +20, datasheet +15,"
        " title-decision-maker +15, email-download +10, 4 more +27",
        "manager": "50: blog +25, industry-healthcare +10, title-influencer +10, region-europe +5",
        "none": "0",
    }


def long_reason(points: str) -> str:
    """The reason of a lead with thirty rules of the longest names."""
    rules = [
        {"id": f"{n:02}".ljust(32, "x"), "points": points, "when": {"email": {"known": True}}}
        for n in range(30)
    ]
    return World([lead("x")]).reasons(weighted(fit=rules, behaviour=[], decays={}))["x"]


def test_the_longest_reason_fits_a_crm_text_field() -> None:
    long = long_reason("-9999.5")
    assert long.startswith("-299985: 00xxx")
    assert long.endswith(" -9999.5, 25 more -249987.5")
    assert len(long) <= 255
    assert len(long_reason("-999999.9999")) == 255


def test_points_are_written_without_trailing_zeros() -> None:
    table = {
        "0.0001": "0.0001: r0 +0.0001",
        "10": "10: r1 +10",
        "100.5": "100.5: r2 +100.5",
        "-0.5": "-0.5: r3 -0.5",
    }
    assert World(lead(points, title=points) for points in table).reasons(by_title(table)) == table


def test_every_point_is_explained() -> None:
    """S120 S020 D48: every line with rule, evidence, date and decay, adding up to the score."""
    at = T0.replace(month=2)
    world = golden()
    scored = world.scored(weighted(), at)
    score = world.scores(weighted(), at)["cto"]
    rows = [row for row in world.rows(scored.contributions) if row["lead_id"] == "cto"]
    told = explain(weighted(), score, rows, ["some-rule"])
    assert told.score == sum(line.points for line in told.lines) == Decimal("98.5")
    opened = next(line for line in told.lines if line.rule == "email-open")
    assert (opened.raw, opened.decay_loss, opened.points) == (Decimal(2), Decimal(1), Decimal(1))
    assert (opened.evidence, opened.last, opened.events) == ("a4", T0, 1)
    assert [line.points for line in told.lines] == sorted(
        (line.points for line in told.lines), reverse=True
    )
    assert told.unknown == ("some-rule",)
    assert (told.next_stage, told.missing) == (Stage.SQL, Decimal("1.5"))


def test_the_nearest_next_stage() -> None:
    """S120: what is missing to it; nothing once the lead is at the top."""
    low, top = explain(weighted(), 0, [], []), explain(weighted(), 1_000_000, [], [])
    assert (low.next_stage, low.missing) == (Stage.MQL, Decimal(50))
    assert (top.next_stage, top.missing) == (None, None)


def test_equal_facts_have_equal_reasons_whatever_their_ids() -> None:
    """The text depends on the rules and points alone, not on the CRM."""
    fields = {"industry": "technology", "seniority": "executive"}
    one = World([lead("00Q1", **fields)], [activity("t", "00Q1", "email_open")])
    two = World([lead("4711", **fields)], [activity("9", "4711", "email_open")])
    assert one.reasons(weighted())["00Q1"] == two.reasons(weighted())["4711"]
