"""What `check` says of routing: each with its place in the file, and what to do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.crm import Kind
from sync.exits import Exit
from tests.live import ANA, BEN, LEFT, Live, live

STRANGER = "eve@seller.example"
WRONG = """
routing:
  pool:
    owners: [ana@seller.example, ben@seller.example]
    fallback: eve@seller.example
  territories:
    - {name: europe, when: {region: europe}, owners: [left@seller.example]}
    - {name: germany, when: {region: europe, country: DE}, owners: [ana@seller.example]}
    - {name: shops, when: {industry: retail}, owners: [ben@seller.example], models: [nix]}
    - {name: parts, areas: [parts], owners: [ben@seller.example]}
    - {name: big, when: {employees: {above: 5}}, owners: [ben@seller.example]}
  named_accounts:
    - {owner: ana@seller.example, accounts: [acme.example]}
    - {owner: ben@seller.example, accounts: [Acme.example]}
  unassigned_owners: [robot@seller.example, ghost@seller.example]
  everyone: {holidays: [2025-12-25, 2027-12-25]}
  owners:
    ana@seller.example:
      leave:
        - {from: 2026-04-01, to: 2026-04-10}
        - {from: 2026-04-09, to: 2026-04-12}
        - {from: 2026-01-01, to: 2026-01-05}
least_segment: 3
"""
SAID = [
    ("error", 4, "owner eve@seller.example is known to no CRM"),
    ("warning", 6, "owner left@seller.example is not active in sales"),
    ("warning", 6, "owner left@seller.example is not active in marketing"),
    ("error", 6, "territory europe is covered by nobody in marketing, sales: its leads go to the "
                 "general pool"),
    ("error", 7, "territory germany is never reached: europe comes first"),
    ("warning", 7, "territory germany has 0 leads, fewer than 3"),
    ("error", 8, "territory shops: no model is called nix"),
    ("warning", 8, "territory shops has 0 leads, fewer than 3"),
    ("error", 9, "territory parts: no model has an area parts"),
    ("warning", 9, "territory parts has 0 leads, fewer than 3"),
    ("warning", 10, "territories europe and big overlap: 4 leads fit both, and go to europe"),
    ("warning", 10, "territory big has 0 leads, fewer than 3"),
    ("error", 13, "account Acme.example is named for ana@seller.example as well"),
    ("error", 14, "owner ghost@seller.example is known to no CRM"),
    ("warning", 15, "the holiday 2025-12-25 is in the past"),
    ("warning", 20, "leave of ana@seller.example from 2026-04-09 overlaps an earlier entry"),
    ("warning", 21, "leave of ana@seller.example to 2026-01-05 is in the past"),
]  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Both CRMs with two German leads at firms of ten people, read once."""
    with live(tmp_path_factory.mktemp("check")) as world:
        lead = {"company": "X", "country": "Germany", "employees": 10}
        for seller in world.sellers.values():
            for name in ("one", "two"):
                values = {**lead, "last_name": name, "email": f"{name}@x.example"}
                seller.crm.add(Kind.LEAD if seller is world.sales else Kind.CONTACT, values)
        world.set_up()
        world.sync()
        yield world


def test_everything_that_is_wrong_is_said_at_its_place(world: Live) -> None:
    """S080: a segment of fewer than N leads is warned of by name. Bad input: territories that
    nobody covers, that are never reached or overlap, strangers, past holidays, overlapping leave:
    all at once, as file:line:column, and nothing else."""
    before = world.config.read_text()
    world.config.write_text(WRONG.lstrip("\n") + before)
    outcome = world.run("check")
    world.config.write_text(before)
    assert outcome.code == Exit.USAGE
    lines = [line for line in outcome.err.splitlines() if f"{world.config}:" in line]
    for severity, number, what in SAID:
        place = f"{severity}: {world.config}:{number}:"
        found = [line for line in lines if line.startswith(place) and what in line]
        assert len(found) == 1, (number, what)
        lines.remove(found[0])
    assert lines == []


def test_territories_that_may_overlap_are_told_of_before_anything_was_read(tmp_path: Path) -> None:
    """Bad input: overlapping territories, before the first pull: what the conditions alone show."""
    territories = [
        {"name": "de", "when": {"country": "DE"}, "owners": [ANA]},
        {"name": "fr", "when": {"country": "FR"}, "owners": [BEN]},
        {"name": "big", "when": {"country": "FR", "employees": {"above": 5}}, "owners": [BEN]},
        {"name": "shops", "when": {"industry": "retail"}, "owners": [ANA]},
    ]
    with live(tmp_path) as world:
        world.configure("sales", routing={"pool": [ANA], "territories": territories})
        world.set_up()
        said = world.run("check").err
    assert [line.split(": ")[2:] for line in said.splitlines() if "may overlap" in line] == [
        [f"territories {name} and shops may overlap",
         "no lead was read yet to tell. Check again after the first sync"]
        for name in ("de", "fr")
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("command", ["plan", "sync"])
def test_a_run_says_that_owners_are_passed_over(world: Live, command: str) -> None:
    """Bad input: a rep and a queue that no CRM knows, an inactive rep and a pool of nobody are
    warned of in every run as well, once each, and by no address."""
    before = world.config.read_text()
    territory = {"name": "west", "when": {"region": "europe"}, "owners": [LEFT]}
    world.configure(routing={
        "pool": {"owners": [STRANGER], "fallback": "Missing Queue"},
        "territories": [territory],
        "unassigned_owners": ["ghost@seller.example"],
    })  # fmt: skip
    outcome = world.run(command, "--json")
    alone = world.run(command, "--json", "--connection", "sales")
    world.config.write_text(before)
    assert outcome.code == Exit.DONE
    passed = "owners who are passed over: 3 known to no CRM, 2 not active; `leadgauge check` says"
    for said in (passed, "the pool is covered by nobody", "territory west is covered by nobody"):
        assert outcome.err.count(f"warning: routing: {said}") == 1
    assert "known to no CRM" not in alone.err, "the other CRM was not asked"
    assert "passed over: 1 not active" in alone.err
    assert "seller.example" not in outcome.err + alone.err


@pytest.mark.parametrize(
    ("routing", "said"),
    [
        ({"pool": []}, "routing.pool: name at least one owner"),
        ({"pool": {"owners": []}}, "routing.pool.owners: name at least one owner"),
        ({"pool": [ANA], "everyone": {"time_zone": "Mars/Base"}},
         "no time zone is called Mars/Base"),
        ({"pool": [ANA], "owners": {ANA: {"leave": [{"from": "2026-04-02", "to": "2026-04-01"}]}}},
         "ends on 2026-04-01, before it begins"),
        ({"pool": [ANA], "territories": [{"name": "w", "owners": [BEN]}]}, "say which leads"),
        ({"pool": [ANA], "territories": [
            {"name": "w", "when": {"country": "DE"}, "owners": [BEN]},
            {"name": "w", "when": {"country": "FR"}, "owners": [LEFT]}]},
         "routing.territories[1].name: another territory is called w"),
        ({"pool": [ANA], "sla": {"within": "soon"}}, "an interval is a number of"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(world: Live, routing: dict[str, Any], said: str) -> None:
    """A mistake in the file itself stops every command, with its place."""
    before = world.config.read_text()
    world.configure(routing=routing)
    outcome = world.run("status")
    world.config.write_text(before)
    assert outcome.code == Exit.USAGE
    assert said in outcome.err
    assert f"{world.config}:" in outcome.err


WORDS = """
model:
  - model: europe.yaml
    when:
      any: [{region: Europe}, {country: [DE, Deutschland]}]
  - model: model.yaml
routing:
  pool: {owners: [ana@seller.example]}
  territories:
    - name: tech
      when: {not: {industry: [retail, Tech]}}
      owners: [ben@seller.example]
    - {name: none, when: {employees: {above: 9, below: 9}}, owners: [ben@seller.example]}
    - {name: odd, when: {custom: {zone: eu}}, owners: [ben@seller.example]}
nurture:
  audiences:
    - {name: news, when: {seniority: {contains: boss}}}
"""


def test_conditions_of_the_configuration_are_looked_at_as_those_of_a_model(world: Live) -> None:
    """U20: words that no fact holds, what excludes itself and what nobody fills, in the conditions
    of several models, territories and audiences: with file, line and column."""
    before = world.config.read_text()
    text = (world.folder / "model.yaml").read_text()
    (world.folder / "europe.yaml").write_text(text.replace("name: weighted", "name: europe"))
    world.config.write_text(WORDS.lstrip("\n") + before)
    outcome = world.run("check", "--json")
    world.config.write_text(before)
    assert outcome.code == Exit.USAGE
    found = {
        p["where"].partition("config.yaml:")[2]: p for p in outcome.json if ".when" in p["what"]
    }
    assert {
        where: problem["what"].partition(" asks for ")[2] for where, problem in found.items()
    } == {
        "4:46": "country Deutschland, which no fact holds",
        "10:39": "industry Tech, which no fact holds",
        "12:20": "",
        "13:19": "custom.zone, which no connection maps",
        "16:39": "seniority with boss, which no fact holds",
    }
    assert found["10:39"]["advice"] == "Say technology."
    assert (
        found["12:20"]["what"]
        == "routing.territories[1].when never holds: what it asks excludes itself"
    )
    assert {problem["severity"] for problem in found.values()} == {"error"}
