"""Routing by the facts: what places a lead, what counts as open, what an older ledger remembers."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from connectors.base import Capabilities, Stream
from core.routing import Assignment, Routed
from core.rules import parse
from core.segments import Segment, Segments
from sync.config import Config
from sync.decide import Decider
from sync.facts_store import FactsStore
from sync.ledger import Ledger
from sync.roster import find
from sync.route import Round, assign
from tests.sync.test_facts_store import LEADS, T0, TASKS, USERS, lead, page, task

CAPABILITIES = Capabilities(
    objects=("Lead",), write_batch=200, read_back_batch=200, lookback=timedelta(days=1)
)
ACCOUNTS = Stream("Account", "accounts")
REPS = ("ana", "ben", "cyd")
LEAST = {"owners": list(REPS), "by": "load"}
BEHAVIOUR = [{"id": "visit", "points": 100, "when": {"type": "page_view"}}]
COMMON = {"behaviour": BEHAVIOUR, "thresholds": {"mql": 50, "sql": 100}}
SEGMENTS: Segments = (
    Segment(
        parse({"name": "shops", **COMMON}),
        Config.model_validate({
            "connections": {"crm": {"kind": "files", "folder": ".", "leads": "l.csv"}},
            "model": [{"model": "a", "when": {"title": "Shop"}}, {"model": "b"}],
        }).model[0].when,
    ),
    Segment(parse({"name": "rest", **COMMON, "interest": {"areas": True}})),
)  # fmt: skip


@contextmanager
def store(*people: dict[str, Any]) -> Iterator[FactsStore]:
    """Facts of some leads, each with a visit of an hour ago, and of three reps."""
    with FactsStore(":memory:") as facts:
        user = {"object_type": "User", "kind": "person", "active": True, "modified_at": T0}
        facts.store("crm", page(USERS, *({"id": name, **user} for name in REPS)), at=T0)
        firm = {"id": "A1", "object_type": "Account", "modified_at": T0, "domain": "known.example"}
        facts.store("crm", page(ACCOUNTS, firm), at=T0)
        facts.store("crm", page(LEADS, *people), at=T0)
        visit = {"type": "page_view", "occurred_at": T0 - timedelta(hours=1)}
        visits = (
            task(f"t{row['id']}", person=row["id"], **{**visit, "area": row["id"]})
            for row in people
        )
        facts.store("crm", page(TASKS, *visits), at=T0)
        yield facts


def person(id_: str, **values: Any) -> dict[str, Any]:
    """A lead."""
    return {**lead(id_), "modified_at": T0, "email": f"{id_}@{id_}.example".lower(), **values}


def routed(facts: FactsStore, ledger: Ledger, **routing: Any) -> Round:
    """What routing decides about them."""
    config = Config.model_validate(
        {
            "connections": {"crm": {"kind": "files", "folder": ".", "leads": "l.csv"}},
            "routing": {"pool": list(REPS), **routing},
        }
    )
    assert config.routing is not None
    roster = find(config.routing, facts, "crm", CAPABILITIES).roster
    with Decider(SEGMENTS, config.routing, facts, T0) as decider:
        return assign(decider, {"crm": roster}, ledger)["crm"]


def test_what_places_a_lead() -> None:
    """By segment, by product, by any condition, by the domain of the account or of the address."""
    territories = [
        {"name": "segment", "models": ["shops"], "owners": ["ana"]},
        {"name": "product", "areas": ["L2"], "when": {"title": "Buyer"}, "owners": ["ben"]},
        {"name": "place", "when": {"region": "europe"}, "owners": ["cyd"]},
    ]
    named = [{"owner": "ben", "accounts": ["known.example", "L6.example"]}]
    people = (
        person("L1", title="Shop"),
        person("L2", title="Buyer"),
        person("L3", title="Buyer", region="europe", country="DE"),
        person("L4", region="europe", country="DE"),
        person("L5", account_id="A1"),
        person("L6", title="Shop"),
        person("L7"),
    )
    with store(*people) as facts, Ledger("sqlite://") as ledger:
        made = routed(facts, ledger, territories=territories, named_accounts=named)
        found = {id_: (one.owner_id, one.reason) for id_, one in made.assignments.items()}
    assert found.pop("L7")[1] == "round robin"
    assert found == {
        "L1": ("ana", "territory segment"),
        "L2": ("ben", "territory product"),
        "L3": ("cyd", "territory place"),
        "L4": ("cyd", "territory place"),
        "L5": ("ben", "owner of the named account"),
        "L6": ("ben", "owner of the named account"),
    }


@pytest.mark.parametrize(
    ("routing", "owner"),
    [
        ({}, "ana"),
        ({"pool": {"owners": list(REPS), "by": "load"}}, "cyd"),
        (
            {"pool": {"owners": list(REPS), "by": "load"}, "open_leads": {"status": "Working"}},
            "ben",
        ),
        pytest.param({"everyone": {"total_cap": 1}}, "cyd", marks=pytest.mark.slow),
        ({"everyone": {"total_cap": 2}, "owners": {"ana": {"total_cap": 1}}}, "cyd"),
    ],
)
def test_what_counts_as_open(routing: dict[str, Any], owner: str) -> None:
    """An open lead is in a routed stage, not converted, and as `open_leads` says."""
    hot = {"present": {"stage": "SQL"}}
    people = (
        *(person(f"A{n}", owner_id="ana", status="Working", **hot) for n in range(2)),
        *(person(f"B{n}", owner_id="ben", status="New", **hot) for n in range(2)),
        person("C1", owner_id="cyd", converted_at=T0, **hot),
        person("C2", owner_id="cyd", present={"stage": "MQL"}),
        person("L1"),
    )
    with store(*people) as facts, Ledger("sqlite://") as ledger:
        assert routed(facts, ledger, **routing).assignments["L1"].owner_id == owner


def test_a_ledger_of_before_goes_on() -> None:
    """Where no turns were ever recorded, what each owner was given so far counts."""
    with store(person("L1"), person("L2")) as facts, Ledger("sqlite://") as ledger:
        ledger.start("r0", "test", model="m", at=T0)
        before = [("X1", "ana"), ("X2", "ana"), ("X3", "cyd")]
        given = tuple(Assignment(id_, owner, "pool", fresh=True) for id_, owner in before)
        ledger.routing.record("r0", "crm", Routed(given), at=T0, now=T0)
        made = routed(facts, ledger)
    assert [one.owner_id for one in made.routed.assignments] == ["ben", "ben"]


def test_what_was_not_written_is_not_given_to_another() -> None:
    """A run that ends before it writes is repeated with the same owners, turns and counts."""
    people = [person(f"L{n}") for n in range(4)]
    with store(*people) as facts, Ledger("sqlite://") as ledger:
        ledger.start("r0", "test", model="m", at=T0)
        first = routed(facts, ledger, everyone={"daily_cap": 1})
        ledger.routing.record("r0", "crm", first.routed, at=T0, now=T0)
        second = routed(facts, ledger, everyone={"daily_cap": 1})
        ledger.routing.record("r0", "crm", second.routed, at=T0, now=T0)
        assert ledger.routing.given_since("crm", T0).total() == 3
        assert [one.lead_id for one in ledger.routing.waiting()] == ["L3"]
    owners = [{i: a.owner_id for i, a in made.assignments.items()} for made in (first, second)]
    assert owners[0] == owners[1] == {"L0": "ana", "L1": "ben", "L2": "cyd", "L3": None}
