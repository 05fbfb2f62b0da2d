"""The rights of the people in the facts: report, erasure, export; and who may run what."""

import hashlib
import json
import stat
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml
from sqlalchemy import JSON, Boolean, Connection, Integer, String, Table, insert, select

from connectors.base import Removed, Stream
from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.hubspot.schema import add_formula
from core.facts import TABLES
from core.identity import Identity
from core.routing import FOLLOWING, Assignment, Routed
from sync.access import Access, Role
from sync.exits import Exit
from sync.facts_store import FactsStore
from sync.ledger import Ledger
from sync.ledger_audit import Act, Entry, append
from sync.ledger_people import ERASED
from sync.ledger_schema import AUDIT, METADATA, Exact, UtcTime
from sync.looks import Look
from tests.live import ANA, BEN, ROBOT, Live, live
from tests.sync.test_facts_store import T0, page
from tests.sync.test_facts_store import lead as row

MAIL, NAME = "zelda.quux@firm.example", "Zeldaquux"
TECHNOLOGY = {
    "fit": [{"id": "technology", "points": 100, "when": {"industry": "technology"}}],
    "behaviour": [],
    "decays": {},
    "thresholds": {"mql": 50, "sql": 100},
}
ROUTING = {"stages": ["SQL"], "pool": [ANA, BEN], "unassigned_owners": [ROBOT]}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Two people in both CRMs, scored, routed and written."""
    with live(tmp_path) as found:
        found.configure(routing=ROUTING)
        found.model(**TECHNOLOGY)
        found.set_up()
        for seller in found.sellers.values():
            seller.crm._next = 9_021_073_100
        yield found


def person(world: Live, last_name: str, email: str) -> dict[str, Record]:
    """Somebody both CRMs have, with an activity."""
    found = {}
    for name, seller in world.sellers.items():
        values: dict[str, Any] = {"last_name": last_name, "email": email, "phone": "+15550199"}
        values |= {"company": "Firm", "industry": "Technology", "owner": seller.users[ROBOT].number}
        found[name] = seller.crm.add(Kind.LEAD, values)
    return found


def stores(world: Live) -> bytes:
    """All bytes of facts and ledger, logs included."""
    files = [f for f in world.folder.iterdir() if f.name.startswith(("facts", "ledger"))]
    return b"".join(file.read_bytes() for file in files)


def told(world: Live) -> str:
    """Every value of every table of the facts, as text."""
    with duckdb.connect(str(world.folder / "facts.duckdb"), read_only=True) as facts:
        names = [name for (name,) in facts.execute("SHOW TABLES").fetchall()]
        return "".join(
            str(facts.sql(f"FROM {name}").to_arrow_table().to_pylist()) for name in names
        )


def traces(text: bytes, *identifiers: str) -> list[str]:
    """Which identifiers are found in some bytes, plain or by a common hash."""
    found = []
    for one in identifiers:
        looks = [
            one,
            *(hashlib.new(h, one.encode()).hexdigest() for h in ("md5", "sha1", "sha256")),
        ]
        found += [look for look in looks if look.encode() in text]
    return found


@pytest.mark.slow
def test_erased_is_everything_but_what_is_counted(world: Live) -> None:
    """U16: a person's facts, decisions, writes and acts go, in both CRMs; no trace by id, address,
    name or their hashes. What owners were given in all stays, and the chain is whole."""
    gone, stays = person(world, NAME, MAIL), person(world, "Stays", "stays@firm.example")
    world.sync()
    ids = {name: seller.id(gone[name]) for name, seller in world.sellers.items()}
    report = world.run("subject", MAIL, "--json").json
    assert sorted(map(tuple, report["records"])) == sorted(ids.items())
    assert {"decisions", "assignments", "written", "stages", "audit"} <= set(report["ledger"])
    assert {row["email"] for row in report["facts"]["leads"]} == {MAIL}
    assert NAME in world.run("subject", ids["sales"]).out
    with world.ledger() as ledger:
        before = {name: ledger.routing.assigned_counts(name) for name in ids}
        handed = len(ledger.past.handoffs(99))

    refused = world.run("erase", MAIL, "--yes")
    assert refused.code == Exit.USAGE
    assert refused.err.count("the CRM still shows this record") == 2
    assert MAIL not in refused.err
    for name, seller in world.sellers.items():
        seller.crm.delete(gone[name])
    world.clock.tick(hours=1)
    world.sync("--max-change-share", "1")
    assert world.run("erase", MAIL, "--yes").code == Exit.DONE

    assert traces(stores(world) + told(world).encode(), *ids.values(), MAIL, NAME) == []
    with world.ledger() as ledger:
        assert {name: ledger.routing.assigned_counts(name) for name in ids} == before
        given = ledger.past.handoffs(99)
        assert len(given) == handed
        assert sum(one.lead_id.startswith(ERASED) for one in given) == 2
        assert ledger.audit.fault() is None
    nothing = world.run("subject", MAIL)
    assert nothing.code == Exit.USAGE
    assert "nothing is held of this e-mail address" in nothing.err
    for nobody in ("", "  "):
        for command in ("subject", "erase"):
            unsaid = world.run(command, nobody)
            assert (unsaid.code, "say whom" in unsaid.err) == (Exit.USAGE, True)
    again = world.sync()
    assert [part["steps"][-1]["out"] for part in again.json["connections"]] == [0, 0]
    kept = world.sellers["sales"].id(stays["sales"])
    assert world.run("explain", kept).code == Exit.DONE


WORDS = """
    account account_id act area buyer_stage by code connection digest error fields follows
    hash holder id job kind model name networks nonce object_type output owner_id owner_reason pool
    rate reason removed_by run_id stage state status team text tier value version way what
"""
OTHERWISE = set(WORDS.split())
"""The columns with text by which tables of the ledger name no record, or only among words."""


def filled(db: Connection, table: Table, lead: str) -> None:
    """A row of a table about a lead, with something in every column."""
    kinds: dict[type, Any] = {
        UtcTime: T0,
        Exact: Decimal(1),
        Boolean: True,
        Integer: 7,
        JSON: {},
        String: "x",
    }
    values = {
        column.name: next(v for kind, v in kinds.items() if isinstance(column.type, kind))
        for column in table.columns
        if column.name != "id"
    }
    named = {"lead_id": lead, "record_id": lead, "connection": "sales", "run_id": "r1"}
    values |= {name: value for name, value in named.items() if name in values}
    db.execute(insert(table).values(values))


def test_an_interrupted_refresh_names_nobody_who_was_erased() -> None:
    """U16: it begins anew, in that connection alone."""
    with FactsStore(":memory:") as facts:
        for name, seen in (("sales", 1), ("marketing", 1), ("marketing", 2)):
            facts.looks.keep(name, Look("Lead", ("custom.plan",), T0, 2, seen, unlike=("L1",)))
        assert facts.table("looks").count().to_pyarrow().as_py() == 2
        facts.people.erase([("sales", "L1")], T0)
        assert (facts.looks.of("sales"), len(facts.looks.of("marketing"))) == ({}, 1)


def test_no_table_that_names_a_record_is_forgotten() -> None:
    """U16: a lead is reported of, and erased, from every table of the ledger with its id: hand-offs
    and by which way they were told, answers, overrides, surges, timers and whoever waits too."""
    lead = "00Q0000000000lvEAA"
    texts = {c.name for t in METADATA.sorted_tables for c in t.c if isinstance(c.type, String)}
    assert texts - OTHERWISE == {"lead_id", "record_id"}, "does a new column name a record?"
    naming = [t for t in METADATA.sorted_tables if {"lead_id", "record_id"} & {*t.c.keys()}]
    with Ledger("sqlite://") as ledger:
        ledger.start("r1", "test", model="m", at=T0)
        with ledger._engine.begin() as db:
            for table in naming:
                if table is AUDIT:
                    append(db, [Entry(Act.ANSWERED, T0, {}, connection="sales", lead_id=lead)])
                else:
                    filled(db, table, lead)
        held = ledger.people.held([("sales", lead)])
        assert set(held) == {table.name for table in naming}
        assert ledger.people.held([("marketing", lead), ("sales", lead[:-1])]) == {}
        counts = ledger.people.erase([("sales", lead)], by="ana", at=T0)
        assert counts == dict.fromkeys(held, 1)
        with ledger._engine.begin() as db:
            for table in METADATA.sorted_tables:
                assert lead not in str(db.execute(select(table)).all()), table.name
        assert ledger.audit.fault() is None


def test_every_record_of_a_person_is_found() -> None:
    """U16: by any id or address of hers, over merges and whatever `identity` joins: a key that
    another CRM holds, also of a lead that is gone, and the variants of one mailbox."""
    key = Identity(keys=({"marketing": "custom.sales_id", "sales": "id"},))
    mailbox, other = "zelda.quux@gmail.com", "zq@firm.example"
    leads, contacts = Stream("Lead", "leads"), Stream("contacts", "leads")
    with FactsStore(":memory:") as store:
        mine, merged = row("L1", email=other), row("L2", email=None)
        store.store("sales", page(leads, mine, merged, row("L3", email="n@gmail.com")), at=T0)
        linked = row("7", email=mailbox, custom={"sales_id": "L1"})
        variant = row("8", email="ZeldaQuux+news@googlemail.com")
        nobody = row("9", email=None)
        store.store("marketing", page(contacts, linked, variant, nobody), at=T0)
        gone = Removed("L1", T0), Removed("L2", T0, "L1")
        store.store("sales", page(leads, removed=gone), at=T0)
        whole = [("marketing", "7"), ("marketing", "8"), ("sales", "L1"), ("sales", "L2")]
        for named in ("L1", "L2", "7", "8", mailbox, f" {other.upper()}", "zeldaquux@gmail.com"):
            assert store.people.records(named, key) == whole, named
        assert store.people.living(whole) == whole[:2]
        assert store.people.records("L1", None) == whole[2:]
        assert store.people.records("7", None) == whole[:2]
        assert store.people.records("9", key) == [("marketing", "9")]
        assert store.people.records("L4", key) == []


@pytest.mark.slow
def test_whom_another_crm_still_has_by_a_key_is_not_erased(world: Live) -> None:
    """U16: the lead is gone, the contact that holds its id in a key lives: the command refuses and
    names it. With it goes what is told of hand-offs, answers and overrides."""
    crm = world.marketing.crm
    add_formula(crm, "contacts", "sales_id", lambda record: record.values.get("sales_id"))
    world.configure(
        routing=ROUTING,
        handoff={"task": {"due": "4 hours"}},
        identity={"keys": [{"marketing": "custom.sales_id", "sales": "id"}]},
        marketing={"mapping": {"leads": {"custom.sales_id": "sales_id"}}},
    )
    world.model(**TECHNOLOGY)
    gone = person(world, NAME, MAIL)
    ids = {name: seller.id(gone[name]) for name, seller in world.sellers.items()}
    crm.update(gone["marketing"], {"email": f"z.{MAIL}", "sales_id": ids["sales"]})
    world.sync()
    said = ("--reason", "big", "--by", "ana", "--until", f"{world.clock() + timedelta(days=9):%F}")
    for decided in (("override", "--points", "1", *said), ("answer", "--accept", "--by", "ana")):
        assert world.run(decided[0], ids["sales"], *decided[1:]).code == Exit.DONE
    world.sales.crm.delete(gone["sales"])
    world.clock.tick(hours=1)
    world.sync("--max-change-share", "1")
    report = world.run("subject", ids["sales"], "--json").json
    assert sorted(map(tuple, report["records"])) == sorted(ids.items())
    assert {"handoffs", "notices", "answers", "overrides", "given"} <= set(report["ledger"])

    refused = world.run("erase", ids["sales"], "--yes")
    assert refused.code == Exit.USAGE
    assert f"marketing: {ids['marketing']}: the CRM still shows this record" in refused.err
    crm.delete(gone["marketing"])
    world.clock.tick(hours=1)
    world.sync("--max-change-share", "1")
    assert world.run("erase", ids["sales"], "--yes").code == Exit.DONE
    assert traces(stores(world) + told(world).encode(), *ids.values(), MAIL, NAME) == []


def test_nobody_follows_who_is_erased() -> None:
    """U16: what was given because of another record of the person names that one no more."""
    rows = [("7", "sales:L1"), ("8", "sales:L12"), ("9", "L1")]
    made = tuple(
        Assignment(lead, "ana", FOLLOWING + other, fresh=True, follows=other)
        for lead, other in rows
    )
    with Ledger("sqlite://") as ledger:
        ledger.start("r1", "test", model="m", at=T0)
        ledger.routing.record("r1", "marketing", Routed(made), at=T0, now=T0)
        ledger.people.erase([("sales", "L1")], by="ana", at=T0)
        left = {
            lead: [(g.reason, g.follows) for g in ledger.routing.given(lead)] for lead, _ in rows
        }
    assert left == {
        "7": [(FOLLOWING + ERASED, ERASED)],
        "8": [(FOLLOWING + "sales:L12", "sales:L12")],
        "9": [(FOLLOWING + "L1", "L1")],
    }


@pytest.mark.slow
def test_an_entry_emptied_without_an_erasure_is_found(world: Live) -> None:
    """U16, S083: only the entries that an erasure names may be empty."""
    gone = person(world, NAME, MAIL)
    world.sync()
    records = [(name, seller.id(gone[name])) for name, seller in world.sellers.items()]
    with world.ledger() as ledger:
        ledger.people.erase(records[:1], by="ana", at=world.clock())
        assert ledger.audit.fault() is None
        (told_of,) = [c for c in ledger.audit.entries() if c.entry.act == "erased"]
        assert told_of.entry.detail["by"] == "ana"
        (other, *_rest) = ledger.audit.entries(lead_id=records[1][1])
        with ledger._engine.begin() as db:
            db.exec_driver_sql(f"UPDATE audit SET nonce = NULL WHERE number = {other.number}")
        assert "no erasure tells of it" in (ledger.audit.fault() or "")


def always(value: str) -> Callable[[Record], str]:
    """What every record says in a field."""
    return lambda _record: value


@pytest.mark.slow
def test_an_export_has_everything_or_nobody(world: Live) -> None:
    """S089: anonymous: no name, address, number, nor what a further field says, such as an address
    on the net; ids salted, stable over tables and exports; as many rows as there are. The files are
    their owner's alone, also where one was there that was not."""
    further = {"ip_address": "203.0.113.77", "hobby": "Glassblowing"}
    for name, value in further.items():
        add_formula(world.marketing.crm, "contacts", name, always(value))
    mapped = {"mapping": {"leads": {f"custom.{name}": name for name in further}}}
    world.configure(routing=ROUTING, marketing=mapped)
    world.model(**TECHNOLOGY)
    gone = person(world, NAME, MAIL)
    world.sync()
    plain, masked, other = (world.folder / name for name in ("plain", "masked", "other"))
    plain.mkdir()
    (plain / "leads.parquet").touch(0o644)
    assert world.run("export", str(plain)).code == Exit.DONE
    assert {stat.S_IMODE(file.stat().st_mode) for file in plain.iterdir()} == {0o600}
    said = world.run("export", str(masked), "--anonymise")
    assert said.code == Exit.USAGE
    assert "export_salt" in said.err
    world.env["EXPORT_SALT"] = "a salt of more than sixteen"
    world.configure(routing=ROUTING, marketing=mapped, export_salt="${EXPORT_SALT}")
    assert world.run("export", str(masked), "--anonymise").code == Exit.DONE
    world.env["EXPORT_SALT"] = "another salt of that length"
    assert world.run("export", str(other), "--anonymise").code == Exit.DONE

    names = [*(table.name for table in TABLES), "decisions"]
    read = {
        folder: {name: pq.read_table(folder / f"{name}.parquet").to_pylist() for name in names}
        for folder in (plain, masked, other)
    }
    for name in names:
        assert len({len(read[folder][name]) for folder in read}) == 1, name
    lead = world.sellers["sales"].id(gone["sales"])
    for personal in (MAIL, *further.values()):
        assert personal in str(read[plain])
    assert lead in str(read[plain])
    for folder in (masked, other):
        text = json.dumps(read[folder], default=str)
        named = (MAIL, NAME, lead, "+15550199", "Firm", ANA, *further.values())
        assert traces(text.encode(), *named) == []
    assert {row["industry"] for row in read[masked]["leads"]} == {"technology"}
    known = {row["id"] for row in read[masked]["leads"]}
    assert {row["lead_id"] for row in read[masked]["decisions"]} == known
    assert known.isdisjoint(row["id"] for row in read[other]["leads"])


ACCESS = Access(viewer=("*",), operator=("rob",), admin=("ana",))


def test_the_highest_role_counts() -> None:
    """S082: an account has the highest role that names it, or everyone."""
    assert [ACCESS.role(a) for a in ("ana", "rob", "eve")] == list(Role)[::-1]
    assert Access(admin=("ana",)).role("eve") is None


@pytest.mark.slow
def test_a_role_does_what_it_may_and_the_rest_is_denied_and_told(world: Live) -> None:
    """S082: a viewer explains, but does not write; the attempt is refused, and in the chain."""
    lead = world.sellers["sales"].id(person(world, NAME, MAIL)["sales"])
    world.sync()
    content = yaml.safe_load(world.config.read_text())
    content["access"] = {"viewer": ["eve"], "operator": ["rob"], "admin": ["ana"]}
    world.config.write_text(yaml.safe_dump(content))

    allowed: dict[str, list[tuple[str, ...]]] = {
        "eve": [("explain", lead), ("status",), ("audit",)],
        "rob": [("explain", lead), ("sync",), ("plan",)],
        "ana": [("sync",), ("subject", lead)],
    }
    override: tuple[str, ...] = ("override", lead, "--points", "1", "--reason", "x", "--by", "x")
    denied: dict[str, list[tuple[str, ...]]] = {
        "eve": [("sync",), ("backfill", "--yes"), ("daemon",), override, ("erase", lead)],
        "rob": [("setup", "--yes"), ("erase", lead), ("export", "x")],
        "mal": [("explain", lead), ("status",)],
    }
    for who, commands in allowed.items():
        world.account = who
        assert [world.run(*command).code for command in commands] == [Exit.DONE] * len(commands)
    writes = [seller.writes() for seller in world.sellers.values()]
    for who, commands in denied.items():
        world.account = who
        for command in commands:
            outcome = world.run(*command)
            assert outcome.code == Exit.CREDENTIALS, command
            assert f"{who} may not run `leadgauge {command[0]}`" in outcome.err
    assert [seller.writes() for seller in world.sellers.values()] == writes
    with world.ledger() as ledger:
        acts = [c.entry.detail for c in ledger.audit.entries() if c.entry.act == "denied"]
    assert [(a["by"], a["command"]) for a in acts] == [
        (who, command[0]) for who, commands in denied.items() for command in commands
    ]
