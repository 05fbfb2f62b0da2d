"""Things that go wrong with a HubSpot account, by name, to be switched on at a `Server`."""

import json
from typing import Any

from connectors.sandbox import happenings
from connectors.sandbox.http import Around, Face, Fault, Request, Response
from connectors.sandbox.hubspot.replies import (
    ApiError,
    html,
    invalid_values,
    missing_scopes,
    rate_limited,
)

FAULTS = {
    "ten-secondly": "a call is refused by the 10-second rate limit",
    "daily-limit": "the account's calls of the day are used up, from now on",
    "expired-token": "the OAuth token has expired in the middle of a run",
    "missing-scopes": "reading contacts is not granted, and the error names the scope wrongly",
    "server-error-html": "the edge answers 502 with an HTML page",
    "locked": "a batch update meets records locked by others (423)",
    "drop-after-write": "a batch update is carried out, and the connection lost before its answer",
    "conflict": "a batch update is refused as a whole for a conflict (409)",
    "truncated": "an answer breaks off halfway",
    "list-ends-early": "a list says that its first page is the last one, though there are more",
    "drop-before-write": "the connection is lost before a batch update arrives",
    "row-refused": "a batch update is refused for the values of its first record, from now on",
    "hang": "no answer comes to a list for ten minutes, once",
    "index-lag": "search shows what was a minute ago, from now on",
    "repeated-row": "the last record of a list's page comes again on the next one, from now on",
    **happenings.NAMES,
}
"""What can be switched on, and what then happens."""

LAG = 60.0
_OBJECTS = "^/crm/v3/objects/"
_LIST = rf"{_OBJECTS}\w+/?$"
_UPDATE = "/batch/update/?$"


def fault(name: str) -> Fault:
    """The fault of that name, striking once unless it lasts by nature. Raises KeyError."""
    locked = ApiError(423, "LOCKED", "The resource is locked: wait at least 2 seconds")
    expired = ApiError(
        401,
        "EXPIRED_AUTHENTICATION",
        "The OAuth token used to make this call expired 7 second(s) ago.",
    )
    conflict = ApiError(409, "CONFLICT", "A record of the batch conflicts with another one")
    faults = {
        name: Fault(_OBJECTS, around=happenings.after(happens))
        for name, happens in happenings.AFTERWARDS.items()
    }
    return {
        **faults,
        "ten-secondly": Fault(_OBJECTS, response=rate_limited("TEN_SECONDLY_ROLLING").response),
        "daily-limit": Fault("", times=None, response=rate_limited("DAILY").response),
        "expired-token": Fault(_OBJECTS, response=expired.response),
        "missing-scopes": Fault(
            f"{_OBJECTS}contacts", times=None, response=missing_scopes(["contacts"]).response
        ),
        "server-error-html": Fault(_OBJECTS, response=html(502, "Bad Gateway")),
        "locked": Fault(_UPDATE, response=locked.response),
        "drop-after-write": Fault(_UPDATE, drop="after"),
        "conflict": Fault(_UPDATE, response=conflict.response),
        "truncated": Fault(_OBJECTS, method="GET", drop="truncate"),
        "list-ends-early": Fault(_LIST, method="GET", times=None, around=_without_next_page),
        "drop-before-write": Fault(_UPDATE, drop="before"),
        "row-refused": Fault(_UPDATE, times=None, around=_refusing_one()),
        "hang": Fault(_LIST, method="GET", delay=600.0),
        "index-lag": Fault(_OBJECTS, around=_lagging),
        "repeated-row": Fault(
            _LIST,
            method="GET",
            times=None,
            around=happenings.repeating("results", lambda request: "after" in request.query),
        ),
    }[name]


def _lagging(face: Any, request: Request) -> Response:
    face.lagging.lag = LAG
    answer: Response = face(request)
    return answer


def _refusing_one() -> Around:
    """The record is the first of the first call; alone or among others, it is refused."""
    bad: list[str] = []

    def around(face: Face, request: Request) -> Response:
        ids = [each["id"] for each in json.loads(request.body)["inputs"]]
        bad[:] = bad or ids[:1]
        if bad[0] not in ids:
            return face(request)
        return invalid_values([{"isValid": False, "error": "INVALID_OPTION"}]).response

    return around


def _without_next_page(face: Face, request: Request) -> Response:
    response = face(request)
    body = {name: part for name, part in json.loads(response.body).items() if name != "paging"}
    headers = {n: v for n, v in response.headers.items() if n != "Content-Encoding"}
    return Response(response.status, json.dumps(body).encode(), headers)
