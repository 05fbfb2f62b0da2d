"""One lead's way through routing: to whom it was given, why, and what everybody had then; and when
a person decided otherwise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from ibis import _

from core.facts import as_of
from core.routing import FREED, HUMAN
from core.timers import Timer
from core.turns import Standing
from sync.ledger_routing import Given, Waiting
from sync.session import Session


@dataclass(frozen=True)
class Turn:
    """A lead that was given, and what the owners of the pool had at that moment (none where it was
    nobody's turn)."""

    given: Given
    standings: tuple[Standing, ...]


@dataclass(frozen=True)
class Chosen:
    """A person's choice of an owner, or of none, as routing first saw it: since then it leaves the
    lead alone. `owner_id` is who had the lead then, or has it now where routing still leaves it."""

    connection: str
    lead_id: str
    reason: str
    owner_id: str | None
    at: datetime
    run_id: str


@dataclass(frozen=True)
class Way:
    """Everything that routing did about one lead, and what persons did, oldest first."""

    turns: Sequence[Turn]
    chosen: Sequence[Chosen]
    timers: Sequence[Timer]
    waiting: Sequence[Waiting]

    @property
    def known(self) -> bool:
        """Whether routing ever had to do with the lead."""
        return bool(self.turns or self.chosen or self.timers or self.waiting)

    def as_dict(self, at: datetime) -> dict[str, Any]:
        """The way as plain data."""
        return {
            "given": [
                {**vars(turn.given), "standings": [asdict(one) for one in turn.standings]}
                for turn in self.turns
            ],
            "chosen": [vars(one) for one in self.chosen],
            "timers": [timer_data(timer, at) for timer in self.timers],
            "waiting": [vars(one) for one in self.waiting],
        }


def way(session: Session, lead: str, now: datetime) -> Way:
    """What routing did about a lead in the session's connections, and what persons did."""
    ledger, connections = session.ledger, session.connectors.keys()
    return Way(
        [
            Turn(given, ledger.routing.standings(given))
            for given in ledger.routing.given(lead)
            if given.connection in connections
        ],
        [one for name in connections for one in _chosen(session, name, lead, now)],
        [t for t in ledger.timers.all(lead) if t.connection in connections],
        [w for w in ledger.routing.waiting() if w.lead_id == lead and w.connection in connections],
    )


def _chosen(session: Session, connection: str, lead: str, now: datetime) -> Iterator[Chosen]:
    """The persons' choices: where decisions begin to say so."""
    decided = session.ledger.decisions(connection, lead)
    for reason, group in groupby(decided, key=lambda one: one.decision.owner_reason):
        if reason in (HUMAN, FREED):
            found = list(group)
            at = found[0].decision.scored_at
            owner = _owner(session, connection, lead, now if found[-1] is decided[-1] else at)
            yield Chosen(connection, lead, reason, owner, at, found[0].run_id)


def _owner(session: Session, connection: str, lead: str, at: datetime) -> str | None:
    """Who had a lead at an instant, as the CRM showed it."""
    leads = as_of(session.facts.table("leads"), at)
    rows = leads.filter(_.connection == connection, _.id == lead).owner_id.to_pyarrow().to_pylist()
    return next(iter(rows), None)


def timer_data(timer: Timer, at: datetime) -> dict[str, Any]:
    """A timer as plain data: how it stands, and the speed to lead in minutes."""
    speed = timer.speed_to_lead
    minutes = None if speed is None else speed.total_seconds() / 60
    return {**vars(timer), "stands": timer.stands(at), "speed_to_lead_minutes": minutes}
