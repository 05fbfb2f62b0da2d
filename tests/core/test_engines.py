"""DuckDB and Spark say the same of the same facts, row for row and to the last digit."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import ibis
import pyarrow as pa
import pytest
import yaml
from ibis.expr.types import Table

from core import profile
from core.affected import CHANGED, affected, only
from core.cleaning import findings
from core.conditions import LeadCondition
from core.due import Span, due
from core.explain import reasons
from core.facts import TIME, as_of
from core.folding import folded
from core.identity import Identity, companies, persons
from core.known import Facts
from core.likeness import alike, alike_accounts
from core.model import Account, Activity, Lead
from core.past import OVERRIDES, SPELLS, STAGES, Past
from core.persons import shared
from core.prediction import probabilities
from core.propensity import propensity
from core.provenance import as_source
from core.qualification import qualify
from core.rules import Model, parse
from core.scoring import Scored, checklists, icp_fit, score, unknown
from core.segments import Segment, shares
from core.verdict import Judged, judge
from tests.core.engines import Spark, missing_for_spark, spark_session
from tests.core.golden import (
    LONG_AGO,
    T0,
    Elsewhere,
    World,
    account,
    activity,
    golden,
    lead,
    weighted,
)
from tests.core.test_presets import NAMES as PRESETS
from tests.core.test_presets import preset

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
  - {id: demo, points: 9, when: {type: demo_requested}, count: each, decay: again}
decays:
  slow: {half_life: 20 days}
  line: {over: 90 days}
  again: {after: 20 days, factor: 0.7, repeat: true}
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
ignore: [{id: office, when: {custom: {ip: {in_network: [203.0.113.0/25, "2001:db8::/120"]}}}}]
decays:
  silent: {after: 30 days, minus: 4, unless_engaged: true}
stages: {iql: [visit], pql: [visit, run], fast_lane: [demo]}
sql: {mode: vetted}
scale: {top: 20}
matrix: {fit: {A: 1, B: 0}, behaviour: {"1": 10, "2": 5, "3": 0}}
thresholds: {mql: 30, sql: 60}
"""

MEASURED = """
name: measured
behaviour: [{id: talk, points: 5, when: {type: call}, count: {per: session}}]
measures:
  - {id: clicks, share: {type: email_click}, of: {type: email_open}, within: 200 days,
     steps: {0.5: 10, 0.8: 20}}
  - {id: engaged, count: {type: page_view}, steps: {2: 5, 5: 15}}
  - {id: silent, silence: {type: [page_view, email_click]}, every: 30, points: -10, cap: 60}
  - {id: listens, duration: {type: call}, every: 300, points: 2, cap: 20}
reset: [{id: trial, when: {type: trial_started}}]
thresholds: {mql: 10, sql: 20}
"""
WAY = """
name: way
behaviour:
  - {id: visit, points: 9, when: {type: page_view}, count: {per: 90 days}}
  - {id: jobs, points: -14, when: {asset: /jobs}, count: each}
limits: {behaviour: {until: 20, nightly_floor: 0}}
thresholds: {mql: 10, sql: 20}
"""
QUIET = """
name: quiet
behaviour:
  - {id: inactive, points: -2, when: {type: page_view}, silent: 30 days}
  - {id: call, points: 5, when: {type: call}, count: {per: 2 months}}
thresholds: {mql: 10, sql: 20}
"""
COME_AND_GO = """
name: come and go
fit:
  - {id: returned, points: 5, when: {past: {mqls: {above: 0}, stage: none}}}
  - {id: chief, points: 40, when: {seniority: executive}}
ageing:
  - {id: stale, points: -20, when: {past: {stage: SQL}}, after: 90 days}
  - {id: rests, points: 20, when: {region: asia, past: {mqls: {above: 0}}}, every: 30 days, cap: 60}
sizes:
  - {id: small, when: {employees: {below: 100}}}
  - {id: large, when: {employees: {at_least: 100}}}
probability: chance
thresholds: {mql: 1020, sql: 2000, keep: {mql: 1010, sql: 1900}}
matrix: {fit: {A: 1, B: 0}, stage: {"1": [SQL, MQL], "2": none}}
cool_down: 30 days
"""
BUYING = """
name: buying
behaviour: [{id: visit, points: 5, when: {type: page_view}, count: each, cap: 20}]
interest: {areas: {pricing: {asset: /pricing}, blog: {asset: {starts_with: /blog}}}}
journey:
  awareness: {when: {asset: {starts_with: /blog}}, evidence: 2}
  decision: {when: {asset: /pricing}, within: 90 days}
roles:
  explicit: plan
  infer:
    decision_maker: {when: {seniority: executive}, confidence: 0.9}
    user: {when: {seniority: staff}, did: {type: trial_started}, confidence: 0.7}
icp:
  company: {industry: technology, employees: {at_least: 50}}
  persona: {seniority: [executive, manager]}
thresholds: {mql: 10, sql: 20}
"""
FIRMS = """
name: firms
fit: [{id: target, points: 15, when: {account: {target: true}}}]
behaviour: [{id: visit, points: 5, when: {type: page_view}, count: each, cap: 20}]
accounts:
  targets: {when: {employees: {at_least: 50}}}
  fit: [{id: chosen, points: 20, when: {target: true}}]
  rollup: {method: mean}
  committee: {points: 5, roles: {economic: {seniority: executive}, user: {seniority: staff}}}
  anonymous: {when: {channel: email}}
  networks:
    address: ip
    at_least: 0.5
    known:
      - {network: 203.0.113.0/24, account: a3, confidence: 0.9}
      - {network: 203.0.113.128-203.0.113.200, account: firm.example, confidence: 0.6}
      - {network: "2001:db8::/64", account: a4}
      - {network: "::/0", account: a5, confidence: 0.4}
  top: 60
thresholds: {mql: 10, sql: 20}
"""
CLEAN = """
name: clean
fit:
  - {id: private, points: 3, when: {free_mail: true}}
  - {id: known, points: 7, when: {employees: {known: true}}}
behaviour: [{id: visit, points: 5, when: {type: page_view}, count: each, cap: 20}]
hygiene:
  hold: [junk-name, invalid-email, junk-email, disposable-email, internal, competitor, stale,
         conflict, duplicate]
  names: {junk: [Karl Käfer], real: [Donald Duck]}
  emails: {trusted: [info@x.example], role: [presse]}
  internal: [own.example]
  competitors: [rival.example]
  stale: {field: born, after: 1 day}
  complete: {fields: [title, employees, custom.plan], at_least: "0.6"}
consent: {behaviour: {free_mail: false}, scoring: {not: {title: Student}}}
thresholds: {mql: 10, sql: 20}
"""


def _own(text: str) -> Model:
    return parse(yaml.safe_load(text))


OWN = (IDENTITY, CONDUCT, COURSE, MEASURED, WAY, QUIET, COME_AND_GO, BUYING, FIRMS, CLEAN)
MODELS: Mapping[str, Model] = {rules.name: rules for rules in map(_own, OWN)}

NAMES = (None, None, "Mickey Mouse", "KÄFER, karl", "Donald Duck", "asdf", "Müller", "李 雷")
BOXES = (
    "x@y.example",
    "A.b+1@gmail.com",
    "ab@googlemail.com",
    "info@x.example",
    "eve@eu.rival.example",
    "ana@a.mailinator.com",
    "a b@c",
    "a@a.com",
    "o@own.example",
)
CHANCES = ("0", "0.123456789", "1", "1.01", "much")
TORN = {"employees": as_source("A", "given", "50") + as_source("B", "appended", "5,000")}

KINDS = ("page_view", "email_open", "email_click", "call", "download", "webinar_attended",
         "demo_requested", "trial_started", "video_watched", "comparison_tool")  # fmt: skip
ASSETS = (None, "/pricing", "/blog/1", "/jobs", "White paper", "Produktübersicht  ")
ADDRESSES = (None, "203.0.113.7", "203.0.113.128", "not an address", "1.2", "::1",
             "::ffff:203.0.113.7", "2001:0DB8::fF", "2001:db8::1:0", "1::2::3")  # fmt: skip


def crowd(number: int, seed: int) -> dict[str, Any]:
    """So many random people, their accounts, ten activities for each on average, though most are
    recent and of a few, and merged records."""
    of = Random(seed)
    here, also = of.choice, Random(seed + 1).choice
    firms: list[Account] = [
        account(
            f"a{n}",
            domain="firm.example" if n == 1 else None,
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
            email=here((None, None, "x@y.example")) and also(BOXES),
            last_name=also(NAMES),
            bounced_at=also((None, None, T0)),
            sources=also((None, None, TORN)),
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
                    {
                        "budget": here(("9999.5", "10000", "much")),
                        "plan": "Gold",
                        "chance": also(CHANCES),
                    },
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
                here(("", *[f"p{int(of.random() ** 3 * (number + 20))}"] * 20)),
                here(KINDS),
                NOW + timedelta(days=2) - ago + timedelta(microseconds=here((0, 0, 1))),
                asset=here(ASSETS),
                channel=here((None, "email")),
                account_id=here((None, f"a{of.randrange(number // 5)}")),
                duration=here((None, 299, 300)),
                custom={"ip": address} if address else None,
            )
        )
    merged = [("leads", f"p{number + n}", f"p{n}") for n in range(20)]
    return {"leads": people, "activities": events, "accounts": firms, "aliases": merged}


STAGES_HAD = ("MQL", "SQL", "SQL pending", None)


def history(number: int, seed: int) -> Past:
    """What was decided before of half of so many people, and by hand of a few."""
    of = Random(seed)

    def ago() -> datetime:
        return NOW - timedelta(days=of.randrange(200))

    stages: list[dict[str, Any]] = [
        {"stage": of.choice(STAGES_HAD), "since": ago(), "mqls": of.randrange(3), "left": ago()}
        for _n in range(number // 2)
    ]
    overrides: list[dict[str, Any]] = [{"points": -70_000}, {"score": 10_200_000}, {"stage": "PQL"}]

    def table(rows: list[dict[str, Any]], schema: ibis.Schema) -> Any:
        rows = [{"connection": "crm", "lead_id": f"p{n}", **row} for n, row in enumerate(rows)]
        return ibis.memtable(pa.Table.from_pylist(rows, schema.to_pyarrow()), schema=schema)

    def spell(row: dict[str, Any], days: int, until: datetime | None) -> dict[str, Any]:
        return {**row, "since": row["since"] - timedelta(days=days), "until": until}

    spells = [spell(row, 0, None) for row in stages]
    earlier = [spell({**row, "stage": "SQL"}, 100, row["since"]) for row in stages[::2]]
    names = ("stage", "mqls", "since", "until")
    had = [{name: row[name] for name in names} for row in spells]
    before = table([{name: row[name] for name in names} for row in earlier], SPELLS)
    return Past(
        table(stages, STAGES), table(overrides, OVERRIDES), table(had, SPELLS).union(before)
    )


@dataclass(frozen=True)
class Side:
    """Facts and a past in an engine, which keeps a table by `keep`."""

    facts: Facts
    past: Past | None
    keep: Callable[[Table], Table]


Twins = tuple[Side, Side]
"""The same facts and the same past in DuckDB and in Spark."""


def twins(spark: Spark, world: World, past: Past | None = None) -> Twins:
    """What is in DuckDB, there and in Spark."""

    engine = ibis.duckdb.from_connection(world.connection)
    facts = Facts(**{name: engine.table(name) for name in stored(world.facts)})

    def kept(table: Table) -> Table:
        return engine.create_table(ibis.util.gen_name("table"), table)

    def copied(tables: Any) -> Any:
        rows = {name: spark.table(table.to_pyarrow()) for name, table in stored(tables).items()}
        return type(tables)(**rows)

    there = Side(copied(facts), past and copied(past), spark.keep)
    return Side(facts, past, kept), there


def stored(tables: Any) -> dict[str, Table]:
    """The tables of facts or of a past, by name."""
    return {name: table for name, table in vars(tables).items() if table is not None}


def said(model: Model, side: Side) -> dict[str, list[Any]]:
    """Everything that a model says of the facts, in an order of its own.

    Scores and their lines are kept, and what rests on them is asked of what was kept: Spark plans
    an expression anew wherever it is read.
    """
    facts, past = side.facts, side.past
    scored = score(model, facts, NOW, past)
    lines, rejected = side.keep(scored.contributions), side.keep(scored.rejected)
    scores = side.keep(qualify(model, scored.scores, facts, NOW, past))
    tables = {
        "contributions": lines,
        "scores": scores,
        "rejected": rejected,
        "reasons": reasons(Scored(lines, scores, rejected)),
        "unknown": unknown(model, facts, NOW, past),
        **profile.parts(model, facts, NOW),
    }
    if model.probability:
        judged = judge((Segment(model),), facts, NOW, past, side.keep)
        tables["predicted"] = judged.verdicts.select("lead_id", "score", "probability")
        tables["misread"] = probabilities(model.probability, facts, NOW)
    if model.checklists:
        tables["checklists"] = checklists(model, facts, NOW)
    if model.icp:
        tables["icp"] = icp_fit(model, facts, NOW)
    if model.accounts:
        judged = Judged(scores, lines, rejected, None, facts, {})
        accounts = propensity(model, judged, facts, NOW)
        tables |= {"accounts": accounts.scores, "account lines": accounts.contributions}
    if model.hygiene:
        judged = judge((Segment(model),), facts, NOW, past, side.keep)
        tables |= {"verdicts": judged.verdicts, "held": judged.held}
        tables["found"] = findings(model.hygiene, facts, NOW, past)
    return {name: rows(table) for name, table in tables.items()}


def rows(table: Table) -> list[list[tuple[str, str]]]:
    """The rows of a table, in an order of their own."""
    return sorted(map(_row, table.get_backend().to_pyarrow(table).to_pylist()))


def _row(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(column, repr(value)) for column, value in row.items()]


@pytest.fixture(scope="module")
def spark() -> Iterator[Spark]:
    """One Spark session for all tests; skips where there is no Spark."""
    if why := missing_for_spark():
        pytest.skip(why)
    with spark_session() as session:
        yield Spark(session)


@pytest.fixture(scope="module")
def crowds(spark: Spark) -> Twins:
    """The same random people on both engines."""
    world = World(**crowd(100, seed=7))
    return twins(spark, world, history(100, seed=8))


@pytest.fixture(scope="module")
def example(spark: Spark) -> Twins:
    """The worked example on both engines."""
    return twins(spark, golden())


def on_spark(test: Any) -> Any:
    """Marks a test that needs Spark."""
    return pytest.mark.timeout(300)(pytest.mark.slow(pytest.mark.xdist_group("spark")(test)))


def test_the_models_say_everything_that_a_model_can() -> None:
    """What is added to the language is added to the models that both engines are held to."""
    said = set().union(*(model.model_fields_set for model in MODELS.values()))
    assert said == set(Model.model_fields)


@on_spark
@pytest.mark.parametrize("name", MODELS)
def test_a_random_base_scores_alike(crowds: Twins, name: str) -> None:
    """Every line, verdict and gap of a hundred leads, and all else that a model says of them."""
    on_duckdb, on_spark = (said(MODELS[name], side) for side in crowds)
    assert len(on_duckdb["scores"]) > 80
    assert all(on_duckdb[table] for table in on_duckdb if table != "unknown")
    assert on_spark == on_duckdb


@on_spark
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_scores_a_random_base_alike(crowds: Twins, name: str) -> None:
    """Each model that comes with leadgauge, as it is."""
    on_duckdb, on_spark = (said(preset(name), side) for side in crowds)
    assert len(on_duckdb["scores"]) > 80
    assert on_spark == on_duckdb


@on_spark
def test_the_golden_leads_score_alike(example: Twins) -> None:
    """S155 S156 D48: the worked example, its contributions row for row."""
    on_duckdb, on_spark = (said(weighted(), side) for side in example)
    assert on_spark == on_duckdb


SEGMENTS: tuple[Segment, ...] = (
    Segment(MODELS["quiet"], LeadCondition.model_validate({"region": "asia"})),
    Segment(MODELS["come and go"], LeadCondition.model_validate({"past": {"mqls": {"above": 0}}})),
    Segment(MODELS["way"], LeadCondition.model_validate({"account": {"type": "customer"}})),
    Segment(MODELS["conduct"]),
)


@on_spark
@pytest.mark.parametrize("count", [3, 4])
def test_several_models_share_a_random_base_alike(crowds: Twins, count: int) -> None:
    """S114: the leads and activities of each model, and those that none is for."""
    found = []
    for side in crowds:
        parts, rest = shares(SEGMENTS[:count], side.facts, NOW, side.past)
        every = [*parts, *([] if rest is None else [rest])]
        leads = [rows(part.leads.select("id")) for part in every]
        found.append(leads + [rows(part.activities.select("id", "lead_id")) for part in every])
    on_duckdb, on_spark = found
    assert len(on_duckdb) == 8
    assert all(on_duckdb)
    assert on_spark == on_duckdb


@on_spark
def test_several_models_judge_a_random_base_alike(crowds: Twins) -> None:
    """S114: what the model that each lead falls to says of it, and whom none is for."""
    segments, found = (SEGMENTS[0], SEGMENTS[2]), []
    for side in crowds:
        judged = judge(segments, side.facts, NOW, side.past, side.keep)
        assert judged.outside is not None
        found.append([rows(table) for table in (judged.verdicts, judged.outside)])
    on_duckdb, on_spark = found
    models = {dict(row)["model"] for row in on_duckdb[0]}
    assert models == {repr(segment.model.label) for segment in segments}
    assert all(on_duckdb)
    assert on_spark == on_duckdb


@on_spark
@pytest.mark.parametrize("days", [0.5, 30])
@pytest.mark.parametrize("name", MODELS)
def test_time_makes_the_same_leads_due(crowds: Twins, name: str, days: float) -> None:
    """U12: whom the passing of a span can change, by every model and by a further condition."""
    span = Span(NOW - timedelta(days=days), NOW)
    fresh = LeadCondition.model_validate({"created_at": {"at_most_ago": "90 days"}})
    on_duckdb, on_spark = (
        rows(due(MODELS[name], versioned(side.facts), span, [fresh], side.past)) for side in crowds
    )
    assert on_duckdb
    assert on_spark == on_duckdb


@on_spark
def test_a_change_affects_the_same_leads(spark: Spark, crowds: Twins) -> None:
    """U12: whom changed leads, merged ones and accounts concern, and the facts they rest on."""
    changes = [("leads", "p1"), ("leads", "p105"), ("accounts", "a1"), ("accounts", "a2")]
    named = [{"connection": "crm", "table_name": table, "id": id_} for table, id_ in changes]
    content = pa.Table.from_pylist(named, CHANGED.to_pyarrow())
    found = []
    for side, changed in zip(crowds, (ibis.memtable(content), spark.table(content)), strict=True):
        concerned = side.keep(affected(changed, side.facts, NOW))
        kept = only(side.facts, concerned)
        ids = (kept.leads.select("id"), kept.activities.select("id", "lead_id"), kept.aliases)
        found.append([rows(table) for table in (concerned, *ids)])
    on_duckdb, on_spark = found
    assert {repr("p1"), repr("p5"), repr("p105")} < {dict(row)["lead_id"] for row in on_duckdb[0]}
    assert all(on_duckdb)
    assert on_spark == on_duckdb


def versioned(facts: Facts) -> Facts:
    """Facts whose merged records are known since ever."""
    known = {"valid_from": ibis.literal(LONG_AGO, TIME), "valid_to": ibis.null(TIME)}
    return replace(facts, aliases=facts.aliases.mutate(**known))


@on_spark
def test_no_letter_is_lost_as_text_is_folded(spark: Spark) -> None:
    """Of a text only case and the white space around it go, on either engine."""
    texts = {"text": ["vf@firm.tv", " FV\t", "v", "\n", None]}
    found = []
    for table in (ibis.memtable(texts), spark.table(pa.table(texts))):
        rows = table.get_backend().to_pyarrow(folded(table.text)).to_pylist()
        found.append(rows)
    assert found == [["vf@firm.tv", "fv", "v", "", None]] * 2


@on_spark
def test_persons_are_the_same(spark: Spark) -> None:
    """Who is whom, who claims what, who is alike, and what each record's activities then are."""
    identity = Identity(keys=({"marketing": "custom.sales_id", "crm": "id"},))
    found = []
    for side in twins(spark, acquainted()):
        leads, engine = as_of(side.facts.leads, NOW), side.facts.leads.get_backend()
        facts = shared(identity, side.facts, NOW, side.keep)
        assert facts.persons is not None
        firms = as_of(side.facts.accounts, NOW)
        tables = (
            facts.persons,
            persons(identity, leads).unclear,
            alike(leads, facts.persons),
            alike_accounts(firms, companies(firms)),
            facts.activities.select("connection", "lead_id", "object_type", "id", "subject"),
        )
        rows = (engine.to_pyarrow(table).to_pylist() for table in tables)
        found.append([sorted(map(_row, listed)) for listed in rows])
    on_duckdb, on_spark = found
    assert all(on_duckdb)
    assert on_spark == on_duckdb


def acquainted() -> World:
    """People of two connections: joined by address, by key and by both, claimed, and alike."""
    mails = ("A.da+x@gmail.com", "ada@googlemail.com", "bo@x.example", "cy+a@x.example")
    ours = [lead(f"l{n}", email=mail, first_name="N", last_name=f"{n}", company="C")
            for n, mail in enumerate((*mails, mails[2]))]  # fmt: skip
    keys = (None, {"sales_id": "l3"}, None, {"sales_id": "l0"})
    theirs = [
        ("marketing", lead(f"h{n}", object_type="contacts", email=mails[n], first_name="n",
                           last_name=f"{(n + 1) % 3}", company="c", custom=keys[n]))
        for n in range(4)
    ]  # fmt: skip
    did = [activity(f"t{n}", row.id, "call", subject="Call") for n, row in enumerate(ours)]
    seen = [("marketing", activity(f"c{n}", row.id, "call", subject=" call"))
            for n, (_name, row) in enumerate(theirs)]  # fmt: skip
    ours.append(lead("l8", email=None, first_name="Jürgen", last_name="Müller", company="É Ltd."))
    there = {"first_name": "Jurgen", "last_name": "Müller", "company": "é"}
    theirs.append(("marketing", lead("h8", object_type="contacts", email=None, **there)))
    firms: list[Account | Elsewhere] = [
        account("a1", name="Ärzte & Co. KG"),
        ("marketing", account("b1", name="ärzte")),
        account("a2", name="Birch Sÿstems"),
        ("marketing", account("b2", name="Birch Systems")),
    ]
    merged = [("leads", "old", "l0")]
    return World([*ours, *theirs], [*did, *seen], firms, aliases=merged)


@on_spark
def test_the_example_of_the_page_runs(spark: Spark, example: Twins) -> None:
    """The documentation scores facts that are already in Spark."""
    for name, table in stored(example[1].facts).items():
        spark.show(name, table)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    found = names["scores"].set_index("lead_id")["score"].to_dict()
    assert found == {"cto": 885_000, "manager": 500_000}
