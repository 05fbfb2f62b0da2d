"""The Salesforce connector: the protocol's verbs, each carried out by its own module."""

import time
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from connectors.base import (
    Began,
    Capabilities,
    Change,
    Cursor,
    Entry,
    Field,
    NewField,
    Page,
    Price,
    Problem,
    Stream,
    WriteResult,
    untold,
)
from connectors.errors import CredentialsError
from connectors.salesforce import entries, setup, soql
from connectors.salesforce.client import SalesforceClient
from connectors.salesforce.failures import CallRefused, QueryTooHeavy
from connectors.salesforce.fields import BY_NAME, FILLS, OBJECTS, WRITTEN_OBJECTS, Schema
from connectors.salesforce.history import HISTORIES, FieldHistory
from connectors.salesforce.ingest import JOB_ROWS
from connectors.salesforce.price import histories, reading
from connectors.salesforce.pull import Pull, WayPull
from connectors.salesforce.settings import SalesforceSettings
from connectors.salesforce.shape import Shaper
from connectors.salesforce.write import BULK_CALLS, BULK_FROM, COLLECTION, READ_COLLECTION, Writer
from connectors.throttle import Sleep
from connectors.usage import Usage
from core.decision import Output

NO_END = datetime.max.replace(tzinfo=UTC)
"""No record is stamped later."""

LOOKBACK = timedelta(minutes=10)
"""A stamp is taken when a row is saved and seen when its transaction ends, minutes later."""


class SalesforceConnector:
    """One Salesforce org as a connector (see `connectors.base.Connector`)."""

    def __init__(
        self, name: str, settings: SalesforceSettings, *, sleep: Sleep = time.sleep
    ) -> None:
        self.name = name
        self.usage = Usage(name)
        self._settings = settings
        self._sleep = sleep
        self._client = SalesforceClient(settings, name, self.usage, sleep)
        self._schema = Schema(self._client, settings)
        self._history = FieldHistory(self._client, self._schema) if settings.history else None
        # A bulk job runs no assignment rule unless it names one, so rules mean Collections.
        bulk_from = None if settings.assignment_rules else BULK_FROM
        self._writer = Writer(self._client, self._schema, sleep, bulk_from)
        self.capabilities = Capabilities(
            objects=WRITTEN_OBJECTS,
            write_batch=COLLECTION,
            read_back_batch=READ_COLLECTION,
            lookback=LOOKBACK,
            bulk_write_from=bulk_from,
            bulk_write_batch=JOB_ROWS,
            bulk_write_calls=BULK_CALLS,
            queue_objects=("Lead",),
            history=settings.history,
            fills=FILLS,
        )

    def now(self) -> datetime:
        """The org's clock."""
        return self._client.now()

    def check(self) -> list[Problem]:
        """Log in, and compare mapping and written fields with what the org describes."""
        problems = []
        try:
            for item in OBJECTS:
                if item.optional:
                    continue
                try:
                    self._schema.fields(item.name)
                except CallRefused as error:
                    advice = f"give the integration user read access to {item.name}"
                    problems.append(Problem("error", item.name, error.message, advice))
            if problems:
                return problems
            untracked = self._history.problems() if self._history else []
            return self._schema.problems() + untracked
        except CredentialsError as error:
            return [Problem("credentials", "log-in", error.message, "correct the auth section")]

    def fields(self, object_type: str) -> dict[str, Field]:
        """The fields of an object that the integration user can see."""
        return self._schema.fields(object_type)

    def lacks(self) -> dict[str, frozenset[str]]:
        """What is mapped by default, and that none of a table's objects has in this org."""
        return self._schema.lacks()

    def written_fields(self, object_type: str) -> dict[Output, Field]:
        """The fields that outputs go to, where they exist."""
        return self._schema.written(object_type)

    def missing_fields(self) -> list[NewField]:
        """The custom fields of outputs that the org lacks, on leads and contacts."""
        return setup.missing(self._schema)

    def create_fields(self, fields: Sequence[NewField]) -> list[Problem]:
        """Create custom fields, visible and editable to the integration user's profile."""
        problems = setup.create(self._client, fields)
        self._schema.forget()
        return problems

    def streams(self) -> tuple[Stream, ...]:
        """One stream for each object that the org has, owners first."""
        return tuple(
            Stream(item.name, item.table, complete=not item.ways) for item in self._schema.objects()
        )

    def count(self, stream: Stream, cursor: Cursor | None) -> int | None:
        """How many records were changed since the cursor, deleted ones counted too.

        Not known where Salesforce takes too long to count them.
        """
        item = BY_NAME[stream.name]
        if item.ways and (cursor is None or cursor.stamp is None):
            return 0
        try:
            return self._client.count(soql.count(item.name, item.where, soql.after(cursor)))
        except QueryTooHeavy:
            return None

    def price(self, stream: Stream, cursor: Cursor | None, records: int | None) -> Price:
        """One call for each page of a query, or those of a bulk job; more for the history."""
        item = BY_NAME[stream.name]
        price = reading(item, cursor, records)
        if self._history is None or item.name not in HISTORIES or stream.only:
            return price
        return price + histories(records, self._history.asked(item.name))

    def pull(self, stream: Stream, cursor: Cursor | None, until: datetime) -> Iterator[Page]:
        """The records changed since the cursor, deleted, merged and converted ones followed."""
        yield from self._pull(stream, until).pages(cursor or Cursor())

    def unstamped(self, stream: Stream) -> frozenset[str]:
        """The fields that are formulas or roll-ups, and those that the mapping names."""
        return self._schema.unstamped(BY_NAME[stream.name])

    def read_again(self, stream: Stream, ids: Sequence[str]) -> Page:
        """Records by their ids."""
        return self._pull(stream, NO_END).page_of("Id", ids, Cursor())

    def _pull(self, stream: Stream, until: datetime) -> Pull:
        item = BY_NAME[stream.name]
        kind = WayPull if item.ways else Pull
        return kind(
            self._client,
            self._schema,
            Shaper(self._settings.mapping.activity_types),
            self._sleep,
            stream,
            item,
            until,
            None if stream.only else self._history,
        )

    def write(self, changes: Sequence[Change], began: Began = untold) -> Iterator[WriteResult]:
        """Send changes, by Collections calls or, when there are many, by a bulk job."""
        yield from self._writer.write(changes, began)

    def conclude(self, job: str, changes: Sequence[Change]) -> Iterator[WriteResult]:
        """By the results of an ingest job; one that is still open is aborted."""
        yield from self._writer.conclude(job, changes)

    def read_back(
        self, object_type: str, ids: Collection[str]
    ) -> dict[str, dict[Output, str | None]]:
        """What the org now holds in the written fields."""
        return self._writer.read_back(object_type, ids)

    def stand_ins(self, object_type: str, ids: Collection[str]) -> dict[str, str]:
        """Masters of merged records, and the contacts of converted leads."""
        return self._writer.stand_ins(object_type, ids)

    def add_entry(self, entry: Entry) -> None:
        """Create a task, done already if it stands for a note."""
        entries.add(self._client, entry)

    def has_entry(self, entry: Entry) -> bool:
        """Whether the record has a task with the entry's mark."""
        return entries.has(self._client, entry)

    def close(self) -> None:
        """Close the connections; the session is left to end by itself."""
        self._client.close()
