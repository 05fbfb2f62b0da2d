"""Who can be given leads: configured owners, found among those that a CRM has."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import Capabilities, Cursor, Page, Stream
from connectors.mapping import table
from core.model import Owner
from core.routing import Candidate, route
from core.turns import Had
from sync.facts_store import FactsStore
from sync.roster import Found, find
from sync.routing_settings import Routing

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNERS = [
    ("1", "person", "Ann Able", "ann@seller.example", True),
    ("2", "person", "Bob Gone", "bob@seller.example", False),
    ("3", "queue", "Inbound", None, True),
]


def found(queue_objects: tuple[str, ...], *pool: Any) -> Found:
    """What is found of a pool in a CRM whose queues may own these object types."""
    columns = zip(*OWNERS, strict=True)
    raw = dict(zip(("id", "kind", "name", "email", "active"), map(list, columns), strict=True))
    raw |= {"object_type": ["owners"] * len(OWNERS), "modified_at": [NOW] * len(OWNERS)}
    page = Page(Stream("owners", "owners"), table(Owner, raw).rows, Cursor(NOW))
    capabilities = Capabilities(
        objects=("Lead", "Contact"),
        write_batch=1,
        read_back_batch=1,
        lookback=timedelta(0),
        queue_objects=queue_objects,
    )
    with FactsStore(":memory:") as store:
        store.store("crm", page, at=NOW)
        return find(Routing.model_validate({"pool": pool}), store, "crm", capabilities)


@pytest.mark.parametrize(
    ("queue_objects", "to_lead", "to_contact"),
    [(("Lead",), "3", "1"), (("Lead", "Contact"), "3", "3"), ((), "1", "1")],
)
def test_a_queue_is_given_only_what_it_may_own(
    queue_objects: tuple[str, ...], to_lead: str, to_contact: str
) -> None:
    """A record goes to nobody who cannot own it, so the CRM has no reason to refuse."""
    roster = found(queue_objects, {"owner": "inbound", "weight": 9}, "ann@seller.example").roster
    for object_type, owner in (("Lead", to_lead), ("Contact", to_contact)):
        (assignment,) = route(
            [Candidate("L1", object_type, 1, "SQL")], roster, Had(), NOW
        ).assignments
        assert assignment.owner_id == owner


def test_who_cannot_be_given_leads_is_reported() -> None:
    """D33: owners that the CRM does not know or has inactive are named, and given nothing."""
    result = found((), "ANN@seller.example", "Bob Gone", "Inbound", "eve@seller.example")
    assert [share.owner_id for share in result.roster.pool.shares] == ["1", "2", "3"]
    assert result.roster.active == {"1"}
    assert (result.unknown, result.inactive) == (("eve@seller.example",), ("Bob Gone", "Inbound"))
