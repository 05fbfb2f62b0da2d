"""With persons in two connections, a cycle still gives what rescoring all gives: in both."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connectors.base import Capabilities, Connector, Page, Removed, Stream
from core.rules import parse
from core.segments import Segment
from sync.config import Config
from sync.decide import Decider
from sync.facts_store import FactsStore
from sync.ledger import Ledger
from sync.plan import ConnectionPlan
from sync.selection import chosen, select
from sync.session import Session
from tests.sync.test_facts_store import LEADS, T0, TASKS, lead, page, task

DAY = timedelta(days=1)
NAMES = ("marketing", "sales")
FILES = {"kind": "files", "folder": ".", "leads": "leads.csv"}
KEY = {"marketing": "custom.sales_id", "sales": "id"}
CONFIG = Config.model_validate(
    {"connections": dict.fromkeys(NAMES, FILES), "identity": {"keys": [KEY]}}
)
CAPABILITIES = Capabilities(objects=("Lead",), write_batch=200, read_back_batch=200, lookback=DAY)
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


@dataclass
class Runs:
    """Cycles over two connections; `stands` is what they came to so far."""

    store: FactsStore
    ledger: Ledger
    now: datetime = T0
    count: int = 0
    stands: dict[tuple[str, str], tuple[Any, ...]] = field(default_factory=dict)

    def put(self, name: str, page: Page) -> None:
        """Store a page as of now."""
        self.store.store(name, page, at=self.now)

    def run(self, *, only: str | None = None, complete: bool = True) -> int | None:
        """A cycle over both connections, or one; how many leads it decided about. None: all.

        It is held to what deciding about everybody gives; not complete: it is killed between the
        writing of the one and of the other.
        """
        self.count += 1
        names = [only] if only else list(NAMES)
        connectors = cast("dict[str, Connector]", dict.fromkeys(names))
        segments = (Segment(MODEL),)
        session = Session(CONFIG, segments, self.store, self.ledger, connectors, lambda: self.now)
        run_id = f"run-{self.count}"
        self.ledger.start(run_id, "test", model="m", at=self.now)
        selections = [
            select(
                session, ConnectionPlan(name, CAPABILITIES, {}, {}), None, self.now, None,
                run_id=run_id, full=False,
            )
            for name in names
        ]  # fmt: skip
        with chosen(self.store, selections, self.now, segments, CONFIG.identity) as leads:
            mine = self.decided(leads)
        every = self.decided(None)
        for key in every:
            if key[0] in names:
                self.stands[key] = mine.get(key, self.stands.get(key, ()))
        assert {k: v for k, v in self.stands.items() if k[0] in names and k in every} == {
            k: v for k, v in every.items() if k[0] in names
        }
        for selection in selections if complete else selections[:1]:
            self.store.touched.advance(selection.connection, selection.mark, ())
        return None if leads is None else len(mine)

    def decided(self, leads: Any) -> dict[tuple[str, str], tuple[Any, ...]]:
        """Score and reason of every lead that is decided about."""
        with Decider(
            (Segment(MODEL),), None, self.store, self.now, leads=leads, identity=CONFIG.identity
        ) as decider:
            decided = [d.decision for n in NAMES for b in decider.decided(n, {}) for d in b]
        return {(d.connection, d.lead_id): (d.score, d.reason) for d in decided}


@contextmanager
def running() -> Iterator[Runs]:
    """Runs over a few people of each connection, decided about once."""
    with FactsStore(":memory:") as store, Ledger("sqlite://") as ledger:
        runs = Runs(store, ledger)
        for name in NAMES:
            runs.put(name, page(LEADS, *(person(id_, T0) for id_ in PEOPLE)))
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
        runs.put(step.name, page(LEADS, person(step.who, runs.now, email=email)))
    elif step.kind == "key":
        custom = {"sales_id": step.other} if step.days else None
        runs.put("marketing", page(LEADS, person(step.who, runs.now, custom=custom)))
    elif step.kind == "kind":
        beside = person(
            f"{step.who}2", runs.now, object_type="Contact", email=f"{step.other}@x.example"
        )
        runs.put("sales", page(Stream("Contact", "leads"), beside))
    elif step.kind in ("task", "open"):
        kind = "call" if step.kind == "task" else "open"
        row = call(number, step.who, then, type=kind, modified_at=runs.now)
        runs.put(step.name, page(TASKS, row))
    elif step.kind in ("merge", "delete"):
        survivor = step.other if step.kind == "merge" and step.other != step.who else None
        runs.put(step.name, page(LEADS, removed=(Removed(step.who, runs.now, survivor),)))
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
        runs.put("marketing", page(TASKS, call(1, "A", T0)))
        assert runs.run() == 2
        assert runs.stands["sales", "A"][0] == runs.stands["marketing", "A"][0] == 30_000
        runs.now += DAY
        runs.put("sales", page(LEADS, person("A", runs.now, email="new@x.example")))
        assert runs.run() == 2
        assert runs.stands["sales", "A"][0] == 0
        runs.now += DAY
        runs.put("sales", page(LEADS, person("B", runs.now, email="a@x.example")))
        assert runs.run() == 4
        assert runs.stands["sales", "B"][0] == 30_000
        runs.now += DAY
        runs.put("marketing", page(LEADS, removed=(Removed("A", runs.now, None),)))
        runs.run()
        assert runs.stands["sales", "B"][0] == 0
        assert runs.run(only="sales") is None
        assert runs.run() is None
        assert runs.run() == 0
