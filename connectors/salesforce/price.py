"""What reading costs, in calls, where it is known how many records there are."""

from connectors.base import Cursor, Price
from connectors.salesforce.fields import ObjectMap
from connectors.salesforce.pull import BULK_FROM, BULK_PAGE, REST_PAGE
from connectors.salesforce.soql import IDS_PER_QUERY

JOB_CALLS = 5
"""Creating a bulk job, and some looks at its state."""


def histories(records: int | None, asked: int) -> Price:
    """The price of the history of some records, where it has a page at most for each query;
    `asked` calls are needed to know what is kept."""
    if not records:
        return Price()
    return Price({"read": asked + -(-records // IDS_PER_QUERY)}, exact=False)


def reading(item: ObjectMap, cursor: Cursor | None, records: int | None) -> Price:
    """The price of the records of one object after a cursor; at least a call where not known."""
    first = cursor is None or cursor.stamp is None
    if item.ways and first:
        return Price()
    if records is None:
        return Price({"read": 1}, exact=False)
    if item.ways:
        # Each record is taken to lead to one of its own, each way.
        own, others = -(-records // REST_PAGE), -(-records // IDS_PER_QUERY)
        return Price({"read": max(1, own) + others * len(item.ways)}, exact=not records)
    if records > BULK_FROM and item.bulk:
        # The first page of a query says that there is too much for it.
        job = JOB_CALLS + -(-records // BULK_PAGE)
        return Price({"read": 1, "bulk": job}, exact=False)
    return Price({"read": max(1, -(-records // REST_PAGE))})
