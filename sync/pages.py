"""Pages on their way from a connector into the facts: read ahead, and joined.

While one page is stored, a thread reads the next. A transaction costs as much as storing a
thousand rows, so pages that come fast are joined into one; pages that come slowly are not held
back, so that progress shows, and a stop or a crash costs little. A page without rows says how
far the reading is (a bulk job was begun), and waits for no other.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from connectors.base import Page
from connectors.errors import ConnectorError, Interrupted

JOINED_ROWS = 50_000
LINGER = 1.0
"""Seconds since the last page was passed on, after which a page waits for no other."""


def read_ahead(pages: Iterator[Page]) -> Generator[Page]:
    """The same pages, read by a thread of their own up to one page ahead of the caller."""
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(next, pages, None)
        while (page := following.result()) is not None:
            following = reader.submit(next, pages, None)
            yield page


def no_later(page: Page, at: datetime) -> Page:
    """The same page, no row of it stamped later than `at`, when it was read.

    A stamp of the future would hide the record until then, and all that changes on it before.
    """
    place = page.rows.schema.get_field_index("modified_at")
    field = page.rows.schema.field(place)
    stamps, read = page.rows["modified_at"], pa.scalar(at, field.type)
    later = pc.greater(stamps, read)
    if not pc.any(later).as_py():
        return page
    stamps = pc.if_else(later, read, stamps)
    return replace(page, rows=page.rows.set_column(place, field, stamps))


def joined(pages: Iterator[Page], clock: Callable[[], float]) -> Iterator[Page]:
    """Pages of one stream, joined while they come fast; `clock` counts seconds.

    Pages that name the same record stay apart: which of them came later would be lost. What
    was read before an error of the connector, or a stop, is passed on before it.
    """
    held: list[Page] = []
    named: set[str] = set()
    due = clock() + LINGER
    try:
        for page in pages:
            names = _names(page)
            if not named.isdisjoint(names):
                yield _one(held)
                held, named = [], set()
            held.append(page)
            named |= names
            enough = sum(one.rows.num_rows for one in held) >= JOINED_ROWS
            if enough or clock() >= due or not page.rows.num_rows:
                yield _one(held)
                held, named, due = [], set(), clock() + LINGER
    except (ConnectorError, Interrupted):
        if held:
            yield _one(held)
        raise
    if held:
        yield _one(held)


def _names(page: Page) -> set[str]:
    """Every record that a page says something of."""
    gone = (name for r in page.removed for name in (r.id, r.survivor) if name)
    return {*page.rows["id"].to_pylist(), *gone}


def _one(pages: Sequence[Page]) -> Page:
    """One page in place of several of the same stream, with the last one's cursor."""
    earlier = [page.earlier for page in pages if page.earlier is not None]
    return Page(
        pages[-1].stream,
        pa.concat_tables([page.rows for page in pages]),
        pages[-1].cursor,
        tuple(removed for page in pages for removed in page.removed),
        tuple(problem for page in pages for problem in page.rejected),
        pa.concat_tables(earlier) if earlier else None,
        tuple(ours for page in pages for ours in page.ours),
    )
