"""Incremental is full for the words of the language that the model of `test_incremental` lacks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.conditions import LeadCondition
from core.due import foreseen
from core.rules import Model, parse
from core.segments import Segment, Segments
from sync.facts_store import FactsStore
from sync.ledger import Ledger
from tests.sync.runs import Runs
from tests.sync.test_facts_store import LEADS, TASKS, USERS, page, task
from tests.sync.test_incremental import (
    ACCOUNTS,
    CONFIG,
    DAY,
    FIRMS,
    PEOPLE,
    REPS,
    STEPS,
    Step,
    firm,
    happen,
    person,
    rep,
)

KINDS = ("call", "open", "demo", "page", "trial")
COUNTING = """
name: counting
fit:
  - best_of:
      - {id: cto, points: 7, when: {title: CTO}}
      - {id: technology, points: 3, when: {account: {industry: technology}}}
behaviour:
  - {id: session, points: 4, count: {per: session}, when: {type: page}, within: 4 days}
  - {id: spans, points: 5, count: {per: 3 days}, when: {type: call}, within: 6 days}
  - {id: months, points: 3, count: {per: 2 months}, when: {type: open}, within: 4 days}
  - {id: trial, points: 6, count: {per: day}, when: {type: trial}, decay: line, cap: 11}
measures:
  - {id: rate, share: {type: open}, of: {type: page}, within: 4 days, steps: {0.5: 4}}
  - {id: talk, duration: {type: call}, within: 3 days, every: 60, points: 1, cap: 3}
decays: {line: {over: 4 days}}
limits: {fit: {cap: 6}, behaviour: {cap: 30, floor: -20}}
weights: {fit: 0.5, behaviour: 0.2}
thresholds: {mql: 2, sql: 4}
"""
ON_THE_WAY = """
name: on the way
behaviour:
  - {id: call, points: 8, count: each, when: {type: call}, decay: step}
  - {id: page, points: 3, count: each, when: {type: page}, within: 3 days}
  - {id: left, points: -9, count: each, when: {type: left}}
  - {id: quiet, points: -3, count: each, when: {type: demo}, silent: 2 days}
  - {id: quieter, points: -1, count: {per: 3 days}, when: {type: open}, silent: 1 day}
decays: {step: {after: 1 day, minus: 3, repeat: true}}
limits: {behaviour: {nightly_floor: -9, until: 15}}
thresholds: {mql: 8, sql: 14}
"""
AGREED = """
name: agreed
fit: [{id: cto, points: 7, when: {title: CTO}}]
behaviour:
  - {id: call, points: 5, count: each, when: {type: call}}
  - {id: open, points: 2, count: each, when: {type: open}}
consent:
  behaviour: {any: [{custom: {born: {known: false}}}, {custom: {born: {at_most_ago: 3 days}}}]}
  scoring: {not: {any: [{title: {known: true}, custom: {ends: {within_next: 2 days}}},
                        {account: {created_at: {at_most_ago: 2 days}}, title: {known: true}}]}}
scale: {top: 40}
thresholds: {mql: 20, sql: 40}
tiers: {A: 40, B: 20, C: 1}
"""
PROFILED = """
name: profiled
fit: [{id: cto, points: 7, when: {title: CTO}}]
behaviour:
  - {id: call, points: 5, when: {type: call}, count: each, within: 4 days, cap: 40}
  - {id: page, points: 3, when: {type: page}, count: each, decay: half, cap: 40}
  - {id: offer, points: 4, when: {type: [open, demo]}, count: each, cap: 12}
decays: {half: {half_life: 1 day}}
sizes:
  - {id: small, when: {not: {custom: {born: {at_least_ago: 3 days}}}}}
  - {id: large, when: {custom: {born: {at_least_ago: 3 days}}}}
matrix: {fit: {A: 7, B: 0}, behaviour: {"1": 10, "2": 5, "3": 0}}
interest:
  areas:
    talks: {type: call}
    soon: {custom: {valid: {within_next: 2 days}}}
    web: {type: [page, open]}
journey:
  awareness: {when: {type: trial}, within: 5 days}
  decision: {when: {type: [call, demo], custom: {seen: {at_most_ago: 3 days}}}, evidence: 2}
roles:
  infer:
    user: {when: {title: CTO}, did: {type: trial}, confidence: 0.7}
icp: {company: {industry: technology}, persona: {title: CTO}}
thresholds: {mql: 1010, sql: 2010}
"""
NEW = """
name: new
behaviour: [{id: call, points: 9, count: each, when: {type: call}, within: 2 days}]
thresholds: {mql: 8, sql: 12, keep: {mql: 5, sql: 9}}
consent: {scoring: {not: {custom: {ends: {within_next: 1 day}}}}}
"""
REST = """
name: rest
fit: [{id: had, points: 3, when: {past: {mqls: {above: 0}}}}]
behaviour: [{id: open, points: 4, count: each, when: {type: [open, call]}, decay: line}]
decays: {line: {over: 3 days}}
thresholds: {mql: 6, sql: 20}
"""


@dataclass(frozen=True)
class Case:
    """A model, and the segments before it: model -> condition."""

    model: str
    ahead: Mapping[str, Any]

    def rules(self, mql: int = 0) -> Model:
        """The model, with its MQL threshold raised."""
        content = yaml.safe_load(self.model)
        content["thresholds"]["mql"] += mql / 1000
        return parse(content)

    @property
    def segments(self) -> Segments:
        """The segments before the model."""
        return tuple(
            Segment(parse(yaml.safe_load(text)), LeadCondition.model_validate(when))
            for text, when in self.ahead.items()
        )


CASES = {
    "counting": Case(COUNTING, {}),
    "on-the-way": Case(ON_THE_WAY, {}),
    "agreed": Case(AGREED, {}),
    "profiled": Case(PROFILED, {}),
    "segments": Case(
        REST,
        {
            NEW: {
                "any": [
                    {
                        "created_at": {"at_most_ago": "3 days"},
                        "account": {"industry": "technology"},
                    },
                    {"past": {"stage": "MQL"}},
                ]
            },
        },
    ),
}


def begun(at: datetime) -> Iterator[dict[str, Any]]:
    """What was done at the beginning, so that time has something to work on."""
    for number, who in enumerate(PEOPLE * 2):
        kind = KINDS[number % len(KINDS)]
        custom = {"seen": at.isoformat(), "valid": (at + 4 * DAY).isoformat()}
        row = task(f"{who}{kind}", type=kind, occurred_at=at, custom=custom)
        yield {**row, "lead_id": who, "modified_at": at}


def test_every_model_is_rescored_in_part() -> None:
    """None of them is scored whole for a word that is not foreseen, which would prove nothing."""
    for case in CASES.values():
        conditions = (segment.when for segment in case.segments if segment.when)
        models = (segment.model for segment in case.segments)
        assert foreseen(case.rules(), *models, *conditions)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", CASES)
@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(history=st.lists(st.lists(STEPS, min_size=3, max_size=8), min_size=3, max_size=5))
def test_incremental_is_full(name: str, history: list[list[Step]]) -> None:
    """U12: sessions and spans of days, silences, floors and ends on the way, consent, scales and
    sizes, what a lead is interested in and how far on it is, and several models."""
    case, last = CASES[name], dict[str, datetime]()
    with FactsStore(":memory:") as store, Ledger("sqlite://") as ledger:
        runs = Runs(CONFIG, case.rules(), store, ledger, ahead=case.segments)
        runs.put(page(USERS, *(rep(name) for name in REPS)))
        runs.put(page(ACCOUNTS, *(firm(id_) for id_ in FIRMS)))
        runs.put(page(LEADS, *(person(id_, runs.now) for id_ in PEOPLE)))
        runs.put(page(TASKS, *begun(runs.now)))
        assert runs.run() is None
        for steps in history:
            for step in steps:
                if step.kind == "model":
                    runs.model = case.rules(step.days + 3)
                else:
                    happen(runs, step, last)
            runs.run(complete=not any(step.kind == "crash" for step in steps))
