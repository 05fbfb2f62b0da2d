"""Refresh: fields that change while the stamp of their record stays, looked at once more.

A delta brings what moved its modified stamp, which a formula field does not. A reconciliation finds
it by reading everything; a refresh looks at such fields alone, as far as something asks for them:

    pull as always -> price -> look at the fields of all records -> read those again that differ

What is read again is stored as a pull would have: the leads that it concerns are rescored. No
cursor moves, and how far it is stands nowhere: an interrupted one begins anew, and finds less.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace

from connectors.base import Page, Stream
from core.segments import Segments
from sync import guards, price
from sync.config import Config
from sync.guards import GuardStopError, Limits
from sync.pull import Pulled, Reader, pull, without_later
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
    sizes = price.reading(connector, streams=streams)
    # What is read again shows on the way.
    predicted = replace(price.total(sizes), exact=not streams)
    before = dict(connector.usage.calls)
    made = connector.usage.total
    if over := guards.budget(connector.name, "refreshing", predicted, limits, made):
        raise GuardStopError(over)
    looking = _Looking(reader, pulled)
    pulled.refreshed = [
        looking.through(stream, size.records) for stream, size in zip(streams, sizes, strict=True)
    ]
    pulled.refreshing = Cost(predicted, connector.usage.since(before))
    return pulled


class _Looking:
    """One connection's refresh, of records that did not change since it was `pulled`."""

    def __init__(self, reader: Reader, pulled: Pulled) -> None:
        self._reader = reader
        self._connector = reader.connector
        self._facts = reader.facts
        self._pulled = pulled
        self._name = reader.connector.name

    def through(self, stream: Stream, counted: int | None) -> Refreshed:
        """Look through a narrowed stream; take over what differs, as many records at a time as fill
        calls, however few a page has."""
        whole = replace(stream, only=frozenset())
        looked_at = moved = 0
        unlike: list[str] = []
        for page in self._connector.pull(stream, None, self._pulled.until):
            unlike += self._facts.census.unlike(self._name, page)
            while len(unlike) >= AT_ONCE:
                moved += self._take_over(self._connector.read_again(whole, unlike[:AT_ONCE]))
                del unlike[:AT_ONCE]
            looked_at += page.rows.num_rows
            self._reader.progress(f"{self._name}: refresh {stream.name}", looked_at, counted)
            self._reader.stop.check()
        if unlike:
            moved += self._take_over(self._connector.read_again(whole, unlike))
        return Refreshed(stream.name, tuple(sorted(stream.only)), looked_at, moved)

    def _take_over(self, page: Page) -> int:
        """Store records that were read again, but for those that a pull is still to bring."""
        until = self._pulled.until
        page = replace(without_later(self._facts, self._name, page, until), removed=())
        stored = self._facts.store(self._name, page, at=until)
        self._pulled.note(page, stored, self._reader.step)
        return stored.changed
