"""Exports of a CRM as a CRM: CSV or Parquet files to read, one CSV file to import.

Every pull reads a file whole; where `modified_at` is mapped, only rows that changed are passed
on. What waits in the import file counts as done until the leads are exported anew: the CRM is
expected to hold it by then.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors import values
from connectors.base import (
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
    RowProblem,
    Status,
    Stream,
    WriteResult,
    untold,
)
from connectors.columns import by_distinct, text
from connectors.errors import MappingError, TemporaryError
from connectors.files import exports, imports
from connectors.files.settings import FilesSettings
from connectors.mapping import MAPS, Mapped, field_map, filled, table
from connectors.sources import common_field
from connectors.unanswered import unknown
from connectors.usage import Usage
from core import normalise
from core.decision import Output
from core.facts import BY_NAME, SCORED
from core.spreadsheet import neutralised, plain

STREAMS = ("owners", "accounts", "leads", "activities", "outcomes")
_GIVEN = {"object_type": None, "modified_at": None, "kind": "person", "active": True}
"""What a file need not say of its rows; the object type and the stamp are known otherwise."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEGINNING = (-(2**63), "")


def _real_time() -> datetime:
    return datetime.now(UTC)


class FilesConnector:
    """The Connector of one folder of exports.

    An object type is the name of its facts table. Exports need not say when a row changed, nor
    what kind an owner is (a person) or whether active (yes): a file without a column for its
    rows' stamps is taken to be as of when it was written.
    """

    def __init__(
        self,
        name: str,
        settings: FilesSettings,
        *,
        clock: Callable[[], datetime] = _real_time,
        page_size: int = 10_000,
    ) -> None:
        self.name = name
        self.usage = Usage(name)
        self._page_size = page_size
        self.capabilities = Capabilities(
            objects=("leads",),
            write_batch=1_000_000,
            read_back_batch=1_000_000,
            lookback=timedelta(hours=1),
            can_create_fields=False,
            queue_objects=("leads",),
            reports_removals=False,
            takes_entries=False,
            # A column of an export is the field whose name it bears.
            fills={t.name: frozenset(t.model.model_fields.keys() - MAPS) for t in SCORED},
        )
        self._settings = settings
        self._clock = clock
        self._import_file = settings.folder / settings.import_file
        self._outputs = {output: settings.column(output) for output in settings.outputs()}

    def now(self) -> datetime:
        """The clock of this machine."""
        return self._clock()

    def check(self) -> list[Problem]:
        """Files and columns that are missing; written fields that the export leaves out."""
        problems = []
        for name in self._tables():
            try:
                what = self._missing(name)
            except MappingError as error:
                what = [str(error)]
            problems += [
                Problem("error", f"{self.name}.{name}", each, "export it, or correct the mapping")
                for each in what
            ]
        if problems:
            return problems
        exported = self.fields("leads")
        return [
            Problem(
                "warning",
                f"{self.name}.leads.{column}",
                f"the export has no column {column}",
                "export it too: else it is written again after every export",
            )
            for column in self._outputs.values()
            if column not in exported
        ]

    def fields(self, object_type: str) -> dict[str, Field]:
        """The columns of an export."""
        writable = set(self._outputs.values()) if object_type == "leads" else set()
        return {
            name: Field(name, name, FieldKind.TEXT, writable=name in writable)
            for name in exports.columns(self._file(object_type))
        }

    def lacks(self) -> dict[str, frozenset[str]]:
        """What the files that are given have no column for."""
        fills = self.capabilities.fills
        given = [table for table in SCORED if table.name in self._tables()]
        there = {t.name: map(common_field, self._columns(t.name)) for t in given}
        return {t.name: frozenset(fills[t.name]) - filled(t.model, there[t.name]) for t in given}

    def written_fields(self, object_type: str) -> dict[Output, Field]:
        """Every output: the import file has a column for each."""
        if object_type != "leads":
            return {}
        return {
            output: Field(column, column, values.WRITTEN_KINDS[output], writable=True)
            for output, column in self._outputs.items()
        }

    def missing_fields(self) -> list[NewField]:
        """None that is known: whoever imports the file sees to it."""
        return []

    def create_fields(self, fields: Sequence[NewField]) -> list[Problem]:
        """Refused for each field: files cannot create any."""
        return [
            Problem("error", f"{new.object_type}.{new.name}", "cannot be created", "create it")
            for new in fields
        ]

    def streams(self) -> tuple[Stream, ...]:
        """One for each file that is given."""
        mapped = self._settings.mapping
        return tuple(
            Stream(name, name, incremental=bool(getattr(mapped, name).get("modified_at")))
            for name in self._tables()
        )

    def count(self, stream: Stream, cursor: Cursor | None) -> int | None:  # noqa: ARG002 - all is read
        """How many rows the file has, all of which are read."""
        column = self._mapped(stream.table)["id"]
        return len(self._read(self._file(stream.table), [column])[column])

    def price(self, stream: Stream, cursor: Cursor | None, records: int | None) -> Price:  # noqa: ARG002 - a file is read whole
        """A file is read once."""
        return Price({"read": 1})

    def pull(self, stream: Stream, cursor: Cursor | None, until: datetime) -> Iterator[Page]:
        """Rows in the order of (stamp, id); the last cursor is the latest stamp in the file.

        No later cursor is safe: a file can be copied here long after it was exported.
        """
        name = stream.table
        mapped, pending = self._rows(name, until)
        rows, repeated = exports.unique(mapped.rows, BY_NAME[name].key)
        places = exports.places(rows)
        end = _microseconds(until)
        start = (_microseconds(cursor.stamp), cursor.id) if cursor and cursor.stamp else _BEGINNING
        found = {
            row: place
            for row, place in enumerate(places)
            if place[0] <= end and (place > start or place[1] in pending)
        }
        latest = max((stamp for stamp, _ in places if stamp <= end), default=None)
        problems = _by_record([*mapped.rejected, *repeated])
        left_out = set(problems).difference(rows["id"].to_pylist())
        batches = exports.batches(found, self._page_size) or [[]]
        for number, batch in enumerate(batches, start=1):
            page = rows.take(pa.array(batch, pa.int64()))
            ids = dict.fromkeys(page["id"].to_pylist())
            if number < len(batches):
                stamp, last = found[batch[-1]]
                reached = Cursor(_moment(stamp), last, until)
            else:
                reached = Cursor(None if latest is None else _moment(latest))
                ids.update(dict.fromkeys(sorted(left_out)))
            told = tuple(problem for key in ids for problem in problems.get(key, ()))
            yield Page(stream, page, reached, rejected=told)

    def unstamped(self, stream: Stream) -> frozenset[str]:  # noqa: ARG002 - alike for all
        """None: no stream is complete."""
        return frozenset()

    def read_again(self, stream: Stream, ids: Sequence[str]) -> Page:  # noqa: ARG002 - none is
        """Files are read whole as they come."""
        raise MappingError(f"{stream.name} is not read again", connection=self.name)

    def write(self, changes: Sequence[Change], began: Began = untold) -> Iterator[WriteResult]:
        """Put changes into the import file, beside those that wait in it for the same records."""
        del began
        if not changes:
            return
        column = self._mapped("leads")["id"]
        known = set(text(self._read(self._file("leads"), [column])[column]).to_pylist())
        rows = self._pending()
        for change in changes:
            if change.id in known:
                cells = {self._outputs[o]: self._cell(o, v) for o, v in change.values.items()}
                rows[change.id] = {**rows.get(change.id, {}), **cells}
        # What waits may be in columns that nothing is written to any more.
        used = dict.fromkeys(name for cells in rows.values() for name in cells)
        written = [name for name in self._outputs.values() if name in used]
        names = list(dict.fromkeys([*written, *used]))
        self.usage.count("write")
        try:
            imports.save(self._import_file, column, names, rows)
        except OSError as error:
            raise TemporaryError(
                f"cannot write {self._import_file}: {error.strerror}", connection=self.name
            ) from error
        for change in changes:
            if change.id in known:
                yield WriteResult(change, Status.WRITTEN)
            else:
                reason = f"{self._settings.leads} holds no such record"
                yield WriteResult(change, Status.REFUSED, "NOT_FOUND", reason)

    def conclude(self, job: str, changes: Sequence[Change]) -> Iterator[WriteResult]:
        """Nothing is known: no job is ever begun here."""
        del job
        return unknown(changes)

    def read_back(
        self, object_type: str, ids: Collection[str]
    ) -> dict[str, dict[Output, str | None]]:
        """What the export and the import file hold in the written fields."""
        wanted = set(ids)
        mapped, _ = self._rows(object_type, self.now())
        held = zip(*(mapped.rows[name].to_pylist() for name in ("id", "present")), strict=True)
        return {
            key: {output: dict(present).get(output) for output in self._outputs}
            for key, present in held
            if key in wanted
        }

    def stand_ins(self, object_type: str, ids: Collection[str]) -> dict[str, str]:  # noqa: ARG002
        """Nobody: a file does not tell."""
        return {}

    def add_entry(self, entry: Entry) -> None:
        """An import file has no place for one."""
        raise MappingError(f"a file takes no {entry.kind}s", connection=self.name)

    def has_entry(self, entry: Entry) -> bool:  # noqa: ARG002 - none was ever taken
        """None is ever there."""
        return False

    def close(self) -> None:
        """Nothing is held."""

    def _tables(self) -> list[str]:
        return [name for name in STREAMS if self._settings.file(name) is not None]

    def _file(self, name: str) -> Path:
        path = self._settings.file(name)
        if path is None:
            raise MappingError(f"no file of {name} is given", connection=self.name)
        return path

    def _read(self, path: Path, names: Collection[str]) -> dict[str, pa.Array]:
        self.usage.count("read")
        return exports.read(path, names)

    def _mapped(self, name: str) -> dict[str, str]:
        """Common field -> column. Raises MappingError for columns that are missing."""
        if missing := self._missing(name):
            raise MappingError(f"{name}: {'; '.join(missing)}", connection=self.name)
        return self._columns(name)

    def _columns(self, name: str) -> dict[str, str]:
        """Common field -> column: as mapped, else the column that bears the field's name."""
        header, model = exports.columns(self._file(name)), BY_NAME[name].model
        own = {
            field: field for field in model.model_fields if field in header and field not in MAPS
        }
        return field_map(model, own, getattr(self._settings.mapping, name))

    def _missing(self, name: str) -> list[str]:
        """What a file lacks, in words."""
        file, columns = self._file(name), self._columns(name)
        header = exports.columns(file)
        absent = [column for column in columns.values() if header.count(column) != 1]
        model = BY_NAME[name].model
        unmapped = [
            field
            for field, info in model.model_fields.items()
            if info.is_required() and field not in columns and field not in _GIVEN
        ]
        return [
            f"{file.name} has {'several columns' if column in header else 'no column'} {column}"
            for column in absent
        ] + [f"{file.name} has no column {field}, and none is mapped to it" for field in unmapped]

    def _rows(self, name: str, until: datetime) -> tuple[Mapped, Collection[str]]:
        """A file in the common model, and the ids of its records that await their import."""
        path, fields = self._file(name), self._mapped(name)
        outputs: dict[Output, str] = {}
        if name == "leads":
            header = exports.columns(path)
            outputs = {o: column for o, column in self._outputs.items() if column in header}
        cells = self._read(path, {*fields.values(), *outputs.values()})
        raw: dict[str, Any] = {field: cells[column] for field, column in fields.items()}
        count = len(raw["id"])
        as_of = min(until, datetime.fromtimestamp(path.stat().st_mtime, UTC))
        for field, value in {**_GIVEN, "modified_at": as_of}.items():
            if field in BY_NAME[name].model.model_fields:
                raw.setdefault(field, [value] * count)
        raw["object_type"] = [name] * count
        if name == "activities":
            named = self._settings.mapping.activity_types
            raw["type"] = by_distinct(
                text(raw["type"]), lambda given: named.get(given) or normalise.word(given)
            ).values
        pending = self._pending() if name == "leads" else {}
        if name == "leads":
            ids = text(raw["id"]).to_pylist()
            for output, column in self._outputs.items():
                held = cells[column] if column in cells else pa.nulls(count, pa.string())
                raw[f"present.{output}"] = self._present(held, column, ids, pending)
        return table(BY_NAME[name].model, raw), pending

    def _present(
        self,
        held: pa.Array,
        column: str,
        ids: Sequence[str | None],
        pending: Mapping[str, Mapping[str, str]],
    ) -> list[str | None]:
        """What a written column holds: what awaits its import, else what was exported."""
        found: list[str | None] = []
        for key, exported in zip(ids, text(held).to_pylist(), strict=True):
            cell = pending.get(key or "", {}).get(column, exported)
            found.append(None if cell in (None, self._settings.cleared) else plain(cell))
        return found

    def _pending(self) -> dict[str, dict[str, str]]:
        """The rows of the import file, unless the leads were exported after it was written."""
        exported = self._file("leads").stat().st_mtime_ns
        if not self._import_file.exists() or self._import_file.stat().st_mtime_ns < exported:
            return {}
        return imports.load(self._import_file, self._columns("leads")["id"])

    def _cell(self, output: Output, value: str | None) -> str:
        if value is None:
            return self._settings.cleared
        if values.WRITTEN_KINDS[output] in (FieldKind.NUMBER, FieldKind.DATETIME):
            return value
        return neutralised(value)


def _by_record(problems: Iterable[RowProblem]) -> dict[str, list[RowProblem]]:
    found: dict[str, list[RowProblem]] = {}
    for problem in problems:
        found.setdefault(problem.record_id, []).append(problem)
    return found


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
