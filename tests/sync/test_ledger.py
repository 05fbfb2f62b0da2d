"""The ledger: runs, decisions, writes that are neither lost nor sent twice, lease, schema."""

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from connectors.base import Change, Status, WriteResult
from core.decision import Decision, Output
from core.routing import Assignment, Routed
from sync.errors import StoreBusy, StoreError, StoreLost
from sync.ledger import Ledger, RunStatus
from sync.ledger_schema import METADATA
from tests import postgres

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
HOUR = timedelta(hours=1)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of a fresh ledger file."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def ledger(url: str):
    """An open ledger with one run in it."""
    with Ledger(url) as opened:
        opened.start("r1", "sync", model="m1", at=T0)
        yield opened


def decision(lead: str = "L1", *, connection: str = "crm", score: int = 10_000, **more) -> Decision:
    """A decision about a lead."""
    values = {
        "object_type": "Lead",
        "tier": "A",
        "stage": "MQL",
        "reason": "1: title +1",
        "model": "m1",
        "scored_at": T0,
        "probability": Decimal("0.82"),
        **more,
    }
    return Decision(connection=connection, lead_id=lead, score=score, **values)


def change(record: str = "L1", score: str | None = "98.5", **values: str | None) -> Change:
    """A change of a record's score, and of further outputs."""
    more = {Output(name): value for name, value in values.items()}
    return Change("Lead", record, {Output.SCORE: score, **more})


def answer(sent: Change, status: Status, **more) -> WriteResult:
    """The CRM's answer to a change."""
    return WriteResult(sent, status, **more)


# Runs


def test_a_run_is_recorded_from_start_to_finish(ledger):
    """What a run did can be read afterwards, newest run first."""
    ledger.finish(
        "r1", RunStatus.DONE, at=T0 + HOUR, counts={"pull": 7}, calls={"read": 2}, error=None
    )
    ledger.start("r2", "backfill", model="m2", at=T0 + 2 * HOUR)
    second, first = ledger.runs()
    assert (second.id, second.kind, second.status, second.finished_at) == (
        "r2",
        "backfill",
        RunStatus.RUNNING,
        None,
    )
    assert (first.started_at, first.finished_at) == (T0, T0 + HOUR)
    assert (first.status, first.counts, first.calls) == (RunStatus.DONE, {"pull": 7}, {"read": 2})
    assert [run.id for run in ledger.runs(limit=1)] == ["r2"]


def test_a_run_that_never_finished_died(ledger):
    """The next holder of the lease says so, and only of runs that did not end."""
    ledger.start("r2", "sync", model="m1", at=T0 + HOUR)
    ledger.finish("r2", RunStatus.FAILED, at=T0 + HOUR, counts={}, calls={}, error="no host")
    assert ledger.close_dead_runs(at=T0 + 2 * HOUR) == ["r1"]
    assert ledger.close_dead_runs(at=T0 + 3 * HOUR) == []
    second, first = ledger.runs()
    assert (first.status, first.finished_at) == (RunStatus.DIED, T0 + 2 * HOUR)
    assert (second.status, second.error) == (RunStatus.FAILED, "no host")


def test_times_come_back_in_utc(ledger):
    """An aware time of any zone is the same instant in UTC; a naive one is refused."""
    vienna = timezone(timedelta(hours=1))
    ledger.start("r2", "sync", model="m", at=datetime(2026, 3, 1, 15, tzinfo=vienna))
    assert ledger.runs()[0].started_at == datetime(2026, 3, 1, 14, tzinfo=UTC)
    assert ledger.runs()[0].started_at.tzinfo is UTC
    with pytest.raises(Exception, match="time zone"):
        ledger.start("r3", "sync", model="m", at=datetime(2026, 3, 1))  # noqa: DTZ001


# Decisions


@pytest.mark.parametrize(
    ("changed", "appended"),
    [
        ({}, 0),
        ({"reason": "another order of words"}, 0),
        ({"scored_at": T0 + HOUR}, 0),
        ({"score": 10_001}, 1),
        ({"tier": None}, 1),
        ({"stage": "SQL"}, 1),
        ({"owner_id": "U1"}, 1),
        ({"model": "m2"}, 1),
        ({"probability": Decimal("0.000000001")}, 1),
        ({"probability": Decimal("0.820")}, 0),
    ],
)
def test_a_decision_is_appended_when_it_is_another_one(ledger, changed, appended):
    """S056: score, tier, stage, owner, model and what is predicted make a decision; words and the
    clock do not."""
    assert ledger.decide("r1", [decision(), decision("L2")]) == 2
    assert ledger.decide("r1", [decision(**changed), decision("L2")]) == appended
    assert len(ledger.decisions("crm", "L1")) == 1 + appended
    kept = ledger.decisions("crm", "L1")[-1].decision
    assert kept.score == changed.get("score", 10_000)
    assert kept.probability == changed.get("probability", Decimal("0.82"))


def test_parts_that_shift_under_a_score_are_kept_without_another_decision(ledger):
    """Fit and behaviour are those of now; the history, and the audit chain, have nothing new."""
    ledger.decide("r1", [decision(score=9), decision("L2", fit=5, behaviour=2)])
    ledger.decide("r1", [decision(fit=6_000, behaviour=4_000), decision("L2", fit=5, behaviour=2)])
    entries = len(ledger.audit.entries())
    shifted = decision(fit=3_000, behaviour=7_000, scored_at=T0 + HOUR, reason="other words")
    assert ledger.decide("r1", [shifted, decision("L2", fit=5, behaviour=2)]) == 0
    former, latest = (found.decision for found in ledger.decisions("crm", "L1"))
    assert (former.fit, former.behaviour) == (None, None)
    assert latest == decision(fit=3_000, behaviour=7_000)
    (other,) = (found.decision for found in ledger.decisions("crm", "L2"))
    assert (other.fit, other.behaviour) == (5, 2)
    assert len(ledger.audit.entries()) == entries


def test_a_lead_s_history_is_in_order_and_its_own(ledger):
    """Connections do not mix, and going back to an old decision is a new one."""
    ledger.start("r2", "sync", model="m1", at=T0 + HOUR)
    for run, score in (("r1", 1), ("r1", 2), ("r2", 1)):
        ledger.decide(run, [decision(score=score), decision(connection="other", score=9)])
    history = ledger.decisions("crm", "L1")
    assert [(d.run_id, d.decision.score) for d in history] == [("r1", 1), ("r1", 2), ("r2", 1)]
    assert history[0].decision == decision(score=1)
    assert len(ledger.decisions("other", "L1")) == 1


@pytest.mark.slow
def test_more_decisions_than_one_statement_takes(ledger):
    """Chunks change nothing: 12,000 leads, of which 6,001 change."""
    leads = [f"L{n}" for n in range(12_000)]
    assert ledger.decide("r1", (decision(lead) for lead in leads)) == 12_000
    again = (decision(lead, score=2 if n <= 6_000 else 10_000) for n, lead in enumerate(leads))
    assert ledger.decide("r1", again) == 6_001
    assert [d.decision.score for d in ledger.decisions("crm", "L6000")] == [10_000, 2]
    assert len(ledger.decisions("crm", "L6001")) == 1


# Writes


@pytest.mark.parametrize(
    ("status", "written", "left_open"),
    [
        (None, False, True),
        (Status.WRITTEN, True, False),
        (Status.REFUSED, False, False),
        (Status.TRANSIENT, False, False),
        (Status.UNKNOWN, False, True),
    ],
)
def test_only_an_acknowledged_value_counts_as_written(ledger, status, written, left_open):
    """D01, D79: last written is what the CRM acknowledged; no answer leaves the intent open."""
    sent = change()
    ledger.intend("r1", "crm", [(sent, None)], at=T0)
    if status:
        ledger.settle("r1", "crm", [answer(sent, status)], at=T0)
    assert ledger.last_written("crm") == ({"L1": {Output.SCORE: "98.5"}} if written else {})
    assert ledger.open_intents("crm") == ([sent] if left_open else [])
    assert ledger.open_intents("other") == []


def test_a_killed_run_leaves_its_intents_to_be_read_back(url):
    """What was recorded before sending is there after the process is gone."""
    with Ledger(url) as killed:
        killed.start("r1", "sync", model="m", at=T0)
        killed.intend("r1", "crm", [(change("L1"), None), (change("L2"), None)], at=T0)
        killed.settle("r1", "crm", [answer(change("L1"), Status.WRITTEN)], at=T0)
    with Ledger(url) as next_one:
        assert next_one.open_intents("crm") == [change("L2")]
        next_one.settle(None, "crm", [answer(change("L2"), Status.WRITTEN)], at=T0)
        assert next_one.open_intents("crm") == []
        assert set(next_one.last_written("crm")) == {"L1", "L2"}


def test_a_job_is_kept_with_what_it_writes_until_that_is_answered(url):
    """D01: after the process is gone it is known which job was to write what."""
    with Ledger(url) as killed:
        killed.start("r1", "sync", model="m", at=T0)
        killed.intend("r1", "crm", [(change(f"L{n}"), None) for n in range(4)], at=T0)
        killed.begin_job("r1", "crm", "750a", [change("L1"), change("L2")])
        killed.begin_job("r1", "crm", "750b", [change("L3")])
        killed.settle("r1", "crm", [answer(change("L2"), Status.UNKNOWN)], at=T0)
        killed.settle("r1", "crm", [answer(change("L3"), Status.WRITTEN)], at=T0)
    with Ledger(url) as next_one:
        assert next_one.open_jobs("crm") == {"750a": [change("L1"), change("L2")]}
        assert next_one.open_jobs("other") == {}
        assert len(next_one.open_intents("crm")) == 3


def test_withdrawing_forgets_what_was_not_sent_and_keeps_what_is_unknown(ledger):
    """A run's unsent changes go; an unknown outcome waits for the read-back."""
    ledger.start("r2", "sync", model="m", at=T0)
    ledger.intend("r1", "crm", [(change("L1"), None), (change("L2"), None)], at=T0)
    ledger.intend("r2", "crm", [(change("L3"), None)], at=T0)
    ledger.settle("r1", "crm", [answer(change("L1"), Status.UNKNOWN)], at=T0)
    ledger.withdraw("r1", "crm")
    assert [c.id for c in ledger.open_intents("crm")] == ["L1", "L3"]
    ledger.withdraw_unanswered("crm")
    assert ledger.open_intents("crm") == []


def test_last_written_grows_by_the_fields_that_were_sent(ledger):
    """A later write of one field keeps the others; a cleared field is known to be empty."""
    for values in ({"tier": "A"}, {"score": None}, {"tier": "B"}):
        sent = change(**values) if "score" not in values else change(score=None)
        ledger.settle("r1", "crm", [answer(sent, Status.WRITTEN)], at=T0)
    assert ledger.last_written("crm") == {"L1": {Output.SCORE: "98.5", Output.TIER: "B"}}
    ledger.settle("r1", "crm", [answer(change(score=None), Status.WRITTEN)], at=T0)
    assert ledger.last_written("crm", ["L1", "L9"])["L1"][Output.SCORE] is None
    assert ledger.last_written("crm", ["L9"]) == {}


def test_a_merged_record_s_values_count_for_its_survivor(ledger):
    """The CRM wrote to the record that now stands for the one asked."""
    ledger.intend("r1", "crm", [(change("L1"), None)], at=T0)
    ledger.settle("r1", "crm", [answer(change("L1"), Status.WRITTEN, survivor="L7")], at=T0)
    assert ledger.last_written("crm") == {"L7": {Output.SCORE: "98.5"}}
    assert ledger.open_intents("crm") == []


def test_a_refused_record_is_kept_with_the_crm_s_reason_until_it_is_written(ledger):
    """D01: reason per row; tries are counted, the first time is kept, a write ends it."""
    for hour, code in ((0, "TOO_LONG"), (1, "NO_ACCESS")):
        refused = answer(change(), Status.REFUSED, code=code, reason="no such value")
        ledger.settle("r1", "crm", [refused], at=T0 + hour * HOUR)
    ledger.settle("r1", "crm", [answer(change("L2"), Status.REFUSED, code="X")], at=T0 + HOUR)
    first, second = ledger.quarantine("crm")
    assert (first.record_id, first.code, first.reason) == ("L1", "NO_ACCESS", "no such value")
    assert (first.first_seen, first.last_seen, first.tries) == (T0, T0 + HOUR, 2)
    assert first.values == {Output.SCORE: "98.5"}
    assert (second.record_id, second.tries) == ("L2", 1)
    assert ledger.quarantine("other") == []
    ledger.settle("r1", "crm", [answer(change(), Status.WRITTEN)], at=T0 + 2 * HOUR)
    assert [q.record_id for q in ledger.quarantine()] == ["L2"]


def test_settling_is_all_or_nothing(ledger):
    """A result that cannot be recorded leaves the others' intents open, to be read back."""
    ledger.intend("r1", "crm", [(change("L1"), None), (change("L2"), None)], at=T0)
    results = [answer(change(r), Status.WRITTEN) for r in ("L1", "L2")]
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        ledger.settle("no such run", "crm", results, at=T0)
    assert ledger.last_written("crm") == {}
    assert len(ledger.open_intents("crm")) == 2


# Assignments


def test_assignments_are_kept_and_counted(ledger):
    """The newer assignment of a lead replaces the older; owners are counted by connection."""
    given = [("L1", "U1"), ("L2", "U1"), ("L3", "U2"), ("L4", None)]
    first = [Assignment(lead, owner, "pool", owner is not None, "") for lead, owner in given]
    again = [Assignment("L1", "U2", "territory", fresh=True), Assignment("L2", "U1", "before")]
    for made, at in ((first, T0), (again, T0 + HOUR)):
        ledger.routing.record("r1", "crm", Routed(tuple(made)), at=at, now=at)
    assert ledger.routing.assigned("crm") == {"L1": "U2", "L2": "U1", "L3": "U2"}
    assert ledger.routing.assigned_counts("crm") == {"U1": 1, "U2": 2}
    assert ledger.routing.given_since("crm", T0 + HOUR) == {("U2", None): 1}
    assert ledger.routing.given_since("crm", T0)["U1", ""] == 2
    assert ledger.routing.assigned("other") == {}


# Lease and heartbeat


def test_one_instance_at_a_time(ledger, url):
    """A lease holds until it ends or is given back, whoever asks; its holder may renew it."""
    ledger.presence.acquire("sync", "host:1", at=T0, lasts=HOUR)
    with Ledger(url) as other:
        with pytest.raises(StoreBusy, match=r"host:1 is running.*2026-03-01T13:00:00Z"):
            other.presence.acquire("sync", "host:2", at=T0 + HOUR / 2, lasts=HOUR)
        ledger.presence.acquire("sync", "host:1", at=T0 + HOUR / 2, lasts=HOUR)
        with pytest.raises(StoreBusy):
            other.presence.acquire("sync", "host:2", at=T0 + HOUR, lasts=HOUR)
        other.presence.release("sync", "host:2")
        with pytest.raises(StoreBusy):
            other.presence.acquire("sync", "host:2", at=T0 + HOUR, lasts=HOUR)
        ledger.presence.release("sync", "host:1")
        other.presence.acquire("sync", "host:2", at=T0 + HOUR, lasts=HOUR)


def test_a_dead_holder_s_lease_ends_by_itself(ledger):
    """At the instant of its end the lease is free."""
    ledger.presence.acquire("sync", "host:1", at=T0, lasts=HOUR)
    ledger.presence.acquire("sync", "host:2", at=T0 + HOUR, lasts=HOUR)
    with pytest.raises(StoreBusy, match="host:2"):
        ledger.presence.acquire("sync", "host:1", at=T0 + HOUR, lasts=HOUR)


def test_the_heartbeat_is_the_last_one(ledger):
    """None before the first beat."""
    assert ledger.presence.heartbeat("daemon") is None
    for at in (T0, T0 + HOUR):
        ledger.presence.beat("daemon", at=at)
    assert ledger.presence.heartbeat("daemon") == T0 + HOUR


# The database


def test_the_file_is_its_owner_s_alone_and_can_be_read_while_a_run_writes(sqlite_url, tmp_path):
    """Mode 0600 for the database and its log; a reader does not wait for a writer."""
    with Ledger(sqlite_url) as writer, Ledger(sqlite_url) as reader:
        writer.start("r1", "sync", model="m", at=T0)

        def decisions():
            yield decision("L1")
            assert [run.id for run in reader.runs()] == ["r1"]
            assert reader.decisions("crm", "L1") == []
            yield decision("L2")

        assert writer.decide("r1", decisions()) == 2
        assert len(reader.decisions("crm", "L1")) == 1
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_the_migrations_build_what_the_code_expects(url):
    """Tables of the migrations and of the code are the same, column by column."""
    Ledger(url).close()
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        assert "runs" in inspect(connection).get_table_names()
    engine.dispose()


def test_a_newer_schema_is_refused(url):
    """An older leadgauge does not touch what a newer one wrote."""
    Ledger(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreError, match=r"newer leadgauge \(schema 9999\); upgrade"):
        Ledger(url)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ledger.db", "no address of a supported database"),
        ("nonsense://x", "no address of a supported database"),
        ("sqlite:////no/such/folder/ledger.db", "cannot be opened: No such file or directory"),
    ],
)
def test_an_unusable_address(address, message):
    """The error says what is wrong, and repeats no password of an address."""
    with pytest.raises(StoreError, match=message):
        Ledger(address)


def test_a_file_that_is_no_database(tmp_path):
    """Any other file is refused, and left as it is."""
    file = tmp_path / "ledger.db"
    file.write_text("not a database, but long enough to be taken for one" * 50)
    with pytest.raises(StoreError, match="is no SQLite database"):
        Ledger(f"sqlite:///{file}")
    assert file.read_text().startswith("not a database")


def test_no_column_could_hold_more_than_record_ids():
    """Nothing about a person has a place in the ledger: no name, address, phone or title."""
    columns = {column.name for table in METADATA.tables.values() for column in table.columns}
    assert not columns & {"email", "first_name", "last_name", "phone", "title", "company"}
    assert {"runs", "intents", "written"} <= METADATA.tables.keys()


# A server


def test_of_many_instances_that_begin_at_once_one_gets_the_lease(url):
    """Also the very first time, when there is no lease to lock yet."""
    barrier = Barrier(8)

    def begin(number: int) -> bool:
        with Ledger(url) as mine:
            barrier.wait()
            try:
                mine.presence.acquire("sync", f"host:{number}", at=T0, lasts=HOUR)
            except StoreBusy:
                return False
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(begin, range(8))) == [False] * 7 + [True]


def test_a_server_that_is_away_is_tried_again_later():
    """The message says so, and repeats neither host nor password."""
    with pytest.raises(StoreLost, match="cannot be reached; run again later") as lost:
        Ledger("postgresql+psycopg://who:secret-word@127.0.0.1:1/ledger")
    assert "secret-word" not in str(lost.value)


def test_a_server_that_goes_away_in_the_middle(server):
    """What was not committed is not kept, and the next use finds the server again."""
    url = postgres.database(server)
    with Ledger(url) as ledger, Ledger(url) as other:
        ledger.start("r1", "sync", model="m", at=T0)

        def decisions():
            yield decision("L1")
            postgres.hang_up(url)

        with pytest.raises(StoreLost):
            ledger.decide("r1", decisions())
        assert ledger.decisions("crm", "L1") == []
        assert [run.id for run in other.runs()] == ["r1"]


def test_what_another_process_leaves_is_not_taken_from_this_one(tmp_path):
    """Opened twice here and once by another process that ends: what is then written is kept."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Ledger(url) as ledger:
        Ledger(url).close()
        opening = f"from sync.ledger import Ledger; Ledger({url!r}).close()"
        subprocess.run([sys.executable, "-c", opening], check=True, cwd=ROOT)
        ledger.start("r1", "sync", model="m1", at=T0)
        with Ledger(url) as other:
            assert other.has_run("r1")
