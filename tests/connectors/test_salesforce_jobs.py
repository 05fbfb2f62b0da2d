"""Jobs of Salesforce that write: told as they are made, and asked again by whoever comes after."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest

from connectors.base import Change, Status
from connectors.errors import CredentialsError, Interrupted, TemporaryError
from connectors.sandbox.http import Face, Fault, Request, Response
from connectors.sandbox.salesforce.bulk import Job
from core.decision import Output
from tests.salesforce import SalesforceWorld, refusal, salesforce_world

COUNT = 6
"""Records to write: enough for a job here."""


class Killed(BaseException):
    """The process is killed; nothing of the connector's may catch this."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[SalesforceWorld]:
    monkeypatch.setattr("connectors.salesforce.connector.BULK_FROM", COUNT)
    with salesforce_world() as world:
        world.prepare_fields()
        yield world


@pytest.fixture
def changes(world: SalesforceWorld) -> list[Change]:
    """A tier for each lead."""
    return [world.change(lead, tier="A") for lead in world.leads(COUNT)]


def killed() -> None:
    """A look at a job that is the process's last."""
    raise Killed


def told_to_stop() -> None:
    """A look at a job that hears SIGTERM."""
    raise Interrupted


def begun(world: SalesforceWorld, changes: Sequence[Change]) -> list[str]:
    """The jobs of a writing that breaks off."""
    jobs: list[str] = []
    with suppress(Killed, CredentialsError):
        list(world.connector.write(changes, lambda job, _: jobs.append(job)))
    return jobs


def job(world: SalesforceWorld, id_: str) -> Job:
    """A job as the org has it."""
    return world.face.bulk.job(id_)


def written(world: SalesforceWorld, changes: Sequence[Change]) -> int:
    """How many records hold what was to be written."""
    held = world.open().read_back("Lead", [change.id for change in changes])
    return sum(values[Output.TIER] == "A" for values in held.values())


def test_a_job_is_told_before_it_has_rows(world: SalesforceWorld, changes: list[Change]) -> None:
    """With all that it is to write; what is raised then leaves a job that does nothing."""
    told: list[tuple[str, set[str], str]] = []

    def began(job: str, of: Sequence[Change]) -> None:
        told.append((job, {change.id for change in of}, world.seen[-1].method))
        raise Killed

    with pytest.raises(Killed):
        list(world.connector.write(changes, began))
    ((made, of, last),) = told
    assert (of, last) == ({change.id for change in changes}, "POST")
    assert (job(world, made).state, job(world, made).rows) == ("Open", [])


def test_a_job_that_was_not_started_is_called_off(
    world: SalesforceWorld, changes: list[Change]
) -> None:
    """Nothing is told of it, and whoever wakes up cannot start it any more."""
    refused = refusal(403, "INSUFFICIENT_ACCESS")
    world.server.faults.append(Fault(r"/jobs/ingest/\w+$", method="PATCH", response=refused))
    (made,) = begun(world, changes)
    assert len(job(world, made).rows) == COUNT
    results = list(world.open().conclude(made, changes))
    assert [r.change for r in results] == changes
    assert {r.status for r in results} == {Status.UNKNOWN}
    assert (job(world, made).state, written(world, changes)) == ("Aborted", 0)


def test_a_job_under_way_is_waited_for(world: SalesforceWorld, changes: list[Change]) -> None:
    """Half of it was done when the process was killed; its results settle every record."""
    world.face.rules.invalid[changes[0].id] = "Ask your admin first."
    world.connector.usage.look = killed
    (made,) = begun(world, changes)
    assert job(world, made).state == "InProgress"
    results = {r.change.id: r for r in world.open().conclude(made, changes)}
    refused = results.pop(changes[0].id)
    assert (refused.status, refused.code) == (
        Status.REFUSED,
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
    )
    assert {r.status for r in results.values()} == {Status.WRITTEN}
    assert len(results) == written(world, changes) == COUNT - 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/jobs/ingest/?$"),
        ("PUT", "/batches/?$"),
        ("PATCH", r"/jobs/ingest/\w+/?$"),
        ("GET", r"/jobs/ingest/\w+/?$"),
        ("GET", "/unprocessedrecords/?$"),
        ("GET", "/failedResults/?$"),
        ("GET", "/successfulResults/?$"),
    ],
)
def test_a_session_that_somebody_ends_in_mid_job(
    world: SalesforceWorld, changes: list[Change], method: str, path: str
) -> None:
    """D28: another program logs the user out, at any call of a job that writes: a new session goes
    on with the same job, and every record has its result."""
    jobs: list[str] = []
    world.connector.written_fields("Lead")

    def logged_out(face: Face, request: Request) -> Response:
        world.face.sessions.expire()
        return face(request)

    fault = Fault(path, method, around=logged_out)
    world.server.faults.append(fault)
    results = list(world.connector.write(changes, lambda job, _: jobs.append(job)))
    assert fault.hit == 1
    assert {r.change.id: r.status for r in results} == {c.id: Status.WRITTEN for c in changes}
    assert written(world, changes) == len(results) == COUNT
    assert len(jobs) == 1
    assert world.connector.usage.calls["login"] == 2


def test_a_stop_is_heard_while_a_job_is_waited_for(
    world: SalesforceWorld, changes: list[Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is aborted; of what it had not come to, the next one is told."""
    world.connector.usage.look = killed
    (made,) = begun(world, changes)
    second = world.open()
    monkeypatch.setattr(Job, "polled", lambda _: None)
    second.usage.look = told_to_stop
    with pytest.raises(Interrupted):
        list(second.conclude(made, changes))
    assert job(world, made).state == "Aborted"
    counts = Counter(r.status for r in world.open().conclude(made, changes))
    assert counts == {Status.WRITTEN: COUNT // 2, Status.TRANSIENT: COUNT // 2}
    assert written(world, changes) == COUNT // 2


def test_a_job_without_an_end_is_not_overtaken(
    world: SalesforceWorld, changes: list[Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past patience nothing is said of its records: they must not be sent again."""
    world.connector.usage.look = killed
    (made,) = begun(world, changes)
    monkeypatch.setattr(Job, "polled", lambda _: None)
    with pytest.raises(TemporaryError, match=f"{made} has not ended"):
        list(world.open().conclude(made, changes))


def test_a_job_that_was_forgotten_says_nothing(
    world: SalesforceWorld, changes: list[Change]
) -> None:
    """Salesforce keeps them for a week."""
    world.connector.usage.look = killed
    (made,) = begun(world, changes)
    job(world, made).state = "JobComplete"
    world.face.bulk.delete(job(world, made))
    results = list(world.open().conclude(made, changes))
    assert [r.status for r in results] == [Status.UNKNOWN] * COUNT


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_job_that_is_not_shown_may_be_under_way(
    world: SalesforceWorld, changes: list[Change], status: int
) -> None:
    """A refusal is no word that the job is forgotten: nothing is said of its records, which would
    be sent again beside it."""
    world.connector.usage.look = killed
    (made,) = begun(world, changes)
    denied = refusal(status, "INSUFFICIENT_ACCESS")
    world.server.faults.append(Fault(f"/jobs/ingest/{made}", "GET", times=None, response=denied))
    with pytest.raises((CredentialsError, TemporaryError), match="INSUFFICIENT_ACCESS"):
        list(world.open().conclude(made, changes))


def test_a_record_that_was_locked_in_a_job_waits_before_it_is_sent_again(
    world: SalesforceWorld, changes: list[Change]
) -> None:
    """D35: the job was the first try; whatever held the record has a second to let go of it."""
    world.face.rules.locked[changes[1].id] = 1
    results = world.write(*changes)
    assert {r.status for r in results} == {Status.WRITTEN}
    (again,) = (r for r in world.seen if r.path.endswith("/composite/sobjects"))
    assert changes[1].id.encode() in again.body
    assert (world.waits[-1], written(world, changes)) == (1.0, COUNT)
