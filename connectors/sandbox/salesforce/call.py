"""One call of the REST API, and what its handlers need of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.http import Request, Response
from connectors.sandbox.salesforce.errors import JSON_TYPE, ApiError, not_found
from connectors.sandbox.salesforce.evaluate import Objects
from connectors.sandbox.salesforce.fields import SObject


@dataclass(frozen=True)
class Call:
    """One REST call, and what its handlers need of it."""

    request: Request
    session: str
    version: str
    objects: Objects

    @property
    def pretty(self) -> bool:
        """Whether the client asked for indented JSON."""
        return self.request.headers.get("x-prettyprint", "") in ("1", "true")

    @property
    def packed(self) -> bool:
        """Whether the client takes gzip."""
        return "gzip" in self.request.headers.get("accept-encoding", "")

    def parameter(self, name: str) -> str:
        """A parameter of the query string, or nothing."""
        return self.request.query.get(name, [""])[0]

    def moment(self, name: str) -> datetime:
        """A parameter that is a time. ApiError when it is none, or has no offset."""
        refusal = ApiError(400, "INVALID_REPLICATION_DATE", f"Invalid {name} date")
        try:
            at = datetime.fromisoformat(self.parameter(name))
        except ValueError:
            raise refusal from None
        if at.tzinfo is None:
            raise refusal
        return at.astimezone(UTC)

    def sobject(self, name: str) -> SObject:
        """An object by name. ApiError NOT_FOUND."""
        sobject = self.objects.get(name.lower())
        if sobject is None or not sobject.prefix:
            raise not_found()
        return sobject

    def body(self) -> Mapping[str, Any]:
        """The body as a JSON object. ApiError JSON_PARSER_ERROR."""
        try:
            body = json.loads(self.request.body)
        except ValueError as wrong:
            raise ApiError(400, "JSON_PARSER_ERROR", f"Unexpected character: {wrong}") from wrong
        if not isinstance(body, dict):
            raise ApiError(400, "JSON_PARSER_ERROR", "The HTTP entity body must be an object")
        return body

    def json(self, value: object, status: int = 200) -> Response:
        """An answer in JSON, indented when asked."""
        separators = (",", " : ") if self.pretty else (",", ":")
        text = json.dumps(
            value, ensure_ascii=False, indent=2 if self.pretty else None, separators=separators
        )
        return Response(status, text.encode(), {"Content-Type": JSON_TYPE})
