"""Limits, paths and named faults of the Salesforce face."""

import csv
import io

import pytest
import requests
from simple_salesforce.exceptions import (
    SalesforceError,
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceRefusedRequest,
)

from connectors.sandbox.http import Fault, Request
from connectors.sandbox.salesforce.faults import FAULTS, fault
from connectors.sandbox.salesforce.org import id_of
from tests.connectors.sandbox_salesforce.world import World, patch, refusal


def test_calls_are_counted_exactly(world: World) -> None:
    """Each call costs one whatever it holds, and every reply says how many there were."""
    client = world.client()
    leads = world.leads(3)
    client.query("SELECT Id FROM Lead")
    assert client.api_usage["api-usage"].used == 1
    patch(client, *[{"id": id_of(lead), "Title": "CEO"} for lead in leads])
    assert client.api_usage["api-usage"] == (2, 100_000)
    with pytest.raises(SalesforceMalformedRequest):
        client.query("SELECT Nonsense FROM Lead")
    assert client.limits()["DailyApiRequests"] == {"Max": 100_000, "Remaining": 99_996}
    versions = client.session.get("https://a.my.salesforce.com/services/data/")
    assert versions.json()[-1] == {
        "label": "Release 68.0",
        "url": "/services/data/v68.0",
        "version": "68.0",
    }
    assert "Sforce-Limit-Info" not in versions.headers
    assert world.face.used == 4


def test_daily_limit(world: World) -> None:
    """Beyond the quota every call is refused, and costs nothing more."""
    world.face.daily_limit = 2
    client = world.client()
    client.limits()
    client.limits()
    with pytest.raises(SalesforceRefusedRequest, match="TotalRequests Limit exceeded") as refused:
        client.limits()
    assert refusal(refused) == (403, "REQUEST_LIMIT_EXCEEDED")
    assert world.face.used == 2


def test_uri_too_long(world: World) -> None:
    """A query of more than 16,384 bytes of URI is refused, one just below is not."""
    client = world.client()
    room = 16_384 - len("/services/data/v64.0/query/?q=SELECT+Id+FROM+Lead")
    client.query("SELECT Id FROM Lead" + " " * room)
    with pytest.raises(SalesforceGeneralError) as refused:
        client.query("SELECT Id FROM Lead" + " " * (room + 1))
    assert refused.value.status == 414


def test_who_is_logged_in(world: World) -> None:
    """The version's resources and the user-info call name the integration user."""
    client = world.client()
    user_id = client.query("SELECT Id FROM User")["records"][0]["Id"]
    assert client.restful("")["identity"].endswith(f"/{user_id}")
    assert client.oauth2("userinfo")["user_id"] == user_id


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/services/data/v64.0/nonsense", 404, "NOT_FOUND"),
        ("PUT", "/services/data/v64.0/limits", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/services/data/v29.0/limits", 410, "UNSUPPORTED_API_VERSION"),
        ("GET", "/services/data/v64.0/query/01g000000000000-2000", 400, "INVALID_QUERY_LOCATOR"),
        ("POST", "/services/data/v64.0/sobjects/Lead", 400, "JSON_PARSER_ERROR"),
        ("GET", "/services/data/v64.0/limits/", 200, ""),
        ("GET", "/services/data/v64.0", 200, ""),
    ],
)
def test_paths(world: World, method: str, path: str, status: int, code: str) -> None:
    """Unknown paths, methods, versions and locators each have their answer; slashes may end."""
    client = world.client()
    url = f"https://a.my.salesforce.com{path}"
    reply = client.session.request(method, url, headers=client.headers, data=b"{")
    assert reply.status_code == status
    assert "Sforce-Limit-Info" in reply.headers
    if code:
        assert reply.json()[0]["errorCode"] == code


@pytest.mark.parametrize(
    ("name", "kind", "status", "code"),
    [
        ("daily-limit", SalesforceRefusedRequest, 403, "REQUEST_LIMIT_EXCEEDED"),
        ("concurrent-limit", SalesforceRefusedRequest, 403, "REQUEST_LIMIT_EXCEEDED"),
        ("api-disabled", SalesforceRefusedRequest, 403, "API_DISABLED_FOR_ORG"),
        ("query-timeout", SalesforceMalformedRequest, 400, "QUERY_TIMEOUT"),
    ],
)
def test_faults_of_a_query(
    world: World, name: str, kind: type[SalesforceError], status: int, code: str
) -> None:
    """A named fault answers as Salesforce would."""
    client = world.client()
    world.server.faults.append(fault(name))
    with pytest.raises(kind) as refused:
        client.query("SELECT Id FROM Lead")
    assert refusal(refused) == (status, code)


def test_fault_expired_session(world: World) -> None:
    """The fourth call is refused once; the client logs in again and goes on."""
    client = world.client()
    world.server.faults.append(fault("expired-session"))
    for _ in range(4):
        assert client.limits()
    logins = [path for _, path in world.server.requests if path.startswith("/services/Soap")]
    assert len(logins) == 2


def test_fault_lost_locator(world: World) -> None:
    """The second page of a query is gone."""
    world.leads(2_001)
    client = world.client()
    world.server.faults.append(fault("lost-locator"))
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.query_all("SELECT Id FROM Lead")
    assert refusal(refused) == (400, "INVALID_QUERY_LOCATOR")


def test_fault_lock_row(world: World) -> None:
    """Twice every record of a collection is locked, then it is written."""
    leads, client = world.leads(2), world.client()
    world.server.faults.append(fault("lock-row"))
    records = [{"id": id_of(lead), "Title": "CEO"} for lead in leads]
    codes = []
    for _ in range(3):
        outcomes = patch(client, *records)
        codes.append([o["errors"][0]["statusCode"] if o["errors"] else "" for o in outcomes])
    assert codes == [["UNABLE_TO_LOCK_ROW"] * 2, ["UNABLE_TO_LOCK_ROW"] * 2, ["", ""]]


def test_fault_server_error(world: World) -> None:
    """An overloaded edge answers in HTML."""
    client = world.client()
    world.server.faults.append(fault("server-error"))
    with pytest.raises(SalesforceGeneralError) as refused:
        client.limits()
    assert refused.value.status == 503
    assert str(refused.value.content).startswith("<html>")


@pytest.mark.parametrize(
    ("name", "written"), [("drop-before-write", False), ("drop-after-write", True)]
)
def test_fault_lost_answer(world: World, name: str, written: bool) -> None:
    """The connection is lost before a write arrives, or after it was carried out."""
    lead, client = world.lead(), world.client()
    world.server.faults.append(fault(name))
    with pytest.raises(requests.ConnectionError):
        patch(client, {"id": id_of(lead), "Title": "CEO"})
    assert (lead.values.get("title") == "CEO") is written


def test_fault_truncated(world: World) -> None:
    """Half a page arrives: the body ends early."""
    world.leads(100)
    client = world.client()
    world.server.faults.append(fault("truncated"))
    with pytest.raises(requests.RequestException):
        client.query("SELECT Id FROM Lead")


def test_faults_are_named_once_and_new_each_time() -> None:
    """Every described fault can be made, and hitting one leaves the next untouched."""
    made = {name: fault(name) for name in FAULTS}
    assert all(isinstance(item, Fault) and item.hit == 0 for item in made.values())
    assert fault("server-error") is not made["server-error"]
    with pytest.raises(KeyError):
        fault("nonsense")


def test_the_same_seed_strikes_the_same_calls() -> None:
    """Faults at random go on for ever, as often as they are told, and as the seed says."""
    request = Request("PATCH", "/services/data/v66.0/composite/sobjects", {}, {}, b"")

    def struck(seed: str) -> list[bool]:
        given = fault("drop-after-write").at_random(0.25, seed)
        return [given.strikes(request) for _ in range(400)]

    assert struck("7") == struck("7") != struck("8")
    assert 60 < sum(struck("7")) < 140


def test_fault_bulk_failed(world: World) -> None:
    """Half of the rows are written and stay so, the others are told as never tried."""
    leads, client = world.leads(4), world.client()
    world.server.faults.append(fault("bulk-failed"))
    job, told = bulk_update(client, leads)
    assert job["state"] == "Failed"
    assert sorted(lead.values.get("title") == "CEO" for lead in leads) == [False, False, True, True]
    written = {id_of(lead) for lead in leads if lead.values.get("title") == "CEO"}
    assert told("successfulResults") == written
    assert told("unprocessedrecords") == {id_of(lead) for lead in leads} - written


def test_fault_bulk_unchanged(world: World) -> None:
    """D27: the job says that all is written, and nothing is."""
    leads, client = world.leads(2), world.client()
    world.server.faults.append(fault("bulk-unchanged"))
    job, told = bulk_update(client, leads)
    assert job["state"] == "JobComplete"
    assert told("successfulResults") == {id_of(lead) for lead in leads}
    assert not any(lead.values.get("title") == "CEO" for lead in leads)


def test_fault_row_refused(world: World) -> None:
    """A validation rule refuses one record of a collection, time and again."""
    leads, client = world.leads(2), world.client()
    world.server.faults.append(fault("row-refused"))
    records = [{"id": id_of(lead), "Title": "CEO"} for lead in leads]
    for _ in range(2):
        assert [o["success"] for o in patch(client, *records)] == [False, True]


def bulk_update(client, leads):
    """Set the titles of leads by a bulk job: how it ended, and the ids that it tells of."""
    job = client.restful(
        "jobs/ingest", method="POST", json={"object": "Lead", "operation": "update"}
    )
    path = f"jobs/ingest/{job['id']}"
    text = "Id,Title\n" + "".join(f"{id_of(lead)},CEO\n" for lead in leads)
    url, head = client.base_url + path, {**client.headers, "Content-Type": "text/csv"}
    client.session.put(f"{url}/batches", data=text.encode(), headers=head)
    client.restful(path, method="PATCH", json={"state": "UploadComplete"})
    states = [client.restful(path) for _ in range(3)]

    def told(which: str) -> set[str]:
        rows = csv.DictReader(io.StringIO(client.session.get(f"{url}/{which}", headers=head).text))
        return {row["Id"] for row in rows}

    return states[-1], told
