"""Retention: whose time is over is erased by itself, and nobody else."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.base import Removed, Stream
from connectors.sandbox.crm import Kind, Record
from sync.errors import StoreLost
from sync.exits import Exit
from sync.facts_store import FactsStore
from sync.guards import FLOOR
from sync.horizon import Horizon
from sync.lease import LASTS
from sync.ledger_audit import Entry
from sync.retention_settings import Retention
from tests.killed import KILLED, Child, Ended
from tests.live import ANA, ROBOT, SECRETS, Live, Seller, live
from tests.sync.test_facts_store import T0, lead, page
from tests.sync.test_privacy import TECHNOLOGY, stores, told, traces

LEADS = Stream("Lead", "leads")
RETENTION = {"removed": "90 days", "purged": "at once"}
ROUTING = {"stages": ["SQL"], "pool": [ANA], "unassigned_owners": [ROBOT]}


class Held(NamedTuple):
    """A record: when it was removed (None: it lives), and the later record it was merged into."""

    connection: str
    email: str | None
    gone: int | None
    survivor: int | None


def kin(records: list[Held]) -> list[set[int]]:
    """The records by person: merged, or of an equal address."""
    groups = [{n} for n in range(len(records))]
    for n, one in enumerate(records):
        for m in range(n):
            other = records[m]
            merged = other.survivor == n and other.connection == one.connection
            if merged or (one.email and one.email.lower() == (other.email or "").lower()):
                whole = groups[n] | groups[m]
                for member in whole:
                    groups[member] = whole
    return groups


@pytest.fixture(scope="module")
def store() -> Iterator[FactsStore]:
    with FactsStore(":memory:") as opened:
        yield opened


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    records=st.lists(
        st.builds(
            Held,
            st.sampled_from("ab"),
            st.sampled_from([None, "x@firm.example", "X@firm.example", "y@firm.example"]),
            st.none() | st.integers(1, 5),
            st.none(),
        ),
        max_size=9,
    ),
    survivors=st.lists(st.none() | st.integers(1, 4), min_size=9, max_size=9),
)
def test_nobody_is_due_who_is_tied_to_somebody_that_is_kept(
    store: FactsStore, records: list[Held], survivors: list[int | None]
) -> None:
    """Exactly the persons all of whose records were removed in time, over merges and addresses."""
    for n, step in enumerate(survivors[: len(records)]):
        into = n + (step or 0)
        near = step and into < len(records) and records[into].connection == records[n].connection
        if near and records[n].gone is not None:
            records[n] = records[n]._replace(survivor=into)
    groups = kin(records)
    over = [one.gone is not None and one.gone <= 3 for one in records]
    for connection in "ab":
        mine = {n: one for n, one in enumerate(records) if one.connection == connection}
        rows = [lead(str(n), email=one.email) for n, one in mine.items()]
        gone = tuple(
            Removed(
                str(n),
                T0 + timedelta(days=one.gone),
                None if one.survivor is None else str(one.survivor),
            )
            for n, one in mine.items()
            if one.gone is not None
        )
        store.store(connection, page(LEADS, *rows), at=T0)
        store.store(connection, page(LEADS, removed=gone), at=T0)
    for connection in "ab":
        found = store.people.removed(connection, T0 + timedelta(days=3), None)
        mine = {n: one for n, one in enumerate(records) if one.connection == connection}
        due = {n for n in mine if all(over[other] for other in groups[n])}
        assert {(connection, str(n)) for n in due} == {*found.records}
        assert found.kept == sum(over[n] for n in mine) - len(due)
    if records:
        store.people.erase([(one.connection, str(n)) for n, one in enumerate(records)], T0)
    assert store.people.count("a") == store.people.count("b") == 0


def test_how_long_is_said_in_days_or_at_once() -> None:
    """At once is no time at all; what keeps everything for ever is no retention."""
    said = Retention.model_validate({"removed": "90 days", "purged": "at once"})
    assert (said.removed, said.purged) == (timedelta(days=90), timedelta(0))
    for wrong, why in (
        ({"removed": "soon"}, "90 days, or `at once`"),
        ({"removed": "0 days"}, "90 days, or `at once`"),
        ({"activities": "at once"}, "number of seconds"),
        ({}, "say how long to keep"),
    ):
        with pytest.raises(ValidationError, match=why):
            Retention.model_validate(wrong)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path) as found:
        found.configure(routing=ROUTING, retention=RETENTION)
        found.model(**TECHNOLOGY)
        found.set_up()
        for seller in found.sellers.values():
            seller.crm._next = 9_021_073_100
        yield found


def person(world: Live, name: str, *connections: str) -> dict[str, Record]:
    """Somebody in some CRMs, or in both."""
    found = {}
    for connection in connections or world.sellers:
        seller = world.sellers[connection]
        values: dict[str, Any] = {"last_name": name, "email": f"{name.lower()}@firm.example"}
        values |= {"company": "Firm", "industry": "Technology", "owner": seller.users[ROBOT].number}
        found[connection] = seller.crm.add(Kind.LEAD, values)
    return found


def call(marketing: Seller, what: str, **body: str) -> None:
    """Ask HubSpot to do something about its contacts, as a user's own program may."""
    token = SECRETS["HUBSPOT_TOKEN"]
    reply = requests.post(
        f"{marketing.server.url}/crm/v3/objects/contacts/{what}",
        json=body,
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    assert reply.ok, reply.text


def erased(world: Live, *arguments: str) -> dict[str, tuple[int, int]]:
    """A sync: how many it erased, and how many it kept for another record, by connection."""
    report = world.sync("--max-change-share", "1", *arguments)
    steps = {name: report.step(name, "erase people") for name in world.sellers}
    return {name: (step["out"], sum(step["held"].values())) for name, step in steps.items()}


def entries(world: Live) -> list[Entry]:
    """What the audit chain tells, which is whole."""
    with world.ledger() as ledger:
        assert ledger.audit.fault() is None
        return [chained.entry for chained in ledger.audit.entries()]


@pytest.mark.slow
def test_whom_the_crm_removed_is_erased_in_time(world: Live) -> None:
    """U16: a removed person goes from facts and ledger after the time that is configured, with no
    trace; what was given stays counted, the chain is whole and says who did it. Whose other record
    lives stays, and so does whom a merged record became."""
    gone, half = person(world, "Zeldaquux"), person(world, "Halfway")
    winner, loser = person(world, "Winner"), person(world, "Loser")
    world.sync()
    ids = {name: seller.id(gone[name]) for name, seller in world.sellers.items()}
    with world.ledger() as ledger:
        counted = {name: ledger.routing.assigned_counts(name) for name in ids}
    for name, seller in world.sellers.items():
        seller.crm.delete(gone[name])
        if name == "sales":
            seller.crm.merge(winner[name], loser[name])
    world.sellers["marketing"].crm.delete(half["marketing"])
    world.clock.tick(hours=1)
    assert erased(world) == {"sales": (0, 0), "marketing": (0, 0)}
    world.clock.tick(hours=24 * 89)
    assert erased(world) == {"sales": (0, 0), "marketing": (0, 0)}

    world.clock.tick(hours=25)
    planned = world.run("plan", "--json").json["plans"]
    assert [plan["erases"] for plan in planned] == [{"people": 1}] * 2
    assert "of people, a sync would erase 1" in world.run("plan").err
    assert traces(told(world).encode(), *ids.values())
    assert erased(world) == {"sales": (1, 1), "marketing": (1, 1)}

    named = (*ids.values(), "zeldaquux@firm.example", "Zeldaquux")
    assert traces(stores(world) + told(world).encode(), *named) == []
    with world.ledger() as ledger:
        assert {name: ledger.routing.assigned_counts(name) for name in ids} == counted
    by = [entry.detail["by"] for entry in entries(world) if entry.act == "erased"]
    assert by == ["retention"] * 2
    assert "halfway@firm.example" in told(world)
    stayed = world.run("subject", "loser@firm.example", "--json").json["records"]
    sales = world.sellers["sales"]
    assert ["sales", sales.id(winner["sales"])] in stayed
    assert ["sales", sales.id(loser["sales"])] in stayed
    world.clock.tick(hours=25)
    assert erased(world) == {"sales": (0, 1), "marketing": (0, 1)}


@pytest.mark.slow
def test_a_gdpr_delete_is_told_apart_and_erased_at_once(world: Live) -> None:
    """A contact erased in HubSpot leaves nothing there, which a reconciliation finds out and
    counts: it is erased here at once, an archived one in time, a merged one not at all. What the
    other CRM has stays."""
    forgotten, archived = person(world, "Zeldaquux"), person(world, "Archived", "marketing")
    merged = [person(world, name, "marketing")["marketing"] for name in ("Winner", "Loser")]
    world.sync()
    marketing = world.sellers["marketing"]
    lost = marketing.id(forgotten["marketing"])
    mail = "zeldaquux@firm.example"
    call(marketing, "gdpr-delete", objectId=mail, idProperty="email")
    into, other = map(marketing.id, merged)
    call(marketing, "merge", primaryObjectId=into, objectIdToMerge=other)
    marketing.crm.delete(archived["marketing"], bump=False)
    world.clock.tick(hours=1)
    report = world.sync("--reconcile", "--max-change-share", "1")
    (part,) = (p for p in report.json["connections"] if p["connection"] == "marketing")
    (leads,) = (c for c in part["comparisons"] if c["stream"] == "contacts")
    assert (leads["gone"], leads["purged"]) == (1, 1)
    assert report.step("marketing", "erase people")["out"] == 1
    held = world.run("subject", "zeldaquux@firm.example", "--json").json
    assert [tuple(record) for record in held["records"]] == [
        ("sales", world.sellers["sales"].id(forgotten["sales"]))
    ]
    assert traces(stores(world) + told(world).encode(), lost) == []
    assert "archived@firm.example" in told(world)
    assert len(world.run("subject", other, "--json").json["records"]) == 3


@pytest.mark.slow
def test_an_emptied_crm_erases_nobody(world: Live) -> None:
    """More than a plausible share stops the run before its first write, and the message says how
    to go on."""
    gone = [person(world, f"Gone{n}", "sales") for n in range(FLOOR + 1)]
    person(world, "Stays", "sales")
    world.sync()
    for one in gone:
        world.sellers["sales"].crm.delete(one["sales"])
    world.clock.tick(hours=1)
    erased(world)
    world.clock.tick(hours=24 * 91)
    person(world, "New", "sales")
    stopped = world.run("sync")
    assert stopped.code == Exit.GUARD
    assert f"retention would erase {FLOOR + 1} of the" in stopped.err
    assert "--max-change-share 1" in stopped.err
    assert "gone1@firm.example" in told(world)
    assert erased(world)["sales"] == (FLOOR + 1, 0)


@pytest.mark.slow
def test_killed_at_any_effect_it_is_finished_by_the_next_run(world: Live) -> None:
    """Wherever an erasure is broken off, the next run leaves no trace, and the chain is whole."""
    world.configure("sales", routing=ROUTING, retention=RETENTION)
    world.model(**TECHNOLOGY)
    gone, sales = person(world, "Zeldaquux", "sales")["sales"], world.sellers["sales"]
    world.sync()
    sales.crm.delete(gone)
    world.clock.tick(hours=1)
    world.sync("--max-change-share", "1")
    world.clock.tick(hours=24 * 91)
    kept = {f: f.read_bytes() for f in world.folder.iterdir() if f.is_file()}

    def sync(die: int | None = None) -> Ended:
        for file in [f for f in world.folder.iterdir() if f.is_file()]:
            file.unlink()
        for file, content in kept.items():
            file.write_bytes(content)
        world.clock.tick(seconds=LASTS.total_seconds() + 60)
        arguments = ["sync", "--config", str(world.config), "--max-change-share", "1"]
        with Child(arguments, world.env, world.clock(), die) as child:
            return child.end()

    effects = sync().effects[1:]
    erasing = len(effects) - effects[::-1].index("commit to the facts") - 2
    assert effects[erasing] == "commit to the ledger"
    for die in range(erasing, erasing + 4):
        assert sync(die + 1).code == KILLED
        world.clock.tick(seconds=LASTS.total_seconds())
        world.sync("--max-change-share", "1")
        found = stores(world) + told(world).encode()
        assert traces(found, sales.id(gone), "Zeldaquux") == [], effects[die]
        entries(world)


@pytest.mark.slow
def test_old_activities_are_forgotten_and_stay_so(world: Live) -> None:
    """What was done before the horizon earns no more, also where a reconciliation shows it
    again; younger deeds go on to. A replay of a day before says what it lacks, and of now is what
    the CRM holds."""
    world.configure("sales", retention={"activities": "400 days"})
    calls = [{"id": "call", "points": 7, "count": "each", "when": {"type": "call"}}]
    world.model(**{**TECHNOLOGY, "behaviour": calls})
    lead, sales = person(world, "Caller", "sales")["sales"], world.sellers["sales"]
    for days in (1, 200, 399, 500):
        call = {"type": "call", "at": world.clock() - timedelta(days=days), "people": [lead.number]}
        sales.crm.add(Kind.ACTIVITY, {**call, "outcome": "Connected"})
    first = world.sync()
    assert first.step("sales", "pull")["held"]["too old"] == 1
    assert sales.shown(lead)["score"] == 121
    before = world.clock()

    world.clock.tick(hours=26)
    assert world.run("plan", "--json").json["plans"][0]["erases"] == {"activities": 1}
    assert world.sync().step("sales", "erase activities")["out"] == 1
    assert world.sync().step("sales", "write")["out"] == 1
    assert sales.shown(lead)["score"] == 114
    assert world.sync("--reconcile").step("sales", "write")["out"] == 0
    assert world.sync("--full").step("sales", "write")["out"] == 0
    now = world.run("replay", sales.id(lead))
    assert ",114," in now.out
    assert "forgotten" not in now.err
    then = world.run("replay", sales.id(lead), "--as-of", f"{before:%Y-%m-%dT%H:%M:%S}")
    assert "is forgotten" in then.err
    (told_of,) = [e for e in entries(world) if e.act == "forgotten"]
    assert (told_of.connection, told_of.detail["activities"]) == ("sales", 1)


@pytest.mark.slow
def test_what_was_forgotten_is_told_wherever_a_run_ends(
    world: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain tells of it before the facts forget: afterwards nobody would know how much."""
    world.configure("sales", retention={"activities": "400 days"})
    world.model(**TECHNOLOGY)
    lead, crm = person(world, "Caller", "sales")["sales"], world.sales.crm
    done = {"at": world.clock() - timedelta(days=399), "people": [lead.number]}
    crm.add(Kind.ACTIVITY, {"type": "call", "outcome": "Connected", **done})
    world.sync()
    world.clock.tick(hours=26)
    forget = Horizon.forget

    def forgotten(*arguments: Any) -> None:
        forget(*arguments)
        raise StoreLost("the run ends here")

    monkeypatch.setattr(Horizon, "forget", forgotten)
    world.sync(code=Exit.TEMPORARY)
    monkeypatch.setattr(Horizon, "forget", forget)
    assert world.sync().step("sales", "erase activities")["out"] == 0
    assert [e.detail["activities"] for e in entries(world) if e.act == "forgotten"] == [1]


@pytest.mark.slow
def test_who_is_in_the_ledger_alone_is_erased_by_id(world: Live) -> None:
    """Facts that were thrown away and pulled again do not know who was removed before."""
    gone, sales = person(world, "Zeldaquux", "sales")["sales"], world.sellers["sales"]
    world.configure("sales")
    world.sync()
    (world.folder / "facts.duckdb").unlink()
    sales.crm.delete(gone)
    world.clock.tick(hours=24 * 20)
    person(world, "New", "sales")
    world.sync()
    assert traces(stores(world), sales.id(gone))
    assert world.run("erase", sales.id(gone), "--yes").code == Exit.DONE
    assert traces(stores(world) + told(world).encode(), sales.id(gone)) == []
