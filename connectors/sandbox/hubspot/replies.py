"""What HubSpot answers: JSON bodies, both error shapes, and values as its text."""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from connectors.sandbox.http import Response

JSON = "application/json;charset=utf-8"


def reply(status: int, body: Any = None) -> Response:
    """A JSON answer; without a body for 204."""
    if body is None:
        return Response(status)
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(status, text.encode(), {"Content-Type": JSON})


def html(status: int, title: str) -> Response:
    """An answer of the edge in front of HubSpot, which speaks HTML."""
    page = f"<html><head><title>{status} {title}</title></head><body>{title}</body></html>"
    return Response(status, page.encode(), {"Content-Type": "text/html"})


class ApiError(Exception):
    """A request that HubSpot refuses, in its own error shape; OAuth has its own `word`."""

    def __init__(
        self, status: int, category: str, message: str, *, word: str = "error", **more: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "status": word,
            "message": message,
            "correlationId": correlation_id(message),
            **({"category": category} if category else {}),
            **more,
        }

    @property
    def response(self) -> Response:
        """The error as an answer."""
        return reply(self.status, self.body)


def correlation_id(message: str) -> str:
    """The id under which HubSpot's support would find an error; the same for the same text."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, message))


def invalid(message: str) -> ApiError:
    """A request that makes no sense: 400."""
    return ApiError(400, "VALIDATION_ERROR", message)


def invalid_values(problems: Sequence[Mapping[str, Any]]) -> ApiError:
    """Property values that were refused: HubSpot puts a JSON list inside the message."""
    return invalid(f"Property values were not valid: {json.dumps(list(problems))}")


def not_found() -> ApiError:
    """No such record or path: 404."""
    return ApiError(404, "OBJECT_NOT_FOUND", "resource not found")


def missing_scopes(scopes: Sequence[str]) -> ApiError:
    """The token lacks a scope: 403."""
    link = "https://developers.hubspot.com/scopes"
    return ApiError(
        403,
        "MISSING_SCOPES",
        "This app hasn't been granted all required scopes to make this call. "
        f"Read more about required scopes here: {link}.",
        errors=[
            {
                "message": "One or more of the following scopes are required.",
                "context": {"requiredScopes": list(scopes)},
            }
        ],
        links={"scopes": link},
    )


def rate_limited(policy: str) -> ApiError:
    """Too many calls: 429. `policy` is TEN_SECONDLY_ROLLING, SECONDLY or DAILY."""
    return ApiError(
        429,
        "",
        f"You have reached your {policy.lower()} limit.",
        errorType="RATE_LIMIT",
        policyName=policy,
        groupName="publicapi:private-apps-api-calls",
        requestId=correlation_id(policy),
    )


def stamp(at: datetime) -> str:
    """A time as HubSpot writes it: UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def millis(at: datetime) -> int:
    """A time in whole milliseconds since 1970."""
    return int(at.timestamp()) * 1000 + at.microsecond // 1000


def text(value: Any) -> str | None:
    """A property value as HubSpot's text; None when empty."""
    if value is None or value == "" or value == []:
        return None
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case datetime():
            return stamp(value)
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case list() | tuple():
            return ";".join(value)
    return str(value)
