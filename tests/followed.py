"""A CRM in memory, and the facts that follow it by pulls, reconciliations and refreshes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.memory import MemoryConnector
from connectors.settings import ConnectionSettings
from core.facts import BY_NAME
from sync.facts_store import FactsStore
from sync.guards import Limits
from sync.pull import Pulled, Reader, pull
from sync.reconcile import read_whole
from sync.refresh import read_on
from sync.report import Comparison
from sync.stop import Stop
from tests.world import Clock, Mirror

LOOKBACK = timedelta(minutes=5)
ANYTHING = Limits(change_share=1)
TABLES = ("leads", "accounts", "activities", "outcomes")


class KilledError(Exception):
    """The process ends here."""


@dataclass
class Followed:
    """A CRM in memory, and the facts that follow it. `dies_after` counts steps of progress.

    `settings` are those of the connection.
    """

    clock: Clock = field(default_factory=Clock)
    meanwhile: Callable[[], None] = lambda: None
    dies_after: int | None = None
    settings: ConnectionSettings | None = None
    steps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.crm = Crm(self.clock)
        self.facts = FactsStore(":memory:")
        self.connector = MemoryConnector(
            "crm", self.crm, self.settings, page_size=2, lookback=LOOKBACK, before=self._before
        )

    def _before(self, kind: str) -> None:
        if kind == "read":
            self.meanwhile()

    def _progress(self, stage: str, *_: int | None) -> None:
        self.steps.append(stage)
        if self.dies_after is not None and len(self.steps) >= self.dies_after:
            raise KilledError

    def _reader(self) -> Reader:
        return Reader(self.connector, self.facts, self.clock, Stop(), progress=self._progress)

    def pull(self) -> Pulled:
        self.clock.tick(minutes=1)
        return pull(self._reader())

    def reconcile(self, limits: Limits = ANYTHING) -> dict[str, Comparison]:
        self.clock.tick(minutes=1)
        self.steps.clear()
        pulled = read_whole(limits, self._reader())
        return {c.stream: c for c in pulled.comparisons}

    def refresh(self, limits: Limits = ANYTHING) -> Pulled:
        self.clock.tick(minutes=1)
        self.steps.clear()
        return read_on(limits, frozenset(), self._reader())

    def compared(self) -> int:
        """How many pages the last comparison read."""
        return sum("compare" in stage for stage in self.steps)

    def lead(self, **values: Any) -> Record:
        return self.crm.add(Kind.LEAD, {"last_name": "Muster", "company": "Muster", **values})

    def held(self) -> dict[str, list[dict[str, Any]]]:
        return standing(self.facts)

    def truth(self) -> dict[str, list[dict[str, Any]]]:
        """What somebody holds who reads everything for the first time."""
        mirror = Mirror()
        mirror.pull(self.connector, self.clock())
        return {name: by_key(name, mirror.table(name)) for name in TABLES}


def standing(facts: FactsStore) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table that stand, whenever they came."""
    found = {}
    for name in TABLES:
        table = facts.table(name).drop("connection")
        if BY_NAME[name].versioned:
            table = table.filter(table.valid_to.isnull()).drop("valid_from", "valid_to")
        found[name] = by_key(name, table.to_pyarrow().to_pylist())
    return found


def by_key(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in the order of their keys; the entries of a map in that of theirs, without nulls."""
    plain = [
        {
            column: sorted((k, v) for k, v in value if v is not None)
            if column in ("present", "custom") and value is not None
            else value
            for column, value in row.items()
        }
        for row in rows
    ]
    return sorted(plain, key=lambda row: [row[column] for column in BY_NAME[name].key])


def hide(crm: Crm, record: Record) -> None:
    """Let a record be seen no more, without a word: purged, or kept from the CRM user."""
    record.visible_from = datetime.max.replace(tzinfo=UTC)
    crm.revision += 1


def show(crm: Crm, record: Record) -> None:
    """Let it be seen again, without a word."""
    record.visible_from = None
    crm.revision += 1


def unstamped(crm: Crm, record: Record, **values: Any) -> None:
    """Let values differ under the same stamp, as a formula field's do."""
    record.values.update(values)
    crm.revision += 1
