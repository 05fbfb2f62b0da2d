"""Refresh: what changes without a stamp is found without reading everything else."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.base import Cursor
from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.hubspot.schema import add_formula as add_calculated
from connectors.sandbox.salesforce.customs import add_formula
from connectors.settings import ConnectionSettings, FieldMapping, Source
from sync.config import Config
from sync.exits import Exit
from sync.lease import LASTS
from sync.pull import Pulled
from sync.refresh import asked, words
from tests.followed import Followed, KilledError, unstamped
from tests.hubspot import RunningTimer
from tests.killed import KILLED, Child, Ended
from tests.live import ANA, Live, Outcome, live

BOTH = pytest.mark.parametrize("name", ["sales", "marketing"])
CONTACTS = {"sales": "Contact", "marketing": "contacts"}
FIRMS = {"sales": "Account", "marketing": "companies"}
FORMULAS = {"sales": "Rating__c", "marketing": "rating"}
SAYS = {"sales": "Title", "marketing": "jobtitle"}
UNSTAMPED = {"sales": ["Title", "Account.Name"], "marketing": ["jobtitle"]}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
RATING = {
    "fit": [
        {"id": "gold", "points": 100, "when": {"custom": {"rating": "gold"}}},
        {"id": "chief", "points": 20, "when": {"custom": {"says": "chief"}}},
    ],
    "behaviour": [],
    "decays": {},
}


def rating_of(crm: Crm, record: Record) -> Any:
    """A formula over a lead's account: a change there moves no stamp of the lead."""
    number = record.values.get("account")
    account = crm.get(Kind.ACCOUNT, number) if number is not None else None
    return account.values.get("type") if account else None


# In memory


@pytest.fixture
def followed() -> Iterator[Followed]:
    """Six leads, read an hour ago, whose titles change without a stamp."""
    made = Followed(settings=ConnectionSettings(mapping=FieldMapping(unstamped=("title",))))
    for n in range(6):
        made.lead(email=f"p{n}@buyer.example", title=f"Title {n}")
    made.clock.tick(hours=1)
    made.pull()
    made.clock.tick(hours=1)
    with made.facts:
        yield made


def moved(pulled: Pulled) -> dict[str, tuple[int, int]]:
    """How many records of each object were looked at, and how many had moved."""
    return {one.stream: (one.looked_at, one.moved) for one in pulled.refreshed}


def test_only_what_moved_is_read_again(followed: Followed) -> None:
    """D22: a title under an old stamp is found and the whole record taken over, as of when it was
    seen; what else changed so is left to a reconciliation. No cursor differs from a pull's."""
    first, second, third, *_ = followed.crm.records(Kind.LEAD)
    unstamped(followed.crm, first, title="Director", company="Other")
    unstamped(followed.crm, second, title=None)
    unstamped(followed.crm, third, company="Third")
    pulled = followed.refresh()
    assert moved(pulled) == {"lead": (6, 2), "contact": (0, 0)}
    held = {row["id"]: row for row in followed.held()["leads"]}
    of_first, of_second = (held[str(lead.number)] for lead in (first, second))
    assert (of_first["title"], of_first["company"]) == ("Director", "Other")
    assert (of_second["title"], of_second["company"]) == (None, "Muster")
    assert held[str(first.number)]["seniority"] == "director"
    assert held[str(third.number)]["company"] == "Muster"
    for stream in followed.connector.streams():
        assert followed.facts.cursor("crm", stream.name) == Cursor(followed.clock())
    table = followed.facts.table("leads")
    (version,) = (
        table.filter(table.id == str(first.number), table.valid_to.isnull())
        .to_pyarrow()
        .to_pylist()
    )
    assert version["valid_from"] == followed.clock()
    assert moved(followed.refresh()) == {"lead": (6, 0), "contact": (0, 0)}


def test_what_moved_on_several_pages_is_read_again_at_once(followed: Followed) -> None:
    """D22: a look at six leads takes pages of three; one call reads again what moved on both."""
    leads = list(followed.crm.records(Kind.LEAD))
    unstamped(followed.crm, leads[0], title="Director")
    unstamped(followed.crm, leads[5], title="Owner")
    looks = followed.refresh().refreshing.made["read"]
    again = followed.refresh().refreshing.made["read"]
    assert looks == again + 1


def test_all_that_moved_is_read_again_however_much_it_is(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D22: what does not fit into one reading, which is of one record here, is in the next."""
    monkeypatch.setattr("sync.refresh.AT_ONCE", 1)
    for lead in followed.crm.records(Kind.LEAD):
        unstamped(followed.crm, lead, title="Director")
    assert moved(followed.refresh())["lead"] == (6, 6)
    assert followed.held() == followed.truth()


def test_one_of_several_sources_moves() -> None:
    """D22: a source that does not count may be the one that moved: it is told of all the same."""
    sources = tuple(
        Source(field=f, origin=o) for f, o in (("title", "given"), ("status", "observed"))
    )
    mapping = FieldMapping(leads={"title": sources, "status": None}, unstamped=("status",))
    made = Followed(settings=ConnectionSettings(mapping=mapping))
    lead = made.lead(title="Director", status="Clerk")
    made.clock.tick(hours=1)
    made.pull()
    unstamped(made.crm, lead, status="Owner")
    assert moved(made.refresh())["lead"] == (1, 1)
    assert made.held() == made.truth()
    made.facts.close()


def refreshed_while(followed: Followed, happens: Callable[[], object]) -> None:
    """A refresh, and what happens after a record was looked at and before it is read again."""
    looks: list[str] = []

    def meanwhile() -> None:
        looks.extend(stage for stage in followed.steps[-1:] if "refresh" in stage)
        if len(looks) == 2:  # The second page is read; now its first record is.
            followed.clock.tick(seconds=20)
            happens()

    followed.meanwhile = meanwhile
    followed.refresh()
    followed.meanwhile = lambda: None


def test_what_changes_meanwhile_is_left_to_a_pull(followed: Followed) -> None:
    """A record that is edited after it was looked at and before it is read again comes with the
    next pull, as of when it was edited."""
    lead = list(followed.crm.records(Kind.LEAD))[2]
    unstamped(followed.crm, lead, title="Director")
    refreshed_while(followed, lambda: followed.crm.update(lead, {"company": "New"}))
    followed.pull()
    assert followed.held() == followed.truth()
    table = followed.facts.table("leads").filter(lambda row: row.id == str(lead.number))
    versions = {row["company"]: row["valid_from"] for row in table.to_pyarrow().to_pylist()}
    assert versions["New"] == lead.modified


def test_who_goes_meanwhile_is_left_to_a_pull(followed: Followed) -> None:
    """A lead that is converted after it was looked at and before it is read again stands until the
    next pull, which counts how many are gone."""
    lead = list(followed.crm.records(Kind.LEAD))[2]
    unstamped(followed.crm, lead, title="Director")
    refreshed_while(followed, lambda: followed.crm.convert(lead))
    assert str(lead.number) in {row["id"] for row in followed.held()["leads"]}
    assert followed.pull().leads_removed == 1
    assert followed.held() == followed.truth()


def test_further_fields_are_asked_for_by_name(tmp_path: Path) -> None:
    """D22: those that routing or identity name are looked at, one that is only mapped is not."""
    mapping = {"leads": {"custom.unasked": "Unasked"}}
    files = {"kind": "files", "folder": tmp_path, "leads": "leads.csv", "mapping": mapping}
    north = {"name": "north", "when": {"custom": {"area": "north"}}, "owners": [ANA]}
    config = Config.model_validate(
        {
            "connections": {"one": files, "two": files},
            "identity": {"keys": [{"one": "custom.sales_id", "two": "id"}]},
            "routing": {"pool": [ANA], "territories": [north]},
        }
    )
    named = words(config, ())
    fields = {"title", "custom.area", "custom.sales_id", "custom.unasked"}
    assert asked(fields, named) == fields - {"custom.unasked"}


def broken_off(followed: Followed, pages: int) -> None:
    """A refresh that is killed once it has looked at so many pages of leads."""

    def dies() -> None:
        if looks_of(followed) == pages:
            raise KilledError

    followed.meanwhile = dies
    with suppress(KilledError):
        followed.refresh()
    followed.meanwhile = lambda: None
    assert looks_of(followed) == pages


def looks_of(followed: Followed) -> int:
    """How many pages of leads the last refresh looked at."""
    return sum(step.endswith("refresh lead") for step in followed.steps)


def priced(pulled: Pulled) -> int:
    """How many calls the look was predicted to read by."""
    assert pulled.refreshing.predicted is not None
    return pulled.refreshing.predicted.calls["read"]


@pytest.mark.parametrize("pages", [1, 2, 3])
def test_killed_it_goes_on(followed: Followed, pages: int) -> None:
    """D22: killed at any page, or as it reads again what had moved, the next refresh looks at the
    pages that are left, is priced by them, and reports the whole; the facts are the CRM's then. The
    one after that looks at everything."""
    for lead in list(followed.crm.records(Kind.LEAD)):
        unstamped(followed.crm, lead, title="Director")
    broken_off(followed, pages)
    rest = followed.refresh()
    assert looks_of(followed) == 3 - pages
    assert moved(rest)["lead"] == (6, 6)
    assert followed.held() == followed.truth()
    whole = followed.refresh()
    assert looks_of(followed) == 3
    assert moved(whole)["lead"] == (6, 0)
    assert priced(whole) - priced(rest) == pages


@pytest.mark.parametrize("other", [{"began": LONG_AGO}, {"fields": ("company",)}])
def test_what_says_too_little_is_not_gone_on_with(
    followed: Followed, other: dict[str, Any]
) -> None:
    """D22: a look of more than a day ago, or at other fields, is begun anew."""
    broken_off(followed, 1)
    look = followed.facts.looks.of("crm")["lead"]
    followed.facts.looks.keep("crm", replace(look, **other))
    followed.refresh()
    assert looks_of(followed) == 3


# Both CRMs, over the wire


@dataclass
class Company:
    """In each CRM two contacts of a firm and two of none; the rating of the firm is a formula."""

    live: Live
    accounts: dict[str, Record] = field(default_factory=dict)
    people: dict[str, list[Record]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, seller in self.live.sellers.items():
            crm = seller.crm
            firm = self.accounts[name] = crm.add(Kind.ACCOUNT, {"name": "Firm"})
            self.people[name] = [
                crm.add(Kind.CONTACT, {"last_name": "P", "email": f"p{n}@firm.example", **more})
                for n, more in enumerate([{"account": firm.number}] * 2 + [{}] * 2)
            ]
        sales, marketing = self.live.sales.crm, self.live.marketing.crm
        for kind in (Kind.CONTACT, Kind.LEAD):
            add_formula(sales, kind, FORMULAS["sales"], partial(rating_of, sales))
        add_calculated(marketing, "contacts", "rating", partial(rating_of, marketing))
        add_formula(sales, Kind.ACCOUNT, FORMULAS["sales"], lambda row: row.values.get("type"))
        add_calculated(marketing, "companies", "rating", lambda firm: firm.values.get("type"))
        self.configure()
        self.live.set_up()

    def configure(self, unstamped: bool = False, **more: Any) -> None:
        """Map the formula and a field of which the CRM does not say that it changes unstamped."""
        sections = {}
        for name in FORMULAS:
            leads = {"custom.rating": FORMULAS[name], "custom.says": SAYS[name]}
            accounts = {"type": FORMULAS[name], "custom.unasked": FORMULAS[name]}
            named = {"unstamped": UNSTAMPED[name]} if unstamped else {}
            sections[name] = {"mapping": {"leads": leads, "accounts": accounts, **named}}
        self.live.configure(**sections, **more)
        self.live.model(**RATING)

    def rate(self, rating: str) -> None:
        """Let the firm's rating be another in both CRMs, without a stamp of anybody."""
        for name, seller in self.live.sellers.items():
            self.accounts[name].values["type"] = rating
            seller.crm.revision += 1

    def scores(self, name: str) -> list[int]:
        """What each contact's score field holds."""
        shown = self.live.sellers[name].shown
        return [shown(person)["score"] for person in self.people[name]]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """Both CRMs, their fields made."""
    with live(tmp_path_factory.mktemp("company")) as world:
        yield Company(world)


@pytest.fixture
def company(both: Company) -> Company:
    """Both CRMs, where nobody has earned anything; synced, and since read what that wrote."""
    both.configure()
    both.rate("")
    for _ in range(2):
        both.live.sync("--refresh", "--full")
        both.live.clock.tick(hours=1)
    return both


def part_of(outcome: Outcome, name: str) -> dict[str, Any]:
    """The report of one connection."""
    (part,) = (c for c in outcome.json["connections"] if c["connection"] == name)
    return dict(part)


@pytest.mark.slow
def test_formulas_are_refreshed(company: Company) -> None:
    """D22, U12, U06: a formula that moved under an old stamp is found by a refresh and by no sync,
    only its records are read again and rescored, at a price that is told beforehand; then the
    scores are those of scoring everything, and the next refresh finds nothing."""
    world = company.live
    company.rate("gold")
    world.sync()
    assert company.scores("sales") == company.scores("marketing") == [0] * 4
    outcome = world.sync("--refresh")
    for name in FORMULAS:
        assert company.scores(name) == [100, 100, 0, 0]
        part = part_of(outcome, name)
        found = {one.pop("stream"): tuple(one.values()) for one in part["refreshed"]}
        assert found[CONTACTS[name]] == (["custom.rating"], 4, 2)
        assert found[FIRMS[name]] == (["type"], 1, 1)  # Nothing asks for the custom one.
        step = {one["step"]: one for one in part["steps"]}["score"]
        assert (step["out"], step["held"]) == (2, {"not affected since the last run": 2})
        cost = part["refreshing"]
        assert not cost["predicted"]["exact"]
        looked = sum(cost["predicted"]["calls"].values())
        assert sum(cost["made"].values()) == looked + 2
    again = world.sync("--refresh", "--full")
    for name in FORMULAS:
        part = part_of(again, name)
        assert sum(one["moved"] for one in part["refreshed"]) == 0
        cost = part["refreshing"]
        assert cost["made"] == cost["predicted"]["calls"]
        assert {one["step"]: one for one in part["steps"]}["write"]["in"] == 0
    (run, *_) = world.run("status", "--json").json["runs"]
    assert (run["kind"], run["status"]) == ("refresh", "done")
    assert "fields without a stamp" in world.run("sync", "--refresh").out


@pytest.mark.slow
def test_the_mapping_names_what_the_crm_does_not_call_calculated(company: Company) -> None:
    """D22: a plain field that changes under its stamp is refreshed once the mapping names it; a
    name that is not mapped is a mistake, in a check as in a refresh."""
    world = company.live
    for name, seller in world.sellers.items():
        company.people[name][2].values["title"] = "chief"
        seller.crm.revision += 1
    world.sync("--refresh")  # Neither CRM says that it calculates a title.
    assert company.scores("sales") == company.scores("marketing") == [0] * 4
    company.configure(unstamped=True)
    outcome = world.sync("--refresh")
    for name, further in (("sales", ["company"]), ("marketing", [])):
        fields = {one["stream"]: one["fields"] for one in part_of(outcome, name)["refreshed"]}
        also = ["custom.rating", "custom.says", "title"]
        assert fields[CONTACTS[name]] == [*further, *also]
    assert company.scores("sales") == company.scores("marketing") == [0, 0, 20, 0]
    content = yaml.safe_load(world.config.read_text())
    for name in FORMULAS:
        content["connections"][name]["mapping"]["unstamped"] = [f"{FORMULAS[name]}x"]
    world.config.write_text(yaml.safe_dump(content))
    checked, refreshed = world.run("check"), world.run("sync", "--refresh")
    assert (checked.code, refreshed.code) == (Exit.USAGE, Exit.USAGE)
    for name in FORMULAS:
        said = f"mapping.unstamped names {FORMULAS[name]}x, which no field is mapped to"
        assert checked.err.count(said) == 1
    assert "mapping.unstamped names" in refreshed.err


@pytest.mark.slow
def test_nothing_calculated_costs_nothing(company: Company) -> None:
    """D22: streams without such fields cost no call, and none is looked at."""
    world = company.live
    world.configure()
    world.sync()
    usual = world.sync()
    outcome = world.sync("--refresh")
    for name in FORMULAS:
        part = part_of(outcome, name)
        assert part["refreshed"] == []
        assert part["refreshing"] == {"predicted": {"calls": {}, "exact": True}, "made": {}}
        assert part["calls"] == part_of(usual, name)["calls"]


@pytest.mark.slow
@BOTH
def test_the_budget_holds(company: Company, name: str) -> None:
    """U06, D22: a refresh that is predicted to cost too much looks at nothing, and says what would
    be enough; with exactly that, it is done unless something moved."""
    world = company.live
    company.rate("gold")
    only = ("--connection", name)
    part = part_of(world.sync("--refresh", *only), name)
    world.clock.tick(hours=1)
    world.sync(*only)
    usual = sum(part_of(world.sync(*only), name)["calls"].values())
    looked = sum(part["refreshing"]["predicted"]["calls"].values())
    scarce = usual + len(part["refreshed"]) + looked - 1
    stopped = world.run("sync", "--refresh", *only, "--max-calls", str(scarce))
    assert stopped.code == Exit.GUARD
    assert f"stopped: {name}: refreshing costs about" in stopped.err
    needed = stopped.err.split("--max-calls ")[1].split(",")[0]
    assert needed == str(scarce + 1)
    world.sync("--refresh", *only, "--max-calls", needed)
    company.rate("silver")
    beyond = world.run("sync", "--refresh", *only, "--max-calls", needed)
    assert beyond.code == Exit.GUARD
    assert "calls are made of the budget" in beyond.err
    world.sync("--refresh", *only)
    assert company.scores(name)[:2] == [0, 0]


def test_one_of_the_two(tmp_path: Any) -> None:
    """A reconciliation reads these fields anyway: asked for both, the command says so."""
    with live(tmp_path) as world:
        outcome = world.run("sync", "--refresh", "--reconcile")
    assert outcome.code == Exit.USAGE
    assert "--reconcile reads every field again: give one of the two" in outcome.err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_in_a_process_of_its_own(tmp_path: Path) -> None:
    """D22, U12: killed before an effect, a refresh is made good by the next one: the scores are
    those of what both CRMs then calculate, and scoring everything finds nothing to write."""
    with live(tmp_path, RunningTimer()) as world:
        company = Company(world)
        world.sync()
        company.rate("gold")
        effects = refresh_apart(world, None).effects
        count = len(effects)
        for number, die in enumerate(range(count // 3, count, count // 4)):
            rating = "gold" if number % 2 else "silver"
            company.rate(rating)
            assert refresh_apart(world, die).code == KILLED, effects[die - 1]
            world.clock.tick(seconds=LASTS.total_seconds())
            world.sync("--refresh")
            for name in FORMULAS:
                assert company.scores(name)[:2] == [100 * (rating == "gold")] * 2
        outcome = world.sync("--full")
        for name in FORMULAS:
            steps = {one["step"]: one for one in part_of(outcome, name)["steps"]}
            assert steps["write"]["in"] == 0


def refresh_apart(world: Live, die: int | None) -> Ended:
    """A refresh in a process of its own that dies before its `die`-th effect, once every lease of
    before has ended."""
    world.clock.tick(seconds=LASTS.total_seconds() + 60)
    arguments = ["sync", "--refresh", "--config", str(world.config)]
    with Child(arguments, world.env, world.clock(), die) as child:
        return child.end()
