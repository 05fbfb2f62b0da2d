"""Reading from the Salesforce face: queries, paging, the forms of records, describe."""

import json
from datetime import timedelta
from typing import Any

import pytest
from simple_salesforce.exceptions import (
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

from connectors.sandbox.crm import Kind
from connectors.sandbox.salesforce.org import id_of
from tests.connectors.sandbox_salesforce.world import START, Loopback, World, refusal


def test_every_row_of_many_with_one_stamp_comes_once(world: World) -> None:
    """Pages of 2,000 by locator; rows with equal stamps are ordered by id."""
    leads = world.leads(4_001)
    found = world.client().query_all("SELECT Id FROM Lead ORDER BY SystemModstamp, Id")
    assert [row["Id"] for row in found["records"]] == [id_of(lead) for lead in leads]
    assert world.face.used == 3


@pytest.mark.parametrize(
    ("asked", "size"), [("", 2_000), ("200", 200), ("1", 200), ("5000", 2_000)]
)
def test_page_size(world: World, asked: str, size: int) -> None:
    """Sforce-Query-Options chooses 200 to 2,000 rows; `done` alone tells the last page."""
    world.leads(size + 1)
    headers = {"Sforce-Query-Options": f"batchSize={asked}"} if asked else {}
    client = world.client()
    page = client.query("SELECT Id FROM Lead", headers=headers)
    assert (len(page["records"]), page["totalSize"], page["done"]) == (size, size + 1, False)
    assert page["nextRecordsUrl"].startswith("/services/data/v64.0/query/01g")
    last = client.query_more(page["nextRecordsUrl"], identifier_is_url=True, headers=headers)
    assert (len(last["records"]), last["done"]) == (1, True)
    assert "nextRecordsUrl" not in last


def test_result_stays_as_it_was_while_it_is_paged(world: World) -> None:
    """Rows that change between two pages are neither lost nor read twice."""
    leads = world.leads(2_001)
    client = world.client()
    page = client.query("SELECT Id FROM Lead ORDER BY SystemModstamp, Id")
    world.now += timedelta(hours=1)
    world.crm.update(leads[0], {})
    world.crm.update(leads[-1], {})
    rest = client.query_more(page["nextRecordsUrl"], identifier_is_url=True)
    ids = [row["Id"] for row in [*page["records"], *rest["records"]]]
    assert sorted(ids) == [id_of(lead) for lead in leads]


def test_a_changed_record_is_seen_by_the_same_query(world: World) -> None:
    """Pages are kept for repeated queries only while nothing has changed."""
    lead = world.lead()
    client = world.client()
    for name in ("One", "Two"):
        world.crm.update(lead, {"last_name": name})
        assert client.query("SELECT LastName FROM Lead")["records"][0]["LastName"] == name


def test_late_commit_comes_to_light_by_the_clock(world: World) -> None:
    """A record whose transaction is still open is invisible, with a stamp of the past."""
    world.lead().visible_from = world.now + timedelta(minutes=5)
    client = world.client()
    assert client.query("SELECT COUNT() FROM Lead")["totalSize"] == 0
    world.now += timedelta(minutes=5)
    [row] = client.query("SELECT SystemModstamp FROM Lead")["records"]
    assert row["SystemModstamp"] == "2026-03-01T12:00:00.000+0000"


@pytest.mark.parametrize("pretty", ["0", "1"])
def test_record_as_json(world: World, pretty: str) -> None:
    """Attributes, nested parents (null when empty), children, and the forms of values."""
    owner = world.crm.add(Kind.USER, {"name": 'Åsa "Q"', "email": "asa@vendor.example"})
    account = world.crm.add(Kind.ACCOUNT, {"name": "Acme", "revenue": 5, "owner": owner.number})
    contact = world.crm.add(Kind.CONTACT, {"last_name": "Dee", "account": account.number})
    world.crm.add(Kind.ACCOUNT, {"name": "Empty", "employees": 7})
    records = world.client().query(
        "SELECT Name, AnnualRevenue, NumberOfEmployees, IsDeleted, CreatedDate, Owner.Name, "
        "Parent.Name, (SELECT LastName FROM Contacts) FROM Account ORDER BY Name",
        headers={"X-PrettyPrint": pretty},
    )["records"]
    base = "/services/data/v64.0/sobjects"
    stamp = "2026-03-01T12:00:00.000+0000"
    assert json.loads(json.dumps(records[0])) == {
        "attributes": {"type": "Account", "url": f"{base}/Account/{id_of(account)}"},
        "Name": "Acme",
        "AnnualRevenue": 5.0,
        "NumberOfEmployees": None,
        "IsDeleted": False,
        "CreatedDate": stamp,
        "Owner": {
            "attributes": {"type": "User", "url": f"{base}/User/{id_of(owner)}"},
            "Name": 'Åsa "Q"',
        },
        "Parent": None,
        "Contacts": {
            "totalSize": 1,
            "done": True,
            "records": [
                {
                    "attributes": {"type": "Contact", "url": f"{base}/Contact/{id_of(contact)}"},
                    "LastName": "Dee",
                }
            ],
        },
    }
    assert records[1]["Contacts"] is None
    assert records[1]["NumberOfEmployees"] == 7


def test_json_is_indented_only_when_asked_and_packed_only_when_worthwhile(world: World) -> None:
    """X-PrettyPrint and Accept-Encoding are honoured; a small body is not packed."""
    world.leads(100)
    session = Loopback(world.server.url)
    session.headers["Authorization"] = f"Bearer {world.client().session_id}"
    url = "https://acme.my.salesforce.com/services/data/v64.0/query?q=SELECT+Id+FROM+Lead"
    compact = session.get(url, headers={"Accept-Encoding": "identity"})
    pretty = session.get(url, headers={"Accept-Encoding": "identity", "X-PrettyPrint": "1"})
    packed = session.get(url, headers={"Accept-Encoding": "gzip"})
    small = session.get(url + "+LIMIT+1", headers={"Accept-Encoding": "gzip"})
    assert compact.json() == pretty.json() == packed.json()
    assert b"\n" not in compact.content
    assert pretty.text.startswith('{\n  "totalSize" : 100,\n  "done" : true,\n  "records" : [ {\n')
    assert "Content-Encoding" not in compact.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in small.headers


def test_deleted_merged_and_archived_rows_need_query_all(world: World) -> None:
    """queryAll adds what query leaves out, on its later pages too."""
    winner, loser, gone = world.lead("Winner"), world.lead("Loser"), world.lead("Gone")
    world.crm.merge(winner, loser)
    world.crm.delete(gone)
    old = {"type": "page_view", "at": START - timedelta(days=400), "people": [winner.number]}
    world.crm.add(Kind.ACTIVITY, old)
    client = world.client()
    query = "SELECT LastName, IsDeleted, MasterRecordId FROM Lead ORDER BY LastName"
    shown = client.query(query)["records"]
    every = client.query(query, include_deleted=True)["records"]
    assert [row["LastName"] for row in shown] == ["Winner"]
    assert [(row["LastName"], row["IsDeleted"], row["MasterRecordId"]) for row in every] == [
        ("Gone", True, None),
        ("Loser", True, id_of(winner)),
        ("Winner", False, None),
    ]
    tasks = "SELECT IsArchived, WhoId FROM Task"
    assert client.query(tasks)["records"] == []
    [archived] = client.query(tasks, include_deleted=True)["records"]
    assert (archived["IsArchived"], archived["WhoId"]) == (True, id_of(winner))


def test_recycle_bin_is_emptied(world: World) -> None:
    """A deleted row can be read for 15 days; a restored one is back under its id."""
    gone, back = world.lead("Gone"), world.lead("Back")
    world.crm.delete(gone)
    world.crm.delete(back)
    world.crm.restore(back)
    client = world.client()
    query = "SELECT LastName FROM Lead ORDER BY LastName"
    for days, names in ((14, ["Back", "Gone"]), (15, ["Back"])):
        world.now = START + timedelta(days=days)
        found = client.query(query, include_deleted=True)["records"]
        assert [row["LastName"] for row in found] == names


def test_sub_query_follows_its_query(world: World) -> None:
    """Children are cut to a limit for each parent, and show deleted rows only to queryAll."""
    firms = [world.crm.add(Kind.ACCOUNT, {"name": name}) for name in ("A", "B")]
    for firm in firms:
        for name in ("Dee", "Eve"):
            world.crm.add(Kind.CONTACT, {"last_name": name, "account": firm.number})
    gone = world.crm.add(Kind.CONTACT, {"last_name": "Abe", "account": firms[0].number})
    world.crm.delete(gone)
    client = world.client()

    def first_contacts(*, include_deleted: bool) -> list[str]:
        query = "SELECT (SELECT LastName FROM Contacts ORDER BY LastName LIMIT 1) FROM Account"
        rows = client.query(query + " ORDER BY Name", include_deleted=include_deleted)["records"]
        return [child["LastName"] for row in rows for child in row["Contacts"]["records"]]

    assert first_contacts(include_deleted=False) == ["Dee", "Dee"]
    assert first_contacts(include_deleted=True) == ["Abe", "Dee"]


def test_query_all_pages_keep_the_deleted(world: World) -> None:
    """The locator of a queryAll says /query/ and still gives deleted rows."""
    for lead in world.leads(2_001):
        world.crm.delete(lead)
    found = world.client().query_all("SELECT IsDeleted FROM Lead", include_deleted=True)
    assert found["totalSize"] == 2_001
    assert all(row["IsDeleted"] for row in found["records"])


def test_converted_lead(world: World) -> None:
    """A converted lead stays, names its contact and account, and is read-only."""
    lead = world.lead("Dee")
    contact = world.crm.convert(lead)
    account = world.crm.get(Kind.ACCOUNT, contact.values["account"])
    assert account is not None
    client = world.client()
    [row] = client.query(
        "SELECT IsConverted, ConvertedDate, ConvertedContactId, ConvertedAccountId FROM Lead"
    )["records"]
    assert (row["IsConverted"], row["ConvertedDate"]) == (True, "2026-03-01")
    assert row["ConvertedContactId"] == id_of(contact)
    assert row["ConvertedAccountId"] == id_of(account)
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.Lead.update(id_of(lead), {"Title": "CEO"})
    assert refusal(refused) == (400, "CANNOT_UPDATE_CONVERTED_LEAD")


@pytest.mark.parametrize(
    ("values", "sobject", "expected"),
    [
        (
            {"type": "page_view", "asset": "/pricing", "channel": "web"},
            "Task",
            {"Type": "Page View", "Asset__c": "/pricing", "Channel__c": "web"},
        ),
        ({"type": "email_open"}, "Task", {"Type": "Email Open", "TaskSubtype": "Task"}),
        ({"type": "email_reply"}, "Task", {"Type": "Email Reply", "TaskSubtype": "Email"}),
        (
            {"type": "call", "direction": "outbound", "duration": 61, "outcome": "Connected"},
            "Task",
            {
                "TaskSubtype": "Call",
                "CallType": "Outbound",
                "CallDurationInSeconds": 61,
                "CallDisposition": "Connected",
            },
        ),
        ({"type": "trial_started"}, "Task", {"Type": "Trial Started", "Status": "Completed"}),
        (
            {"type": "meeting", "duration": 1_800},
            "Event",
            {
                "StartDateTime": "2026-02-28T12:00:00.000+0000",
                "EndDateTime": "2026-02-28T12:30:00.000+0000",
            },
        ),
    ],
)
def test_activities(
    world: World, values: dict[str, Any], sobject: str, expected: dict[str, Any]
) -> None:
    """Each neutral activity has its Salesforce form."""
    lead = world.lead()
    at = START - timedelta(days=1)
    world.crm.add(Kind.ACTIVITY, {**values, "at": at, "people": [lead.number]})
    fields = ["WhoId", "ActivityDate", *expected]
    [row] = world.client().query(f"SELECT {', '.join(fields)} FROM {sobject}")["records"]
    row.pop("attributes")
    assert dict(row) == {"WhoId": id_of(lead), "ActivityDate": "2026-02-28", **expected}


def test_campaign_members(world: World) -> None:
    """One member a person; the campaign is shared; a converted lead's member has both ids."""
    lead, other = world.lead("One"), world.lead("Two")
    for person, kind in ((lead, "webinar_registered"), (other, "webinar_attended")):
        world.crm.add(
            Kind.ACTIVITY,
            {"type": kind, "campaign": "Spring", "people": [person.number], "at": START},
        )
    contact = world.crm.convert(other)
    rows = world.client().query_all(
        "SELECT CampaignId, Campaign.Name, Campaign.Type, LeadId, ContactId, Status, "
        "FirstRespondedDate FROM CampaignMember ORDER BY Status DESC"
    )["records"]
    assert len({row["CampaignId"] for row in rows}) == 1
    assert [(row["LeadId"], row["ContactId"], row["Status"]) for row in rows] == [
        (id_of(lead), None, "Registered"),
        (id_of(other), id_of(contact), "Attended"),
    ]
    assert rows[0]["Campaign"]["Name"] == "Spring"
    assert rows[0]["Campaign"]["Type"] == "Webinar"
    assert rows[0]["FirstRespondedDate"] == "2026-03-01"


def test_meeting_with_several_people(world: World) -> None:
    """WhoId is the first person only; the relation object has them all."""
    people = world.leads(2)
    numbers = [person.number for person in people]
    world.crm.add(Kind.ACTIVITY, {"type": "meeting", "at": START, "people": numbers})
    client = world.client()
    [event] = client.query("SELECT WhoId FROM Event")["records"]
    related = client.query("SELECT RelationId FROM EventWhoRelation ORDER BY RelationId")
    assert event["WhoId"] == id_of(people[0])
    assert [row["RelationId"] for row in related["records"]] == [id_of(p) for p in people]


def test_queues_and_owners(world: World) -> None:
    """A queue owns leads; what nobody owns is the integration user's."""
    queue = world.crm.add(Kind.QUEUE, {"name": "Web leads"})
    world.lead("Mine")
    world.lead("Queued", owner=queue.number)
    client = world.client()
    [group] = client.query("SELECT Id, DeveloperName FROM Group WHERE Type = 'Queue'")["records"]
    rows = client.query("SELECT OwnerId, Owner.Type FROM Lead ORDER BY LastName")["records"]
    assert group["DeveloperName"] == "Web_leads"
    assert [(row["OwnerId"][:3], row["Owner"]["Type"]) for row in rows] == [
        ("005", "User"),
        ("00G", "Queue"),
    ]
    assert rows[1]["OwnerId"] == group["Id"]


def test_updated_and_deleted(world: World) -> None:
    """Ids within the window; a window too short or too old is refused."""
    lead, gone = world.lead(), world.lead()
    world.now += timedelta(minutes=10)
    world.crm.delete(gone)
    world.now += timedelta(minutes=10)
    client = world.client()
    start, end = START - timedelta(minutes=1), world.now
    assert client.Lead.updated(start, end) == {
        "ids": [id_of(lead)],
        "latestDateCovered": "2026-03-01T12:20:00.000+0000",
    }
    deleted = client.Lead.deleted(start, end)
    assert deleted["deletedRecords"] == [
        {"id": id_of(gone), "deletedDate": "2026-03-01T12:10:00.000+0000"}
    ]
    for first in (end - timedelta(seconds=59), end - timedelta(days=31)):
        with pytest.raises(SalesforceMalformedRequest) as refused:
            client.Lead.updated(first, end)
        assert refusal(refused) == (400, "INVALID_REPLICATION_DATE")


def test_describe(world: World) -> None:
    """Describe names what the mapping needs to know, and all objects are listed."""
    client = world.client()
    fields = {item["name"]: item for item in client.Lead.describe()["fields"]}
    assert (fields["Email"]["type"], fields["Email"]["length"]) == ("email", 80)
    assert fields["NumberOfEmployees"]["type"] == "int"
    assert fields["OwnerId"]["referenceTo"] == ["Group", "User"]
    assert fields["Tech_Stack__c"]["type"] == "multipicklist"
    assert fields["Sales_Accepted__c"]["updateable"] is True
    assert fields["SystemModstamp"]["updateable"] is False
    names = [item["name"] for item in client.describe()["sobjects"]]
    assert {"Lead", "Contact", "Account", "Task", "Event", "CampaignMember"} <= set(names)
    assert "Name" not in names
    with pytest.raises(SalesforceResourceNotFound) as refused:
        client.Nonsense.describe()
    assert refusal(refused) == (404, "NOT_FOUND")


def composite(client: Any, *urls: str) -> list[Any]:
    """Status and body of each GET in one composite call."""
    root = "/services/data/v64.0"
    parts = [
        {"method": "GET", "url": root + url, "referenceId": f"r{n}"} for n, url in enumerate(urls)
    ]
    reply = client.restful("composite", method="POST", json={"compositeRequest": parts})
    assert [part["referenceId"] for part in reply["compositeResponse"]] == [
        part["referenceId"] for part in parts
    ]
    return [(part["httpStatusCode"], part["body"]) for part in reply["compositeResponse"]]


def test_composite_counts_as_one_call_and_refuses_part_by_part(world: World) -> None:
    """Each request has its own status; what is refused does not stop the others."""
    lead, client = world.lead("Bell"), world.client()
    before = world.face.used
    (described, found, missing) = composite(
        client,
        "/sobjects/Lead/describe",
        "/query/?q=SELECT+LastName+FROM+Lead",
        "/sobjects/Nonsense/describe",
    )
    assert world.face.used == before + 1
    assert (described[0], described[1]) == (200, client.Lead.describe())
    assert [row["LastName"] for row in found[1]["records"]] == [lead.values["last_name"]]
    assert (missing[0], missing[1][0]["errorCode"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("urls", [[], 26 * ["/limits"], 6 * ["/query/?q=SELECT+Id+FROM+Lead"]])
def test_composite_has_its_limits(world: World, urls: list[str]) -> None:
    """At most 25 requests, and five queries among them."""
    with pytest.raises(SalesforceMalformedRequest):
        composite(world.client(), *urls)
