"""Clocks that disagree, stamps of the future, and records that move while they are read: what
the CRMs hold in the end is what their own records come to, and nothing was written twice."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.happenings import after, skew
from connectors.sandbox.http import Fault
from connectors.sandbox.hubspot import faults as hubspot_faults
from connectors.sandbox.salesforce import faults as salesforce_faults
from tests.live import ANA, FIELDS, Live, Seller, live
from tests.soak import soak
from tests.written import Written

FAULTS = {"sales": salesforce_faults.fault, "marketing": hubspot_faults.fault}
MODEL = {
    "fit": [{"id": "technology", "points": 60, "when": {"industry": "technology"}}],
    "behaviour": [
        {"id": "pricing", "points": 50, "when": {"type": "page_view", "asset": "/pricing"}},
        {"id": "call", "points": 50, "count": "each", "when": {"type": "call"}},
    ],
    "decays": {},
}  # fmt: skip
PAGES = {"sales": r"/query(All)?/(01g|$)|/queryAll$", "marketing": r"/objects/contacts/?$"}
"""How each CRM gives out pages of leads."""

LISTS = {"sales": r"/query(All)?/?$", "marketing": "/objects/contacts"}
"""How each is asked for leads, at first and later."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, without leads."""
    with live(tmp_path) as world:
        world.configure(guards={"max_change_share": 1})
        world.model(**MODEL)
        yield world


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["clock-ahead", "clock-behind"])
def test_clocks_that_disagree(tmp_path: Path, fault: str) -> None:
    """Both CRMs' clocks are ten minutes off: of what happens minutes before and between the
    cycles nothing is lost."""
    chance = random.Random(fault)
    with soak(tmp_path, seed=3) as run:
        clock, sellers = run.live.clock, run.live.sellers
        # What there is was made by the same clock, long ago.
        clock.tick()
        for name, seller in sellers.items():
            seller.server.faults.append(FAULTS[name](fault))
        for _ in range(6):
            run.live.sync()
            for _ in range(4):
                clock.tick(seconds=chance.randint(1, 200))
                for seller in sellers.values():
                    run.happens(seller)
        clock.tick(minutes=5)
        run.live.sync()
        apart = {abs(seller.crm.now() - clock()) for seller in sellers.values()}
        assert apart == {timedelta(minutes=10)}
        assert run.miscounted() == {}
        assert (run.unlike_fresh(), run.unowned()) == ([], [])
        assert not run.written.idle


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sales", "marketing"])
def test_stamps_of_the_future(world: Live, name: str) -> None:
    """A change stamped ahead of the CRM's clock is read when that time has come, or with the next
    one, also where it was there from the first; what is said to happen later counts from then on.
    """
    seller = world.sellers[name]
    somebody = seller.users[ANA].number
    first, second, third = (person(seller, n) for n in range(3))
    world.set_up()
    seller.crm.update(first, {}, by=somebody, at=seller.crm.now() + timedelta(minutes=30))
    world.sync()
    seller.crm.update(first, {"industry": "Retail"}, by=somebody)
    world.sync()
    assert scores(seller) == [0, 60, 60]
    seller.crm.update(first, {"industry": "Technology"}, by=somebody)
    world.sync()
    assert scores(seller) == [60, 60, 60]
    ahead = seller.crm.now() + timedelta(minutes=10)
    for lead in (first, second):
        seller.crm.update(lead, {"industry": "Retail"}, by=somebody, at=ahead)
    visit = {"type": "page_view", "asset": "/pricing", "people": [third.number]}
    seller.crm.add(Kind.ACTIVITY, {**visit, "at": world.clock() + timedelta(hours=2)})
    world.sync()
    seller.crm.update(second, {"title": "CTO"}, by=somebody)
    world.sync()
    assert scores(seller)[1:] == [0, 60]
    world.clock.tick(minutes=10)
    world.sync()
    assert scores(seller) == [0, 0, 60]
    world.clock.tick(hours=2)
    world.sync()
    assert scores(seller) == [0, 0, 110]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sales", "marketing"])
def test_a_stamp_ahead_hides_no_change_after_it(world: Live, name: str) -> None:
    """A lead that is stamped ahead of the CRM's clock in the middle of a run changes a minute
    later: that is seen."""
    seller = world.sellers[name]
    for n in range(3):
        person(seller, n)
    world.set_up()
    world.sync()
    ahead = FAULTS[name]("future-stamp")
    seller.server.faults.append(ahead)
    world.sync()
    assert ahead.hit
    (lead,) = (r for r in seller.crm.records(Kind.LEAD) if r.modified > seller.crm.now())
    world.sync()
    seller.crm.update(lead, {"industry": "Retail"}, by=seller.users[ANA].number)
    world.sync()
    assert sorted(scores(seller)) == [0, 60, 60]


@pytest.mark.slow
def test_a_lead_that_is_committed_late(world: Live) -> None:
    """Stamped before a run and seen after it: the next run looks back far enough."""
    person(world.sales, 0)
    world.set_up()
    late = salesforce_faults.fault("late-commit")
    world.sales.server.faults.append(late)
    world.sync("--connection", "sales")
    assert (late.hit, scores(world.sales)) == (1, [60])
    world.clock.tick(minutes=4)
    world.sync("--connection", "sales")
    assert scores(world.sales) == [60, 60]


@pytest.mark.slow
def test_an_index_that_lags(world: Live) -> None:
    """HubSpot's search shows what was a minute ago: a change and a person's edit right before a run
    are found by a later one, and what we wrote is not taken for what was there before."""
    seller, written = world.marketing, Written()
    first, second = (person(seller, n) for n in range(2))
    somebody = seller.users[ANA].number
    world.configure_write(
        "marketing", {"tier": {"field": FIELDS["marketing"]["tier"], "policy": "respect_edits"}}
    )
    world.set_up()
    written.watch("marketing", seller.crm)
    world.sync("--connection", "marketing")
    lag = hubspot_faults.fault("index-lag")
    seller.server.faults.append(lag)
    world.clock.tick(seconds=30)
    seller.crm.update(first, {"industry": "Retail"}, by=somebody)
    seller.edit(second, "tier", "Z")
    world.clock.now -= timedelta(seconds=25)
    world.sync("--connection", "marketing")
    assert (lag.hit, scores(seller)) == (1, [60, 60])
    world.sync("--connection", "marketing")
    assert scores(seller) == [0, 60]
    seller.crm.update(second, {"industry": "Retail"}, by=somebody)
    world.clock.tick()
    world.sync("--connection", "marketing")
    assert (scores(seller), seller.shown(second)["tier"]) == ([0, 0], "Z")
    assert not written.idle


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [-120, -10, 10])
@pytest.mark.parametrize("name", ["sales", "marketing"])
def test_a_clock_that_jumps_in_mid_run(world: Live, name: str, minutes: int) -> None:
    """A CRM's clock is set wrong in the middle of a run, and set right again in the middle of a
    later one; each time somebody edits a written field right after. What it then takes to write to
    that lead leaves the edit alone, and nothing is missed or written twice."""
    seller, written = world.sellers[name], Written()
    leads = [person(seller, n) for n in range(3)]
    field = {"field": FIELDS[name]["tier"], "policy": "respect_edits"}
    world.configure_write(name, {"tier": field})
    world.set_up()
    written.watch(name, seller.crm)
    world.sync("--connection", name)
    for lead, off in ((leads[0], minutes), (leads[1], 0)):

        def happens(crm: Crm, lead: Record = lead, off: int = off) -> None:
            skew(timedelta(minutes=off))(crm)
            seller.edit(lead, "tier", "Z")

        jump = Fault(LISTS[name], around=after(happens))
        seller.server.faults[:] = [jump]
        world.sync("--connection", name)
        assert jump.hit
        call = {"type": "call", "at": world.clock() - timedelta(days=1)}
        for each in leads:
            seller.crm.add(Kind.ACTIVITY, {**call, "people": [each.number]})
        world.sync("--connection", name)
        assert seller.shown(lead)["tier"] == "Z"
        assert scores(seller) == [110 if off else 160] * 3
        world.clock.tick(minutes=1)
    assert [seller.shown(lead)["tier"] for lead in leads] == ["Z", "Z", "A"]
    assert not written.idle


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["changed-under-way", "repeated-row"])
@pytest.mark.parametrize(("name", "leads"), [("sales", 2_010), ("marketing", 210)])
def test_pages_that_move(world: Live, name: str, leads: int, fault: str) -> None:
    """Leads change after each page, those that were read and those yet to come; or one of each
    page comes again on the next: every lead is there once, as it is."""
    seller, written = world.sellers[name], Written()
    for n in range(leads):
        person(seller, n)
    world.set_up()
    written.watch(name, seller.crm)
    moving = replace(FAULTS[name](fault), path=PAGES[name], times=None)
    seller.server.faults.append(moving)
    outcome = world.sync("--connection", name)
    assert moving.hit > 1
    assert outcome.step(name, "score")["in"] == leads
    seller.server.faults.clear()
    world.clock.tick()
    world.sync("--connection", name)
    expected = [
        60 if lead.values["industry"] == "Technology" else 0
        for lead in seller.crm.records(Kind.LEAD)
    ]
    assert scores(seller) == expected
    assert (0 in expected) is (fault == "changed-under-way")
    assert not written.idle


def person(seller: Seller, n: int):
    """A lead of technology."""
    values = {"last_name": f"P{n}", "company": "Firm", "email": f"p{n}@firm.example"}
    return seller.crm.add(Kind.LEAD, {**values, "industry": "Technology"})


def scores(seller: Seller) -> list[float]:
    """What the CRM shows as scores."""
    return [seller.shown(lead)["score"] for lead in seller.crm.records(Kind.LEAD)]
