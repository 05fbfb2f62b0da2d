"""Every command as its user meets it: what it prints, what it exits with, what it leaves alone."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault, Request, Response
from connectors.sandbox.hubspot.faults import fault
from connectors.sandbox.scenario import GOLDEN_107, build
from core.hygiene import Hygiene
from core.lint import lint
from core.rules import parse
from sync.exits import Exit
from sync.ledger import Ledger
from sync.ledger_rows import RunStatus
from tests.core.test_presets import NAMES as PRESETS
from tests.live import ANA, ENVIRONMENT, LEFT, SECRETS, Live, live

TECHNOLOGY: dict[str, Any] = {
    "fit": [{"id": "technology", "points": 100, "when": {"industry": "technology"}}],
    "behaviour": [],
    "decays": {},
}
GRADE = {
    "type": "Picklist",
    "label": "Grade",
    "valueSet": {
        "restricted": True,
        "valueSetDefinition": {"value": [{"fullName": name} for name in "AB"]},
    },
}
"""A picklist that its admin has restricted to A and B."""

MANY = 25
"""Enough for shares to mean something to the guards."""


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Both CRMs with the golden lead of 31 days ago, synced; for commands that only read."""
    with live(tmp_path_factory.mktemp("read")) as world:
        for seller in world.sellers.values():
            build(seller.crm, GOLDEN_107, at=world.clock() - timedelta(days=31))
        world.set_up()
        for kind in (Kind.LEAD, Kind.CONTACT):
            custom = world.sales.crm.custom[kind]
            custom["Grade__c"] = {**custom["Leadgauge_Tier__c"], "metadata": GRADE}
        world.sync()
        yield world


@pytest.fixture
def sales(tmp_path: Path) -> Iterator[Live]:
    """Salesforce alone, with 25 leads that the model gives 100 points, and its fields made."""
    with live(tmp_path) as world:
        world.configure("sales")
        world.model(**TECHNOLOGY)
        for n in range(MANY):
            values = {"last_name": f"P{n}", "company": "Firm", "email": f"p{n}@firm.example"}
            world.sales.crm.add(Kind.LEAD, {**values, "industry": "Technology"})
        world.set_up()
        yield world


def test_init_writes_what_is_not_there(tmp_path: Path, read: Live) -> None:
    """A commented config.yaml and model.yaml; what exists is left alone."""
    (tmp_path / "model.yaml").write_text("mine")
    outcome = read.run("init", str(tmp_path), "--preset", "consumer")
    assert outcome.code == Exit.DONE
    assert f"wrote {tmp_path / 'config.yaml'}\n" in outcome.err
    left = f"{tmp_path / 'model.yaml'} exists and was left alone, the preset consumer was not used"
    assert left in outcome.err
    again = read.run("init", str(tmp_path))
    assert "wrote" not in again.err
    assert f"{tmp_path / 'config.yaml'} exists and was left alone\n" in again.err
    assert (tmp_path / "model.yaml").read_text() == "mine"
    assert "${SF_CLIENT_SECRET}" in (tmp_path / "config.yaml").read_text()
    refused = read.run("init", str(tmp_path), "--preset", "nothing")
    assert refused.code == Exit.USAGE
    assert all(name in refused.err for name in PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_init_starts_from_a_preset(tmp_path: Path, read: Live, name: str) -> None:
    """S078: the model file is the preset, comments included; and every one asks for hygiene."""
    assert read.run("init", str(tmp_path), "--preset", name).code == Exit.DONE
    text = resources.files("core.presets").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    written = (tmp_path / "model.yaml").read_text(encoding="utf-8")
    assert written.startswith(text)
    assert parse(yaml.safe_load(written)).hygiene == Hygiene()
    assert lint(parse(yaml.safe_load(written))) == lint(parse(yaml.safe_load(text)))


@pytest.mark.slow
def test_explain_splits_points_by_channel(read: Live) -> None:
    """S025: beside the lines, for machines and people; every rule of this lead is of one channel,
    so the split adds up to the points of its behaviour rules."""
    for seller in read.sellers.values():
        lead = next(seller.crm.records(Kind.LEAD))
        (found,) = read.run("explain", seller.id(lead), "--json").json
        split = {name: Decimal(points) for name, points in found["channels"].items()}
        given = [Decimal(ln["points"]) for ln in found["lines"] if ln["part"] == "behaviour"]
        assert split == {"web": 35, "event": 10, "email": Decimal("8.5")}
        assert sum(split.values()) == sum(given)
        text = " ".join(read.run("explain", seller.id(lead)).out.split())
        assert "activities of one channel alone would earn: web +35, event +10, email +8.5" in text


@pytest.mark.parametrize(("document", "key"), [("config", "connections"), ("model", "behaviour")])
def test_schema(read: Live, document: str, key: str) -> None:
    """A JSON Schema of either file."""
    schema = read.run("schema", document).json
    assert schema["type"] == "object"
    assert key in schema["properties"]


@pytest.mark.slow
def test_explain_adds_up(read: Live) -> None:
    """S120: every point with rule, evidence, date and decay; the points add up to the score."""
    lead = next(read.sales.crm.records(Kind.LEAD))
    (found,) = read.run("explain", read.sales.id(lead), "--json").json
    lines = {line["rule"]: line for line in found["lines"]}
    assert sum(Decimal(line["points"]) for line in lines.values()) == Decimal(found["score"])
    assert Decimal(found["score"]) == Decimal("98.5")
    assert Decimal(lines["email-click"]["decay_loss"]) == Decimal("2.5")
    text = read.run("explain", read.sales.id(lead)).out
    for line in lines.values():
        assert line["rule"] in text
        if line["part"] == "behaviour":
            assert line["evidence"] in text
            assert str(line["last"])[:16] in text
    assert "-2.5" in text
    assert "+98.5" in text
    assert "1.5 points to SQL" in text


@pytest.mark.parametrize("command", ["explain", "dossier", "replay"])
def test_what_reads_the_stores_alone_opens_no_crm(read: Live, command: str) -> None:
    """It works where the CRMs cannot be reached, and loads no client library."""

    def connect(name: str, settings: Any) -> Any:
        raise AssertionError(f"{name} was opened, of {settings.kind}")

    lead = read.sales.id(next(read.sales.crm.records(Kind.LEAD)))
    read.connect = connect
    try:
        assert read.run(command, lead).code == Exit.DONE
    finally:
        read.connect = None


def test_explain_an_unknown_lead(read: Live) -> None:
    """An id that nobody knows is named, with what to do."""
    outcome = read.run("explain", "00Q000000000zzz")
    assert (outcome.code, outcome.out) == (Exit.USAGE, "")
    assert "00Q000000000zzz" in outcome.err


def test_a_no_is_said_to_have_done_nothing(read: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 130 after an answer, and not without a word."""
    monkeypatch.setattr("typer.confirm", lambda *_args, **_options: False)
    run = read.run("status", "--json").json["runs"][-1]["id"]
    lead = read.sales.id(next(read.sales.crm.records(Kind.LEAD)))
    for asking in (["undo", run], ["erase", lead, "--anyway"], ["backfill"]):
        outcome = read.run(*asking)
        assert outcome.code == Exit.INTERRUPTED
        assert outcome.err.endswith("nothing was done\n")


@pytest.mark.slow
def test_a_time_to_come_is_said_to_be_one(read: Live) -> None:
    """What is explained as of then is by the facts there are, and says so."""
    lead = read.sales.id(next(read.sales.crm.records(Kind.LEAD)))
    said = "2030-01-01 00:00 UTC is to come: this is what would be without further events\n"
    assert read.run("explain", lead, "--as-of", "2030-01-01").err == said


def test_status_after_runs(read: Live) -> None:
    """Runs with their calls, for people and for machines."""
    status = read.run("status", "--json").json
    assert status["runs"][-1]["status"] == "done"
    assert set(status["runs"][-1]["calls"]) == set(read.sellers)
    assert status["runs"][-1]["id"] in read.run("status").out


def test_status_while_another_process_holds_the_facts(read: Live) -> None:
    """Status reads the ledger alone; whatever needs the facts says who has them (exit 7)."""
    hold = "import duckdb,sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    command = [sys.executable, "-c", hold, str(read.folder / "facts.duckdb")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert read.run("status").code == Exit.DONE
        outcome = read.run("sync")
        assert outcome.code == Exit.LEASE
        assert "facts.duckdb" in outcome.err
        holder.communicate("\n")


def test_check_finds_nothing_wrong(read: Live) -> None:
    """What works is said to work, and nothing is written for it."""
    before = {name: seller.writes() for name, seller in read.sellers.items()}
    outcome = read.run("check")
    assert (outcome.code, outcome.out) == (Exit.DONE, "")
    assert {name: seller.writes() for name, seller in read.sellers.items()} == before


@pytest.mark.parametrize(
    ("secret", "connection"), [("SF_CLIENT_SECRET", "sales"), ("HUBSPOT_TOKEN", "marketing")]
)
@pytest.mark.parametrize("command", ["check", "sync", pytest.param("plan", marks=pytest.mark.slow)])
def test_wrong_credentials(read: Live, command: str, secret: str, connection: str) -> None:
    """Exit 3, naming the connection and not the secret."""
    read.env[secret] = "wrong-planted-secret"
    try:
        outcome = read.run(command)
    finally:
        read.env[secret] = SECRETS[secret]
    assert outcome.code == Exit.CREDENTIALS
    assert f"{connection}: " in outcome.err
    assert "wrong-planted-secret" not in outcome.err + outcome.out


def test_check_names_a_missing_scope(read: Live) -> None:
    """Exit 3: the account has not granted what a run needs."""
    server = read.marketing.server
    server.faults.append(fault("missing-scopes"))
    outcome = read.run("check")
    server.faults.clear()
    assert outcome.code == Exit.CREDENTIALS
    assert "credentials: marketing: " in outcome.err


def test_no_secret_on_disk(read: Live) -> None:
    """Neither stores nor configuration hold a secret."""
    for path in read.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [name for name, secret in SECRETS.items() if secret.encode() in content]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (
            {
                "sales": {
                    "mapping": {"leads": {"employees": "No_Such__c"}},
                    "write": {
                        "score": {"field": "No_Score__c"},
                        "scored_at": {"field": "CreatedDate"},
                    },
                },
                "marketing": {
                    "mapping": {
                        "leads": {"employees": "no_such", "custom.stage": "Lifecyclestge"},
                        "accounts": {"employees": "numberofemploys"},
                    },
                    "write": {"score": {"field": "no_score"}, "scored_at": {"field": "createdate"}},
                },
                "routing": {"pool": ["nobody@seller.example"]},
            },
            ["config.yaml:25:9: sales: no field No_Such__c", "No_Score__c", "CreatedDate",
             "config.yaml:9:9: marketing: contacts have no property no_such. correct the name",
             "contacts have no property Lifecyclestge. use lifecyclestage",
             "companies have no property numberofemploys. use numberofemployees",
             "no_score", "createdate", "nobody@seller.example"],
        ),
        (
            {
                "sales": {"write": {"tier": {"field": "Grade__c"}}},
                "marketing": {"write": {"tier": {"field": "lifecyclestage"}}},
            },
            ["Lead.Grade__c: the tier C, D is", "lifecyclestage: the tier A, B, C, D is"],
        ),
    ],
    ids=["fields", "choices"],
)  # fmt: skip
def test_check_finds_what_would_fail(read: Live, wrong: dict[str, Any], named: list[str]) -> None:
    """Exit 2: unknown and read-only fields, values that a picklist lacks, owners; each is an
    error of its own, and all are said at once."""
    read.configure(**wrong)
    outcome = read.run("check")
    read.configure()
    assert outcome.code == Exit.USAGE
    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert [said for said in named if not any(said in line for line in errors)] == []


def test_check_warns_of_who_has_left(read: Live) -> None:
    """D33: an inactive owner in a pool is said, and is no obstacle."""
    read.configure(routing={"pool": [ANA, LEFT]})
    outcome = read.run("check")
    read.configure()
    assert outcome.code == Exit.DONE
    assert f": owner {LEFT} is not active in sales, and gets no leads there" in outcome.err


def test_check_warns_of_tiers_that_no_model_gives(read: Live) -> None:
    """A misspelt tier would be worked by nobody, without a word."""
    audience = {"name": "best", "tiers": ["A", "AA"]}
    read.configure(
        handoff={"note": {}, "tiers": {"A": {"playbook": "p"}, "X": {"playbook": "p"}}},
        nurture={"audiences": [audience]},
    )
    outcome = read.run("check")
    read.configure()
    assert outcome.code == Exit.DONE
    warned = [line for line in outcome.err.splitlines() if "no model gives" in line]
    where = ("handoff.tiers.X", "nurture.audiences.best (AA)")
    assert [line.split(": ")[1] for line in warned] == list(where)
    assert "handoff.note" not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sync", "--no-such"], "--no-such"),
        (["no-such"], "no-such"),
        (["sync", "--connection", "nowhere"], "sales"),
        (["backfill", "--since", "yesterday"], "yesterday"),
        (["sync", "--max-change-share", "2"], "max-change-share"),
        (["sandbox", "--fault", "salesforce:nothing"], "salesforce:expired-session"),
    ],
)
def test_wrong_usage(read: Live, arguments: list[str], said: str) -> None:
    """Exit 2, naming what was wrong or what there is."""
    outcome = read.run(*arguments)
    assert (outcome.code, outcome.out) == (Exit.USAGE, "")
    assert said in outcome.err


def test_mistakes_in_the_files(tmp_path: Path) -> None:
    """Exit 2, every mistake as file:line:column, in the configuration and in the model."""
    with live(tmp_path) as world:
        del world.env["HUBSPOT_TOKEN"]
        outcome = world.run("sync")
        assert outcome.code == Exit.USAGE
        assert "config.yaml:" in outcome.err
        assert "environment variable HUBSPOT_TOKEN is not set" in outcome.err
        world.env.update(ENVIRONMENT)
        (tmp_path / "model.yaml").write_text("name: m\nfit:\n  - {id: a, pints: 3, when: {}}\n")
        outcome = world.run("plan")
        assert outcome.code == Exit.USAGE
        assert "model.yaml:3:" in outcome.err
        assert "pints: unknown key (did you mean points?)" in outcome.err
        world.config.unlink()
        assert "leadgauge init" in world.run("status").err


def test_a_plan_writes_nothing(sales: Live) -> None:
    """Changes, their price and what they replace; the CRM is as it was, and so is the ledger."""
    before = (sales.sales.writes(), sales.sales.crm.revision)
    text = sales.run("plan")
    assert text.code == Exit.DONE
    assert f"{MANY} of {MANY} records to write, 1 calls" in text.out
    (plan,) = sales.run("plan", "--json").json["plans"]
    assert (plan["price"]["calls"], len(plan["changes"])) == ({"write": 1}, MANY)
    assert plan["changes"][0]["fields"]["score"] == {"from": None, "to": "100"}
    assert (sales.sales.writes(), sales.sales.crm.revision) == before
    with sales.ledger() as ledger:
        assert ledger.last_written("sales") == {}
        assert ledger.decisions("sales", plan["changes"][0]["id"]) == []


def test_setup_is_asked_for_and_repeatable(tmp_path: Path) -> None:
    """Without --yes and nobody to answer, nothing is made; a second setup finds it all there."""
    with live(tmp_path) as world:
        assert world.run("check").code == Exit.USAGE
        assert world.run("setup").code == Exit.INTERRUPTED
        assert not world.sales.crm.custom[Kind.LEAD].get("Leadgauge_Score__c")
        world.set_up()
        assert world.run("check").code == Exit.DONE
        outcome = world.run("setup", "--yes")
        assert (outcome.code, outcome.out) == (Exit.DONE, "")


@pytest.mark.slow
def test_guards_stop_before_the_first_write(sales: Live) -> None:
    """Exit 6, naming the option that overrides it; with it, the run goes through."""
    assert sales.run("sync", "--max-calls", "0").code == Exit.GUARD
    sales.sync()
    before = sales.sales.writes()
    rule = {**TECHNOLOGY["fit"][0], "points": 60}
    sales.model(fit=[rule], behaviour=[], decays={})
    outcome = sales.run("sync")
    assert outcome.code == Exit.GUARD
    assert f"sales: the plan changes {MANY} of {MANY} records" in outcome.err
    assert "--max-change-share 1.00" in outcome.err
    assert sales.sales.writes() == before
    assert sales.run("status", "--json").json["runs"][0]["status"] == "guarded"
    sales.sync("--max-change-share", "1")
    for lead in list(sales.sales.crm.records(Kind.LEAD)):
        sales.sales.crm.delete(lead)
    for _again in range(2):
        outcome = sales.run("sync")
        assert outcome.code == Exit.GUARD
        assert "no lead is left of 25" in outcome.err
    assert sales.run("sync", "--max-change-share", "1").code == Exit.DONE


def test_one_instance_at_a_time(sales: Live) -> None:
    """Exit 7 while another holds the lease, and nothing is asked of the CRM; then it goes on."""
    with sales.ledger() as ledger:
        ledger.presence.acquire("sync", "elsewhere:1", at=sales.clock(), lasts=timedelta(minutes=5))
    before = len(sales.sales.server.requests)
    outcome = sales.run("sync")
    assert outcome.code == Exit.LEASE
    assert "elsewhere:1" in outcome.err
    assert len(sales.sales.server.requests) == before
    sales.clock.tick(minutes=5)
    sales.sync()


def interrupt(world: Live, *, after: int) -> None:
    """Let the user press Ctrl-C while a query is answered, after so many others."""

    def pressed(request: Request) -> Response:
        os.kill(os.getpid(), signal.SIGINT)
        return world.sales.face(request)

    world.sales.server.faults.append(Fault("/query", skip=after, response=pressed))


def test_interrupted_and_taken_up(sales: Live) -> None:
    """Exit 130 after a clean stop; what was read is kept, and the next run does the rest."""
    interrupt(sales, after=0)
    outcome = sales.run("sync")
    assert outcome.code == Exit.INTERRUPTED
    assert "stopped as asked" in outcome.err
    assert sales.run("status", "--json").json["runs"][0]["status"] == "stopped"
    assert sales.sync().step("sales", "write")["out"] == MANY


@pytest.mark.slow
def test_backfill(sales: Live) -> None:
    """Size and price come first; everything is read again, and nothing equal is written."""
    sales.sync()
    sales.clock.tick(days=40)
    assert sales.run("backfill").code == Exit.INTERRUPTED
    before = sales.sales.writes()
    outcome = sales.run("backfill", "--yes", "--json")
    assert outcome.code == Exit.DONE
    assert f"sales: {MANY} records of Lead, 1 calls" in outcome.err
    assert outcome.step("sales", "pull")["held"]["unchanged"] >= MANY
    assert sales.sales.writes() == before
    since = f"{sales.clock():%Y-%m-%d}"
    outcome = sales.run("backfill", "--yes", "--json", "--since", since)
    assert "sales: 0 records of Lead, 1 calls" in outcome.err
    assert outcome.step("sales", "pull")["in"] == 0


def test_backfill_goes_on_where_it_was(sales: Live) -> None:
    """Interrupted and run again, it asks nothing, and the two read every record once."""
    sales.sync()
    sales.clock.tick(days=40)
    interrupt(sales, after=10)  # each object is counted first
    assert sales.run("backfill", "--yes").code == Exit.INTERRUPTED
    with sales.ledger() as ledger:
        (stopped,) = ledger.runs(1)
    assert stopped.status is RunStatus.STOPPED
    pull = next(s for s in stopped.counts["sales"]["steps"] if s["step"] == "pull")
    outcome = sales.run("backfill", "--json")
    assert outcome.code == Exit.DONE
    assert "going on with the backfill that was interrupted" in outcome.err
    rest = outcome.step("sales", "pull")["in"]
    assert min(pull["in"], rest) > 0
    assert pull["in"] + rest == MANY + len(sales.sales.users)


@pytest.mark.slow
def test_daemon_until_told_to_stop(sales: Live) -> None:
    """Cycles do not overlap; SIGTERM ends it cleanly, with every run closed."""
    sales.configure("sales", schedule={"delta": {"every": "1 second"}})
    command = "from sync.cli import main; main()"
    with (
        subprocess.Popen(
            [sys.executable, "-c", command, "daemon", "--config", str(sales.config)],
            env={**os.environ, **ENVIRONMENT},
            cwd=Path(__file__).parents[2],
            stderr=subprocess.PIPE,
            text=True,
        ) as daemon,
        sales.ledger() as ledger,
    ):
        wait_for_runs(ledger, 2)
        daemon.send_signal(signal.SIGTERM)
        _, said = daemon.communicate(timeout=30)
        runs = ledger.runs()[::-1]
    assert daemon.returncode == Exit.DONE
    assert "stopped as asked" in said
    assert f"written={MANY}" in said
    assert "Traceback" not in said
    assert {run.status for run in runs} <= {RunStatus.DONE, RunStatus.STOPPED}
    for earlier, later in pairwise(runs):
        assert earlier.finished_at is not None
        assert earlier.finished_at <= later.started_at


def wait_for_runs(ledger: Ledger, count: int) -> None:
    """Wait until so many runs have ended."""
    deadline = time.monotonic() + 60
    while sum(run.finished_at is not None for run in ledger.runs()) < count:
        assert time.monotonic() < deadline, "the daemon did not run its cycles"
        time.sleep(0.05)


def test_sandbox_stops_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It serves both CRMs, writes a configuration for them, and ends when its time is up."""
    monkeypatch.chdir(tmp_path)
    with live(tmp_path) as world:
        outcome = world.run(
            "sandbox", "--leads", "50", "--minutes", "0.001", "--salesforce-port", "0",
            "--hubspot-port", "0", "--fault", "hubspot:index-lag", "--rate", "0.5",
        )  # fmt: skip
    assert outcome.code == Exit.DONE
    assert "http://127.0.0.1:" in outcome.err
    assert "kind: salesforce" in (tmp_path / "sandbox" / "config.yaml").read_text()


@pytest.mark.parametrize("name", ["salesforce", "hubspot"])
def test_a_sandbox_whose_port_is_taken(read: Live, name: str) -> None:
    """Exit 2, with the port and the option that chooses another."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        free = {f"--{face}-port": "0" for face in ("salesforce", "hubspot")}
        ports = {**free, f"--{name}-port": str(port)}
        outcome = read.run("sandbox", *(word for option in ports.items() for word in option))
    assert outcome.code == Exit.USAGE
    assert f"cannot listen on 127.0.0.1:{port}: " in outcome.err
    assert f"choose another port with --{name}-port" in outcome.err


def test_faults_are_listed(read: Live) -> None:
    """Asked for, the list is what is printed, and no mistake."""
    outcome = read.run("sandbox", "--fault", "list")
    assert (outcome.code, outcome.err) == (Exit.DONE, "")
    assert "salesforce:expired-session: " in outcome.out


@pytest.mark.slow
def test_json_is_json(sales: Live) -> None:
    """With --json, stdout holds one JSON document and nothing else; talk is on stderr."""
    for arguments in (["check"], ["plan"], ["sync"], ["status"]):
        assert json.loads(sales.run(*arguments, "--json").out) is not None
