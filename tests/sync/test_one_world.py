"""What models and mappings make of both CRMs: one world, one sync, and each model asked of it."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.salesforce.face import SalesforceFace
from connectors.sandbox.scenario import GOLDEN_50, GOLDEN_107, Did, Story, build
from sync.exits import Exit
from tests.live import ANA, BEN, ROBOT, Live, Seller, live
from tests.sync.test_past_live import explained
from tests.sync.test_replay import iso

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning"),
]
HOUR = timedelta(hours=1)
THRESHOLDS = {"mql": 50, "sql": 100}
ANSWERS = (
    "budget", "authority", "need", "timeline", "challenges", "money", "priorities", "urgency",
)  # fmt: skip
FIRMS: dict[str, dict[str, Any]] = {
    "hospital": {"beds": 200, "budget_month": date(2026, 5, 31), "type": "Customer"},
    "clinic": {"beds": 199, "budget_month": date(2026, 6, 1), "type": "Prospect"},
    "rival": {"type": "Competitor"},
}
TYPES = {"bombora_surge": "intent", "zendesk_ticket": "support_case", "gong_call": "conversation"}
"""What the feeds call a kind of activity -> what the models call it."""
DEEDS = {
    "crm topic": Did("bombora_surge", HOUR, {"area": "crm"}),
    "erp topic": Did("bombora_surge", HOUR, {"area": "erp"}),
    "resolved": Did("zendesk_ticket", HOUR, {"outcome": "Resolved"}),
    "escalated": Did("zendesk_ticket", HOUR, {"outcome": "Escalated"}),
    "glad": Did("gong_call", HOUR, {"outcome": "Interested", "sentiment": "0.8"}),
    "sour": Did("gong_call", HOUR, {"outcome": "Interested", "sentiment": "0.2"}),
    "demo": Did("demo_requested", HOUR),
    "contact form": Did("form_submission", HOUR, {"asset": "Contact us"}),
    "other form": Did("form_submission", HOUR, {"asset": "Newsletter"}),
    "inquiry": Did("call", HOUR, {"direction": "inbound", "subject": "Call"}),
    "cold call": Did("call", HOUR, {"direction": "outbound", "subject": "Call"}),
}
"""Leads by the one thing that they did."""
ANSWERED: dict[str, dict[str, Any]] = {
    "keen": dict.fromkeys(("budget", "authority", "need", "timeline", "money"), "yes"),
    "vague": dict.fromkeys(("budget", "authority", "need", "urgency"), "yes"),
    "clerk": {"budget": "no", "authority": "no", "need": "yes", "urgency": "yes"},
}
"""Leads by what they answered; what is left out was not asked."""
AT_FIRMS: dict[str, tuple[str, dict[str, Any]]] = {
    "buyer": ("hospital", {"money": "yes", "authority": "yes", "need": "yes"}),
    "spy": ("rival", {"money": "yes", "authority": "yes", "need": "yes"}),
    "idle": ("clinic", {"money": "yes", "authority": "yes", "need": "no"}),
}
"""Contacts by their firm and what they answered."""


@dataclass
class Rows:
    """Both CRMs after their first sync under the default model, and who is in them."""

    world: Live
    people: dict[str, dict[str, Record]]
    firms: dict[str, dict[str, Record]]
    shown: dict[str, dict[str, dict[str, Any]]]

    def model(self, **content: Any) -> None:
        """From now on, another model."""
        text = yaml.safe_dump({"name": "m", "thresholds": THRESHOLDS, **content}, sort_keys=False)
        (self.world.folder / "model.yaml").write_text(text)

    def found(self, name: str) -> Iterator[tuple[Seller, str, dict[str, Any]]]:
        """A lead in each CRM: where, its id there, and its explanation under the present model."""
        for crm, seller in self.world.sellers.items():
            record = self.people[name][crm]
            more = ("--connection", crm)
            yield seller, seller.id(record), explained(self.world, crm, record, *more)

    def lines(self, name: str) -> dict[str, Decimal]:
        """The points of a lead by rule, which are the same in both CRMs."""
        one, other = (
            {line["rule"]: Decimal(line["points"]) for line in found["lines"]}
            for _seller, _id, found in self.found(name)
        )
        assert one == other
        return one

    def printed(self, *arguments: str) -> list[str]:
        """The lines that a command prints."""
        return [line.strip() for line in self.world.run(*arguments).out.splitlines()]

    def standings(self, *names: str) -> dict[str, tuple[float, str | None]]:
        """Score and stage of leads under the present model, which are the same in both CRMs."""
        every = replayed(self.world)
        found = {}
        for name in names:
            one, other = (
                every[crm, seller.id(self.people[name][crm])]
                for crm, seller in self.world.sellers.items()
            )
            found[name] = (float(one["score"]), one["stage"])
            assert found[name] == (float(other["score"]), other["stage"]), name
        return found


def replayed(world: Live, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What a replay says of every lead, by connection and lead."""
    lines = world.run("replay", "--json", *arguments).out.splitlines()
    return {(one["connection"], one["lead_id"]): one for one in map(json.loads, lines)}


def fields(seller: Seller) -> dict[str, dict[str, Any]]:
    """Custom fields in one CRM, and how they are mapped."""
    for kind in (Kind.LEAD, Kind.CONTACT):
        leads = {f"custom.{key}": seller.add_field(kind, key) for key in ANSWERS}
    accounts = {
        f"custom.{key}": seller.add_field(Kind.ACCOUNT, key, kept)
        for key, kept in (("beds", "Number"), ("budget_month", "Date"))
    }
    if seller.name == "sales":
        did = {"outcome": "outcome", "custom.sentiment": "sentiment"}
        activities = {name: seller.add_field(Kind.ACTIVITY, key) for name, key in did.items()}
        types = {said.replace("_", " ").title(): meant for said, meant in TYPES.items()}
    else:
        activities = {"custom.sentiment": "sentiment"}
        types = {f"pe1_{said}": meant for said, meant in TYPES.items()}
    return {
        "leads": leads, "accounts": accounts, "activities": activities, "activity_types": types,
    }  # fmt: skip


def populate(world: Live) -> tuple[dict[str, dict[str, Record]], dict[str, dict[str, Record]]]:
    """The leads and the firms of both CRMs."""

    def person(name: str, **values: Any) -> dict[str, Any]:
        slug = name.replace(" ", "-")
        return {"last_name": name, "company": name, "email": f"{slug}@{slug}.example", **values}

    people = {"107": world.tell(GOLDEN_107), "50": world.tell(GOLDEN_50)}
    for name, did in DEEDS.items():
        people[name] = world.tell(Story(person(name), (did,)))
    for name, answers in ANSWERED.items():
        people[name] = world.tell(Story(person(name, **answers)))
    firms: dict[str, dict[str, Record]] = {name: {} for name in FIRMS}
    for crm, seller in world.sellers.items():
        for name, values in FIRMS.items():
            known = {"name": name, "website": f"https://{name}.example", **values}
            firms[name][crm] = seller.crm.add(Kind.ACCOUNT, known)
        for name, (firm, said) in AT_FIRMS.items():
            who = person(name, account=firms[firm][crm].number, title="Clerk", **said)
            made = build(seller.crm, Story(who, kind=Kind.CONTACT), at=world.clock())
            people.setdefault(name, {})[crm] = made
    return people, firms


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rows]:
    """Both CRMs with routing as usual, synced once."""
    with live(tmp_path_factory.mktemp("rows")) as world:
        face = world.sales.face
        assert isinstance(face, SalesforceFace)
        face.rules.tracked["Contact"] = dict.fromkeys(("Email", "Title"), world.clock())
        world.configure(routing={"pool": [ANA, BEN], "unassigned_owners": [ROBOT]})
        for name, seller in world.sellers.items():
            world.configure_mapping(name, **fields(seller))
        people, firms = populate(world)
        world.set_up()
        for title in ("Manager", "CTO"):
            world.clock.tick(hours=12)
            for name, seller in world.sellers.items():
                seller.crm.update(people["buyer"][name], {"title": title})
        world.sync()
        shown = {
            name: {crm: s.shown(people[name][crm]) for crm, s in world.sellers.items()}
            for name in people
        }
        yield Rows(world, people, firms, shown)


def test_an_mql_is_not_given_to_an_account_executive(rows: Rows) -> None:
    """S039: in the default preset 50 points are an MQL that nobody of the pool gets; 107 are an
    SQL that somebody gets."""
    for crm in rows.world.sellers:
        mql, sql = rows.shown["50"][crm], rows.shown["107"][crm]
        assert (mql["score"], mql["stage"]) == (50, "MQL")
        assert mql["owner"] not in (ANA, BEN)
        assert (sql["score"], sql["stage"], sql["owner"] in (ANA, BEN)) == (107, "SQL", True)


def test_both_teams_see_one_number(rows: Rows) -> None:
    """S094: what sales and marketing each read in their CRM, and everything that leadgauge says of
    the lead as of then, is one score, tier and stage."""
    world = rows.world
    world.model()
    (at,) = {iso(shown["scored_at"]) for both in rows.shown.values() for shown in both.values()}
    folder = world.folder / "export"
    assert world.run("export", str(folder)).code == Exit.DONE
    table = csv.DictReader(io.StringIO(world.run("replay", "--as-of", at).out))
    lists = (table, pq.read_table(folder / "decisions.parquet").to_pylist())
    views = [{(one["connection"], one["lead_id"]): one for one in rows} for rows in lists]
    views.append(replayed(world, "--as-of", at))
    for name in ("107", "50"):
        said = []
        for crm, seller in world.sellers.items():
            record = rows.people[name][crm]
            found = explained(world, crm, record, "--as-of", at, "--connection", crm)
            ours = [view[crm, seller.id(record)] for view in views]
            said += [
                (Decimal(one["score"]), one["tier"], one["stage"])
                for one in (rows.shown[name][crm], found, *ours)
            ]
        assert len(said) == 10
        assert len(set(said)) == 1, name


def test_what_a_feed_calls_things_is_mapped_and_scored(rows: Rows) -> None:
    """S052 S214 S221: what an intent vendor, a help desk and a recorder of conversations put into
    the CRM scores by topic, by outcome, and by outcome and sentiment; the rest does not."""
    happy = {"outcome": "interested", "custom": {"sentiment": {"at_least": 0.5}}}
    rows.model(
        behaviour=[
            {"id": "crm-intent", "points": 7, "when": {"type": "intent", "area": "crm"}},
            {"id": "erp-intent", "points": 2, "when": {"type": "intent", "area": "erp"}},
            {"id": "helped", "points": 3, "when": {"type": "support_case", "outcome": "resolved"}},
            {"id": "keen", "points": 11, "when": {"type": "conversation", **happy}},
        ]
    )
    expected = {
        "crm topic": 7, "erp topic": 2, "resolved": 3, "escalated": 0, "glad": 11, "sour": 0,
    }  # fmt: skip
    assert {name: score for name, (score, _) in rows.standings(*expected).items()} == expected
    assert rows.lines("glad") == {"keen": 11}


KNOWN = {"id": "known", "points": 60, "when": {"email": {"known": True}}}
CHECKLISTS = {
    "bant": ("budget", "authority", "need", "timeline"),
    "champ": ("challenges", "authority", "money", "priorities"),
    "anum": ("authority", "need", "urgency", "money"),
    "man": ("money", "authority", "need"),
}


def criteria(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Criteria that are met by a yes in a field of their name."""
    return [{"id": name, "when": {"custom": {name: "yes"}}} for name in names]


def test_sales_checklists_where_sales_reads_them(rows: Rows) -> None:
    """S053 S054 S055 S204: BANT, CHAMP, ANUM and money-authority-need, from fields in which sales
    writes the answers, in the explanation and on the dossier."""
    lists = {name: criteria(asked) for name, asked in CHECKLISTS.items()}
    rows.model(checklists=lists, fit=[KNOWN])
    gap = ["challenges", "money", "priorities"]
    expected: dict[str, dict[str, tuple[int, str | None, list[str]]]] = {
        "keen": {"bant: 4/4, passed": (4, None, []), "man: 3/3, passed": (3, None, [])},
        "vague": {
            "bant: 3/4, missing: timeline": (3, None, ["timeline"]),
            "champ: 1/4, missing: challenges, money, priorities": (1, None, gap),
            "anum: 3/4, missing: money": (3, None, ["money"]),
        },
        "clerk": {
            "bant: 0/4, failed at budget": (0, "budget", []),
            "anum: 0/4, failed at authority": (0, "authority", []),
        },
        "idle": {"man: 2/3, failed at need": (2, "need", [])},
    }
    for name, said in expected.items():
        for seller, id_, found in rows.found(name):
            checked = {one["checklist"]: one for one in found["checklists"]}
            text, page = (
                rows.printed(command, id_, "--connection", seller.name)
                for command in ("explain", "dossier")
            )
            for line, (met, failed, missing) in said.items():
                one = checked[line.partition(":")[0]]
                assert (one["met"], one["failed"], list(one["missing"])) == (met, failed, missing)
                assert line in text
                assert f"- {line}" in page


def test_a_show_stopper_ends_what_three_criteria_began(rows: Rows) -> None:
    """S204: three of three pass; with the show-stopper `competitor` they fail and it is named; two
    of three fail."""
    rows.model(
        gates={"criteria": criteria(CHECKLISTS["man"]), "worth": 0},
        disqualify=[{"id": "competitor", "when": {"account": {"type": "competitor"}}}],
        fit=[KNOWN],
    )
    expected = {
        "buyer": ("MQL", "60: known +60"),
        "spy": ("Disqualified", "60 disqualified (competitor): known +60"),
        "idle": ("Ineligible", "60 ineligible (need): known +60"),
    }
    for name, (stage, reason) in expected.items():
        for crm, seller in rows.world.sellers.items():
            id_ = seller.id(rows.people[name][crm])
            page = rows.printed("dossier", id_, "--connection", crm)
            assert f"- {reason}" in page
            assert any(line.startswith(f"- 60 points, {stage}, ") for line in page)


def test_history_changes_no_fixed_weight(rows: Rows) -> None:
    """S061: the same base read anew with the history of its fields, and rescored whole, has the
    scores that it had and is written nowhere; the history is there, for a date before the change
    has another score."""
    world = rows.world
    own = replace(world, folder=world.folder / "history")
    own.folder.mkdir()
    content = yaml.safe_load(world.config.read_text())
    for connection in content["connections"].values():
        connection["history"] = True
    own.config.write_text(yaml.safe_dump(content))
    own.model()
    before = [seller.writes() for seller in own.sellers.values()]
    own.sync("--full")
    assert [seller.writes() for seller in own.sellers.values()] == before
    for name, people in rows.people.items():
        for crm, seller in own.sellers.items():
            now, then = seller.shown(people[crm]), rows.shown[name][crm]
            assert (now["score"], now["reason"]) == (then["score"], then["reason"]), name
    for crm, seller in own.sellers.items():
        id_, shown = seller.id(rows.people["buyer"][crm]), rows.shown["buyer"][crm]
        at = iso(shown["scored_at"] - timedelta(hours=6))
        past = replayed(own, id_, "--as-of", at)
        assert [shown["score"], Decimal(past[crm, id_]["score"])] == [15, 10]


def test_an_account_is_a_target_while_it_is_on_the_list(rows: Rows) -> None:
    """S017: the same account on the list has the flag, and the rule for target accounts fires for
    its contact; taken off it, neither."""
    abm = {"id": "abm", "points": 30, "when": {"account": {"target": True}}}
    for domains, lines in ((["hospital.example", "x.example"], {"abm": 30}), (["x.example"], {})):
        rows.model(fit=[abm], accounts={"top": 100, "targets": {"domains": domains}})
        assert rows.lines("buyer") == lines
        for crm, seller in rows.world.sellers.items():
            id_ = seller.id(rows.firms["hospital"][crm])
            (firm,) = rows.world.run("explain", id_, "--connection", crm, "--json").json
            assert firm["target"] is bool(lines)


def test_rules_on_the_size_and_the_budget_of_a_hospital(rows: Rows) -> None:
    """S129: a custom number of the account, and a date of it within the next 90 days; one bed
    fewer and one day later give nothing."""
    beds, month = {"beds": {"at_least": 200}}, {"budget_month": {"within_next": "90 days"}}
    rows.model(
        fit=[
            {"id": "large", "points": 20, "when": {"account": {"custom": beds}}},
            {"id": "budget", "points": 15, "when": {"account": {"custom": month}}},
        ]
    )
    assert rows.lines("buyer") == {"large": 20, "budget": 15}
    assert rows.lines("idle") == {}
    for _seller, _id, found in rows.found("spy"):
        assert (found["lines"], sorted(found["unknown"])) == ([], ["budget", "large"])


def test_fast_lanes_to_sales(rows: Rows) -> None:
    """S139: a demo request, a contact form and a direct inquiry are SQL candidates at any score if
    so configured, another form and a cold call are not; without lanes nobody is."""
    rules = {
        "demo": {"type": "demo_requested"},
        "contact-form": {"type": "form_submission", "asset": {"contains": "contact"}},
        "inquiry": {"type": "call", "direction": "inbound"},
    }
    behaviour = [{"id": name, "points": 5, "when": when} for name, when in rules.items()]
    did = {"demo": 5, "contact form": 5, "inquiry": 5, "other form": 0, "cold call": 0}
    vetted = {"sql": {"mode": "vetted"}, "stages": {"fast_lane": list(rules)}}
    for more, stage in ((vetted, "SQL pending"), ({}, None)):
        rows.model(behaviour=behaviour, **more)
        expected: dict[str, tuple[float, str | None]]
        expected = {name: (points, stage if points else None) for name, points in did.items()}
        assert rows.standings(*did) == expected
