"""Behaviour outside the CRM objects: events of a contact, marketing e-mail, form submissions."""

import uuid
from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from connectors.sandbox.crm import Record
from connectors.sandbox.http import Response
from connectors.sandbox.hubspot.call import Call, number
from connectors.sandbox.hubspot.index import EMAIL_TYPES, Index
from connectors.sandbox.hubspot.objects import OBJECTS
from connectors.sandbox.hubspot.properties import INSTALLED, moment
from connectors.sandbox.hubspot.replies import ApiError, invalid, millis, not_found, reply, stamp

SITE = "https://www.vendor-site.example"
ELSEWHERE = frozenset(
    ("type", "at", "people", "account", "asset", "url", "subject", "owner", "deal", "message_id")
)
"""What an event holds by another name, or does not hold; the rest are properties of it."""


def contact_events(call: Call, enterprise: bool) -> Response:
    """GET events v3: the events of one contact, the latest first; Enterprise accounts only."""
    call.access.require("business-intelligence")
    if not enterprise:
        raise ApiError(403, "FORBIDDEN", "This account has no access to the events API")
    contacts = OBJECTS["contacts"]
    if call.one("objectType") not in (contacts.singular, contacts.type_id):
        raise invalid("objectType must be contact")
    person = call.index.find(contacts, number(call.one("objectId")))
    if person is None:
        raise not_found()
    rows = [activity for activity in call.index.events(person) if _in_range(call, activity)]
    if call.one("sort") != "ASCENDING":
        rows.reverse()
    events = [_event(activity, person) for activity in rows]
    if wanted := call.one("eventType"):
        events = [event for event in events if event["eventType"] == wanted]
    return reply(200, call.slice(events, call.limit(100, 1000)))


def _in_range(call: Call, activity: Record) -> bool:
    at = activity.values["at"]
    try:
        after, before = (
            moment(text) if (text := call.one(name)) else None
            for name in ("occurredAfter", "occurredBefore")
        )
    except ValueError as error:
        raise invalid(f"Invalid time: {error}") from None
    return (after is None or at >= after) and (before is None or at <= before)


def _event(activity: Record, person: Record) -> dict[str, Any]:
    values = activity.values
    if values["type"] == "page_view":
        name = "e_visited_page"
        properties = {"hs_url": _url(values), "hs_title": values.get("subject")}
    else:
        name = f"pe1_{values['type']}"
        properties = {n: values.get(n) for n in ("asset", "url")}
    properties |= {n: v for n, v in values.items() if n not in ELSEWHERE}
    return {
        "id": _id(activity, person),
        "eventType": name,
        "objectType": "CONTACT",
        "objectId": str(person.number),
        "occurredAt": stamp(values["at"]),
        "properties": {n: str(v) for n, v in properties.items() if v is not None},
    }


def _id(activity: Record, person: Record) -> str:
    """The id of what one of its people did; a merge of people leaves it as it is."""
    place = activity.values["people"].index(person.number)
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{activity.number}/{place}"))


def _url(values: dict[str, Any]) -> str | None:
    return values.get("url") or (SITE + values["asset"] if values.get("asset") else None)


def email_events(call: Call) -> Response:
    """GET email events v1: opens and clicks of marketing mail, the latest first.

    An event by a machine (neutral outcome "bot") is left out unless it is asked for.
    """
    call.access.require("content")
    wanted, recipient = call.one("eventType"), call.one("recipient").lower()
    start, end = call.one("startTimestamp"), call.one("endTimestamp")
    filtered = call.one("filteredEvent")
    rows = [
        row
        for row in _email_rows(call.index)
        if (not wanted or row["type"] == wanted)
        and (not recipient or row["recipient"] == recipient)
        and (not start or row["created"] >= int(start))
        and (not end or row["created"] <= int(end))
        and (not filtered or row["filteredEvent"] is call.flag("filteredEvent"))
    ]
    offset = call.one("offset", "0")
    if not offset.isdigit():
        raise invalid(f"Invalid offset: {offset}")
    first = int(offset)
    last = first + call.limit(10, 1000)
    body = {"hasMore": last < len(rows), "offset": str(last), "events": rows[first:last]}
    return reply(200, body)


def _email_rows(index: Index) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] | None = index.memo.get("email events")
    if rows is None:
        rows = [
            _email_row(activity, email)
            for person in index.live(OBJECTS["contacts"])
            if (email := person.values.get("email"))
            for name in EMAIL_TYPES
            for activity in index.of_type(person, name)
        ]
        rows.sort(key=lambda row: (row["created"], row["id"]), reverse=True)
        index.memo["email events"] = rows
    return rows


def _email_row(activity: Record, email: str) -> dict[str, Any]:
    created = millis(activity.values["at"])
    campaign = activity.values.get("campaign")
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{activity.number}/{email}")),
        "created": created,
        "type": EMAIL_TYPES[activity.values["type"]],
        "recipient": email.lower(),
        "appId": 113,
        "sentBy": {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, email)), "created": created},
        "filteredEvent": activity.values.get("outcome") == "bot",
        **({"emailCampaignId": crc32(campaign.encode())} if campaign else {}),
        **({"url": activity.values["url"]} if activity.values.get("url") else {}),
    }


def forms(call: Call) -> Response:
    """GET forms: HubSpot's own, and with formTypes=all those of other makers that it captures."""
    call.access.require("forms")
    rows = [_form(name) for name in sorted(_submissions(call.index))]
    if "all" not in call.many("formTypes"):
        rows = [row for row in rows if row["formType"] == "hubspot"]
    return reply(200, call.slice(rows, call.limit(20, 500)))


def form_id(name: str) -> str:
    """The guid of the form with a name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"form/{name}"))


def _form(name: str) -> dict[str, Any]:
    at = stamp(INSTALLED)
    # About a third of the forms are not HubSpot's own, so that a client must ask for all.
    kind = "captured" if crc32(name.encode()) % 3 == 0 else "hubspot"
    return {
        "id": form_id(name),
        "name": name,
        "formType": kind,
        "createdAt": at,
        "updatedAt": at,
        "archived": False,
        "fieldGroups": [],
        "configuration": {"language": "en"},
        "displayOptions": {"renderRawHtml": False},
        "legalConsentOptions": {"type": "none"},
    }


def _submissions(index: Index) -> Mapping[str, list[tuple[Record, Record]]]:
    """Form name to submissions with their people, the newest first."""
    grouped: Mapping[str, list[tuple[Record, Record]]] | None = index.memo.get("submissions")
    if grouped is None:
        grouped = defaultdict(list)
        for person in index.live(OBJECTS["contacts"]):
            for activity in index.of_type(person, "form_submission"):
                grouped[activity.values.get("asset") or "Unnamed"].append((activity, person))
        for rows in grouped.values():
            rows.sort(key=lambda row: (row[0].values["at"], row[0].number), reverse=True)
        index.memo["submissions"] = grouped
    return grouped


def submissions(call: Call, id: str) -> Response:
    """GET submissions of a form, the newest first, 50 at most; no contact id, only values."""
    call.access.require("forms")
    rows = next((rows for n, rows in _submissions(call.index).items() if form_id(n) == id), None)
    if rows is None:
        raise not_found()
    answer = call.slice(rows, call.limit(20, 50))
    answer["results"] = [_submission(*row) for row in answer["results"]]
    return reply(200, answer)


def _submission(activity: Record, person: Record) -> dict[str, Any]:
    given = {
        "email": person.values.get("email"),
        "firstname": person.values.get("first_name"),
        "lastname": person.values.get("last_name"),
    }
    return {
        "conversionId": _id(activity, person),
        "submittedAt": millis(activity.values["at"]),
        "values": [
            {"name": name, "value": value, "objectTypeId": "0-1"}
            for name, value in given.items()
            if value is not None
        ],
        "pageUrl": _url(activity.values | {"asset": None}) or SITE,
    }
