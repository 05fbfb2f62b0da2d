"""The Composite resource: several requests in one call, which counts as one."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from connectors.sandbox.http import Request, Response
from connectors.sandbox.salesforce.errors import ApiError, RowError

MOST = 25
MOST_QUERIES = 5
_COSTLY = re.compile(r"/(query|queryAll|composite/sobjects)\b")


def composite(
    request: Request, body: Mapping[str, Any], answer: Callable[[Request, str], Response]
) -> dict[str, Any]:
    """The answers to the requests of a body, in their order; `answer` takes one and its path.

    References from one request to the result of another are not resolved. Raises ApiError for
    a body that is refused as a whole.
    """
    parts = body.get("compositeRequest") or []
    if not 0 < len(parts) <= MOST:
        raise ApiError(400, "INVALID_INPUT", f"Give 1 to {MOST} subrequests")
    if sum(bool(_COSTLY.search(part["url"])) for part in parts) > MOST_QUERIES:
        raise ApiError(400, "INVALID_INPUT", f"Give at most {MOST_QUERIES} queries or collections")
    return {"compositeResponse": [_answered(request, part, answer) for part in parts]}


def _answered(
    request: Request, part: Mapping[str, Any], answer: Callable[[Request, str], Response]
) -> dict[str, Any]:
    url = urlsplit(part["url"])
    path = re.sub(r"^/services/data/v\d+\.0", "", unquote(url.path))
    sub = replace(
        request,
        method=part["method"],
        path=url.path,
        query=parse_qs(url.query),
        headers={k: v for k, v in request.headers.items() if k != "accept-encoding"},
        body=json.dumps(part.get("body", {})).encode(),
        target=part["url"],
    )
    try:
        response = answer(sub, path.rstrip("/"))
    except ApiError as error:
        response = error.response()
    except RowError as refusal:
        response = refusal.request_error().response()
    return {
        "body": json.loads(response.body) if response.body else None,
        "httpHeaders": {},
        "httpStatusCode": response.status,
        "referenceId": part["referenceId"],
    }
