"""A model is agreed to by marketing and sales, by its content, before a sync may write."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.sandbox.scenario import GOLDEN_107
from sync.exits import Exit
from sync.ledger import Ledger
from sync.ledger_models import SignOff
from sync.ledger_rows import Team
from tests.core.golden import T0, weighted
from tests.live import Live, live

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, empty."""
    with live(tmp_path) as world:
        yield world


def sign(world: Live, *teams: str) -> None:
    """Sign the configured model."""
    for team in teams:
        outcome = world.run("sign", str(world.folder / "model.yaml"), "--as", team, "--by", "Ann")
        assert (outcome.code, f"signed by {team} (Ann)" in outcome.out) == (Exit.DONE, True)


@pytest.mark.slow
def test_without_both_sign_offs_nothing_is_written(world: Live) -> None:
    """S084 U04 D74: refused with exit code 6 and the command that helps; an edited model needs
    both again; a model taken back to what it was has its sign-offs and its old scores."""
    world.configure(model_signoff="required")
    people = world.tell(GOLDEN_107)
    world.set_up()
    refused = world.run("sync")
    assert refused.code == Exit.GUARD
    assert "no sign-off by marketing and sales" in refused.err
    assert "leadgauge sign model.yaml --as marketing" in refused.err
    sign(world, "marketing")
    refused = world.run("sync")
    assert (refused.code, "by sales" in refused.err) == (Exit.GUARD, True)
    assert "by marketing" not in refused.err
    assert {s.writes() for s in world.sellers.values()} == {0}
    sign(world, "sales", "sales")
    world.sync()
    assert {s.shown(people[n])["score"] for n, s in world.sellers.items()} == {107}
    model = world.folder / "model.yaml"
    agreed = model.read_text()
    model.write_text(agreed.replace("points: 20", "points: 21"))
    before = {n: s.writes() for n, s in world.sellers.items()}
    assert world.run("sync").code == Exit.GUARD
    assert world.run("backfill", "--yes").code == Exit.GUARD
    assert world.run("plan").code == Exit.DONE
    assert {n: s.writes() for n, s in world.sellers.items()} == before
    sign(world, "marketing", "sales")
    world.sync()
    assert {s.shown(people[n])["score"] for n, s in world.sellers.items()} == {109}
    listed = world.run("models", "--json").json
    assert [{(s["team"], s["by"]) for s in one["signed"]} for one in listed] == [
        {("marketing", "Ann"), ("sales", "Ann")}
    ] * 2
    assert world.run("models", listed[1]["version"]).out == agreed
    model.write_text(world.run("models", f"{listed[1]['name']} {listed[1]['version']}").out)
    world.sync()
    assert {s.shown(people[n])["score"] for n, s in world.sellers.items()} == {107}


@pytest.mark.slow
def test_a_warning_where_it_is_only_asked_for(world: Live) -> None:
    """S084: with `warn` the run writes and says what is missing; without it, nothing."""
    people = world.tell(GOLDEN_107)
    world.set_up()
    world.configure(model_signoff="warn")
    outcome = world.sync()
    (warning,) = outcome.json["warnings"]
    assert "no sign-off by marketing and sales" in warning
    assert warning in outcome.err
    assert world.sales.shown(people["sales"])["score"] == 107
    sign(world, "marketing", "sales")
    assert world.sync().json["warnings"] == []
    world.configure()
    world.model(name="other")
    assert world.sync().json["warnings"] == []


@pytest.mark.slow
def test_a_run_keeps_what_its_model_said(world: Live) -> None:
    """D74: what the model was before a change, and who used which first, though nobody signed."""
    world.set_up()
    world.sync()
    model = world.folder / "model.yaml"
    before = model.read_text()
    model.write_text(before.replace("points: 20", "points: 21"))
    world.account = "ana"
    world.sync()
    world.account = "ben"
    world.sync()
    new, old = world.run("models", "--json").json
    assert new["text"] == model.read_text()
    assert (old["text"], old["signed"]) == (before, [])
    assert (new["account"], old["account"]) == ("ana", "robot")
    rows = [line.split() for line in world.run("models").out.splitlines()]
    assert [row[4] for row in rows if row[:1] == ["weighted"]] == ["ana", "robot"]
    unknown = world.run("models", "0123456789")
    assert (unknown.code, "0123456789: no model that was" in unknown.err) == (Exit.USAGE, True)


@pytest.mark.slow
def test_who_signed_and_what_is_to_be_run_is_shown(tmp_path: Path) -> None:
    """S084 D74: by `status`, also beside a broken model file; `check` refuses what a run would."""
    with live(tmp_path) as world:
        world.set_up()
        assert "signed by" not in world.run("status").out
        world.configure(model_signoff="required")
        missing = world.run("check")
        assert missing.code == Exit.USAGE
        assert "has no sign-off by marketing and sales. Look at it with" in missing.err
        model = world.folder / "model.yaml"
        assert "no sign-off" not in world.run("check", "--model", str(model)).err
        sign(world, "marketing")
        (one,) = world.run("status", "--json").json["models"]
        assert [(said["team"], said["by"]) for said in one["signed"]] == [("marketing", "Ann")]
        assert one["missing"] == ["sales"]
        shown = " ".join(world.run("status").out.split())
        assert "marketing (Ann, " in shown
        assert "leadgauge sign model.yaml --as sales --by WHO" in shown
        world.configure(model_signoff="warn")
        asked = world.run("check")
        assert (asked.code, "warning: " in asked.err) == (Exit.DONE, True)
        assert "no sign-off by sales" in asked.err
        sign(world, "sales")
        assert "no sign-off" not in world.run("check").err
        model.write_text("name: [")
        assert (world.run("status").code, world.run("status", "--json").json["models"]) == (0, [])


@pytest.mark.slow
def test_versions_are_replayed_and_previewed_by_their_names(tmp_path: Path) -> None:
    """U01 D74 S084: a version as `models` shows it, or how it begins, stands for its file; whose
    beginning means none or several is refused, with what there is."""
    with live(tmp_path) as world:
        world.set_up()
        people = world.tell(GOLDEN_107)
        world.sync()
        lead = world.sales.id(people["sales"])
        first = world.run("models", "--json").json[0]
        file = world.folder / "model.yaml"
        file.write_text(file.read_text().replace("points: 20", "points: 21"))
        sign(world, "sales")

        def score(*model: str) -> str:
            (line,) = world.run("replay", lead, "--json", *model).out.splitlines()
            return str(json.loads(line)["score"])

        label = f"{first['name']} {first['version']}"
        assert score() == "109"
        for said in (first["version"], first["version"][:6], label, label[:-3]):
            assert score("--model", said) == "107"
        found = world.run("preview", first["version"], "--json").json
        assert (found["to"], len(found["movers"])) == (label, 2)
        by = ("--as", "marketing", "--by", "Bo")
        signed = world.run("sign", first["version"][:6], *by)
        assert (signed.code, f"{label}: signed by marketing (Bo)" in signed.out) == (
            Exit.DONE,
            True,
        )
        kept = world.run("models", first["version"], "--json").json
        assert [(one["team"], one["by"]) for one in kept.pop("signed")] == [("marketing", "Bo")]
        assert kept == {key: value for key, value in first.items() if key != "signed"}
        for command in (("replay", "--model"), ("preview",), ("models",), ("sign", *by)):
            unknown = world.run(*command, "0123")
            assert (unknown.code, "see `leadgauge models`" in unknown.err) == (Exit.USAGE, True)
            several = world.run(*command, first["name"])
            assert (several.code, "several versions begin so" in several.err) == (Exit.USAGE, True)
            assert label in several.err


@pytest.mark.slow
def test_versions_with_a_file_of_networks_are_kept_whole(tmp_path: Path) -> None:
    """U01 D74 S215: its networks are kept beside the text, and nothing else of that file; so each
    version is replayed and previewed by its name, though only the file of networks changed."""
    with live(tmp_path) as world:
        world.configure()
        world.configure_mapping("sales", activities={"custom.ip": "Area__c"})
        networks = {"address": "ip", "file": "networks.csv"}
        world.model(accounts={"top": 100, "anonymous": {}, "networks": networks})
        csv, kept = world.folder / "networks.csv", []
        csv.write_text("network,account\n")
        people = world.tell(GOLDEN_107)
        world.set_up()
        for share in ("0.50", ""):
            csv.write_text(
                f"network,contact,account,confidence\n::1,ann@a.example,a.example,{share}\n"
            )
            world.sync()
            kept.append(f"network,account,confidence\n::1/128,a.example,{share or 1}\n")
        csv.unlink()
        listed = world.run("models", "--json").json
        assert [one["networks"] for one in listed] == kept[::-1]
        world.configure_mapping("sales")
        csv.write_text("network,account\n::3,a.example\n")
        for one in listed:
            version, label = one["version"], f"{one['name']} {one['version']}"
            assert world.run("models", version, "--json").json == one
            shown = world.run("models", version)
            assert (shown.out, "networks" in shown.err) == (one["text"], True)
            lead = world.sales.id(people["sales"])
            (line,) = world.run("replay", lead, "--json", "--model", version).out.splitlines()
            assert json.loads(line)["model"] == label
            assert world.run("preview", version, "--json").json["to"] == label


def test_a_sign_off_names_a_person(tmp_path: Path) -> None:
    """D74: without one nothing is signed."""
    with live(tmp_path) as world:
        outcome = world.run("sign", str(world.folder / "model.yaml"), "--as", "sales")
        assert (outcome.code, "--by WHO" in outcome.err) == (Exit.USAGE, True)
        assert world.run("models", "--json").json == []


def test_a_sign_off_keeps_its_first_time() -> None:
    """D74: who agreed to which content, and when; signing again changes nothing."""
    with Ledger("sqlite://") as ledger:
        ledger.models.sign(weighted(), Team.SALES, by="Ann", at=T0)
        ledger.models.sign(weighted(), Team.SALES, by="Bob", at=T0.replace(hour=13))
        assert ledger.models.signed(weighted().version) == {"sales": SignOff("sales", "Ann", T0)}
        assert ledger.models.signed(weighted(name="other").version) == {}
        entries = [one.entry for one in ledger.audit.entries()]
        assert [entry.detail["by"] for entry in entries] == ["Ann", "Bob"]
