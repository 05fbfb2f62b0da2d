"""Columns as Salesforce gives them -> the raw columns of the common model."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connectors.values import seconds_between
from core.events import EMAILS

Columns = dict[str, Sequence[Any]]

SUBTYPES = {"call": "call", "email": "email_sent", "list_email": "email_sent", "task": "task"}
"""What a Task without a type is, by its subtype."""

DIRECTIONS = {"email_sent": "outbound", "email_reply": "inbound"}

WEBINAR = "webinar"


def word(text: str) -> str:
    """`Page View` -> page_view: what a type is called."""
    return "_".join(text.lower().replace("-", " ").replace("/", " ").split())


def listed(column: Any) -> list[Any]:
    """A column as a plain list, whether it came as JSON or as CSV."""
    return column if isinstance(column, list) else column.to_pylist()


def _first(*columns: Sequence[Any]) -> list[Any]:
    """The first value that is there, row by row."""
    return [next((v for v in row if v), None) for row in zip(*columns, strict=True)]


class Shaper:
    """Makes activity and outcome columns; `types` is the connection's own mapping of types."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = {word(said): canonical for said, canonical in types.items()}
        self._by_object: Mapping[str, Callable[[Columns], Columns]] = {
            "Task": self._task,
            "Event": self._event,
            "CampaignMember": self._campaign_member,
            "Opportunity": _opportunity,
        }

    def __call__(self, object_type: str, raw: Columns) -> Columns:
        """The common columns of one object; ingredients (`_...`) are used up."""
        if shape := self._by_object.get(object_type):
            count = len(raw["id"])
            given = {name: listed(column) for name, column in raw.items()}
            raw = shape(defaultdict(lambda: [None] * count, given))
        return {name: column for name, column in raw.items() if not name.startswith("_")}

    def _task(self, raw: Columns) -> Columns:
        kinds = [
            self._type(said, subtype)
            for said, subtype in zip(raw["type"], raw["_subtype"], strict=True)
        ]
        return raw | {
            "type": kinds,
            "occurred_at": _first(raw["occurred_at"], raw["_day"], raw["_created_at"]),
            "direction": [
                said.lower() if said else DIRECTIONS.get(kind)
                for said, kind in zip(raw["direction"], kinds, strict=True)
            ],
            "subject": [
                said if kind in EMAILS else None
                for said, kind in zip(raw["subject"], kinds, strict=True)
            ],
        }

    def _event(self, raw: Columns) -> Columns:
        return raw | {
            "type": [self._type(said, "meeting") for said in raw["type"]],
            "occurred_at": _first(raw["occurred_at"], raw["_day"], raw["_created_at"]),
            "duration": [
                seconds_between(start, end)
                for start, end in zip(raw["occurred_at"], raw["_end"], strict=True)
            ],
        }

    def _campaign_member(self, raw: Columns) -> Columns:
        # A converted lead's membership keeps the lead and gains the contact: the contact counts.
        return raw | {
            "lead_id": _first(raw["lead_id"], raw["_lead"]),
            "type": [
                self._membership(said, status)
                for said, status in zip(raw["type"], raw["_status"], strict=True)
            ],
            "occurred_at": _first(raw["occurred_at"], raw["_created_at"]),
        }

    def _type(self, said: str | None, subtype: str | None) -> str:
        if said:
            return self._types.get(word(said), word(said))
        plain = word(subtype or "task")
        return self._types.get(plain, SUBTYPES.get(plain, plain))

    def _membership(self, said: str | None, status: str | None) -> str:
        kind = word(said or "campaign")
        full = f"{kind}_{word(status or '')}"
        if full in self._types or kind == WEBINAR:
            return self._types.get(full, full)
        return self._types.get(kind, kind)


def _opportunity(raw: Columns) -> Columns:
    """One row for each contact of an opportunity; one without a person where there is none."""
    people = [_people(roles or {}) or [""] for roles in raw.pop("_roles")]
    raw["result"] = [
        "open" if not closed else "won" if won else "lost"
        for closed, won in zip(raw["_closed"], raw["_won"], strict=True)
    ]
    rows = [n for n, found in enumerate(people) for _ in found]
    spread: Columns = {name: [column[n] for n in rows] for name, column in raw.items()}
    return spread | {"lead_id": [person for found in people for person in found]}


def _people(roles: Mapping[str, Any]) -> list[str]:
    """The contacts in the roles of an opportunity, each once."""
    named = (role.get("ContactId") for role in roles.get("records", ()))
    return list(dict.fromkeys(contact for contact in named if contact))
