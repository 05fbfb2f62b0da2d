"""Readings that break off: a job goes on, a heavy window is halved, a call that hangs ends."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.base import Cursor, EntryKind, Page, Stream
from connectors.errors import TemporaryError
from connectors.salesforce import pull, wire
from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault, Request, Response
from connectors.sandbox.salesforce import errors
from connectors.sandbox.salesforce.customs import add_formula
from connectors.settings import FieldMapping
from tests.salesforce import SalesforceWorld, salesforce_world
from tests.world import START

LEADS = Stream("Lead", "leads", complete=True)
REST = r"/v[\d.]+/query(All)?/?$"
JOB = r"/jobs/query$"
QUERY = f"{REST}|{JOB}"
RESULTS = r"/results$"
HEAVY = errors.query_timeout().response()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[SalesforceWorld]:
    """Seven leads in an org whose REST queries run too long, so that jobs of two rows a page
    bring them."""
    monkeypatch.setattr(pull, "BULK_PAGE", 2)
    with salesforce_world() as world:
        world.leads(7)
        world.clock.tick()
        world.server.faults.append(Fault(REST, times=None, response=HEAVY))
        yield world


def _leads(world: SalesforceWorld, cursor: Cursor | None = None) -> Iterator[Page]:
    return world.connector.pull(LEADS, cursor, world.clock())


def _ids(pages: list[Page]) -> list[str]:
    return [key for page in pages for key in page.rows["id"].to_pylist()]


def _jobs(world: SalesforceWorld) -> int:
    """How many jobs were made."""
    return sum(
        method == "POST" and bool(re.search(JOB, path)) for method, path in world.server.requests
    )


def test_a_job_goes_on_after_a_crash(world: SalesforceWorld) -> None:
    """D26, D30: from the cursor of any page, the page of its making included, the job is found
    again by its id and read on; none is made anew, no row comes twice, none is missing."""
    pages = list(_leads(world))
    until = world.clock()
    world.clock.tick()
    assert len(set(_ids(pages))) == len(_ids(pages)) == 7
    assert [page.rows.num_rows for page in pages] == [0, 2, 2, 2, 1, 0]
    for place in range(len(pages) - 1):
        stored = _ids(pages[: place + 1])
        rest = list(_leads(world, pages[place].cursor))
        assert sorted(stored + _ids(rest)) == sorted(_ids(pages))
        assert rest[-1].cursor == Cursor(until)
    assert _jobs(world) == 1


def test_a_job_that_is_gone_is_made_anew(world: SalesforceWorld) -> None:
    """D26: results are kept for a week; after that the window is read from its beginning."""
    _, second, *_ = _leads(world)
    world.face.bulk._jobs.clear()
    rest = list(_leads(world, second.cursor))
    assert len(set(_ids(rest))) == 7
    assert _jobs(world) == 2
    assert rest[-1].cursor == Cursor(world.clock())


def test_a_job_that_was_asked_for_less_is_made_anew(world: SalesforceWorld) -> None:
    """D26: a field that was mapped meanwhile is not in its results: the window is read anew."""
    _, second, *_ = _leads(world)
    more = world.open(mapping=FieldMapping(leads={"custom.owner": "Owner.Name"}))
    rest = list(more.pull(LEADS, second.cursor, world.clock()))
    assert len(set(_ids(rest))) == len(_ids(rest)) == 7
    assert _jobs(world) == 2


def test_trouble_with_a_page_of_results_makes_no_new_job(world: SalesforceWorld) -> None:
    """D30: an overloaded answer, half an answer, a lost one: the page is fetched again."""
    for skip, trouble in ((1, "truncate"), (2, "before"), (3, "after")):
        world.server.faults.append(Fault(RESULTS, skip=skip, drop=trouble))
    world.server.faults.append(Fault(RESULTS, response=Response(503, b"<html>")))
    assert len(_ids(list(_leads(world)))) == 7
    assert all(fault.hit for fault in world.server.faults)
    assert _jobs(world) == 1


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_session_that_somebody_ends_in_mid_job(world: SalesforceWorld, at: int) -> None:
    """D28: another program logs the user out; the job is read on within a new session."""
    found = []
    for number, page in enumerate(_leads(world), start=1):
        found += _ids([page])
        if number == at:
            world.face.sessions.expire()
    assert len(set(found)) == len(found) == 7
    assert (_jobs(world), world.connector.usage.calls["login"]) == (1, 2)


def test_a_call_that_hangs_ends(world: SalesforceWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """D17: nobody waits for ever: the call ends, is made again, and at last is given up."""
    monkeypatch.setattr(wire, "READ_SECONDS", 0.2)
    world.server.faults[:] = [Fault(REST, delay=1.0)]
    assert len(_ids(list(_leads(world)))) == 7
    assert world.server.faults[0].hit == 1
    world.server.faults[:] = [Fault(REST, delay=1.0, times=None)]
    with pytest.raises(TemporaryError, match="no complete answer: ReadTimeout"):
        list(_leads(world))


def test_a_job_tells_which_tasks_are_ours(world: SalesforceWorld) -> None:
    """They have no row, and are there."""
    lead = world.lead()
    world.connector.add_entry(world.entry(lead, EntryKind.TASK, "k1"))
    world.clock.tick()
    (ours,) = world.crm.records(Kind.ACTIVITY)
    pages = list(world.connector.pull(Stream("Task", "activities"), None, world.clock()))
    assert _jobs(world) == 1
    assert ([key for page in pages for key in page.ours], _ids(pages)) == ([world.id(ours)], [])


# Windows


def too_heavy(
    world: SalesforceWorld, rows: int, windows: list[tuple[datetime, datetime]] | None = None
) -> Callable[[Request], Response]:
    """An org that gives up every query, or job, over a window of more than `rows` leads, unless it
    asks for no more than that. The beginning and end of what it answers go to `windows`."""

    def answer(request: Request) -> Response:
        given = request.query.get("q") or [json.loads(request.body or b"{}").get("query", "")]
        if " FROM Lead" not in given[0]:
            return world.face(request)
        bounds = re.findall(r"SystemModstamp (>=|>|<=|<) (\S+?Z)", given[0])
        begins = [datetime.fromisoformat(text) for sign, text in bounds if ">" in sign]
        ends = [datetime.fromisoformat(text) for sign, text in bounds if "<" in sign]
        begin, end = min(begins, default=pull.BEGINNING), min(ends)
        found = sum(begin <= r.modified <= end for r in world.crm.records(Kind.LEAD))
        limit = re.search(r"LIMIT (\d+)", given[0])
        if found > rows and not (limit and int(limit[1]) <= rows):
            return HEAVY
        if windows is not None:
            windows.append((begin, end))
        return world.face(request)

    return answer


@pytest.fixture(scope="module")
def heavy() -> Iterator[SalesforceWorld]:
    """An empty org, for the law."""
    with salesforce_world() as world:
        yield world


SPAN = 10_000
"""Seconds of the window."""

MOMENTS = st.builds(
    lambda second, below: timedelta(seconds=second, milliseconds=below),
    st.integers(1_000, 1_016) | st.integers(0, SPAN),
    st.sampled_from([0, 1, 500, 999]),
)
"""Some far apart, some in seconds that follow each other, or in the same one."""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    stamps=st.lists(MOMENTS, min_size=1, max_size=12),
    rows=st.integers(1, 4),
    since=st.integers(0, SPAN) | st.none(),
)
def test_the_halves_of_a_window_are_the_window(
    heavy: SalesforceWorld, stamps: list[timedelta], rows: int, since: int | None
) -> None:
    """D23: whatever runs too long is asked for in halves, and both are: every lead of the window
    comes, and what was answered has no gap, whatever fractions a stamp may have elsewhere. The
    cursor ends at its end, and never passes a lead that did not come yet. Also of leads within one
    second, and of those of seconds that follow each other: what cannot be halved is asked for by
    id."""
    world = heavy
    world.crm._records[Kind.LEAD].clear()
    for at in stamps:
        world.crm.add(Kind.LEAD, {"last_name": "P"}, at=START + at)
    world.clock.now = until = START + timedelta(seconds=SPAN + 1)
    start = None if since is None else START + timedelta(seconds=since)
    windows = list[tuple[datetime, datetime]]()
    world.server.faults[:] = [Fault(QUERY, times=None, response=too_heavy(world, rows, windows))]
    expected = {
        world.id(record): record.modified
        for record in world.crm.records(Kind.LEAD)
        if start is None or record.modified >= start
    }
    came: set[str] = set()
    cursor = Cursor(start)
    for page in _leads(world, None if start is None else cursor):
        came |= set(_ids([page]))
        cursor = page.cursor
        assert {k for k, at in expected.items() if cursor.stamp and at < cursor.stamp} <= came
    assert came == set(expected)
    assert cursor == Cursor(until)
    reached = start or pull.BEGINNING
    for begin, end in windows:
        assert begin <= reached
        reached = max(reached, end)
    assert reached == until


def one_second(world: SalesforceWorld, leads: int) -> None:
    """All leads are of one second."""
    world.crm._records[Kind.LEAD].clear()
    for _ in range(leads):
        world.crm.add(Kind.LEAD, {"last_name": "P"}, at=START)
    world.clock.now = START + timedelta(seconds=5)


def test_a_second_with_more_than_a_query_takes(
    world: SalesforceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D23: it is read in order of id, in pages of as many as Salesforce manages, and goes on from
    the cursor of each."""
    monkeypatch.setattr(pull, "ID_PAGES", (200, 3, 1))
    one_second(world, 8)
    world.server.faults[:] = [Fault(QUERY, times=None, response=too_heavy(world, 6))]
    pages = list(_leads(world, Cursor(START)))
    assert [page.rows.num_rows for page in pages if page.rows.num_rows][:3] == [3, 3, 2]
    for place in range(len(pages)):
        rest = list(_leads(world, pages[place].cursor))
        assert len({*_ids(pages[: place + 1]), *_ids(rest)}) == 8
        assert len(_ids(rest)) <= len(_ids(pages[place + 1 :])), "no more than an unbroken reading"
        assert rest[-1].cursor == Cursor(world.clock())


def test_what_cannot_be_read_one_by_one_is_said(world: SalesforceWorld) -> None:
    """An error, and not an end without them."""
    one_second(world, 2)
    world.server.faults[:] = [Fault(QUERY, times=None, response=too_heavy(world, 0))]
    with pytest.raises(TemporaryError, match="Lead: the records of a second are too much"):
        list(_leads(world))


def test_the_first_half_of_a_window_that_breaks_off(
    world: SalesforceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D23, D26: read on from any page of it, also within a job, the whole window comes: what ended
    with a half would be taken for all that there is."""
    monkeypatch.setattr(pull, "BULK_FROM", 1)
    for days in range(1, 13):
        world.crm.add(Kind.LEAD, {"last_name": "P"}, at=START - timedelta(days=days))
    world.server.faults[:] = [Fault(QUERY, times=None, response=too_heavy(world, 7))]
    pages = list(_leads(world))
    assert len({*_ids(pages)}) == 19
    assert _jobs(world) > 1
    for place in range(len(pages) - 1):
        rest = list(_leads(world, pages[place].cursor))
        assert {*_ids(pages[: place + 1]), *_ids(rest)} == {*_ids(pages)}
        assert rest[-1].cursor == Cursor(world.clock())


def test_a_window_that_broke_off_within_a_job_is_counted(world: SalesforceWorld) -> None:
    """A place in a job is no record id, and all that the job reads is still to come."""
    first, *_ = _leads(world, Cursor(START - timedelta(days=1)))
    assert first.cursor.id.startswith("750")
    world.server.faults.clear()
    assert world.connector.count(LEADS, first.cursor) == 7


@pytest.mark.parametrize(("fields", "records"), [(80, 600), (400, 30)])
def test_many_fields_of_many_records_are_asked_for_in_parts(fields: int, records: int) -> None:
    """D20: a query for ids is not longer than an address may be, however much is mapped: fewer
    records are asked for at a time, and where that is not enough, fewer fields."""
    with salesforce_world() as world:
        names = [f"A_field_with_a_rather_long_name_{n}__c" for n in range(fields)]
        for name in names:
            add_formula(world.crm, Kind.LEAD, name, lambda _: "x")
        leads = world.leads(records)
        world.face.rules.privacy = True
        said = {"last_name": "P", "no_tracking": True, "forget": False}
        for lead in leads:
            lead.values["individual"] = world.crm.add(Kind.INDIVIDUAL, said).number
        given = {f"custom.f{n}": name for n, name in enumerate(names)}
        # Fields of one that is referred to, at both ends of all.
        given = {"custom.rep": "Owner.Name", **given, "custom.address": "Owner.Email"}
        connector = world.connect(mapping=FieldMapping(leads=given))
        page = connector.read_again(LEADS, [world.id(lead) for lead in leads])
        assert sorted(page.rows["id"].to_pylist()) == sorted(world.id(lead) for lead in leads)
        assert {len(custom) for custom in page.rows["custom"].to_pylist()} == {len(given) + 5}
        (custom, *_) = page.rows["custom"].to_pylist()
        assert {("opted_out_tracking", "true"), ("should_forget", "false")} <= {*custom}
        assert {("rep", "Rep One"), ("address", "rep@seller.example")} <= {*custom}
