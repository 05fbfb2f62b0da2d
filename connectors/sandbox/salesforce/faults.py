"""Named faults for the Salesforce face, for `leadgauge sandbox --fault` and the tests."""

import json

from connectors.sandbox.http import Fault, Request, Response
from connectors.sandbox.salesforce import errors

FAULTS = {
    "expired-session": "the session is refused once, in the middle of things (401)",
    "daily-limit": "the daily quota is used up (403 TotalRequests), from now on",
    "concurrent-limit": "too many long calls at once (403 ConcurrentRequests), three times",
    "api-disabled": "the org's edition has no API (403), from now on",
    "query-timeout": "a query runs for too long (400), once",
    "lost-locator": "the cursor of a query is gone at its second page (400), once",
    "lock-row": "every record of a collection is locked by somebody else, twice",
    "server-error": "the server is overloaded and says so in HTML (503), twice",
    "drop-before-write": "the connection is lost before a write arrives, once",
    "drop-after-write": "a write is carried out and its answer is lost, once",
    "truncated": "half of a page of a query arrives, once",
}
"""What can go wrong, by name."""

_REST = r"/services/data/v[\d.]+/"
_QUERY = _REST + r"query(All)?/?$"
_COLLECTION = _REST + r"composite/sobjects/?$"
_WRITES = "PATCH|POST|DELETE"


def fault(name: str) -> Fault:
    """A new fault by name. KeyError when there is none of that name."""
    return {
        "expired-session": Fault(_REST, skip=3, response=errors.expired().response()),
        "daily-limit": Fault(_REST, times=None, response=errors.daily_limit().response()),
        "concurrent-limit": Fault(_REST, times=3, response=errors.concurrent_limit().response()),
        "api-disabled": Fault(_REST, times=None, response=errors.api_disabled().response()),
        "query-timeout": Fault(_QUERY, response=errors.query_timeout().response()),
        "lost-locator": Fault(_REST + "query/01g", response=errors.lost_locator().response()),
        "lock-row": Fault(_COLLECTION, "PATCH", times=2, response=_all_locked),
        "server-error": Fault(_REST, times=2, response=_overloaded()),
        "drop-before-write": Fault(_COLLECTION, _WRITES, drop="before"),
        "drop-after-write": Fault(_COLLECTION, _WRITES, drop="after"),
        "truncated": Fault(_QUERY, drop="truncate"),
    }[name]


def _all_locked(request: Request) -> Response:
    records = json.loads(request.body)["records"]
    outcomes = [errors.locked(str(r.get("id") or r.get("Id"))).outcome() for r in records]
    return Response(200, json.dumps(outcomes).encode(), {"Content-Type": errors.JSON_TYPE})


def _overloaded() -> Response:
    body = b"<html><body><h1>Service Unavailable</h1>We are down for maintenance.</body></html>"
    return Response(503, body, {"Content-Type": "text/html;charset=UTF-8"})
