"""Refresh: fields that change while the stamp of their record stays, looked at once more.

A delta brings what moved its modified stamp, which a formula field does not. A reconciliation finds
it by reading everything; a refresh looks at such fields alone, as far as something asks for them:

    pull as always -> price -> look at the fields of all records -> read those again that differ

What is read again is stored as a pull would have: the leads that it concerns are rescored. No
cursor of a pull moves. How far it is stands in the facts (`looks`): an interrupted one goes on.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from datetime import datetime

from connectors.base import Page, Price, Stream
from core.segments import Segments
from sync import guards
from sync.config import Config
from sync.guards import GuardStopError, Limits
from sync.looks import Look
from sync.pull import Pulled, Reader, pull, without_later
from sync.reconcile import FRESH
from sync.report import Cost, Refreshed

CUSTOM = "custom."
"""How the names of further fields begin."""

AT_ONCE = 5_000
"""Records that are read again together: all of them are in memory."""


def words(config: Config, segments: Segments) -> frozenset[str]:
    """Every word in the models and in the configuration but for the connections: a further field
    counts for something only where it is named."""
    said = [config.model_dump(exclude={"connections"})]
    said += [segment.model.model_dump() for segment in segments]
    return frozenset(word.rpartition(CUSTOM)[2] for word in _words(said))


def _words(said: object) -> Iterator[str]:
    if isinstance(said, str):
        yield said
    elif isinstance(said, Mapping):
        given = {key: value for key, value in said.items() if value is not None}
        yield from _words([*given.keys(), *given.values()])
    elif isinstance(said, Iterable):
        for one in said:
            yield from _words(one)


def asked(fields: Iterable[str], named: Set[str]) -> frozenset[str]:
    """Those of some common fields that may count for something."""
    return frozenset(
        field
        for field in fields
        if not field.startswith(CUSTOM) or field.removeprefix(CUSTOM) in named
    )


def read_on(limits: Limits, named: Set[str], reader: Reader) -> Pulled:
    """Pull, then look at what changes without a stamp, and take over the records that differ.

    `named` are the `words` by which further fields are asked for. Stops before looking at anything
    where that is predicted to cost more calls than there may be.
    """
    connector, pulled = reader.connector, pull(reader)
    streams = [
        replace(stream, only=only)
        for stream in connector.streams()
        if stream.complete and (only := asked(connector.unstamped(stream), named))
    ]
    looks = [_begun(reader, stream, pulled.until) for stream in streams]
    predicted = _price(reader, streams, looks)
    made = connector.usage.total
    if over := guards.budget(connector.name, "refreshing", predicted, limits, made):
        raise GuardStopError(over)
    before = dict(connector.usage.calls)
    looking = _Looking(reader, pulled)
    pulled.refreshed = [
        looking.through(stream, look) for stream, look in zip(streams, looks, strict=True)
    ]
    reader.facts.looks.forget(connector.name)
    pulled.refreshing = Cost(predicted, connector.usage.since(before))
    return pulled


def _begun(reader: Reader, stream: Stream, at: datetime) -> Look:
    """The look at a narrowed stream that was interrupted, unless it is too old or was one at other
    fields; else a new one."""
    connector, fields = reader.connector, tuple(sorted(stream.only))
    look = reader.facts.looks.of(connector.name).get(stream.name)
    if look and look.fields == fields and at - FRESH <= look.began <= at:
        return look
    return Look(stream.name, fields, at, connector.count(stream, None))


def _price(reader: Reader, streams: Iterable[Stream], looks: Iterable[Look]) -> Price:
    """The price of what is left to look at; what is read again shows on the way."""
    prices = [
        reader.connector.price(stream, look.cursor, look.left)
        for stream, look in zip(streams, looks, strict=True)
        if not look.seen
    ]
    return replace(sum(prices, Price()), exact=not streams)


class _Looking:
    """One connection's refresh, of records that did not change since it was `pulled`."""

    def __init__(self, reader: Reader, pulled: Pulled) -> None:
        self._reader = reader
        self._connector = reader.connector
        self._facts = reader.facts
        self._pulled = pulled
        self._name = reader.connector.name

    def through(self, stream: Stream, look: Look) -> Refreshed:
        """Look through a narrowed stream, or what is left of it; take over what differs, as many
        records at a time as fill calls, however few a page has."""
        whole = replace(stream, only=frozenset())
        pages = () if look.seen else self._connector.pull(stream, look.cursor, look.began)
        for page in pages:
            unlike = (*look.unlike, *self._facts.census.unlike(self._name, page))
            seen = look.looked_at + page.rows.num_rows
            look = replace(look, cursor=page.cursor, looked_at=seen, unlike=unlike)
            while len(look.unlike) >= AT_ONCE:
                look = self._read_again(whole, look)
            self._facts.looks.keep(self._name, look)
            stage = f"{self._name}: refresh {stream.name}"
            self._reader.progress(stage, look.looked_at, look.counted)
            self._reader.stop.check()
        while look.unlike:
            look = self._read_again(whole, look)
        self._facts.looks.keep(self._name, look)
        return Refreshed(stream.name, look.fields, look.looked_at, look.moved)

    def _read_again(self, whole: Stream, look: Look) -> Look:
        """Take over the first of the records that are unlike what the facts hold."""
        page = self._connector.read_again(whole, look.unlike[:AT_ONCE])
        moved = look.moved + self._take_over(page)
        return replace(look, moved=moved, unlike=look.unlike[AT_ONCE:])

    def _take_over(self, page: Page) -> int:
        """Store records that were read again, but for those that a pull is still to bring."""
        until = self._pulled.until
        page = replace(without_later(self._facts, self._name, page, until), removed=())
        stored = self._facts.store(self._name, page, at=until)
        self._pulled.note(page, stored, self._reader.step)
        return stored.changed
