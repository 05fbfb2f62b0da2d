"""Reconciliation: whatever the deltas missed, the facts are what the CRM holds afterwards."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Entry, EntryKind
from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.hubspot import faults
from connectors.sandbox.hubspot.schema import add_formula as add_calculated
from connectors.sandbox.salesforce.customs import add_formula
from sync.exits import Exit
from sync.guards import GuardStopError, Limits
from tests.followed import Followed, KilledError, hide, show, unstamped
from tests.live import Live, Outcome, live

BOTH = pytest.mark.parametrize("name", ["sales", "marketing"])


@pytest.fixture
def followed() -> Iterator[Followed]:
    """Six leads, read an hour ago."""
    made = Followed()
    for n in range(6):
        made.lead(email=f"p{n}@buyer.example")
    made.clock.tick(hours=1)
    made.pull()
    made.clock.tick(hours=1)
    with made.facts:
        yield made


def leads(crm: Crm) -> list[Record]:
    return list(crm.records(Kind.LEAD))


def test_each_way_to_differ_is_healed_and_counted(followed: Followed) -> None:
    """D11, D22: gone without a word, missed, and changed under its stamp; then nothing is left."""
    gone, changed, *_ = leads(followed.crm)
    hide(followed.crm, gone)
    unstamped(followed.crm, changed, title="Director")
    missed = followed.crm.add(
        Kind.LEAD, {"last_name": "Missed"}, at=followed.clock() - timedelta(minutes=90)
    )
    followed.pull()
    assert str(missed.number) not in {row["id"] for row in followed.held()["leads"]}
    found = followed.reconcile()["lead"]
    assert (found.counted, found.shown, found.held) == (6, 6, 6)
    assert (found.missing, found.changed, found.unstamped, found.gone) == (1, 1, 1, 1)
    assert followed.held() == followed.truth()
    again = followed.reconcile()["lead"]
    assert (again.missing, again.changed, again.unstamped, again.gone) == (0, 0, 0, 0)


def test_versions_are_kept(followed: Followed) -> None:
    """What was there is there in a replay of then; a change counts from when it was seen."""
    gone, changed, *_ = leads(followed.crm)
    hide(followed.crm, gone)
    unstamped(followed.crm, changed, title="Director")
    followed.reconcile()
    table = followed.facts.table("leads")
    rows = table.filter(table.id.isin([str(gone.number), str(changed.number)]))
    versions = rows.order_by("id", "valid_from").to_pyarrow().to_pylist()
    seen = followed.clock()
    spans = [(r["title"], r["valid_from"], r["valid_to"]) for r in versions]
    assert spans == [
        (None, gone.modified, seen),
        (None, changed.modified, seen),
        ("Director", seen, None),
    ]


def test_what_is_shown_again_is_back(followed: Followed) -> None:
    """A permission lost and given back moves no stamp; the lead was away, and is there again."""
    lead = leads(followed.crm)[0]
    hide(followed.crm, lead)
    followed.reconcile()
    away = followed.clock()
    followed.clock.tick(hours=1)
    show(followed.crm, lead)
    followed.pull()
    assert str(lead.number) not in {row["id"] for row in followed.held()["leads"]}
    assert followed.reconcile()["lead"].missing == 1
    assert followed.held() == followed.truth()
    table = followed.facts.table("leads")
    versions = table.filter(table.id == str(lead.number)).order_by("valid_from")
    spans = [(r["valid_from"], r["valid_to"]) for r in versions.to_pyarrow().to_pylist()]
    assert spans == [(lead.modified, away), (followed.clock(), None)]


def test_more_gone_than_plausible_takes_nothing_away(followed: Followed) -> None:
    """The guard stops before anything is taken away, and the next one looks anew."""
    before, hidden = followed.held(), leads(followed.crm)
    for lead in hidden:
        hide(followed.crm, lead)
    with pytest.raises(GuardStopError, match="6 of 6 leads are no longer in the CRM"):
        followed.reconcile(Limits(change_share=0.5))
    assert followed.held() == before
    for lead in hidden:
        show(followed.crm, lead)
    assert followed.reconcile(Limits(change_share=0.5))["lead"].gone == 0
    assert followed.held() == before


def test_too_little_shown_takes_nothing_away(followed: Followed) -> None:
    """D11: fewer records came than the CRM counts: reported, and none is taken for gone."""
    hidden = leads(followed.crm)[0]
    shown = followed.connector.count
    hide(followed.crm, hidden)
    followed.connector.count = lambda stream, cursor: (shown(stream, cursor) or 0) + 2  # type: ignore[method-assign]
    found = followed.reconcile()["lead"]
    assert (found.counted, found.shown, found.short, found.gone) == (7, 5, 2, 0)
    assert str(hidden.number) in {row["id"] for row in followed.held()["leads"]}


def test_what_has_no_row_was_shown_all_the_same(followed: Followed) -> None:
    """D11: a task of ours, and a record that cannot be read, are counted and there: neither is in
    the way of finding what is gone."""
    lead = leads(followed.crm)[0]
    done = {"type": "call", "at": followed.clock(), "people": [lead.number]}
    gone = followed.crm.add(Kind.ACTIVITY, done)
    followed.crm.add(Kind.ACTIVITY, {**done, "at": "no time"})
    ours = Entry(EntryKind.TASK, "lead", str(lead.number), "k", "Call", "", followed.clock())
    followed.connector.add_entry(ours)
    followed.pull()
    followed.clock.tick(hours=1)
    hide(followed.crm, gone)
    found = followed.reconcile()["activity"]
    assert (found.counted, found.shown, found.held, found.gone) == (2, 2, 1, 1)


STAGES = ("edit", "unstamped", "hide", "delete", "add", "missed", "late", "convert", "merge")
HAPPENING = st.lists(st.tuples(st.sampled_from(STAGES), st.integers(0, 9)), max_size=8)


def happen(followed: Followed, what: str, which: int) -> None:
    """Something that happens in a CRM, heard of or not."""
    crm, all_leads = followed.crm, leads(followed.crm)
    lead = all_leads[which % len(all_leads)] if all_leads else None
    if what == "add" or lead is None:
        followed.lead(email=f"new{which}@buyer.example")
    elif what == "missed":
        crm.add(Kind.LEAD, {"last_name": "Old"}, at=followed.clock() - timedelta(hours=which + 1))
    elif what == "late":
        late = followed.lead(email=f"late{which}@buyer.example")
        late.visible_from = followed.clock() + timedelta(seconds=90)
    elif what == "edit":
        crm.update(lead, {"title": f"Title {which}"})
    elif what == "unstamped":
        unstamped(crm, lead, title=f"Formula {which}")
    elif what == "hide":
        hide(crm, lead)
    elif what == "delete":
        crm.delete(lead)
    elif what == "convert" and not lead.values.get("converted_at"):
        crm.convert(lead)
    elif what == "merge" and len(all_leads) > 1:
        crm.merge(all_leads[which % len(all_leads) - 1], lead)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=6, deadline=None)
@given(HAPPENING, HAPPENING, HAPPENING, st.integers(1, 25))
def test_whatever_happens_the_facts_end_as_the_crm_is(
    before: list[tuple[str, int]],
    meanwhile: list[tuple[str, int]],
    between: list[tuple[str, int]],
    killed_at: int,
) -> None:
    """D11, D22: silent and loud changes before a comparison, in the midst of it, and between a
    kill and the one that goes on. No living lead is ever taken away, and once it is quiet, the
    facts are those of a first pull."""
    followed = Followed()
    for n in range(6):
        followed.lead(email=f"p{n}@buyer.example")
    followed.clock.tick(hours=1)
    followed.pull()
    followed.clock.tick(hours=1)
    for event in before:
        happen(followed, *event)
    pending = iter(meanwhile)

    def next_happens() -> None:
        if event := next(pending, None):
            followed.clock.tick(seconds=20)
            happen(followed, *event)

    followed.meanwhile, followed.dies_after = next_happens, killed_at
    with suppress(KilledError):
        followed.reconcile()
    followed.dies_after = None
    for event in between:
        happen(followed, *event)
    followed.reconcile()
    followed.clock.tick(hours=1)
    followed.pull()
    held = {row["id"] for row in followed.held()["leads"]}
    missed = {str(lead.number) for lead in leads(followed.crm) if lead.values["last_name"] == "Old"}
    assert {row["id"] for row in followed.truth()["leads"]} - missed <= held
    followed.reconcile()
    assert followed.held() == followed.truth()
    followed.facts.close()


@pytest.mark.parametrize("killed_at", [pytest.param(4, marks=pytest.mark.slow), 12, 16])
def test_an_interrupted_one_goes_on(followed: Followed, killed_at: int) -> None:
    """Killed at any page, it goes on there, and finds what an unbroken one finds."""
    hide(followed.crm, leads(followed.crm)[0])
    unstamped(followed.crm, leads(followed.crm)[-1], title="Director")
    followed.dies_after = killed_at
    with pytest.raises(KilledError):
        followed.reconcile()
    done = followed.compared()
    followed.dies_after = None
    found = followed.reconcile()["lead"]
    left = followed.compared()
    followed.reconcile()
    assert done + left == followed.compared()
    assert (found.gone, found.unstamped) == (1, 1)
    assert followed.held() == followed.truth()


def test_one_that_was_interrupted_days_ago_begins_anew(followed: Followed) -> None:
    """What was shown then says too little by now: all pages are read."""
    followed.dies_after = 12
    with pytest.raises(KilledError):
        followed.reconcile()
    followed.dies_after = None
    followed.clock.tick(hours=25)
    hide(followed.crm, leads(followed.crm)[0])
    assert followed.reconcile()["lead"].gone == 1
    read = followed.compared()
    followed.reconcile()
    assert read == followed.compared()
    assert followed.held() == followed.truth()


def test_one_that_began_by_a_clock_set_back_since_begins_anew(followed: Followed) -> None:
    """What came after it was interrupted has an earlier stamp than its beginning, and was not shown
    then: it is not taken for gone."""
    followed.dies_after = 12
    with pytest.raises(KilledError):
        followed.reconcile()
    followed.dies_after = None
    followed.clock.tick(minutes=-50)
    followed.lead(email="new@buyer.example")
    assert followed.reconcile()["lead"].gone == 0
    assert followed.held() == followed.truth()


# Both CRMs, over the wire

RATING = {
    "fit": [{"id": "rating", "points": 100, "when": {"custom": {"rating": "gold"}}}],
    "behaviour": [],
    "decays": {},
}


def rating_of(crm: Crm, record: Record) -> Any:
    """A formula over a lead's account: a change there moves no stamp of the lead."""
    account = (
        crm.get(Kind.ACCOUNT, record.values["account"]) if "account" in record.values else None
    )
    return account.values.get("type") if account else None


@dataclass
class Company:
    """A contact of an account and one of none, a call with neither, in both CRMs."""

    live: Live
    accounts: dict[str, Record] = field(default_factory=dict)
    people: dict[str, list[Record]] = field(default_factory=dict)
    calls: dict[str, Record] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, seller in self.live.sellers.items():
            crm = seller.crm
            account = self.accounts[name] = crm.add(Kind.ACCOUNT, {"name": "Firm"})
            given = {"last_name": "P", "company": "Firm"}
            self.people[name] = [
                crm.add(Kind.CONTACT, {**given, "email": f"p{n}@firm.example", **more})
                for n, more in enumerate(({"account": account.number}, {}))
            ]
            call = {"type": "call", "at": crm.clock(), "subject": "Call", "people": []}
            self.calls[name] = crm.add(Kind.ACTIVITY, call)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """Both CRMs, with a field for the rating of a lead's account, synced hours ago."""
    with live(tmp_path_factory.mktemp("company")) as world:
        made = Company(world)
        sales, marketing = world.sales.crm, world.marketing.crm
        add_formula(sales, Kind.CONTACT, "Rating__c", partial(rating_of, sales))
        add_formula(sales, Kind.LEAD, "Rating__c", partial(rating_of, sales))
        add_calculated(marketing, "contacts", "rating", partial(rating_of, marketing))
        mapped = {"sales": "Rating__c", "marketing": "rating"}
        world.configure(
            **{name: {"mapping": {"leads": {"custom.rating": f}}} for name, f in mapped.items()}
        )
        world.model(**RATING)
        world.set_up()
        for _ in range(2):  # The second reads what the first wrote.
            world.sync()
            world.clock.tick(hours=1)
        yield made


def compared(outcome: Outcome, name: str, stream: str) -> dict[str, Any]:
    """What the report says of the comparison of one object."""
    (part,) = (c for c in outcome.json["connections"] if c["connection"] == name)
    (found,) = (c for c in part["comparisons"] if c["stream"] == stream)
    return dict(found)


@pytest.mark.slow
def test_formula_fields_and_late_associations(company: Company) -> None:
    """D22, D12: neither moves a stamp, so a sync does not see them; a reconciliation does, and
    rescores whom they concern."""
    world = company.live
    for name, seller in world.sellers.items():
        unstamped(seller.crm, company.accounts[name], type="gold")
        unstamped(seller.crm, company.calls[name], people=[company.people[name][1].number])
    world.sync()
    for name, seller in world.sellers.items():
        assert seller.shown(company.people[name][0])["score"] == 0
    outcome = world.sync("--reconcile")
    contacts = {"sales": "Contact", "marketing": "contacts"}
    calls = {"sales": "Task", "marketing": "calls"}
    for name, seller in world.sellers.items():
        assert [seller.shown(p)["score"] for p in company.people[name]] == [100, 0]
        found = compared(outcome, name, contacts[name])
        assert (found["counted"], found["held"], found["unstamped"]) == (2, 2, 1)
        assert compared(outcome, name, calls[name])["missing"] == 1
    (run, *_) = world.run("status", "--json").json["runs"]
    assert (run["kind"], run["status"]) == ("reconcile", "done")
    assert "compared with the CRM" in world.run("sync", "--reconcile").out


@pytest.mark.slow
def test_a_list_that_ends_early_is_found_and_made_good(company: Company) -> None:
    """D11: a load that brought fewer than the CRM counts is found by its counts; as long as fewer
    come, that is said and nothing is taken away; then the rest is read. An archived engagement,
    which moves no stamp and is in no search, is found gone."""
    world, crm = company.live, company.live.marketing.crm
    for n in range(150):
        note = {
            "type": "note",
            "at": crm.clock(),
            "people": [company.people["marketing"][0].number],
        }
        crm.add(Kind.ACTIVITY, {**note, "subject": f"N{n}"}, at=crm.clock() - timedelta(days=30))
    world.clock.tick(hours=1)
    short = faults.fault("list-ends-early")
    world.marketing.server.faults.append(short)
    outcome = world.sync("--reconcile", "--connection", "marketing")
    found = compared(outcome, "marketing", "notes")
    assert (found["counted"], found["shown"], found["held"], found["missing"]) == (150, 100, 0, 100)
    assert "marketing: notes: the CRM counts 150 records and showed 100" in outcome.err
    world.marketing.server.faults.clear()
    found = compared(world.sync("--reconcile", "--connection", "marketing"), "marketing", "notes")
    assert (found["held"], found["missing"], found["gone"]) == (100, 50, 0)
    (archived, *_) = (r for r in crm.records(Kind.ACTIVITY) if r.values["type"] == "note")
    crm.delete(archived, bump=False)
    world.clock.tick(hours=1)
    outcome = world.sync("--reconcile", "--connection", "marketing")
    assert compared(outcome, "marketing", "notes")["gone"] == 1


@pytest.mark.slow
@BOTH
def test_a_crm_that_shows_almost_nothing_stops_the_run(company: Company, name: str) -> None:
    """Whoever takes the CRM user's sight away takes no score away: the guard stops before."""
    world, seller = company.live, company.live.sellers[name]
    # What changed just now is left to a pull, and other tests wrote to these people.
    world.clock.tick(hours=1)
    for person in company.people[name]:
        hide(seller.crm, person)
    writes = seller.writes()
    outcome = world.run("sync", "--reconcile", "--connection", name)
    assert outcome.code == Exit.GUARD
    assert f"stopped: {name}: 2 of 2 leads are no longer in the CRM" in outcome.err
    assert seller.writes() == writes
    for person in company.people[name]:
        show(seller.crm, person)
    assert (
        compared(
            world.sync("--reconcile", "--connection", name),
            name,
            "Contact" if name == "sales" else "contacts",
        )["gone"]
        == 0
    )
