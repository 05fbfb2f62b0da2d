"""A CRM's clock that goes back: what was stored by it is no later than what comes next."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from connectors.base import Cursor, Removed, Stream
from sync.facts_store import FactsStore, Stored
from tests.sync.test_facts_store import LEADS, TASKS, aliases, hour, lead, page, put, task, versions

FIRMS = Stream("Account", "accounts")
AHEAD = Cursor(hour(2))


@pytest.fixture
def store() -> Iterator[FactsStore]:
    """What a CRM said whose clock is two hours ahead of ours."""
    with FactsStore(":memory:") as opened:
        opened.clocks.look("crm", hour(2), hour(0))
        gone = (Removed("L2", hour(2), "L3"),)
        first = page(LEADS, lead(at=2), lead("L3", -1), removed=gone, cursor=AHEAD)
        put(opened, first, page(TASKS, task(at=2), cursor=Cursor(hour(1), "T1", hour(2))), at=2)
        put(opened, page(FIRMS, cursor=Cursor(hour(-1), "F1", hour(2))), at=2)
        yield opened


def set_right(store: FactsStore) -> None:
    """Six minutes later it shows what ours does."""
    store.clocks.look("crm", hour(0.1), hour(0.1))


def test_what_comes_next_is_later_than_all_that_is_stored(store: FactsStore) -> None:
    """A change is taken, a record that was gone lives again, and stands for itself."""
    assert aliases(store) == [("L2", "L3")]
    set_right(store)
    changed = page(LEADS, lead(at=0.05, title="CTO"), lead("L2", 0.05))
    assert put(store, changed, at=0.1) == [Stored(new=1, changed=1)]
    assert put(store, page(TASKS, task(at=0.05, outcome="reached")), at=0.1) == [Stored(changed=1)]
    assert versions(store, "title") == [
        ("L1", 0, 0.05, None), ("L1", 0.05, None, "CTO"), ("L2", 0.05, None, None),
        ("L3", -1, None, None),
    ]  # fmt: skip
    assert aliases(store) == []
    assert aliases(store, 0.01) == [("L2", "L3")]


def test_what_was_read_ahead_is_read_again(store: FactsStore) -> None:
    """Nothing that is stamped from now on lies before a cursor, nor beyond the end of a window."""
    set_right(store)
    assert store.cursor("crm", "Lead") == Cursor(hour(0))
    assert store.cursor("crm", "Task") == Cursor(hour(0), "", hour(0))
    assert store.cursor("crm", "Account") == Cursor(hour(-1), "F1", hour(0))


def test_a_clock_that_is_off_and_goes_on_moves_nothing(store: FactsStore) -> None:
    """It is told in whole seconds, by an answer of some seconds ago; and others are of others."""
    store.clocks.look("crm", hour(2.5) - timedelta(seconds=10), hour(0.5))
    store.clocks.look("other", hour(0.1), hour(0.1))
    store.clocks.look("other", hour(0), hour(0.2))
    assert store.cursor("crm", "Lead") == AHEAD
    assert versions(store)[0] == ("L1", 2, None)
