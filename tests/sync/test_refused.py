"""What a CRM refuses of a writing: alone, with its own reason, and tried again by rule. By the
command line."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from connectors.sandbox.crm import Record
from connectors.sandbox.http import Fault, Request, Response
from connectors.sandbox.hubspot.replies import ApiError, invalid_values
from core.decision import Output
from sync.exits import Exit
from tests.live import ANA, BEN, ROBOT, Live, Seller, balanced, live
from tests.sync.test_amends import NAMES, WRITES, people, prepare, quarantine
from tests.sync.test_cycle import field_name

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, without leads."""
    with live(tmp_path) as world:
        yield world


def refusing(seller: Seller, words: Mapping[str, str]) -> None:
    """From now on the CRM refuses records, by id, each with its own words, whatever is written."""
    if seller.name == "sales":
        seller.face.rules.invalid.update(words)  # type: ignore[attr-defined]
        return

    def judging(request: Request) -> Response:
        sent = [each["id"] for each in json.loads(request.body)["inputs"]]
        bad = next((id_ for id_ in sent if id_ in words), None)
        if bad is None:
            return seller.face(request)
        return invalid_values([{"name": words[bad], "error": "INVALID_OPTION"}]).response

    method, path = WRITES[seller.name]
    seller.server.faults.append(Fault(path, method, times=None, response=judging))


def forgiving(seller: Seller) -> None:
    """It refuses nothing any more."""
    seller.server.faults.clear()
    if seller.name == "sales":
        seller.face.rules.invalid.clear()  # type: ignore[attr-defined]


def scores(seller: Seller, records: Sequence[Record]) -> list[int | None]:
    """What the CRM holds."""
    return [seller.shown(record)["score"] for record in records]


def test_a_contact_in_conflict_for_ever(world: Live) -> None:
    """D04: HubSpot answers 409 for every batch with one contact in it: the nine others are
    written, and it waits in quarantine with HubSpot's word."""
    records = people(world, 10)["marketing"]
    prepare(world)
    seller, bad = world.marketing, world.marketing.id(records[4])
    conflict = ApiError(409, "CONFLICT", "A record of the batch conflicts with another one")
    fault = Fault("/batch/update", "POST", f'"{bad}"', times=None, response=conflict.response)
    seller.server.faults.append(fault)
    outcome = world.sync("--connection", "marketing", code=Exit.REFUSED)
    write = outcome.step("marketing", "write")
    assert (write["out"], write["rejected"]) == (9, {"CONFLICT": 1})
    assert [(id_, entry["code"]) for id_, entry in quarantine(world).items()] == [(bad, "CONFLICT")]
    assert scores(seller, records) == [100] * 4 + [None] + [100] * 5
    with world.ledger() as ledger:
        assert bad not in ledger.last_written("marketing")


@pytest.mark.parametrize("name", NAMES)
def test_an_owner_who_leaves_in_mid_run(world: Live, name: str) -> None:
    """D33: chosen as active and gone when the lead is to be written: it alone is refused with the
    reason, and the next run gives it to somebody who is there."""
    records = people(world, 4, owner=ROBOT)[name]
    prepare(world, routing={"pool": [ANA, BEN], "unassigned_owners": [ROBOT]})
    seller = world.sellers[name]

    def leaving(request: Request) -> Response:
        seller.crm.update(seller.users[ANA], {"active": False})
        return seller.face(request)

    method, path = WRITES[name]
    seller.server.faults.append(Fault(path, method, response=leaving))
    only = ("--connection", name)
    outcome = world.sync(*only, code=Exit.REFUSED)
    assert balanced(outcome.json)
    write = outcome.step(name, "write")
    assert (write["out"], sum(write["rejected"].values())) == (2, 2)
    owners = [seller.shown(record)["owner"] for record in records]
    assert sorted(owners) == sorted([BEN, BEN, ROBOT, ROBOT])
    told = quarantine(world)
    assert told.keys() == {seller.id(r) for r, o in zip(records, owners, strict=True) if o == ROBOT}
    assert all("OWNER" in entry["code"] for entry in told.values())
    world.clock.tick(hours=1)
    world.sync(*only)
    assert {seller.shown(record)["owner"] for record in records} == {BEN}
    assert scores(seller, records) == [100] * 4
    assert quarantine(world) == {}


@pytest.mark.parametrize(
    ("name", "bulk"), [("sales", False), ("sales", True), ("marketing", False)]
)
def test_two_refusals_in_one_batch(
    world: Live, name: str, bulk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D03: each of two bad rows is kept with its own reason, whether they went in a batch or, at
    Salesforce, in a bulk job whose failed results name them."""
    records = people(world, 6)[name]
    prepare(world)
    seller = world.sellers[name]
    if bulk:
        monkeypatch.setattr("connectors.salesforce.connector.BULK_FROM", len(records))
    words = {seller.id(records[1]): "first_rule", seller.id(records[4]): "second_rule"}
    refusing(seller, words)
    outcome = world.sync("--connection", name, code=Exit.REFUSED)
    assert any("/jobs/ingest" in path for _, path in seller.server.requests) is bulk
    write = outcome.step(name, "write")
    assert (write["out"], sum(write["rejected"].values())) == (4, 2)
    told = quarantine(world)
    assert told.keys() == words.keys()
    for id_, entry in told.items():
        assert words[id_] in entry["reason"]
        assert entry["code"] in ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "INVALID_OPTION")
    assert scores(seller, records) == [100, None, 100, 100, None, 100]


def refused_for_good(world: Live, name: str) -> tuple[Record, Seller, tuple[str, str]]:
    """A record that its CRM refused, and that a day and a run later is not sent again, though it
    would be taken now; with its CRM, and the options of a run of that alone."""
    (record,) = people(world, 1)[name]
    prepare(world)
    seller, only = world.sellers[name], ("--connection", name)
    refusing(seller, {seller.id(record): "rule"})
    world.sync(*only, code=Exit.REFUSED)
    forgiving(seller)
    world.clock.tick(days=1)
    world.sync(*only)
    assert scores(seller, [record]) == [None]
    return record, seller, only


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_row_is_tried_again_when_the_record_changes(world: Live, name: str) -> None:
    """D43: refused for good, neither time nor a run sends it again; a change of the record does."""
    record, seller, only = refused_for_good(world, name)
    seller.crm.update(record, {"phone": "+1 303 555 0100"}, by=seller.users[ANA].number)
    world.sync(*only)
    assert scores(seller, [record]) == [100]
    assert quarantine(world) == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_row_is_tried_again_when_other_fields_are_written(world: Live, name: str) -> None:
    """D43: the configuration says that an output goes elsewhere, or nowhere: sent again."""
    record, seller, only = refused_for_good(world, name)
    never = {"field": field_name(name, "reason"), "policy": "never"}
    world.configure_write(name, {Output.REASON.value: never})
    world.sync(*only)
    assert scores(seller, [record]) == [100]
    assert seller.shown(record)["reason"] is None
    assert quarantine(world) == {}
