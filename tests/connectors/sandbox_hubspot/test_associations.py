"""Who belongs to whom, also after merging and erasing."""

import pytest

from connectors.sandbox.crm import Kind, Record
from tests.connectors.sandbox_hubspot.world import MS, T0, World, ids, refused


def test_a_company_stands_twice_in_the_associations(world: World) -> None:
    account = world.crm.add(Kind.ACCOUNT, {"name": "A"})
    person = world.person(last_name="L", account=account.number)
    alone = world.person(last_name="M")
    answer = world.client.crm.associations.v4.batch_api.get_page(
        "contacts",
        "companies",
        {"inputs": [{"id": str(person.number)}, {"id": str(alone.number)}, {"id": "999"}]},
    )
    (result,) = answer.results
    assert result._from.id == str(person.number)
    (to,) = result.to
    assert int(to.to_object_id) == account.number
    assert [(t.type_id, t.label) for t in to.association_types] == [(1, "Primary"), (279, None)]
    row = world.get(
        f"/crm/v3/objects/contacts/{person.number}",
        associations="companies",
        properties="associatedcompanyid",
    )
    assert row["properties"]["associatedcompanyid"] == str(account.number)
    assert row["associations"]["companies"]["results"] == [
        {"id": str(account.number), "type": "contact_to_company"},
        {"id": str(account.number), "type": "contact_to_company_unlabeled"},
    ]


def test_an_engagement_can_have_many_people(world: World) -> None:
    people = world.people(3)
    deal = world.crm.add(Kind.DEAL, {"name": "D", "people": [people[0].number]})
    meeting = world.crm.add(
        Kind.ACTIVITY,
        {
            "type": "meeting",
            "at": T0,
            "people": [p.number for p in people],
            "deal": deal.number,
        },
    )
    world.crm.delete(people[2], bump=False)

    def linked(of: str, record: Record, to: str) -> list[tuple[int, int]]:
        body = {"inputs": [{"id": str(record.number)}]}
        answer = world.post(f"/crm/v4/associations/{of}/{to}/batch/read", body)
        rows = answer["results"][0]["to"]
        return [(r["toObjectId"], r["associationTypes"][0]["typeId"]) for r in rows]

    assert linked("meetings", meeting, "contacts") == [(p.number, 200) for p in people[:2]]
    assert linked("meetings", meeting, "deals") == [(deal.number, 212)]
    assert linked("contacts", people[1], "meetings") == [(meeting.number, 199)]
    assert linked("deals", deal, "meetings") == [(meeting.number, 211)]
    assert linked("deals", deal, "contacts") == [(people[0].number, 3)]
    assert linked("contacts", people[0], "deals") == [(deal.number, 4)]


def test_more_associations_than_a_list_carries(world: World) -> None:
    account = world.crm.add(Kind.ACCOUNT, {"name": "A"})
    people = [world.person(last_name="L", account=account.number) for _ in range(620)]
    (row,) = world.get("/crm/v3/objects/companies", associations="contacts")["results"]
    assert len(row["associations"]["contacts"]["results"]) == 200
    assert "next" in row["associations"]["contacts"]["paging"]
    path = f"/crm/v4/objects/companies/{account.number}/associations/contacts"
    first = world.get(path, limit=500)
    rest = world.get(path, limit=500, after=first["paging"]["next"]["after"])
    found = [r["toObjectId"] for r in first["results"] + rest["results"]]
    assert found == [person.number for person in people]
    each = {"id": str(account.number)}
    batch = "/crm/v4/associations/companies/contacts/batch/read"
    (page,) = world.post(batch, {"inputs": [each]})["results"]
    after = page["paging"]["next"]["after"]
    (more,) = world.post(batch, {"inputs": [each | {"after": after}]})["results"]
    assert [r["toObjectId"] for r in page["to"] + more["to"]] == found
    assert "paging" not in more


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 400)])
def test_associations_of_a_thousand(world: World, size: int, status: int) -> None:
    body = {"inputs": [{"id": str(n)} for n in range(size)]}
    path = "/crm/v4/associations/contacts/companies/batch/read"
    assert world.call("POST", path, body).status == status


def test_a_task_is_created_with_its_contact(world: World) -> None:
    person = world.person(last_name="L")
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]
    body = {
        "properties": {"hs_timestamp": str(MS), "hs_task_subject": "Call", "hs_task_type": "CALL"},
        "associations": [{"to": {"id": str(person.number)}, "types": types}],
    }
    made = world.client.crm.objects.tasks.basic_api.create(body)
    answer = world.get(f"/crm/v4/objects/tasks/{made.id}/associations/contacts")
    assert [row["toObjectId"] for row in answer["results"]] == [person.number]
    without = {"properties": {"hs_task_subject": "Call"}}
    assert world.call("POST", "/crm/v3/objects/tasks", without).status == 400


def test_a_merge_gives_a_new_id_and_old_ones_resolve(world: World) -> None:
    """Old ids answer on get, batch read and batch update, under the new id."""
    winner, loser = world.people(2)
    loser.values["phone"] = "1"
    call = world.did(loser, "call")
    api = world.client.crm.contacts
    made = api.basic_api.merge(
        {"primaryObjectId": str(winner.number), "objectIdToMerge": str(loser.number)}
    )
    old = {str(winner.number), str(loser.number)}
    assert made.id not in old
    for number in old:
        assert api.basic_api.get_by_id(number).id == made.id
    inputs = [{"id": number} for number in sorted(old)]
    read = world.post("/crm/v3/objects/contacts/batch/read", {"inputs": inputs})
    assert ids(read) == [int(made.id)]
    update = {"inputs": [{"id": str(loser.number), "properties": {"jobtitle": "CTO"}}]}
    written = world.post("/crm/v3/objects/contacts/batch/update", update)
    assert ids(written) == [int(made.id)]
    by_email = {"idProperty": "email", "inputs": [{"id": loser.values["email"]}]}
    found = world.post(
        "/crm/v3/objects/contacts/batch/read", by_email | {"properties": ["hs_additional_emails"]}
    )
    assert ids(found) == [int(made.id)]
    assert found["results"][0]["properties"]["hs_additional_emails"] == loser.values["email"]
    row = api.basic_api.get_by_id(made.id, properties=["hs_merged_object_ids", "phone", "jobtitle"])
    assert set(row.properties["hs_merged_object_ids"].split(";")) == old
    assert (row.properties["phone"], row.properties["jobtitle"]) == ("1", "CTO")
    assert row.created_at == winner.created
    assert ids(world.get("/crm/v3/objects/contacts")) == [int(made.id)]
    assert ids(world.get("/crm/v3/objects/contacts", archived=True)) == []
    links = world.get(f"/crm/v4/objects/calls/{call.number}/associations/contacts")
    assert [r["toObjectId"] for r in links["results"]] == [int(made.id)]


def test_a_converted_lead_is_its_contact(world: World) -> None:
    lead = world.person(last_name="L", email="a@x.example", company="A")
    contact = world.crm.convert(lead)
    (row,) = world.get(
        "/crm/v3/objects/contacts", properties="hs_merged_object_ids,associatedcompanyid"
    )["results"]
    assert row["id"] == str(contact.number)
    assert row["properties"]["hs_merged_object_ids"] == str(lead.number)
    assert row["properties"]["associatedcompanyid"] == str(contact.values["account"])
    assert world.get(f"/crm/v3/objects/contacts/{lead.number}")["id"] == str(contact.number)


def test_merged_companies_keep_their_people(world: World) -> None:
    winner, loser = (world.crm.add(Kind.ACCOUNT, {"name": n}) for n in "AB")
    person = world.person(last_name="L", account=loser.number)
    child = world.crm.add(Kind.ACCOUNT, {"name": "C", "parent": loser.number})
    body = {"primaryObjectId": str(winner.number), "objectIdToMerge": str(loser.number)}
    made = world.post("/crm/v3/objects/companies/merge", body)
    row = world.get(f"/crm/v3/objects/contacts/{person.number}", properties="associatedcompanyid")
    assert row["properties"]["associatedcompanyid"] == made["id"]
    path = f"/crm/v3/objects/companies/{child.number}"
    row = world.get(path, properties="hs_parent_company_id")
    assert row["properties"]["hs_parent_company_id"] == made["id"]


def test_erased_contacts_leave_nothing(world: World) -> None:
    person = world.person(email="a@x.example", last_name="Secret")
    api = world.client.crm.contacts.basic_api
    api.purge({"objectId": "A@x.example", "idProperty": "email"})
    assert api.get_page(archived=True).results == []
    assert refused(lambda: api.get_by_id(str(person.number)))[0] == 404
    assert person.values == {}
