"""Tasks and notes of ours: both are tasks, a note is one that is done already."""

from typing import Any

from connectors.base import Entry, EntryKind
from connectors.salesforce import soql
from connectors.salesforce.client import SalesforceClient

LONGEST_SUBJECT = 255
LONGEST_DESCRIPTION = 32_000


def add(client: SalesforceClient, entry: Entry) -> None:
    """Create the task. Raises OutcomeUnknown where no answer came; it is not sent again."""
    subject = entry.subject[: LONGEST_SUBJECT - len(entry.mark) - 1]
    body: dict[str, Any] = {
        "Subject": f"{subject} {entry.mark}",
        "Description": entry.body[:LONGEST_DESCRIPTION],
        "Status": "Not Started" if entry.kind is EntryKind.TASK else "Completed",
        "Priority": "High" if entry.kind is EntryKind.TASK else "Normal",
        "WhoId": entry.record_id,
        "ActivityDate": entry.due.date().isoformat(),
    }
    if entry.owner_id is not None:
        body["OwnerId"] = entry.owner_id
    client.send("POST", "sobjects/Task", body, idempotent=False)


def has(client: SalesforceClient, entry: Entry) -> bool:
    """Whether the record has it; also one that somebody has deleted since."""
    of_record = f"WhoId = {soql.literal(entry.record_id)}"
    found = client.records(soql.select(("Id", "Subject"), "Task", of_record))
    return any(entry.mark in (task["Subject"] or "") for task in found)
