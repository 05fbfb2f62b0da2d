"""How the daemon's jobs stand, by what the ledger says: asked by status, metrics and alerts.

Nothing is kept in the process, so that the answer is the same from another process or host, and
after a restart.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.turns import BELOW_CUT
from sync.ledger import Ledger, RunStatus
from sync.schedule import overdue_from
from sync.service_settings import Job, Schedule, When


class State(StrEnum):
    """How a job stands. overdue: it did not succeed for two of its starts, for whatever reason;
    short: routing has more leads than its caps allow."""

    OK = "ok"
    FAILED = "failed"
    GUARDED = "guarded"
    OVERDUE = "overdue"
    SHORT = "short of capacity"


ROUTING = "routing"
"""How routing is called beside the jobs."""

GOOD = (RunStatus.DONE, RunStatus.REFUSED)
_STATES = {
    **dict.fromkeys(GOOD, State.OK),
    RunStatus.GUARDED: State.GUARDED,
    RunStatus.FAILED: State.FAILED,
    RunStatus.DIED: State.FAILED,
}
"""What the end of a run means; one that was told to stop means nothing."""


@dataclass(frozen=True)
class Health:
    """How one job, or routing, stands, and why. `run_id` is the run that says so."""

    job: str
    state: State
    reason: str
    last_success: datetime | None
    run_id: str | None


def health(ledger: Ledger, schedule: Schedule, now: datetime) -> list[Health]:
    """How each scheduled job stands."""
    return [_health(ledger, job, when, now) for job, when in schedule.jobs.items()]


def capacity(ledger: Ledger) -> Health:
    """Whether leads wait because of caps, as the last run left it."""
    cut = [one for one in ledger.routing.waiting() if one.reason == BELOW_CUT]
    if not cut:
        return Health(ROUTING, State.OK, "no lead waits for capacity", None, None)
    counts = Counter(one.connection for one in cut)
    listed = ", ".join(f"{count} in {name}" for name, count in sorted(counts.items()))
    reason = f"leads wait below the capacity cut: {listed}; the best are given first"
    return Health(ROUTING, State.SHORT, reason, None, cut[-1].run_id)


def _health(ledger: Ledger, job: Job, when: When, now: datetime) -> Health:
    ended = next(iter(ledger.runs(1, kind=job, among=_STATES)), None)
    success = next(iter(ledger.runs(1, kind=job, among=GOOD)), None)
    last = success.finished_at if success else None
    since = last or ledger.presence.heartbeat(job)
    run_id = ended.id if ended else None
    if since is not None and now >= overdue_from(when, since):
        reason = f"no success since {since:%Y-%m-%d %H:%M:%S} UTC"
        if ended and ended.error:
            reason += f": {ended.error}"
        return Health(job, State.OVERDUE, reason, last, run_id)
    if ended is None:
        return Health(job, State.OK, "has not run yet", last, None)
    return Health(
        job, _STATES[ended.status], ended.error or f"the last run is {ended.status}", last, run_id
    )
