"""A cycle rescores what a change or the passing of time can affect: the same as rescoring all."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connectors.base import Removed, Stream
from connectors.sandbox.scenario import Did, Story
from connectors.sandbox.scenario import page as page_view
from core.past import Answer
from core.rules import parse
from sync.config import Config
from sync.facts_store import FactsStore
from sync.ledger import Ledger
from tests.live import Live, Outcome, balanced, live
from tests.sync.runs import FILES, Runs
from tests.sync.test_facts_store import LEADS, T0, TASKS, USERS, lead, page, task

DAY = timedelta(days=1)
ACCOUNTS = Stream("Account", "accounts")
PEOPLE, FIRMS, REPS = "ABCDEFGH", "XY", ("ana", "ben")
EVENTS = 12
MODEL: dict[str, Any] = yaml.safe_load("""
name: m
fit:
  - {id: cto, points: 7, when: {title: CTO}}
  - {id: technology, points: 3, when: {account: {industry: technology}}}
  - {id: new, points: 5, when: {created_at: {at_most_ago: 3 days}}}
  - {id: target, points: 1, when: {account: {target: true}}}
  - {id: again, points: 1, when: {past: {mqls: {above: 1}}}}
  - {id: founded, points: 2, when: {account: {created_at: {at_least_ago: 4 days}}}}
gates:
  worth: 0
  criteria:
    - {id: of-age, when: {not: {custom: {born: {at_most_ago: 5 days}}}}}
disqualify:
  - {id: soon, when: {custom: {ends: {within_next: 1 day}}}}
behaviour:
  - {id: call, points: 5, count: each, when: {type: call}, within: 3 days}
  - {id: open, points: 4, when: {type: open}, decay: step}
  - {id: demo, points: 6, count: each, when: {type: demo}, decay: spared}
  - {id: page, points: 8, count: {per: day}, when: {type: page}, decay: line, group: web}
  - {id: trial, points: 9, when: {type: trial}, decay: half}
  - {id: offer, points: 1, when: {custom: {valid: {within_next: 2 days}}}}
  - {id: twice, points: 3, when: {type: call}, at: {nth: 2, within: 2 days}, within: 5 days}
ignore:
  - {id: stale, when: {custom: {seen: {at_least_ago: 2 days}}}}
decays:
  step: {after: 2 days, factor: 0.5}
  spared: {after: 24 hours, minus: 4, unless_engaged: true}
  line: {over: 4 days}
  half: {half_life: 1 day}
groups:
  web: {cap: 12}
measures:
  - {id: quiet, silence: {type: call}, every: 2, points: -1}
  - {id: many, count: {type: open}, within: 4 days, steps: {2: 3}}
reset:
  - {id: left, when: {type: left}}
ageing:
  - {id: settled, points: 2, when: {title: CTO}, every: 2 days, cap: 6}
  - {id: long-mql, points: -3, when: {past: {stage: MQL}}, after: 3 days}
thresholds: {mql: 8, sql: 12, keep: {mql: 6, sql: 10}}
cool_down: 2 days
accounts: {top: 100, targets: {domains: [x.example]}}
sql: {mode: vetted}
hygiene:
  hold: [junk-name, stale, duplicate]
  stale: {field: ends, after: 30 hours}
stages: {iql: [open], pql: [trial, call], fast_lane: [demo]}
tiers: {A: 12, B: 5, C: 0}
""")
"""Most words by which time comes into a score; `test_incremental_models` has the others."""

ROUTING = {
    "stages": ["SQL", "SQL pending", "MQL"],
    "pool": {"owners": list(REPS), "daily_cap": 2},
    "territories": [
        {"name": "fresh", "when": {"created_at": {"at_most_ago": "2 days"}}, "owners": ["ben"]}
    ],
    "sticky": True,
    "everyone": {"daily_cap": 2, "hours": {"from": "08:00", "to": "18:00"}},
    "sla": {"within": "1 day", "reassign": True},
}
"""Every way by which what was given before, or the time of day, comes into an owner."""

CONFIG = Config.model_validate({"connections": {"crm": FILES}, "routing": ROUTING})


@contextmanager
def running() -> Iterator[Runs]:
    """Runs over a base with one of everything, decided about once."""
    with FactsStore(":memory:") as store, Ledger("sqlite://") as ledger:
        runs = Runs(CONFIG, parse(MODEL), store, ledger)
        runs.put(page(USERS, *(rep(name) for name in REPS)))
        runs.put(page(ACCOUNTS, *(firm(id_) for id_ in FIRMS)))
        runs.put(page(LEADS, *(person(id_, runs.now) for id_ in PEOPLE)))
        assert runs.run() is None
        yield runs


def rep(name: str, *, active: bool = True) -> dict[str, Any]:
    """A rep."""
    return {"id": name, "object_type": "User", "kind": "person", "active": active,
            "email": f"{name}@us.example", "modified_at": T0}  # fmt: skip


def firm(id_: str, at: datetime = T0, **values: Any) -> dict[str, Any]:
    """An account."""
    return {"id": id_, "object_type": "Account", "modified_at": at, **values}


def person(id_: str, at: datetime, **values: Any) -> dict[str, Any]:
    """A lead with an e-mail address."""
    return {**lead(id_), "modified_at": at, "email": f"{id_}@x.example", **values}


@dataclass(frozen=True)
class Step:
    """Something that happens: what, to which record, with what other, how many days ago (or to
    come), and whether the CRM moved the record's stamp."""

    kind: str
    who: str
    other: str
    text: str
    days: int
    stamped: bool


KINDS = ("lead", "task", "task", "task", "firm", "merge", "delete", "drop", "rep", "pass", "pass",
         "pass", "second", "model", "crash", "answer")  # fmt: skip
STEPS = st.builds(
    Step,
    st.sampled_from(KINDS),
    st.sampled_from(PEOPLE),
    st.sampled_from(PEOPLE),
    st.sampled_from(["call", "open", "demo", "page", "trial", "left"]),
    st.integers(-3, 5),
    st.booleans(),
)


def happen(runs: Runs, step: Step, last: dict[str, datetime]) -> None:
    """Let a step happen."""
    number = sum(map(ord, step.who + step.other + step.text)) + step.days
    ago = runs.now - step.days * DAY
    key = f"{step.kind}-{number % EVENTS}-{step.who if step.kind == 'lead' else ''}"
    stamp = runs.now if step.stamped else last.get(key, runs.now)
    last[key] = stamp
    if step.kind == "lead":
        custom = {("born", "ends")[number % 2]: ago.isoformat()}
        values: dict[str, Any] = {"title": "CTO"} if step.text < "d" else {"accepted_at": ago}
        owner = {"owner_id": REPS[number % 2]} if number % 3 == 0 else {}
        values |= {"last_name": "Test"} if step.days == 4 else {}
        values |= {"email": f"{step.other}@x.example"} if number % 4 else {}
        at_firm = (*FIRMS, None)[number % 3]
        runs.put(page(LEADS, person(step.who, stamp, created_at=ago, custom=custom,
                                    account_id=at_firm, **values, **owner)))  # fmt: skip
    elif step.kind == "task":
        who = {step.who, step.other}
        custom = {("valid", "seen", "none")[number % 3]: ago.isoformat()}
        row: dict[str, Any] = {"type": step.text, "occurred_at": ago, "custom": custom}
        event = task(f"t{number % EVENTS}", **row)
        rows = ({**event, "lead_id": id_, "modified_at": stamp} for id_ in who)
        runs.put(page(TASKS, *rows))
    elif step.kind == "firm":
        industry = "technology" if step.text < "d" else "energy"
        domain = ("x.example", "y.example", None)[number % 3]
        runs.put(page(ACCOUNTS, firm(FIRMS[number % 2], stamp, industry=industry, created_at=ago,
                                     owner_id=REPS[number % 2], domain=domain)))  # fmt: skip
    elif step.kind in ("merge", "delete"):
        survivor = step.other if step.kind == "merge" and step.other != step.who else None
        at = runs.now if step.stamped else ago
        runs.put(page(LEADS, removed=(Removed(step.who, at, survivor),)))
    elif step.kind == "drop":
        runs.put(page(TASKS, removed=(Removed(f"t{number % EVENTS}", runs.now),)))
    elif step.kind == "rep":
        row = rep(REPS[number % 2], active=step.stamped)
        runs.put(page(USERS, {**row, "modified_at": runs.now}))
    elif step.kind == "pass":
        runs.now += max(step.days, 1) * DAY
    elif step.kind == "second":
        runs.now += timedelta(seconds=1 if step.stamped else 3600)
    elif step.kind == "answer":
        said = (number, step.stamped, "", "ana", runs.now, None, 0)
        runs.ledger.answers.say(Answer("crm", step.who, *said))
    elif step.kind == "model":
        runs.model = parse({**MODEL, "thresholds": {"mql": 6 + number % 3, "sql": 12}})


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(st.lists(st.lists(STEPS, min_size=1, max_size=8), min_size=2, max_size=5))
def test_incremental_is_full(history: list[list[Step]]) -> None:
    """U12, D12: over random changes, late events, associations, merges, duplicates, removals, other
    models, and time that passes to the very boundaries, rescoring what can have changed gives what
    rescoring all gives: score, tier, stage, reason, owner of every lead, after every run."""
    with running() as runs:
        last: dict[str, datetime] = {}
        for steps in history:
            for step in steps:
                happen(runs, step, last)
            runs.run(complete=not any(step.kind == "crash" for step in steps))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, empty."""
    with live(tmp_path) as world:
        yield world


OPENED = Story({"last_name": "Old", "company": "O", "email": "o@o.example"},
               (Did("email_open", timedelta(hours=1), {}),))  # fmt: skip
VISITED = Story(
    {"last_name": "New", "company": "N", "email": "n@n.example"}, (page_view("/blog/x"),)
)
FADING: dict[str, Any] = {
    "fit": [{"id": "cto", "points": 7, "when": {"title": "CTO"}}],
    "behaviour": [
        {"id": "open", "points": 10, "when": {"type": "email_open"}, "decay": "step"},
        {"id": "visit", "points": 5, "when": {"type": "page_view"}},
    ],
    "decays": {"step": {"after": "31 days", "factor": 0.5}},
}


def scored(outcome: Outcome) -> dict[str, int]:
    """How many leads of each CRM a run scored; the step adds up in any case."""
    assert balanced(outcome.json)
    return {name: outcome.step(name, "score")["out"] for name in ("sales", "marketing")}


def both(count: int) -> dict[str, int]:
    """The same in both CRMs."""
    return {"sales": count, "marketing": count}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_only_what_can_have_changed_is_scored(world: Live) -> None:
    """U12: an idle run scores nobody, a changed lead itself, 31 days those whose decay step they
    passed, another model and --full all; a plan consumes nothing."""
    old, new = world.tell(OPENED), world.tell(VISITED)
    world.model(**FADING)
    world.set_up()
    assert scored(world.sync()) == both(2)
    idle = world.sync()
    assert scored(idle) == both(0)
    held = idle.step("sales", "score")["held"]
    assert held == {"not affected since the last run": 2}
    for name, seller in world.sellers.items():
        seller.crm.update(new[name], {"title": "CTO"})
    assert [plan["records"] for plan in world.run("plan", "--json").json["plans"]] == [1, 1]
    assert scored(world.sync()) == both(1)
    world.clock.tick(days=31)
    assert scored(world.sync()) == both(1)
    for name, seller in world.sellers.items():
        assert [seller.shown(who[name])["score"] for who in (old, new)] == [5, 12]
    assert scored(world.sync()) == both(0)
    assert scored(world.sync("--full")) == both(2)
    world.model(**{**FADING, "thresholds": {"mql": 5, "sql": 9}})
    assert scored(world.sync()) == both(2)
    for name, seller in world.sellers.items():
        assert seller.shown(new[name])["stage"] == "SQL"


@pytest.mark.slow
def test_a_connection_beside_one_that_was_never_complete(world: Live) -> None:
    """One connection is rescored in part while the other is in full, as after a kill between."""
    old = world.tell(OPENED)
    world.model(**FADING)
    world.set_up()
    world.sync("--connection", "sales")
    seller = world.sales
    seller.crm.update(old["sales"], {"title": "CTO"})
    assert scored(world.sync()) == both(1)
    assert seller.shown(old["sales"])["score"] == 17
