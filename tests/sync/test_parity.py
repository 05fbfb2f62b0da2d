"""The sample of both CRMs: the same people did the same things, and are decided on alike."""

from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from connectors.sandbox.crm import Kind
from connectors.sandbox.data import sample
from core.segments import Segment
from sync.decide import Decider
from sync.facts_store import FactsStore
from tests.core.golden import weighted
from tests.hubspot import hubspot_world
from tests.salesforce import salesforce_world
from tests.world import Mirror, World


@dataclass
class Told:
    """What a CRM tells, by the number that a person has in the sandbox whichever face is asked.

    `deeds` are what each did; `decided` are score, tier, stage and reason.
    """

    deeds: dict[int, Counter[tuple[Any, ...]]]
    decided: dict[int, tuple[Any, ...]]


def told(opened: AbstractContextManager[World]) -> Told:
    """The sample as a connector reads it and the default model decides on it."""
    with opened as world, FactsStore(":memory:") as store:
        sample(world.crm, seed=7, now=world.clock(), leads=400)
        until, mirror, connector = world.clock.tick(), Mirror(), world.connector
        for page in mirror.pull(connector, until):
            store.store(connector.name, page, at=until)
        people = world.crm.records(Kind.LEAD, Kind.CONTACT)
        alive = {world.id(person): person.number for person in people}
        deeds = {alive[key]: Counter[tuple[Any, ...]]() for key in mirror.leads()}
        for deed in mirror.table("activities"):
            # Salesforce keeps what a deleted lead did; in HubSpot it belongs to nobody then.
            if (number := alive.get(mirror.final(deed["lead_id"]))) is not None:
                day = deed["occurred_at"].date()
                deeds[number][deed["type"], day, deed["asset"], deed["area"], deed["channel"]] += 1
        with Decider((Segment(weighted()),), None, store, until) as decider:
            decisions = [d.decision for some in decider.decided(connector.name, {}) for d in some]
        return Told(
            deeds, {alive[d.lead_id]: (d.score, d.tier, d.stage, d.reason) for d in decisions}
        )


@pytest.fixture(scope="module")
def both() -> tuple[Told, Told]:
    """The sample by Salesforce and by HubSpot."""
    return told(salesforce_world()), told(hubspot_world())


@pytest.mark.slow
def test_everybody_did_the_same(both: tuple[Told, Told]) -> None:
    """S086, U17: person by person the same activities, however each CRM keeps them."""
    salesforce, hubspot = both
    assert sum(counted.total() for counted in salesforce.deeds.values()) > 4_000
    assert salesforce.deeds == hubspot.deeds


@pytest.mark.slow
def test_everybody_is_decided_on_alike(both: tuple[Told, Told]) -> None:
    """S086, U17: one model gives equal scores, tiers, stages and reasons in both CRMs."""
    salesforce, hubspot = both
    assert Counter(stage for _, _, stage, _ in salesforce.decided.values()).keys() >= {"MQL", "SQL"}
    assert salesforce.decided == hubspot.decided
