"""One lead's way through routing: to whom it was given, why, and what everybody had then."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from core.timers import Timer
from core.turns import Standing
from sync.ledger import Ledger
from sync.ledger_routing import Given, Waiting


@dataclass(frozen=True)
class Turn:
    """A lead that was given, and what the owners of the pool had at that moment (none where it was
    nobody's turn)."""

    given: Given
    standings: tuple[Standing, ...]


@dataclass(frozen=True)
class Way:
    """Everything that routing did about one lead, oldest first."""

    turns: Sequence[Turn]
    timers: Sequence[Timer]
    waiting: Sequence[Waiting]

    @property
    def known(self) -> bool:
        """Whether routing ever had to do with the lead."""
        return bool(self.turns or self.timers or self.waiting)

    def as_dict(self, at: datetime) -> dict[str, Any]:
        """The way as plain data."""
        return {
            "given": [
                {**vars(turn.given), "standings": [asdict(one) for one in turn.standings]}
                for turn in self.turns
            ],
            "timers": [timer_data(timer, at) for timer in self.timers],
            "waiting": [vars(one) for one in self.waiting],
        }


def way(ledger: Ledger, lead: str, connections: Sequence[str]) -> Way:
    """What routing did about a lead in some connections."""
    return Way(
        [
            Turn(given, ledger.routing.standings(given))
            for given in ledger.routing.given(lead)
            if given.connection in connections
        ],
        [t for t in ledger.timers.all(lead) if t.connection in connections],
        [w for w in ledger.routing.waiting() if w.lead_id == lead and w.connection in connections],
    )


def timer_data(timer: Timer, at: datetime) -> dict[str, Any]:
    """A timer as plain data: how it stands, and the speed to lead in minutes."""
    speed = timer.speed_to_lead
    minutes = None if speed is None else speed.total_seconds() / 60
    return {**vars(timer), "stands": timer.stands(at), "speed_to_lead_minutes": minutes}
