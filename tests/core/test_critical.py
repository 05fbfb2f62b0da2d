"""Critical behaviours: what most customers did before they became customers."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import ibis
import pyarrow as pa
import pytest

from core.critical import critical
from core.facts import OUTCOMES
from core.model import Activity, Outcome
from core.rules import Model, parse
from tests.core.golden import T0, World, activity, lead

WON = T0 - timedelta(days=400)
HOUR = timedelta(hours=1)
MODEL = parse(
    {
        "name": "m",
        "thresholds": {"mql": 10, "sql": 30},
        "fit": [{"id": "tech", "points": 5, "when": {"industry": "technology"}}],
        "behaviour": [
            {"id": "email-open", "points": 1, "when": {"type": "email_open"}},
            {"id": "trial-start", "points": 9, "when": {"type": "trial_started"},
             "within": "90 days", "decay": "quick"},
            {"id": "third-visit", "points": 5, "when": {"type": "page_view"}, "at": {"nth": 3}},
            {"id": "demo", "points": 9, "when": {"type": "demo_requested"}},
        ],
        "decays": {"quick": {"over": "30 days"}},
    }
)  # fmt: skip
TEN = [f"c{n}" for n in range(10)]


def won(who: str, result: str = "won", **fields: Any) -> Outcome:
    """A deal of a person, closed at WON."""
    base = {"object_type": "Opportunity", "modified_at": T0, "closed_at": WON}
    return Outcome(**{"id": who, "lead_id": who, "result": result, **base, **fields})


def did(type: str, who: Iterable[str], at: Any = WON - HOUR) -> list[Activity]:
    """The same activity of several people."""
    return [activity(f"{type} {name} {at}", name, type, at) for name in who]


def found(
    events: list[Activity], outcomes: list[Outcome], model: Model = MODEL, **how: Any
) -> dict[str, tuple[int, int, bool]]:
    """How many did, of how many, and the star, by rule, in order."""
    aliases = how.pop("aliases", ())
    gone = {merged for _table, merged, _survivor in aliases}
    people = [lead(who) for who in [*TEN, "other"] if who not in gone]
    world = World(people, events, aliases=aliases)
    rows = [{"connection": "crm", **outcome.model_dump()} for outcome in outcomes]
    content = pa.Table.from_pylist(rows, OUTCOMES.schema.to_pyarrow())
    table = ibis.memtable(content, schema=OUTCOMES.schema)
    answer = world.rows(critical(model, world.facts, table, T0, **how))
    return {r["rule"]: (r["did"], r["customers"], r["star"]) for r in answer}


def test_what_most_customers_did_before_is_starred() -> None:
    """S106: of 10 customers 8 started a trial before converting, so it is starred; what came at
    the conversion or after it does not count, nor does what others did, nor how long ago."""
    events = [
        *did("trial_started", TEN[:8]),
        *did("trial_started", TEN[:2], WON - 9 * HOUR),
        *did("trial_started", TEN[8:], WON),
        *did("email_open", TEN[:4]),
        *did("email_open", TEN, WON + HOUR),
        *did("email_open", ["other"]),
        *(event for n in range(3) for event in did("page_view", TEN[:5], WON - n * HOUR - HOUR)),
        *(event for n in range(3) for event in did("page_view", TEN[5:], WON - n * HOUR + HOUR)),
        *did("demo_requested", TEN, WON + HOUR),
    ]
    outcomes = [won(who) for who in TEN] + [won("other", "lost"), won("", account_id="a")]
    outcomes += [won("c0", id="a second deal", closed_at=T0)]
    assert list(found(events, outcomes).items()) == [
        ("email-open", (4, 10, False)),
        ("trial-start", (8, 10, True)),
        ("third-visit", (5, 10, True)),
        ("demo", (0, 10, False)),
    ]


@pytest.mark.parametrize(("share", "star"), [("0.8", True), ("0.8001", False), ("0", True)])
def test_the_share_from_which_a_behaviour_is_critical(share: str, star: bool) -> None:
    """S106: at least the share, to the last customer."""
    answer = found(did("trial_started", TEN[:8]), [won(who) for who in TEN], share=Decimal(share))
    assert answer["trial-start"] == (8, 10, star)


def test_a_customer_s_former_records_count_as_the_customer() -> None:
    """S106: the deal and the trial of a converted lead are those of its contact, once."""
    events = did("trial_started", ["c0", "c1"])
    aliases = [("leads", "c1", "c0")]
    answer = found(events, [won("c1")], aliases=aliases)
    assert answer["trial-start"] == (1, 1, True)
    answer = found(did("trial_started", ["c1"], WON + HOUR), [won("c0")], aliases=aliases)
    assert answer["trial-start"] == (0, 1, False)


def test_without_won_outcomes_nothing_is_critical() -> None:
    """S106: nobody is no majority."""
    assert found(did("trial_started", TEN), [won("c0", "open")])["demo"] == (0, 0, False)
    fit_only = MODEL.model_copy(update={"behaviour": ()})
    assert found(did("trial_started", TEN), [won("c0")], fit_only) == {}


def test_critical_behaviours_compile_for_spark() -> None:
    """S106: the expression is the same on every engine."""
    outcomes = ibis.table(OUTCOMES.schema, "outcomes")
    answer = critical(MODEL, World([lead("x")]).facts, outcomes, T0)
    assert "SELECT" in str(ibis.to_sql(answer, dialect="pyspark"))
