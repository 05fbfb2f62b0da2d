"""Reading: one object of the org as pages of rows, by REST or, when there is much, by Bulk 2.0.

REST answers in (SystemModstamp, Id) order, so every page has a cursor of its own. Bulk answers
in no order, so the cursors of its pages name the job and the page to read next: a reading that
breaks off goes on with the same job. What is too much for either is read in halves of its time,
and what shares a second in order of id, by so many at a time as Salesforce manages.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from connectors import mapping
from connectors.base import MARK, Cursor, Page, Removed, Stream
from connectors.errors import MappingError, TemporaryError
from connectors.salesforce import soql
from connectors.salesforce.bulk import wait_for_job
from connectors.salesforce.client import SalesforceClient
from connectors.salesforce.failures import CallRefused, LocatorLost, QueryTooHeavy
from connectors.salesforce.fields import BY_NAME, ObjectMap, Schema
from connectors.salesforce.history import HISTORIES, FieldHistory
from connectors.salesforce.shape import Columns, Shaper, listed
from connectors.throttle import Sleep
from connectors.values import moment
from core import facts

REST_PAGE = 2_000
BULK_FROM = 50 * REST_PAGE
"""Above 50 pages a bulk job is faster, although it never ends within 10 seconds."""

BULK_PAGE = 122_880
"""A row group of DuckDB, which it takes whole at a third of the cost; about 45 MB of CSV."""

ID_PAGES = (REST_PAGE, 200, 20, 1)
"""How many records of one second are asked for at a time: fewer where that ran too long."""

SECOND = timedelta(seconds=1)
"""What a query can tell instants apart by."""

BEGINNING = datetime(1999, 1, 1, tzinfo=UTC)
"""No record of Salesforce is older."""

LAST = "null"
"""The locator that Salesforce gives with the last page of a job."""


class _TooMany(Exception):
    """The first page said that there are more records than REST should carry."""


class _OtherFields(Exception):
    """A job of an earlier run was asked for fewer fields than are mapped now."""


@dataclass(frozen=True)
class Pull:
    """The reading of one stream, from a cursor up to a time; with a `history`, of versions too."""

    client: SalesforceClient
    schema: Schema
    shaper: Shaper
    sleep: Sleep
    stream: Stream
    item: ObjectMap
    until: datetime
    history: FieldHistory | None = None

    def pages(self, cursor: Cursor) -> Iterator[Page]:
        """The pages after a cursor."""
        for problem in self.schema.unmapped(self.item.table):
            raise MappingError(
                f"{problem.where}: {problem.what}: {problem.advice}", connection=self.client.name
            )
        job, slash, locator = cursor.id.partition("/")
        if slash:
            cursor = Cursor(cursor.stamp, until=cursor.until)
            try:
                # Of a job that gave a locator it is known that it is complete.
                if locator or self._complete(job):
                    yield from self._of_job(job, locator, cursor)
                    return
            except (CallRefused, _OtherFields):
                pass  # Results are kept for a week: the window is read anew.
        try:
            try:
                if soql.fits_uri(self._query(cursor)):
                    for page in self._by_rest(cursor):
                        yield page
                        cursor = page.cursor
                    return
            except (_TooMany, QueryTooHeavy):
                if not self.item.bulk:
                    raise
            yield from self._by_bulk(cursor)
        except QueryTooHeavy:
            yield from self._by_halves(cursor)

    def _by_halves(self, cursor: Cursor) -> Iterator[Page]:
        """The earlier half of the time that is left, then the later one from where that ended."""
        start = cursor.stamp or BEGINNING
        middle = (start + (self.until - start) / 2).replace(microsecond=0)
        if middle <= start:
            yield from self._by_ids(start, cursor)
            return
        for until in (middle, self.until):
            for page in replace(self, until=until).pages(cursor):
                if page.cursor == Cursor(middle):
                    page = replace(page, cursor=Cursor(middle, until=self.until))
                elif until == middle and "/" in page.cursor.id:
                    # Gone on with, the job would end with its half: that is read anew instead.
                    page = replace(page, cursor=replace(cursor, until=self.until))
                yield page
                cursor = page.cursor

    def _by_ids(self, start: datetime, cursor: Cursor) -> Iterator[Page]:
        """Each second in order of id: the first from its beginning, or on from the cursor's id."""
        second, sizes = start.replace(microsecond=0), list(ID_PAGES)
        # Within a second ids are in the order of stamps only where all stamps are alike.
        last = cursor.id if cursor.stamp == second else ""
        while second <= self.until:
            try:
                records = self._next_ids(second, last, sizes[0])
            except (QueryTooHeavy, LocatorLost):
                del sizes[0]
                if not sizes:
                    raise self._too_much() from None
                continue
            if len(records) == sizes[0]:
                last = records[-1]["Id"]
            else:
                second, last = second + SECOND, ""
            more = second <= self.until
            cursor = Cursor(second, last, self.until) if more else Cursor(self.until)
            yield self._page_of_records(records, cursor)

    def _next_ids(self, second: datetime, last: str, count: int) -> list[dict[str, Any]]:
        """The records of a second after an id."""
        query = soql.select(
            self._selected(),
            self.item.name,
            self.item.where,
            f"SystemModstamp >= {soql.literal(second)}",
            f"SystemModstamp < {soql.literal(second + SECOND)}",
            f"SystemModstamp <= {soql.literal(self.until)}",
            f"Id > {soql.literal(last)}" if last else "",
            order=("Id",),
            limit=count,
        )
        if not soql.fits_uri(query):
            raise self._too_much()
        return self.client.records(query)

    def _too_much(self) -> TemporaryError:
        return TemporaryError(
            f"{self.item.name}: the records of a second are too much for one query, even one by "
            "one: map fewer fields",
            connection=self.client.name,
        )

    def _by_rest(self, cursor: Cursor) -> Iterator[Page]:
        begun = None
        while cursor != begun:
            begun = cursor
            try:
                for records, more in self._records(cursor):
                    after = Cursor(self.until)
                    if more:
                        last = records[-1]
                        after = Cursor(moment(last["SystemModstamp"]), last["Id"], self.until)
                    yield self._page_of_records(records, after)
                    cursor = after
                return
            except LocatorLost:
                # A new query goes on from the last key, and brings at least one page further,
                # unless it was a query for what belongs to that page.
                continue
        raise TemporaryError(
            f"{self.item.name}: a page cannot be had, its query is lost again and again",
            connection=self.client.name,
        )

    def _records(self, cursor: Cursor) -> Iterator[tuple[list[dict[str, Any]], bool]]:
        """Records in order, page by page, and whether there are more."""
        page = self.client.query(self._query(cursor))
        if page.total > BULK_FROM and self.item.bulk:
            raise _TooMany
        while page.next is not None:
            yield page.records, True
            page = self.client.query_more(page.next)
        yield page.records, False

    def _by_bulk(self, cursor: Cursor) -> Iterator[Page]:
        body = {
            "operation": "queryAll",
            "query": self._query(cursor, ordered=False),
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
        }
        job = self.client.send("POST", "jobs/query", body)["id"]
        cursor = replace(cursor, until=self.until)
        yield self._page_of_records([], replace(cursor, id=f"{job}/"))
        state = wait_for_job(self.client, f"jobs/query/{job}", self.sleep)
        if state["state"] != "JobComplete":
            ended = f"bulk query {state['state']}: {state.get('errorMessage', '')}"
            heavy = "QUERY_TIMEOUT" in ended
            error = QueryTooHeavy if heavy else TemporaryError
            raise error(f"{self.item.name}: {ended}", connection=self.client.name)
        yield from self._of_job(job, "", cursor)

    def _complete(self, job: str) -> bool:
        """Whether a job of an earlier run has its results, or will have."""
        state = wait_for_job(self.client, f"jobs/query/{job}", self.sleep)
        return bool(state["state"] == "JobComplete")

    def _of_job(self, job: str, locator: str, cursor: Cursor) -> Iterator[Page]:
        """The pages of a job that is complete, from a locator on (empty: the first)."""
        path = f"jobs/query/{job}/results?maxRecords={BULK_PAGE}"
        while locator != LAST:
            reply = self.client.download(path + (f"&locator={locator}" if locator else ""))
            locator = reply.headers.get("Sforce-Locator") or LAST
            after = replace(cursor, id=f"{job}/{locator}")
            table = _csv_table(reply.content)
            if table.num_rows and not {*self._paths} <= {*table.column_names}:
                raise _OtherFields
            yield self._page_of_table(table, after)
        yield self._page_of_records([], Cursor(cursor.until))

    def _query(self, cursor: Cursor, *, ordered: bool = True) -> str:
        until = f"SystemModstamp <= {soql.literal(self.until)}"
        order = ("SystemModstamp", "Id") if ordered else ()
        return soql.select(
            self._selected(),
            self.item.name,
            self.item.where,
            soql.after(cursor),
            until,
            order=order,
        )

    def _selected(self) -> list[str]:
        return self._paths + ([self.item.children] if self.item.children else [])

    @cached_property
    def _paths(self) -> list[str]:
        known = self.schema.fields(self.item.name)
        written = self._written.values()
        paths = ["Id", "SystemModstamp", *self.item.status, *self._columns.values(), *written]
        paths.append(self._marked)
        return [p for p in dict.fromkeys(paths) if "." in p or p in known]

    @cached_property
    def _marked(self) -> str:
        """The field by which entries of ours are told; empty where none of them is here."""
        marked = self.item.marked
        return marked if marked in self.schema.fields(self.item.name) else ""

    @cached_property
    def _columns(self) -> dict[str, str]:
        columns = self.schema.columns(self.item)
        # What an activity is, is made of several fields.
        whole = self.item.table == facts.ACTIVITIES.name
        return columns if whole else mapping.narrowed(columns, self.stream.only)

    @cached_property
    def _written(self) -> dict[str, str]:
        if self.item.table != facts.LEADS.name or self.stream.only:
            return {}
        written = self.schema.written(self.item.name)
        return {f"present.{output}": known.name for output, known in written.items()}

    def page_of(self, field: str, ids: Sequence[str], cursor: Cursor) -> Page:
        """The records with some ids in a field, whatever their stamps."""
        found: list[dict[str, Any]] = []
        for start in range(0, len(ids), soql.IDS_PER_QUERY):
            found += self._with(field, ids[start : start + soql.IDS_PER_QUERY], self._selected())
        return self._page_of_records(found, cursor)

    def _with(self, field: str, ids: Sequence[str], paths: Sequence[str]) -> list[dict[str, Any]]:
        """The records with some ids in a field; asked for in halves where these are too many for
        one query, or the fields for the query of a single one."""

        def query(some: Sequence[str]) -> str:
            which = f"{soql.name(field)} IN {soql.literal(some)}"
            return soql.select(paths, self.item.name, which)

        if soql.fits_uri(query(ids)):
            return self.client.records(query(ids))
        if soql.fits_uri(query(ids[:1])):
            middle = len(ids) // 2
            return self._with(field, ids[:middle], paths) + self._with(field, ids[middle:], paths)
        middle = len(paths) // 2
        more = self._with(field, ids, ["Id", *paths[middle:]])
        rest = {record["Id"]: record for record in more}
        found = self._with(field, ids, paths[:middle])
        return [_joined(record, rest[record["Id"]]) for record in found if record["Id"] in rest]

    def _page_of_records(self, records: list[dict[str, Any]], cursor: Cursor) -> Page:
        gone = [r for r in records if r.get("IsDeleted")]
        living = [r for r in records if not r.get("IsDeleted")] if gone else records
        ours: list[str] = []
        if marked := self._marked:
            ours = [r["Id"] for r in living if MARK in (r.get(marked) or "")]
            living = [r for r in living if MARK not in (r.get(marked) or "")]
        columns: Columns = {path: _column(living, path) for path in self._paths}
        if self.item.children:
            columns["_roles"] = [self._roles(record) for record in living]
        return self._page(columns, [_removed(r) for r in gone], ours, cursor)

    def _roles(self, record: dict[str, Any]) -> Any:
        """The contact roles of an opportunity; more than a sub-query brings at once are asked for
        by a query of their own."""
        roles = record.get("OpportunityContactRoles")
        if not roles or roles["done"]:
            return roles
        its = f"OpportunityId = {soql.literal(record['Id'])}"
        query = soql.select(["ContactId"], "OpportunityContactRole", its, "IsDeleted = false")
        return {"records": self.client.records(query)}

    def _page_of_table(self, table: pa.Table, cursor: Cursor) -> Page:
        gone = []
        if "IsDeleted" in table.column_names:
            deleted = pc.equal(table["IsDeleted"], "true")
            gone = table.filter(deleted).to_pylist()
            if gone:
                table = table.filter(pc.invert(deleted))
        ours: list[str] = []
        if (marked := self._marked) in table.column_names:
            bears = pc.match_substring(pc.fill_null(table[marked], ""), MARK)
            ours = table["Id"].filter(bears).to_pylist()
            table = table.filter(pc.invert(bears))
        columns: Columns = {path: table[path].combine_chunks() for path in table.column_names}
        return self._page(columns, [_removed(r) for r in gone], ours, cursor)

    def _page(
        self, columns: Columns, removed: list[Removed], ours: list[str], cursor: Cursor
    ) -> Page:
        """Columns by field path -> a page; columns without rows may be missing."""
        if not columns or not len(columns["Id"]):
            empty = mapping.table(facts.BY_NAME[self.item.table].model, {"id": []})
            return Page(self.stream, empty.rows, cursor, tuple(removed), ours=tuple(ours))
        count = len(columns["Id"])
        wanted = {**self._columns, **self._written, "id": "Id", "modified_at": "SystemModstamp"}
        raw: Columns = {common: columns[path] for common, path in wanted.items()}
        for common, value in (*self.item.constants.items(), ("object_type", self.item.name)):
            raw[common] = [value] * count
        if "_roles" in columns:
            raw["_roles"] = columns["_roles"]
        if "ConvertedContactId" in columns:
            removed += _converted(columns)
        mapped = mapping.table(
            facts.BY_NAME[self.item.table].model, self.shaper(self.item.name, raw)
        )
        earlier = None
        if self.history and self.item.name in HISTORIES:
            earlier = self.history.earlier(self.item, columns, mapped.rows)
        return Page(
            self.stream,
            mapped.rows,
            cursor,
            tuple(removed),
            mapped.rejected,
            earlier,
            tuple(ours),
        )


@dataclass(frozen=True)
class WayPull(Pull):
    """The records that the changed ones of a stream lead to: contact roles to opportunities,
    individuals to leads and contacts, whose own stamps do not move with them."""

    def pages(self, cursor: Cursor) -> Iterator[Page]:
        """Nothing at first: what they lead to, read after this, comes with what they say."""
        if cursor.stamp is None:
            yield self._page({}, [], [], Cursor(self.until))
        else:
            yield from super().pages(cursor)

    def _page_of_records(self, records: list[dict[str, Any]], cursor: Cursor) -> Page:
        pages = []
        for way in self.item.ways:
            ids = list(dict.fromkeys(r[way.ours] for r in records if r.get(way.ours)))
            whole = Pull(
                self.client,
                self.schema,
                self.shaper,
                self.sleep,
                self.stream,
                BY_NAME[way.to],
                self.until,
            )
            pages.append(whole.page_of(way.theirs, ids, cursor))
        return Page(
            self.stream,
            pa.concat_tables(page.rows for page in pages),
            cursor,
            tuple(gone for page in pages for gone in page.removed),
            tuple(problem for page in pages for problem in page.rejected),
        )


def _column(records: list[dict[str, Any]], path: str) -> list[Any]:
    """One field of all records; nothing where a relationship leads nowhere."""
    first, *rest = path.split(".")
    column = [record.get(first) for record in records]
    for name in rest:
        column = [parent and parent.get(name) for parent in column]
    return column


def _joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """A record of which two queries brought different fields, of what it refers to as well."""
    both = {
        name: _joined(one[name], other[name])
        for name in one.keys() & other.keys()
        if isinstance(one[name], dict) and isinstance(other[name], dict)
    }
    return {**one, **other, **both}


def _removed(record: dict[str, Any]) -> Removed:
    survivor = record.get("MasterRecordId") or None
    return Removed(record["Id"], moment(record["SystemModstamp"]), survivor)


def _converted(columns: Columns) -> list[Removed]:
    """Leads that a contact now stands for."""
    names = ("Id", "SystemModstamp", "ConvertedContactId")
    rows = zip(*(listed(columns[name]) for name in names), strict=True)
    return [Removed(key, moment(at), contact) for key, at, contact in rows if contact]


def _csv_table(content: bytes) -> pa.Table:
    """A page of bulk results: every column as text, an empty cell as null."""
    if not content.strip():
        return pa.table({"Id": pa.array([], pa.string())})
    content = content.replace(b"\0", b"")
    header = pyarrow.csv.open_csv(io.BytesIO(content)).schema.names
    return pyarrow.csv.read_csv(
        io.BytesIO(content),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )
