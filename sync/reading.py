"""How a cycle of each kind reads a CRM, whether a command or the daemon runs it."""

from functools import partial

from sync.guards import Limits
from sync.pull import Read, pull
from sync.reconcile import read_whole
from sync.refresh import read_on, words
from sync.service_settings import Job
from sync.session import Session


def read_as(kind: str, session: Session, limits: Limits) -> Read:
    """How a cycle of a kind brings the facts up to date: by a pull, unless it does more."""
    if kind == Job.RECONCILE:
        return partial(read_whole, limits)
    if kind == Job.REFRESH:
        return partial(read_on, limits, words(session.config, session.segments))
    return pull
