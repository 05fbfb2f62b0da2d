"""Writing fields of contacts: by record id, 100 a call, with one result for each change.

HubSpot refuses a whole batch for one bad record and names only the first (hubspot-api-python
#51), so a refused batch is halved until the bad ones stand alone. Values are absolute: sending
them again does no harm. When no answer came, the records are read back before that.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from connectors.base import Change, Status, WriteResult
from connectors.errors import ConnectorError, OutcomeUnknown
from connectors.hubspot.client import BATCH, Gateway, Json, chunked
from connectors.hubspot.failures import Locked, Refusal, Refused, refusal
from connectors.hubspot.fields import MERGED
from connectors.hubspot.walk import stamp_of
from connectors.settings import WrittenField
from connectors.unanswered import complete, settled, unknown
from connectors.values import WRITTEN_KINDS, Unreadable, canonical
from core.decision import Output

Present = dict[Output, str | None]

GONE = "OBJECT_NOT_FOUND"
MULTI_STATUS = 207

OF_THE_PROPERTY = frozenset({"PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE"})
"""Refusals that hit every record alike: halving the batch would find nothing."""


class Writer:
    """Writes the mapped outputs, and reads them back."""

    def __init__(self, gateway: Gateway, written: Mapping[Output, WrittenField]) -> None:
        self._gateway = gateway
        self._written = written

    def write(self, changes: Sequence[Change]) -> Iterator[WriteResult]:
        """Send changes in as few calls as they fit into."""
        return complete(changes, self._all(changes))

    def _all(self, changes: Sequence[Change]) -> Iterator[WriteResult]:
        by_type: dict[str, list[Change]] = {}
        for change in changes:
            by_type.setdefault(change.object_type, []).append(change)
        batches = [some for of_type in by_type.values() for some in chunked(of_type, BATCH)]
        failures: list[ConnectorError] = []

        def carried_out(batch: Sequence[Change]) -> list[WriteResult]:
            results: list[WriteResult] = []
            if failures:
                return results
            try:
                for result in self._send(batch):
                    results.append(result)
            except ConnectorError as error:
                failures.append(error)
            return results

        # After a failure no further batch is begun; what the others came to is told before it.
        for results in self._gateway.lanes.each(carried_out, batches):
            yield from results
        if failures:
            raise failures[0]

    def read_back(self, object_type: str, ids: Collection[str]) -> dict[str, Present]:
        """What the CRM holds in the written fields, by the id that was asked for."""
        found = self._look_up(object_type, ids)
        return {asked: self._present(record) for asked, record in found.items()}

    def stand_ins(self, object_type: str, ids: Collection[str]) -> dict[str, str]:
        """Merged record -> the one that answers under its id."""
        found = self._look_up(object_type, ids)
        return {asked: record["id"] for asked, record in found.items() if record["id"] != asked}

    def _send(self, changes: Sequence[Change], *, resent: bool = False) -> Iterator[WriteResult]:
        try:
            reply = self._gateway.update(
                changes[0].object_type,
                [{"id": c.id, "properties": self._properties(c)} for c in changes],
            )
        except Refused as error:
            yield from self._divide(changes, error.refusal, resent)
        except OutcomeUnknown as error:
            resend = None if resent else partial(self._send, resent=True)
            yield from settled(changes, error, self._arrived, resend)
        except Locked as error:
            for change in changes:
                yield WriteResult(change, Status.TRANSIENT, "LOCKED", str(error))
        else:
            yield from self._results(changes, reply)

    def _divide(
        self, changes: Sequence[Change], refusal: Refusal, resent: bool
    ) -> Iterator[WriteResult]:
        """Report what is refused for sure, and send the rest, or each half of what is left."""
        refused = [c for c in changes if len(changes) == 1 or self._affects(refusal, c)]
        for change in refused:
            yield WriteResult(change, Status.REFUSED, refusal.code, refusal.reason)
        rest = [change for change in changes if change not in refused]
        middle = len(rest) if refused else len(rest) // 2
        for part in (rest[:middle], rest[middle:]):
            if part:
                yield from self._send(part, resent=resent)

    def _affects(self, refusal: Refusal, change: Change) -> bool:
        """Whether a refusal is of a property as such, and the change would set it."""
        return refusal.code in OF_THE_PROPERTY and not self._properties(change).keys().isdisjoint(
            refusal.properties
        )

    def _results(self, changes: Sequence[Change], reply: Json) -> Iterator[WriteResult]:
        """Match an answer to its changes by id: it has an order of its own."""
        updated = {record["id"]: record for record in reply["results"]}
        refused = {
            str(i): refusal(error, MULTI_STATUS)
            for error in reply.get("errors", ())
            for i in error.get("context", {}).get("ids", ())
        }
        unmatched = []
        for change in changes:
            if record := updated.get(change.id):
                yield WriteResult(change, Status.WRITTEN, modified_at=_stamp(record))
            elif error := refused.get(change.id):
                yield WriteResult(change, Status.REFUSED, error.code, error.reason)
            else:
                unmatched.append(change)
        if unmatched:
            yield from self._resolve(unmatched)

    def _resolve(self, changes: Sequence[Change]) -> Iterator[WriteResult]:
        """Changes without an answer under their id: merged records answer under another."""
        try:
            found = self._look_up(changes[0].object_type, [change.id for change in changes])
        except ConnectorError as error:
            yield from unknown(changes, str(error))
            raise
        for change in changes:
            record = found.get(change.id)
            if record is None:
                yield WriteResult(change, Status.REFUSED, GONE, "the record no longer exists")
            elif self._holds(record, change):
                yield _written(change, record)
            else:
                yield WriteResult(change, Status.UNKNOWN, "", "not in the answer of HubSpot")

    def _arrived(self, changes: Sequence[Change]) -> Iterator[WriteResult]:
        """Those of some changes that the records hold."""
        found = self._look_up(changes[0].object_type, [change.id for change in changes])
        for change in changes:
            record = found.get(change.id)
            if record is not None and self._holds(record, change):
                yield _written(change, record)

    def _look_up(self, object_type: str, ids: Collection[str]) -> dict[str, Json]:
        """Records by the id asked for; a merged one answers with its survivor."""
        properties = [MERGED, *(written.field for written in self._written.values())]
        found: dict[str, Json] = {}
        for record in self._gateway.read(object_type, ids, properties):
            merged = (record["properties"].get(MERGED) or "").split(";")
            for known_as in (record["id"], *merged):
                found[known_as] = record
        return {asked: found[asked] for asked in ids if asked in found}

    def _properties(self, change: Change) -> dict[str, str]:
        """HubSpot's form of a change: an empty text clears a value."""
        return {
            self._written[output].field: value if value is not None else ""
            for output, value in change.values.items()
        }

    def _present(self, record: Json) -> Present:
        return {
            output: canonical(WRITTEN_KINDS[output], record["properties"].get(written.field))
            for output, written in self._written.items()
        }

    def _holds(self, record: Json, change: Change) -> bool:
        present = self._present(record)
        return all(present[output] == value for output, value in change.values.items())


def _written(change: Change, record: Json) -> WriteResult:
    survivor = record["id"] if record["id"] != change.id else None
    return WriteResult(change, Status.WRITTEN, modified_at=_stamp(record), survivor=survivor)


def _stamp(record: Json) -> datetime | None:
    try:
        return stamp_of(record, "updatedAt")
    except Unreadable:
        return None
