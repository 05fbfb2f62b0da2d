"""The facts store: pages in, versions kept, nothing half stored, order of no consequence."""

import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import combinations, permutations
from math import inf
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Change, Cursor, Page, Removed, Status, Stream, WriteResult
from core.decision import Output
from core.events import done_by
from core.facts import BY_NAME, TABLES, arrow_schema, as_of
from core.model import Row
from sync.errors import StoreBusy, StoreError
from sync.facts_store import WRITTEN, FactsStore, Stored
from sync.write import written_table

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEADS = Stream("Lead", "leads")
TASKS = Stream("Task", "activities")
DEALS = Stream("Opportunity", "outcomes")
USERS = Stream("User", "owners")


def hour(n: float) -> datetime:
    """An instant some hours after the beginning."""
    return T0 + timedelta(hours=n)


def page(
    stream: Stream, *rows: dict[str, Any], removed: tuple[Removed, ...] = (), cursor: Any = None
) -> Page:
    """A page of rows, each checked against the common model."""
    model = BY_NAME[stream.table].model
    columns = [model.model_validate(row).model_dump() for row in rows]
    table = pa.Table.from_pylist([_arrow(row) for row in columns], schema=arrow_schema(model))
    return Page(stream, table, cursor or Cursor(T0), removed)


def _arrow(row: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v.items()) if isinstance(v, dict) else v for k, v in row.items()}


def lead(id: str = "L1", at: float = 0, **values: Any) -> dict[str, Any]:
    """A lead as the CRM shows it at its stamp, in hours."""
    return {"id": id, "object_type": "Lead", "modified_at": hour(at), **values}


def task(id: str = "T1", at: float = 0, person: str = "L1", **values: Any) -> dict[str, Any]:
    """An activity of one person."""
    row = {"object_type": "Task", "type": "call", "occurred_at": T0, "lead_id": person}
    return {"id": id, "modified_at": hour(at), **row, **values}


def deal(id: str = "D1", at: float = 0, **values: Any) -> dict[str, Any]:
    """A deal of one person."""
    row = {"object_type": "Opportunity", "lead_id": "L1", "result": "open"}
    return {"id": id, "modified_at": hour(at), **row, **values}


@pytest.fixture
def store() -> Iterator[FactsStore]:
    """A store in memory."""
    with FactsStore(":memory:") as opened:
        yield opened


def put(store: FactsStore, *pages: Page, at: float = 100) -> list[Stored]:
    """Store pages one after the other."""
    return [store.store("crm", one, at=hour(at)) for one in pages]


def rows(store: FactsStore, table: str = "leads", *columns: str) -> list[tuple[Any, ...]]:
    """Some columns of a table, in order."""
    found = store.table(table).select(*columns).to_pyarrow().to_pylist()
    return sorted((tuple(row.values()) for row in found), key=str)


def aliases(store: FactsStore, at: float = 1000) -> list[tuple[Any, ...]]:
    """Which record stood for which at an instant, in hours."""
    held = as_of(store.table("aliases"), hour(at)).select("id", "survivor")
    return sorted(tuple(row.values()) for row in held.to_pyarrow().to_pylist())


def people(store: FactsStore, at: float = 1000) -> list[tuple[Any, ...]]:
    """Whose each activity was at an instant, in hours."""
    held = as_of(store.table("activities"), hour(at)).select("id", "lead_id", "outcome")
    return sorted((tuple(row.values()) for row in held.to_pyarrow().to_pylist()), key=str)


def versions(store: FactsStore, *columns: str) -> list[tuple[Any, ...]]:
    """Leads with when they held, in hours."""
    found = rows(store, "leads", "id", "valid_from", "valid_to", *columns)
    return [(r[0], _hours(r[1]), _hours(r[2]), *r[3:]) for r in found]


def _hours(at: datetime | None) -> float | None:
    return None if at is None else (at - T0).total_seconds() / 3600


def test_the_tables_are_those_of_the_model(store):
    """Every facts table is there with exactly the columns of core.facts, empty."""
    for table in TABLES:
        assert store.table(table.name).schema().names == table.schema.names
    assert store.counts("crm") == dict.fromkeys(BY_NAME, 0)


def test_every_column_comes_back_as_it_was(store):
    """Times, money, lists, maps and unicode survive; unknown stays unknown."""
    full = lead(
        first_name="Zoë",
        revenue="12345.67",
        employees=7,
        technologies=("a", "b"),
        custom={"x": "1"},
        present={"score": "98.5"},
        email_opt_out=False,
    )
    put(store, page(LEADS, full, lead("L2")))
    first, second = store.table("leads").order_by("id").to_pyarrow().to_pylist()
    assert first["first_name"] == "Zoë"
    assert str(first["revenue"]) == "12345.67"
    assert (first["technologies"], dict(first["custom"])) == (["a", "b"], {"x": "1"})
    assert first["email_opt_out"] is False
    assert first["modified_at"] == T0
    assert {second[k] for k in ("first_name", "revenue", "technologies", "custom")} == {None}


# Versions


@pytest.mark.parametrize(
    ("second", "stored", "expected"),
    [
        (lead(at=0, title="CTO"), Stored(unchanged=1), [("L1", 0, None, "CTO")]),
        (lead(at=5, title="CTO"), Stored(unchanged=1), [("L1", 0, None, "CTO")]),
        (lead(at=5, title="CEO"), Stored(changed=1), [("L1", 0, 5, "CTO"), ("L1", 5, None, "CEO")]),
        (lead(at=5), Stored(changed=1), [("L1", 0, 5, "CTO"), ("L1", 5, None, None)]),
        (lead(at=-5, title="CEO"), Stored(unchanged=1), [("L1", 0, None, "CTO")]),
        (
            lead(at=0, title="CEO"),
            Stored(changed=1, unstamped=1),
            [("L1", 0, 100, "CTO"), ("L1", 100, None, "CEO")],
        ),
    ],
    ids=["same", "stamp", "changed", "emptied", "older", "same stamp"],
)
def test_a_version_opens_when_something_changed(store, second, stored, expected):
    """D10: a stamp alone opens no version, an older row changes nothing, and a change that the
    stamp hides is dated by when it was seen."""
    put(store, page(LEADS, lead(title="CTO")))
    assert put(store, page(LEADS, second)) == [stored]
    assert versions(store, "title") == expected


def test_an_unchanged_row_moves_its_stamp_in_place(store):
    """The last-modified stamp is the newest seen."""
    put(store, page(LEADS, lead(title="CTO")), page(LEADS, lead(at=7, title="CTO")))
    assert rows(store, "leads", "id", "modified_at") == [("L1", hour(7))]


def test_leads_are_read_as_of_a_date(store):
    """At the instant of a change the new version holds, before it the old one, never both."""
    put(store, *(page(LEADS, lead(at=n, title=f"t{n}")) for n in (0, 5, 9)))
    for at, title in ((0, "t0"), (4.99, "t0"), (5, "t5"), (8, "t5"), (9, "t9"), (50, "t9")):
        held = as_of(store.table("leads"), hour(at)).to_pyarrow().to_pylist()
        assert [row["title"] for row in held] == [title], at
    assert as_of(store.table("leads"), hour(-1)).to_pyarrow().num_rows == 0


def test_an_empty_version_is_not_kept(store):
    """Two changes at one instant: the last one holds from then on."""
    put(store, page(LEADS, lead(title="a")), page(LEADS, lead(title="b")), at=0)
    assert versions(store, "title") == [("L1", 0, None, "b")]


def test_the_order_of_keys_and_empty_entries_are_no_change(store):
    """A map is the same in any order, and an output without a value is one that is not there."""
    put(store, page(LEADS, lead(present={"score": "1", "tier": "A"}, custom={})))
    again = lead(at=1, present={"tier": "A", "score": "1"})
    assert put(store, page(LEADS, again)) == [Stored(unchanged=1)]
    assert put(store, page(LEADS, lead(at=2, present={"tier": "A"}))) == [Stored(changed=1)]


# Removal, merging, conversion


def test_a_removed_lead_has_no_open_version_and_its_past_stays(store):
    """The version ends when the record was removed; a late page does not bring it back."""
    put(store, page(LEADS, lead(title="CTO")))
    gone = page(LEADS, removed=(Removed("L1", hour(5)),))
    assert put(store, gone, gone) == [Stored(removed=1), Stored()]
    assert put(store, page(LEADS, lead(at=4, title="CEO"))) == [Stored(unchanged=1)]
    assert versions(store) == [("L1", 0, 5)]
    assert store.counts("crm")["leads"] == 0


def test_a_removal_known_before_its_record_holds(store):
    """The removal came first, the record's last state after it."""
    put(store, page(LEADS, removed=(Removed("L1", hour(5)),)), page(LEADS, lead(at=5)))
    assert versions(store) == []


def test_a_record_is_gone_since_the_latest_word(store):
    """A page that comes late, with an older removal, makes no room for what was before the last."""
    put(
        store,
        page(LEADS, lead()),
        *(page(LEADS, removed=(Removed("L1", hour(n)),)) for n in (5, 3)),
    )
    assert put(store, page(LEADS, lead(at=4))) == [Stored(unchanged=1)]
    assert put(store, page(LEADS, lead(at=6))) == [Stored(new=1)]


def test_an_undeleted_lead_lives_again(store):
    """A newer row than the removal opens a version, and ends the alias of a merged record."""
    put(
        store,
        page(LEADS, lead(), lead("L2")),
        page(LEADS, removed=(Removed("L1", hour(5), "L2"),)),
    )
    assert aliases(store) == [("L1", "L2")]
    assert put(store, page(LEADS, lead(at=6))) == [Stored(new=1)]
    assert versions(store)[:2] == [("L1", 0, 5), ("L1", 6, None)]
    assert aliases(store) == []
    assert aliases(store, 5.5) == [("L1", "L2")]
    assert put(store, page(LEADS, removed=(Removed("L1", hour(5), "L2"),))) == [Stored()]
    assert store.counts("crm")["leads"] == 2
    assert aliases(store) == []


def test_a_converted_lead_comes_with_its_removal(store):
    """Its last state is kept as a version; from then on the contact stands for it."""
    put(store, page(LEADS, lead(), lead("C1")))
    last = lead(at=6, converted_at=hour(5), converted_to="C1")
    converted = page(LEADS, last, removed=(Removed("L1", hour(5), "C1"),))
    put(store, converted)
    assert store.counts("crm")["leads"] == 1
    assert rows(store, "aliases", "connection", "table_name", "id", "survivor") == [
        ("crm", "leads", "L1", "C1")
    ]
    before = rows(store, "leads", *BY_NAME["leads"].schema.names)
    assert put(store, converted) == [Stored(unchanged=1)]
    assert rows(store, "leads", *BY_NAME["leads"].schema.names) == before


def test_a_lead_converted_before_the_first_load(store):
    """The first page of all may already hold a record and its removal."""
    converted = page(LEADS, lead(at=6), lead("C1"), removed=(Removed("L1", hour(6), "C1"),))
    assert put(store, converted) == [Stored(new=2, removed=1)]
    assert store.counts("crm")["leads"] == 1


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_aliases_have_no_chains(store, order):
    """Whatever order merges become known in, each merged record names its last survivor."""
    merges = [Removed("A", hour(1), "B"), Removed("B", hour(2), "C"), Removed("C", hour(3), "D")]
    put(store, *(page(LEADS, removed=(merges[i],)) for i in order))
    assert aliases(store) == [("A", "D"), ("B", "D"), ("C", "D")]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (0, 2, 1)])
def test_aliases_are_those_of_their_time(store, order):
    """U01: a merge that came later does not change which record stood for which before."""
    merges = [Removed("A", hour(1), "B"), Removed("B", hour(2), "C"), Removed("X", hour(3), "A")]
    put(store, *(page(LEADS, removed=(merges[i],)) for i in order))
    assert aliases(store, 0.5) == []
    assert aliases(store, 1.5) == [("A", "B")]
    assert aliases(store, 2.5) == [("A", "C"), ("B", "C")]
    assert aliases(store, 3.5) == [("A", "C"), ("B", "C"), ("X", "C")]


def test_merges_in_a_ring_end_in_the_newer_word(store):
    """No survivor is ever an alias, also where the CRM contradicts itself."""
    there, back = Removed("A", hour(1), "B"), Removed("B", hour(2), "A")
    put(store, page(LEADS, removed=(back, there)))
    assert aliases(store) == [("B", "A")]
    put(store, page(LEADS, removed=(Removed("A", hour(3), "A"),)))
    assert aliases(store) == [("B", "A")]


# Activities, outcomes, owners


def test_an_activity_is_replaced_with_all_its_people(store):
    """A person taken off an activity is gone, the others stay, and other activities too."""
    put(store, page(TASKS, task(), task(person="L2"), task("T2")))
    again = page(TASKS, task(at=1, outcome="reached"), task(at=1, person="L3"))
    assert put(store, again, again) == [Stored(new=1, changed=1, removed=1), Stored(unchanged=2)]
    assert people(store) == [("T1", "L1", "reached"), ("T1", "L3", None), ("T2", "L1", None)]
    assert people(store, 0.5) == [("T1", "L1", None), ("T1", "L2", None), ("T2", "L1", None)]


def test_a_person_taken_off_under_an_equal_stamp(store):
    """Associations change without the record's stamp: what the page shows is what holds."""
    put(store, page(TASKS, task(), task(person="L2")))
    assert put(store, page(TASKS, task())) == [Stored(unchanged=1, removed=1)]
    assert people(store) == [("T1", "L1", None)]
    assert people(store, 99) == [("T1", "L1", None), ("T1", "L2", None)]


@pytest.mark.parametrize(("stamp", "since"), [(0, 100), (5, 5)])
def test_a_late_association_is_not_known_before(store, stamp, since):
    """U01: a person added later counts from when the CRM's stamp, or else the pull, says so."""
    put(store, page(TASKS, task()))
    put(store, page(TASKS, task(at=stamp), task(at=stamp, person="L2")))
    assert people(store, since - 0.1) == [("T1", "L1", None)]
    assert people(store, since) == [("T1", "L1", None), ("T1", "L2", None)]


@pytest.mark.parametrize(
    ("leads", "accounts"), [(["L1"], []), (["L2", "L3"], ["A"]), (["L4"], ["A", "B"]), ([], ["A"])]
)
def test_what_some_leads_did_is_found_without_looking_at_all(store, leads, accounts):
    """The same as by looking at all: also what was given to another lead, or to nobody."""
    nobody: dict[str, Any] = {"person": "", "account_id": "A"}
    put(
        store,
        page(TASKS, task("T1"), task("T1", person="L2"), task("T2"), task("T3", **nobody)),
        page(TASKS, task("T2", 1, person="L3"), task("T4", account_id="A"), task("T5", person="")),
        page(TASKS, task("T1", 2), task("T2", 2, **nobody), task("T6", person="", account_id="B")),
    )
    unread = ("modified_at", "owner_id")
    every = store.table("activities").drop(*unread)
    looked, found = (
        done_by(where, leads, accounts).to_pyarrow().to_pylist()
        for where in (every, store.did(leads, accounts))
    )
    assert looked
    assert sorted(map(str, found)) == sorted(map(str, looked))
    for told in store.people.held([("crm", "L1")])["activities"]:
        assert {*told} == {*every.columns, *unread}, (
            "what serves for looking is nothing said of a person"
        )
    assert len(store.did(["L1"], []).to_pyarrow()) < len(every.to_pyarrow())


def test_an_older_page_of_an_activity_changes_nothing(store):
    """Also not its people."""
    put(store, page(TASKS, task(at=5)), page(TASKS, task(at=4, person="L2")))
    assert rows(store, "activities", "lead_id", "modified_at") == [("L1", hour(5))]


def test_an_id_is_unique_only_within_its_object(store):
    """A call and an e-mail of one id are two activities, and are removed apart."""
    calls, emails = Stream("calls", "activities"), Stream("emails", "activities")
    put(store, page(calls, task("7", object_type="calls")))
    put(store, page(emails, task("7", object_type="emails")))
    assert put(store, page(calls, removed=(Removed("7", hour(1)),))) == [Stored(removed=1)]
    standing = store.table("activities").filter(ibis._.valid_to.isnull())
    assert standing.object_type.to_pyarrow().to_pylist() == ["emails"]
    assert put(store, page(calls, task("7", object_type="calls"))) == [Stored(unchanged=1)]
    assert put(store, page(calls, task("7", at=2, object_type="calls"))) == [Stored(new=1)]


def test_owners_and_outcomes_hold_their_latest_state(store):
    """No versions: an owner gone inactive is inactive, a deal won is won, a deleted one gone."""
    user = {"id": "U1", "object_type": "User", "kind": "person", "active": True}
    deal = {"id": "D1", "object_type": "Opportunity", "lead_id": "L1", "result": "open"}
    put(store, page(USERS, {**user, "modified_at": T0}), page(DEALS, {**deal, "modified_at": T0}))
    later = page(USERS, {**user, "active": False, "modified_at": hour(1)})
    won = page(DEALS, {**deal, "result": "won", "modified_at": hour(1)})
    assert put(store, later, won) == [Stored(changed=1)] * 2
    assert rows(store, "owners", "id", "active") == [("U1", False)]
    assert rows(store, "outcomes", "id", "result") == [("D1", "won")]
    put(store, page(DEALS, removed=(Removed("D1", hour(2)),)))
    assert store.counts("crm")["outcomes"] == 0


# Connections and cursors


def test_connections_do_not_touch_each_other(store):
    """The same ids in two CRMs are other records, and so are their aliases."""
    put(store, page(LEADS, lead(title="CTO"), removed=(Removed("X", T0, "Y"),)))
    other = page(LEADS, lead(at=1, title="CEO"), removed=(Removed("X", hour(1), "Z"),))
    store.store("other", other, at=T0)
    assert rows(store, "leads", "connection", "title") == [("crm", "CTO"), ("other", "CEO")]
    assert store.counts("crm")["leads"] == store.counts("other")["leads"] == 1
    assert rows(store, "aliases", "connection", "survivor") == [("crm", "Y"), ("other", "Z")]


def test_the_cursor_is_the_last_page_s(store):
    """D18: stamp and id, with the end of the window; each stream has its own."""
    assert store.cursor("crm", "Lead") is None
    for cursor in (Cursor(T0, "L1", hour(9)), Cursor(None, "L2", None), Cursor(hour(9))):
        put(store, page(LEADS, cursor=cursor))
        assert store.cursor("crm", "Lead") == cursor
    assert store.cursor("crm", "Contact") is None


# All or nothing


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at(store: FactsStore, step: int) -> Iterator[list[int]]:
    """A store whose connection dies instead of running its statement number `step`."""

    class Dying:
        def __init__(self, con: Any) -> None:
            self.con = con

        def __getattr__(self, name: str) -> Any:
            method = getattr(self.con, name)
            return self._counting(method) if name in ("execute", "sql", "register") else method

        def _counting(self, method: Any) -> Any:
            def call(*given: Any, **named: Any) -> Any:
                if given[0] != "ROLLBACK":
                    seen[0] += 1
                    if seen[0] == step:
                        raise Killed
                return method(*given, **named)

            return call

    seen = [0]
    file = store._file
    con, file._con = file._con, Dying(file._con)  # type: ignore[assignment]
    try:
        yield seen
    finally:
        file._con = con


@pytest.mark.slow
@pytest.mark.parametrize("stream", [LEADS, TASKS, DEALS], ids=lambda stream: stream.table)
def test_a_crash_leaves_page_and_cursor_or_neither(stream):
    """D10, D18: whatever statement a crash hits, the state is the one before or the one after,
    and storing the page again gets there."""
    make = {"leads": lead, "activities": task, "outcomes": deal}[stream.table]
    first = page(stream, make("A"), make("B"), make("C"), cursor=Cursor(T0, "C"))
    second = page(
        stream,
        make("A", 1, account_id="A1"),
        make("B", 1),
        make("D", 1),
        removed=(Removed("C", hour(1), "D"),),
        cursor=Cursor(hour(1), "D"),
    )

    def state(store: FactsStore) -> Any:
        names = BY_NAME[stream.table].schema.names
        aliases = rows(store, "aliases", "id", "survivor")
        return rows(store, stream.table, *names), aliases, store.cursor("crm", stream.name)

    with FactsStore(":memory:") as unbroken:
        put(unbroken, first)
        before = state(unbroken)
        put(unbroken, second)
        after = state(unbroken)
    steps = 0
    for step in range(1, 100):
        with FactsStore(":memory:") as store:
            put(store, first)
            with killed_at(store, step) as seen:
                try:
                    put(store, second)
                except Killed:
                    steps += 1
            assert state(store) == (before if seen[0] == step else after), step
            put(store, second)
            assert state(store) == after, step
            if seen[0] < step:
                break
    assert steps > 15


def test_a_page_that_does_not_fit_is_not_stored_in_part(store):
    """A null where the schema forbids one: the error comes up, rows and cursor are as before."""
    broken = page(LEADS, lead(), lead("L2"))
    index = broken.rows.schema.get_field_index("modified_at")
    column = pa.array([T0, None], pa.timestamp("us", "UTC"))
    rows_ = broken.rows.set_column(index, pa.field("modified_at", column.type), column)
    with pytest.raises(duckdb.ConstraintException):
        put(store, Page(LEADS, rows_, Cursor(T0)))
    assert store.counts("crm")["leads"] == 0
    assert store.cursor("crm", "Lead") is None
    assert put(store, page(LEADS, lead())) == [Stored(new=1)]


EVENTS = st.tuples(
    st.sampled_from(["A", "B", "C"]), st.integers(0, 6), st.sampled_from(["row", "row", "gone"])
)


def _pages(events: list[tuple[str, int, str]]) -> list[Page]:
    """One page for each event; what a record looks like is a function of its stamp."""
    return [
        page(LEADS, removed=(Removed(record, hour(at), "S" if at % 2 else None),))
        if what == "gone"
        else page(LEADS, lead(record, at, title=f"t{at // 2}", present={"score": str(at // 3)}))
        for record, at, what in events
    ]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(events=st.lists(EVENTS, min_size=1, max_size=8, unique_by=lambda e: e[:2]), data=st.data())
def test_the_order_and_repetition_of_pages_is_of_no_consequence(events, data):
    """Late pages, pages read twice, removals before rows: the same leads stand in the end, and
    at no instant do two versions of one lead hold."""
    pages = _pages(events)
    again = data.draw(st.lists(st.sampled_from(pages), max_size=4))
    shuffled = data.draw(st.permutations(pages + again))
    assert _standing(shuffled) == _standing(sorted(pages, key=_stamp))


def _standing(pages: list[Page]) -> list[str]:
    """The leads that stand after some pages."""
    with FactsStore(":memory:") as store:
        put(store, *pages)
        spans = versions(store)
        for one, other in combinations(spans, 2):
            ends = [inf if span[2] is None else span[2] for span in (one, other)]
            assert one[0] != other[0] or ends[0] <= other[1] or ends[1] <= one[1], (one, other)
        leads = store.table("leads")
        held = leads.filter(leads.valid_to.isnull()).drop("valid_from", "valid_to")
        return sorted(map(str, held.to_pyarrow().to_pylist()))


def _stamp(page: Page) -> datetime:
    stamps = page.rows.column("modified_at").to_pylist()
    return stamps[0] if stamps else page.removed[0].at


# Settling our own writes


def written(*rows: tuple[str, dict[str, str | None], datetime | None]) -> pa.Table:
    """Acknowledged writes: record, outputs, new stamp."""
    columns = [{"id": i, "present": list(p.items()), "modified_at": m} for i, p, m in rows]
    return pa.Table.from_pylist(columns, schema=WRITTEN)


def test_our_own_write_opens_no_version_and_its_echo_neither(store):
    """D79: after a settled write, the record as it comes back is the record as it is stored."""
    put(store, page(LEADS, lead(title="CTO", present={"tier": "B"}), lead("L2")))
    values = {"score": "98.5", "tier": "A", "stage": None}
    store.settle("crm", written(("L1", values, hour(3)), ("gone", values, None)))
    assert [r for r in rows(store, "leads", "id", "modified_at") if r[0] == "L1"] == [
        ("L1", hour(3))
    ]
    echo = lead(at=4, title="CTO", present={"tier": "A", "score": "98.5"})
    assert put(store, page(LEADS, echo)) == [Stored(unchanged=1)]
    assert versions(store) == [("L1", 0, None), ("L2", 0, None)]
    (present,) = [dict(r[1]) for r in rows(store, "leads", "id", "present") if r[0] == "L1"]
    assert present == {"score": "98.5", "tier": "A"}


def test_what_was_written_to_a_merged_record_is_its_survivor_s(store):
    """The CRM answered with another record: that holds the value now, under its new stamp."""
    put(store, page(LEADS, lead("L1"), lead("L2")))
    change = Change("Lead", "L1", {Output.TIER: "A"})
    result = WriteResult(change, Status.WRITTEN, modified_at=hour(3), survivor="L2")
    store.settle("crm", written_table([result]))
    echo = lead("L2", at=3, present={"tier": "A"})
    assert put(store, page(LEADS, echo)) == [Stored(unchanged=1)]
    assert dict(rows(store, "leads", "id", "modified_at")) == {"L1": hour(0), "L2": hour(3)}


def test_our_own_write_is_of_the_present_alone(store):
    """What the CRM showed before, a replay finds as it was."""
    put(store, page(LEADS, lead(present={"tier": "C"})))
    put(store, page(LEADS, lead(at=1, title="CTO", present={"tier": "C"})))
    store.settle("crm", written(("L1", {"tier": "A"}, hour(3))))
    assert [(row[0], dict(row[1])) for row in rows(store, "leads", "modified_at", "present")] == [
        (hour(0), {"tier": "C"}), (hour(3), {"tier": "A"})
    ]  # fmt: skip


def test_a_written_field_that_was_cleared_is_empty(store):
    """And a stamp that the CRM did not say, or an older one, moves nothing."""
    put(store, page(LEADS, lead(at=5, present={"score": "1", "owner": "U1"})))
    store.settle("crm", written(("L1", {"owner": None}, None)))
    store.settle("crm", written(("L1", {"tier": "A"}, hour(1))))
    ((present, modified),) = rows(store, "leads", "present", "modified_at")
    assert (dict(present), modified) == ({"score": "1", "tier": "A"}, hour(5))
    store.settle("other", written(("L1", {"tier": "B"}, None)))
    assert dict(rows(store, "leads", "present")[0][0])["tier"] == "A"


# The file


def test_the_file_is_kept_and_is_its_owner_s_alone(tmp_path):
    """Facts, cursors and tombstones are there after reopening; the log is private as well."""
    path = tmp_path / "facts.duckdb"
    with FactsStore(path) as store:
        put(store, page(LEADS, lead(), removed=(Removed("L2", hour(5)),)))
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
        private = {"facts.duckdb": 0o600, "facts.duckdb.wal": 0o600, "facts.duckdb.tmp": 0o700}
        assert modes == private
    with FactsStore(path) as store:
        assert store.cursor("crm", "Lead") == Cursor(T0)
        assert put(store, page(LEADS, lead("L2", 4))) == [Stored(unchanged=1)]
        assert versions(store) == [("L1", 0, None)]


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    """What did not fit into memory is of no use to anyone else, and is not kept."""
    path = tmp_path / "facts.duckdb"
    room = tmp_path / "facts.duckdb.tmp"
    room.mkdir()
    (room / "left.tmp").write_text("what a process had on disk when it was killed")
    with FactsStore(path) as store:
        assert store.folder == room
        assert list(room.iterdir()) == []
    assert not room.exists()


def test_too_little_memory_says_what_to_do(tmp_path):
    """What cannot go to disk either ends in the setting that gives it room, not in a traceback."""
    listing = "SELECT list(i) FROM range(50000000) numbers(i)"
    with (
        pytest.raises(StoreError, match=r"^32 MB are too little.* facts_memory .* such as 64$"),
        FactsStore(tmp_path / "facts.duckdb", memory=32) as store,
    ):
        store.table("leads").get_backend().raw_sql(listing).fetchall()


def test_a_base_larger_than_memory_goes_to_disk(tmp_path):
    """Sorting more than what may be in memory takes room beside the file, and no more memory."""
    numbers = "SELECT i FROM (SELECT hash(i) AS h, i FROM range(3000000) t(i)) ORDER BY h"
    with FactsStore(tmp_path / "facts.duckdb", memory=32) as store:
        rows = store.table("leads").get_backend().raw_sql(numbers)
        assert rows.fetchone() is not None
        assert list((tmp_path / "facts.duckdb.tmp").iterdir())


def test_a_second_process_is_told_that_the_store_is_in_use(tmp_path):
    """DuckDB admits one process; the other one learns who is at fault."""
    path = tmp_path / "facts.duckdb"
    code = (
        "import sys, pathlib; from sync.facts_store import FactsStore\n"
        "store = FactsStore(pathlib.Path(sys.argv[1])); print('open', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreBusy, match="another leadgauge process has the facts open"):
            FactsStore(path)
        other.stdin.write("\n")
        other.stdin.close()
    FactsStore(path).close()


def test_a_file_that_holds_no_facts_is_refused(tmp_path):
    """It is left alone, and the error says what may be done."""
    path = tmp_path / "facts.duckdb"
    path.write_text("something else" * 1000)
    with pytest.raises(StoreError, match="cannot be opened as a facts file"):
        FactsStore(path)
    assert path.read_text().startswith("something else")
    with pytest.raises(StoreError, match="folder exists"):
        FactsStore(tmp_path / "no" / "facts.duckdb")


def test_rows_are_of_the_common_model():
    """What the builders above make is what connectors yield."""
    for table in TABLES:
        assert issubclass(table.model, Row)
        assert arrow_schema(table.model).names == list(table.model.model_fields)


def test_facts_of_another_version_are_refused(tmp_path: Path) -> None:
    """A file whose tables lack a field of the common model is named, and what to do with it."""
    path = tmp_path / "facts.duckdb"
    FactsStore(path).close()
    with duckdb.connect(str(path)) as file:
        file.execute("ALTER TABLE leads DROP COLUMN origins")
    with pytest.raises(StoreError, match=r"another version of leadgauge\. Delete"):
        FactsStore(path)
    path.unlink()
    FactsStore(path).close()


def test_sources_are_part_of_a_version(store: FactsStore) -> None:
    """S190: where a value comes from is kept as of every date, also where the value is the same."""
    put(store, page(LEADS, lead(employees=5, origins={"employees": "appended"})))
    put(store, page(LEADS, lead(at=2, employees=5, origins={"employees": "given"})))
    for n, origin in ((1, "appended"), (3, "given")):
        (row,) = as_of(store.table("leads"), hour(n)).to_pyarrow().to_pylist()
        assert dict(row["origins"]) == {"employees": origin}
