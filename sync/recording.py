"""How a run stands in the ledger: its id, what it ran with, and how it ended."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from connectors.errors import BudgetSpent, ConnectorError
from sync import guards
from sync.errors import StoreError
from sync.guards import GuardStopError, Limits
from sync.ledger_rows import RunStatus
from sync.model_file import keep, salvaged
from sync.report import RunReport
from sync.session import Session
from sync.stop import Stop, StoppedError


def new_run(at: datetime) -> str:
    """The id of a run that begins."""
    return f"{at:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


@contextmanager
def recorded(
    session: Session, kind: str, run: RunReport, limits: Limits, stop: Stop
) -> Iterator[None]:
    """Record in the ledger how the run ends, whatever way it does; it keeps to its daily share, and
    a stop ends what it waits for."""
    ledger, clock, run_id = session.ledger, session.clock, run.run_id
    ledger.close_dead_runs(at=clock())
    labels = ", ".join(segment.model.label for segment in session.segments)
    ledger.start(run_id, kind, model=labels, at=clock())
    _keep_models(session)
    status, error = RunStatus.FAILED, None
    guards.keep(session.connectors.values(), limits)
    for connector in session.connectors.values():
        connector.usage.look = stop.check
    try:
        yield
        for connector in session.connectors.values():
            if connector.usage.spent:
                # What went on without an answer (a read-back, a hand-off) was short of calls.
                raise connector.usage.spent
        status = RunStatus.REFUSED if run.refused else RunStatus.DONE
    except StoppedError:
        status = RunStatus.STOPPED
        raise
    except (GuardStopError, BudgetSpent) as stopped:
        status, error = RunStatus.GUARDED, str(stopped)
        raise
    except (ConnectorError, StoreError) as failure:
        error = str(failure)
        raise
    finally:
        for report in run.connections:
            report.used(session.connectors[report.connection].usage)
        counts = {c.connection: c.as_dict() for c in run.connections}
        calls = {c.connection: c.calls for c in run.connections}
        ledger.finish(run_id, status, at=clock(), counts=counts, calls=calls, error=error)


def _keep_models(session: Session) -> None:
    """Keep what the models say, where it is the first run of their versions."""
    models = session.ledger.models
    kept = models.versions()
    for file, segment in zip(session.config.model, session.segments, strict=False):
        # What it says may have been changed since it was read.
        if segment.model.version not in kept and (found := salvaged(file.model)).says(
            segment.model
        ):
            keep(found, models, account=session.account, at=session.clock())
