"""Writing: Collections calls of 200 records, and Bulk 2.0 ingest above a stated size.

Records are only ever updated by their id. A value sent is absolute, so sending it twice does
no harm by itself; yet every write runs the org's triggers, so a call whose answer was lost is
settled by reading back before anything is sent again.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import groupby

from connectors.base import Began, Change, Field, FieldKind, Status, WriteResult
from connectors.errors import ConnectorError, OutcomeUnknown, TemporaryError
from connectors.salesforce import ingest, soql
from connectors.salesforce.client import SalesforceClient
from connectors.salesforce.failures import CallRefused
from connectors.salesforce.fields import Schema
from connectors.throttle import Sleep
from connectors.unanswered import complete, settled, unknown
from connectors.values import WRITTEN_KINDS, canonical
from core.decision import Output

COLLECTION = 200
"""Most records in one Collections call."""

READ_COLLECTION = 2_000
BULK_FROM = 2_001
"""Up to 2,000 records Collections is faster; a bulk job has a floor of many seconds."""

BULK_CALLS = 12
"""Create, upload, start, some looks at the state, and three result files."""

LOCK_ROUNDS = ((COLLECTION, 0.0), (50, 1.0), (10, 3.0), (1, 6.0))
"""Batch size and wait in seconds, round by round, for records that were locked before."""

TRANSIENT_CODES = frozenset(
    {"", "UNABLE_TO_LOCK_ROW", "ALL_OR_NONE_OPERATION_ROLLED_BACK", "PROCESSING_HALTED"}
)
TRIGGER_CODES = frozenset(
    {"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "CANNOT_EXECUTE_FLOW_TRIGGER", "APEX_ERROR"}
)
PASSING = ("UNABLE_TO_LOCK_ROW", "CPU time limit")
"""What in a failed trigger's message passes by itself."""

MASTER, CONVERTED = "MasterRecordId", "ConvertedContactId"
"""The fields that lead to who stands for a record that was merged, or converted."""

Held = dict[str, dict[Output, str | None]]


@dataclass(frozen=True)
class Writer:
    """Carries out changes. `bulk_from` None: never by a bulk job."""

    client: SalesforceClient
    schema: Schema
    sleep: Sleep
    bulk_from: int | None

    def write(self, changes: Sequence[Change], began: Began) -> Iterator[WriteResult]:
        """One result for each change, as soon as it is known."""
        return complete(changes, self._results(changes, began))

    def _results(self, changes: Sequence[Change], began: Began) -> Iterator[WriteResult]:
        refusals = [(change, self._impossible(change)) for change in changes]
        yield from (refusal for _, refusal in refusals if refusal)
        pending = [change for change, refusal in refusals if not refusal]
        # Records of one parent go together: apart, their calls would lock each other out.
        pending.sort(key=lambda c: (c.object_type, c.group, c.id))
        rounds: Sequence[tuple[int, float]] = LOCK_ROUNDS
        if self.bulk_from is not None and len(pending) >= self.bulk_from:
            pending = yield from _without_transient(self._by_bulk(pending, began))
            rounds = LOCK_ROUNDS[1:]
        for size, wait in rounds:
            if not pending:
                return
            self.sleep(wait)
            last = (size, wait) == rounds[-1]
            results = self._by_collections(pending, size)
            if last:
                yield from results
            else:
                pending = yield from _without_transient(results)

    def conclude(self, job: str, changes: Sequence[Change]) -> Iterator[WriteResult]:
        """What became of changes, by the ingest job that an earlier process began."""
        try:
            outcomes = ingest.IngestJob(self.client, self.sleep, job).conclude()
        except CallRefused as refused:
            if refused.code != ingest.FORGOTTEN:
                told = f"bulk job {job} may be under way and cannot be looked at: {refused.message}"
                raise TemporaryError(told, connection=self.client.name) from None
            outcomes = {}  # Jobs are known for a week.
        yield from _told(outcomes, changes)

    def read_back(self, object_type: str, ids: Collection[str]) -> Held:
        """The written fields by record id; one that was merged answers with its survivor's."""
        found = self._held(object_type, list(ids))
        masters = self._leading(object_type, [key for key in ids if key not in found], [MASTER])
        survivors = self._held(object_type, sorted(set(masters.values())))
        return found | {key: survivors[m] for key, m in masters.items() if m in survivors}

    def stand_ins(self, object_type: str, ids: Collection[str]) -> dict[str, str]:
        """Merged record -> its master, converted lead -> its contact."""
        ways = [way for way in (MASTER, CONVERTED) if way in self.schema.fields(object_type)]
        return self._leading(object_type, ids, ways)

    def _impossible(self, change: Change) -> WriteResult | None:
        """A refusal without a call: one unknown field could fail the whole call."""
        known = self.schema.written(change.object_type)
        for output in change.values:
            if output not in known or not known[output].writable:
                where = f"{change.object_type}.{self.schema.outputs().get(output, output)}"
                lack = "is read-only" if output in known else "does not exist"
                reason = f"{where} {lack} to the integration user"
                return WriteResult(change, Status.REFUSED, "INVALID_FIELD", reason)
        return None

    def _by_collections(self, pending: Sequence[Change], size: int) -> Iterator[WriteResult]:
        for start in range(0, len(pending), size):
            yield from self._sent(pending[start : start + size])

    def _arrived(self, batch: Sequence[Change]) -> Iterator[WriteResult]:
        held = self._held_by(batch)
        return (WriteResult(c, Status.WRITTEN) for c in batch if _holds(held, c))

    def _held_by(self, batch: Sequence[Change]) -> Held:
        held: Held = {}
        for object_type, same in groupby(batch, key=lambda c: c.object_type):
            held |= self._held(object_type, [change.id for change in same])
        return held

    def _sent(self, batch: Sequence[Change], *, again: bool = False) -> Iterator[WriteResult]:
        """One Collections call. A call refused as a whole is halved until the culprit is alone."""
        body = {"allOrNone": False, "records": [self._record(change) for change in batch]}
        try:
            reply = self.client.send("PATCH", "composite/sobjects", body, idempotent=False)
        except CallRefused as error:
            if len(batch) == 1:
                yield _refused(batch[0], error.code, error.reason)
                return
            half = len(batch) // 2
            yield from self._sent(batch[:half], again=again)
            yield from self._sent(batch[half:], again=again)
        except OutcomeUnknown as error:
            resend = None if again else partial(self._sent, again=True)
            yield from settled(batch, error, self._arrived, resend)
        else:
            for change, row in zip(batch, reply, strict=True):
                if row["success"]:
                    yield WriteResult(change, Status.WRITTEN)
                else:
                    problem = row["errors"][0]
                    yield _refused(change, problem["statusCode"], problem["message"])

    def _record(self, change: Change) -> dict[str, object]:
        known = self.schema.written(change.object_type)
        values = {known[o].name: _json(known[o], value) for o, value in change.values.items()}
        return {"attributes": {"type": change.object_type}, "id": change.id, **values}

    def _by_bulk(self, pending: Sequence[Change], began: Began) -> Iterator[WriteResult]:
        """Bulk jobs, each for changes of one object."""
        for object_type, group in groupby(pending, key=lambda c: c.object_type):
            same = list(group)
            names = {o: item.name for o, item in self.schema.written(object_type).items()}
            for start in range(0, len(same), ingest.JOB_ROWS):
                part = same[start : start + ingest.JOB_ROWS]
                sent = {output for change in part for output in change.values}
                columns = ["Id", *(name for output, name in names.items() if output in sent)]
                rows = ({"Id": c.id, **{names[o]: v for o, v in c.values.items()}} for c in part)
                job = ingest.prepare(
                    self.client, self.sleep, object_type, columns, rows, _telling(part, began)
                )
                yield from _ran(job, part)

    def _held(self, object_type: str, ids: Sequence[str]) -> Held:
        """The written fields of the records that live under their own id."""
        known = self.schema.written(object_type)
        names = ["Id", *(item.name for item in known.values())]
        held: Held = {}
        for start in range(0, len(ids), READ_COLLECTION):
            body = {"ids": ids[start : start + READ_COLLECTION], "fields": names}
            rows = self.client.send("POST", f"composite/sobjects/{soql.name(object_type)}", body)
            for row in rows or ():
                if row is not None:
                    held[row["Id"]] = {
                        o: canonical(WRITTEN_KINDS[o], row[item.name]) for o, item in known.items()
                    }
        return held

    def _leading(
        self, object_type: str, ids: Collection[str], ways: Sequence[str]
    ) -> dict[str, str]:
        """Record -> the one that a field of `ways` leads to, over merges of merges."""
        into: dict[str, str] = {}
        asked = list(ids)
        while asked:
            found: dict[str, str] = {}
            for start in range(0, len(asked), soql.IDS_PER_QUERY):
                part = f"Id IN {soql.literal(asked[start : start + soql.IDS_PER_QUERY])}"
                query = soql.select(("Id", *ways), object_type, part)
                for row in self.client.records(query):
                    found[row["Id"]] = next((row[way] for way in ways if row[way]), "")
            into |= {key: master for key, master in found.items() if master}
            asked = [master for master in found.values() if master and master not in into]
        return {key: _end(into, key) for key in ids if key in into}


def _without_transient(
    results: Iterator[WriteResult],
) -> Generator[WriteResult, None, list[Change]]:
    """Pass on what is final; return the changes that were refused for now."""
    again = []
    for result in results:
        if result.status is Status.TRANSIENT:
            again.append(result.change)
        else:
            yield result
    return again


def _telling(changes: Sequence[Change], began: Began) -> Callable[[str], None]:
    return lambda job: began(job, changes)


def _ran(job: ingest.IngestJob, changes: Sequence[Change]) -> Iterator[WriteResult]:
    try:
        outcomes = job.run()
    except ConnectorError as error:
        # Started or not: the job itself must be asked before any of them is sent again.
        yield from unknown(changes, str(error))
        raise
    yield from _told(outcomes, changes)


def _told(outcomes: ingest.Outcomes, changes: Sequence[Change]) -> Iterator[WriteResult]:
    for change in changes:
        if change.id not in outcomes:
            yield WriteResult(change, Status.UNKNOWN, reason="absent from the bulk job's results")
        elif (refusal := outcomes[change.id]) is None:
            yield WriteResult(change, Status.WRITTEN)
        else:
            yield _refused(change, refusal.code, refusal.reason)


def _refused(change: Change, code: str, reason: str) -> WriteResult:
    passing = code in TRANSIENT_CODES or (
        code in TRIGGER_CODES and any(sign in reason for sign in PASSING)
    )
    return WriteResult(change, Status.TRANSIENT if passing else Status.REFUSED, code, reason)


def _holds(held: Held, change: Change) -> bool:
    now = held.get(change.id)
    return now is not None and all(now[o] == value for o, value in change.values.items())


def _json(field: Field, value: str | None) -> str | float | int | None:
    if value is None or field.kind is not FieldKind.NUMBER:
        return value
    number = Decimal(value)
    return int(number) if number == number.to_integral_value() else float(number)


def _end(into: dict[str, str], key: str) -> str:
    while key in into:
        key = into[key]
    return key
