"""Scores as of a date: what becomes known later changes nothing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connectors.base import Page, Removed
from connectors.sandbox.crm import Kind
from connectors.sandbox.scenario import GOLDEN_50, GOLDEN_107, build
from core.decision import UNIT, Decision
from core.rules import parse
from core.segments import Segment
from sync.exits import Exit
from sync.facts_store import FactsStore
from sync.replay import replay
from tests.live import Live, live
from tests.sync.test_facts_store import LEADS, TASKS, hour, lead, page, task

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")

MODEL = parse(
    {
        "name": "m",
        "thresholds": {"mql": 10, "sql": 30},
        "fit": [{"id": "cto", "points": 7, "when": {"title": "CTO"}}],
        "behaviour": [
            {"id": "call", "points": 5, "count": "each", "when": {"type": "call"}},
            {"id": "pricing", "points": 20, "when": {"asset": "/pricing"}},
        ],
        "tiers": {"A": 30, "B": 0},
    }
)
PEOPLE = ("A", "B", "C")


@dataclass(frozen=True)
class Step:
    """Something that a CRM reports; `stamped` False: under the record's former stamp."""

    kind: str
    id: str
    other: str
    people: tuple[str, ...]
    text: str
    stamped: bool


STEPS = st.builds(
    Step,
    st.sampled_from(["lead", "lead", "task", "task", "merge", "delete"]),
    st.sampled_from(PEOPLE),
    st.sampled_from(PEOPLE),
    st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=3, unique=True).map(tuple),
    st.sampled_from(["CTO", "Clerk"]),
    st.booleans(),
)


def pages(steps: list[Step]) -> Iterator[tuple[float, Page]]:
    """A page for each step, an hour after the one before."""
    stamps: dict[str, float] = {}
    for n, step in enumerate(steps, start=1):
        key = f"{step.kind} {step.id}"
        at = stamps[key] if key in stamps and not step.stamped else n
        stamps[key] = at
        if step.kind == "lead":
            email = f"{step.id}@x.example"
            yield n, page(LEADS, lead(step.id, at, title=step.text, email=email))
        elif step.kind == "task":
            asset = "/pricing" if step.text == "CTO" else None
            yield n, page(TASKS, *(task(step.id, at, who, asset=asset) for who in step.people))
        else:
            survivor = step.other if step.kind == "merge" and step.other != step.id else None
            yield n, page(LEADS, removed=(Removed(step.id, hour(n), survivor),))


def replayed(store: FactsStore, n: float, *leads: str) -> list[Decision]:
    """The whole base, or some leads, as of an hour."""
    return list(replay(store, (Segment(MODEL),), hour(n), ["crm"], leads))


@pytest.mark.slow
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(st.lists(STEPS, min_size=2, max_size=10), st.data())
def test_nothing_that_comes_later_changes_the_past(steps: list[Step], data: st.DataObject) -> None:
    """U01: field changes, events, late associations, merges and removals after a date, known by
    their stamp or by when they were seen, leave every score of that date as it was."""
    cut = data.draw(st.integers(1, len(steps)))
    told = list(pages([Step("lead", who, who, (who,), "Clerk", True) for who in PEOPLE] + steps))
    cut += len(PEOPLE)
    with FactsStore(":memory:") as store:
        for n, one in told[:cut]:
            store.store("crm", one, at=hour(n))
        then = replayed(store, cut)
        for n, one in told[cut:]:
            store.store("crm", one, at=hour(n))
        assert replayed(store, cut) == then


@pytest.mark.slow
def test_a_merged_activity_was_the_other_lead_s_before() -> None:
    """U01: after a merge in a chain, each date shows whose activity it was at that time."""
    with FactsStore(":memory:") as store:
        first = [page(LEADS, *(lead(who, email="x@x.example") for who in PEOPLE))]
        first += [page(TASKS, task(person="A"))]
        merges = [Removed("A", hour(2), "B"), Removed("B", hour(4), "C")]
        for one in (*first, *(page(LEADS, removed=(m,)) for m in merges)):
            store.store("crm", one, at=hour(9))
        scores = [{d.lead_id: int(d.points) for d in replayed(store, n)} for n in (1, 3, 5)]
        assert scores == [{"A": 5, "B": 0, "C": 0}, {"B": 5, "C": 0}, {"C": 5}]
        for n in (1, 3, 5):
            for decision in replayed(store, n):
                assert replayed(store, n, decision.lead_id) == [decision]


@pytest.mark.slow
def test_a_lead_that_lives_on_for_a_while_keeps_what_it_did() -> None:
    """U01: a lead may have changed after the instant at which it became another, of which a CRM
    says no more than the day: until that change what it did is its own, and counts once."""
    with FactsStore(":memory:") as store:
        both = [lead(who, email=f"{who}@x.example") for who in ("A", "B")]
        store.store("crm", page(LEADS, *both), at=hour(1))
        store.store("crm", page(TASKS, task(person="A")), at=hour(1))
        going = page(LEADS, lead("A", 6, title="Clerk"), removed=(Removed("A", hour(3), "B"),))
        store.store("crm", going, at=hour(9))
        scores = [{d.lead_id: int(d.points) for d in replayed(store, n)} for n in (2, 4, 7)]
        assert scores == [{"A": 5, "B": 0}, {"A": 5, "B": 0}, {"B": 5}]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, empty."""
    with live(tmp_path) as world:
        yield world


def iso(moment: datetime) -> str:
    """An instant as the command line takes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.slow
def test_replay_and_explain_as_of_a_date(world: Live) -> None:
    """U01 D57: the same store, date and model give the same bytes, whatever happened since; what
    is explained is the equation of the score."""
    golden, other = world.tell(GOLDEN_107), world.tell(GOLDEN_50)
    world.set_up()
    world.sync()
    then = world.clock.now + timedelta(seconds=1)
    world.clock.tick()
    asked = ("replay", "--as-of", iso(then))
    before = world.run(*asked)
    assert before.code == Exit.DONE
    lines = before.out.splitlines()
    assert lines[0].startswith("connection,object_type,lead_id,score,tier,stage,reason,model")
    assert {tuple(line.split(",")[3:6]) for line in lines[1:]} == {
        ("107", "A", "SQL"), ("50", "C", "MQL"),
    }  # fmt: skip
    assert world.run(*asked).out == before.out
    explained = {
        name: ("explain", seller.id(golden[name]), "--json", "--as-of", iso(then))
        for name, seller in world.sellers.items()
    }
    points = {name: world.run(*line).out for name, line in explained.items()}
    for (said,) in map(json.loads, points.values()):
        assert sum(Decimal(line["points"]) for line in said["lines"]) == Decimal("107")
        for line in said["lines"]:
            raw, decay, cap, weight, counted = (
                Decimal(line[key]) for key in ("raw", "decay_loss", "cap_loss", "weight", "points")
            )
            assert (raw - decay - cap) * weight == counted
    for name, seller in world.sellers.items():
        visit = {"type": "page_view", "asset": "/pricing", "people": [other[name].number]}
        seller.crm.add(Kind.ACTIVITY, {**visit, "at": world.clock()})
        build(seller.crm, GOLDEN_50, at=world.clock())
        seller.crm.update(golden[name], {"title": "Clerk"})
        seller.crm.merge(golden[name], other[name])
    world.sync("--max-change-share", "1")
    assert world.run(*asked).out == before.out
    assert {name: world.run(*line).out for name, line in explained.items()} == points
    assert world.run("replay").out != before.out


@pytest.mark.slow
def test_both_parts_of_a_mixed_score_are_shown(world: Live) -> None:
    """S019: of a fit of 80 and a behaviour of 50, weighted 0.6 and 0.4, the score is 68; both parts
    are shown, and kept with the decision."""
    golden = world.tell(GOLDEN_107)["sales"]
    world.model(
        weights={"fit": 0.6, "behaviour": 0.4},
        fit=[{"id": "any", "points": 80, "when": {"email": {"known": True}}}],
        behaviour=[{"id": "page", "points": 50, "when": {"type": "page_view"}}],
        decays={},
    )
    world.set_up()
    world.sync()
    (said,) = world.run("explain", world.sales.id(golden), "--json").json
    assert said["score"] == "68"
    assert said["parts"] == [
        {"part": "fit", "counted": "80", "weight": "0.6", "points": "48"},
        {"part": "behaviour", "counted": "50", "weight": "0.4", "points": "20"},
    ]
    shown = world.run("explain", world.sales.id(golden)).out
    assert "parts: fit +48 (80 x 0.6), behaviour +20 (50 x 0.4)" in shown
    with world.ledger() as ledger:
        kept = ledger.decisions("sales", world.sales.id(golden))[-1].decision
    assert (kept.score, kept.fit, kept.behaviour) == (68 * UNIT, 80 * UNIT, 50 * UNIT)
    assert world.run("export", str(world.folder / "files")).code == Exit.DONE
    columns = ["lead_id", "score", "fit", "behaviour"]
    exported = pq.read_table(world.folder / "files" / "decisions.parquet", columns=columns)
    assert [world.sales.id(golden), 68, 80, 50] in [list(r.values()) for r in exported.to_pylist()]


@pytest.mark.slow
def test_every_line_of_an_explanation_has_its_weight(world: Live) -> None:
    """S020: where parts are weighted, each attribute is listed with its weight and its points, for
    people as for machines, and they add up to the score."""
    golden = world.tell(GOLDEN_107)["sales"]
    world.model(weights={"fit": 0.6, "behaviour": 0.4})
    world.set_up()
    world.sync()
    (said,) = world.run("explain", world.sales.id(golden), "--json").json
    assert {line["part"]: line["weight"] for line in said["lines"]} == {
        "fit": "0.6", "behaviour": "0.4"
    }  # fmt: skip
    for line in said["lines"]:
        raw, decay, cap = (Decimal(line[key]) for key in ("raw", "decay_loss", "cap_loss"))
        assert (raw - decay - cap) * Decimal(line["weight"]) == Decimal(line["points"])
    assert sum(Decimal(line["points"]) for line in said["lines"]) == Decimal("51.8")
    shown = world.run("explain", world.sales.id(golden)).out
    assert "weight" in shown
    (title,) = (line.split() for line in shown.splitlines() if "title-decision" in line)
    assert title[2:5] == ["+9", "0.6", "15"]


@pytest.mark.slow
def test_replay_of_some_leads_under_another_model(world: Live) -> None:
    """U01: any model file, some leads, and a JSON object on each line."""
    golden = world.tell(GOLDEN_107)["sales"]
    world.tell(GOLDEN_50)
    world.set_up()
    world.sync()
    other = world.folder / "other.yaml"
    other.write_text((world.folder / "model.yaml").read_text().replace("points: 20", "points: 21"))
    asked = ("replay", world.sales.id(golden), "--json")
    (line,) = world.run(*asked, "--model", str(other)).out.splitlines()
    assert '"score": "109"' in line
    (line,) = world.run(*asked).out.splitlines()
    assert '"score": "107"' in line
    missing: Any = world.run("replay", "--model", "none.yaml")
    assert (missing.code, "none.yaml" in missing.err) == (Exit.USAGE, True)
