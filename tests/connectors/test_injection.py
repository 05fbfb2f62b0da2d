"""Whatever a value holds, it stays a value on its way to a CRM: in SOQL, in a filter, in an
address, in the CSV of a bulk job."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.base import Cursor, Entry, EntryKind, Stream
from connectors.salesforce.client import SalesforceClient
from connectors.salesforce.failures import CallRefused
from connectors.salesforce.ingest import prepare
from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault, Request, Response
from connectors.usage import Usage
from tests.hubspot import Account, account
from tests.salesforce import SalesforceWorld, salesforce_world
from tests.salesforce import settings as made
from tests.world import START, lead_ids

WRITABLE = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
TEXTS = st.text(WRITABLE, min_size=1) | st.sampled_from(
    [
        "x' OR Id != '",
        "\\' OR Name LIKE '%",
        "') OR (Id != '1",
        "1\\",
        "%",
        "a\nb",
        "a\rb,c",
        '"',
        '","x":"',
        "../../objects/contacts/1",
        "a?archived=true#",
        "%2e%2e/x",
        "{id}",
    ]
)


@pytest.fixture(scope="module")
def org() -> Iterator[SalesforceWorld]:
    """An org with two leads, one of which has a task."""
    with salesforce_world() as world:
        first, _ = world.leads(2)
        world.connector.add_entry(entry(world.id(first)))
        world.prepare_fields()
        yield world


@pytest.fixture(scope="module")
def portal() -> Iterator[Account]:
    """A HubSpot account."""
    with account() as own:
        yield own


def entry(record_id: str) -> Entry:
    """A task about a record."""
    due = START + timedelta(days=1)
    return Entry(EntryKind.TASK, "Lead", record_id, "key", "Call", "Now", due)


@settings(max_examples=40, deadline=None)
@given(TEXTS)
def test_a_text_in_soql_is_a_value(org: SalesforceWorld, text: str) -> None:
    """Of a lead that is asked for by any text there is no task, and after an id that is any text
    come the leads of the window: no query means another thing. What is no id Salesforce may refuse
    as such; it is never a query that cannot be read."""
    lead = org.id(next(iter(org.crm.records(Kind.LEAD))))
    assert org.connector.has_entry(entry(lead))
    (stream,) = [s for s in org.connector.streams() if s.name == "Lead"]
    start = Cursor(START - timedelta(days=1), text.replace("/", "_"), START)
    with no_id():
        assert not org.connector.has_entry(entry(text))
    with no_id():
        pages = list(org.connector.pull(stream, start, START))
        assert sorted(lead_ids(pages)) == sorted(map(org.id, org.crm.records(Kind.LEAD)))


@contextmanager
def no_id() -> Iterator[None]:
    """Salesforce may say that a text is not an id."""
    try:
        yield
    except CallRefused as error:
        if "INVALID_QUERY_FILTER_OPERATOR" not in str(error):
            raise


@settings(max_examples=20, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=2))
def test_a_text_in_the_csv_of_a_bulk_job_is_a_value(org: SalesforceWorld, texts: list[str]) -> None:
    """Each record gets its own text as it is, whatever ends a line or a cell in it."""
    records = list(org.crm.records(Kind.LEAD))[: len(texts)]
    rows: list[dict[str, Any]] = [
        {"Id": org.id(record), "Title": text[:100]}
        for record, text in zip(records, texts, strict=True)
    ]
    client = SalesforceClient(made(org.server), "sales", Usage())
    outcomes = prepare(client, lambda _: None, "Lead", ("Id", "Title"), rows, lambda _: None).run()
    client.close()
    assert outcomes == {row["Id"]: None for row in rows}
    for record, row in zip(records, rows, strict=True):
        assert record.values.get("title") == row["Title"]


def nothing(seen: list[dict[str, Any]]) -> Fault:
    """A search that finds nothing; what it was asked is kept."""

    def answer(request: Request) -> Response:
        seen.append(json.loads(request.body))
        found = json.dumps({"total": 0, "results": []}).encode()
        return Response(200, found, {"Content-Type": "application/json"})

    return Fault("/search/?$", times=None, response=answer)


@settings(max_examples=40, deadline=None)
@given(TEXTS)
def test_a_text_in_a_filter_is_a_value(portal: Account, text: str) -> None:
    """A search after an id that is any text has the filters it always has, and the text whole."""
    seen: list[dict[str, Any]] = []
    portal.server.faults[:] = [nothing(seen)]
    start = Cursor(START, text, START + timedelta(days=1))
    with suppress(ValueError):  # an id that is no number is nothing to go on from
        list(portal.connect().pull(Stream("contacts", "leads", complete=True), start, START))
    ((group,),) = [query["filterGroups"] for query in seen]
    assert [(f["propertyName"], f["operator"]) for f in group["filters"]] == [
        ("lastmodifieddate", "GTE"),
        ("lastmodifieddate", "LTE"),
        ("hs_object_id", "GT"),
    ]
    assert group["filters"][2]["value"] == text


@settings(max_examples=40, deadline=None)
@given(TEXTS)
@example(".")
@example("..")
def test_an_id_in_an_address_is_one_part_of_it(portal: Account, text: str) -> None:
    """The submissions of a form are asked for under its id, whatever that is; under `.` and `..`,
    which lead to another address wherever they stand, nothing is asked for."""
    forms = {"results": [{"id": text, "name": "Form", "formType": "hubspot"}]}
    asked: list[str] = []

    def answer(request: Request) -> Response:
        asked.append(request.target.partition("?")[0])
        return Response(200, b'{"results": []}', {"Content-Type": "application/json"})

    listed = Response(200, json.dumps(forms).encode(), {"Content-Type": "application/json"})
    portal.server.faults[:] = [
        Fault("/marketing/v3/forms", times=None, response=listed),
        Fault("/form-integrations/", times=None, response=answer),
    ]
    list(portal.connect().pull(Stream("form_submissions", "activities"), None, START))
    address = f"/form-integrations/v1/submissions/forms/{quote(text, safe='')}"
    assert asked == ([] if text in (".", "..") else [address])
