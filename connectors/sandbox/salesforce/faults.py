"""Named faults for the Salesforce face, for `leadgauge sandbox --fault` and the tests."""

import json
from typing import Any

from connectors.sandbox import happenings
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
    "row-refused": "a validation rule refuses the first record of a collection, from now on",
    "bulk-failed": "a bulk job that writes fails halfway, and what it wrote stays, once",
    "bulk-unchanged": "a bulk job says that all is written, and changes nothing, once",
    "hang": "no answer comes to a query for ten minutes, once",
    "late-commit": "a lead is stamped as a query is answered, and seen four minutes later, once",
    "repeated-row": "the last record of a query's page comes again on the next one, from now on",
    **happenings.NAMES,
}
"""What can go wrong, by name."""

_REST = r"/services/data/v[\d.]+/"
_QUERY = _REST + r"query(All)?/?$"
_COLLECTION = _REST + r"composite/sobjects/?$"
_START = _REST + r"jobs/ingest/\w+/?$"
_WRITES = "PATCH|POST|DELETE"


def fault(name: str) -> Fault:
    """A new fault by name. KeyError when there is none of that name."""
    faults = {
        name: Fault(_QUERY, around=happenings.after(happens))
        for name, happens in happenings.AFTERWARDS.items()
    }
    return {
        **faults,
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
        "row-refused": Fault(_COLLECTION, "PATCH", around=_refusing_one),
        "bulk-failed": Fault(_START, "PATCH", around=_failing_halfway),
        "bulk-unchanged": Fault(_START, "PATCH", around=_changing_nothing),
        "hang": Fault(_QUERY, delay=600.0),
        "late-commit": Fault(_QUERY, around=happenings.after(happenings.commit_late)),
        "repeated-row": Fault(
            _REST + "query",
            times=None,
            around=happenings.repeating("records", lambda request: "/query/" in request.path),
        ),
    }[name]


def _refusing_one(face: Any, request: Request) -> Response:
    record = json.loads(request.body)["records"][0]
    face.rules.invalid[str(record.get("id") or record.get("Id"))] = "Ask your admin first."
    answer: Response = face(request)
    return answer


def _failing_halfway(face: Any, request: Request) -> Response:
    face.bulk.job(_job(request)).breaks = True
    answer: Response = face(request)
    return answer


def _changing_nothing(face: Any, request: Request) -> Response:
    """An empty cell leaves a field as it is."""
    job = face.bulk.job(_job(request))
    job.rows = [{c: v if c.lower() == "id" else "" for c, v in row.items()} for row in job.rows]
    answer: Response = face(request)
    return answer


def _job(request: Request) -> str:
    return request.path.rstrip("/").rpartition("/")[2]


def _all_locked(request: Request) -> Response:
    records = json.loads(request.body)["records"]
    outcomes = [errors.locked(str(r.get("id") or r.get("Id"))).outcome() for r in records]
    return Response(200, json.dumps(outcomes).encode(), {"Content-Type": errors.JSON_TYPE})


def _overloaded() -> Response:
    body = b"<html><body><h1>Service Unavailable</h1>We are down for maintenance.</body></html>"
    return Response(503, body, {"Content-Type": "text/html;charset=UTF-8"})
