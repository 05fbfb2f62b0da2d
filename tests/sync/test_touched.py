"""What a change of the facts notes: whose leads it touched, and nothing for what is as it was."""

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest

from connectors.base import Cursor, Page, Removed, Stream
from sync.facts_store import WRITTEN, FactsStore
from sync.touched import Mark
from tests.sync.test_facts_store import LEADS, T0, TASKS, USERS, hour, lead, page, put, task

FIRMS = Stream("Account", "accounts")
MARK = Mark(T0, "signed", "run")


def firm(at: float = 0, **values: str) -> dict[str, object]:
    """An account."""
    return {"id": "F", "object_type": "Account", "modified_at": hour(at), **values}


BASE = (
    page(LEADS, *(lead(id_) for id_ in ("A", "B", "C", "D"))),
    page(FIRMS, firm()),
    page(TASKS, task("T1", person="A"), task("T1", person="B"), task("T2", person="A")),
    page(LEADS, removed=(Removed("D", hour(1), "C"),)),
)


@pytest.fixture
def store() -> Iterator[FactsStore]:
    """A store with a little of everything, and a mark."""
    with FactsStore(":memory:") as opened:
        put(opened, *BASE)
        assert touched(opened) == set()
        opened.touched.advance("crm", MARK, ())
        yield opened


def touched(store: FactsStore, connection: str = "crm") -> set[str]:
    """The records that are noted; an account by its table."""
    rows = store.table("touched").to_pyarrow().to_pylist()
    return {
        r["id"] if r["table_name"] == "leads" else f"{r['table_name']} {r['id']}"
        for r in rows
        if r["connection"] == connection
    }


USER = {"id": "U", "object_type": "User", "kind": "person", "active": True, "modified_at": T0}
CHANGES: dict[str, tuple[Page, set[str]]] = {
    "a new lead": (page(LEADS, lead("E", 5)), {"E"}),
    "a changed lead": (page(LEADS, lead("A", 5, title="CTO")), {"A"}),
    "a change under the same stamp": (page(LEADS, lead("A", title="CTO")), {"A"}),
    "a stamp alone": (page(LEADS, lead("A", 5)), set()),
    "an account": (page(FIRMS, firm(5, industry="energy")), {"accounts F"}),
    "a late event": (page(TASKS, task("T3", 5, "B")), {"B"}),
    "a late association": (page(TASKS, task("T2", person="A"), task("T2", person="C")), {"C"}),
    "an event of another": (page(TASKS, task("T2", 5, "B")), {"A", "B"}),
    "an event taken off one": (page(TASKS, task("T1", 5, "B")), {"A"}),
    "an event that is gone": (page(TASKS, removed=(Removed("T1", hour(5)),)), {"A", "B"}),
    "a merge": (page(LEADS, removed=(Removed("A", hour(5), "B"),)), {"A", "B"}),
    "a merge onward": (page(LEADS, removed=(Removed("C", hour(5), "B"),)), {"B", "C", "D"}),
    "a lead that is back": (page(LEADS, lead("D", 5)), {"C", "D"}),
    "an owner": (page(USERS, USER), set()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_whom_a_change_touches(store, name):
    """U12, D12: all whose score may change are noted, and the same page once more notes none."""
    change, expected = CHANGES[name]
    put(store, change)
    assert touched(store) == expected
    store.touched.advance("crm", MARK, ())
    put(store, change)
    assert touched(store) == set()


def test_nothing_new_touches_nobody(store):
    """Pages that are read again, and what we wrote ourselves, leave no one to rescore."""
    put(store, *BASE)
    values = {"id": "A", "present": [("score", "5")], "modified_at": hour(6)}
    store.settle("crm", pa.Table.from_pylist([values], WRITTEN))
    assert touched(store) == set()


def test_a_mark_is_of_one_connection_and_keeps_who_waits(store):
    """What one connection has done is forgotten, who waits is not, nor what another has to do."""
    store.store("other", page(LEADS, lead("X")), at=T0)
    store.touched.advance("other", MARK, ())
    put(store, page(LEADS, lead("A", 5, title="CTO"), lead("B", 5, title="CTO")))
    store.store("other", page(LEADS, lead("X", 5, title="CTO")), at=T0)
    store.touched.advance("crm", Mark(hour(9), "other", "later"), ["B"])
    assert store.touched.mark("crm") == Mark(hour(9), "other", "later")
    assert touched(store) == {"B"}
    assert (touched(store, "other"), store.touched.mark("other")) == ({"X"}, MARK)


def test_a_page_that_fails_touches_nobody(store):
    """Facts and notes are one transaction: neither is there without the other."""
    change = page(LEADS, lead("A", 5, title="CTO"))
    late = Page(change.stream, change.rows, Cursor(id=None))  # type: ignore[arg-type]
    with pytest.raises(duckdb.ConstraintException):
        put(store, late)
    assert touched(store) == set()
