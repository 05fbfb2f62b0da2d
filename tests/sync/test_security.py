"""Secrets and personal data stay where they belong whatever goes wrong; files are private."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Change, Connector, Status, WriteResult
from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault, Request, Response, Server
from core.decision import Decision, Output
from core.rules import parse
from core.segments import Segment
from core.verdict import judge
from sync.exits import Exit
from sync.ledger import Ledger
from tests.core.golden import T0, World, lead
from tests.hubspot import RunningTimer
from tests.live import ENVIRONMENT, SECRETS, Live, live

MAIL = {"SMTP_PASSWORD": "planted-smtp-password", "ALERT_TOKEN": "planted-alert-token"}
PERSON = ("Musterfrau", "erika@buyer.example", "+43 1 5550100")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """A lead with personal data in each CRM."""
    name, email, phone = PERSON
    with live(tmp_path, RunningTimer()) as found:
        for seller in found.sellers.values():
            values = {"last_name": name, "email": email, "phone": phone}
            seller.crm.add(Kind.LEAD, {**values, "industry": "Technology"})
        yield found


def echo(status: int) -> Fault:
    """Somebody on the way who answers with all that he was sent, credentials included."""

    def answer(request: Request) -> Response:
        sent = f"{dict(request.headers)} {request.body.decode()}"
        error = {"error": sent, "error_description": sent, "message": sent, "errorCode": "X"}
        said = [error] if "/services/data/" in request.path else error
        return Response(status, json.dumps(said).encode(), {"Content-Type": "application/json"})

    return Fault(".*", times=None, response=answer)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "path"),
    [(302, ".*"), (307, "/services/data/|/crm/"), (307, "/composite/sobjects|/batch/")],
)
def test_no_answer_leads_elsewhere(world: Live, status: int, path: str) -> None:
    """A redirect, at the log-in, of data or of a write, is not followed: it could lead off TLS, and
    would take the credentials along. The error says which address it was."""
    world.set_up()
    reached: list[str] = []

    def elsewhere(request: Request) -> Response:
        reached.append(request.path)
        return Response(200, b"{}", {"Content-Type": "application/json"})

    with Server(elsewhere) as other:
        address = other.url.replace("127.0.0.1", "localhost")
        for name, seller in world.sellers.items():

            def leading(request: Request) -> Response:
                return Response(status, b"", {"Location": address + request.path})

            seller.server.faults.append(Fault(path, times=None, response=leading))
            outcome = world.run("sync", "--connection", name)
            assert outcome.code == Exit.TEMPORARY, outcome.err
            assert "not followed" in outcome.err
    assert reached == []


@pytest.mark.parametrize("status", [400, 401, 500])
def test_a_server_that_echoes_credentials(world: Live, status: int) -> None:
    """What a server says is not passed on where it holds what we sent to log in: not to the
    terminal, and not to the ledger, which keeps errors for `status`."""
    world.set_up()
    client = f"{world.env['SF_CLIENT_ID']}:{world.env['SF_CLIENT_SECRET']}"
    secrets = [*SECRETS.values(), b64encode(client.encode()).decode()]
    for name, seller in world.sellers.items():
        seller.server.faults.append(echo(status))
        outcome = world.run("sync", "--connection", name)
        assert outcome.code != Exit.DONE
        assert not [secret for secret in secrets if secret in outcome.out + outcome.err]
    assert_nowhere(world.folder, secrets)


def assert_nowhere(folder: Path, secrets: list[str]) -> None:
    """No file that leadgauge made in a folder holds any of these."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != "config.yaml"]
    assert {"ledger.db", "facts.duckdb"} <= {path.name for path in found}
    for path in found:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path


@pytest.mark.slow
def test_a_daemon_shows_no_secret_and_nothing_about_a_person(world: Live) -> None:
    """Not in its title, its log, the ledger or the facts; every file is its owner's alone, whatever
    the umask it was started with. The log is JSON lines that name the run; SIGHUP is heard."""
    mail = {"to": ["ops@acme.example"], "sender": "l@acme.example", "server": "127.0.0.1"}
    world.configure(
        schedule={"delta": {"every": "1 second"}},
        alerts={
            "email": {**mail, "port": 1, "user": "u", "password": "${SMTP_PASSWORD}"},
            "webhook": {"url": "http://127.0.0.1:1/", "token": "${ALERT_TOKEN}"},
        },
    )
    world.env |= MAIL
    world.set_up()
    command = "import os; os.umask(0o022); from sync.cli import main; main()"
    config = str(world.config)
    with (
        subprocess.Popen(
            [sys.executable, "-c", command, "daemon", "--json-log", "--config", config],
            env={**os.environ, **ENVIRONMENT, **MAIL},
            cwd=Path(__file__).parents[2],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as daemon,
        world.ledger() as ledger,
    ):
        wait_for_runs(ledger, 1)
        world.marketing.server.faults.append(echo(500))
        daemon.send_signal(signal.SIGHUP)
        wait_for_runs(ledger, 3)
        title = Path(f"/proc/{daemon.pid}/cmdline")
        titled = title.read_text() if title.exists() else ""
        daemon.send_signal(signal.SIGTERM)
        out, said = daemon.communicate(timeout=60)
    assert daemon.returncode == Exit.DONE
    events = [json.loads(line) for line in said.splitlines()]
    assert events[-1]["event"] == "stopped as asked"
    assert "configuration taken" in [event["event"] for event in events]
    done = next(event for event in events if event["event"] == "done")
    assert done["run"]
    assert done["written"] == 1
    assert any(event["event"].startswith("alert by webhook not delivered") for event in events)
    secrets = [*SECRETS.values(), *MAIL.values()]
    for text in (titled, out, said):
        assert not [secret for secret in (*secrets, *PERSON) if secret in text]
    assert_nowhere(world.folder, secrets)
    content = (world.folder / "ledger.db").read_bytes()
    assert not [word for word in PERSON if word.encode() in content]
    for name in ("ledger.db", "facts.duckdb"):
        for path in world.folder.glob(f"{name}*"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def wait_for_runs(ledger: Ledger, count: int) -> None:
    """Wait until so many runs have ended."""
    deadline = time.monotonic() + 90
    while sum(run.finished_at is not None for run in ledger.runs()) < count:
        assert time.monotonic() < deadline, "the daemon did not run its jobs"
        time.sleep(0.05)


SQL = st.sampled_from(["x' OR 1=1 --", 'x"; DROP TABLE leads', "%", "_", "\\", "$1", "{x}", "''"])


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(TEXTS | SQL)
def test_a_condition_s_text_is_compared_and_never_run(text: str) -> None:
    """Whatever a model's author writes, and whatever a record holds: equal texts match, and no
    text reaches another lead."""
    rule = {"id": "r", "points": 1, "when": {"custom": {"note": text}}}
    model = parse({"name": "m", "fit": [rule], "thresholds": {"mql": 1, "sql": 2}})
    people = [lead("same", custom={"note": text}), lead("other", custom={"note": "another one"})]
    known = judge((Segment(model),), World(people).facts, T0)
    scores = {row["lead_id"]: row["score"] for row in World(people).rows(known.verdicts)}
    assert scores["other"] == 0
    assert scores["same"] == (10_000 if text.strip() else 0)


@pytest.mark.parametrize("text", ["L'1", "x' OR 1=1 --", 'a"b', "ä\u2028", "%", "a,b\nc", "=1+1"])
def test_an_id_is_a_value_in_every_statement(tmp_path: Path, text: str) -> None:
    """The ledger keeps and finds a record by any id, and by no other."""
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        ledger.start("r1", "sync", model="m", at=T0)
        made = [Decision("crm", n, "Lead", 1, None, None, "1", "m", T0) for n in (text, "other")]
        ledger.decide("r1", made)
        assert [d.decision.lead_id for d in ledger.decisions("crm", text)] == [text]
        sent = [Change("Lead", n, {Output.SCORE: text}) for n in (text, "other")]
        ledger.intend("r1", "crm", [(c, None) for c in sent], at=T0)
        ledger.settle("r1", "crm", [WriteResult(sent[0], Status.WRITTEN)], at=T0)
        assert ledger.last_written("crm") == {text: {Output.SCORE: text}}
        assert [change.id for change in ledger.open_intents("crm")] == ["other"]
        assert [c.entry.lead_id for c in ledger.audit.entries(lead_id=text)] == [text]


@pytest.mark.slow
@pytest.mark.parametrize("command", [["check"], ["setup", "--yes"], ["plan"], ["status"]])
def test_no_command_says_what_a_server_echoes(world: Live, command: list[str]) -> None:
    """Also what does not sync passes no credentials on, whatever a server answers; `status` tells
    of the run that failed, and `check` and `setup` of what they met."""
    if command == ["status"]:
        world.set_up()
    client = f"{world.env['SF_CLIENT_ID']}:{world.env['SF_CLIENT_SECRET']}"
    secrets = [*SECRETS.values(), b64encode(client.encode()).decode()]
    for code in (401, 500):
        for seller in world.sellers.values():
            seller.server.faults[:] = [echo(code)]
        if command == ["status"]:
            assert world.run("sync").code != Exit.DONE
        for options in ([], ["--json"] if command[0] != "setup" else []):
            outcome = world.run(*command, *options)
            said = outcome.out + outcome.err
            assert said
            assert (outcome.code == Exit.DONE) == (command == ["status"])
            assert not [secret for secret in secrets if secret in said]


def test_an_error_that_nobody_expected(
    world: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message, exit code 1, and a file of the owner's alone with where it happened: neither
    says what the error does, which may hold credentials or a person's data."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    secret, (name, *_) = SECRETS["HUBSPOT_TOKEN"], PERSON

    def broken(*_: object) -> Connector:
        try:
            raise LookupError(f"no {secret}")
        except LookupError as error:
            raise RuntimeError(f"token {secret} of {name}") from error

    world.connect = broken
    outcome = world.run("sync")
    assert outcome.code == Exit.UNEXPECTED
    (line,) = outcome.err.splitlines()
    assert "RuntimeError" in line
    (kept,) = tmp_path.glob("leadgauge-*.log")
    assert str(kept) in line
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    trace = kept.read_text()
    assert "LookupError\nwhich led to:\n" in trace
    assert "in broken" in trace
    for text in (outcome.out, outcome.err, trace):
        assert secret not in text
        assert name not in text


def test_an_error_that_cannot_be_kept(world: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room for the file there is still the message."""
    monkeypatch.setattr("tempfile.tempdir", str(world.folder / "nowhere"))
    world.connect = lambda *_: 1 / 0  # type: ignore[assignment]
    outcome = world.run("sync")
    assert outcome.code == Exit.UNEXPECTED
    assert "unexpected error (ZeroDivisionError)" in outcome.err
