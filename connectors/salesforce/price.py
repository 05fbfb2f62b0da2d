"""What reading costs, in calls, where it is known how many records there are."""

from connectors.base import Cursor, Price
from connectors.salesforce.fields import ROLES, ObjectMap
from connectors.salesforce.history import HISTORIES, HISTORY_ASKED
from connectors.salesforce.pull import BULK_FROM, BULK_PAGE, REST_PAGE
from connectors.salesforce.soql import IDS_PER_QUERY

JOB_CALLS = 5
"""Creating a bulk job, and some looks at its state."""


def reading(item: ObjectMap, cursor: Cursor | None, records: int | None, *, history: bool) -> Price:
    """The price of the records of one object after a cursor; at least a call where not known."""
    price = _records(item, cursor, records)
    return price + _history(records or 0) if history and item.name in HISTORIES else price


def _history(records: int) -> Price:
    """What the history of some records costs where it has no more than a page for each query."""
    asked = HISTORY_ASKED if records else 0
    return Price({"read": asked + -(-records // IDS_PER_QUERY)}, exact=not records)


def _records(item: ObjectMap, cursor: Cursor | None, records: int | None) -> Price:
    first = cursor is None or cursor.stamp is None
    if item.name == ROLES and first:
        return Price()
    if records is None:
        return Price({"read": 1}, exact=False)
    if item.name == ROLES:
        # Each role is taken to be of an opportunity of its own.
        of_roles, of_their_deals = -(-records // REST_PAGE), -(-records // IDS_PER_QUERY)
        return Price({"read": max(1, of_roles) + of_their_deals}, exact=not records)
    if records > BULK_FROM and item.bulk:
        # The first page of a query says that there is too much for it.
        job = JOB_CALLS + -(-records // BULK_PAGE)
        return Price({"read": 1, "bulk": job}, exact=False)
    return Price({"read": max(1, -(-records // REST_PAGE))})
