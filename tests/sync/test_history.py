"""A CRM's field history as versions: what was before the first pull, and when things changed."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Cursor, Page, Stream
from connectors.sandbox.crm import Crm, Kind
from connectors.sandbox.memory import MemoryConnector
from sync.facts_store import FactsStore
from sync.touched import Mark
from tests.world import Clock

TRACKED = {"title": "title", "seniority": "title", "country": "country", "region": "country"}
"""Common fields with a history, derived ones among them, and the CRM's field."""

UNTRACKED = ("status", "phone")
BORN = ({"title": "CEO", "status": "new"}, {"country": "US"})
STREAM = Stream("lead", "leads", complete=True)

Changes = dict[str, str | None]
Step = tuple[int, Changes, int, bool]

TEXTS = {
    "title": ("CEO", "Engineer", "Sales Manager", None),
    "country": ("US", "DE", None),
    "status": ("new", "open", None),
    "phone": ("1", "2"),
}
CHANGES: st.SearchStrategy[Changes] = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(texts) for name, texts in TEXTS.items()}
)
STEP = st.tuples(st.integers(0, 1), CHANGES, st.integers(1, 2), st.booleans())
"""Which of two leads changes and how, after how many minutes, and whether it is then pulled."""


class Followed:
    """A CRM of leads, and a facts store that pulls it with its history."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.crm = Crm(self.clock)
        self.connector = MemoryConnector("crm", self.crm, history=set(TRACKED.values()))
        self.store = FactsStore(":memory:")
        self.pages: list[Page] = []

    def show(self) -> Page:
        """What the CRM shows now."""
        (page,) = self.connector.pull(STREAM, None, self.clock())
        return page

    def pull(self) -> list[dict[str, Any]]:
        """Store what the CRM shows now; its rows."""
        self.pages.append(self.show())
        self.store.store("crm", self.pages[-1], at=self.clock())
        rows: list[dict[str, Any]] = self.pages[-1].rows.to_pylist()
        return rows

    def versions(self) -> list[dict[str, Any]]:
        """All versions, in order."""
        rows = self.store.table("leads").to_pyarrow().to_pylist()
        return sorted(rows, key=lambda row: (row["id"], row["valid_from"]))


def at(moment: datetime, versions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The versions in force at an instant."""
    return [
        row
        for row in versions
        if row["valid_from"] <= moment and (row["valid_to"] is None or moment < row["valid_to"])
    ]


def picked(rows: Iterable[dict[str, Any]], names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Some columns of leads, by id; later rows count."""
    chosen = list(names)
    return {row["id"]: {name: row[name] for name in chosen} for row in rows}


@pytest.mark.slow
@settings(deadline=None, max_examples=10)
@given(st.lists(STEP, max_size=7))
def test_a_history_gives_what_pulling_all_along_would_have(steps: list[Step]) -> None:
    """A tracked field held at each instant what somebody who pulled all along saw, whenever we
    did; any other is as we saw it, and unknown before."""
    world = Followed()
    leads = [world.crm.add(Kind.LEAD, {"last_name": "Muster", **given}) for given in BORN]
    shown, seen = {}, []
    for number, changes, minutes, pulled in steps:
        shown[world.clock()] = world.show().rows.to_pylist()
        world.clock.tick(minutes=minutes)
        world.crm.update(leads[number], changes)
        if pulled:
            seen += world.pull()
    shown[world.clock()] = world.show().rows.to_pylist()
    seen += world.pull()
    before = world.versions()
    for moment, rows in shown.items():
        then = at(moment, before)
        assert len(then) == len(rows), "one version of each at any time"
        assert picked(then, TRACKED) == picked(rows, TRACKED)
        unknown = [{"id": row["id"], **dict.fromkeys(UNTRACKED)} for row in rows]
        known = [row for row in seen if row["modified_at"] <= moment]
        assert picked(then, UNTRACKED) == picked([*unknown, *known], UNTRACKED)
    for page in reversed(world.pages):
        world.store.store("crm", page, at=world.clock())
    assert world.versions() == before, "late and twice changes nothing"


def test_a_history_that_is_read_later_comes_before_what_was_seen() -> None:
    """Switched on over facts that are there, it adds what was before, once, and the record is
    to be decided anew."""
    world = Followed()
    lead = world.crm.add(Kind.LEAD, {"last_name": "Muster", "title": "CEO", "status": "new"})
    born = world.clock()
    world.crm.update(lead, {"title": "Engineer", "phone": "1"}, at=world.clock.tick())
    page = world.show()
    world.store.store("crm", replace(page, earlier=None), at=world.clock.tick())
    (seen,) = world.versions()
    world.store.touched.advance("crm", Mark(world.clock(), "", "r"), ())
    for _ in range(2):
        world.store.store("crm", page, at=world.clock())
        before, since = world.versions()
        assert since == seen
        assert (before["valid_from"], before["valid_to"]) == (born, seen["valid_from"])
        assert (before["title"], before["phone"], before["status"]) == ("CEO", None, None)
    assert world.store.table("touched").count().to_pyarrow().as_py() == 1


def test_what_was_gone_for_a_time_stays_gone_for_it() -> None:
    """What changed while a record lay in the bin begins when it is back."""
    world = Followed()
    lead = world.crm.add(Kind.LEAD, {"last_name": "Muster", "title": "CEO"})
    world.pull()
    world.clock.tick()
    world.crm.delete(lead)
    removed = world.clock()
    world.pull()
    world.crm.update(lead, {"title": "Engineer"}, at=world.clock.tick())
    world.clock.tick()
    world.crm.restore(lead)
    world.pull()
    first, second = world.versions()
    assert (first["title"], first["valid_to"]) == ("CEO", removed)
    assert (second["title"], second["valid_from"]) == ("Engineer", world.clock())


@pytest.mark.parametrize("told", [True, False])
def test_a_converted_lead_was_a_lead_until_then(told: bool) -> None:
    """Seen only after it was converted, it has the versions from before, and none since; also
    where the history is read later."""
    world = Followed()
    lead = world.crm.add(Kind.LEAD, {"last_name": "Muster", "title": "CEO"})
    world.crm.update(lead, {"title": "Engineer"}, at=world.clock.tick())
    converted = world.clock.tick()
    world.crm.convert(lead)
    if not told:
        world.store.store("crm", replace(world.show(), earlier=None), at=world.clock())
    for _ in range(2):
        world.pull()
        held = [row for row in world.versions() if row["valid_to"] != row["valid_from"]]
        assert [row["title"] for row in held] == ["CEO", "Engineer"]
        assert held[-1]["valid_to"] == converted


def test_who_is_erased_is_gone_from_the_history() -> None:
    """Nothing stays of a record, not even since when it was seen."""
    world = Followed()
    lead = world.crm.add(Kind.LEAD, {"last_name": "Muster", "title": "CEO"})
    world.crm.update(lead, {"phone": "1"}, at=world.clock.tick())
    world.pull()
    assert world.store.table("seen").count().to_pyarrow().as_py() == 1
    world.store.people.erase([("crm", str(lead.number))], world.clock())
    assert world.versions() == []
    assert world.store.table("seen").count().to_pyarrow().as_py() == 0


def test_a_page_comes_with_its_history_or_not_at_all() -> None:
    """A store that breaks off at the cursor, the last thing that it writes, holds nothing new."""
    world = Followed()
    lead = world.crm.add(Kind.LEAD, {"last_name": "Muster", "title": "CEO"})
    world.pull()
    before = world.versions()
    world.crm.update(lead, {"title": "Engineer"}, at=world.clock.tick())
    page = world.show()
    broken = replace(page, cursor=Cursor(id=None))  # type: ignore[arg-type]
    with pytest.raises(duckdb.ConstraintException):
        world.store.store("crm", broken, at=world.clock())
    assert world.versions() == before
    world.store.store("crm", page, at=world.clock())
    assert [row["title"] for row in world.versions()] == ["CEO", "Engineer"]
