"""Things that go wrong with a HubSpot account, by name, to be switched on at a `Server`."""

import json

from connectors.sandbox.http import Fault, Response
from connectors.sandbox.hubspot.replies import ApiError, html, missing_scopes, rate_limited

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
}
"""What can be switched on, and what then happens."""

_OBJECTS = "^/crm/v3/objects/"
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
        "list-ends-early": Fault(
            rf"{_OBJECTS}\w+/?$", method="GET", times=None, alter=_without_next_page
        ),
    }
    return faults[name]


def _without_next_page(response: Response) -> Response:
    body = {name: part for name, part in json.loads(response.body).items() if name != "paging"}
    headers = {n: v for n, v in response.headers.items() if n != "Content-Encoding"}
    return Response(response.status, json.dumps(body).encode(), headers)
