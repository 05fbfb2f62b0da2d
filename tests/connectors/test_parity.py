"""The same scenario in every CRM arrives as the same leads, activities and outcomes."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from connectors.sandbox.crm import Kind
from connectors.sandbox.memory import MemoryConnector
from connectors.sandbox.scenario import GOLDEN_50, GOLDEN_107, Did, Story, build, page
from tests.hubspot import hubspot_world
from tests.memory import memory_world
from tests.salesforce import salesforce_world
from tests.world import START, World, mirrored

BUSY = Story(
    {
        "first_name": "Zoë",
        "last_name": "Łuczak",
        "email": "Zoe.Luczak@Fern-Stores.example",
        "phone": "+48 22 5550100",
        "title": "Director of Engineering",
        "company": "Fern Stores & Co",
        "website": "https://www.fern-stores.example/about",
        "industry": "Retail",
        "employees": 1200,
        "revenue": Decimal("55000000"),
        "country": "Canada",
        "state": "Ontario",
        "technologies": ["SAP", "aws"],
        "opt_out": True,
    },
    (
        page("/blog/tidy-data", ago=timedelta(days=3)),
        Did("trial_started", timedelta(days=2), {"area": "Analytics"}),
        Did("demo_requested", timedelta(hours=5), {"area": "Security", "campaign": "Spring"}),
        Did("webinar_registered", timedelta(days=1), {"campaign": "Planning Season"}),
        Did("trade_show", timedelta(days=10), {"campaign": "Factory Days"}),
        Did("email_open", timedelta(days=4)),
        Did("email_click", timedelta(days=4)),
        Did("form_submission", timedelta(days=5), {"asset": "Contact us"}),
        Did("meeting", timedelta(days=6), {"duration": 1800, "subject": "Meeting"}),
        Did("email_sent", timedelta(days=7), {"direction": "outbound", "subject": "Hello"}),
        Did("email_reply", timedelta(days=6), {"direction": "inbound", "subject": "Re: Hello"}),
        Did("note", timedelta(days=6), {"subject": "Note"}),
        Did("task", timedelta(days=6), {"subject": "Task"}),
        Did("social_message", timedelta(days=9), {"subject": "Hello"}),
        Did("call", timedelta(days=8), {"duration": 90, "direction": "inbound", "subject": "Call"}),
    ),
)
LEAD = (
    *("first_name", "last_name", "email", "phone", "title", "seniority", "function", "company"),
    *("website", "industry", "employees", "revenue", "country", "state", "region", "us_region"),
    *("technologies", "email_opt_out"),
)
ACTIVITY = ("type", "occurred_at", "asset", "campaign", "area", "channel", "direction", "duration")


MIDNIGHT = START.replace(hour=0)
"""Salesforce keeps when somebody answered to a campaign, and when a deal closes, as a date."""


def in_memory() -> AbstractContextManager[World]:
    """The world that has no wire."""
    return nullcontext(memory_world(MemoryConnector))


OTHERS = pytest.mark.parametrize(
    "other", [salesforce_world, hubspot_world], ids=["salesforce", "hubspot"]
)


def told(opened: AbstractContextManager[World], story: Story) -> tuple[Any, ...]:
    """A story as it arrives: the lead, and what it did."""
    with opened as world:
        build(world.crm, story, at=MIDNIGHT)
        world.clock.tick()
        mirror = mirrored(world)
        ((lead_id, lead),) = mirror.leads().items()
        deeds = mirror.table("activities")
        assert {deed["lead_id"] for deed in deeds} == {lead_id}
        for deed in deeds:
            if deed["type"] in ("email_open", "email_click"):
                # HubSpot's e-mail events name their campaign by a number.
                deed["campaign"] = None
        rows = sorted([[deed[name] for name in ACTIVITY] for deed in deeds], key=str)
        return {name: lead[name] for name in LEAD}, rows


@OTHERS
@pytest.mark.parametrize("story", [GOLDEN_107, GOLDEN_50, BUSY], ids=["107", "50", "busy"])
def test_same_lead_and_deeds(
    other: Callable[[], AbstractContextManager[World]], story: Story
) -> None:
    """S086, U17: a lead and all it did arrive equal, whichever CRM they come from."""
    assert told(other(), story) == told(in_memory(), story)


@OTHERS
def test_same_account_and_outcome(other: Callable[[], AbstractContextManager[World]]) -> None:
    """S086, U17: an account and what became of its contacts arrive equal."""
    assert outcome(other()) == outcome(in_memory())


def outcome(opened: AbstractContextManager[World]) -> tuple[Any, ...]:
    """An account with a contact and a deal that was won, as it arrives."""
    with opened as world:
        firm = {k: BUSY.values[k] for k in ("website", "industry", "employees", "revenue")}
        more = {"name": "Fern Stores & Co", "country": "Canada", "state": "Ontario"}
        account = world.crm.add(Kind.ACCOUNT, {**firm, **more, "owner": world.rep.number})
        contact = world.lead(Kind.CONTACT, account=account.number, email="a@fern-stores.example")
        deal = {"name": "Deal", "account": account.number, "people": [contact.number]}
        closing = MIDNIGHT - timedelta(days=1)
        money = {"amount": Decimal("1200.50"), "owner": world.rep.number, "closed_at": closing}
        won = {"closed": True, "won": True, "stage": "Closed Won"}
        world.crm.add(Kind.DEAL, {**deal, **money, **won})
        world.clock.tick()
        mirror = mirrored(world)
        (held,), (became,) = mirror.table("accounts"), mirror.table("outcomes")
        named = (
            "name",
            "domain",
            "industry",
            "employees",
            "revenue",
            "country",
            "state",
            "region",
            "us_region",
        )
        result = ("result", "amount", "closed_at")
        return [held[n] for n in named], [became[n] for n in result]
