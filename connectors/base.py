"""The Connector protocol: the few verbs by which leadgauge knows a CRM.

A connector turns what a CRM says into pages of common-model rows, and carries out batches of
field writes. It decides nothing, and keeps no state but its connection and its call counts.
Everything a caller may rely on is said here; `tests/contract.py` holds every connector to it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import pyarrow as pa

from connectors.usage import Usage
from core.decision import Output

Progress = Callable[[str, int, int | None], None]
"""Told (stage, done, total or None) as work goes on."""


@dataclass(frozen=True)
class Stream:
    """One source of rows in a CRM: an object (or sweep) and the facts table that it feeds.

    `name` is the vendor's object name and identifies the stream's cursor. A stream that has
    no modified stamp to follow is read whole each time (`incremental` False). A stream is
    `complete` where reading it from its beginning shows every living record of the object type
    `name`, and rows of no other: what it then does not show is gone. With `only`, nothing need be
    read but the key, the stamp and these common fields: what else a row then holds is not known.
    """

    name: str
    table: str
    incremental: bool = True
    complete: bool = False
    only: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Cursor:
    """How far a stream has been read.

    Everything modified before `stamp` is stored. While a window is being read, `until` is its
    end and `id` the last record stored within it; a stream in (stamp, id) order has stored all
    rows up to and including (`stamp`, `id`). Where the CRM keeps the place itself (a bulk job, a
    list), `id` is its word for where to go on. A cursor never passes the run's start, and is
    stored in the same transaction as the page that it came with.
    """

    stamp: datetime | None = None
    id: str = ""
    until: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether a window was read to its end, and none has been begun since."""
        return self.stamp is not None and self.until is None


@dataclass(frozen=True)
class Removed:
    """A record that is gone: deleted or archived at `at`, or merged into `survivor`."""

    id: str
    at: datetime
    survivor: str | None = None


@dataclass(frozen=True)
class Page:
    """Rows of one stream in the Arrow schema of its facts table (`core.facts.arrow_schema`).

    No two rows of a page share a key. `cursor` is what to store with the page. `rejected` are
    rows that could not be read into the common model: record id, field and reason each.
    `earlier` are the versions of the rows' records before them, as far as the CRM keeps a history
    of its fields (`connectors.history`); None where it is not asked for. `ours` are the records
    that are an `Entry` of ours: they are there, and have no row.
    """

    stream: Stream
    rows: pa.Table
    cursor: Cursor
    removed: tuple[Removed, ...] = ()
    rejected: tuple["RowProblem", ...] = ()
    earlier: pa.Table | None = None
    ours: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowProblem:
    """A value of one record that could not be read; never the value itself."""

    record_id: str
    field: str
    reason: str


class FieldKind(StrEnum):
    """What a CRM field can hold, as far as leadgauge must know."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    CHOICE = "choice"
    REFERENCE = "reference"
    OTHER = "other"


@dataclass(frozen=True)
class Field:
    """A field of a CRM object, as the CRM describes it.

    `length` bounds text in characters, `whole_digits` and `decimals` bound numbers, `choices` are
    the values a CHOICE accepts (empty: any). A field that the CRM works out by itself is
    `calculated`. A field the user may not see is not described.
    """

    name: str
    label: str
    kind: FieldKind
    writable: bool
    length: int | None = None
    whole_digits: int | None = None
    decimals: int | None = None
    choices: tuple[str, ...] = ()
    calculated: bool = False


@dataclass(frozen=True)
class NewField:
    """A field to create for an output: `create_fields` chooses the vendor's type for `kind`."""

    object_type: str
    output: Output
    name: str
    label: str
    description: str
    kind: FieldKind


@dataclass(frozen=True)
class Problem:
    """Something that would fail in a run, found beforehand.

    `severity` is error (a run would fail), credentials (log-in or scope) or warning.
    `where` names the object and field or the setting; `advice` says what to do.
    """

    severity: str
    where: str
    what: str
    advice: str = ""


@dataclass(frozen=True)
class Change:
    """The fields to set on one record: output name -> canonical text, None to clear."""

    object_type: str
    id: str
    values: Mapping[Output, str | None]
    group: str = ""
    """Records that share a parent (an account's id): kept together, to avoid row locks."""
    modified_at: datetime | None = None
    """The record's stamp as it was when this was decided; the CRM is not sent it."""


class Status(StrEnum):
    """What became of one record of a write."""

    WRITTEN = "written"
    REFUSED = "refused"
    TRANSIENT = "transient"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class WriteResult:
    """The outcome of one change, matched to it by object type and id.

    WRITTEN: the CRM acknowledged it; `id` may differ from the one asked where the record was
    merged (`survivor`), and `modified_at` is the record's new stamp where the CRM says it.
    REFUSED: the CRM will refuse it again until the record or the mapping changes.
    TRANSIENT: refused for now (a row lock, an overload). UNKNOWN: sent, but no answer came.
    `code` and `reason` are the CRM's own words for a refusal.
    """

    change: Change
    status: Status
    code: str = ""
    reason: str = ""
    modified_at: datetime | None = None
    survivor: str | None = None


Began = Callable[[str, Sequence[Change]], None]
"""Told (job, its changes) as a job of the CRM that writes was made, before it can take effect."""


def untold(job: str, changes: Sequence[Change]) -> None:
    """For whoever does not ask a job again."""
    del job, changes


class EntryKind(StrEnum):
    """What can be put on a lead's record for people to read."""

    TASK = "task"
    NOTE = "note"


MARK = "[leadgauge:"
"""How the mark of every entry of ours begins; by it they are kept out of what is pulled."""


@dataclass(frozen=True)
class Entry:
    """A task or a note of ours on the record of a lead.

    `key` tells it apart from all others of ours. `subject` is one line of plain text, `body` are
    lines of it. `owner_id` is a person of the CRM, None: whoever the CRM takes; `due` is when.
    """

    kind: EntryKind
    object_type: str
    record_id: str
    key: str
    subject: str
    body: str
    due: datetime
    owner_id: str | None = None

    @property
    def mark(self) -> str:
        """What stands in the entry to find it by."""
        return f"{MARK}{self.key}]"


@dataclass(frozen=True)
class Price:
    """The API calls that something costs, by class as in `Usage`, known before it is done.

    `exact` is False where some of what they depend on shows only on the way: then it is about so
    many.
    """

    calls: Mapping[str, int] = field(default_factory=dict)
    exact: bool = True

    @property
    def total(self) -> int:
        """The calls of all classes."""
        return sum(self.calls.values())

    def __add__(self, other: "Price") -> "Price":
        return Price(Counter(self.calls) + Counter(other.calls), self.exact and other.exact)


@dataclass(frozen=True)
class Capabilities:
    """What a CRM can do, declared; callers read this and never a vendor's name.

    `write_batch` is how many records one write call takes. `bulk_write_from` is the number of
    changes from which bulk jobs are used instead (None: never), each for up to `bulk_write_batch`
    records of one object type, at about `bulk_write_calls` calls. `read_back_batch` is how many
    records of one object type one call reads back. `lookback` is how far before its cursor a
    stream is read again, against late commits and a lagging index.
    `objects` are the object types whose records can be written, `queue_objects` those among
    them whose owner may be a queue. `takes_entries`: tasks and notes can be put on records,
    each by one write call; to look for one takes `entry_reads` calls.
    `history`: the pages of leads and accounts carry their earlier versions. `tells_removed` is for
    how long a CRM that was read whole still tells of leads that were deleted: what is gone sooner
    without a word was erased there for good (None: that may have other causes).
    `fills` are the fields of each facts table that the connector fills without being asked to:
    common ones, those that follow from others included, and `custom.<name>`.
    """

    objects: tuple[str, ...]
    write_batch: int
    read_back_batch: int
    lookback: timedelta
    bulk_write_from: int | None = None
    bulk_write_batch: int = 0
    bulk_write_calls: int = 0
    can_write: bool = True
    can_create_fields: bool = True
    queue_objects: tuple[str, ...] = ()
    reports_removals: bool = True
    takes_entries: bool = True
    entry_reads: int = 1
    history: bool = False
    tells_removed: timedelta | None = None
    fills: Mapping[str, Set[str]] = field(default_factory=dict)


class Connector(Protocol):
    """A CRM that can be read and written. `name` is the connection's name in config.yaml."""

    name: str
    capabilities: Capabilities
    usage: Usage

    def now(self) -> datetime:
        """The CRM's own clock, UTC: the upper bound of a run. Costs at most one call."""

    def check(self) -> list[Problem]:
        """Log in and compare the mapping with the CRM: everything that would fail in a run.

        Reads only. Wrong credentials and missing scopes are problems of severity
        `credentials`, not exceptions; an unreachable host raises TemporaryError.
        """

    def fields(self, object_type: str) -> dict[str, Field]:
        """The fields of an object that this user can see, by name; read once per connector."""

    def lacks(self) -> Mapping[str, Set[str]]:
        """What of `Capabilities.fills` is never filled, because this CRM has no such field: by
        facts table. Only asked after a `check` without errors, and asks nothing more than it."""

    def written_fields(self, object_type: str) -> dict[Output, Field]:
        """The fields that outputs are written to on an object; what the CRM lacks is absent."""

    def missing_fields(self) -> list[NewField]:
        """The fields of the mapped outputs that the CRM does not have yet."""

    def create_fields(self, fields: Sequence[NewField]) -> list[Problem]:
        """Create fields and make them readable and writable; one that exists is left alone."""

    def streams(self) -> tuple[Stream, ...]:
        """What can be pulled, in the order in which it should be; for at most one call."""

    def count(self, stream: Stream, cursor: Cursor | None) -> int | None:
        """About how many records `pull` would read, for at most one call; None: not known."""

    def price(self, stream: Stream, cursor: Cursor | None, records: int | None) -> Price:
        """What `pull` will cost where `count` says `records`; asks nothing of the CRM."""

    def pull(self, stream: Stream, cursor: Cursor | None, until: datetime) -> Iterator[Page]:
        """The rows changed since `cursor` (None: all), up to and including `until`.

        At least one page is yielded, the last with the cursor from which the next run goes on.
        Pulling again from any page's cursor yields every row not stored by then. Equal stamps
        across a page boundary lose nothing; a row may come twice, in different pages.
        Raises MappingError for a field that is gone, CredentialsError, QuotaExhausted or
        TemporaryError, and Interrupted (`Usage.look`); what was yielded before stays valid.
        """

    def unstamped(self, stream: Stream) -> frozenset[str]:
        """The common fields of a complete stream that can change while its stamps stay.

        They come from fields that the CRM calculates, or that `mapping.unstamped` names. Costs
        no call once the stream was pulled. Raises MappingError for a name that is not mapped.
        """

    def read_again(self, stream: Stream, ids: Sequence[str]) -> Page:
        """Records of a complete stream that has `unstamped` fields as `pull` shows them now,
        whatever their stamps; one that is gone has no row. The cursor is of no use."""

    def write(self, changes: Sequence[Change], began: Began = untold) -> Iterator[WriteResult]:
        """Send changes; exactly one result for each, as soon as it is known.

        At most one change for each record. Only the given fields are sent. One refused record
        never stops the others. Where the CRM carries some out by a job of its own, `began` hears
        of it first; what it raises ends the writing, and the job does nothing. Raises only
        CredentialsError, QuotaExhausted and TemporaryError: a change without a result was then not
        sent. Interrupted (`Usage.look`) where some of them may have been.
        """

    def conclude(self, job: str, changes: Sequence[Change]) -> Iterator[WriteResult]:
        """What became of the changes of a job that an earlier process began; a result for each.

        Afterwards it writes nothing more: one that was not started yet is called off, one under
        way is waited for. UNKNOWN is what it does not tell, or the CRM tells of it no more.
        Raises what `write` raises, TemporaryError also while the job's end cannot be seen.
        """

    def read_back(
        self, object_type: str, ids: Collection[str]
    ) -> dict[str, dict[Output, str | None]]:
        """What the CRM now holds in the written fields, by record id, in canonical text.

        A record that is gone is absent; one that was merged answers under the id asked for.
        """

    def stand_ins(self, object_type: str, ids: Collection[str]) -> dict[str, str]:
        """Of some records those that another one stands for by now, with its id.

        They were merged into it, or converted to it: what is written to them is refused, or lands
        on the other one.
        """

    def add_entry(self, entry: Entry) -> None:
        """Put a task or a note on a record; it never comes back in a pull as an activity.

        Raises OutcomeUnknown where no answer came: `has_entry` then says whether it is there.
        What else it raises means that it is not.
        """

    def has_entry(self, entry: Entry) -> bool:
        """Whether the record has this entry already, told by its mark alone."""

    def close(self) -> None:
        """Release connections; the connector is not used afterwards."""
