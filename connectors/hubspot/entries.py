"""Tasks and notes of ours on contacts."""

from html import escape

from connectors.base import MARK, Entry, EntryKind
from connectors.hubspot.client import Gateway, Json
from connectors.hubspot.fields import CONTACTS
from connectors.hubspot.pull import associated
from connectors.hubspot.walk import milliseconds

OBJECTS = {EntryKind.TASK: "tasks", EntryKind.NOTE: "notes"}
MARKED = {"tasks": "hs_task_subject", "notes": "hs_note_body"}
"""The property that bears the mark, of each object that may be ours."""

TO_CONTACT = {"tasks": 204, "notes": 202}
LONGEST_BODY = 65_536


def is_ours(object_type: str, record: Json) -> bool:
    """Whether an engagement is an entry of ours."""
    marked = MARKED.get(object_type)
    return marked is not None and MARK in (record["properties"].get(marked) or "")


def add(gateway: Gateway, entry: Entry) -> None:
    """Create the engagement with its contact. Raises OutcomeUnknown where no answer came."""
    kind = OBJECTS[entry.kind]
    link = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": TO_CONTACT[kind]}
    properties = _task(entry) if entry.kind is EntryKind.TASK else _note(entry)
    properties["hs_timestamp"] = str(milliseconds(entry.due))
    if entry.owner_id is not None:
        properties["hubspot_owner_id"] = entry.owner_id
    gateway.create(
        kind,
        {
            "properties": properties,
            "associations": [{"to": {"id": entry.record_id}, "types": [link]}],
        },
    )


def has(gateway: Gateway, entry: Entry) -> bool:
    """Whether the contact has it. Asked by association: search would lag behind."""
    kind = OBJECTS[entry.kind]
    ids = associated(gateway, CONTACTS, kind, [entry.record_id]).get(entry.record_id, [])
    found = gateway.read(kind, ids, [MARKED[kind]])
    return any(entry.mark in (record["properties"].get(MARKED[kind]) or "") for record in found)


def _task(entry: Entry) -> Json:
    return {
        "hs_task_subject": f"{entry.subject} {entry.mark}",
        "hs_task_body": _html(entry.body)[:LONGEST_BODY],
        "hs_task_status": "NOT_STARTED",
        "hs_task_priority": "HIGH",
        "hs_task_type": "TODO",
    }


def _note(entry: Entry) -> Json:
    head = f"{escape(entry.subject)} {entry.mark}<br>"
    return {"hs_note_body": (head + _html(entry.body))[:LONGEST_BODY]}


def _html(text: str) -> str:
    return escape(text).replace("\n", "<br>")
