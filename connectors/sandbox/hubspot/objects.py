"""HubSpot's object types: what of the neutral CRM each holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.hubspot.fields import COMPANY, CONTACT, DEAL, default, named, system
from connectors.sandbox.hubspot.lookup import Lookup
from connectors.sandbox.hubspot.properties import Property

DISPOSITIONS = {
    "Busy": "9d9162e7-6cf3-4944-bf63-4dff82258764",
    "Connected": "f240bbac-87c9-4f6e-bf70-924b57d47db7",
    "Left live message": "a4c4c377-d246-4b32-a13b-75a56a4cd0ff",
    "Left voicemail": "b2cf5968-551e-4856-9783-52b3da59a7d0",
    "No answer": "73a0d17f-1163-4015-bdd5-ec830791da20",
    "Wrong number": "17b47fee-58de-441e-a44c-c6300d46f273",
}


@dataclass(frozen=True)
class ObjectType:
    """One object type. `activities` are the neutral types that its records come from.

    `stamp` is the property with the last change; `defaults` are the properties of an answer
    to a request that names none; `scope` is the object in crm.objects.<scope>.read.
    """

    name: str
    singular: str
    type_id: str
    kinds: tuple[Kind, ...]
    custom_kind: Kind
    stamp: str
    defaults: tuple[str, ...]
    properties: dict[str, Property]
    scope: str = "contacts"
    activities: tuple[str, ...] = ()


def _meeting_end(record: Record, _: Lookup) -> Any:
    return record.values["at"] + timedelta(seconds=record.values.get("duration") or 0)


def _engagement(
    name: str, type_id: str, activities: tuple[str, ...], *properties: Property
) -> ObjectType:
    return ObjectType(
        name,
        name.removesuffix("s"),
        type_id,
        (Kind.ACTIVITY,),
        Kind.ACTIVITY,
        "hs_lastmodifieddate",
        ("hs_createdate", "hs_lastmodifieddate", "hs_object_id"),
        named(
            *system("hs_lastmodifieddate"),
            Property("hs_timestamp", "datetime", "at"),
            *properties,
        ),
        activities=activities,
    )


_CONTACTS = ObjectType(
    "contacts",
    "contact",
    "0-1",
    (Kind.LEAD, Kind.CONTACT),
    Kind.CONTACT,
    "lastmodifieddate",
    ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
    CONTACT,
)
_COMPANIES = ObjectType(
    "companies",
    "company",
    "0-2",
    (Kind.ACCOUNT,),
    Kind.ACCOUNT,
    "hs_lastmodifieddate",
    ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"),
    COMPANY,
    "companies",
)
_DEALS = ObjectType(
    "deals",
    "deal",
    "0-3",
    (Kind.DEAL,),
    Kind.DEAL,
    "hs_lastmodifieddate",
    (
        "amount",
        "closedate",
        "createdate",
        "dealname",
        "dealstage",
        "hs_lastmodifieddate",
        "hs_object_id",
        "pipeline",
    ),
    DEAL,
    "deals",
)
_CALLS = _engagement(
    "calls",
    "0-48",
    ("call",),
    Property("hs_call_title", key="subject"),
    Property("hs_call_body", key="hs_call_body"),
    Property(
        "hs_call_direction",
        "enumeration",
        "direction",
        words={"inbound": "INBOUND", "outbound": "OUTBOUND"},
    ),
    Property("hs_call_duration", "number", "duration", scale=1000),
    Property(
        "hs_call_status", "enumeration", "hs_call_status", default("hs_call_status", "COMPLETED")
    ),
    Property("hs_call_disposition", "enumeration", "outcome", words=DISPOSITIONS),
)
_EMAILS = _engagement(
    "emails",
    "0-49",
    ("email_sent", "email_reply"),
    Property(
        "hs_email_direction",
        "enumeration",
        "type",
        words={"email_sent": "EMAIL", "email_reply": "INCOMING_EMAIL"},
    ),
    Property(
        "hs_email_status", "enumeration", "hs_email_status", default("hs_email_status", "SENT")
    ),
    Property("hs_email_message_id", key="message_id"),
    Property("hs_email_subject", key="subject"),
    Property("hs_email_text", key="hs_email_text"),
)
_MEETINGS = _engagement(
    "meetings",
    "0-47",
    ("meeting",),
    Property("hs_meeting_title", key="subject"),
    Property("hs_meeting_start_time", "datetime", "at"),
    Property("hs_meeting_end_time", "datetime", read=_meeting_end),
    Property(
        "hs_meeting_outcome",
        "enumeration",
        "outcome",
        choices=("SCHEDULED", "COMPLETED", "RESCHEDULED", "NO_SHOW", "CANCELED"),
    ),
)
_NOTES = _engagement("notes", "0-46", ("note",), Property("hs_note_body", key="subject"))
_TASKS = _engagement(
    "tasks",
    "0-27",
    ("task",),
    Property("hs_task_subject", key="subject"),
    Property("hs_task_body", key="hs_task_body"),
    Property("hs_task_type", "enumeration", "hs_task_type", choices=("EMAIL", "CALL", "TODO")),
    Property(
        "hs_task_priority",
        "enumeration",
        "hs_task_priority",
        choices=("LOW", "MEDIUM", "HIGH", "NONE"),
    ),
    Property(
        "hs_task_status",
        "enumeration",
        "outcome",
        choices=("NOT_STARTED", "IN_PROGRESS", "WAITING", "COMPLETED", "DEFERRED"),
    ),
)
_COMMUNICATIONS = _engagement(
    "communications",
    "0-18",
    ("social_message",),
    Property(
        "hs_communication_channel_type",
        "enumeration",
        "hs_communication_channel_type",
        default("hs_communication_channel_type", "LINKEDIN_MESSAGE"),
        choices=("SMS", "WHATS_APP", "LINKEDIN_MESSAGE"),
    ),
    Property("hs_communication_body", key="subject"),
)

_ALL = (
    _CONTACTS,
    _COMPANIES,
    _DEALS,
    _CALLS,
    _EMAILS,
    _MEETINGS,
    _NOTES,
    _TASKS,
    _COMMUNICATIONS,
)
OBJECTS: Mapping[str, ObjectType] = {kind.name: kind for kind in _ALL}
BY_PATH: Mapping[str, ObjectType] = {
    key: kind for kind in _ALL for key in (kind.name, kind.type_id, kind.singular)
}
"""Object types by what a path may call them: contacts, contact or 0-1."""
