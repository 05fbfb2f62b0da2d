"""With persons in two connections, a cycle still gives what rescoring all gives: in both."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connectors.base import Removed, Stream
from core.rules import parse
from sync.config import Config
from sync.facts_store import FactsStore
from sync.ledger import Ledger
from tests.sync import test_incremental as incremental
from tests.sync.runs import FILES, Runs
from tests.sync.test_facts_store import LEADS, T0, TASKS, USERS, lead, page, task

DAY = timedelta(days=1)
NAMES = ("marketing", "crm")
KEY = {"marketing": "custom.sales_id", "crm": "id"}
CONFIG = Config.model_validate(
    {"connections": dict.fromkeys(NAMES, FILES), "identity": {"keys": [KEY]}}
)
MODEL = parse(
    {
        "name": "m",
        "thresholds": {"mql": 5, "sql": 10},
        "tiers": {"A": 0},
        "behaviour": [
            {"id": "call", "points": 3, "count": "each", "when": {"type": "call"}},
            {"id": "open", "points": 2, "count": "each", "when": {"type": "open"},
             "within": "3 days"},
        ],
    }
)  # fmt: skip
PEOPLE = "ABCD"


@contextmanager
def running() -> Iterator[Runs]:
    """Runs over a few people of each connection, decided about once."""
    with FactsStore(":memory:") as store, Ledger("sqlite://") as ledger:
        runs = Runs(CONFIG, MODEL, store, ledger)
        for name in NAMES:
            runs.put(page(LEADS, *(person(id_, T0) for id_ in PEOPLE)), name)
        assert runs.run() is None
        yield runs


def person(id_: str, at: datetime, **values: Any) -> dict[str, Any]:
    """A lead whose address is its own in its connection, and somebody's in the other."""
    return {**lead(id_), "modified_at": at, "email": f"{id_}@x.example", **values}


def call(number: int, who: str, at: datetime, **values: Any) -> dict[str, Any]:
    """A call with somebody."""
    row = {"type": "call", "occurred_at": at, "modified_at": at}
    return {**task(f"t{number}"), "lead_id": who, **row, **values}


@dataclass(frozen=True)
class Step:
    """Something that happens in a connection: what, to whom, with whom, and how many days ago."""

    kind: str
    name: str
    who: str
    other: str
    days: int


STEPS = st.builds(
    Step,
    st.sampled_from(["email", "email", "key", "kind", "task", "task", "open", "merge", "delete",
                     "pass", "crash", "alone"]),
    st.sampled_from(NAMES),
    st.sampled_from(PEOPLE),
    st.sampled_from(PEOPLE),
    st.integers(0, 4),
)  # fmt: skip


def happen(runs: Runs, step: Step) -> None:
    """Let a step happen."""
    runs.now += timedelta(minutes=1)
    then, number = runs.now - step.days * DAY, ord(step.who) + ord(step.other) * 7 + step.days
    if step.kind == "email":
        email = f"{step.other}@x.example" if step.days else None
        runs.put(page(LEADS, person(step.who, runs.now, email=email)), step.name)
    elif step.kind == "key":
        custom = {"sales_id": step.other} if step.days else None
        runs.put(page(LEADS, person(step.who, runs.now, custom=custom)), "marketing")
    elif step.kind == "kind":
        beside = person(
            f"{step.who}2", runs.now, object_type="Contact", email=f"{step.other}@x.example"
        )
        runs.put(page(Stream("Contact", "leads"), beside), "crm")
    elif step.kind in ("task", "open"):
        kind = "call" if step.kind == "task" else "open"
        row = call(number, step.who, then, type=kind, modified_at=runs.now)
        runs.put(page(TASKS, row), step.name)
    elif step.kind in ("merge", "delete"):
        survivor = step.other if step.kind == "merge" and step.other != step.who else None
        runs.put(page(LEADS, removed=(Removed(step.who, runs.now, survivor),)), step.name)
    elif step.kind == "pass":
        runs.now += max(step.days, 1) * DAY


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(st.lists(st.lists(STEPS, min_size=1, max_size=6), min_size=2, max_size=6))
def test_incremental_is_full_for_persons(history: list[list[Step]]) -> None:
    """Over addresses and keys that change, claims that come and go, merges, removals, late events,
    time, kills between the connections and cycles of one alone: after every run each record has
    the score that rescoring all gives."""
    with running() as runs:
        for steps in history:
            for step in steps:
                happen(runs, step)
            kinds = {step.kind for step in steps}
            alone = next((step.name for step in steps if step.kind == "alone"), None)
            runs.run(only=alone, complete="crash" not in kinds)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_changes_in_one_connection_rescores_the_person_alone() -> None:
    """An activity, an address that changes and a removal in one connection rescore the records of
    that person in both, before and after, and nobody else; idle runs rescore nobody; a cycle of
    one connection alone, and the one after it, rescore all."""
    with running() as runs:
        assert runs.run() == 0
        runs.put(page(TASKS, call(1, "A", T0)), "marketing")
        assert runs.run() == 2
        assert runs.stands["crm", "A"][0] == runs.stands["marketing", "A"][0] == 30_000
        runs.now += DAY
        runs.put(page(LEADS, person("A", runs.now, email="new@x.example")), "crm")
        assert runs.run() == 2
        assert runs.stands["crm", "A"][0] == 0
        runs.now += DAY
        runs.put(page(LEADS, person("B", runs.now, email="a@x.example")), "crm")
        assert runs.run() == 4
        assert runs.stands["crm", "B"][0] == 30_000
        runs.now += DAY
        runs.put(page(LEADS, removed=(Removed("A", runs.now, None),)), "marketing")
        runs.run()
        assert runs.stands["crm", "B"][0] == 0
        assert runs.run(only="crm") is None
        assert runs.run() is None
        assert runs.run() == 0


EVERYTHING = Config.model_validate(
    {
        "connections": dict.fromkeys(NAMES, FILES),
        "identity": {"keys": [KEY]},
        "routing": incremental.ROUTING,
    }
)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(
    st.lists(st.lists(STEPS | incremental.STEPS, min_size=1, max_size=8), min_size=2, max_size=4)
)
def test_incremental_is_full_with_everything(history: list[list[Step | incremental.Step]]) -> None:
    """U12: the same with hygiene, routing and a past: score, stage and owner of every record, where
    records are held out, duplicates in one connection and persons in both, owners leave, humans
    choose others, calls are missed, and what is given is written."""
    last: dict[str, datetime] = {}
    with FactsStore(":memory:") as store, Ledger("sqlite://") as ledger:
        model = parse(incremental.MODEL)
        runs = Runs(EVERYTHING, model, store, ledger, writes=True)
        for name in NAMES:
            runs.put(page(USERS, *(incremental.rep(rep) for rep in incremental.REPS)), name)
            runs.put(page(LEADS, *(person(id_, T0) for id_ in PEOPLE)), name)
        runs.run()
        for steps in history:
            for step in steps:
                if isinstance(step, Step):
                    happen(runs, step)
                else:
                    incremental.happen(runs, step, last)
            runs.run(complete=not any(step.kind == "crash" for step in steps))
