"""DuckDB and Spark say the same of the same facts, row for row and to the last digit."""

import re
from collections.abc import Mapping
from datetime import timedelta
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from core.explain import reasons
from core.model import Account, Activity, Lead
from core.qualification import qualify
from core.rules import Model, parse
from core.scoring import checklists, unknown
from tests.core.engines import Spark
from tests.core.golden import (
    GOLDEN_ACTIVITIES,
    GOLDEN_LEADS,
    T0,
    World,
    account,
    activity,
    lead,
    weighted,
)

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"
NOW = T0 + timedelta(days=45)

IDENTITY = """
name: identity
fit:
  - best_of:
      - {id: chief, points: 15, when: {seniority: executive, title: {contains: [chief, c]}}}
      - {id: lower, points: "9.5", when: {seniority: [manager, director]}}
  - {id: size, points: 20, when: {employees: {at_least: 50, below: 1000}}}
  - {id: rich, points: 5,
     when: {any: [{revenue: {above: "1000000.01"}}, {account: {type: customer}}]}}
  - {id: stack, points: 7, when: {technologies: {contains: [SAP, jira]}}}
  - {id: new, points: 3, when: {created_at: {at_most_ago: 2 months}}}
  - {id: grown, points: 2, when: {custom: {born: {at_least_ago: 21 years}}}}
  - {id: gold, points: 4, when: {not: {custom: {plan: gold}}, email_opt_out: false}}
  - {id: budget, points: -6, when: {custom: {budget: {below: 5000}}}}
limits: {fit: {cap: 45, floor: 0}}
weights: {fit: 0.6}
gates:
  at_least: 1
  criteria:
    - {id: area, when: {region: [europe, north_america]}}
    - {id: money, when: {custom: {budget: {at_least: 10000}}}}
disqualify: [{id: rival, when: {account: {type: competitor}}}]
checklists:
  bant:
    - {id: budget, when: {custom: {budget: {known: true}}}}
    - {id: role, when: {seniority: executive}}
thresholds: {mql: 60, sql: 150}
tiers: {A: 150, B: 60, C: 0}
"""
CONDUCT = """
name: conduct
behaviour:
  - {id: visit, points: 5, when: {type: page_view, asset: {starts_with: /}}, count: each, cap: 40,
     group: web, decay: slow}
  - {id: daily, points: 2, when: {type: email_open}, count: {per: day}, decay: line, group: mail}
  - {id: weekly, points: 3, when: {type: email_click}, count: {per: week}}
  - {id: yearly, points: 8, when: {type: webinar_attended}, count: {per: year}}
  - {id: talk, points: 10, when: {type: call, duration: {at_least: 300}}, count: {per: quarter}}
  - {id: jobs, points: -4, when: {type: page_view, asset: /jobs}, count: {per: month}}
decays:
  slow: {half_life: 20 days}
  line: {over: 90 days}
groups:
  web: {cap: 30}
  mail: {cap: 6, per: quarter}
weights: {behaviour: 0.4}
thresholds: {mql: 30, sql: 60}
"""
COURSE = """
name: course
behaviour:
  - {id: visit, points: 0, when: {type: page_view}}
  - {id: run, points: 6, when: {type: page_view}, at: {nth: 3, within: 7 days}}
  - {id: demo, points: 11, when: {type: demo_requested}, within: 300 days, decay: silent}
ignore: [{id: office, when: {custom: {ip: {in_network: 203.0.113.0/25}}}}]
decays:
  silent: {after: 30 days, minus: 4, unless_engaged: true}
stages: {iql: [visit], pql: [visit, run], fast_lane: [demo]}
sql: {mode: vetted}
scale: {top: 20}
matrix: {fit: {A: 1, B: 0}, behaviour: {"1": 10, "2": 5, "3": 0}}
thresholds: {mql: 30, sql: 60}
"""


def _own(text: str) -> Model:
    return parse(yaml.safe_load(text))


def _preset(name: str) -> Model:
    file = resources.files("core.presets").joinpath(f"{name}.yaml")
    return _own(file.read_text(encoding="utf-8"))


PRESETS = sorted(
    file.name.removesuffix(".yaml")
    for file in resources.files("core.presets").iterdir()
    if file.name.endswith(".yaml")
)
MODELS: Mapping[str, Model] = {
    **{rules.name: rules for rules in map(_own, (IDENTITY, CONDUCT, COURSE))},
    **{name: _preset(name) for name in PRESETS},
}

KINDS = ("page_view", "email_open", "email_click", "call", "download", "webinar_attended",
         "demo_requested", "trial_started", "video_watched", "comparison_tool")  # fmt: skip
ASSETS = (None, "/pricing", "/blog/1", "/jobs", "White paper", "Produktübersicht  ")
ADDRESSES = (None, "203.0.113.7", "203.0.113.128", "not an address", "1.2", "::1")


def crowd(number: int, seed: int) -> dict[str, Any]:
    """So many random people, their accounts, ten activities for each on average, though most are
    recent and of a few, and merged records."""
    of = Random(seed)
    here = of.choice
    firms: list[Account] = [
        account(
            f"a{n}",
            type=here((None, "Customer", "competitor")),
            industry=here((None, "technology", "retail")),
            employees=here((None, 49, 50, 5000)),
            revenue=here((None, "1000000.01", "1000000.02")),
            country=here((None, "US")),
            region=here((None, "europe")),
            technologies=here((None, ("sap",), ())),
        )
        for n in range(number // 5)
    ]
    people: list[Lead] = [
        lead(
            f"p{n}",
            email=here((None, None, "x@y.example")),
            account_id=here((None, f"a{of.randrange(number // 5)}", "gone")),
            title=here((None, "CTO", " Chief of staff", "Директор")),
            seniority=here((None, "executive", "manager", "staff")),
            industry=here((None, None, "Technology ", "education")),
            employees=here((None, 50, 1000)),
            region=here((None, "asia", "north_america")),
            email_opt_out=here((True, False)),
            created_at=here((None, NOW - timedelta(days=of.randrange(120)))),
            accepted_at=here((None, T0, NOW + timedelta(days=1))),
            custom=here(
                (
                    None,
                    {"budget": here(("9999.5", "10000", "much")), "plan": "Gold"},
                    {"born": here(("2005-02-15", "2005-02-16", "then"))},
                )
            ),
        )
        for n in range(number)
    ]
    events: list[Activity] = []
    for n in range(number * 10):
        ago = timedelta(days=int(of.random() ** 2 * 400), seconds=of.randrange(3) * 43_200)
        address = here(ADDRESSES)
        events.append(
            activity(
                f"e{n}",
                f"p{int(of.random() ** 3 * (number + 20))}",
                here(KINDS),
                NOW + timedelta(days=2) - ago + timedelta(microseconds=here((0, 0, 1))),
                asset=here(ASSETS),
                channel=here((None, "email")),
                duration=here((None, 299, 300)),
                custom={"ip": address} if address else None,
            )
        )
    merged = [("leads", f"p{number + n}", f"p{n}") for n in range(20)]
    return {"leads": people, "activities": events, "accounts": firms, "aliases": merged}


def said(world: World, model: Model) -> dict[str, list[Any]]:
    """Everything that a model says of a world, in an order of its own."""
    scored = world.scored(model, NOW)
    tables = {
        "contributions": scored.contributions,
        "scores": qualify(model, scored.scores, world.facts, NOW),
        "rejected": scored.rejected,
        "reasons": reasons(scored),
        "unknown": unknown(model, world.facts, NOW),
    }
    if model.checklists:
        tables["checklists"] = checklists(model, world.facts, NOW)
    rows = {name: world.rows(table) for name, table in tables.items()}
    return {name: sorted(map(_row, found)) for name, found in rows.items()}


def _row(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(column, repr(value)) for column, value in row.items()]


Twins = tuple[World, World]


def _twins(spark: Spark, facts: dict[str, Any]) -> Twins:
    on_duckdb = World(**facts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(World, "connect", staticmethod(lambda: spark))
        return on_duckdb, World(**facts)


@pytest.fixture(scope="module")
def crowds(spark: Spark) -> Twins:
    """The same random people on both engines."""
    return _twins(spark, crowd(300, seed=7))


def on_spark(test: Any) -> Any:
    """Marks a test that needs Spark."""
    return pytest.mark.slow(pytest.mark.xdist_group("spark")(test))


def test_the_models_say_everything_that_a_model_can() -> None:
    """What is added to the language is added to the models that both engines are held to."""
    said = set().union(*(model.model_fields_set for model in MODELS.values()))
    assert said == set(Model.model_fields)


@on_spark
@pytest.mark.parametrize("name", MODELS)
def test_a_random_base_scores_alike(crowds: Twins, name: str) -> None:
    """Every line, score, stage, reason and gap of some hundreds of leads, with each model."""
    on_duckdb, on_spark = (said(world, MODELS[name]) for world in crowds)
    assert len(on_duckdb["scores"]) > 200
    assert on_spark == on_duckdb


@on_spark
def test_the_golden_leads_score_alike(spark: Spark) -> None:
    """S155 S156 D48: the worked example, its contributions row for row."""
    facts = {"leads": GOLDEN_LEADS, "activities": GOLDEN_ACTIVITIES}
    on_duckdb, on_spark = (said(world, weighted()) for world in _twins(spark, facts))
    assert on_spark == on_duckdb


@on_spark
def test_the_example_of_the_page_runs(spark: Spark) -> None:
    """The documentation scores facts that are already in Spark."""
    _on_duckdb, world = _twins(spark, {"leads": GOLDEN_LEADS, "activities": GOLDEN_ACTIVITIES})
    for name, table in vars(world.facts).items():
        world.facts.leads.get_backend().create_view(name, table, overwrite=True)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    found = names["scores"].set_index("lead_id")["score"].to_dict()
    assert found == {"cto": 885_000, "manager": 500_000}
