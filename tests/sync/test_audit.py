"""The audit chain: what changed, why and by whom, in an order that nobody can edit unseen."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Engine, create_engine, text

from connectors.sandbox.crm import Kind
from core.decision import Decision
from core.past import Kind as By
from core.past import Override
from core.routing import HUMAN, KEPT
from sync.exits import Exit
from sync.ledger import Ledger, RunStatus
from sync.ledger_audit import Act, Head
from tests.live import ANA, FIELDS, ROBOT, live

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ENTRIES = 6


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    """The address of a fresh ledger file: enough where databases do not differ."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def decision(score: int, lead: str = "L1", stage: str | None = None, **more) -> Decision:
    """A decision about a lead."""
    return Decision("crm", lead, "Lead", score, None, stage, f"{score}: rule", "m 1", T0, **more)


def filled(url: str) -> Ledger:
    """A ledger in which a little of everything was done."""
    ledger = Ledger(url)
    ledger.start("r1", "sync", model="m 1", at=T0)
    ledger.decide("r1", [decision(10_000), decision(5_000, "L2")])
    owner = {"owner_id": "U2", "owner_reason": "pool"}
    ledger.decide("r1", [decision(985_000, stage="SQL", **owner)], owners={"L1": "U1"})
    ledger.finish("r1", RunStatus.DONE, at=T0 + DAY, counts={}, calls={})
    said = Override("crm", "L2", By.POINTS, "5", "met her at a fair", "ana", T0, T0 + DAY)
    ledger.past.override(said)
    return ledger


def test_each_change_has_old_new_cause_model_run_and_time(url):
    """S083: of score, tier, stage and owner what differs, beside the acts of runs and people."""
    with filled(url) as ledger:
        began, first, _other, second, ended, said = ledger.audit.entries()
        assert ledger.audit.fault() is None
        assert ledger.audit.head() == Head(ENTRIES, said.hash)
        assert [c.number for c in ledger.audit.entries(lead_id="L1")] == [2, 4]
        assert [c.number for c in ledger.audit.entries(run_id="r1", limit=2)] == [4, 5]
    assert first.entry.detail == {
        "changed": {"score": [None, "1"], "model": [None, "m 1"]},
        "cause": {"score": "10000: rule"},
        "model": "m 1",
    }
    entry = second.entry
    assert (entry.act, entry.at, entry.run_id) == (Act.DECIDED, T0, "r1")
    assert (entry.connection, entry.lead_id) == ("crm", "L1")
    assert entry.detail == {
        "changed": {"score": ["1", "98.5"], "stage": [None, "SQL"], "owner_id": ["U1", "U2"]},
        "cause": {"score": "985000: rule", "owner": "pool"},
        "model": "m 1",
    }
    assert (began.entry.act, began.entry.detail) == (
        Act.RUN_BEGAN,
        {"kind": "sync", "model": "m 1"},
    )
    assert (ended.entry.act, ended.entry.detail) == (Act.RUN_ENDED, {"status": "done"})
    assert said.entry.act == Act.OVERRIDDEN
    assert (said.entry.detail["value"], said.entry.detail["by"]) == ("5", "ana")
    assert "fair" not in str(said.entry), "words of a person do not belong where none can be erased"


def test_a_decision_that_changes_nothing_is_no_entry(ledger_url: str) -> None:
    """S083: of a lead that was given away and is left alone from then on, nothing is told again."""
    with filled(ledger_url) as ledger:
        told = ledger.audit.head()
        ledger.decide("r1", [decision(985_000, stage="SQL")], owners={"L1": "U2"})
        assert ledger.audit.head() == told
        ledger.decide("r1", [decision(985_000, stage="MQL")], owners={"L1": "U2"})
        assert ledger.audit.head().entries == told.entries + 1


def test_why_an_owner_is_left_alone_is_kept_though_no_entry(ledger_url: str) -> None:
    """What is explained of a lead from then on; of before, what was so then."""
    with filled(ledger_url) as ledger:
        told = ledger.audit.head()
        for reason, fresh in ((KEPT, 1), (KEPT, 0), (HUMAN, 1), (HUMAN, 0)):
            left = decision(985_000, stage="SQL", owner_reason=reason)
            assert ledger.decide("r1", [left], owners={"L1": "U2"}) == fresh
        reasons = [found.decision.owner_reason for found in ledger.decisions("crm", "L1")]
        assert reasons == ["", "pool", KEPT, HUMAN]
        assert ledger.audit.head() == told


def test_every_act_is_in_it(ledger_url):
    """A run that died, an override that was removed; nothing for what changes nothing."""
    with filled(ledger_url) as ledger:
        ledger.start("r2", "sync", model="m 1", at=T0)
        ledger.decide("r2", [decision(985_000, stage="SQL", owner_id="U2")], owners={"L1": "U2"})
        ledger.close_dead_runs(at=T0)
        assert ledger.past.remove_override("crm", "L2", by="ben", at=T0)
        assert not ledger.past.remove_override("crm", "L2", by="ben", at=T0)
        acts = [(c.entry.act, c.entry.detail) for c in ledger.audit.entries()[ENTRIES:]]
    assert acts == [
        (Act.RUN_BEGAN, {"kind": "sync", "model": "m 1"}),
        (Act.RUN_ENDED, {"status": "died"}),
        (Act.OVERRIDE_ENDED, {"by": "ben"}),
    ]


def test_what_is_rolled_back_is_not_in_it(ledger_url):
    """An entry stands and falls with what it tells of."""
    with filled(ledger_url) as ledger:
        with pytest.raises(Exception, match=r"(?i)foreign key"):
            ledger.decide("no such run", [decision(1)])
        assert ledger.audit.head().entries == ENTRIES
        assert ledger.audit.fault() is None


EDITS = {
    "number": "number = number + 100",
    "act": "act = 'signed'",
    "at": "at = '2026-03-01 12:00:00.000001'",
    "detail": "detail = '{\"changed\": {}}'",
    "run_id": "run_id = 'r9'",
    "connection": "connection = 'other'",
    "lead_id": "lead_id = 'L9'",
    "hash": "hash = 'f' || substr(hash, 2) || 'f'",
    "digest": "digest = 'f' || substr(digest, 2) || 'f'",
    "nonce": "nonce = NULL",
}


def test_whatever_is_changed_is_found(ledger_url):
    """S083: each line, edited in each column, deleted, inserted or moved: the first is named."""
    engine = create_engine(ledger_url)
    with filled(ledger_url) as ledger:
        with engine.begin() as db:
            db.execute(text("CREATE TABLE saved AS SELECT * FROM audit"))
        for number, how in product(range(1, ENTRIES + 1), (*EDITS, "cut", "insert", "swap")):
            tamper(engine, number, how)
            # A copy put in before an entry is equal to it: what follows does not fit.
            first = number + 1 if how == "insert" else number
            first = 1 if how == "swap" and number == ENTRIES else first
            cut = how == "cut" and number == ENTRIES
            said = f"chain ends at entry {ENTRIES - 1}" if cut else f"entry {first} "
            assert said in (ledger.audit.fault() or ""), (number, how)
            with engine.begin() as db:
                db.execute(text("DELETE FROM audit"))
                db.execute(text("INSERT INTO audit SELECT * FROM saved"))
            assert ledger.audit.fault() is None
    engine.dispose()


def tamper(engine: Engine, number: int, how: str) -> None:
    """Change the chain in one of the ways there are."""
    with engine.begin() as db:
        if how == "cut":
            db.execute(text(f"DELETE FROM audit WHERE number = {number}"))
        elif how == "insert":
            db.execute(text("UPDATE audit SET number = -number"))
            later = f"CASE WHEN -number >= {number} THEN 1 - number ELSE -number END"
            db.execute(text(f"UPDATE audit SET number = {later}"))
            copied = "act, at, detail, run_id, connection, lead_id, hash, digest, nonce"
            copy = f"SELECT {number}, {copied} FROM audit WHERE number = {number + 1}"
            db.execute(text(f"INSERT INTO audit (number, {copied}) {copy}"))
        elif how == "swap":
            other = number % ENTRIES + 1
            for old, new in ((number, 0), (other, number), (0, other)):
                db.execute(text(f"UPDATE audit SET number = {new} WHERE number = {old}"))
        else:
            db.execute(text(f"UPDATE audit SET {EDITS[how]} WHERE number = {number}"))


def test_a_chain_that_was_cut_with_its_head_is_found_by_a_noted_head(url):
    """S083: who notes a head finds a chain that was cut, or written anew, and made to fit."""
    with filled(url) as ledger:
        noted = ledger.audit.head()
        assert ledger.audit.fault(noted) is None
        before = ledger.audit.entries()[ENTRIES - 2]
        engine = create_engine(url)
        with engine.begin() as db:
            db.execute(text(f"DELETE FROM audit WHERE number = {ENTRIES}"))
            said = f"UPDATE audit_head SET entries = {ENTRIES - 1}, hash = '{before.hash}'"
            db.execute(text(said))
        engine.dispose()
        assert ledger.audit.fault() is None
        assert ledger.audit.fault(noted) == "the chain ends at entry 5, before the noted 6"
        ledger.start("r2", "sync", model="m", at=T0)
        assert ledger.audit.fault(noted) == "entry 6 is another one than when its head was noted"


def test_several_instances_do_not_fork_it(url):
    """Each appends to what another one has appended: the head is locked, also on a server."""
    with filled(url):
        barrier = Barrier(4)

        def work(number: int) -> None:
            with Ledger(url) as mine:
                barrier.wait()
                for turn in range(10):
                    mine.start(f"{number}-{turn}", "sync", model="m", at=T0)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
    with Ledger(url) as ledger:
        assert ledger.audit.fault() is None
        assert ledger.audit.head().entries == ENTRIES + 40


def test_the_command_verifies_and_lists(tmp_path: Path):
    """S083: exit 8 and the first line that was edited; status prints the head to be noted."""
    with live(tmp_path) as world:
        world.configure("sales", routing={"pool": [ANA], "unassigned_owners": [ROBOT]})
        model = {"thresholds": {"mql": 10, "sql": 15}}
        world.model(**model)
        robot, ana = (world.sales.users[who] for who in (ROBOT, ANA))
        hot = {"last_name": "Hot", "email": "hot@buyer.example", "industry": "Technology"}
        record = world.sales.crm.add(Kind.LEAD, {**hot, "owner": robot.number})
        lead = world.sales.id(record)
        world.set_up()
        world.sync()
        whole = world.run("audit", lead, "--json")
        assert whole.code == Exit.DONE
        (entry,) = whole.json["entries"]
        changed = entry["detail"]["changed"]
        assert changed["score"] == [None, "20"]
        assert changed["owner_id"] == [world.sales.id(robot), world.sales.id(ana)]
        assert entry["run_id"] == world.run("status", "--json").json["runs"][0]["id"]
        head = world.run("status", "--json").json["audit"]
        assert world.run("audit", "--noted", head).code == Exit.DONE
        assert world.run("audit", "--noted", "5").code == Exit.USAGE
        shown = world.run("audit", "--run", entry["run_id"])
        assert "score none -> 20" in " ".join(shown.out.split())
        engine = create_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
        with engine.begin() as db:
            lower = "replace(detail, '\"20\"', '\"99\"')"
            db.execute(text(f"UPDATE audit SET detail = {lower} WHERE lead_id = '{lead}'"))
        engine.dispose()
        edited = world.run("audit")
        assert edited.code == Exit.TAMPERED
        assert f"entry {entry['number']} does not say what was written" in edited.err


def test_a_human_value_that_is_written_over_is_an_entry(tmp_path: Path) -> None:
    """S083: what was found in which fields and what was written, once, when the CRM has taken it;
    a text of somebody else's is not repeated. What is left to a human, and what leadgauge itself
    had written, are no such entries; nor is an owner, of which the decision tells."""
    with live(tmp_path) as world:
        world.configure("sales", routing={"pool": [ANA], "unassigned_owners": [ROBOT]})
        world.configure_write(
            "sales", {"stage": {"field": FIELDS["sales"]["stage"], "policy": "respect_edits"}}
        )
        world.model(thresholds={"mql": 10, "sql": 15})
        robot = world.sales.users[ROBOT].number
        hot = {"last_name": "Hot", "email": "hot@buyer.example", "industry": "Technology"}
        record = world.sales.crm.add(Kind.LEAD, {**hot, "owner": robot})
        lead = world.sales.id(record)
        world.set_up()
        world.sync()
        ours = world.sales.shown(record)
        for output, value in {"score": 99, "stage": "Cold", "reason": "met at a fair"}.items():
            world.sales.edit(record, output, value)
        world.sync()
        entries = world.run("audit", lead, "--json").json["entries"]
        assert [entry["act"] for entry in entries] == [Act.DECIDED, Act.OVERWRITTEN]
        assert entries[-1]["detail"] == {
            "object_type": "Lead",
            "changed": {"score": ["99", "20"], "reason": ["another text", ours["reason"]]},
        }
        assert entries[-1]["run_id"] == world.run("status", "--json").json["runs"][0]["id"]
        assert "score 99 -> 20" in world.run("audit", lead).out
        world.model(thresholds={"mql": 10, "sql": 30})
        world.sync()
        acts = [entry["act"] for entry in world.run("audit", lead, "--json").json["entries"]]
        assert acts == [Act.DECIDED, Act.OVERWRITTEN, Act.DECIDED]
