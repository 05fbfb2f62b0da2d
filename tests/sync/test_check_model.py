"""Check shows what is suspicious in the model, where it stands, and what the facts say to it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.scenario import GOLDEN_107, Did, Story
from sync.exits import Exit
from tests.live import FIELDS, Live, live
from tests.reference import DOCS

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, empty."""
    with live(tmp_path) as world:
        yield world


def suspicious(world: Live, code: Exit) -> dict[str, tuple[str, int]]:
    """What check says of the model: severity and line by finding."""
    outcome = world.run("check", "--json")
    assert outcome.code == code, outcome.err
    found: list[dict[str, Any]] = [p for p in outcome.json if "model.yaml" in p["where"]]
    lines = {p["what"]: re.search(r"model\.yaml:(\d+):\d+$", p["where"]) for p in found}
    return {p["what"]: (p["severity"], int(lines[p["what"]][1])) for p in found}  # type: ignore[index]


def test_smells_are_shown_with_their_place(world: Live) -> None:
    """U20 S147 S104: file, line and column; warnings stop nothing, and before the first pull
    nothing is said of facts. After it, unscored types and rules that fire for nobody are."""
    world.set_up()
    text = (world.folder / "model.yaml").read_text().splitlines()
    line = next(n for n, said in enumerate(text, start=1) if "id: blog" in said)
    found = suspicious(world, Exit.DONE)
    assert found["rule blog alone reaches mql 50: 10 events do"] == ("warning", line)
    assert not [what for what in found if "seen" in what or "fires for no lead" in what]
    call = Did("call", more={"duration": 60, "subject": "Call"})
    world.tell(GOLDEN_107)
    world.tell(Story({"last_name": "C", "company": "C", "email": "c@c.example"}, (call,)))
    world.sync()
    found = suspicious(world, Exit.DONE)
    assert found["no rule scores call, seen 2 times"][0] == "warning"
    assert "rule industry-education fires for no lead" in found
    assert "rule pricing-page fires for no lead" not in found


def test_what_leadgauge_writes_is_no_fact(world: Live) -> None:
    """D38: a written field that is read as a fact makes a score that feeds on itself: an error,
    at the place of the mapping; also where it is one of several sources."""
    sources = [{"field": "Budget__c", "origin": "given"}, {"field": FIELDS["sales"]["tier"],
               "origin": "observed"}]  # fmt: skip
    world.configure(
        sales={"mapping": {"leads": {"custom.old": FIELDS["sales"]["score"].upper(),
                                     "custom.of": sources}}},
        marketing={"mapping": {"leads": {"custom.old": FIELDS["marketing"]["score"]}}},
    )  # fmt: skip
    world.set_up()
    outcome = world.run("check")
    assert outcome.code == Exit.USAGE
    said = [line for line in outcome.err.splitlines() if "is read as a fact" in line]
    lines = world.config.read_text().splitlines()
    for name, output, where in (
        ("sales", "score", "custom.old: LEAD"),
        ("sales", "tier", "custom.of"),
        ("marketing", "score", "custom.old: lead"),
    ):
        number = next(n for n, line in enumerate(lines, start=1) if where in line)
        place, found = f"error: {world.config}:{number}:", f"and the {output} is written to it"
        assert [line for line in said if line.startswith(place) and found in line], (name, said)
    assert len(said) == 3


def test_what_cannot_be_meant_is_an_error(world: Live) -> None:
    """U20: a threshold out of reach, and a condition on a field that no connection maps."""
    world.set_up()
    fit = [{"id": "rich", "points": 60, "when": {"custom": {"budget": {"at_least": 5}}}}]
    world.model(fit=fit, behaviour=[], decays={})
    found = suspicious(world, Exit.USAGE)
    assert found["threshold sql 100 is out of reach: all rules together give 60"][0] == "error"
    asked = "rule rich asks for custom.budget, which no connection maps"
    assert found[asked][0] == "error"
    mapping = {"leads": {"custom.budget": "AnnualRevenue"}}
    world.configure("sales", sales={"mapping": mapping})
    world.model(fit=fit, behaviour=[], decays={}, thresholds={"mql": 30, "sql": 60})
    assert asked not in suspicious(world, Exit.DONE)


@pytest.mark.slow
def test_a_default_field_that_the_crm_lacks_is_told_of(world: Live) -> None:
    """U20: what is mapped without being asked for counts as filled, until the CRM says that it has
    no such field; what another CRM fills is known of somebody."""
    fit = [{"id": "stack", "points": 60, "when": {"technologies": {"contains": "sap"}}}]
    rules = [{"id": "paper", "points": 45, "when": {"asset": "/a"}, "count": "each", "cap": 45}]
    for name, column in (("sales", "Tech_Stack__c"), ("marketing", "tech_stack")):
        world.configure(name, **{name: {"mapping": {}}})
        world.model(fit=fit, behaviour=rules, decays={})
        world.set_up()
        assert not [what for what in suspicious(world, Exit.DONE) if "its CRM has" in what]
        crm = world.sellers[name].crm
        crm.revision += 1
        for fields in crm.custom.values():
            fields.pop(column, None)
            fields.pop("Asset__c", None)
        found = suspicious(world, Exit.DONE)
        asks = "asks for {}, which no connection maps to a field that its CRM has"
        said = {f"rule stack {asks.format('technologies')}"}
        said |= {f"rule paper {asks.format('asset')}"} if name == "sales" else set()
        assert {what for what in found if "its CRM has" in what} == said
        assert {found[what][0] for what in said} == {"warning"}
    world.configure(sales={"mapping": {}}, marketing={"mapping": {}})
    world.model(fit=[], behaviour=rules, decays={}, thresholds={"mql": 20, "sql": 45})
    world.set_up()
    assert not [what for what in suspicious(world, Exit.DONE) if "its CRM has" in what]


SOUND = {
    "fit": "- {id: boss, points: 60, when: {seniority: executive}}",
    "behaviour": "- {id: paper, points: 45, when: {type: download}}",
    "thresholds": "{mql: 70, sql: 100}",
}
REFUSED, WARNED = Exit.USAGE, Exit.DONE
PAPER = "id: paper, points: 45, when: {type: download}"
BOSS = "id: boss, points: 60, when: {seniority: executive}"
BAD_INPUT: dict[str, tuple[Exit, dict[str, str], str, str]] = {
    "a cap below its rule's points": (
        REFUSED, {"behaviour": f"- ^{{{PAPER}, count: each, cap: 44}}"},
        "cap 44 is below the 45 points of one event", "raise the cap",
    ),
    "a group's cap below its rule's points": (
        REFUSED, {"behaviour": f"- {{{PAPER}, group: web}}", "groups": "{web: {^cap: 5}}"},
        "cap 5 is below the points of rule paper", "raise the cap",
    ),
    "the name of a custom field, with custom. before it": (
        REFUSED, {"^probability": "custom.churn"}, "probability: write churn", "always",
    ),
    "overlapping tiers": (
        REFUSED, {"^tiers": "{A: 80, B: 80, C: 0}"}, "B from 80 overlaps A from 80", "best first",
    ),
    "a decay on a fit rule": (
        REFUSED, {"fit": f"- {{{BOSS}, ^decay: old}}"},
        "decay is for behaviour rules", "what a lead is neither ages nor repeats",
    ),
    "a number compared with text": (
        REFUSED, {"fit": "- {id: boss, points: 60, when: {^employees: many}}"},
        "employees", "should be a valid decimal",
    ),
    "a test of text for a number": (
        REFUSED, {"fit": "- {id: boss, points: 60, when: {employees: {^contains: 5}}}"},
        "contains: unknown key", "known: known, equals, at_least",
    ),
    "a test of numbers for text": (
        REFUSED, {"fit": "- {id: boss, points: 60, when: {industry: {^at_least: 5}}}"},
        "at_least: unknown key", "known: known, equals, contains",
    ),
    "a custom number compared with text": (
        REFUSED, {"fit": "- {id: boss, points: 60, when: {custom: {budget: {^at_least: lots}}}}"},
        "at_least", "should be a valid decimal",
    ),
    "yes or no compared with text": (
        REFUSED, {"fit": "- {id: boss, points: 60, when: {^email_opt_out: maybe}}"},
        "email_opt_out", "should be a valid boolean",
    ),
    "a nice-to-have that gates": (
        REFUSED,
        {"gates": "{criteria: [{id: tech, ^class: typical, when: {industry: technology}}]}"},
        "class: unknown key", "known: id, when",
    ),
    "an unknown class": (
        REFUSED, {"fit": f"- {{{BOSS}, ^class: esential}}"}, "class", "'essential', 'typical'",
    ),
    "two rules of one name": (
        REFUSED, {"fit": f"- {{{BOSS}}}\n- {{^{BOSS}}}"}, "two rules are called boss",
        "give this one another name",
    ),
    "a text for a list": (
        REFUSED, {"fit": "- {id: boss, points: 60, when: {^technologies: salesforce}}"},
        "technologies: say what is asked of it", "{contains: salesforce}",
    ),
    "a word for a time": (
        REFUSED, {"fit": "- {id: boss, points: 60, when: {^created_at: yesterday}}"},
        "created_at: say what is asked of it", "{at_most_ago: 90 days}",
    ),
    "a word for a count": (
        REFUSED, {"behaviour": f"- {{{PAPER}, ^count: twice}}"}, "count: say once, each",
        "{per: week}",
    ),
    "a number for thresholds": (
        REFUSED, {"^thresholds": "50"}, "thresholds: there must be keys under it",
        "{mql: ..., sql: ..., keep: ...}",
    ),
    "a word for a condition": (
        REFUSED, {"fit": "- {id: boss, points: 60, ^when: executive}"},
        "when: say what must hold", "{industry: technology}",
    ),
    "a rule for a list of them": (
        REFUSED, {"^behaviour": f"{{{PAPER}}}"}, "behaviour: there must be a list", "[...]",
    ),
    "a cap of what takes points away": (
        REFUSED, {"behaviour": "- {id: jobs, points: -5, when: {type: x}, count: each, ^cap: 9}"},
        "cap needs positive points", "give some, or remove the cap",
    ),
    "a decay that is not there": (
        REFUSED, {"behaviour": f"- {{{PAPER}, ^decay: slow}}", "decays": "{old: {over: 9 days}}"},
        "no decay is called slow", "there are: old",
    ),
    "a stage by a rule that is not there": (
        REFUSED, {"stages": "{iql: [paper, ^papre]}"},
        "no behaviour rule is called papre", "did you mean paper?",
    ),
    "no thresholds": (REFUSED, {"thresholds": ""}, "the file", "thresholds is missing"),
    "an unmapped field": (
        REFUSED, {"fit": "- {id: boss, points: 60, ^when: {custom: {budgte: {at_least: 5}}}}"},
        "rule boss asks for custom.budgte", "Did you mean custom.budget?",
    ),
    "an unmapped field of a show-stopper": (
        REFUSED, {"disqualify": "[{id: out, ^when: {account: {custom: {kind: rival}}}}]"},
        "rule out asks for account.custom.kind", "Map it under `mapping`",
    ),
    "an unmapped probability": (
        REFUSED, {"^probability": "budgets"},
        "custom.budgets of leads", "Did you mean custom.budget?",
    ),
    "a field that no connector fills by itself": (
        REFUSED,
        {"behaviour": "- {id: paper, points: 45, ^when: {type: w, attended: {at_least: 0.75}}}"},
        "rule paper asks for length", "activities: {length: FIELD}",
    ),
    "a verification that is not mapped": (
        REFUSED, {"hygiene": "{stale: {^field: verified, after: 9 days}}"},
        "hygiene.stale.field is custom.verified of leads", "leads: {custom.verified: FIELD}",
    ),
    "a key field that is not mapped": (
        REFUSED, {"hygiene": "{complete: {fields: [title, ^custom.zz], at_least: 0.5}}"},
        "hygiene.complete.fields[1] is custom.zz of leads", "leads: {custom.zz: FIELD}",
    ),
    "an unmapped field without a rule": (
        REFUSED, {"icp": "{^company: {type: x, origins: {type: given}}, persona: {title: x}}"},
        "icp.company asks for account.origins.type", "Map it to several sources",
    ),
    "a threshold out of reach": (
        REFUSED, {"thresholds": "{mql: 70, ^sql: 106}"},
        "sql 106 is out of reach", "Lower it to 105",
    ),
    "bounds that exclude each other": (
        REFUSED, {"disqualify": "[{id: out, ^when: {employees: {above: 9, below: 9}}}]"},
        "rule out never holds", "nothing meets all of it at once",
    ),
    "a country by its name": (
        REFUSED, {"fit": "- {id: boss, points: 60, when: {^country: Deutschland}}"},
        "rule boss asks for country Deutschland, which no fact holds", "Say DE",
    ),
    "a web address for a page": (
        REFUSED,
        {"behaviour": "- {id: paper, points: 45, when: {any: [{^asset: 'https://a.com/p'}]}}"},
        "rule paper asks for asset https://a.com/p", "Say /p",
    ),
    "a share in per cent": (
        REFUSED, {"behaviour": "- {id: paper, points: 45, when: {^attended: {at_least: 75}}}"},
        "attended: 75 is no share from 0 to 1", "three quarters of the length are 0.75",
    ),
    "a cap of a part below its rule's points": (
        WARNED, {"limits": "{fit: {^cap: 59}}", "thresholds": "{mql: 70, sql: 104}"},
        "cap 59 is below the 60 points of rule boss", "Raise the cap",
    ),
    "a tier out of reach": (
        WARNED, {"tiers": "{^S: 106, A: 0}"}, "tier S from 106 is out of reach", "Move the points",
    ),
    "a nice-to-have above an essential": (
        WARNED,
        {"fit": f"- {{{BOSS}, class: essential}}\n"
         "- {id: crm, ^points: 61, class: ideal, when: {technologies: {contains: x}}}"},
        "rule crm is ideal and gives 61 points", "Let the essential rule weigh more",
    ),
    "less for what is nearer": (
        WARNED,
        {"behaviour": "- {id: paper, ^points: 45, when: {type: download}, proximity: 1}\n"
         "- {id: trial, points: 44, when: {type: trial_started}, proximity: 2}"},
        "more than the 44 of trial, which is nearer", "Let what is nearer to buying earn more",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def seller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One CRM, set up, with a custom field that is mapped."""
    with live(tmp_path_factory.mktemp("live")) as world:
        mapping = {"leads": {"custom.budget": "AnnualRevenue", "technologies": "Tech_Stack__c"}}
        world.configure("sales", sales={"mapping": mapping})
        world.set_up()
        yield world


def written(sections: dict[str, str]) -> str:
    """A model file of these sections, each on lines of its own."""
    return "name: m\n" + "".join(
        f"{key}:{chr(10) if text.startswith('- ') else ' '}{text}\n"
        for key, text in sections.items()
        if text
    )


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_named_with_its_place_and_what_would_be_right(seller: Live, case: str) -> None:
    """U20 S093 S098 S164: the mark ^ in the file is the line and column that check names; the
    first of the file where something is missing in all of it."""
    code, change, said, advice = BAD_INPUT[case]
    replaced = {key: text for key, text in SOUND.items() if f"^{key}" not in change}
    text = written({**replaced, **change})
    before, mark, _after = text.partition("^")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    address = f"model.yaml:{line}:{column}: " if mark else "model.yaml:1:1: "
    (seller.folder / "model.yaml").write_text(text.replace("^", ""))
    outcome = seller.run("check")
    assert outcome.code == code, outcome.err
    (found,) = [told for told in outcome.err.splitlines() if "model.yaml" in told]
    assert address in found
    assert said in found
    assert advice in found


TOGETHER: dict[str, tuple[dict[str, str], list[str]]] = {
    "what a part and what the whole is wrong in": (
        {"fit": "- {id: boss, points: 60, when: {^seniorty: executive}}\n"
         "- {id: size, points: 1, ^when: {custom: {budgte: {at_least: 5}}}}\n"
         "- {^id: size, points: 1, when: {country: DE}}\n"
         "- {id: land, points: 1, when: {^country: Deutschland}}",
         "limits": "{behaviour: {^cap: 44}}"},
        ["seniorty: unknown key", "which no connection maps", "two rules are called size",
         "cap 44 is below"],
    ),
    "an entry that a rule names": (
        {"behaviour": f"- {{{PAPER}, decay: old}}\n- {{id: web, ^points: 0, when: {{type: x}}}}",
         "decays": "{old: {^over: 9}}"},
        ["decays.old.over: ", "rule web gives no points"],
    ),
    "a rule that a stage is given by": (
        {"behaviour": f"- {{{PAPER}, ^count: twice}}", "stages": "{iql: [paper]}",
         "disqualify": "[{id: out, ^when: {employees: {above: 9, below: 9}}}]"},
        ["count: say once, each", "rule out never holds"],
    ),
    "a section by another name": (
        {"behaviour": "", "^behavior": f"- {{{PAPER}, group: web}}",
         "groups": "{web: {cap: 45}}", "icp": "{^company: {custom: {x: a}}, persona: {title: x}}"},
        ["behavior: unknown key", "icp.company asks for account.custom.x"],
    ),
    "sections that there must be": (
        {"thresholds": "{mql: 70, ^sql: many}", "fit": f"- {{{BOSS}}}\n- {{^{BOSS}}}"},
        ["two rules are called boss", "thresholds.sql"],
    ),
    "one key twice": (
        {"fit": "- {id: boss, points: 60, when: {^country: Deutschland}}\n"
         "- {id: a, points: 60, ^points: 1, when: {title: x}}"},
        ["asks for country Deutschland", "points is given twice"],
    ),
}  # fmt: skip
"""Sections, with ^ where something is to be found, and what it is, in the order of the file."""


@pytest.mark.parametrize("case", TOGETHER)
def test_all_problems_of_a_model_are_named_at_once(seller: Live, case: str) -> None:
    """U20: what is wrong in one part hides nothing that is wrong elsewhere, and nothing is blamed
    that only misses what is wrong."""
    change, said = TOGETHER[case]
    replaced = {key: text for key, text in SOUND.items() if f"^{key}" not in change}
    marked = written({**replaced, **change}).splitlines()
    marks = [n for n, line in enumerate(marked, start=1) for _ in range(line.count("^"))]
    (seller.folder / "model.yaml").write_text("\n".join(marked).replace("^", "") + "\n")
    outcome = seller.run("check", "--json")
    assert outcome.code == Exit.USAGE, outcome.err
    found = [(int(p["where"].split(":")[-2]), p["what"]) for p in outcome.json]
    assert sorted(line for line, _what in found) == marks
    for words in said:
        assert [what for _line, what in found if words in what], (words, found)


def test_a_file_of_networks_is_looked_at_beside_a_wrong_section(seller: Live) -> None:
    """U20 S215: what is wrong in `accounts` hides no mistake in the file that it names, nor the
    other way round; first those of the model file, each file in its order."""
    (seller.folder / "networks.csv").write_text("network,account\n::1,a\n::x,a\n::2,\n")
    networks = "networks: {address: ip, file: networks.csv}"
    change = {"accounts": f"{{tops: 100, anonymous: {{}}, {networks}}}", "tiers": "{A: 8, B: 8}"}
    (seller.folder / "model.yaml").write_text(written({**SOUND, **change}))
    outcome = seller.run("check", "--json")
    assert outcome.code == Exit.USAGE, outcome.err
    places = [problem["where"].rpartition("/")[2] for problem in outcome.json]
    assert places == [
        "model.yaml:7:1", "model.yaml:7:12", "model.yaml:8:1", "networks.csv:3:1",
        "networks.csv:4:5",
    ]  # fmt: skip


def test_the_examples_of_the_privacy_page_are_accepted(world: Live) -> None:
    """U20: what people chose in a CRM can be asked for without a mapping, as docs/privacy.md says
    it; `tracking` is the field of the reader's own there."""
    mapping = {"leads": {"custom.tracking": "Title"}}
    world.configure(sales={"mapping": mapping})
    world.set_up()
    page = (DOCS / "privacy.md").read_text(encoding="utf-8")
    blocks = [b for b in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "consent:" in b]
    assert len(blocks) > 1
    for block in blocks:
        (world.folder / "model.yaml").write_text(written(SOUND) + block)
        outcome = world.run("check")
        assert outcome.code == Exit.DONE, outcome.err
        told = [line for line in outcome.err.splitlines() if "model.yaml" in line]
        # An org that does not keep what people chose is warned of that, and of nothing else.
        assert all("which no connection maps to a field that its CRM has" in line for line in told)


def test_what_a_model_says_right_is_not_blamed(seller: Live) -> None:
    """U20: the model that the cases above spoil, and a date to come in a mapped field."""
    bant = "{bant: [{id: soon, when: {custom: {budget: {within_next: 9 days}}}}]}"
    (seller.folder / "model.yaml").write_text(written({**SOUND, "checklists": bant}))
    outcome = seller.run("check")
    assert outcome.code == Exit.DONE
    assert "model.yaml" not in outcome.err


@pytest.mark.parametrize(
    "command",
    [("check", "--model"), ("preview",), ("sign", "--as", "sales", "--by", "Ann")],
    ids=lambda c: c[0],
)
def test_a_model_file_is_looked_at_before_it_is_used(
    seller: Live, command: tuple[str, ...]
) -> None:
    """U20 U04: whichever command takes it, an error refuses it and a warning is told, each with
    its place in that file; the configured one is sound."""
    (seller.folder / "model.yaml").write_text(written(SOUND))
    new = seller.folder / "new.yaml"
    wrong = {"fit": "- {id: boss, points: 60, when: {seniority: boss}}", "tiers": "{S: 200}"}
    new.write_text(written({**SOUND, **wrong}))
    refused = seller.run(*command, str(new))
    assert refused.code == Exit.USAGE
    assert "error: " + str(new) + ":3:33: rule boss asks for seniority boss" in refused.err
    assert "warning: " + str(new) in refused.err
    new.write_text(written({**SOUND, "tiers": "{S: 200}"}))
    taken = seller.run(*command, str(new))
    assert taken.code == Exit.DONE, taken.err
    assert "warning: " + str(new) + ":7:9: tier S from 200 is out of reach" in taken.err


@pytest.mark.slow
def test_errors_of_the_model_are_told_of_by_every_run(seller: Live) -> None:
    """U20: a run goes on, and says once, on stderr and in its report, what check would refuse."""
    sections = {**SOUND, "fit": "- {id: boss, points: 60, when: {seniority: [boss, executive]}}"}
    (seller.folder / "model.yaml").write_text(written(sections))
    said = "model m: rule boss asks for seniority boss, which no fact holds: `leadgauge check`"
    for command in ("plan", "sync"):
        outcome = seller.run(command)
        assert outcome.code == Exit.DONE, outcome.err
        assert outcome.err.count(said) == 1
