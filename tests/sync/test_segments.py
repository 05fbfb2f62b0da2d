"""Several models and several sources, through the command line and both CRMs."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.sandbox.crm import Record
from connectors.sandbox.scenario import GOLDEN_50, GOLDEN_107, Story
from sync.exits import Exit
from tests.live import Live, Seller, live
from tests.sync.test_replay import iso

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")

NOWHERE = Story({"last_name": "No", "company": "No", "email": "no@where.example"})
MODELS = [
    {"model": "europe.yaml", "when": {"region": "europe"}},
    {"model": "model.yaml", "when": {"country": ["US", "DE"]}},
]
EUROPE: dict[str, Any] = {
    "name": "europe",
    "fit": [
        {"id": "manager", "points": 30, "when": {"seniority": "manager"}},
        {"id": "size", "points": 7, "when": {"employees": {"at_least": 50}}},
        {"id": "state", "points": 1, "when": {"state": "Bayern"}},
    ],
    "thresholds": {"mql": 30, "sql": 38},
    "tiers": {"A": 38, "B": 0},
    "icp": {"company": {"industry": "healthcare"}, "persona": {"seniority": "executive"}},
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, empty, with two models: Europe's, and one for America and what Germany leaves."""
    with live(tmp_path) as world:
        world.configure(model=MODELS)
        europe(world)
        yield world


def europe(world: Live, file: str = "europe.yaml", **changes: Any) -> Path:
    """Write the European model, some of its keys replaced."""
    path = world.folder / file
    path.write_text(yaml.safe_dump({**EUROPE, **changes}, sort_keys=False))
    return path


def shown(seller: Seller, record: Record) -> tuple[Any, Any, Any]:
    """Score, tier and the model's name, as the CRM holds them."""
    found = seller.shown(record)
    return found["score"], found["tier"], (found["model"] or "none").split()[0]


@pytest.mark.slow
def test_each_lead_goes_by_the_model_of_its_segment(world: Live) -> None:
    """S114: a German lead fits both models, and the first counts; one that neither is for is
    held with the reason; who moves is scored by the other model in the next cycle."""
    american, german, nowhere = map(world.tell, (GOLDEN_107, GOLDEN_50, NOWHERE))
    world.set_up()
    outcome = world.sync()
    for name, seller in world.sellers.items():
        assert shown(seller, american[name]) == (107, "A", "weighted")
        assert shown(seller, german[name]) == (30, "B", "europe")
        assert shown(seller, nowhere[name]) == (None, None, "none")
        step = outcome.step(name, "score")
        assert (step["out"], step["held"]) == (2, {"no model is for it": 1})
    with world.ledger() as ledger:
        labels = ledger.runs(1)[0].model.split(", ")
    assert [label.split()[0] for label in labels] == ["europe", "weighted"]
    world.clock.tick()
    for name, seller in world.sellers.items():
        seller.crm.update(german[name], {"country": "United States"})
        seller.crm.update(american[name], {"country": "Sweden"})
    world.sync("--max-change-share", "1")
    for name, seller in world.sellers.items():
        assert shown(seller, german[name])[2] == "weighted"
        assert shown(seller, american[name])[2] == "europe"


@pytest.mark.slow
def test_explain_replay_and_preview_go_by_the_same_models(world: Live) -> None:
    """S114: each lead by its own model, earlier dates by the one of that time; a changed file
    stands in for its namesake, and for nothing where there is none."""
    world.configure("sales", model=MODELS)
    american, german, nowhere = (
        world.tell(story)["sales"] for story in (GOLDEN_107, GOLDEN_50, NOWHERE)
    )
    world.set_up()
    world.sync()
    then, seller = iso(world.clock.now), world.sales
    refused = world.run("explain", seller.id(nowhere))
    assert (refused.code, "no model is for it" in refused.err) == (Exit.USAGE, True)
    changed = str(europe(world, "new.yaml", tiers={"A": 30, "B": 0}))
    found = world.run("preview", changed, "--json").json
    assert (found["from"].split()[0], found["changes"]) == ("europe", ["tier A: 38 -> 30"])
    assert [mover["lead_id"] for mover in found["movers"]] == [seller.id(german)]
    lines = world.run("replay", "--model", changed, "--json").out.splitlines()
    rows = {row["lead_id"]: (row["score"], row["tier"]) for row in map(json.loads, lines)}
    assert rows == {seller.id(american): ("107", "A"), seller.id(german): ("30", "A")}
    strange = world.run("preview", str(europe(world, "new.yaml", name="asia")))
    assert strange.code == Exit.USAGE
    assert "no configured model is called asia (there are: europe, weighted)" in strange.err
    world.clock.tick()
    seller.crm.update(german, {"country": "United States"})
    world.sync()
    for more, model in (((), "weighted"), (("--as-of", then), "europe")):
        (said,) = world.run("explain", seller.id(german), "--json", *more).json
        assert said["model"].startswith(f"{model} ")
        assert ("manager" in [line["rule"] for line in said["lines"]]) == (model == "europe")


@pytest.mark.slow
def test_check_and_sign_off_look_at_every_model(world: Live) -> None:
    """S114: findings stand in the file that they are about; both models need both teams."""
    world.set_up()
    europe(world, decays={"idle": {"after": "1 day", "factor": 0.5}})
    models = [{"model": "europe.yaml", "when": {"custom": {"zone": "eu"}}}, {"model": "model.yaml"}]
    world.configure(model=models, model_signoff="required")
    outcome = world.run("check", "--json")
    assert outcome.code == Exit.USAGE
    found = {problem["what"]: problem["where"] for problem in outcome.json}
    assert "europe.yaml:" in found["decay idle is used by no rule"]
    assert "model.yaml:" in found["rule blog alone reaches mql 50: 10 events do"]
    assert "config.yaml:" in found["model[0].when asks for custom.zone, which no connection maps"]
    for file in ("europe.yaml", "model.yaml"):
        refused = world.run("sync")
        assert (refused.code, refused.err.count("no sign-off")) == (
            Exit.GUARD, 2 if file == "europe.yaml" else 1,
        )  # fmt: skip
        for team in ("marketing", "sales"):
            assert (
                world.run("sign", str(world.folder / file), "--as", team, "--by", "Ann").code
                == Exit.DONE
            )
    world.sync()


@pytest.mark.slow
def test_explain_shows_what_a_score_is_not_made_of(world: Live) -> None:
    """S007 S190 S191: the value that counts and the one it overruled, with field and origin; an
    earlier answer with its time and stage; how much is known; company and person apart."""
    sources = [{"field": "State", "origin": "given"}, {"field": "Phone", "origin": "appended"}]
    world.configure("sales", model=MODELS, sales={"mapping": {"leads": {"state": sources}}})
    story = replace(GOLDEN_50, values={**GOLDEN_50.values, "phone": "Hessen"})
    lead, seller = world.tell(story)["sales"], world.sales
    world.set_up()
    world.sync()
    world.clock.tick()
    seller.crm.update(lead, {"state": "Bayern", "employees": 60})
    world.sync()
    asked = ("explain", seller.id(lead))
    (said,) = world.run(*asked, "--json").json
    assert (said["score"], said["stage"]) == ("38", "SQL")
    profile = said["known"]
    assert profile["completeness"] == {"known": 3, "asked": 3}
    assert (profile["company"], profile["persona"]) == ("unknown", "no match")
    assert profile["sourced"] == [
        {
            "field": "state",
            "counts": {"field": "State", "origin": "given", "value": "Bayern"},
            "overruled": [{"field": "Phone", "origin": "appended", "value": "Hessen"}],
        }
    ]
    changed = [(one["field"], one["value"], one["stage"]) for one in profile["changed"]]
    assert ("state", "Hessen", None) in changed
    assert ("state", "Bayern", "MQL") in changed
    assert ("employees", "60", "MQL") in changed
    text = " ".join(world.run(*asked).out.split())
    assert "known of what fit asks: 3 of 3 (100 %)" in text
    assert "ideal customer: company unknown, person no match" in text
    assert "state: Bayern (given, State), not Hessen (appended, Phone)" in text
    assert "state over time: Hessen (from " in text
    assert "Hessen" not in world.sync().out
