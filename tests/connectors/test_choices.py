"""What people said about their privacy comes with their records, from where each CRM keeps it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from connectors.base import Cursor, Page, Stream
from connectors.sandbox.crm import Kind, Record
from tests.hubspot import hubspot_world
from tests.salesforce import SalesforceWorld, salesforce_world
from tests.world import mirrored

INDIVIDUALS = Stream("Individual", "leads")
AGREED = dict.fromkeys(
    (
        "opted_out_tracking",
        "opted_out_profiling",
        "opted_out_processing",
        "opted_out_solicit",
        "should_forget",
    ),
    "false",
)


@pytest.fixture
def org() -> Iterator[SalesforceWorld]:
    """An org in which Data Protection and Privacy is turned on."""
    with salesforce_world() as world:
        world.face.rules.privacy = True
        yield world


def of_one_person(org: SalesforceWorld) -> tuple[Record, Record, Record]:
    """An Individual, and the lead and the contact that refer to it."""
    said = org.crm.add(Kind.INDIVIDUAL, {"last_name": "Muster"})
    lead = org.lead(individual=said.number)
    return said, lead, org.lead(Kind.CONTACT, individual=said.number)


def custom(page: Page) -> dict[str, dict[str, str]]:
    """The further fields of a page's leads, by id."""
    return {row["id"]: dict(row["custom"] or ()) for row in page.rows.to_pylist()}


def test_leads_come_with_what_their_individual_says(org: SalesforceWorld) -> None:
    """The choices of an Individual are fields of lead and contact; without one nothing is known."""
    said, lead, contact = of_one_person(org)
    alone = org.lead()
    org.crm.update(said, {"no_tracking": True, "forget": True})
    org.clock.tick()
    leads = mirrored(org).leads()
    for record in (lead, contact):
        known = dict(leads[org.id(record)]["custom"])
        assert known == AGREED | {"opted_out_tracking": "true", "should_forget": "true"}
    assert not leads[org.id(alone)]["custom"]


def test_an_individual_that_changes_brings_its_records(org: SalesforceWorld) -> None:
    """A changed Individual alone brings lead and contact anew, under the stamps that they have; at
    the price that was foretold. One that was deleted says nothing any more."""
    said, lead, contact = of_one_person(org)
    org.lead()
    org.clock.tick(minutes=5)
    before = mirrored(org).leads()
    (first,) = org.connector.pull(INDIVIDUALS, None, org.clock())
    assert (first.rows.num_rows, first.cursor) == (0, Cursor(org.clock()))
    assert org.connector.count(INDIVIDUALS, None) == 0

    seen = Cursor(org.clock() + timedelta(seconds=1))
    org.clock.tick(minutes=5)
    org.crm.update(said, {"no_profiling": True})
    org.clock.tick(minutes=5)
    records = org.connector.count(INDIVIDUALS, seen)
    price = org.connector.price(INDIVIDUALS, seen, records)
    calls = org.connector.usage.total
    (page,) = org.connector.pull(INDIVIDUALS, seen, org.clock())
    assert (records, price.total) == (1, org.connector.usage.total - calls)
    both = {org.id(lead), org.id(contact)}
    assert custom(page) == dict.fromkeys(both, AGREED | {"opted_out_profiling": "true"})
    for row in page.rows.to_pylist():
        assert row["modified_at"] == before[row["id"]]["modified_at"]
    (nothing,) = org.connector.pull(INDIVIDUALS, page.cursor, org.clock())
    assert nothing.rows.num_rows == 0

    org.crm.delete(said)
    leads = mirrored(org).leads()
    assert not any(leads[id_]["custom"] for id_ in both)


def test_an_org_without_individuals_is_read_as_ever(org: SalesforceWorld) -> None:
    """Where Data Protection and Privacy is off there is no such stream, and no such question."""
    org.prepare_fields()
    assert "Individual" in {stream.name for stream in org.connector.streams()}
    org.face.rules.privacy = False
    org.crm.revision += 1
    plain = org.connect()
    assert "Individual" not in {stream.name for stream in plain.streams()}
    assert plain.check() == []


def test_contacts_come_with_their_legal_basis() -> None:
    """HubSpot's legal basis is a field of the contact, several as HubSpot writes them."""
    with hubspot_world() as world:
        bases = ["Performance of a contract", "Freely given consent from contact"]
        lead = world.lead(legal_basis=bases)
        world.clock.tick()
        found = mirrored(world).leads()[world.id(lead)]
        assert dict(found["custom"])["legal_basis"] == ";".join(bases)
