"""What goes wrong with a write, or is taken back: on both CRMs, by the command line."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Change, Status, WriteResult
from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.happenings import skew
from connectors.sandbox.http import Fault, Request, Response
from connectors.sandbox.hubspot.replies import invalid
from core.decision import Output
from sync.exits import Exit
from sync.ledger_rows import NOT_KEPT, Quarantined
from tests.life import INVALID, refusing, rules
from tests.live import ANA, BEN, ROBOT, Live, Seller, balanced, live
from tests.sync.test_cycle import field_name
from tests.world import START

TECHNOLOGY: dict[str, Any] = {
    "fit": [{"id": "technology", "points": 100, "when": {"industry": "technology"}}],
    "behaviour": [],
    "decays": {},
}
WRITES = {"sales": ("PATCH", "/composite/sobjects/?$"), "marketing": ("POST", "/batch/update/?$")}
READS = {"sales": "/composite/sobjects/Lead$", "marketing": "/objects/contacts/batch/read$"}
NAMES = ("sales", "marketing")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path) as world:
        yield world


def people(world: Live, count: int, **more: Any) -> dict[str, list[Record]]:
    """Leads in both CRMs that the model gives 100 points."""
    return {
        name: [
            seller.crm.add(
                Kind.LEAD,
                {
                    "last_name": f"P{n}",
                    "company": "Firm",
                    "email": f"p{n}@firm.example",
                    "industry": "Technology",
                    **{key: seller.users[email].number for key, email in more.items()},
                },
            )
            for n in range(count)
        ]
        for name, seller in world.sellers.items()
    }


def prepare(world: Live, **more: Any) -> None:
    world.configure(**more)
    world.model(**TECHNOLOGY)
    world.set_up()


def quarantine(world: Live) -> dict[str, dict[str, Any]]:
    """What status says of quarantine, by record id."""
    return {q["record_id"]: q for q in world.run("status", "--json").json["quarantine"]}


def workflow(seller: Seller, records: Sequence[Record], **values: Any) -> None:
    """From now on the CRM acknowledges every write to some records, and then sets these values."""
    method, path = WRITES[seller.name]

    def overriding(request: Request) -> Response:
        answer = seller.face(request)
        for record in records:
            if seller.id(record).encode() in request.body:
                seller.crm.update(record, values)
        return answer

    seller.server.faults.append(Fault(path, method, times=None, response=overriding))


def hour(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}"


@pytest.mark.slow
def test_refused_rows_wait_and_are_sent_again_when_asked(world: Live) -> None:
    """D34, D42: a duplicate rule refuses one lead, a validation another; their batches are written
    without them, the reason is kept, and `retry` sends those of a time, a CRM or an id again."""
    records = people(world, 3)
    sales, marketing = (world.sellers[name] for name in NAMES)
    bad = {name: world.sellers[name].id(records[name][1]) for name in NAMES}
    sales.crm.add(Kind.LEAD, {"last_name": "Twin", "email": "p1@firm.example", "company": "Firm"})
    sales.face.rules.duplicate_alert = True  # type: ignore[attr-defined]
    wrong = invalid("Property values were not valid").response
    fault = Fault("/batch/update/?$", "POST", f'"{bad["marketing"]}"', times=None, response=wrong)
    marketing.server.faults.append(fault)
    prepare(world, sales={"duplicate_rules": True})
    world.clock.tick(hours=1)
    before = world.clock.now
    outcome = world.sync(code=Exit.REFUSED)
    assert balanced(outcome.json)
    assert outcome.step("marketing", "write")["out"] == 2
    assert outcome.step("sales", "write")["out"] == 2
    refused = quarantine(world)
    assert refused[bad["sales"]]["code"] == "DUPLICATES_DETECTED"
    assert "Use one of these records?" in world.run("status").out
    assert refused[bad["marketing"]]["reason"]

    sales.face.rules.duplicate_alert = False  # type: ignore[attr-defined]
    marketing.server.faults.clear()
    writes = [seller.writes() for seller in world.sellers.values()]
    outcome = world.sync()
    assert outcome.step("marketing", "diff")["held"]["in quarantine"] == 1
    assert world.run("retry", "--to", hour(before)).err.endswith("nothing to send again\n")
    assert world.run("retry", "--from", hour(world.clock.now)).err.endswith(
        "nothing to send again\n"
    )
    assert world.run("retry", "no-such-id").code == Exit.USAGE
    assert [seller.writes() for seller in world.sellers.values()] == writes

    window = ("--from", hour(before), "--to", hour(world.clock.now))
    outcome = world.run("retry", "--connection", "marketing", "--json", *window)
    assert outcome.code == Exit.DONE, outcome.err
    assert f"sending again: marketing contacts {bad['marketing']}" in outcome.err
    assert marketing.shown(records["marketing"][1])["score"] == 100
    assert bad["marketing"] not in quarantine(world)
    assert sales.shown(records["sales"][1])["score"] is None
    assert world.run("retry", bad["sales"]).code == Exit.DONE
    assert sales.shown(records["sales"][1])["score"] == 100
    assert bad["sales"] not in quarantine(world)
    assert world.run("status", "--json").json["runs"][0]["kind"] == "retry"


@pytest.mark.slow
def test_a_refused_row_is_tried_again_when_the_written_fields_changed(world: Live) -> None:
    """D43: neither time nor another run is a reason; a field of another kind is."""
    record = people(world, 1)["marketing"][0]
    seller = world.marketing
    prepare(world)
    wrong = invalid("Property values were not valid").response
    seller.server.faults.append(Fault("/batch/update/?$", "POST", times=None, response=wrong))
    only = ("--connection", "marketing")
    world.sync(*only, code=Exit.REFUSED)
    seller.server.faults.clear()
    world.clock.tick(days=1)
    world.sync(*only)
    assert seller.shown(record)["score"] is None
    seller.crm.custom[Kind.CONTACT][field_name("marketing", "tier")]["label"] = "Another"
    seller.crm.revision += 1
    world.sync(*only)
    assert seller.shown(record)["score"] == 100


@pytest.mark.slow
def test_a_lead_converted_in_mid_run_goes_on_as_its_contact(world: Live) -> None:
    """D32: converted between the pull and the write, a lead is refused, and its batch is not; the
    next run writes to the contact, and nothing is left in quarantine."""
    lead, other = people(world, 2)["sales"]
    prepare(world)
    sales, contacts = world.sales, list[Record]()

    def converting(request: Request) -> Response:
        contacts.append(sales.crm.convert(lead))
        return sales.face(request)

    method, path = WRITES["sales"]
    sales.server.faults.append(Fault(path, method, response=converting))
    outcome = world.sync("--connection", "sales", code=Exit.REFUSED)
    assert outcome.step("sales", "write")["out"] == 1
    (refused,) = quarantine(world).values()
    assert refused["record_id"] == sales.id(lead)
    assert "converted" in (refused["code"] + refused["reason"]).lower()
    world.sync("--connection", "sales")
    assert sales.shown(other)["score"] == 100
    assert sales.shown(contacts[0])["score"] == 100
    assert sales.shown(lead)["score"] is None
    assert quarantine(world) == {}


@pytest.mark.slow
def test_rows_refused_for_now_come_again_by_themselves(world: Live) -> None:
    """D35, D43: locked records are tried again in later cycles, each time after twice as long."""
    records = people(world, 2)
    prepare(world)
    sales, marketing = (world.sellers[name] for name in NAMES)
    sales.face.rules.locked[sales.id(records["sales"][0])] = 10**6  # type: ignore[attr-defined]
    locked = Response(423, b'{"status":"error","category":"LOCKED","message":"wait"}')
    fault = Fault("/batch/update/?$", "POST", times=None, response=locked)
    marketing.server.faults.append(fault)
    outcome = world.sync(code=Exit.TEMPORARY)
    assert outcome.step("sales", "write")["out"] == 1
    tried = [quarantine(world)[seller.id(records[n][0])] for n, seller in world.sellers.items()]
    waits = []
    for _ in range(3):
        at = datetime.fromisoformat(tried[0]["next_try"])
        waits.append(at - datetime.fromisoformat(tried[0]["last_seen"]))
        writes = [seller.writes() for seller in world.sellers.values()]
        world.clock.now = at - timedelta(minutes=1, seconds=1)
        world.sync()
        assert [seller.writes() for seller in world.sellers.values()] == writes
        world.clock.now = max(at, *(datetime.fromisoformat(t["next_try"]) for t in tried))
        world.sync(code=Exit.TEMPORARY)
        tried = [quarantine(world)[seller.id(records[n][0])] for n, seller in world.sellers.items()]
    assert waits == [timedelta(minutes=n) for n in (1, 2, 4)]
    sales.face.rules.locked.clear()  # type: ignore[attr-defined]
    marketing.server.faults.clear()
    world.clock.tick(hours=6)
    world.sync()
    assert quarantine(world) == {}
    for name, seller in world.sellers.items():
        assert {seller.shown(record)["score"] for record in records[name]} == {100}


@pytest.mark.parametrize(
    ("entry", "modified", "fields", "due"),
    [
        # what is in quarantine; the record's stamp (hours from then); the fields now; again?
        ({}, 0, "f", False),
        ({}, 1, "f", True),
        ({}, -1, "f", True),
        ({"modified_at": None}, 0, "f", True),
        ({}, 0, "g", True),
        ({"fields": None}, 0, "g", False),
        ({"next_try": 3}, 0, "f", False),
        ({"next_try": 2}, 0, "f", True),
        ({"code": NOT_KEPT}, 1, "f", False),
        ({"code": NOT_KEPT}, 1, "g", True),
        ({"code": NOT_KEPT, "next_try": 2}, 1, "f", True),
    ],
)
def test_what_is_tried_again(entry: dict[str, Any], modified: int, fields: str, due: bool) -> None:
    """D43: the policy as a table: when the record or the written fields changed, or at its time."""
    given = {"code": "X", "fields": "f", "next_try": None, "modified_at": START, **entry}
    if given["next_try"] is not None:
        given["next_try"] = START + timedelta(hours=given["next_try"])
    row = Quarantined(
        "crm", "Lead", "1", {}, reason="", first_seen=START, last_seen=START, tries=1, run_id=None,
        **given,
    )  # fmt: skip
    now = START + timedelta(hours=2)
    assert row.due(START + timedelta(hours=modified), fields, now) is due


@pytest.mark.slow
@pytest.mark.parametrize("hours", [-2, 2], ids=["behind", "ahead"])
def test_a_corrected_row_is_sent_again_by_any_clock(world: Live, hours: int) -> None:
    """D43: the CRMs' clocks are hours off ours: what somebody corrects is sent by the next run, and
    what nobody touched is not."""
    for seller in world.sellers.values():
        skew(timedelta(hours=hours))(seller.crm)
    records = people(world, 2)
    prepare(world)
    sales, marketing = (records[name][0] for name in NAMES)
    rules(world.sales).invalid[world.sales.id(sales)] = "Ask your admin first."
    refused = refusing(marketing, times=None, response=INVALID)
    world.marketing.server.faults.append(refused)
    world.sync(code=Exit.REFUSED)
    writes = [seller.writes() for seller in world.sellers.values()]
    world.sync()
    assert [seller.writes() for seller in world.sellers.values()] == writes
    world.marketing.server.faults.clear()
    rules(world.sales).invalid.clear()
    for name, seller in world.sellers.items():
        correct = {"title": "CTO"}
        seller.crm.update(records[name][0], correct, by=seller.users[ANA].number)
    world.sync()
    assert quarantine(world) == {}
    for name, seller in world.sellers.items():
        assert {seller.shown(record)["score"] for record in records[name]} == {100}


@pytest.mark.slow
def test_success_without_a_change_is_found_out(world: Live) -> None:
    """D27: the CRM says that all went well and holds another score: with --verify that is told,
    does not count as written, and is not sent for ever."""
    records = people(world, 3)
    prepare(world)
    for name, seller in world.sellers.items():
        score = field_name(name, "score")
        workflow(seller, records[name][:1], **{score: 7})
    outcome = world.sync("--verify", code=Exit.REFUSED)
    assert balanced(outcome.json)
    told = quarantine(world)
    for name, seller in world.sellers.items():
        write = outcome.step(name, "write")
        assert (write["in"], write["out"], write["rejected"]) == (3, 2, {NOT_KEPT: 1})
        entry = told[seller.id(records[name][0])]
        assert entry["reason"] == "score: sent 100, the CRM holds 7"
        (part,) = (c for c in outcome.json["connections"] if c["connection"] == name)
        assert part["writing"]["made"] == part["writing"]["predicted"]["calls"]
        assert part["writing"]["made"] == {"write": 1, "read": 2}
        with world.ledger() as ledger:
            written = ledger.last_written(name, [seller.id(records[name][0])])
        assert Output.SCORE not in written[seller.id(records[name][0])]
        assert written[seller.id(records[name][0])][Output.TIER] == "A"
    writes = [seller.writes() for seller in world.sellers.values()]
    for _ in range(2):
        world.clock.tick(hours=3)
        world.sync("--verify")
    assert [seller.writes() for seller in world.sellers.values()] == writes
    for seller in world.sellers.values():
        seller.server.faults.clear()
    world.sync()
    assert world.run("retry").code == Exit.DONE
    assert quarantine(world) == {}
    for name, seller in world.sellers.items():
        assert seller.shown(records[name][0])["score"] == 100


@pytest.mark.slow
def test_a_write_that_cannot_be_read_back_is_so_in_the_next_run(world: Live) -> None:
    """U05: acknowledged, and the CRM is gone before it could be asked: nothing counts as written;
    the next run reads it back and sends nothing again."""
    people(world, 3)
    prepare(world)
    before = {}
    for name, seller in world.sellers.items():
        seller.server.faults.append(Fault(READS[name], skip=1, drop="before", times=None))
        before[name] = seller.crm.revision
    outcome = world.sync("--verify", code=Exit.TEMPORARY)
    for name, seller in world.sellers.items():
        assert seller.crm.revision == before[name] + 3
        assert sum(outcome.step(name, "write")["held"].values()) == 3
        seller.server.faults.clear()
        with world.ledger() as ledger:
            assert ledger.last_written(name) == {}
            assert len(ledger.open_intents(name)) == 3
    world.sync("--verify")
    for name, seller in world.sellers.items():
        assert seller.crm.revision == before[name] + 3
        with world.ledger() as ledger:
            assert len(ledger.last_written(name)) == 3


@pytest.mark.slow
def test_an_owner_that_the_crm_overrides(world: Live) -> None:
    """U05: an owner is read back without being asked: one that the CRM's own rules replaced is
    told, is not taken for ours, and stays."""
    records = people(world, 2, owner=ROBOT)
    prepare(
        world,
        sales={"assignment_rules": True},
        routing={"pool": [ANA], "unassigned_owners": [ROBOT]},
    )
    sales, marketing = (world.sellers[name] for name in NAMES)
    sales.face.rules.assign_to = sales.users[BEN].number  # type: ignore[attr-defined]
    workflow(marketing, records["marketing"], owner=marketing.users[BEN].number)
    outcome = world.sync(code=Exit.REFUSED)
    for name, seller in world.sellers.items():
        assert outcome.step(name, "write")["rejected"] == {NOT_KEPT: 2}
        with world.ledger() as ledger:
            for values in ledger.last_written(name).values():
                assert Output.OWNER not in values
                assert values[Output.SCORE] == "100"
        assert seller.shown(records[name][0])["owner"] == BEN
    writes = [seller.writes() for seller in world.sellers.values()]
    for _ in range(2):
        world.clock.tick(hours=3)
        world.sync()
    assert [seller.writes() for seller in world.sellers.values()] == writes


@pytest.mark.slow
def test_records_that_are_others_by_now_are_not_taken_back(world: Live) -> None:
    """U08: what was deleted, merged or converted since the run is listed with the reason and not
    tried; what is counted as restored is restored."""
    records = people(world, 6)
    prepare(world)
    run = world.sync().json["run"]
    world.clock.tick(minutes=5)
    contact = world.sales.crm.convert(records["sales"][0])
    left = {world.sales.id(records["sales"][0]): f"{world.sales.id(contact)} stands for it"}
    for name, seller in world.sellers.items():
        _, gone, winner, loser, *_ = records[name]
        seller.crm.delete(gone)
        seller.crm.merge(winner, loser)
        left |= {seller.id(gone): "gone", seller.id(loser): f"{seller.id(winner)} stands for it"}
    outcome = world.run("undo", run, "--yes", "--json", "--max-change-share", "1")
    assert outcome.code == Exit.DONE, outcome.err
    told = {entry["record_id"]: entry["why"] for entry in outcome.json["left"]}
    assert told.keys() == left.keys()
    assert all(told[id_].endswith(why) for id_, why in left.items())
    scores = {
        name: [seller.shown(records[name][n])["score"] for n in (0, 2, 4, 5)]
        for name, seller in world.sellers.items()
    }
    assert scores == {"sales": [100, None, None, None], "marketing": [None] * 4}
    assert (outcome.json["restored"], outcome.json["restored_in_part"]) == (7, 0)
    assert "restored 7 records, and 0 in part; left 5 fields" in outcome.err
    assert quarantine(world) == {}


@pytest.mark.slow
def test_who_takes_a_lead_in_mid_run_keeps_it(world: Live) -> None:
    """U09: somebody takes a lead by hand after it was read and before it would be given away: it is
    looked at just before, nothing is written to it, and the next run scores it and leaves it."""
    records = people(world, 3, owner=ROBOT)
    prepare(world, routing={"pool": [ANA], "unassigned_owners": [ROBOT]})
    for name, seller in world.sellers.items():

        def taking(request: Request, name: str = name, seller: Seller = seller) -> Response:
            seller.edit(records[name][0], "owner", seller.users[BEN].number)
            # Who is given the lead just as it is to be given is no other owner.
            seller.edit(records[name][1], "owner", seller.users[ANA].number)
            return seller.face(request)

        seller.server.faults.append(Fault(READS[name], response=taking))
    outcome = world.sync(code=Exit.TEMPORARY)
    assert balanced(outcome.json)
    for name, seller in world.sellers.items():
        write = outcome.step(name, "write")
        assert (write["out"], write["held"]) == (2, {"changed meanwhile": 1})
        (part,) = (c for c in outcome.json["connections"] if c["connection"] == name)
        made, predicted = part["writing"]["made"], part["writing"]["predicted"]["calls"]
        assert made == predicted == {"write": 1, "read": 2}
        assert [seller.shown(r)["owner"] for r in records[name]] == [BEN, ANA, ANA]
        assert seller.shown(records[name][0])["score"] is None
    again = world.sync()
    for name, seller in world.sellers.items():
        assert again.step(name, "write")["in"] == 1
        assert [seller.shown(r)["owner"] for r in records[name]] == [BEN, ANA, ANA]
        assert seller.shown(records[name][0])["score"] == 100


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "options", "owner", "score"),
    [
        ("respect_edits", (), ROBOT, 55),
        ("fill_empty", (), ROBOT, 55),
        ("overwrite", (), ANA, 100),
        ("overwrite", ("--verify",), ROBOT, 100),
    ],
)
def test_who_edits_a_field_in_mid_run(
    world: Live, policy: str, options: tuple[str, ...], owner: str, score: int
) -> None:
    """U09: somebody types a score after the lead was read and before ours would be written. Where
    a person's word counts, an owner is given, or with --verify, the record is looked at just
    before: nothing is written over unseen, and the next run decides by what is there."""
    records = people(world, 3, owner=ROBOT)
    given = {"routing": {"pool": [ANA], "unassigned_owners": [ROBOT]}}
    prepare(world, **(given if owner == ANA else {}))
    for name, seller in world.sellers.items():
        world.configure_write(
            name, {"score": {"field": field_name(name, "score"), "policy": policy}}
        )

        def typing(request: Request, name: str = name, seller: Seller = seller) -> Response:
            seller.edit(records[name][0], "score", 55)
            # What would be written anyway may be there already.
            seller.edit(records[name][1], "score", 100)
            return seller.face(request)

        seller.server.faults.append(Fault(READS[name], response=typing))
    outcome = world.sync(*options, code=Exit.TEMPORARY)
    assert balanced(outcome.json)
    for name, seller in world.sellers.items():
        write = outcome.step(name, "write")
        assert (write["out"], write["held"]) == (2, {"changed meanwhile": 1})
        typed = seller.shown(records[name][0])
        assert (typed["score"], typed["tier"], typed["owner"]) == (55, None, ROBOT)
        (part,) = (c for c in outcome.json["connections"] if c["connection"] == name)
        assert part["writing"]["made"] == part["writing"]["predicted"]["calls"]
    world.sync(*options)
    for name, seller in world.sellers.items():
        shown = [seller.shown(record) for record in records[name]]
        assert [entry["score"] for entry in shown] == [score, 100, 100]
        assert {(entry["tier"], entry["owner"]) for entry in shown} == {("A", owner)}


@pytest.mark.slow
def test_a_run_is_taken_back(world: Live) -> None:
    """U08: 100 leads, of which humans edit 3: 97 are restored, 3 are listed; the next sync takes
    nothing that was restored for a human's edit."""
    records = people(world, 100, owner=ROBOT)
    prepare(world, routing={"pool": [ANA, BEN], "unassigned_owners": [ROBOT]})
    for name in NAMES:
        respected = {"score": {"field": field_name(name, "score"), "policy": "respect_edits"}}
        world.configure_write(name, respected)
    shown: Callable[[str], list[Any]] = lambda name: [  # noqa: E731
        world.sellers[name].shown(record) for record in records[name]
    ]
    before = {name: shown(name) for name in NAMES}
    run = world.sync().json["run"]
    after = {name: shown(name) for name in NAMES}
    assert {entry["owner"] for name in NAMES for entry in after[name]} == {ANA, BEN}
    world.clock.tick(minutes=5)
    for name, seller in world.sellers.items():
        for record in records[name][:3]:
            seller.edit(record, "score", 55)
    writes = [seller.writes() for seller in world.sellers.values()]
    assert world.run("undo", run).code == Exit.INTERRUPTED
    assert world.run("undo", run, "--yes").code == Exit.GUARD
    assert [seller.writes() for seller in world.sellers.values()] == writes
    outcome = world.run("undo", run, "--yes", "--json", "--max-change-share", "1")
    assert outcome.code == Exit.DONE, outcome.err
    assert outcome.json["restored"] == 2 * 97
    left = {(e["connection"], e["record_id"], e["output"]) for e in outcome.json["left"]}
    assert left == {
        (name, world.sellers[name].id(record), "score")
        for name in NAMES
        for record in records[name][:3]
    }
    for name in NAMES:
        assert shown(name)[3:] == before[name][3:]
        assert [e["score"] for e in shown(name)[:3]] == [55] * 3
        assert [e["owner"] for e in shown(name)[:3]] == [ROBOT] * 3
    outcome = world.run("undo", run, "--yes", "--json")
    assert (outcome.code, outcome.json["restored"]) == (Exit.DONE, 0)

    outcome = world.sync("--max-change-share", "1")
    for name in NAMES:
        scores = [entry["score"] for entry in shown(name)]
        assert scores == [55] * 3 + [100] * 97
        assert {entry["owner"] for entry in shown(name)} == {ANA, BEN}
    assert world.run("undo", "no-such-run").code == Exit.USAGE
    outcome = world.run("undo", run, "--yes", "--json")
    assert outcome.json["restored"] == 0
    assert {e["why"] for e in outcome.json["left"]} == {
        "written again by a later run", "changed by somebody else since"
    }  # fmt: skip


@pytest.mark.slow
def test_what_was_edited_keeps_what_stands_beside_it(world: Live) -> None:
    """U08: of a lead whose every value was edited, model and time alone are not taken back."""
    edited, other = people(world, 2)["sales"]
    world.configure("sales")
    world.model(**TECHNOLOGY)
    world.set_up()
    run = world.sync().json["run"]
    values = {"score": 55, "tier": "Z", "stage": "Z", "reason": "by hand"}
    for output, value in values.items():
        world.sales.edit(edited, output, value)
    before = world.sales.shown(edited)
    outcome = world.run("undo", run, "--yes", "--json")
    assert (outcome.code, outcome.json["restored"]) == (Exit.DONE, 1)
    assert {entry["output"] for entry in outcome.json["left"]} == values.keys()
    assert world.sales.shown(edited) == before
    assert world.sales.shown(other)["scored_at"] is None


@pytest.mark.slow
def test_a_run_is_taken_back_as_far_as_it_is_known(world: Live) -> None:
    """U08: a run was killed before an answer came, which is read back first; of another write of
    its it is not recorded what it replaced."""
    leads = people(world, 2)["sales"]
    world.configure("sales")
    world.set_up()
    unknown, unanswered = (Change("Lead", world.sales.id(r), {Output.SCORE: "100"}) for r in leads)
    replaced = [(unknown, None), (unanswered, {Output.SCORE: "5"})]
    for lead in leads:
        world.sales.edit(lead, "score", 100)
    with world.ledger() as ledger:
        ledger.start("run", "sync", model="m", at=world.clock())
        ledger.intend("run", "sales", replaced, at=world.clock())
        ledger.settle("run", "sales", [WriteResult(unknown, Status.WRITTEN)], at=world.clock())
    outcome = world.run("undo", "run", "--yes", "--json")
    assert (outcome.code, outcome.json["restored"]) == (Exit.DONE, 1), outcome.err
    assert [(entry["record_id"], entry["why"]) for entry in outcome.json["left"]] == [
        (unknown.id, "what it held before was not recorded then")
    ]
    assert [world.sales.shown(lead)["score"] for lead in leads] == [100, 5]


@pytest.mark.slow
def test_what_never_arrived_is_no_human_s_choice(world: Live) -> None:
    """U05: a run was killed before it sent what it had recorded: that the field is empty is no
    edit, and the next run writes it."""
    (lead,) = people(world, 1)["sales"]
    world.configure("sales")
    world.model(**TECHNOLOGY)
    world.configure_write(
        "sales", {"score": {"field": field_name("sales", "score"), "policy": "respect_edits"}}
    )
    world.set_up()
    change = Change("Lead", world.sales.id(lead), {Output.SCORE: "90"})
    with world.ledger() as ledger:
        ledger.start("run", "sync", model="m", at=world.clock())
        ledger.intend("run", "sales", [(change, {Output.SCORE: None})], at=world.clock())
    world.sync()
    assert world.sales.shown(lead)["score"] == 100


@pytest.mark.slow
def test_what_a_merge_carries_over_is_no_human_s_choice(world: Live) -> None:
    """U09, D37: HubSpot gives merged contacts a new id, which holds what we wrote to the old ones:
    that is ours still; what a human typed there since is not, nor what did not come along."""
    crm, found = world.marketing.crm, people(world, 6)["marketing"]
    prepare(world)
    respected = {"field": field_name("marketing", "score"), "policy": "respect_edits"}
    world.configure_write("marketing", {"score": respected})
    only = ("--connection", "marketing", "--max-change-share", "1")
    world.sync(*only)
    merged = [crm.add(primary.kind, primary.values) for primary in found[::2]]
    for record, *old in zip(merged, found[::2], found[1::2], strict=True):
        for one in old:
            crm.merge(record, one)
    world.marketing.edit(merged[1], "score", 55)
    world.marketing.edit(merged[2], "score", None)
    world.model(**{**TECHNOLOGY, "fit": [{**TECHNOLOGY["fit"][0], "points": 60}]})
    world.sync(*only)
    assert [world.marketing.shown(record)["score"] for record in merged] == [60, 55, 60]
    held = world.run("status", "--json").json["held"]
    assert [entry["record_id"] for entry in held] == [world.marketing.id(merged[1])]


@pytest.mark.slow
def test_a_human_s_value_is_held_for_so_long(world: Live) -> None:
    """D37, U09: a human's score is left alone and seen to be, until its days are over; an edit in
    between starts them anew."""
    records = people(world, 2)
    prepare(world)
    for name in NAMES:
        held = {"field": field_name(name, "score"), "policy": "respect_edits", "hold_days": 30}
        tier = {"field": field_name(name, "tier"), "policy": "respect_edits"}
        world.configure_write(name, {"score": held, "tier": tier})
    world.sync()
    for name, seller in world.sellers.items():
        seller.edit(records[name][0], "score", 12)
        seller.edit(records[name][0], "tier", "Z")
    outcome = world.sync()
    assert "held by human until 2026-03-31" in world.run("status").out
    assert "held by human until 2026-03-31" in world.run("plan", "--full").out
    found = world.run("status", "--json").json["held"]
    assert {(h["connection"], h["output"], (h["until"] or "for ever")[:10]) for h in found} == {
        (name, *rest) for name in NAMES for rest in (("score", "2026-03-31"), ("tier", "for ever"))
    }
    world.clock.tick(days=20)
    sales, marketing = (world.sellers[name] for name in NAMES)
    sales.edit(records["sales"][0], "score", 13)
    world.sync()
    world.clock.tick(days=9)
    world.sync()
    assert [s.shown(records[s.name][0])["score"] for s in (sales, marketing)] == [13, 12]
    world.clock.tick(days=1)
    outcome = world.sync()
    assert outcome.step("marketing", "write")["out"] == 1
    assert outcome.step("sales", "write")["in"] == 0
    assert [s.shown(records[s.name][0])["score"] for s in (sales, marketing)] == [13, 100]
    found = world.run("status", "--json").json["held"]
    assert {(h["connection"], h["output"]) for h in found} == {
        ("sales", "score"), ("sales", "tier"), ("marketing", "tier")
    }  # fmt: skip
    world.clock.tick(days=20)
    world.sync()
    assert sales.shown(records["sales"][0])["score"] == 100
    assert sales.shown(records["sales"][0])["tier"] == "Z"
