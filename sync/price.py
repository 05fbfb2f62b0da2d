"""Prices in API calls: of reading everything, of carrying a plan out, and of telling of it.

The connector prices a reading; a writing follows from what it declares.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from connectors.base import Capabilities, Change, Connector, Cursor, Price, Stream
from core.decision import Output
from core.diff import Policy


@dataclass(frozen=True)
class Size:
    """What there is to read of a stream: records (None: not known), and what that costs."""

    stream: str
    records: int | None
    price: Price


def reading(
    connector: Connector, cursor: Cursor | None = None, streams: Iterable[Stream] | None = None
) -> list[Size]:
    """What there is to read of all or some streams from a cursor on; at most one call for each."""
    found = []
    for stream in connector.streams() if streams is None else streams:
        records = connector.count(stream, cursor)
        found.append(Size(stream.name, records, connector.price(stream, cursor, records)))
    return found


def total(sizes: Iterable[Size]) -> Price:
    """The price of reading several streams."""
    return sum((size.price for size in sizes), Price())


def by_bulk(changes: int, capabilities: Capabilities) -> bool:
    """Whether so many changes go by bulk jobs."""
    return capabilities.bulk_write_from is not None and changes >= capabilities.bulk_write_from


def read_back(change: Change, *, verify: bool) -> bool:
    """Whether a write is read back before it counts: that of an owner, of whom a CRM's own rules
    decide too; `verify`: every one."""
    return verify or Output.OWNER in change.values


def looked_at(change: Change, policies: Mapping[Output, Policy], *, verify: bool) -> bool:
    """Whether a record is looked at just before it is written: what is read back is, and where a
    person's word counts in a field that would be written."""
    return read_back(change, verify=verify) or any(
        policies.get(output, Policy.OVERWRITE) is not Policy.OVERWRITE for output in change.values
    )


def writing(
    changes: Sequence[Change],
    capabilities: Capabilities,
    policies: Mapping[Output, Policy],
    *,
    verify: bool,
) -> Price:
    """The price of sending changes at once, and of looking at their records before and after."""
    calls = Counter[str]()
    bulk = by_bulk(len(changes), capabilities)
    if bulk:
        jobs = _calls((c.object_type for c in changes), capabilities.bulk_write_batch)
        calls["bulk"] += jobs * capabilities.bulk_write_calls
    else:
        calls["write"] += -(-len(changes) // capabilities.write_batch)
    before = (c.object_type for c in changes if looked_at(c, policies, verify=verify))
    after = (c.object_type for c in changes if read_back(c, verify=verify))
    calls["read"] += sum(_calls(types, capabilities.read_back_batch) for types in (before, after))
    return Price(+calls, exact=not bulk)


def telling(new: int, waiting: int, again: int, capabilities: Capabilities) -> Price:
    """The price of tasks and notes: of new ones, of those that waited, and of those tried before,
    which are looked for first. Of the latter two some may not be needed any more."""
    sent = new + waiting + again
    calls = {"write": sent, "read": again * capabilities.entry_reads}
    return Price({kind: count for kind, count in calls.items() if count}, exact=sent == new)


def in_words(price: Price) -> str:
    """A price in words."""
    return f"{'' if price.exact else 'about '}{price.total:,} calls{by_class(price.calls)}"


def by_class(calls: Mapping[str, int]) -> str:
    """Calls by class, in brackets."""
    listed = ", ".join(f"{kind} {count:,}" for kind, count in sorted(calls.items()) if count)
    return f" ({listed})" if listed else ""


def _calls(object_types: Iterable[str], batch: int) -> int:
    """The calls for some records, where a call takes a batch of one object type."""
    return sum(-(-count // batch) for count in Counter(object_types).values())
