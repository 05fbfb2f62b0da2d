"""Bulk API 2.0 of the Salesforce face, through the library's own bulk methods."""

import csv
import io

import pytest
from simple_salesforce.exceptions import (
    SalesforceMalformedRequest,
    SalesforceOperationError,
    SalesforceResourceNotFound,
)

from connectors.sandbox.crm import Kind
from connectors.sandbox.salesforce.org import id_of
from tests.connectors.sandbox_salesforce.world import (
    World,
    refusal,
)


def test_bulk_query(world: World) -> None:
    """CSV pages by locator, each with the header, in UTF-8, with the forms of bulk."""
    for number in range(5):
        world.lead(f"Åse, {number}\n", employees=None if number else 7, technologies=["A", "B"])
    world.crm.delete(world.lead("Gone"))
    client = world.client()
    fields = "LastName, NumberOfEmployees, IsDeleted, CreatedDate, Tech_Stack__c, Owner.Name"
    pages = list(client.bulk2.Lead.query(f"SELECT {fields} FROM Lead", max_records=2, wait=0.001))
    heads = {page.split("\n", 1)[0] for page in pages}
    assert heads == {
        '"LastName","NumberOfEmployees","IsDeleted","CreatedDate","Tech_Stack__c","Owner.Name"'
    }
    rows = [row for page in pages for row in csv.reader(io.StringIO(page)) if row[0] != "LastName"]
    assert [len(list(csv.reader(io.StringIO(page)))) - 1 for page in pages] == [2, 2, 1]
    stamp = "2026-03-01T12:00:00.000Z"
    rows.sort()
    assert rows[0] == ["Åse, 0\n", "7", "false", stamp, "A;B", "Integration"]
    assert rows[1][1] == ""
    [every] = client.bulk2.Lead.query_all("SELECT Id FROM Lead", wait=0.001)
    assert len(every.split()) == 7


def test_bulk_query_headers(world: World) -> None:
    """The last page's locator is the text null; the charset is said; rows are counted."""
    world.leads(3)
    client = world.client()
    job = client.bulk2.Lead._client.create_job("query", "SELECT Id FROM Lead")
    states = [client.restful(f"jobs/query/{job['id']}")["state"] for _ in range(3)]
    assert [job["state"], *states] == [
        "UploadComplete",
        "InProgress",
        "JobComplete",
        "JobComplete",
    ]
    url = f"https://a.my.salesforce.com/services/data/v64.0/jobs/query/{job['id']}/results"
    first = client.session.get(url, headers=client.headers, params={"maxRecords": 2})
    assert first.headers["Content-Type"] == "text/csv; charset=UTF-8"
    assert first.headers["Sforce-NumberOfRecords"] == "2"
    locator = first.headers["Sforce-Locator"]
    last = client.session.get(url, headers=client.headers, params={"locator": locator})
    assert last.headers["Sforce-Locator"] == "null"
    assert len(last.text.split()) == 2


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT Id FROM EventWhoRelation", "is not supported by the Bulk API"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "not supported in Bulk Query"),
        ("SELECT COUNT() FROM Lead", "not supported in Bulk Query"),
        ("SELECT Id FROM Lead LIMIT 1 OFFSET 1", "not supported in Bulk Query"),
        ("SELECT Nonsense FROM Lead", "No such column 'Nonsense'"),
    ],
)
def test_bulk_query_refused(world: World, query: str, message: str) -> None:
    """What bulk cannot do is refused when the job is made."""
    with pytest.raises(SalesforceMalformedRequest, match=message):
        list(world.client().bulk2.Lead.query(query, wait=0.001))


def test_bulk_ingest(world: World) -> None:
    """An empty cell leaves, #N/A clears, and each row has its outcome, in another order."""
    kept, cleared, gone = world.lead(title="CEO"), world.lead(title="CEO"), world.lead()
    queue = world.crm.add(Kind.QUEUE, {"name": "Web"})
    world.face.rules.assign_to = queue.number
    world.crm.delete(gone)
    rows = [
        [id_of(kept), "", "7"],
        [id_of(cleared), "#N/A", "8"],
        [id_of(gone), "CEO", "9"],
        [id_of(kept), "CEO", "many"],
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["Id", "Title", "NumberOfEmployees"], *rows])
    client = world.client()
    bulk = client.bulk2.Lead
    done = bulk._upload_data("update", text.getvalue(), wait=0.001)
    assert (done["numberRecordsProcessed"], done["numberRecordsFailed"]) == (4, 2)
    assert (kept.values["title"], kept.values["employees"]) == ("CEO", 7)
    assert (cleared.values["title"], cleared.values["employees"]) == (None, 8)
    # Bulk runs an assignment rule only when the job names one.
    assert kept.values.get("owner") is None
    good = list(csv.DictReader(io.StringIO(bulk.get_successful_records(done["job_id"]))))
    bad = list(csv.DictReader(io.StringIO(bulk.get_failed_records(done["job_id"]))))
    assert {row["sf__Id"]: row["Title"] for row in good} == {
        id_of(kept): "",
        id_of(cleared): "#N/A",
    }
    assert {row["sf__Created"] for row in good} == {"false"}
    errors = {row["Title"] + row["NumberOfEmployees"]: row["sf__Error"] for row in bad}
    assert errors["CEO9"] == "ENTITY_IS_DELETED:entity is deleted: --"
    assert errors["CEOmany"].startswith("INVALID_TYPE_ON_FIELD_IN_RECORD:")
    for spelling in ("unprocessedRecords", "unprocessedrecords"):
        assert bulk._client.get_ingest_results(done["job_id"], spelling).split("\n") == [
            '"Id","Title","NumberOfEmployees"',
            "",
        ]


def test_bulk_insert_and_delete(world: World) -> None:
    """Rows are created with new ids, and deleted by id."""
    client = world.client()
    rows = [{"LastName": name, "Company": "F"} for name in "ABC"] + [
        {"LastName": "", "Company": "F"}
    ]
    [done] = client.bulk2.Lead.insert(records=rows, wait=0.001)
    made = list(
        csv.DictReader(io.StringIO(client.bulk2.Lead.get_successful_records(done["job_id"])))
    )
    failed = client.bulk2.Lead.get_failed_records(done["job_id"])
    assert {row["sf__Created"] for row in made} == {"true"}
    assert "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --" in failed
    [gone] = client.bulk2.Lead.delete(records=[{"Id": row["sf__Id"]} for row in made], wait=0.001)
    assert gone["numberRecordsFailed"] == 0
    assert client.query("SELECT COUNT() FROM Lead")["totalSize"] == 0


def test_bulk_job_with_an_unknown_column_fails(world: World) -> None:
    """The job fails as a whole, its rows remain unprocessed, and it can then be deleted."""
    lead, client = world.lead(), world.client()
    records = [{"Id": id_of(lead), "Nonsense__c": "1"}]
    with pytest.raises(SalesforceOperationError, match="Field name not found : Nonsense__c"):
        client.bulk2.Lead.update(records=records, wait=0.001)
    uploads = [path for method, path in world.server.requests if method == "PUT"]
    identity = uploads[0].split("/")[6]
    assert id_of(lead) in client.bulk2.Lead.get_unprocessed_records(identity)
    reply = client.session.delete(
        f"https://a.my.salesforce.com/services/data/v64.0/jobs/ingest/{identity}",
        headers=client.headers,
    )
    assert (reply.status_code, reply.content) == (204, b"")
    with pytest.raises(SalesforceResourceNotFound) as unknown:
        client.restful(f"jobs/ingest/{identity}")
    assert refusal(unknown) == (404, "NOT_FOUND")


def test_bulk_results_need_the_version_of_the_job(world: World) -> None:
    """Another API version answers 409."""
    client = world.client()
    job = client.bulk2.Lead._client.create_job("query", "SELECT Id FROM Lead")
    reply = client.session.get(
        f"https://a.my.salesforce.com/services/data/v63.0/jobs/query/{job['id']}/results",
        headers=client.headers,
    )
    assert reply.status_code == 409
