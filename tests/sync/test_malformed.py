"""Rows that lack what every row has: each is left out and told, and all the others are read."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault
from tests.lacking import lacking
from tests.live import Live, Seller, balanced, live

pytestmark = pytest.mark.slow

PEOPLE = 3
KINDS = ("call", "page_view", "email_open", "email_click", "form_submission", "meeting")
MODEL = {
    "fit": [],
    "behaviour": [
        {"id": kind, "points": 1, "when": {"type": kind}, "count": "once"} for kind in KINDS
    ],
    "decays": {},
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, in each three people at a company who did everything, and a deal."""
    with live(tmp_path) as world:
        for seller in world.sellers.values():
            populate(seller)
        yield world


def populate(seller: Seller) -> None:
    """Three people."""
    firm = seller.crm.add(Kind.ACCOUNT, {"name": "Firm"})
    kind = Kind.CONTACT if seller.name == "sales" else Kind.LEAD
    for n in range(PEOPLE):
        person = {"last_name": f"P{n}", "email": f"p{n}@firm.example"}
        who = seller.crm.add(kind, {**person, "account": firm.number})
        at = seller.crm.clock() - timedelta(hours=1)
        for what in KINDS:
            done = {"type": what, "at": at, "people": [who.number], "asset": "Contact us"}
            seller.crm.add(Kind.ACTIVITY, done)
    seller.crm.add(Kind.DEAL, {"name": "D", "account": firm.number, "people": [who.number]})


HUBSPOT = {
    "email event: recipient": ("/email/public/v1/events", {"lead_id": 2}, 2),
    "email event: created": ("/email/public/v1/events", {"occurred_at": 2, "modified_at": 2}, 2),
    "email event: type": ("/email/public/v1/events", {"type": 2}, 2),
    "submission: submittedAt": ("/submissions/forms", {"occurred_at": 1, "modified_at": 1}, 1),
    "submission: values": ("/submissions/forms", {}, 1),
    "event: occurredAt": ("/events/v3/events", {"occurred_at": 3, "modified_at": 3}, 3),
    "event: eventType": ("/events/v3/events", {"type": 3}, 3),
    "owner: updatedAt": ("/owners", {"modified_at": 2}, 0),
}
SALESFORCE = {
    "Task: CreatedDate ActivityDate CompletedDateTime": ({"occurred_at": 1}, 1),
    "Event: EndDateTime": ({}, 0),
    "User: IsActive": ({"active": 1}, 0),
    "Contact: Email IsDeleted": ({}, 0),
    "Opportunity: OpportunityContactRoles IsClosed": ({}, 0),
}
"""What is missing of which row -> the fields that are told, how often, and the points lost."""


@pytest.mark.parametrize("case", [*HUBSPOT, *SALESFORCE])
def test_a_row_that_lacks_a_field(world: Live, case: str) -> None:
    """D05: it alone is left out, with the field and the reason; all else is read and scored."""
    what, _, keys = case.partition(": ")
    if case in HUBSPOT:
        seller, (path, told, lost) = world.marketing, HUBSPOT[case]
        fault = Fault(path, "GET", times=None, around=lacking(*keys.split()))
    else:
        seller, (told, lost) = world.sales, SALESFORCE[case]
        around = lacking(*keys.split(), of=what)
        fault = Fault("/queryAll", times=None, around=around)
    world.configure(seller.name)
    world.model(**MODEL)
    world.set_up()
    seller.server.faults.append(fault)
    outcome = world.sync()
    assert fault.hit
    assert balanced(outcome.json)
    (part,) = outcome.json["connections"]
    fields = Counter[str]()
    for problem, count in part["unread"].items():
        field, _, reason = problem.partition(": ")
        assert reason.startswith("is missing: ")
        fields[field] += count
    assert fields == told
    people = seller.crm.records(Kind.LEAD, Kind.CONTACT)
    scores = [seller.shown(person)["score"] for person in people]
    assert sum(scores) == PEOPLE * len(KINDS) - lost
