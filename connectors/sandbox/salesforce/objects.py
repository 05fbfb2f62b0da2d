"""People, companies, deals and owners as Salesforce objects, over the neutral CRM."""

from collections.abc import Callable
from typing import Any

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.salesforce.activities import activity_objects
from connectors.sandbox.salesforce.columns import (
    date_of,
    derived,
    flag,
    number,
    of_kind,
    owner,
    reference,
    stamp,
    system,
    text,
    value,
)
from connectors.sandbox.salesforce.fields import Children, Field, SObject, by_name
from connectors.sandbox.salesforce.ids import record_id
from connectors.sandbox.salesforce.org import Org, id_of

PROFILE_ID = record_id("00e", 1)
INDUSTRIES = (
    "Technology",
    "Healthcare",
    "Education",
    "Manufacturing",
    "Financial Services",
    "Retail",
    "Energy",
)
PRIVACY = (
    ("HasOptedOutTracking", "no_tracking", "Don't Track"),
    ("HasOptedOutProfiling", "no_profiling", "Don't Profile"),
    ("HasOptedOutProcessing", "no_processing", "Don't Process"),
    ("HasOptedOutSolicit", "no_solicit", "Don't Market"),
    ("HasOptedOutGeoTracking", "no_geo_tracking", "Block Geolocation Tracking"),
    ("ShouldForget", "forget", "Forget this Individual"),
    ("SendIndividualData", "export", "Export Individual's Data"),
    ("CanStorePiiElsewhere", "store_elsewhere", "OK to Store PII Data Elsewhere"),
)
LEAD_STATUSES = (
    "Open - Not Contacted",
    "Working - Contacted",
    "Closed - Converted",
    "Closed - Not Converted",
)


def standard_objects(
    org: Org, custom: Callable[[Kind], list[Field]], *, privacy: bool = False
) -> list[SObject]:
    """The objects, with the custom fields that can be seen; with `privacy` also individuals."""
    individual = [_individual_of(org)] if privacy else []
    return [
        *([_individual(org)] if privacy else []),
        _lead(org, [*individual, *custom(Kind.LEAD)]),
        _contact(org, [*individual, *custom(Kind.CONTACT)]),
        _account(org, custom(Kind.ACCOUNT)),
        _opportunity(org, custom(Kind.DEAL)),
        *activity_objects(org, custom(Kind.ACTIVITY)),
        _user(org),
        _group(org),
        _name(),
    ]


def _person_fields() -> list[Field]:
    return [
        text("FirstName", "first_name", 40),
        text("LastName", "last_name", 80, required=True),
        derived("Name", "string", _person_name, 121),
        text("Email", "email", 80, "email"),
        text("Phone", "phone", 40, "phone"),
        text("Title", "title", 128),
        text("LeadSource", "source", 255, "picklist"),
        Field("HasOptedOutOfEmail", "boolean", flag("opt_out"), store="opt_out"),
        derived("EmailBouncedDate", "datetime", stamp("bounced_at")),
    ]


def _person_name(row: Record) -> str | None:
    names = (row.values.get("first_name"), row.values.get("last_name"))
    return " ".join(name for name in names if name) or None


def _firm_fields(country: str, state: str) -> list[Field]:
    return [
        text("Website", "website", 255, "url"),
        text("Industry", "industry", 255, "picklist", choices=INDUSTRIES),
        number("NumberOfEmployees", "employees", "int", 9),
        number("AnnualRevenue", "revenue", "currency", 18),
        text(country, "country", 80),
        text(state, "state", 80),
    ]


def _lead(org: Org, custom: list[Field]) -> SObject:
    def contact(row: Record) -> Record | None:
        return org.one(Kind.CONTACT, row.values.get("converted_to"))

    def account(row: Record) -> Record | None:
        found = contact(row)
        return found and org.one(Kind.ACCOUNT, found.values.get("account"))

    def deal(row: Record) -> Record | None:
        return (
            org.one(Kind.DEAL, row.values.get("deal")) if row.values.get("converted_to") else None
        )

    def converted_date(row: Record) -> Any:
        at = row.values.get("converted_at")
        return at and at.date()

    fields = [
        *system(org, "Lead"),
        *_person_fields(),
        text("Company", "company", 255, required=True),
        *_firm_fields("Country", "State"),
        text("Status", "status", 255, "picklist", choices=LEAD_STATUSES),
        owner(org, "Group", "User"),
        derived("IsConverted", "boolean", lambda row: bool(row.values.get("converted_at"))),
        derived("ConvertedDate", "date", converted_date),
        reference("ConvertedContactId", contact, "ConvertedContact", "Contact"),
        reference("ConvertedAccountId", account, "ConvertedAccount", "Account"),
        reference("ConvertedOpportunityId", deal, "ConvertedOpportunity", "Opportunity"),
        *custom,
    ]
    children = (
        Children("Tasks", "Task", "WhoId"),
        Children("Events", "Event", "WhoId"),
        Children("CampaignMembers", "CampaignMember", "LeadId"),
    )
    return of_kind(org, "Lead", Kind.LEAD, fields, children)


def _firm(org: Org, name: str, relation: str, store: str) -> Field:
    """A field that refers to an account."""

    def resolve(row: Record) -> Record | None:
        return org.one(Kind.ACCOUNT, row.values.get(store))

    return reference(name, resolve, relation, "Account", store=store)


def _contact(org: Org, custom: list[Field]) -> SObject:
    fields = [
        *system(org, "Contact"),
        *_person_fields(),
        text("MailingCountry", "country", 80),
        text("MailingState", "state", 80),
        _firm(org, "AccountId", "Account", "account"),
        owner(org, "User"),
        *custom,
    ]
    children = (
        Children("Tasks", "Task", "WhoId"),
        Children("Events", "Event", "WhoId"),
        Children("CampaignMembers", "CampaignMember", "ContactId"),
        Children("OpportunityContactRoles", "OpportunityContactRole", "ContactId"),
    )
    return of_kind(org, "Contact", Kind.CONTACT, fields, children)


def _account(org: Org, custom: list[Field]) -> SObject:
    fields = [
        *system(org, "Account"),
        text("Name", "name", 255, required=True),
        *_firm_fields("BillingCountry", "BillingState"),
        text("Type", "type", 255, "picklist"),
        _firm(org, "ParentId", "Parent", "parent"),
        owner(org, "User"),
        *custom,
    ]
    children = (
        Children("Contacts", "Contact", "AccountId"),
        Children("Opportunities", "Opportunity", "AccountId"),
        Children("ChildAccounts", "Account", "ParentId"),
        Children("Tasks", "Task", "AccountId"),
        Children("Events", "Event", "AccountId"),
    )
    return of_kind(org, "Account", Kind.ACCOUNT, fields, children)


def _opportunity(org: Org, custom: list[Field]) -> SObject:
    def stage(row: Record) -> str:
        closed = "Closed Won" if row.values.get("won") else "Closed Lost"
        return row.values.get("stage") or (closed if row.values.get("closed") else "Prospecting")

    fields = [
        *system(org, "Opportunity"),
        text("Name", "name", 120, required=True),
        _firm(org, "AccountId", "Account", "account"),
        Field("StageName", "picklist", stage, store="stage", length=255),
        number("Amount", "amount", "currency", 18, 2),
        derived("CloseDate", "date", date_of("closed_at")),
        derived("IsClosed", "boolean", flag("closed")),
        derived("IsWon", "boolean", flag("won")),
        owner(org, "User"),
        *custom,
    ]
    children = (
        Children("OpportunityContactRoles", "OpportunityContactRole", "OpportunityId"),
        Children("Tasks", "Task", "WhatId"),
    )
    return of_kind(org, "Opportunity", Kind.DEAL, fields, children, creates=False)


def _individual_of(org: Org) -> Field:
    return reference("IndividualId", org.individual, "Individual", "Individual", store="individual")


def _individual(org: Org) -> SObject:
    fields = [
        *system(org, "Individual"),
        text("FirstName", "first_name", 40),
        text("LastName", "last_name", 80, required=True),
        derived("Name", "string", _person_name, 121),
        *(
            Field(name, "boolean", flag(store), store=store, label=label)
            for name, store, label in PRIVACY
        ),
        owner(org, "User"),
    ]
    children = (
        Children("Leads", "Lead", "IndividualId"),
        Children("Contacts", "Contact", "IndividualId"),
    )
    return of_kind(org, "Individual", Kind.INDIVIDUAL, fields, children)


def _user(org: Org) -> SObject:
    fields = [
        *system(org, "User", deletes=False),
        derived("Name", "string", value("name"), 121),
        text("Email", "email", 128, "email"),
        derived("Username", "string", value("email"), 80),
        Field("IsActive", "boolean", lambda row: row.values.get("active", True), store="active"),
        derived("UserType", "picklist", lambda _: "Standard", 40),
        derived("ProfileId", "reference", lambda _: PROFILE_ID, 18, targets=("Profile",)),
    ]
    return of_kind(org, "User", Kind.USER, fields, creates=False)


def _group(org: Org) -> SObject:
    def developer_name(row: Record) -> str:
        return "".join(c if c.isalnum() else "_" for c in row.values.get("name") or "")

    fields = [
        *system(org, "Group", deletes=False),
        derived("Name", "string", value("name"), 40),
        derived("DeveloperName", "string", developer_name, 80),
        derived("Type", "picklist", lambda _: "Queue", 40),
    ]
    return of_kind(org, "Group", Kind.QUEUE, fields, creates=False)


def _name() -> SObject:
    """What a reference to several objects (Owner, Who, What) may be asked for."""
    names = {
        Kind.LEAD: "Lead",
        Kind.CONTACT: "Contact",
        Kind.ACCOUNT: "Account",
        Kind.DEAL: "Opportunity",
        Kind.USER: "User",
        Kind.QUEUE: "Queue",
    }

    def name(row: Record) -> str | None:
        return row.values.get("name") or _person_name(row)

    fields = [
        derived("Id", "id", id_of, 18),
        derived("Name", "string", name, 121),
        derived("Email", "email", value("email"), 128),
        derived("IsActive", "boolean", lambda row: row.values.get("active", True)),
        derived("Type", "string", lambda row: names[row.kind], 40),
    ]
    return SObject("Name", "", tuple, by_name(fields), updates=False, bulk=False)
