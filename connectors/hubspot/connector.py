"""The HubSpot connector: contacts are the leads, companies the accounts, deals the outcomes."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta

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
from connectors.hubspot import entries
from connectors.hubspot.activities import EMAIL_EVENTS, LAST_SEEN, Activities
from connectors.hubspot.client import BATCH, Gateway
from connectors.hubspot.failures import MissingScope, Refused
from connectors.hubspot.fields import (
    COMPANIES,
    CONTACTS,
    DEALS,
    ENGAGEMENTS,
    FILLS,
    MODIFIED,
    Fields,
)
from connectors.hubspot.price import reading
from connectors.hubspot.pull import Records
from connectors.hubspot.settings import HubSpotSettings
from connectors.hubspot.walk import EPOCH, counted, milliseconds
from connectors.hubspot.write import Writer
from connectors.throttle import Sleep
from connectors.unanswered import unknown
from connectors.usage import Usage
from core.decision import Output

OWNERS = Stream("owners", "owners", incremental=False)
ACCOUNTS = Stream(COMPANIES, "accounts", complete=True)
LEADS = Stream(CONTACTS, "leads", complete=True)
OUTCOMES = Stream(DEALS, "outcomes", complete=True)
ENGAGED = tuple(Stream(name, "activities", complete=True) for name in ENGAGEMENTS)
EVENTS = Stream("events", "activities")
EMAIL = Stream("email_events", "activities")
FORMS = Stream("form_submissions", "activities")
ARCHIVED_ACCOUNTS = Stream(f"{COMPANIES}/archived", "accounts", incremental=False)
ARCHIVED_LEADS = Stream(f"{CONTACTS}/archived", "leads", incremental=False)


class HubSpotConnector:
    """One HubSpot account. See `connectors.base.Connector` for what each verb promises."""

    def __init__(
        self,
        name: str,
        settings: HubSpotSettings,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = time.sleep,
    ) -> None:
        self.name = name
        self.usage = Usage(name)
        self.capabilities = Capabilities(
            objects=(CONTACTS,),
            write_batch=BATCH,
            read_back_batch=BATCH,
            # Rows reach the search index late and out of order: users saw up to minutes.
            lookback=timedelta(minutes=10),
            queue_objects=(CONTACTS,),
            entry_reads=2,
            history=settings.history,
            # The recycle bin has no record of a GDPR delete.
            tells_removed=timedelta(days=90),
            fills=FILLS,
        )
        self._gateway = Gateway(name, settings, self.usage, clock=clock, sleep=sleep)
        self._fields = Fields(self._gateway, name, settings)
        self._records = Records(self._gateway, self._fields, history=settings.history)
        self._activities = Activities(self._gateway, self._fields)
        self._writer = Writer(self._gateway, self._fields.written)

    def now(self) -> datetime:
        """HubSpot's clock, to the second."""
        return self._gateway.now()

    def check(self) -> list[Problem]:
        """Try every endpoint that a run needs, then compare the mapping with the properties."""
        try:
            now = self.now()
        except CredentialsError as error:
            return [Problem("credentials", CONTACTS, error.message)]
        problems = []
        for where, needed, attempt in self._endpoints(now):
            try:
                attempt()
            except Refused:
                # Refused for what was asked, not for who asked: there is access.
                continue
            except MissingScope as error:
                severity = "credentials" if needed else "warning"
                advice = "" if needed else "the last such event of each contact is read instead"
                problems.append(Problem(severity, where, error.message, advice))
        if not any(p.severity == "credentials" for p in problems):
            problems += self._fields.check()
        return problems

    def _endpoints(self, now: datetime) -> list[tuple[str, bool, Callable[[], object]]]:
        """(what it serves, whether a run fails without it, a call to it)."""
        gateway = self._gateway
        read = [(name, True, _bound(gateway, name)) for name in (COMPANIES, DEALS, *ENGAGEMENTS)]
        return [
            *read,
            ("owners", True, gateway.owners),
            (f"properties of {CONTACTS}", True, lambda: self.fields(CONTACTS)),
            (f"properties of {COMPANIES}", True, lambda: self.fields(COMPANIES)),
            ("events", False, lambda: gateway.events("1", now, now, "")),
            (
                "email_events",
                False,
                lambda: gateway.email_events(EMAIL_EVENTS[0], milliseconds(now), milliseconds(now)),
            ),
            ("form_submissions", False, gateway.forms),
        ]

    def fields(self, object_type: str) -> dict[str, Field]:
        """The properties of an object."""
        return self._fields.of(object_type)

    def lacks(self) -> dict[str, frozenset[str]]:
        """What is mapped by default, and that contacts or companies of this portal do not have."""
        return self._fields.lacks()

    def written_fields(self, object_type: str) -> dict[Output, Field]:
        """The written fields that contacts have."""
        known = self._fields.of(object_type)
        return {
            output: known[written.field]
            for output, written in self._fields.written.items()
            if written.field in known
        }

    def missing_fields(self) -> list[NewField]:
        """The written fields that contacts do not have yet."""
        return self._fields.missing()

    def create_fields(self, fields: Sequence[NewField]) -> list[Problem]:
        """Create properties; HubSpot shows a new property to everyone."""
        return self._fields.create(fields)

    def streams(self) -> tuple[Stream, ...]:
        """Owners and accounts first, removed records last."""
        return (
            OWNERS,
            ACCOUNTS,
            LEADS,
            OUTCOMES,
            *ENGAGED,
            EVENTS,
            EMAIL,
            FORMS,
            ARCHIVED_ACCOUNTS,
            ARCHIVED_LEADS,
        )

    def count(self, stream: Stream, cursor: Cursor | None) -> int | None:
        """The total of a search, which counts even what it does not send.

        Of events, how many contacts have any: they are what is asked for them.
        """
        if stream == EVENTS:
            seen = cursor if cursor and cursor.stamp else Cursor(EPOCH, cursor.id if cursor else "")
            return counted(self._gateway, CONTACTS, LAST_SEEN, seen)
        changed = MODIFIED.get(stream.name)
        return None if changed is None else counted(self._gateway, stream.name, changed, cursor)

    def price(self, stream: Stream, cursor: Cursor | None, records: int | None) -> Price:
        """One call for each page, and what belongs to the records on it.

        The properties of contacts are known before anything is read, those of companies may not be.
        """
        describe = stream.name == COMPANIES and not self._fields.known(COMPANIES)
        history = self.capabilities.history and not stream.only
        read = reading(stream.name, cursor, records, history=history)
        return Price({"describe": int(describe)}) + read

    def pull(self, stream: Stream, cursor: Cursor | None, until: datetime) -> Iterator[Page]:
        """The rows of a stream changed since its cursor."""
        if stream == OWNERS:
            return self._records.owners(stream, until)
        if stream == ARCHIVED_ACCOUNTS:
            return self._records.archived(stream, COMPANIES, cursor, until)
        if stream == ARCHIVED_LEADS:
            return self._records.archived(stream, CONTACTS, cursor, until)
        pulls = {
            LEADS.name: self._records.versions,
            ACCOUNTS.name: self._records.versions,
            OUTCOMES.name: self._records.deals,
            EVENTS.name: self._activities.events,
            EMAIL.name: self._activities.email_events,
            FORMS.name: self._activities.form_submissions,
        }
        return pulls.get(stream.name, self._activities.engagements)(stream, cursor, until)

    def unstamped(self, stream: Stream) -> frozenset[str]:
        """The calculated properties of contacts and companies, and those that the mapping names."""
        if stream.name not in (CONTACTS, COMPANIES):
            return frozenset()
        return self._fields.unstamped(stream.name)

    def read_again(self, stream: Stream, ids: Sequence[str]) -> Page:
        """Contacts or companies by their ids, 100 a call."""
        return self._records.again(stream, ids)

    def write(self, changes: Sequence[Change], began: Began = untold) -> Iterator[WriteResult]:
        """Update contacts, 100 a call."""
        del began
        return self._writer.write(changes)

    def conclude(self, job: str, changes: Sequence[Change]) -> Iterator[WriteResult]:
        """Nothing is known: no job is ever begun here."""
        del job
        return unknown(changes)

    def read_back(
        self, object_type: str, ids: Collection[str]
    ) -> dict[str, dict[Output, str | None]]:
        """What HubSpot holds in the written fields."""
        return self._writer.read_back(object_type, ids)

    def stand_ins(self, object_type: str, ids: Collection[str]) -> dict[str, str]:
        """The records that answer for those that were merged into them."""
        return self._writer.stand_ins(object_type, ids)

    def add_entry(self, entry: Entry) -> None:
        """Create a task or a note of the contact."""
        entries.add(self._gateway, entry)

    def has_entry(self, entry: Entry) -> bool:
        """Whether the contact has a task or a note with the entry's mark."""
        return entries.has(self._gateway, entry)

    def close(self) -> None:
        """Close the connections."""
        self._gateway.close()


def _bound(gateway: Gateway, object_type: str) -> Callable[[], object]:
    return lambda: gateway.page(object_type, ["hs_object_id"])
