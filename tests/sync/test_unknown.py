"""Writes whose outcome is unknown: whatever happens to a write call, on either CRM, each record
and field is written once, and nothing is sent again before it was read back."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest

from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Face, Fault, Request, Response
from connectors.sandbox.hubspot import faults as hubspot
from connectors.sandbox.salesforce import faults as salesforce
from sync.exits import Exit
from tests.conftest import Prove
from tests.live import Live, Seller, live
from tests.postgres import Ledgers
from tests.written import Written

pytestmark = pytest.mark.slow

MODEL = {
    "fit": [{"id": "technology", "points": 100, "when": {"industry": "technology"}}],
    "behaviour": [],
    "decays": {},
}
LEADS = 4
CALLS = {
    "sales": ("PATCH", "/composite/sobjects/?$", "records"),
    "marketing": ("POST", "/batch/update/?$", "inputs"),
}
"""How each CRM is written to: method, path, and where the body has the records."""

READING_BACK = re.compile("POST .*(/composite/sobjects/Lead|/batch/read)")
GONE = Response(504, b"<html>Gateway Time-out</html>", {"Content-Type": "text/html"})

Trouble = Callable[[Seller], list[Fault]]


@pytest.fixture(params=["sales", "marketing"])
def seller(request: pytest.FixtureRequest, world: Live, ledgers: Ledgers) -> Seller:
    """One of both CRMs, with leads, configured alone."""
    seller = world.sellers[request.param]
    for n in range(LEADS):
        person = {"last_name": f"P{n}", "company": "Firm", "email": f"p{n}@firm.example"}
        seller.crm.add(Kind.LEAD, {**person, "industry": "Technology"})
    world.configure(seller.name, **ledgers.fresh())
    world.model(**MODEL)
    world.set_up()
    return seller


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, without leads."""
    with live(tmp_path) as world:
        yield world


def on_write(seller: Seller, *, drop: str = "", response: Face | Response | None = None) -> Fault:
    """A fault of the next write call."""
    method, path, _records = CALLS[seller.name]
    return Fault(path, method=method, drop=drop, response=response)


def half_done(seller: Seller) -> list[Fault]:
    """Half of the records are written, then the gateway's patience ends."""

    def carry_out(request: Request) -> Response:
        body = json.loads(request.body)
        records = CALLS[seller.name][2]
        body[records] = body[records][: LEADS // 2]
        seller.face(replace(request, body=json.dumps(body).encode()))
        return GONE

    return [on_write(seller, response=carry_out)]


def timed_out(seller: Seller) -> list[Fault]:
    """All is written, and the gateway's patience ends before the answer."""

    def carry_out(request: Request) -> Response:
        seller.face(request)
        return GONE

    return [on_write(seller, response=carry_out)]


def lost_twice(seller: Seller) -> list[Fault]:
    """The call never arrives, and when it is sent again, its answer is lost."""
    return [on_write(seller, drop="before"), on_write(seller, drop="after")]


def out_of_reach(seller: Seller) -> list[Fault]:
    """All is written, then the CRM is gone: nothing can be read back in this run."""

    def carry_out(request: Request) -> Response:
        seller.face(request)
        seller.server.faults[:] = [Fault("", times=None, drop="before")]
        return GONE

    return [on_write(seller, response=carry_out)]


def out_of_reach_half_done(seller: Seller) -> list[Fault]:
    """The same with half of the records."""
    (fault,) = half_done(seller)
    carry_out = fault.response

    def and_gone(request: Request) -> Response:
        assert callable(carry_out)
        seller.server.faults[:] = [Fault("", times=None, drop="before")]
        return carry_out(request)

    return [on_write(seller, response=and_gone)]


def failing(status: int, *, lasting: bool) -> Trouble:
    """All is written, and the CRM says that it failed; `lasting`: from then on it always does."""

    def stage(seller: Seller) -> list[Fault]:
        down = Response(status, b"<html>Error</html>", {"Content-Type": "text/html"})

        def carry_out(request: Request) -> Response:
            seller.face(request)
            if lasting:
                seller.server.faults[:] = [Fault("", times=None, response=down)]
            return down

        return [on_write(seller, response=carry_out)]

    return stage


def then(response: Callable[[Seller], Response], *stages: Trouble) -> Trouble:
    """After some trouble, every further write call gets this answer."""

    def stage(seller: Seller) -> list[Fault]:
        staged = [fault for trouble in stages for fault in trouble(seller)]
        return [*staged, replace(on_write(seller, response=response(seller)), times=None)]

    return stage


def overloaded(_: Seller) -> Response:
    """The page of an edge in front of a CRM."""
    return Response(503, b"<html>Service Unavailable</html>", {"Content-Type": "text/html"})


def used_up(seller: Seller) -> Response:
    """The daily quota has come to its end."""
    faults = {"sales": salesforce.fault, "marketing": hubspot.fault}
    answer = faults[seller.name]("daily-limit").response
    assert isinstance(answer, Response)
    return answer


def refused_whole(seller: Seller) -> list[Fault]:
    """The whole call is refused, and its first half then written."""
    body = {"sales": b'[{"errorCode": "JSON_PARSER_ERROR"}]', "marketing": b'{"category": "X"}'}
    refused = Response(400, body[seller.name], {"Content-Type": "application/json"})
    return [on_write(seller, response=refused), on_write(seller, response=seller.face)]


@dataclass(frozen=True)
class Case:
    """What happens, and of how many records the same run learns that they are written.

    `pending` are those of the others that were sent. `halved`: a call is followed by another one
    because it was refused, not because it got no answer.
    """

    stage: Trouble
    settled: int = LEADS
    pending: int = 0
    halved: bool = False


HALF = LEADS // 2
TROUBLES = {
    "lost before it arrives": Case(lambda s: [on_write(s, drop="before")]),
    "answer lost": Case(lambda s: [on_write(s, drop="after")]),
    "answer cut off": Case(lambda s: [on_write(s, drop="truncate")]),
    "timed out": Case(timed_out),
    "half done": Case(half_done),
    "lost twice": Case(lost_twice),
    "failed": Case(failing(500, lasting=False)),
    "overloaded": Case(failing(503, lasting=False)),
    "overloaded for long": Case(failing(503, lasting=True), 0, LEADS),
    "out of reach": Case(out_of_reach, 0, LEADS),
    "out of reach, half done": Case(out_of_reach_half_done, 0, LEADS),
    "half done, then overloaded": Case(then(overloaded, half_done), HALF, HALF),
    "half done, then quota": Case(then(used_up, half_done), HALF, HALF),
    "refused whole, then overloaded": Case(then(overloaded, refused_whole), HALF, HALF, True),
    "refused whole, then quota": Case(then(used_up, refused_whole), HALF, 0, True),
}

ON_SERVER = ("answer lost", "half done", "out of reach, half done")
"""What is tried with the ledger on a server too."""


@pytest.mark.parametrize(
    ("ledgers", "name"),
    [*(("sqlite", name) for name in TROUBLES), *(("postgresql", name) for name in ON_SERVER)],
    indirect=["ledgers"],
    scope="module",
)
def test_each_record_is_written_once(world: Live, seller: Seller, name: str, prove: Prove) -> None:
    """U05, D01: whatever becomes of a write call, one effective write a field, none in vain."""
    case = TROUBLES[name]
    written = Written()
    written.watch(seller.name, seller.crm)
    staged = case.stage(seller)
    seller.server.faults += staged
    code = world.run("sync").code
    assert code == (Exit.DONE if case.settled == LEADS else Exit.TEMPORARY)
    with world.ledger() as ledger:
        assert len(ledger.open_intents(seller.name)) == case.pending
        assert len(ledger.last_written(seller.name)) == case.settled
    seller.server.faults.clear()
    world.sync()
    lost = LEADS - len({number for _, number, _ in written.effective})
    prove(len(staged), 0, lost, sum(written.idle.values()))
    assert set(written.effective.values()) == {1}
    assert not lost
    assert not written.idle
    assert [seller.shown(lead)["score"] for lead in seller.crm.records(Kind.LEAD)] == [100] * LEADS
    if not case.halved:
        assert_read_before_sent_again(seller)
    with world.ledger() as ledger:
        assert len(ledger.last_written(seller.name)) == LEADS
        assert ledger.open_intents(seller.name) == []


def assert_read_before_sent_again(seller: Seller) -> None:
    """Between two write calls the records were read back."""
    method, path, _records = CALLS[seller.name]
    seen = [" ".join(request) for request in seller.server.requests]
    writes = [n for n, request in enumerate(seen) if re.fullmatch(f"{method} .*{path}", request)]
    assert writes
    for first, second in pairwise(writes):
        assert any(READING_BACK.match(request) for request in seen[first:second])


@pytest.mark.parametrize("ledgers", ["sqlite"], indirect=True)
def test_an_edit_between_the_loss_and_the_next_run(world: Live, seller: Seller) -> None:
    """U05: what a person changed meanwhile is theirs; the fields beside it stay ours."""
    policies = {"score": "respect_edits", "tier": "respect_edits"}
    names = {"sales": "Leadgauge_{}__c", "marketing": "leadgauge_{}"}[seller.name]
    case = str.title if seller.name == "sales" else str
    fields = {o: {"field": names.format(case(o)), "policy": p} for o, p in policies.items()}
    world.configure_write(seller.name, fields)
    seller.server.faults += out_of_reach(seller)
    assert world.run("sync").code == Exit.TEMPORARY
    seller.server.faults.clear()
    edited, *others = seller.crm.records(Kind.LEAD)
    seller.edit(edited, "score", 7)
    for lead in seller.crm.records(Kind.LEAD):
        seller.crm.update(lead, {"industry": "Retail"}, by=next(iter(seller.users.values())).number)
    world.sync("--max-change-share", "1")
    assert seller.shown(edited)["score"] == 7
    assert seller.shown(edited)["tier"] == seller.shown(others[0])["tier"]
    assert {seller.shown(lead)["score"] for lead in others} == {0}
