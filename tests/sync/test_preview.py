"""What a changed model would move: equal to two full decisions compared one by one."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connectors.base import Connector, Cursor, Page
from connectors.sandbox.scenario import GOLDEN_50, GOLDEN_107
from core.decision import UNIT
from core.facts import BY_NAME, arrow_schema
from core.roster import Pool, Roster, Share
from core.rules import Model, parse
from core.segments import Segment
from sync.config import Config
from sync.decide import Decider
from sync.exits import Exit
from sync.facts_store import FactsStore
from sync.ledger import Ledger
from sync.preview import Preview, RuleMove, Standing, opened
from sync.roster import find
from sync.route import assign
from sync.session import Session
from tests.live import ANA, BEN, ROBOT, Live, live
from tests.sync.runs import CAPABILITIES, FILES
from tests.sync.test_facts_store import LEADS, TASKS, USERS, hour, lead, page, task

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")

OWNERS = ("U1", "U2")
POOL = Pool((Share("U1", 2), Share("U2")))
ROSTER = Roster(frozenset(OWNERS), POOL, stages=frozenset({"MQL", "SQL"}))
ASSETS = ("/pricing", "/blog", "/docs")
POINTS = st.sampled_from([-5, 0, 5, 10, 20])


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A small model; two of them share some of their rules."""
    titles = [
        {"id": title.lower(), "points": draw(POINTS), "when": {"title": title}}
        for title in ("CTO", "Clerk")
    ]
    assets = [
        {
            "id": asset.strip("/"),
            "points": draw(POINTS),
            "when": {"asset": asset},
            "count": draw(st.sampled_from(["once", "each"])),
        }
        for asset in draw(st.lists(st.sampled_from(ASSETS), min_size=1, unique=True))
    ]
    mql = draw(st.sampled_from([5, 10, 20]))
    tiers = {"A": mql * 2, "B": draw(st.sampled_from([0, 5]))}
    return parse(
        {
            "name": "m",
            "fit": titles,
            "behaviour": assets,
            "thresholds": {"mql": mql, "sql": mql * 2},
            "tiers": tiers,
        }
    )


LEAD = st.tuples(
    st.sampled_from(["CTO", "Clerk", None]),
    st.sampled_from([None, "U1", "U2", "gone"]),
    st.lists(st.sampled_from(ASSETS), max_size=4),
)


def fill(store: FactsStore, people: list[Any]) -> None:
    """Store leads by title, owner and the pages they saw."""
    rows = [
        lead(f"L{n}", title=title, owner_id=owner, email="x@x.example")
        for n, (title, owner, _) in enumerate(people)
    ]
    visits = [
        task(f"T{n}-{k}", person=f"L{n}", asset=asset)
        for n, (_, _, seen) in enumerate(people)
        for k, asset in enumerate(seen)
    ]
    store.store("crm", page(LEADS, *rows), at=hour(0))
    store.store("crm", page(TASKS, *visits), at=hour(0))


def decided(
    decider: Decider, ledger: Ledger, roster: Roster = ROSTER
) -> dict[str, tuple[Standing, dict[str, int]]]:
    """Every lead as one model decides it, and what each rule gives it."""
    assignments = assign(decider, {"crm": roster}, ledger)["crm"].assignments
    owners = {r["lead_id"]: r["owner_id"] for r in decider.decisions.to_pyarrow().to_pylist()}
    points: dict[str, dict[str, int]] = {}
    for row in decider.contributions.to_pyarrow().to_pylist():
        points.setdefault(row["lead_id"], {})[row["rule"]] = row["points"]
    found = {}
    for batch in decider.decided("crm", assignments):
        for item in batch:
            d = item.decision
            owner = d.owner_id or owners[d.lead_id]
            standing = Standing(d.points, d.tier, d.stage, owner)
            found[d.lead_id] = (standing, points.get(d.lead_id, {}))
    return found


@pytest.mark.slow
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(st.lists(LEAD, min_size=1, max_size=8), models(), models())
def test_movers_equal_two_full_decisions_compared(
    people: list[Any], old_model: Model, new_model: Model
) -> None:
    """U03 D76 S115: score, tier, stage, owner and rules of every mover, and nobody else; the
    counts of stages add up to all leads, and those who agree and disagree."""
    with FactsStore(":memory:") as store, Ledger("sqlite://") as ledger:
        fill(store, people)
        with (
            Decider((Segment(old_model),), None, store, hour(1)) as old,
            Decider((Segment(new_model),), None, store, hour(1)) as new,
        ):
            before, after = decided(old, ledger), decided(new, ledger)
            preview = Preview(
                old, new, [assign(one, {"crm": ROSTER}, ledger) for one in (old, new)]
            )
            movers, stages = list(preview.movers()), preview.stages()
    expected = {id_ for id_ in before if before[id_][0] != after[id_][0]}
    assert [m.lead_id for m in movers] == sorted(expected)
    for mover in movers:
        was, now = before[mover.lead_id], after[mover.lead_id]
        assert (mover.before, mover.after) == (was[0], now[0])
        pairs = {r: (was[1].get(r, 0), now[1].get(r, 0)) for r in was[1].keys() | now[1].keys()}
        assert {m.rule: (int(m.before * UNIT), int(m.after * UNIT)) for m in mover.rules} == {
            rule: pair for rule, pair in pairs.items() if pair[0] != pair[1]
        }
    assert sum(move.leads for move in stages) == len(people)
    disagree = {id_ for id_ in before if before[id_][0].stage != after[id_][0].stage}
    assert sum(move.leads for move in stages if move.before != move.after) == len(disagree)


@pytest.mark.slow
def test_an_owner_that_a_model_would_change_is_a_mover() -> None:
    """U03 D76: the pool takes turns from the best lead down; a model that turns their order gives
    each the other's owner, and one that qualifies a third lead gives it one."""

    def paying(cto: int, clerk: int, intern: int) -> Model:
        fit = [
            {"id": title.lower(), "points": points, "when": {"title": title}}
            for title, points in (("CTO", cto), ("Clerk", clerk), ("Intern", intern))
        ]
        return parse({"name": "m", "fit": fit, "thresholds": {"mql": 10, "sql": 100}})

    people: list[Any] = [(title, None, []) for title in ("CTO", "Clerk", "Intern")]
    roster = replace(ROSTER, pool=Pool((Share("U1"), Share("U2"))))
    with FactsStore(":memory:") as store, Ledger("sqlite://") as ledger:
        fill(store, people)
        with (
            Decider((Segment(paying(30, 20, 1)),), None, store, hour(1)) as old,
            Decider((Segment(paying(30, 40, 11)),), None, store, hour(1)) as new,
        ):
            before, after = (decided(one, ledger, roster) for one in (old, new))
            rounds = [assign(one, {"crm": roster}, ledger) for one in (old, new)]
            movers = {m.lead_id: m for m in Preview(old, new, rounds).movers()}
    owners = {id_: (m.before.owner, m.after.owner) for id_, m in movers.items()}
    assert owners == {"L0": ("U1", "U2"), "L1": ("U2", "U1"), "L2": (None, "U1")}
    assert movers["L0"].rules == ()
    assert {id_: (before[id_][0], after[id_][0]) for id_ in before} == {
        id_: (m.before, m.after) for id_, m in movers.items()
    }


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, empty."""
    with live(tmp_path) as world:
        yield world


@pytest.mark.slow
def test_preview_lists_who_moves_and_asks_no_crm(world: Live) -> None:
    """U03 D76 D74: who moves from what to what and by which rule, with an owner where one is
    given; not one request is sent, and a sync with the new model then does exactly that."""
    world.configure(routing={"pool": [ANA, BEN], "unassigned_owners": [ROBOT], "stages": ["MQL"]})
    people = {"107": world.tell(GOLDEN_107), "50": world.tell(GOLDEN_50)}
    configured = world.folder / "model.yaml"
    changed = configured.read_text().replace("id: industry-healthcare, points: 10",
                                             "id: industry-healthcare, points: 9")  # fmt: skip
    new = world.folder / "new.yaml"
    new.write_text(changed)
    world.set_up()
    world.sync()
    seen = {name: len(seller.server.requests) for name, seller in world.sellers.items()}
    outcome = world.run("preview", str(new), "--json")
    assert outcome.code == Exit.DONE, outcome.err
    assert {name: len(s.server.requests) for name, s in world.sellers.items()} == seen
    found = outcome.json
    assert found["changes"] == ["rule industry-healthcare: points 10 -> 9"]
    assert (found["agree"], found["disagree"]) == (
        2, [f"{n}: {s.id(people['50'][n])}" for n, s in sorted(world.sellers.items())],
    )  # fmt: skip
    assert len(found["movers"]) == 2
    for mover in found["movers"]:
        seller = world.sellers[mover["connection"]]
        assert mover["lead_id"] == seller.id(people["50"][seller.name])
        assert (mover["before"]["score"], mover["after"]["score"]) == ("50", "49")
        assert (mover["before"]["tier"], mover["after"]["tier"]) == ("C", "D")
        assert (mover["before"]["stage"], mover["after"]["stage"]) == ("MQL", None)
        assert seller.shown(people["50"][seller.name])["owner"] in (ANA, BEN)
        owner = seller.users[seller.shown(people["50"][seller.name])["owner"]]
        assert mover["before"]["owner"] == mover["after"]["owner"] == seller.id(owner)
        assert mover["rules"] == [{"rule": "industry-healthcare", "before": "10", "after": "9"}]
    text = world.run("preview", str(new))
    assert "rule industry-healthcare: points 10 -> 9" in text.out
    assert "MQL" in text.out
    configured.write_text(changed)
    world.sync()
    for name, seller in world.sellers.items():
        assert seller.shown(people["50"][name])["score"] == 49
        assert seller.shown(people["107"][name])["score"] == 107


@pytest.mark.slow
def test_an_equal_model_moves_nobody(world: Live) -> None:
    """U03: the same content under another file name, comments and all."""
    world.tell(GOLDEN_107)
    world.set_up()
    world.sync()
    same = world.folder / "same.yaml"
    same.write_text("# A comment.\n" + (world.folder / "model.yaml").read_text())
    found = json.loads(world.run("preview", str(same), "--json").out)
    assert (found["changes"], found["movers"], found["disagree"]) == ([], [], [])
    assert Decimal(found["agree"]) == 2


class Unwritable:
    """A connector that says what it can do, and fails at whatever it is asked to do."""

    capabilities = CAPABILITIES

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} of a connector was called")


@pytest.mark.slow
def test_one_weight_over_a_large_base() -> None:
    """U03: of 100,000 leads exactly those move whom the changed rule matches, each with score,
    tier, stage and owner before and after and the rule; it is all that two full decisions differ
    in, and no call is made to write it or anything."""
    count = 100_000
    titles = ["CTO" if n % 7 == 0 else "Clerk" for n in range(count)]
    columns: dict[str, Any] = {
        "id": [f"L{n:06}" for n in range(count)],
        "object_type": ["Lead"] * count,
        "modified_at": [hour(0)] * count,
        "email": ["x@x.example"] * count,
        "title": titles,
    }
    schema = arrow_schema(BY_NAME["leads"].model)
    nothing = pa.nulls(count)
    rows = pa.table(
        [pa.array(columns[f.name], f.type) if f.name in columns else nothing.cast(f.type)
         for f in schema],
        schema=schema,
    )  # fmt: skip
    routing = {"pool": [f"{id_}@seller.example" for id_ in OWNERS], "stages": ["MQL"]}
    config = Config.model_validate({"connections": {"crm": FILES}, "routing": routing})
    connectors = cast("dict[str, Connector]", {"crm": Unwritable()})

    def paying(points: int) -> Model:
        fit = [
            {"id": "cto", "points": points, "when": {"title": "CTO"}},
            {"id": "clerk", "points": 3, "when": {"title": "Clerk"}},
        ]
        limits = {"thresholds": {"mql": 10, "sql": 20}, "tiers": {"A": 10, "B": 0}}
        return parse({"name": "m", "fit": fit, **limits})

    old, new = ((Segment(paying(points)),) for points in (5, 12))
    with FactsStore(":memory:") as store, Ledger("sqlite://") as ledger:
        store.store("crm", Page(LEADS, rows, Cursor(hour(0))), at=hour(0))
        store.store("crm", page(USERS, *map(user, OWNERS)), at=hour(0))
        session = Session(config, old, store, ledger, connectors, lambda: hour(1))
        with opened(session, new, hour(1)) as preview:
            movers, stages = list(preview.movers()), preview.stages()
        assert config.routing is not None
        roster = find(config.routing, store, "crm", CAPABILITIES).roster
        with (
            Decider(old, config.routing, store, hour(1)) as first,
            Decider(new, config.routing, store, hour(1)) as second,
        ):
            before, after = (decided(one, ledger, roster) for one in (first, second))
    expected = {id_ for id_ in before if before[id_][0] != after[id_][0]}
    ctos = [id_ for id_, title in zip(columns["id"], titles, strict=True) if title == "CTO"]
    assert [m.lead_id for m in movers] == sorted(expected) == ctos
    assert all((m.before, m.after) == (before[m.lead_id][0], after[m.lead_id][0]) for m in movers)
    fives, twelves = Standing(Decimal(5), "B", None, None), Standing(Decimal(12), "A", "MQL", None)
    assert {m.before for m in movers} == {fives}
    assert {replace(m.after, owner=None) for m in movers} == {twelves}
    given = Counter(m.after.owner for m in movers)
    assert given.keys() == {*OWNERS}
    assert max(given.values()) - min(given.values()) <= 1
    assert {m.rules for m in movers} == {(RuleMove("cto", Decimal(5), Decimal(12)),)}
    assert {(m.before, m.after): m.leads for m in stages} == {
        (None, "MQL"): len(ctos), (None, None): count - len(ctos),
    }  # fmt: skip


def user(id_: str) -> dict[str, Any]:
    """Somebody who can be given leads."""
    email = f"{id_}@seller.example"
    base = {"object_type": "User", "kind": "person", "active": True, "modified_at": hour(0)}
    return {**base, "id": id_, "name": id_, "email": email}
