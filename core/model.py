"""The common model: what a lead, an account, an activity, an owner and an outcome are.

This is the one place where a column is defined. The facts tables (`core.facts`), the field
mapping (`connectors.mapping`) and the conditions a model file may use are all derived from
these types. All times are aware UTC; amounts are exact decimals; text is trimmed and an empty
text is None, because unknown is not the same as empty, false or zero.
"""

from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from core import normalise

_INDUSTRY = (
    f"Canonical: {', '.join(normalise.INDUSTRIES)}; any other as the CRM says it, in lower case."
)
_US_REGION = (
    "Read from country and state: northeast, midwest, south, west, as the US census has them, and "
    "territory; abroad for any other country, None where the state is not known."
)
_REGION = f"Read from the country: {', '.join(normalise.REGIONS)}."


class Row(BaseModel):
    """A row of the common model; frozen, and refuses a column it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Lead(Row):
    """A person who may buy: a Salesforce Lead, a Salesforce Contact or a HubSpot contact."""

    id: str = Field(description="The CRM's record id (18 characters in Salesforce).")
    object_type: str = Field(description="The CRM's object: Lead, Contact or contacts.")
    created_at: datetime | None = Field(None, description="When the CRM created the record.")
    modified_at: datetime = Field(description="The CRM's last-modified stamp.")
    first_name: str | None = Field(None, description="Given name.")
    last_name: str | None = Field(None, description="Family name.")
    email: str | None = Field(None, description="E-mail address, lower case.")
    email_valid: bool | None = Field(
        None, description="Read from the e-mail address: whether it can be one."
    )
    phone: str | None = Field(None, description="Telephone number as given.")
    phone_number: str | None = Field(
        None, description="Read from phone and country: the number as E.164 has it."
    )
    phone_valid: bool | None = Field(
        None,
        description="Read from phone and country: whether it can be a telephone number; None where "
        "that hangs on a country that is not known.",
    )
    title: str | None = Field(None, description="Job title as given.")
    seniority: str | None = Field(
        None, description="Read from the title: executive, director, manager, staff."
    )
    function: str | None = Field(
        None, description=f"Read from the title: {', '.join(sorted(normalise.FUNCTIONS))}."
    )
    company: str | None = Field(None, description="Company name as given on the person.")
    website: str | None = Field(None, description="Company web site as given on the person.")
    industry: str | None = Field(None, description=_INDUSTRY)
    employees: int | None = Field(None, description="Number of employees of the company.")
    revenue: Decimal | None = Field(None, description="Annual revenue of the company.")
    country: str | None = Field(None, description="ISO 3166 alpha-2 code, upper case.")
    state: str | None = Field(None, description="State or province; two letters in the US.")
    region: str | None = Field(None, description=_REGION)
    us_region: str | None = Field(None, description=_US_REGION)
    technologies: tuple[str, ...] | None = Field(
        None, description="Software the company uses, lower case; None when not known."
    )
    source: str | None = Field(None, description="Lead source as the CRM says it.")
    status: str | None = Field(None, description="Lead status as the CRM says it.")
    email_opt_out: bool | None = Field(None, description="True: no marketing e-mail.")
    bounced_at: datetime | None = Field(None, description="When e-mail last bounced hard.")
    account_id: str | None = Field(None, description="Record id of the account.")
    owner_id: str | None = Field(None, description="Record id of the owner, person or queue.")
    accepted_at: datetime | None = Field(None, description="When sales accepted the lead.")
    converted_at: datetime | None = Field(
        None, description="When a Salesforce Lead was converted; it is then read-only."
    )
    converted_to: str | None = Field(None, description="The contact it was converted to.")
    custom: dict[str, str] | None = Field(
        None, description="Further mapped fields, as canonical text (see connectors.mapping)."
    )
    origins: dict[str, str] | None = Field(
        None,
        description="Of fields that are mapped to several: where the value comes from "
        "(given, observed, appended).",
    )
    sources: dict[str, str] | None = Field(
        None, description="What each source of such a field says, best first, as lines of JSON."
    )
    present: dict[str, str] | None = Field(
        None, description="What the CRM now holds in the fields leadgauge writes, by output name."
    )


class Account(Row):
    """A company: a Salesforce Account or a HubSpot company."""

    id: str = Field(description="The CRM's record id.")
    object_type: str = Field(description="The CRM's object: Account or companies.")
    created_at: datetime | None = Field(None, description="When the CRM created the record.")
    modified_at: datetime = Field(description="The CRM's last-modified stamp.")
    name: str | None = Field(None, description="Company name.")
    domain: str | None = Field(None, description="Web domain, lower case, without www.")
    industry: str | None = Field(None, description=_INDUSTRY)
    employees: int | None = Field(None, description="Number of employees.")
    revenue: Decimal | None = Field(None, description="Annual revenue.")
    country: str | None = Field(None, description="ISO 3166 alpha-2 code, upper case.")
    state: str | None = Field(None, description="State or province; two letters in the US.")
    region: str | None = Field(None, description=_REGION)
    us_region: str | None = Field(None, description=_US_REGION)
    technologies: tuple[str, ...] | None = Field(
        None, description="Software in use, lower case; None when not known."
    )
    type: str | None = Field(None, description="Prospect, customer, ... as the CRM says it.")
    parent_id: str | None = Field(None, description="Record id of the parent account.")
    owner_id: str | None = Field(None, description="Record id of the owner.")
    custom: dict[str, str] | None = Field(None, description="Further mapped fields, as text.")
    origins: dict[str, str] | None = Field(
        None, description="Of fields that are mapped to several: where the value comes from."
    )
    sources: dict[str, str] | None = Field(
        None, description="What each source of such a field says, best first, as lines of JSON."
    )


class Activity(Row):
    """Something a person did, or that was done with them; one row per activity and person."""

    id: str = Field(description="The CRM's record or event id; unique within its object.")
    object_type: str = Field(description="The CRM's object: Task, Event, CampaignMember, calls ...")
    lead_id: str = Field("", description="Record id of the person; empty when only an account's.")
    account_id: str | None = Field(None, description="Record id of the account.")
    type: str = Field(description="Canonical type: page_view, email_open, download, call, ...")
    occurred_at: datetime = Field(description="When it happened.")
    modified_at: datetime = Field(description="The CRM's last-modified stamp.")
    asset: str | None = Field(None, description="What was seen or downloaded: a page, a paper.")
    campaign: str | None = Field(None, description="Campaign it belongs to.")
    area: str | None = Field(None, description="Area of interest: product or topic.")
    channel: str | None = Field(None, description="email, web, phone, event, social, ...")
    direction: str | None = Field(None, description="inbound or outbound.")
    outcome: str | None = Field(None, description="Outcome or status as the CRM says it.")
    duration: int | None = Field(None, description="Duration in seconds.")
    length: int | None = Field(
        None, description="Planned duration in seconds: how long a webinar was in all."
    )
    message_id: str | None = Field(None, description="An e-mail's own Message-ID.")
    subject: str | None = Field(None, description="Subject line. Personal: not for logs.")
    owner_id: str | None = Field(None, description="Who logged it.")
    custom: dict[str, str] | None = Field(None, description="Further mapped fields, as text.")


class Owner(Row):
    """Someone or something a lead can belong to: a user, or a queue."""

    id: str = Field(description="The CRM's id, as it stands in an owner field.")
    object_type: str = Field(description="The CRM's object: User, Group or owners.")
    kind: str = Field(description="person or queue.")
    name: str | None = Field(None, description="Display name.")
    email: str | None = Field(None, description="E-mail address, lower case.")
    active: bool = Field(description="False: must never be given a lead.")
    modified_at: datetime = Field(description="The CRM's last-modified stamp.")


class Outcome(Row):
    """What became of a lead: one row per opportunity or deal and person."""

    id: str = Field(description="Record id of the opportunity or deal.")
    object_type: str = Field(description="The CRM's object: Opportunity or deals.")
    lead_id: str = Field("", description="Record id of the person; empty when only an account's.")
    account_id: str | None = Field(None, description="Record id of the account.")
    result: str = Field(description="open, won or lost.")
    stage: str | None = Field(None, description="Sales stage as the CRM says it.")
    amount: Decimal | None = Field(None, description="Deal size in its own currency.")
    currency: str | None = Field(None, description="ISO 4217 code, where the CRM names one.")
    created_at: datetime | None = Field(None, description="When the deal was opened.")
    closed_at: datetime | None = Field(None, description="When it closes or closed.")
    modified_at: datetime = Field(description="The CRM's last-modified stamp.")
