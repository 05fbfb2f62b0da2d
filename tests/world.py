"""What a contract test is given: a CRM, a connector to it, and the trouble that can be staged."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

import pytest

from connectors.base import (
    Change,
    Connector,
    Cursor,
    Entry,
    EntryKind,
    Page,
    Stream,
    WriteResult,
)
from connectors.sandbox.crm import Crm, Kind, Record
from connectors.settings import FieldMapping
from core.decision import Output
from core.facts import BY_NAME

DEFAULT = FieldMapping()
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def tick(self, **by: float) -> datetime:
        """Go on by some hours, minutes or seconds (default: an hour), and say the time."""
        self.now += timedelta(**by) if by else timedelta(hours=1)
        return self.now


class Connect(Protocol):
    """Opens a connector; `valid` False: with credentials that the CRM refuses."""

    def __call__(self, *, mapping: FieldMapping = DEFAULT, valid: bool = True) -> Connector: ...


@dataclass
class World:
    """One CRM and the way to it; a connector's subclass of the contract fills in the fields.

    `address` gives the object type and id that the connector knows a record by. `slow_down(n)`
    lets the CRM answer the next n calls with its rate limit; `waits` collects the seconds that
    the connector then waited. `lose_answer` lets the CRM carry out the next write and the
    connection break before its answer. Within `broken_off` the CRM carries out one write call,
    after having refused one as a whole if it ever does that, and then its quota is used up. `page`
    is how many leads fill one page. `live` is False where only files are exchanged: nobody logs in,
    waits, loses an answer or judges a value.
    `formula` gives leads a field that the CRM calculates, from what a record holds as `rating`, and
    tells its name; None: it has no such fields.
    """

    crm: Crm
    clock: Clock
    connect: Connect
    address: Callable[[Record], tuple[str, str]]
    slow_down: Callable[[int], None]
    lose_answer: Callable[[], None]
    broken_off: Callable[[], AbstractContextManager[None]]
    waits: list[float]
    page: int
    live: bool = True
    formula: Callable[[], str] | None = None
    rep: Record = field(init=False)
    connector: Connector = field(init=False)

    def __post_init__(self) -> None:
        self.rep = self.crm.add(
            Kind.USER, {"name": "Rep One", "email": "rep@seller.example", "active": True}
        )
        api = {"name": "Leadgauge", "email": "api@seller.example", "active": True}
        self.crm.integration_user = self.crm.add(Kind.USER, api).number
        self.connector = self.connect()

    def lead(self, kind: Kind = Kind.LEAD, **values: Any) -> Record:
        """A lead with the least a CRM asks for, or a contact."""
        given = {"last_name": "Muster", "company": "Muster Ltd", "owner": self.rep.number}
        return self.crm.add(kind, {**given, **values})

    def leads(self, count: int) -> list[Record]:
        """Some leads that carry one and the same stamp."""
        return [self.lead(email=f"p{n}@buyer.example") for n in range(count)]

    def id(self, record: Record) -> str:
        """The id that the connector knows a record by."""
        return self.address(record)[1]

    def change(self, record: Record, **values: str | None) -> Change:
        """A change of a record's written fields, given by output name."""
        return Change(*self.address(record), {Output(name): v for name, v in values.items()})

    def entry(self, record: Record, kind: EntryKind, key: str) -> Entry:
        """A task or note for the rep, about a record."""
        where, due = self.address(record), self.clock() + timedelta(days=1)
        return Entry(kind, *where, key, "Call <Zoë>", "1 & 2\n3", due, self.id(self.rep))

    def write(self, *changes: Change) -> list[WriteResult]:
        """What became of some changes."""
        return list(self.connector.write(changes))

    def prepare_fields(self) -> None:
        """Make sure that every written field is there."""
        if self.connector.capabilities.can_create_fields:
            self.connector.create_fields(self.connector.missing_fields())

    def held(self, record: Record) -> dict[Output, str | None]:
        """What the CRM holds in a record's written fields, asked over a connection of its own."""
        object_type, record_id = self.address(record)
        return self.connect().read_back(object_type, [record_id])[record_id]


@dataclass
class Mirror:
    """What a caller has who stores every page: rows by table and key, aliases, cursors."""

    rows: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    cursors: dict[str, Cursor] = field(default_factory=dict)

    def store(self, page: Page) -> None:
        """Take over a page: its rows first, then what is gone."""
        table = BY_NAME[page.stream.table]
        held = self.rows.setdefault(table.name, {})
        for row in page.rows.to_pylist():
            held[tuple(row[name] for name in table.key)] = row
            self.aliases.pop(row["id"], None)
        for gone in page.removed:
            for key in [key for key, row in held.items() if row["id"] == gone.id]:
                del held[key]
            if gone.survivor is not None:
                self.aliases[gone.id] = gone.survivor
        self.cursors[page.stream.name] = page.cursor

    def pull(self, connector: Connector, until: datetime) -> list[Page]:
        """Read every stream from where it was left, less the look-back, as a run does."""
        pages = []
        for stream in connector.streams():
            cursor = self.cursors.get(stream.name)
            if cursor is not None and cursor.stamp is not None and cursor.until is None:
                cursor = Cursor(cursor.stamp - connector.capabilities.lookback)
            for page in connector.pull(stream, cursor if stream.incremental else None, until):
                self.store(page)
                pages.append(page)
        return pages

    def table(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table."""
        return list(self.rows.get(name, {}).values())

    def leads(self) -> dict[str, dict[str, Any]]:
        """The leads by id."""
        return {row["id"]: row for row in self.table("leads")}

    def final(self, record_id: str) -> str:
        """The record that now stands for an id."""
        while record_id in self.aliases:
            record_id = self.aliases[record_id]
        return record_id


def mirrored(world: World) -> Mirror:
    """Everything in the CRM, read once."""
    mirror = Mirror()
    mirror.pull(world.connector, world.clock())
    return mirror


def lead_streams(connector: Connector) -> list[Stream]:
    """The streams that feed the leads and can be followed."""
    return [s for s in connector.streams() if s.table == "leads" and s.incremental]


def lead_ids(pages: Iterable[Page]) -> list[str]:
    """The ids of the leads in some pages, in their order."""
    return [key for p in pages if p.stream.table == "leads" for key in p.rows["id"].to_pylist()]


def populate(world: World) -> None:
    """A little of everything, a stamp each hour."""
    account = world.crm.add(Kind.ACCOUNT, {"name": "Muster Ltd", "owner": world.rep.number})
    world.crm.add(Kind.QUEUE, {"name": "Inbound"})
    first = world.lead(Kind.CONTACT, account=account.number, email="a@buyer.example")
    second = world.lead(Kind.CONTACT, account=account.number, email="b@buyer.example")
    world.clock.tick()
    world.lead(email="c@buyer.example")
    call = {"type": "call", "at": world.clock(), "subject": "Call", "owner": world.rep.number}
    world.crm.add(
        Kind.ACTIVITY,
        {**call, "people": [first.number], "account": account.number, "duration": 120},
    )
    world.crm.add(Kind.ACTIVITY, {**call, "people": [], "account": account.number})
    deal = {"name": "Deal", "account": account.number, "people": [first.number, second.number]}
    closing = {"closed": True, "won": True, "stage": "Closed Won", "closed_at": world.clock()}
    world.crm.add(
        Kind.DEAL, {**deal, **closing, "amount": Decimal("1200.50"), "owner": world.rep.number}
    )
    world.clock.tick()


def ready(world: World) -> None:
    """Skip where a CRM cannot be written; else let its written fields be there."""
    if not world.connector.capabilities.can_write:
        pytest.skip("cannot write, by its capabilities")
    world.prepare_fields()


def entries(world: World) -> None:
    """Skip where a CRM takes no tasks and notes."""
    if not world.connector.capabilities.takes_entries:
        pytest.skip("takes no entries, by its capabilities")


def reported(world: World) -> None:
    """Skip where a CRM does not report what is gone."""
    if not world.connector.capabilities.reports_removals:
        pytest.skip("cannot report removals, by its capabilities")


def rated(world: World, **mapping: Any) -> list[Stream]:
    """Let the calculated rating be mapped, and more if asked; the streams of leads, narrowed to
    what they have without a stamp. Skips where nothing is calculated."""
    if world.formula is None:
        pytest.skip("calculates no fields")
    leads = {"custom.rating": world.formula(), **mapping.pop("leads", {})}
    world.connector = world.connect(mapping=FieldMapping(leads=leads, **mapping))
    complete = [stream for stream in lead_streams(world.connector) if stream.complete]
    return [replace(stream, only=world.connector.unstamped(stream)) for stream in complete]


def recalculate(world: World, record: Record, rating: str) -> None:
    """Let the calculated rating of a record be another, under the stamp that it has."""
    record.values["rating"] = rating
    world.crm.revision += 1


def live(world: World) -> None:
    """Skip where only files are exchanged."""
    if not world.live:
        pytest.skip("only files are exchanged: there is nobody to say no")
