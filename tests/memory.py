"""The world of the in-memory connector, or of any other that is made from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from connectors.base import Connector, FieldKind
from connectors.errors import CredentialsError, OutcomeUnknown, QuotaExhausted, RateLimited
from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.memory import MemoryConnector
from connectors.settings import ConnectionSettings, FieldMapping
from tests.world import DEFAULT, Clock, World

PAGE = 3


class Trouble:
    """What is staged for the next calls."""

    def __init__(self) -> None:
        self.slow = 0
        self.lost = False
        self.left: int | None = None

    def before(self, kind: str) -> None:
        """Answer with a rate limit as often as was asked, and with the quota once it is used up."""
        if self.left is not None:
            self.left -= kind == "write"
            if self.left < 0:
                raise QuotaExhausted("used up")
        if self.slow:
            self.slow -= 1
            raise RateLimited("slow down", retry_after=2.0)

    def after(self, _: str) -> None:
        """Lose one answer."""
        if self.lost:
            self.lost = False
            raise OutcomeUnknown("connection lost")

    def slow_down(self, times: int) -> None:
        """Slow down the next calls."""
        self.slow = times

    def lose_answer(self) -> None:
        """Lose the answer of the next write."""
        self.lost = True

    @contextmanager
    def broken_off(self) -> Iterator[None]:
        """Let one more write call through."""
        self.left = 1
        yield
        self.left = None


def refused(_: str) -> None:
    """What a CRM says to wrong credentials."""
    raise CredentialsError("wrong key")


def memory_world(connector: type[MemoryConnector]) -> World:
    """A fresh world with pages of three records, and write calls that take two."""
    clock, trouble, waits = Clock(), Trouble(), list[float]()
    crm = Crm(clock)

    def connect(*, mapping: FieldMapping = DEFAULT, valid: bool = True) -> Connector:
        return connector(
            "memory",
            crm,
            ConnectionSettings(mapping=mapping),
            page_size=PAGE,
            write_batch=2,
            lookback=timedelta(minutes=5),
            before=trouble.before if valid else refused,
            after=trouble.after,
            sleep=waits.append,
        )

    def address(record: Record) -> tuple[str, str]:
        return record.kind.value, str(record.number)

    def formula() -> str:
        made = {"label": "Rating", "kind": FieldKind.TEXT, "calculated": True}
        for kind in (Kind.LEAD, Kind.CONTACT):
            crm.custom[kind]["rating"] = made
        return "rating"

    staged = (trouble.slow_down, trouble.lose_answer, trouble.broken_off)
    return World(crm, clock, connect, address, *staged, waits, PAGE, formula=formula)
