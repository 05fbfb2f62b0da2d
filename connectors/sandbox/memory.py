"""The in-memory CRM as a connector: the whole protocol with no wire in between.

The shortest connector there is, and so the one to read first: every promise of
`connectors.base` is kept here in its plainest form. Record ids are the numbers of the records,
fields bear their neutral names, and what leadgauge writes is kept as canonical text under the
name of the output unless the settings name another field.
"""

import heapq
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors import mapping
from connectors.base import (
    MARK,
    Began,
    Capabilities,
    Change,
    Cursor,
    Entry,
    Field,
    FieldKind,
    NewField,
    Page,
    Price,
    Problem,
    Status,
    Stream,
    WriteResult,
    untold,
)
from connectors.errors import CredentialsError, MappingError, OutcomeUnknown
from connectors.history import Steps, earlier
from connectors.sandbox import neutral
from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.neutral import FIELDS
from connectors.settings import ConnectionSettings, WrittenField
from connectors.sources import common_field
from connectors.throttle import Sleep, retried
from connectors.unanswered import unknown
from connectors.usage import Usage
from connectors.values import WRITTEN_KINDS, canonical
from core.decision import Output
from core.facts import BY_NAME, SCORED

Hook = Callable[[str], None]
"""Told the class of a call (login, describe, read, write); raises to let the call fail."""

STREAMS = tuple(
    Stream(name, table, complete=True)
    for name, table in (
        ("user", "owners"),
        ("queue", "owners"),
        ("account", "accounts"),
        ("lead", "leads"),
        ("contact", "leads"),
        ("activity", "activities"),
        ("deal", "outcomes"),
    )
)
_TABLES = {Kind(stream.name): stream.table for stream in STREAMS}
LEAD_OBJECTS = (Kind.LEAD.value, Kind.CONTACT.value)

_FIELD_KINDS = {
    "employees": FieldKind.NUMBER,
    "revenue": FieldKind.NUMBER,
    "opt_out": FieldKind.BOOLEAN,
    "bounced_at": FieldKind.DATETIME,
    "accepted_at": FieldKind.DATETIME,
    "technologies": FieldKind.OTHER,
    "owner": FieldKind.REFERENCE,
}
TEXT_LENGTH = 255
NARROW = ("leads", "accounts")
"""The tables whose rows are made of fields that stand alone, and that have a history."""


def _passes(_: str) -> None:
    """The hook of a CRM in good health."""


class MemoryConnector:
    """A connector that stands directly on a `Crm`.

    `before` is told of every call before it is made, and `after` of every write once it is
    carried out; what they raise is what the call ends in, so that any trouble can be staged:
    `after` raising OutcomeUnknown is a write whose answer is lost. `locked` holds the ids of
    records that cannot be written for now. `history` names the fields of which a history is kept.
    """

    def __init__(
        self,
        name: str,
        crm: Crm,
        settings: ConnectionSettings | None = None,
        *,
        page_size: int = 500,
        write_batch: int = 100,
        lookback: timedelta = timedelta(minutes=5),
        locked: Collection[str] = (),
        history: Collection[str] = (),
        before: Hook = _passes,
        after: Hook = _passes,
        sleep: Sleep = time.sleep,
    ) -> None:
        self.name = name
        self.crm = crm
        self.usage = Usage(name)
        self._page_size = page_size
        self.capabilities = Capabilities(
            objects=LEAD_OBJECTS,
            write_batch=write_batch,
            read_back_batch=1_000_000,
            lookback=lookback,
            queue_objects=LEAD_OBJECTS,
            history=bool(history),
            fills={
                t.name: mapping.filled(t.model, (*FIELDS[t.name], *neutral.COMPUTED[t.name]))
                for t in SCORED
            },
        )
        self._settings = settings or ConnectionSettings()
        self._outputs = {
            output: self._settings.write.get(output, WrittenField(field=output)).field
            for output in self._settings.outputs()
        }
        self._locked = locked
        self._history = history
        self._before = before
        self._after = after
        self._sleep = sleep
        self._described: dict[Kind, dict[str, Field]] = {}

    def now(self) -> datetime:
        """The clock of the CRM."""
        return self.crm.clock()

    def check(self) -> list[Problem]:
        """Credentials, mapped fields that are not there, names that are not mapped, written fields
        that are not there."""
        try:
            self._call("login")
        except CredentialsError as error:
            return [Problem("credentials", "log-in", error.message, "give credentials that work")]
        unknown = [
            Problem("error", where, "there is no such field", "correct the mapping")
            for stream in STREAMS
            for where in self._unmapped(stream)
        ]
        try:
            self.unstamped(STREAMS[0])
        except MappingError as error:
            unknown.append(Problem("error", "mapping", error.message, "correct the mapping"))
        missing = [
            Problem(
                "error", f"{new.object_type}.{new.name}", "does not exist yet", "create it (setup)"
            )
            for new in self.missing_fields()
        ]
        return unknown + missing

    def fields(self, object_type: str) -> dict[str, Field]:
        """The standard fields of a kind, and the custom ones that were created."""
        kind = Kind(object_type)
        if kind not in self._described:
            self._call("describe")
            standard = FIELDS[_TABLES[kind]].values()
            described = {
                name: Field(name, name, _FIELD_KINDS.get(name, FieldKind.TEXT), writable=True)
                for name in standard
            }
            for name, made in self.crm.custom[kind].items():
                described[name] = Field(
                    name,
                    made["label"],
                    FieldKind(made["kind"]),
                    writable=True,
                    length=TEXT_LENGTH if made["kind"] == FieldKind.TEXT else None,
                    calculated=made.get("calculated", False),
                )
            self._described[kind] = described
        return self._described[kind]

    def lacks(self) -> dict[str, frozenset[str]]:
        """Nothing: it has all standard fields."""
        return {}

    def written_fields(self, object_type: str) -> dict[Output, Field]:
        """The fields that outputs go to, where they exist."""
        known = self.fields(object_type)
        return {o: known[name] for o, name in self._outputs.items() if name in known}

    def missing_fields(self) -> list[NewField]:
        """One for each output without a field, on leads and on contacts."""
        return [
            NewField(
                object_type,
                output,
                name,
                label=f"Leadgauge {output}",
                description=f"The {output} that leadgauge gave",
                kind=WRITTEN_KINDS[output],
            )
            for object_type in LEAD_OBJECTS
            for output, name in self._outputs.items()
            if name not in self.fields(object_type)
        ]

    def create_fields(self, fields: Sequence[NewField]) -> list[Problem]:
        """Define custom fields; one that is there already stays as it is."""
        for new in fields:
            if new.name not in self.fields(new.object_type):
                made = {"label": new.label, "kind": new.kind}
                self.crm.custom[Kind(new.object_type)].setdefault(new.name, made)
        self._described.clear()
        return []

    def streams(self) -> tuple[Stream, ...]:
        """One stream for each kind of record."""
        return STREAMS

    def count(self, stream: Stream, cursor: Cursor | None) -> int | None:
        """How many records were changed since the cursor, exactly."""
        after = _position(cursor)
        return sum(_place(r) > after for r in self.crm.records(Kind(stream.name), deleted=True))

    def price(self, stream: Stream, cursor: Cursor | None, records: int | None) -> Price:  # noqa: ARG002 - every stream is read alike
        """A log-in, and a call for each page."""
        return Price({"login": 1, "read": max(1, -(-(records or 0) // self._page_size))})

    def pull(self, stream: Stream, cursor: Cursor | None, until: datetime) -> Iterator[Page]:
        """Pages in the order of (stamp, number); deleted and merged records among them."""
        self._call("login")
        if unmapped := self._unmapped(stream):
            raise MappingError(f"no such field: {', '.join(unmapped)}", connection=self.name)
        while True:
            records, more = self._changed(Kind(stream.name), cursor, until)
            if more:
                stamp, number = _place(records[-1])
                cursor = Cursor(stamp, str(number), until)
            else:
                cursor = Cursor(until)
            yield self._page(stream, records, cursor)
            if not more:
                return

    def unstamped(self, stream: Stream) -> frozenset[str]:
        """The calculated fields, and those that the mapping names. Raises MappingError for a name
        that is not mapped."""
        known, named = self.fields(stream.name), self._settings.mapping.unstamped
        scored = {table.name for table in SCORED}
        mapped = (self._mapped(one) for one in STREAMS if one.table in scored)
        mapping.refuse_unmapped(named, (f for one in mapped for f in one.values()), self.name)
        return frozenset(
            common_field(column)
            for column, name in self._mapped(stream).items()
            if name in named or known[name].calculated
        )

    def read_again(self, stream: Stream, ids: Sequence[str]) -> Page:
        """All at once."""
        self._call("read")
        wanted = set(ids)
        records = self.crm.records(Kind(stream.name))
        return self._page(stream, [r for r in records if str(r.number) in wanted], Cursor())

    def write(self, changes: Sequence[Change], began: Began = untold) -> Iterator[WriteResult]:
        """In batches; each record stands or falls alone."""
        del began
        size = self.capabilities.write_batch
        for start in range(0, len(changes), size):
            batch = changes[start : start + size]
            self._call("write")
            results = [self._apply(change) for change in batch]
            try:
                self._after("write")
            except OutcomeUnknown as error:
                results = [WriteResult(c, Status.UNKNOWN, reason=str(error)) for c in batch]
            yield from results

    def conclude(self, job: str, changes: Sequence[Change]) -> Iterator[WriteResult]:
        """Nothing is known: no job is ever begun here."""
        del job
        return unknown(changes)

    def read_back(
        self, object_type: str, ids: Collection[str]
    ) -> dict[str, dict[Output, str | None]]:
        """The written fields of the records that are there, found under old ids as well."""
        self._call("read")
        found = {key: self._find(Kind(object_type), key) for key in ids}
        return {key: self._present(record) for key, record in found.items() if record is not None}

    def stand_ins(self, object_type: str, ids: Collection[str]) -> dict[str, str]:
        """Survivors of merges, and contacts of converted leads."""
        self._call("read")
        found: dict[str, str] = {}
        for key in ids:
            if record := self._find(Kind(object_type), key):
                other = str(record.values.get("converted_to") or record.number)
                found |= {key: other} if other != key else {}
        return found

    def add_entry(self, entry: Entry) -> None:
        """An activity of the person, kept out of the stream by its mark."""
        self._call("write")
        person = self._find(Kind(entry.object_type), entry.record_id)
        if person is None:
            raise MappingError("there is no such record", connection=self.name)
        owner = int(entry.owner_id) if entry.owner_id else None
        values = {"type": entry.kind.value, "at": entry.due, "owner": owner}
        values |= {"subject": f"{entry.subject} {entry.mark}", "body": entry.body}
        self.crm.add(Kind.ACTIVITY, {**values, "people": [person.number]})
        self._after("write")

    def has_entry(self, entry: Entry) -> bool:
        """Whether an activity of the person bears the mark."""
        self._call("read")
        person = self._find(Kind(entry.object_type), entry.record_id)
        return person is not None and any(
            entry.mark in (r.values.get("subject") or "") and person.number in r.values["people"]
            for r in self.crm.records(Kind.ACTIVITY)
        )

    def close(self) -> None:
        """Nothing is held."""

    def _call(self, kind: str) -> None:
        retried(lambda: self._before(kind), self.usage, sleep=self._sleep)
        self.usage.count(kind)

    def _mapped(self, stream: Stream) -> dict[str, str]:
        """Common field -> neutral or custom field, the settings' own mapping included."""
        chosen = getattr(self._settings.mapping, stream.table, {})
        columns = mapping.field_map(BY_NAME[stream.table].model, FIELDS[stream.table], chosen)
        return mapping.narrowed(columns, stream.only) if stream.table in NARROW else columns

    def _unmapped(self, stream: Stream) -> list[str]:
        known = self.fields(stream.name)
        names = self._mapped(stream).values()
        return [f"{stream.name}.{name}" for name in names if name not in known]

    def _changed(
        self, kind: Kind, cursor: Cursor | None, until: datetime
    ) -> tuple[list[Record], bool]:
        """The next records after a cursor, and whether there are more."""
        self._call("read")
        after, size = _position(cursor), self._page_size
        with self.crm.lock:
            later = (
                record
                for record in self.crm.records(kind, deleted=True)
                if (place := _place(record)) > after and place[0] <= until
            )
            found = heapq.nsmallest(size + 1, later, key=_place)
        return found[:size], len(found) > size

    def _page(self, stream: Stream, records: Sequence[Record], cursor: Cursor) -> Page:
        living = [r for r in records if r.deleted_at is None and not _ours(r)]
        mapped = mapping.table(BY_NAME[stream.table].model, self._columns(stream, living))
        removed = tuple(gone for record in records if (gone := neutral.removed(record)) is not None)
        past = None
        if self._history and stream.table in NARROW and not stream.only:
            past = earlier(
                BY_NAME[stream.table].model,
                mapped.rows,
                self._mapped(stream),
                {str(record.number): self._told(record) for record in living},
            )
        ours = tuple(str(r.number) for r in records if _ours(r))
        return Page(stream, mapped.rows, cursor, removed, mapped.rejected, past, ours)

    def _told(self, record: Record) -> dict[str, Steps]:
        states = [*record.states()][::-1]
        return {
            name: [(state.modified, neutral.value(state, name)) for state in states]
            for name in self._history
        }

    def _columns(self, stream: Stream, records: Sequence[Record]) -> dict[str, list[Any]]:
        """Raw columns under common names, the written fields of leads among them."""
        columns = neutral.columns(stream.table, records, self._mapped(stream))
        if stream.table == "activities":
            renamed = self._settings.mapping.activity_types
            columns["type"] = [renamed.get(word, word) for word in columns["type"]]
        if stream.table == "leads" and not stream.only:
            held = [self._present(r) for r in records]
            for output in self._outputs:
                columns[f"present.{output}"] = [each[output] for each in held]
        return columns

    def _find(self, kind: Kind, id: str) -> Record | None:
        """The living record of an id, or the one that it was merged into."""
        record = self.crm.get(kind, int(id)) if id.isdecimal() else None
        while record is not None and record.survivor is not None:
            record = self.crm.get(kind, record.survivor)
        return record if record is not None and record.deleted_at is None else None

    def _present(self, record: Record) -> dict[Output, str | None]:
        return {
            output: canonical(WRITTEN_KINDS[output], neutral.value(record, name))
            for output, name in self._outputs.items()
        }

    def _apply(self, change: Change) -> WriteResult:
        """Carry out one change, or say why not."""
        kind = Kind(change.object_type)
        with self.crm.lock:
            record = self._find(kind, change.id)
            if record is None:
                return WriteResult(change, Status.REFUSED, "NOT_FOUND", "there is no such record")
            if record.values.get("converted_at") is not None:
                return WriteResult(change, Status.REFUSED, "CONVERTED", "converted: read only")
            if change.id in self._locked:
                return WriteResult(change, Status.TRANSIENT, "LOCKED", "the record is locked")
            for output, value in change.values.items():
                if (refusal := self._refusal(kind, output, value)) is not None:
                    return WriteResult(change, Status.REFUSED, *refusal)
            names = self._outputs
            self.crm.update(record, {names[o]: _kept(o, v) for o, v in change.values.items()})
            survivor = str(record.number) if str(record.number) != change.id else None
            return WriteResult(
                change, Status.WRITTEN, modified_at=record.modified, survivor=survivor
            )

    def _refusal(self, kind: Kind, output: Output, value: str | None) -> tuple[str, str] | None:
        """Code and reason, where this value cannot be stored."""
        name = self._outputs[output]
        field = self.fields(kind).get(name)
        if field is None:
            return "NO_FIELD", f"there is no field {name}"
        if value is None:
            return None
        if field.length is not None and len(value) > field.length:
            return "TOO_LONG", f"{name} holds {field.length} characters"
        if output is Output.OWNER:
            owner = self._find(Kind.USER, value) or self._find(Kind.QUEUE, value)
            if owner is None or not owner.values.get("active", True):
                return "INVALID_OWNER", f"{name}: no active user or queue of that id"
        return None


def _ours(record: Record) -> bool:
    """Whether a record is an entry that `add_entry` made."""
    return MARK in (record.values.get("subject") or "")


def _place(record: Record) -> tuple[datetime, int]:
    """Where a record stands in its stream; a deletion counts as a change, stamped or not."""
    return max(record.modified, record.deleted_at or record.modified), record.number


def _position(cursor: Cursor | None) -> tuple[datetime, int]:
    """The place after which a cursor goes on."""
    if cursor is None or cursor.stamp is None:
        return datetime.min.replace(tzinfo=UTC), 0
    return cursor.stamp, int(cursor.id or 0)


def _kept(output: Output, value: str | None) -> str | int | None:
    """A written value as this CRM keeps it."""
    return int(value) if output is Output.OWNER and value is not None else value
