"""Scenarios: leads and what they did, stated once and built in any CRM.

Both HTTP faces stand on the same store, so a scenario built here is the same story in
Salesforce and in HubSpot; what a connector makes of it must be the same as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.names import SITE
from connectors.sandbox.salesforce.org import id_of


@dataclass(frozen=True)
class Did:
    """Something a person did, `ago` before the scenario's time; `more` are neutral values."""

    type: str
    ago: timedelta = timedelta(0)
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Story:
    """A person with neutral values, and what the person did."""

    values: Mapping[str, Any]
    deeds: tuple[Did, ...] = ()
    kind: Kind = Kind.LEAD


def build(crm: Crm, story: Story, *, at: datetime) -> Record:
    """Add a story's person and activities to a CRM, as of `at`; the person is returned."""
    stamps = [at - did.ago for did in story.deeds]
    person = crm.add(story.kind, story.values, at=min(stamps, default=at))
    for did, stamp in zip(story.deeds, stamps, strict=True):
        values = {"type": did.type, "at": stamp, "people": [person.number], **did.more}
        crm.add(Kind.ACTIVITY, values, at=stamp)
    return person


def page(path: str, *, ago: timedelta = timedelta(0)) -> Did:
    """A visit of a page of the vendor's site."""
    return Did("page_view", ago, {"asset": path, "url": SITE + path})


def in_both(salesforce: Crm, hubspot: Crm, *, at: datetime) -> tuple[Record, Record]:
    """The person of PROSPECT as a lead of one CRM and a contact of the other, who knows the id of
    the first; what the person did so far, only the first has seen."""
    ours = build(salesforce, PROSPECT, at=at)
    ours.values["owner"] = salesforce.integration_user
    theirs = build(hubspot, Story({**PROSPECT.values, "salesforce_id": id_of(ours)}), at=at)
    return ours, theirs


def ask(crm: Crm, person: Record, *, at: datetime) -> None:
    """The person fills in the form that gives the datasheet away."""
    values = {"type": "form_submission", "at": at, "people": [person.number]}
    crm.add(Kind.ACTIVITY, {**values, "asset": "Product datasheet"}, at=at)


PROSPECT = Story(
    {
        "first_name": "Ines",
        "last_name": "Okoro",
        "email": "ines.okoro@maple-systems.example",
        "title": "CTO",
        "company": "Maple Systems",
        "industry": "Technology",
        "country": "Canada",
        "opt_out": False,
    },
    (
        page("/pricing", ago=timedelta(days=2)),
        *(page(f"/blog/part-{n}", ago=timedelta(days=3 + n)) for n in range(5)),
    ),
)
"""45 points for fit and 45 for what a CRM saw: 90, an MQL; with the datasheet 105, an SQL."""

GOLDEN_107 = Story(
    {
        "first_name": "Ada",
        "last_name": "Brandt",
        "email": "ada.brandt@alder-software.example",
        "title": "CTO",
        "company": "Alder Software",
        "industry": "Technology",
        "country": "United States",
        "opt_out": False,
    },
    (
        page("/pricing"),
        Did("download", more={"asset": "product-datasheet", "area": "Analytics"}),
        Did("webinar_attended", more={"campaign": "Tidy Data Live"}),
        Did("email_open", more={"campaign": "Product News"}),
        Did("email_click", more={"campaign": "Product News"}),
        Did("download", more={"asset": "buyers-guide", "channel": "email"}),
    ),
)
"""S155: 45 for fit and 62 for behaviour: 107, an SQL; after 31 days 98.5, after 91 days 88.5."""

GOLDEN_50 = Story(
    {
        "first_name": "Märta",
        "last_name": "Ekholm",
        "email": "maerta.ekholm@fern-health.example",
        "title": "Marketing Manager",
        "company": "Fern Health",
        "industry": "Healthcare",
        "country": "Germany",
        "opt_out": False,
    },
    tuple(page(f"/blog/part-{n}", ago=timedelta(hours=n)) for n in range(5)),
)
"""S156: 25 for fit and 25 for five visits of the blog: 50, an MQL by the exact threshold."""
