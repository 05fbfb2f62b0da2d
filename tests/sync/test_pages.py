"""Pages on their way into the facts: joined where nothing is lost by it, and read ahead."""

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Cursor, Page, Removed, RowProblem, Stream
from connectors.errors import Interrupted, TemporaryError
from core.facts import LEADS, arrow_schema
from sync import pages as sync_pages
from sync.facts_store import FactsStore
from sync.pages import joined, read_ahead

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
STREAM = Stream("Lead", LEADS.name)


def hour(n: int) -> datetime:
    """An instant some hours after the beginning."""
    return T0 + timedelta(hours=n)


def page(n: int, *rows: tuple[str, int], removed: tuple[Removed, ...] = ()) -> Page:
    """Page number `n`: leads (id, hour of the stamp), and a cursor that says the number."""
    columns = [
        {"id": i, "object_type": "Lead", "modified_at": hour(at), "title": f"t{at}"}
        for i, at in rows
    ]
    table = pa.Table.from_pylist(columns, schema=arrow_schema(LEADS.model))
    return Page(STREAM, table, Cursor(hour(n)), removed, (RowProblem(f"p{n}", "x", "is odd"),))


def ticking(seconds: float) -> Iterator[float]:
    """A clock that goes on by so much whenever it is read."""
    now = 0.0
    while True:
        yield now
        now += seconds


def ids(pages: list[Page]) -> list[list[str]]:
    """The record ids of each page."""
    return [page.rows["id"].to_pylist() for page in pages]


def join(*pages: Page, seconds: float = 0.0) -> list[Page]:
    """Joined pages, where each look at the clock takes some seconds."""
    clock = ticking(seconds)
    return list(joined(iter(pages), lambda: next(clock)))


def test_pages_that_come_fast_become_one():
    """Rows, removals and problems of all, in their order; the cursor is the last one's."""
    gone = Removed("X", hour(1))
    (one,) = join(page(1, ("A", 0), removed=(gone,)), page(2, ("B", 0)), page(3))
    assert ids([one]) == [["A", "B"]]
    assert (one.stream, one.cursor, one.removed) == (STREAM, Cursor(hour(3)), (gone,))
    assert [problem.record_id for problem in one.rejected] == ["p1", "p2", "p3"]


def test_pages_that_come_slowly_are_not_held_back():
    """Each is passed on as it comes, so that it is stored before the next one is there."""
    read = []

    def slow() -> Iterator[Page]:
        for n in (1, 2, 3):
            read.append(n)
            yield page(n, (f"L{n}", 0))

    clock = ticking(sync_pages.LINGER)
    for n, one in enumerate(joined(slow(), lambda: next(clock)), 1):
        assert (one.cursor, read[-1]) == (Cursor(hour(n)), n)
    assert read == [1, 2, 3]


def test_a_joined_page_is_bounded(monkeypatch):
    """It is passed on as soon as it has enough rows."""
    monkeypatch.setattr(sync_pages, "JOINED_ROWS", 2)
    found = join(*(page(n, (f"L{n}", 0)) for n in range(5)))
    assert ids(found) == [["L0", "L1"], ["L2", "L3"], ["L4"]]


@pytest.mark.parametrize(
    "second",
    [
        page(2, ("A", 1)),
        page(2, removed=(Removed("A", hour(1)),)),
        page(2, removed=(Removed("Z", hour(1), survivor="A"),)),
    ],
    ids=["row", "removed", "survivor"],
)
def test_pages_that_name_the_same_record_stay_apart(second):
    """No page ever holds two rows of one record, whatever was joined."""
    assert [one.cursor for one in join(page(1, ("A", 0), ("B", 0)), second)] == [
        Cursor(hour(1)),
        Cursor(hour(2)),
    ]


EVENT = st.tuples(
    st.sampled_from("ABCDE"), st.integers(0, 4), st.sampled_from(["row", "gone", "merged"])
)


def _page_of(n: int, events: list[tuple[str, int, str]]) -> Page:
    rows = [(i, at) for i, at, what in events if what == "row"]
    removed = tuple(
        Removed(i, hour(at), "S" if what == "merged" else None)
        for i, at, what in events
        if what != "row"
    )
    return page(n, *rows, removed=removed)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(EVENT, max_size=3, unique_by=lambda e: e[0]), min_size=1, max_size=6))
def test_joining_changes_nothing_of_what_is_stored(contents):
    """D18: the same rows, versions, aliases and cursor as if every page were stored by itself."""
    pages = [_page_of(n, events) for n, events in enumerate(contents)]
    assert _stored(join(*pages)) == _stored(pages)


def _stored(pages: list[Page]) -> list[object]:
    with FactsStore(":memory:") as store:
        for one in pages:
            store.store("crm", one, at=hour(9))
        tables = (store.table(name).to_pyarrow().to_pylist() for name in ("leads", "aliases"))
        return [*(sorted(map(str, rows)) for rows in tables), store.cursor("crm", "Lead")]


def _failing(error: Exception) -> Iterator[Page]:
    yield page(1, ("A", 0))
    yield page(2, ("B", 0))
    raise error


@pytest.mark.parametrize("error", [TemporaryError("gone"), Interrupted("stopped")])
def test_what_was_read_before_an_error_comes_before_it(error):
    """D10: the error comes up, but only after the pages that it followed."""
    pages = read_ahead(joined(_failing(error), lambda: 0.0))
    assert ids([next(pages)]) == [["A", "B"]]
    with pytest.raises(type(error)):
        next(pages)


def test_the_next_page_is_read_while_one_is_worked_on():
    """By another thread, one page ahead, in order."""
    started, readers = [threading.Event() for _ in range(3)], set()

    def pages() -> Iterator[Page]:
        for n, event in enumerate(started):
            readers.add(threading.get_ident())
            event.set()
            yield page(n, (f"L{n}", 0))

    for n, one in enumerate(read_ahead(pages())):
        assert ids([one]) == [[f"L{n}"]]
        assert n == 2 or started[n + 1].wait(10)
    assert n == 2
    assert threading.get_ident() not in readers


def test_whoever_stops_early_leaves_no_reader_behind():
    """After closing, nothing reads from the connector any more."""
    read = []

    def endless() -> Iterator[Page]:
        while True:
            read.append(threading.current_thread())
            yield page(len(read), (f"L{len(read)}", 0))

    with closing(read_ahead(endless())) as pages:
        next(pages)
    assert 1 <= len(read) <= 2
    assert not any(thread.is_alive() for thread in read)
