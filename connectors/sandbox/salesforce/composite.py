"""The Composite resource: several requests in one call, which counts as one."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from connectors.sandbox.http import Response
from connectors.sandbox.salesforce.call import Call
from connectors.sandbox.salesforce.errors import ApiError, RowError

MOST = 25
MOST_QUERIES = 5
_COSTLY = re.compile(r"/(query|queryAll|composite/sobjects)\b")


def composite(call: Call, route: Callable[[Call, str], Response]) -> dict[str, Any]:
    """The answers to the requests in a call's body, in their order; `route` has them answered.

    References from one request to the result of another are not resolved. Raises ApiError for
    a body that is refused as a whole.
    """
    parts = call.body().get("compositeRequest") or []
    if not 0 < len(parts) <= MOST:
        raise ApiError(400, "INVALID_INPUT", f"Give 1 to {MOST} subrequests")
    if sum(bool(_COSTLY.search(part["url"])) for part in parts) > MOST_QUERIES:
        raise ApiError(400, "INVALID_INPUT", f"Give at most {MOST_QUERIES} queries or collections")
    return {"compositeResponse": [_answered(call, part, route) for part in parts]}


def _answered(
    call: Call, part: Mapping[str, Any], route: Callable[[Call, str], Response]
) -> dict[str, Any]:
    url = urlsplit(part["url"])
    request = replace(
        call.request,
        method=part["method"],
        path=unquote(url.path),
        query=parse_qs(url.query),
        # The answer is packed as a whole.
        headers={k: v for k, v in call.request.headers.items() if k != "accept-encoding"},
        body=json.dumps(part.get("body", {})).encode(),
        target=part["url"],
    )
    try:
        path = request.path.removeprefix(f"/services/data/v{call.version}")
        response = route(replace(call, request=request), path.rstrip("/"))
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
