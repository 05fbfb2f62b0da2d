"""What reading costs, in calls, where it is known how many records there are.

Properties too many for one address or one search make their pages cost more; this is not seen
here.
"""

from connectors.base import Cursor, Price
from connectors.hubspot.client import ASSOCIATIONS, HISTORY_BATCH, LIST_PAGE, SEARCH_PAGE
from connectors.hubspot.fields import COMPANIES, CONTACTS, DEALS, ENGAGEMENTS

ASKED = {"owners": 2, "email_events": 2, "form_submissions": 1}
"""The calls of a stream that cannot be counted, where it fits on a page: the living and the
archived owners, opens and clicks, the list of forms."""


def reading(stream: str, cursor: Cursor | None, records: int | None, *, history: bool) -> Price:
    """The price of a stream after a cursor; one that cannot be counted is priced as empty."""
    count = records or 0
    if stream == "events":
        # One call for each contact that has any, unless it has more than a page.
        return Price({"search": _pages(count, SEARCH_PAGE), "read": count}, exact=False)
    if stream not in (CONTACTS, COMPANIES, DEALS, *ENGAGEMENTS):
        return Price({"read": ASKED.get(stream, 1)}, exact=False)
    if stream in (CONTACTS, COMPANIES):
        further = -(-count // HISTORY_BATCH) if history else 0
    else:
        further = 2 * -(-count // ASSOCIATIONS)
    if cursor is None or cursor.stamp is None:
        return Price({"read": _pages(count, LIST_PAGE) + further})
    return Price({"search": _pages(count, SEARCH_PAGE), "read": further})


def _pages(records: int, size: int) -> int:
    """A stream without records takes one call to see that."""
    return max(1, -(-records // size))
