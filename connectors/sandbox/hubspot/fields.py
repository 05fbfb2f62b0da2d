"""The properties of contacts, companies and deals, and where their values come from."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.hubspot.lookup import Lookup
from connectors.sandbox.hubspot.properties import Property

Read = Callable[[Record, Lookup], Any]

LIFECYCLE = (
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "other",
)
LEAD_STATUSES = (
    "NEW",
    "OPEN",
    "IN_PROGRESS",
    "OPEN_DEAL",
    "UNQUALIFIED",
    "ATTEMPTED_TO_CONTACT",
    "CONNECTED",
    "BAD_TIMING",
    "WORKING",
    "NURTURING",
)
LEGAL_BASES = (
    "Legitimate interest – prospect/lead",
    "Legitimate interest – existing customer",
    "Performance of a contract",
    "Freely given consent from contact",
    "Not applicable",
)
INDUSTRIES = {
    "Technology": "COMPUTER_SOFTWARE",
    "Healthcare": "HOSPITAL_HEALTH_CARE",
    "Education": "EDUCATION_MANAGEMENT",
    "Manufacturing": "MACHINERY",
    "Financial Services": "FINANCIAL_SERVICES",
    "Retail": "RETAIL",
    "Energy": "OIL_ENERGY",
}
STAGES = {
    "Prospecting": "appointmentscheduled",
    "Qualification": "qualifiedtobuy",
    "Proposal": "presentationscheduled",
    "Negotiation": "contractsent",
    "Closed Won": "closedwon",
    "Closed Lost": "closedlost",
}


def _value(key: str) -> Read:
    return lambda record, _: record.values.get(key)


def _count(type: str) -> Read:
    return lambda record, index: len(index.of_type(record, type))


def _last(type: str, value: str = "at") -> Read:
    return lambda record, index: index.last(record, type, value)


def _last_seen(record: Record, index: Lookup) -> Any:
    events = index.events(record)
    return events[-1].values["at"] if events else None


def _first_form(record: Record, index: Lookup) -> Any:
    found = index.of_type(record, "form_submission")
    return found[0].values["at"] if found else None


def _company_id(record: Record, index: Lookup) -> Any:
    account = index.account_of(record)
    return account and account.number


def _parent(record: Record, index: Lookup) -> Any:
    parent = index.company(record.values.get("parent"))
    return parent and parent.number


def _merged(record: Record, index: Lookup) -> Any:
    return [str(number) for number in index.merged_into.get(record.number, ())]


def _domain(record: Record, _: Lookup) -> Any:
    site = record.values.get("website")
    host = site and urlsplit(site if "//" in site else f"//{site}").hostname
    return host and host.removeprefix("www.")


def _other_emails(record: Record, index: Lookup) -> Any:
    return list(index.merged_emails(record))


def _mail_domain(record: Record, _: Lookup) -> Any:
    return (record.values.get("email") or "").lower().rpartition("@")[2]


def default(key: str, otherwise: str) -> Read:
    """Read a value, and a fixed one where it is empty."""
    return lambda record, _: record.values.get(key) or otherwise


def _lifecycle(record: Record, _: Lookup) -> Any:
    stage = "lead" if record.kind is Kind.LEAD else "opportunity"
    return record.values.get("lifecyclestage", stage)


def _open_deals(record: Record, index: Lookup) -> Any:
    return sum(not d.values.get("closed") for d in index.deals_of_account.get(record.number, ()))


def _stage(record: Record, _: Lookup) -> Any:
    if record.values.get("closed"):
        return "closedwon" if record.values.get("won") else "closedlost"
    stage = record.values.get("stage") or ""
    return STAGES.get(stage, stage if stage in STAGES.values() else "appointmentscheduled")


def named(*properties: Property) -> dict[str, Property]:
    """Properties by name."""
    return {prop.name: prop for prop in properties}


def system(stamp: str) -> tuple[Property, ...]:
    """What HubSpot keeps of every record by itself."""
    created = "createdate" if stamp == "lastmodifieddate" else "hs_createdate"
    names = dict.fromkeys(("createdate", created))
    return (
        Property("hs_object_id", "number", read=lambda record, _: record.number),
        *(Property(name, "datetime", read=lambda record, _: record.created) for name in names),
        Property(stamp, "datetime", read=lambda record, _: record.modified),
        Property("hubspot_owner_id", "enumeration", "owner", label="Owner"),
    )


def _firm(prefix: str = "") -> tuple[Property, ...]:
    """What is known of a firm, on the person (contacts) or on the company itself."""
    return (
        Property("website", key="website"),
        Property("country", key="country"),
        Property("state", key="state"),
        Property("annualrevenue", "number", "revenue", as_float=True),
        Property(f"num{prefix}employees", "number", "employees", as_float=bool(prefix)),
        Property("lifecyclestage", "enumeration", "lifecyclestage", _lifecycle, choices=LIFECYCLE),
        Property("hs_merged_object_ids", "enumeration", read=_merged, field_type="checkbox"),
    )


CONTACT = named(
    *system("lastmodifieddate"),
    *_firm(),
    Property("email", key="email"),
    Property("firstname", key="first_name", label="First name"),
    Property("lastname", key="last_name", label="Last name"),
    Property("phone", "phone_number", "phone", field_type="phonenumber"),
    Property("jobtitle", key="title", label="Job title"),
    Property("company", key="company", label="Company name"),
    Property("industry", key="industry"),
    Property("hs_lead_status", "enumeration", "status", choices=LEAD_STATUSES),
    Property("hs_analytics_source", "enumeration", read=_value("source")),
    Property("hs_email_optout", "bool", "opt_out"),
    Property(
        "hs_legal_basis",
        "enumeration",
        "legal_basis",
        choices=LEGAL_BASES,
        field_type="checkbox",
        label="Legal basis for processing contact's data",
    ),
    Property("hs_email_domain", read=_mail_domain),
    Property("hs_additional_emails", read=_other_emails),
    Property("associatedcompanyid", "number", read=_company_id),
    Property("hs_analytics_num_page_views", "number", read=_count("page_view"), as_float=True),
    Property("hs_analytics_last_timestamp", "datetime", read=_last_seen),
    Property("hs_analytics_last_visit_timestamp", "datetime", read=_last("page_view")),
    Property("hs_analytics_last_url", read=_last("page_view", "url")),
    Property("hs_email_open", "number", read=_count("email_open")),
    Property("hs_email_click", "number", read=_count("email_click")),
    Property("hs_email_bounce", "number", read=lambda r, _: int(bool(r.values.get("bounced_at")))),
    Property("hs_email_last_open_date", "datetime", read=_last("email_open")),
    Property("hs_email_last_click_date", "datetime", read=_last("email_click")),
    Property("first_conversion_date", "datetime", read=_first_form),
    Property("recent_conversion_date", "datetime", read=_last("form_submission")),
    Property("recent_conversion_event_name", read=_last("form_submission", "asset")),
    Property("num_conversion_events", "number", read=_count("form_submission")),
)

COMPANY = named(
    *system("hs_lastmodifieddate"),
    *_firm("berof"),
    Property("name", key="name"),
    Property("domain", key="website", read=_domain),
    Property("industry", "enumeration", "industry", words=INDUSTRIES),
    Property(
        "type",
        "enumeration",
        "type",
        choices=("PROSPECT", "PARTNER", "RESELLER", "VENDOR", "CUSTOMER", "OTHER"),
    ),
    Property("hs_parent_company_id", "number", read=_parent),
    Property("hs_num_open_deals", "number", read=_open_deals),
    Property(
        "num_associated_contacts",
        "number",
        read=lambda r, index: len(index.people_of_account.get(r.number, ())),
    ),
)

DEAL = named(
    *system("hs_lastmodifieddate"),
    Property("dealname", key="name"),
    Property("amount", "number", "amount"),
    Property("amount_in_home_currency", "number", read=_value("amount")),
    Property("deal_currency_code", "string", "currency"),
    Property(
        "pipeline",
        "enumeration",
        "pipeline",
        default("pipeline", "default"),
        choices=("default",),
    ),
    Property("dealstage", "enumeration", "stage", _stage, choices=tuple(STAGES.values())),
    Property("closedate", "datetime", "closed_at"),
    Property("hs_is_closed", "bool", read=lambda r, _: bool(r.values.get("closed"))),
    Property("hs_is_closed_won", "bool", read=lambda r, _: bool(r.values.get("won"))),
)
