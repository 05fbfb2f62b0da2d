"""What happened, as Salesforce objects: tasks, events, campaign members, and who took part."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.salesforce import org as o
from connectors.sandbox.salesforce.columns import (
    date_of,
    derived,
    flag,
    owner,
    reference,
    stamp,
    system,
    text,
)
from connectors.sandbox.salesforce.fields import Children, Field, Parent, Read, SObject, by_name
from connectors.sandbox.salesforce.ids import record_id
from connectors.sandbox.salesforce.org import Link, Org, id_of, link_id, seconds

TASK_STATUSES = ("Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred")


def activity_objects(org: Org, custom: list[Field]) -> list[SObject]:
    """The objects; a custom field of activities is on tasks and on events."""
    return [
        _task(org, custom),
        _event(org, custom),
        _campaign(org),
        _campaign_member(org),
        _contact_role(org),
        _who_relation(org, "TaskWhoRelation", o.TASK_WHO, "TaskId", o.TASK),
        _who_relation(org, "EventWhoRelation", o.EVENT_WHO, "EventId", o.EVENT),
    ]


def _activity_fields(org: Org, target: str) -> list[Field]:
    def type_name(row: Record) -> str | None:
        neutral = row.values.get("type")
        return neutral and neutral.replace("_", " ").title()

    return [
        *system(org, target),
        text("Subject", "subject", 255),
        text("Description", "Description", 32_000, "textarea", filterable=False),
        Field(
            "Type",
            "picklist",
            type_name,
            store="type",
            length=255,
        ),
        derived("IsArchived", "boolean", org.archived),
        reference("WhoId", org.who, "Who", "Name", store="who", targets=("Contact", "Lead")),
        reference(
            "WhatId", org.what, "What", "Name", store="what", targets=("Account", "Opportunity")
        ),
        reference("AccountId", org.activity_account, "Account", "Account"),
        owner(org, "User"),
    ]


def _task(org: Org, custom: list[Field]) -> SObject:
    def subtype(row: Record) -> str:
        kind = row.values.get("type")
        if kind in ("email_sent", "email_reply"):
            return "Email"
        return "Call" if kind == "call" else "Task"

    def of_call(key: str) -> Read:
        return lambda row: row.values.get(key) if row.values.get("type") == "call" else None

    def call_type(row: Record) -> str | None:
        direction = of_call("direction")(row)
        return None if direction is None else str(direction).title()

    def done_at(row: Record) -> Any:
        return seconds(row.values.get("at")) if status(row) == "Completed" else None

    def due(row: Record) -> Any:
        at = row.values.get("at")
        return row.values.get("ActivityDate") or (at and at.date())

    def status(row: Record) -> str:
        return row.values.get("Status") or "Completed"

    fields = [
        *_activity_fields(org, "Task"),
        Field("Status", "picklist", status, store="Status", length=255, choices=TASK_STATUSES),
        text("Priority", "Priority", 255, "picklist", choices=("High", "Normal", "Low")),
        Field("ActivityDate", "date", due, store="ActivityDate"),
        Field("ReminderDateTime", "datetime", stamp("ReminderDateTime"), store="ReminderDateTime"),
        Field("IsReminderSet", "boolean", flag("IsReminderSet"), store="IsReminderSet"),
        derived("IsClosed", "boolean", lambda row: status(row) == "Completed"),
        derived("CompletedDateTime", "datetime", done_at),
        derived("TaskSubtype", "picklist", subtype, 40),
        derived("CallType", "picklist", call_type, 40),
        derived("CallDurationInSeconds", "int", of_call("duration"), precision=8),
        derived("CallDisposition", "string", of_call("outcome"), 255),
        *custom,
    ]
    return SObject("Task", o.TASK, lambda: org.activities(o.TASK), by_name(fields), creates=True)


def _event(org: Org, custom: list[Field]) -> SObject:
    def end(row: Record) -> Any:
        at = seconds(row.values.get("at"))
        return at and at + timedelta(seconds=row.values.get("duration") or 0)

    def minutes(row: Record) -> int:
        return (row.values.get("duration") or 0) // 60

    fields = [
        *_activity_fields(org, "Event"),
        derived("StartDateTime", "datetime", stamp("at")),
        derived("EndDateTime", "datetime", end),
        derived("ActivityDateTime", "datetime", stamp("at")),
        derived("ActivityDate", "date", date_of("at")),
        derived("DurationInMinutes", "int", minutes, precision=8),
        derived("IsAllDayEvent", "boolean", lambda _: False),
        *custom,
    ]
    return SObject("Event", o.EVENT, lambda: org.activities(o.EVENT), by_name(fields))


def _campaign(org: Org) -> SObject:
    def type_of(row: Record) -> str:
        return o.CAMPAIGN_TYPES[row.values["type"]]

    def created(row: Record) -> Any:
        return row.created.replace(microsecond=0)

    fields = [
        derived("Id", "id", lambda row: record_id(o.CAMPAIGN, row.number), 18),
        derived("Name", "string", lambda row: row.values.get("campaign") or type_of(row), 80),
        derived("Type", "picklist", type_of, 255),
        derived("IsActive", "boolean", lambda _: True),
        derived("IsDeleted", "boolean", lambda _: False),
        derived("CreatedDate", "datetime", created),
        derived("LastModifiedDate", "datetime", created),
        derived("SystemModstamp", "datetime", created),
    ]
    return SObject(
        "Campaign",
        o.CAMPAIGN,
        lambda: org.campaigns().values(),
        by_name(fields),
        (Children("CampaignMembers", "CampaignMember", "CampaignId"),),
        updates=False,
    )


def _link_fields(prefix: str) -> list[Field]:
    def modified(link: Link) -> Any:
        return link.record.modified.replace(microsecond=0)

    return [
        derived("Id", "id", lambda link: link_id(prefix, link), 18),
        derived("CreatedDate", "datetime", lambda link: link.record.created.replace(microsecond=0)),
        derived("LastModifiedDate", "datetime", modified),
        derived("SystemModstamp", "datetime", modified),
        derived("IsDeleted", "boolean", lambda link: link.record.deleted_at is not None),
    ]


def _campaign_member(org: Org) -> SObject:
    def lead(link: Link) -> Record | None:
        found = org.one(Kind.LEAD, link.person)
        return found or org.one(Kind.LEAD, org.converted_from(link.person))

    def contact(link: Link) -> Record | None:
        return org.one(Kind.CONTACT, link.person)

    def status(link: Link) -> str:
        return "Registered" if link.record.values["type"] == "webinar_registered" else "Attended"

    def person(link: Link) -> str | None:
        found = org.person(link.person)
        return None if found is None else id_of(found)

    def kind(link: Link) -> str:
        return "Contact" if contact(link) else "Lead"

    fields = [
        *_link_fields(o.CAMPAIGN_MEMBER),
        _campaign_reference(org),
        reference("LeadId", lead, "Lead", "Lead"),
        reference("ContactId", contact, "Contact", "Contact"),
        derived("LeadOrContactId", "reference", person, 18, targets=("Contact", "Lead")),
        derived("Type", "string", kind, 40),
        derived("Status", "picklist", status, 40),
        derived("HasResponded", "boolean", lambda _: True),
        derived("FirstRespondedDate", "date", lambda link: date_of("at")(link.record)),
    ]
    return SObject(
        "CampaignMember",
        o.CAMPAIGN_MEMBER,
        lambda: org.links(Kind.ACTIVITY, o.CAMPAIGN_MEMBER),
        by_name(fields),
        updates=False,
    )


def _campaign_reference(org: Org) -> Field:
    def campaign(link: Link) -> Record:
        return org.campaign(link.record)

    return Field(
        "CampaignId",
        "reference",
        lambda link: record_id(o.CAMPAIGN, campaign(link).number),
        length=18,
        targets=("Campaign",),
        parent=Parent("Campaign", "Campaign", campaign),
    )


def _contact_role(org: Org) -> SObject:
    def rows() -> Iterator[Link]:
        for link in org.links(Kind.DEAL):
            if org.one(Kind.CONTACT, link.person) is not None:
                yield link

    def primary(link: Link) -> bool:
        return bool(link.record.values["people"][0] == link.person)

    fields = [
        *_link_fields(o.CONTACT_ROLE),
        reference("OpportunityId", lambda link: link.record, "Opportunity", "Opportunity"),
        reference("ContactId", lambda link: org.person(link.person), "Contact", "Contact"),
        derived("Role", "picklist", lambda _: None, 40),
        derived("IsPrimary", "boolean", primary),
    ]
    return SObject("OpportunityContactRole", o.CONTACT_ROLE, rows, by_name(fields), updates=False)


def _who_relation(org: Org, name: str, prefix: str, activity: str, target: str) -> SObject:
    fields = [
        *_link_fields(prefix),
        reference(activity, lambda link: link.record, activity[:-2], activity[:-2]),
        reference(
            "RelationId",
            lambda link: org.person(link.person),
            "Relation",
            "Name",
            targets=("Contact", "Lead"),
        ),
    ]
    return SObject(
        name,
        prefix,
        lambda: org.links(Kind.ACTIVITY, target),
        by_name(fields),
        updates=False,
        bulk=False,
    )
