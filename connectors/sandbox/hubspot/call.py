"""One request on its way through the face: what was asked, and what it may look at."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.crm import Crm
from connectors.sandbox.http import Request
from connectors.sandbox.hubspot.index import Index
from connectors.sandbox.hubspot.limits import Access
from connectors.sandbox.hubspot.objects import BY_PATH, ObjectType
from connectors.sandbox.hubspot.replies import ApiError, invalid


@dataclass(frozen=True)
class Call:
    """A request with the CRM and its index. Every reader raises ApiError for what is wrong."""

    request: Request
    crm: Crm
    index: Index
    access: Access

    def object_type(self, name: str, verb: str = "read") -> ObjectType:
        """The object type that a path names, once the token may read or write it."""
        kind = BY_PATH.get(name)
        if kind is None:
            raise ApiError(400, "VALIDATION_ERROR", f"Unable to infer object type from: {name}")
        self.access.require(f"crm.objects.{kind.scope}.{verb}")
        return kind

    def one(self, name: str, default: str = "") -> str:
        """A query parameter."""
        return self.request.query.get(name, [default])[-1]

    def many(self, name: str) -> list[str]:
        """A query parameter that may be repeated, or hold a list with commas."""
        return [part for value in self.request.query.get(name, []) for part in value.split(",")]

    def flag(self, name: str) -> bool:
        """A boolean query parameter; the Python client says True, others true."""
        return self.one(name).lower() == "true"

    def limit(self, default: int, most: int) -> int:
        """The page size that was asked for."""
        value = self.one("limit")
        limit = int(value) if value.isdigit() else default
        if not 1 <= limit <= most:
            raise invalid(f"Invalid limit: it must be between 1 and {most}")
        return limit

    def after(self, default: int = 0) -> int:
        """The cursor that was given back."""
        value = self.one("after")
        if value and not value.isdigit():
            raise invalid(f"Invalid paging cursor: {value}")
        return int(value) if value else default

    def body(self) -> dict[str, Any]:
        """The JSON object that was sent."""
        try:
            body = json.loads(self.request.body or b"{}")
        except json.JSONDecodeError as error:
            raise invalid(f"Invalid input JSON on line {error.lineno}") from None
        if not isinstance(body, dict):
            raise invalid("Invalid input JSON: an object was expected")
        return body

    def inputs(self, most: int = 100) -> list[dict[str, Any]]:
        """The inputs of a batch."""
        inputs = self.body().get("inputs")
        if not isinstance(inputs, list) or not all(isinstance(each, dict) for each in inputs):
            raise invalid("Some required fields were not set: [inputs]")
        if len(inputs) > most:
            raise invalid(f"The maximum number of inputs supported in a batch is {most}")
        return inputs

    def paging(self, after: object) -> dict[str, Any]:
        """The pointer to the next page."""
        host = self.request.headers.get("host", "api.hubapi.com")
        link = f"http://{host}{self.request.path}?after={after}"
        return {"paging": {"next": {"after": str(after), "link": link}}}

    def slice(self, rows: Sequence[Any], limit: int) -> dict[str, Any]:
        """A page of rows by offset; without paging when it is the last."""
        start = self.after()
        end = start + limit
        more = self.paging(end) if end < len(rows) else {}
        return {"results": list(rows[start:end]), **more}


def number(id: object) -> int:
    """The number of a record from its id; -1, which no record has, for what is no number."""
    text = str(id)
    return int(text) if text.isdigit() else -1
