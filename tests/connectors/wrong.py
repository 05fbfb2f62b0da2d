"""Wrong connectors: each breaks one promise of the contract, and is rejected by one test of it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from connectors.base import (
    Began,
    Change,
    Cursor,
    Entry,
    Field,
    NewField,
    Page,
    Price,
    Problem,
    Status,
    Stream,
    WriteResult,
    untold,
)
from connectors.errors import MappingError, OutcomeUnknown, RateLimited
from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.memory import MemoryConnector
from core.decision import OPTIONAL, Output

Values = dict[str, list[Any]]


class NaiveTimes(MemoryConnector):
    """Gives times without their zone."""

    def _page(self, stream: Stream, records: Sequence[Record], cursor: Cursor) -> Page:
        page = super()._page(stream, records, cursor)
        place = page.rows.schema.get_field_index("modified_at")
        naive = page.rows["modified_at"].cast(pa.timestamp("us"))
        return replace(page, rows=page.rows.set_column(place, "modified_at", naive))


class OneNameTwice(MemoryConnector):
    """Gives two streams one name."""

    def streams(self) -> tuple[Stream, ...]:
        return (*super().streams(), Stream("lead", "leads", incremental=False))


class RepeatedRows(MemoryConnector):
    """Gives every row of a page twice."""

    def _page(self, stream: Stream, records: Sequence[Record], cursor: Cursor) -> Page:
        return super()._page(stream, [*records, *records], cursor)


class NoTitle(MemoryConnector):
    """Forgets a column."""

    def _columns(self, stream: Stream, records: Sequence[Record]) -> Values:
        return {k: v for k, v in super()._columns(stream, records).items() if k != "title"}


class NoAccount(MemoryConnector):
    """Forgets where a person works."""

    def _columns(self, stream: Stream, records: Sequence[Record]) -> Values:
        return {k: v for k, v in super()._columns(stream, records).items() if k != "account_id"}


class FirstPersonOnly(MemoryConnector):
    """Gives what concerns several people to the first of them."""

    def _columns(self, stream: Stream, records: Sequence[Record]) -> Values:
        people = [r.values.get("people", [])[:1] for r in records]
        first = [
            replace(r, values={**r.values, "people": p})
            for r, p in zip(records, people, strict=True)
        ]
        return super()._columns(stream, first)


class NoEmptyPage(MemoryConnector):
    """Says nothing where there is nothing."""

    def pull(self, stream: Stream, cursor: Cursor | None, until: datetime) -> Iterator[Page]:
        return (page for page in super().pull(stream, cursor, until) if page.rows.num_rows)


class FirstPageOnly(MemoryConnector):
    """Takes the first page for all there is."""

    def pull(self, stream: Stream, cursor: Cursor | None, until: datetime) -> Iterator[Page]:
        yield replace(next(super().pull(stream, cursor, until)), cursor=Cursor(until))


class SkipsOne(MemoryConnector):
    """Gives cursors that skip the record after the page."""

    def _page(self, stream: Stream, records: Sequence[Record], cursor: Cursor) -> Page:
        if cursor.id:
            cursor = replace(cursor, id=str(int(cursor.id) + 1))
        return super()._page(stream, records, cursor)


class StampOnly(MemoryConnector):
    """Goes on by the stamp alone, and so begins again at equal ones."""

    def pull(self, stream: Stream, cursor: Cursor | None, until: datetime) -> Iterator[Page]:
        start = replace(cursor, id="") if cursor else None
        return super().pull(stream, start, until)


class CursorAhead(MemoryConnector):
    """Gives a last cursor later than the end of the window."""

    def _page(self, stream: Stream, records: Sequence[Record], cursor: Cursor) -> Page:
        if cursor.until is None:
            cursor = Cursor(self.crm.clock() + timedelta(seconds=1))
        return super()._page(stream, records, cursor)


class AllAgain(MemoryConnector):
    """Reads everything each time."""

    def pull(self, stream: Stream, cursor: Cursor | None, until: datetime) -> Iterator[Page]:
        return super().pull(stream, cursor if cursor and cursor.until else None, until)


class NeverLooksBack(MemoryConnector):
    """Declares a look-back, and begins at the cursor all the same."""

    def pull(self, stream: Stream, cursor: Cursor | None, until: datetime) -> Iterator[Page]:
        if cursor is not None and cursor.stamp is not None and cursor.until is None:
            cursor = Cursor(cursor.stamp + self.capabilities.lookback)
        return super().pull(stream, cursor, until)


class CursorOfTheLastAnswer(MemoryConnector):
    """Takes the time of the last answer for the time up to which all was read."""

    def _page(self, stream: Stream, records: Sequence[Record], cursor: Cursor) -> Page:
        end = cursor if cursor.until is not None else Cursor(self.crm.clock())
        return super()._page(stream, records, end)


class AsciiOnly(MemoryConnector):
    """Knows no letters but English ones."""

    def _columns(self, stream: Stream, records: Sequence[Record]) -> Values:
        columns = super()._columns(stream, records)
        if "first_name" in columns:
            names = columns["first_name"]
            columns["first_name"] = [n and n.encode("ascii", "replace").decode() for n in names]
        return columns


class SilentlyEmpty(MemoryConnector):
    """Does not tell what it could not read."""

    def _page(self, stream: Stream, records: Sequence[Record], cursor: Cursor) -> Page:
        return replace(super()._page(stream, records, cursor), rejected=())


class FormulasUndeclared(MemoryConnector):
    """Takes every field for one that moves a stamp."""

    def unstamped(self, stream: Stream) -> frozenset[str]:
        return super().unstamped(stream) & frozenset()


class MisspeltNamesPass(MemoryConnector):
    """Lets a name pass that no field is mapped to."""

    def unstamped(self, stream: Stream) -> frozenset[str]:
        try:
            return super().unstamped(stream)
        except MappingError:
            return frozenset()


class NarrowToNothing(MemoryConnector):
    """Leaves out what a narrowed stream is about."""

    def _columns(self, stream: Stream, records: Sequence[Record]) -> Values:
        columns = super()._columns(stream, records)
        return {name: cells for name, cells in columns.items() if name not in stream.only}


class ReadsOneAgain(MemoryConnector):
    """Reads again the first of the records that it is asked for."""

    def read_again(self, stream: Stream, ids: Sequence[str]) -> Page:
        return super().read_again(stream, ids[:1])


class GuessedCount(MemoryConnector):
    """Tells one too many."""

    def count(self, stream: Stream, cursor: Cursor | None) -> int | None:
        return (super().count(stream, cursor) or 0) + 1


class NoRemovals(MemoryConnector):
    """Never tells what is gone."""

    def _page(self, stream: Stream, records: Sequence[Record], cursor: Cursor) -> Page:
        return replace(super()._page(stream, records, cursor), removed=())


class NoSurvivors(MemoryConnector):
    """Tells what is gone, not what it was merged into."""

    def _page(self, stream: Stream, records: Sequence[Record], cursor: Cursor) -> Page:
        page = super()._page(stream, records, cursor)
        return replace(page, removed=tuple(replace(r, survivor=None) for r in page.removed))


class ConvertedStay(MemoryConnector):
    """Takes a converted lead for a living one."""

    def _page(self, stream: Stream, records: Sequence[Record], cursor: Cursor) -> Page:
        page = super()._page(stream, records, cursor)
        living = set(page.rows["id"].to_pylist())
        return replace(page, removed=tuple(r for r in page.removed if r.id not in living))


class OnceGoneForEver(MemoryConnector):
    """Ignores a record that was once deleted."""

    def _page(self, stream: Stream, records: Sequence[Record], cursor: Cursor) -> Page:
        gone: set[int] = self.__dict__.setdefault("gone", set())
        gone |= {r.number for r in records if r.deleted_at is not None}
        kept = [r for r in records if r.deleted_at is not None or r.number not in gone]
        return super()._page(stream, kept, cursor)


class LocalTime(MemoryConnector):
    """Tells the time without its zone."""

    def now(self) -> datetime:
        return super().now().replace(tzinfo=None)


class CheckKnowsNothing(MemoryConnector):
    """Finds that all is well, always."""

    def check(self) -> list[Problem]:
        return []


class OnePageIsAll(MemoryConnector):
    """Takes every stream for one page long."""

    def price(self, stream: Stream, cursor: Cursor | None, records: int | None) -> Price:  # noqa: ARG002
        return super().price(stream, cursor, 1)


class TriesAWrite(MemoryConnector):
    """Checks whether it can write by writing."""

    def check(self) -> list[Problem]:
        for record in self.crm.records(Kind.LEAD):
            self.crm.update(record, {})
        return super().check()


class AsksAgain(MemoryConnector):
    """Reads the fields of an object each time."""

    def fields(self, object_type: str) -> dict[str, Field]:
        self._described.clear()
        return super().fields(object_type)


class AnyFieldWillDo(MemoryConnector):
    """Reads nothing from a field that is not there, and does not say so."""

    def _unmapped(self, stream: Stream) -> list[str]:
        return super()._unmapped(stream)[:0]


class Impatient(MemoryConnector):
    """Fails at the first rate limit."""

    def _call(self, kind: str) -> None:
        self._before(kind)
        self.usage.count(kind)


class BlamesTheRecord(Impatient):
    """Takes a rate limit for a refusal."""

    def write(self, changes: Sequence[Change], began: Began = untold) -> Iterator[WriteResult]:
        try:
            yield from super().write(changes, began)
        except RateLimited as error:
            for change in changes:
                yield WriteResult(change, Status.REFUSED, "RATE_LIMIT", str(error))


class CreatesNothing(MemoryConnector):
    """Says that it created the fields."""

    def create_fields(self, fields: Sequence[NewField]) -> list[Problem]:
        return super().create_fields(fields[:0])


class CreatesAnew(MemoryConnector):
    """Replaces a field that is there."""

    def create_fields(self, fields: Sequence[NewField]) -> list[Problem]:
        for new in fields:
            self.crm.custom[Kind(new.object_type)].pop(new.name, None)
        self._described.clear()
        return super().create_fields(fields)


class OwnerUndescribed(MemoryConnector):
    """Forgets the owner among the fields that are written."""

    def written_fields(self, object_type: str) -> dict[Output, Field]:
        fields = super().written_fields(object_type)
        return {output: field for output, field in fields.items() if output is not Output.OWNER}


class WholePoints(MemoryConnector):
    """Writes a score without its fraction."""

    def _apply(self, change: Change) -> WriteResult:
        score = (change.values.get(Output.SCORE) or "").partition(".")[0]
        values = {**change.values, Output.SCORE: score}
        return replace(super()._apply(replace(change, values=values)), change=change)


class TextAsItLies(MemoryConnector):
    """Reads back what was typed to the letter, and shows it trimmed in a pull."""

    def read_back(
        self, object_type: str, ids: Collection[str]
    ) -> dict[str, dict[Output, str | None]]:
        held = super().read_back(object_type, ids)
        return {key: {o: v and f"{v} " for o, v in row.items()} for key, row in held.items()}


class FirstBatchOnly(MemoryConnector):
    """Sends as much as a call takes, and forgets the rest."""

    def write(self, changes: Sequence[Change], began: Began = untold) -> Iterator[WriteResult]:
        return super().write(changes[: self.capabilities.write_batch], began)


class OnlyRecentOnes(MemoryConnector):
    """Says that it shows all, and leaves out what nobody touched for two hours."""

    def pull(self, stream: Stream, cursor: Cursor | None, until: datetime) -> Iterator[Page]:
        return super().pull(stream, cursor or Cursor(until - timedelta(hours=2)), until)


class AllOrNothing(MemoryConnector):
    """Lets one refused record refuse them all."""

    def write(self, changes: Sequence[Change], began: Began = untold) -> Iterator[WriteResult]:
        results = list(super().write(changes, began))
        refused = [r for r in results if r.status is Status.REFUSED]
        return (replace(refused[0], change=r.change) if refused else r for r in results)


class EveryJobIsDone(MemoryConnector):
    """Takes a job that it does not know for one that wrote all."""

    def conclude(self, job: str, changes: Sequence[Change]) -> Iterator[WriteResult]:
        del job
        return (WriteResult(change, Status.WRITTEN) for change in changes)


class WrittenToNobody(MemoryConnector):
    """Takes a record that is not there for one that was written."""

    def _apply(self, change: Change) -> WriteResult:
        result = super()._apply(change)
        return WriteResult(change, Status.WRITTEN) if result.code == "NOT_FOUND" else result


class WholeRecord(MemoryConnector):
    """Sends every field, those not named as empty."""

    def _apply(self, change: Change) -> WriteResult:
        usual = set(Output) - OPTIONAL
        values = {output: change.values.get(output) for output in usual}
        return replace(super()._apply(replace(change, values=values)), change=change)


class NothingCleared(MemoryConnector):
    """Leaves out what is None."""

    def _apply(self, change: Change) -> WriteResult:
        values = {output: value for output, value in change.values.items() if value is not None}
        return replace(super()._apply(replace(change, values=values)), change=change)


class LostIsRefused(MemoryConnector):
    """Takes a lost answer for a refusal."""

    def write(self, changes: Sequence[Change], began: Began = untold) -> Iterator[WriteResult]:
        for result in super().write(changes, began):
            lost = result.status is Status.UNKNOWN
            yield replace(result, status=Status.REFUSED) if lost else result


class TellsAtTheEnd(MemoryConnector):
    """Tells nothing before all is done, and so nothing at all where it breaks off."""

    def write(self, changes: Sequence[Change], began: Began = untold) -> Iterator[WriteResult]:
        return iter(list(super().write(changes, began)))


class SurvivorUnsaid(MemoryConnector):
    """Writes to the survivor of a merge without a word."""

    def _apply(self, change: Change) -> WriteResult:
        return replace(super()._apply(change), survivor=None)


class AnswersUnderNewId(MemoryConnector):
    """Reads a merged record back under an id that nobody asked for."""

    def read_back(
        self, object_type: str, ids: Collection[str]
    ) -> dict[str, dict[Output, str | None]]:
        found = [self._find(Kind(object_type), key) for key in ids]
        return {str(r.number): self._present(r) for r in found if r is not None}


class NobodyStandsIn(MemoryConnector):
    """Takes merged and converted records for what they were."""

    def stand_ins(self, object_type: str, ids: Collection[str]) -> dict[str, str]:
        return dict(list(super().stand_ins(object_type, ids).items())[:0])


class NoEcho(MemoryConnector):
    """Does not read what it wrote."""

    def _columns(self, stream: Stream, records: Sequence[Record]) -> Values:
        columns = super()._columns(stream, records)
        return {name: column for name, column in columns.items() if "present." not in name}


class HalfTheObjects(MemoryConnector):
    """Does not declare that contacts can be written."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.capabilities = replace(self.capabilities, objects=(Kind.LEAD.value,))


class QueuesUndeclared(MemoryConnector):
    """Can assign queues, and says that it cannot."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.capabilities = replace(self.capabilities, queue_objects=())


class TitlesUndeclared(MemoryConnector):
    """Fills job titles, and does not say so."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        fills = {table: names - {"title"} for table, names in self.capabilities.fills.items()}
        self.capabilities = replace(self.capabilities, fills=fills)


class TitlesLacking(MemoryConnector):
    """Says that there are no job titles, where everybody has one."""

    def lacks(self) -> dict[str, frozenset[str]]:
        return {"leads": frozenset({"title"})}


class FreeOfCharge(MemoryConnector):
    """Counts no call."""

    def _call(self, kind: str) -> None:
        self._before(kind)


class AnyEntryWillDo(MemoryConnector):
    """Takes any entry on a record for the one that is looked for."""

    def has_entry(self, entry: Entry) -> bool:
        return any(
            int(entry.record_id) in record.values["people"]
            for record in self.crm.records(Kind.ACTIVITY)
        )


class CountsItsOwnTasks(MemoryConnector):
    """Writes entries without the mark that keeps them out of a pull."""

    def add_entry(self, entry: Entry) -> None:
        people = [int(entry.record_id)]
        self.crm.add(Kind.ACTIVITY, {"type": "task", "at": entry.due, "people": people})


class LostIsDone(MemoryConnector):
    """Takes an answer that never came for a yes."""

    def add_entry(self, entry: Entry) -> None:
        try:
            super().add_entry(entry)
        except OutcomeUnknown:
            return


class EntryOnNothing(MemoryConnector):
    """Says nothing where there is no record."""

    def add_entry(self, entry: Entry) -> None:
        try:
            super().add_entry(entry)
        except MappingError:
            return
