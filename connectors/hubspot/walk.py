"""The walks over the records of an object.

The first load walks the list, which reads the primary store and has no cap. A delta searches
by the modified property in a window of time that ends at the run's start, in order of id, each
page after the last id: no offset, so neither the cap of 10,000 nor records that leave the
window in between can lose one, however many share a stamp (airbyte#43317).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from connectors.base import Cursor
from connectors.errors import TemporaryError
from connectors.hubspot.client import SEARCH_PAGE, Gateway, Json
from connectors.hubspot.fields import MODIFIED
from connectors.values import Unreadable, moment

PAGE = 1_000
"""Records gathered into one page, and read again where that was not stored: ten calls of a list."""

LONGEST_QUERY = 3_000
"""Characters in the body of a search."""

LONGEST_ADDRESS = 8_000
"""Characters of property names in a list's address; users met HTML 414 at about 16,000."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Chunk:
    """Records of one object, and the cursor after them."""

    records: list[Json]
    cursor: Cursor


def milliseconds(at: datetime) -> int:
    """Whole milliseconds since 1970: the one form of a time in a filter."""
    return (at - EPOCH) // timedelta(milliseconds=1)


def walk(
    gateway: Gateway,
    object_type: str,
    properties: Sequence[str],
    cursor: Cursor | None,
    until: datetime,
) -> Iterator[Chunk]:
    """All records of an object the first time, afterwards those changed in the window."""
    if cursor is None or cursor.stamp is None:
        return listed(gateway, object_type, properties, cursor, until)
    modified = MODIFIED[object_type]
    return searched(gateway, object_type, properties, modified, cursor, until)


def listed(
    gateway: Gateway,
    object_type: str,
    properties: Sequence[str],
    cursor: Cursor | None,
    until: datetime,
    *,
    archived: bool = False,
) -> Iterator[Chunk]:
    """All records of an object. The walk keeps the run start of its first attempt."""
    until = cursor.until if cursor and cursor.until else until
    after = cursor.id if cursor else ""
    whole = sum(len("&properties=") + len(name) for name in properties) <= LONGEST_ADDRESS
    records: list[Json] = []
    while True:
        page = gateway.page(object_type, properties if whole else [], after, archived)
        found = page["results"]
        records += found if whole else _filled(gateway, object_type, properties, found)
        after = next_page(page)
        if not after:
            yield Chunk(_once(records), Cursor(stamp=until))
            return
        if len(records) >= PAGE:
            yield Chunk(_once(records), Cursor(id=after, until=until))
            records = []


def searched(
    gateway: Gateway,
    object_type: str,
    properties: Sequence[str],
    changed: str,
    cursor: Cursor | None,
    until: datetime,
    *,
    bounded: bool = True,
    gather: int = PAGE,
) -> Iterator[Chunk]:
    """Records whose property `changed` lies in the window; all that have it, without a stamp.

    `bounded` False leaves the window open: for a property that says when something happened
    last, so that a later one does not hide the one within the window. A chunk is given out as
    soon as it has `gather` records.
    """
    since = cursor.stamp if cursor else None
    until = cursor.until if cursor and cursor.until else until
    last = cursor.id if cursor else ""
    filters = _window(changed, since, until if bounded else None)
    records: list[Json] = []
    while True:
        window = [*filters, _filter("hs_object_id", "GT", last)] if last else filters
        query = _query(properties, window)
        whole = len(json.dumps(query)) <= LONGEST_QUERY
        reply = gateway.search(object_type, query if whole else _query([], window))
        found = reply["results"]
        _verify(gateway, object_type, found, reply["total"], last)
        records += found if whole else _filled(gateway, object_type, properties, found)
        if reply["total"] <= len(found):
            yield Chunk(_once(records), Cursor(stamp=until))
            return
        last = found[-1]["id"]
        if len(records) >= gather:
            yield Chunk(_once(records), Cursor(stamp=since, id=last, until=until))
            records = []


def counted(gateway: Gateway, object_type: str, changed: str, cursor: Cursor | None) -> int:
    """How many records an object has, or how many changed since a cursor."""
    filters = []
    if cursor and cursor.stamp is not None:
        filters.append(_filter(changed, "GTE", milliseconds(cursor.stamp)))
    if cursor and cursor.id:
        filters.append(_filter("hs_object_id", "GT", cursor.id))
    query = {"filterGroups": [{"filters": filters}] if filters else [], "limit": 1}
    return int(gateway.search(object_type, query)["total"])


def _window(changed: str, since: datetime | None, until: datetime | None) -> list[Json]:
    filters: list[Json] = [{"propertyName": changed, "operator": "HAS_PROPERTY"}]
    if since is not None:
        filters = [_filter(changed, "GTE", milliseconds(since))]
    if until is not None:
        filters.append(_filter(changed, "LTE", milliseconds(until)))
    return filters


def _filter(name: str, operator: str, value: int | str) -> Json:
    return {"propertyName": name, "operator": operator, "value": str(value)}


def _query(properties: Sequence[str], filters: Sequence[Json]) -> Json:
    return {
        "filterGroups": [{"filters": list(filters)}],
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "properties": list(properties),
        "limit": SEARCH_PAGE,
    }


def _filled(
    gateway: Gateway, object_type: str, properties: Sequence[str], found: Sequence[Json]
) -> list[Json]:
    """The records with all their properties, where a list or a search could not name them."""
    return gateway.read(object_type, [record["id"] for record in found], properties)


def _verify(
    gateway: Gateway, object_type: str, found: Sequence[Json], total: int, last: str
) -> None:
    """Fail rather than lose records or read the same page for ever."""
    ids = [int(last or 0), *(int(record["id"]) for record in found)]
    what = ""
    if any(b <= a for a, b in pairwise(ids)):
        what = "the answer is not in order of id"
    elif len(found) < min(total, SEARCH_PAGE):
        what = f"{total} records are counted, {len(found)} were sent"
    if what:
        raise TemporaryError(f"search in {object_type}: {what}", connection=gateway.name)


def _once(records: Sequence[Json]) -> list[Json]:
    """Each record once: two merged ids are read as the one record that survived."""
    return list({record["id"]: record for record in records}.values())


def next_page(page: Json) -> str:
    """The token of the next page; empty on the last one."""
    return str(((page.get("paging") or {}).get("next") or {}).get("after") or "")


def stamp_of(record: Json, name: str) -> datetime:
    """A time that a record itself bears. Raises Unreadable where it bears none."""
    if given := record.get(name):
        return moment(str(given))
    raise Unreadable(f"is missing: there is no {name}")
