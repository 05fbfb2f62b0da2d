"""Answers kept for the next reader: query results, the pages cut from them, their locators."""

import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from connectors.sandbox.crm import Crm
from connectors.sandbox.http import Response
from connectors.sandbox.salesforce import soql
from connectors.sandbox.salesforce.errors import expired, lost_locator
from connectors.sandbox.salesforce.evaluate import Objects, Plan, bind
from connectors.sandbox.salesforce.fields import Row

MAX_BYTES = 256 * 1024 * 1024
MAX_RESULTS = 64
GZIP_FROM = 1_000
"""Bytes below which compression is not worth its time."""


@dataclass(frozen=True)
class Result:
    """What a query found. `key` is the same for the same query over the same records."""

    key: str
    plan: Plan
    objects: Objects
    rows: tuple[Row, ...]


class Pages:
    """Bodies by what they were made from, least recently used out first."""

    def __init__(self) -> None:
        self._bodies: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._size = 0

    def response(
        self,
        key: tuple[object, ...],
        make: Callable[[], str],
        headers: dict[str, str],
        *,
        packed: bool,
    ) -> Response:
        """The answer with the body for this key, which is made, and packed, on first use."""
        body = self._bodies.get((*key, packed))
        if body is None:
            body = make().encode()
            if packed and len(body) >= GZIP_FROM:
                body = gzip.compress(body, 1, mtime=0)
            self._keep((*key, packed), body)
        self._bodies.move_to_end((*key, packed))
        if body.startswith(b"\x1f\x8b"):
            headers = {**headers, "Content-Encoding": "gzip"}
        return Response(200, body, headers)

    def _keep(self, key: tuple[object, ...], body: bytes) -> None:
        self._bodies[key] = body
        self._size += len(body)
        while self._size > MAX_BYTES and len(self._bodies) > 1:
            self._size -= len(self._bodies.popitem(last=False)[1])


class Results:
    """Queries run, and the cursors that sessions hold open on them.

    A result is found again while the CRM is unchanged, so that a repeated drain measures the
    client. A locator is a session's own: it answers to no other, and ends with it.
    """

    def __init__(self, crm: Crm) -> None:
        self._crm = crm
        self._found: OrderedDict[tuple[object, ...], Result] = OrderedDict()
        self._open: OrderedDict[tuple[str, str], Result] = OrderedDict()

    def run(self, source: str, objects: Objects, *, hidden: bool) -> Result:
        """Run a query, or find the result it had. ApiError when it is not valid."""
        now = self._crm.clock()
        query = soql.parse(source)
        plan = bind(query, objects, now, hidden=hidden)
        rows = list(plan.sobject.rows())
        # A record held back comes to light by the clock alone; then there are more rows.
        state = (source, hidden, self._crm.revision, len(rows), now.date())
        if state not in self._found:
            digest = hashlib.blake2b(repr(state).encode(), digest_size=7).hexdigest()
            chosen = tuple(plan.choose(rows))
            self._found[state] = Result(digest, plan, objects, chosen)
            while len(self._found) > MAX_RESULTS:
                self._found.popitem(last=False)
        return self._found[state]

    def open(self, session: str, result: Result) -> str:
        """A locator for the rest of a result; the oldest of too many is dropped."""
        locator = f"01g0{result.key}"
        self._open[session, locator] = result
        while len(self._open) > MAX_RESULTS:
            self._open.popitem(last=False)
        return locator

    def at(self, session: str, locator: str) -> Result:
        """The result behind a locator.

        ApiError INVALID_SESSION_ID when it is another session's, INVALID_QUERY_LOCATOR when
        it is lost.
        """
        result = self._open.get((session, locator))
        if result is None:
            raise expired() if any(known == locator for _, known in self._open) else lost_locator()
        return result
