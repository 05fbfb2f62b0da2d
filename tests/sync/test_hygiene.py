"""Hygiene in whole runs over both CRMs: counted, written, shown, brought back, and told of."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import ibis
import pytest

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.http import Request, Response, Server
from connectors.sandbox.scenario import GOLDEN_107, Did, Story
from core.hygiene import Hygiene
from core.known import Facts
from sync import daemon, talk
from sync.exits import Exit
from sync.hygiene import Cleanliness, cleanliness
from sync.ledger_rows import RunStatus
from sync.metrics import LedgerCollector
from sync.service_settings import Schedule
from sync.session import read_setup
from sync.stop import Stop
from tests.core.golden import T0, World, lead
from tests.live import ANA, ROBOT, Live, balanced, live
from tests.sync.test_past_live import explained, override

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, empty, their fields made, under a model that asks for hygiene."""
    with live(tmp_path) as world:
        pool = {"pool": [ANA], "unassigned_owners": [ROBOT]}
        world.configure(routing=pool)
        world.model(hygiene={})
        world.set_up()
        yield world


def base(duplicates: int, junk: int) -> Cleanliness:
    """How clean a hundred leads are, of which so many are duplicate or junk."""
    names = ("Mickey Mouse", "Test Test", "asdf")
    people = [lead(f"d{n}", email="one@x.example") for n in range(duplicates + bool(duplicates))]
    people += [lead(f"j{n}", last_name=names[n % 3]) for n in range(junk)]
    people += [lead(f"p{n}", last_name="Rourke") for n in range(100 - len(people))]
    world = World(people)
    engine = ibis.duckdb.from_connection(world.connection)
    stored = (n for n, table in vars(world.facts).items() if table is not None)
    facts = Facts(**{name: engine.table(name) for name in stored})
    return cleanliness(Hygiene(), facts, T0, None)["crm"]


@pytest.mark.slow
def test_the_rate_of_a_hundred_leads() -> None:
    """S196 U15: 10 duplicates and 7 junk are 17.0 %, inside the band; 5 % are unusually low, 40 %
    unusually high."""
    usual = base(10, 7)
    assert dict(usual.held) == {"duplicate": 10, "junk-name": 7}
    assert usual.usable == 83
    assert str(usual) == "17 of 100 leads are duplicate or unusable: 17.0 %, as usual"
    assert str(base(0, 5)).endswith("5.0 %, unusually low: check rules")
    assert str(base(30, 10)).endswith("40.0 %, unusually high")


def person(first: str, last: str, email: str) -> dict[str, Any]:
    """Somebody as a form takes them down."""
    return {"first_name": first, "last_name": last, "company": "Film", "email": email}


def shown(world: Live, record: Record) -> tuple[Any, Any, Any]:
    """Score, stage and owner in Salesforce."""
    found = world.sales.shown(record)
    return found["score"], found["stage"], found["owner"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_junk_is_held_out_and_comes_back(world: Live) -> None:
    """S078 S195 S197 U15 D68: on every sync, the step counts all leads by reason and adds up; who
    is held out gets no points and no owner but stage and reason in both CRMs, also where it was
    scored before; a duplicate names who stands for it and gives it what it did; explain says why.
    A person brings one back by an override, mending the record does the same, at once."""
    hot, did = GOLDEN_107.values, GOLDEN_107.deeds
    junk = world.tell(Story({**hot, **person("Mickey", "Mouse", "m@film.example")}, did))
    real = world.tell(Story({**hot, **person("Mickey", "Rourke", "r@film.example")}, did))
    first = world.sync()
    assert balanced(first.json)
    for name, seller in world.sellers.items():
        step = first.step(name, "hygiene")
        assert (step["in"], step["out"], step["held"]) == (2, 1, {"junk-name": 1})
        assert first.step(name, "score")["in"] == 1
        found = seller.shown(junk[name])
        assert (found["score"], found["tier"], found["stage"]) == (0, None, "Unusable")
        assert found["reason"] == "unusable (junk-name): nobody is called so"
        assert seller.shown(real[name])["stage"] == "SQL"
    assert shown(world, real["sales"])[2] == ANA
    assert shown(world, junk["sales"])[2] != ANA
    assert "2 leads are duplicate or unusable: 50.0 %, unusually high" in first.err
    told = explained(world, "sales", junk["sales"])["known"]["findings"]
    assert [(f["check"], f["field"], f["holds"]) for f in told] == [("junk-name", "name", True)]

    again = world.sales.crm.add(Kind.LEAD, person("M.", "Rourke", "R@film.example"))
    world.clock.tick(hours=1)
    second = world.sync()
    step = second.step("sales", "hygiene")
    assert (step["in"], step["held"]) == (3, {"duplicate": 1, "junk-name": 1})
    assert second.step("sales", "score")["in"] == step["out"] == 1
    survivor = world.sales.id(real["sales"])
    reason = world.sales.shown(again)["reason"]
    assert reason == f"duplicate of {survivor}: another record has the same e-mail address"
    known = explained(world, "sales", real["sales"])["known"]
    assert known["duplicates"] == [world.sales.id(again)]
    points = shown(world, real["sales"])[0]
    call = {"type": "page_view", "asset": "/blog/a", "at": world.clock(), "subject": "page_view"}
    world.sales.crm.add(Kind.ACTIVITY, {**call, "people": [again.number]})
    world.sync()
    assert shown(world, real["sales"])[0] == points + 5

    assert override(world, world.sales.id(junk["sales"]), "--usable").code == Exit.DONE
    world.sales.crm.update(again, {"email": "other@film.example"})
    third = world.sync("--max-change-share", "1")
    assert balanced(third.json)
    assert third.step("sales", "hygiene")["held"] == {}
    assert shown(world, junk["sales"])[1:] == ("SQL", ANA)
    assert (shown(world, again)[0], shown(world, real["sales"])[0]) == (5, points)
    text = world.run("explain", world.sales.id(junk["sales"])).out
    assert "override: usable by ana until" in text


@pytest.mark.slow
def test_sources_that_disagree_and_what_is_missing_are_shown(world: Live) -> None:
    """S036 S059 S198 S201: 4 of 5 key fields are 80 %, beside the score. Each line says what data
    it rests on: implicit, explicit or appended. An empty size is filled with the appended 120, so
    named; a size of 100 in the CRM stays, where the mapping does not put the appended one first.
    50 given beside 5,000 appended is flagged as a conflict, with the rule that decides between
    them, and both are shown."""
    given, appended = {"field": "NumberOfEmployees"}, {"field": "Phone", "origin": "appended"}
    first = {"employees": [{**given, "origin": "given"}, appended]}
    mapping = {"leads": {**first, "state": [appended, {"field": "State", "origin": "given"}]}}
    world.configure("sales", sales={"mapping": mapping})
    called = {"id": "call", "points": 5, "count": "each", "when": {"type": "call"}}
    asked: tuple[dict[str, Any], ...] = (
        {"title": "CTO"}, {"industry": "technology"}, {"country": "US"},
        {"website": {"known": True}}, {"employees": {"at_least": 100}},
    )  # fmt: skip
    rules = [{"id": f"r{n}", "points": 10, "when": when} for n, when in enumerate(asked)]
    world.model(fit=rules, behaviour=[called], decays={}, hygiene={"ignore": ["duplicate"]})
    call = Did("call", timedelta(days=1))
    sizes = {"empty": (None, "120"), "kept": (100, "120"), "torn": (50, "5000")}
    values = {**GOLDEN_107.values, "state": "Bayern"}
    people = {
        name: world.tell(Story({**values, "employees": size, "phone": found}, (call,)))["sales"]
        for name, (size, found) in sizes.items()
    }
    world.set_up()
    world.sync()
    said = {name: explained(world, "sales", who) for name, who in people.items()}
    known = {name: told["known"] for name, told in said.items()}
    data = {name: {n["rule"]: n["data"] for n in told["lines"]} for name, told in said.items()}
    said_of = dict.fromkeys(("r0", "r1", "r2"), "explicit") | {"call": "implicit"}
    assert data["empty"] == {**said_of, "r4": "appended"}
    assert data["kept"] == {**said_of, "r4": "explicit"}
    assert {k["completeness"]["known"] for k in known.values()} == {4}
    counts = {name: k["sourced"][0]["counts"] for name, k in known.items()}
    assert counts["empty"] == {"field": "Phone", "origin": "appended", "value": "120"}
    assert counts["kept"]["value"] == "100"
    points = {name: world.sales.shown(who)["score"] for name, who in people.items()}
    assert points == {"empty": 45, "kept": 45, "torn": 35}
    text = " ".join(world.run("explain", world.sales.id(people["torn"])).out.split())
    assert text.index("35 points") < text.index("known of what fit asks: 4 of 5 (80 %)")
    assert "employees: 50 (given, NumberOfEmployees), not 5000 (appended, Phone)" in text
    flag = "hygiene: conflict (sources): its sources disagree; the first one mapped counts"
    assert flag in text
    kept = " ".join(world.run("explain", world.sales.id(people["kept"])).out.split())
    assert "state: 120 (appended, Phone), not Bayern (given, State)" in kept


@pytest.mark.slow
def test_an_unusual_share_is_told_once(world: Live) -> None:
    """S196 U15: 40 % is an alert, and so is what is unusually low, each once, and the return to
    what is usual; status and metrics show the share of the last complete run."""
    posted: list[dict[str, Any]] = []

    def face(request: Request) -> Response:
        posted.append(json.loads(request.body))
        return Response(204)

    with Server(face) as server, world.ledger() as ledger, ExitStack() as stack:
        world.configure("sales", alerts={"webhook": {"url": server.url}})
        setup = read_setup(world.config, world.outside)
        said = talk.as_text(lambda _line: None)
        term = stack.enter_context(closing(daemon.Term(setup, world.outside, Stop(), said)))

        def ran(*counts: int, status: RunStatus = RunStatus.DONE) -> list[tuple[str, str]]:
            at = world.clock.tick(minutes=1)
            clean = base(*counts).as_dict() if counts else None
            ledger.start(str(at), "delta", model="m", at=at)
            measured = {"sales": {"hygiene": clean, "steps": STEPS}}
            ledger.finish(str(at), status, at=at, counts=measured, calls={}, error=None)
            del posted[:]
            term.tell_changes()
            term.tell_changes()
            return [(alert["state"], alert["reason"]) for alert in posted]

        assert ran(10, 7) == []
        high = "40 of 100 leads are duplicate or unusable: 40.0 %, unusually high"
        assert ran(30, 10) == [("unusually high", high)]
        assert ran(30, 10) == []
        assert ran(10, 7, status=RunStatus.GUARDED)[0][0] == "guarded"
        low = "5 of 100 leads are duplicate or unusable: 5.0 %, unusually low: check rules"
        assert ("unusually low: check rules", low) in ran(0, 5)
        collector = LedgerCollector(ledger, Schedule(), world.clock)
        (gauge,) = (m for m in collector.collect() if m.name == "leadgauge_unusable_share")
        assert [(s.labels["connection"], s.value) for s in gauge.samples] == [("sales", 0.05)]
        assert low in world.run("status").out
        (rate,) = world.run("status", "--json").json["hygiene"]
        assert (rate["unusable"], rate["leads"]) == (5, 100)
        (told,) = ran(10, 7)
        assert told[0] == "ok"
        assert ran() == []
        assert world.run("status", "--json").json["hygiene"] == []


STEPS = [{"step": "write", "in": 0, "out": 0, "held": {}, "rejected": {}}]
