"""Salesforce's errors: of a whole request, and of one record within it."""

import json
from dataclasses import dataclass

from connectors.sandbox.http import Response

JSON_TYPE = "application/json;charset=UTF-8"


@dataclass
class ApiError(Exception):
    """The whole request is refused: an HTTP status and Salesforce's list body."""

    status: int
    code: str
    message: str
    fields: tuple[str, ...] = ()

    def response(self) -> Response:
        """The error as Salesforce sends it: always a list."""
        error: dict[str, object] = {"message": self.message, "errorCode": self.code}
        if self.fields:
            error["fields"] = list(self.fields)
        return Response(self.status, json.dumps([error]).encode(), {"Content-Type": JSON_TYPE})


@dataclass
class RowError(Exception):
    """One record is refused; in a collection or a bulk job the others go on."""

    code: str
    message: str
    fields: tuple[str, ...] = ()

    def outcome(self) -> dict[str, object]:
        """The same refusal as one record's outcome in a collection."""
        problem = {"statusCode": self.code, "message": self.message, "fields": list(self.fields)}
        return {"success": False, "errors": [problem]}

    def request_error(self) -> ApiError:
        """The same refusal as the answer to the whole request."""
        if self.code == "INVALID_TYPE_ON_FIELD_IN_RECORD":
            return ApiError(400, "JSON_PARSER_ERROR", self.message)
        missing = self.code in ("NOT_FOUND", "ENTITY_IS_DELETED")
        return ApiError(404 if missing else 400, self.code, self.message, self.fields)


def expired() -> ApiError:
    """The session is not one, or no longer."""
    return ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")


def daily_limit() -> ApiError:
    """The calls of the day are used up."""
    return ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")


def concurrent_limit() -> ApiError:
    """Too many long calls at once."""
    return ApiError(
        403,
        "REQUEST_LIMIT_EXCEEDED",
        "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
    )


def api_disabled() -> ApiError:
    """The org's edition has no API."""
    return ApiError(
        403, "API_DISABLED_FOR_ORG", "API is not enabled for this Organization or Partner"
    )


def query_timeout() -> ApiError:
    """A query ran for two minutes."""
    return ApiError(400, "QUERY_TIMEOUT", "Your query request was running for too long.")


def lost_locator() -> ApiError:
    """The cursor is gone."""
    return ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")


def not_found() -> ApiError:
    """No such path, object or record."""
    return ApiError(404, "NOT_FOUND", "The requested resource does not exist")


def locked(record_id: str) -> RowError:
    """Another transaction holds the record."""
    return RowError(
        "UNABLE_TO_LOCK_ROW",
        f"unable to obtain exclusive access to this record or 1 records: {record_id}",
    )
