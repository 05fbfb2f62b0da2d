"""The streams of records: leads, accounts, owners and outcomes, and what is gone."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import pyarrow as pa

from connectors import values
from connectors.base import Cursor, Page, Removed, RowProblem, Stream
from connectors.history import earlier, traced
from connectors.hubspot.client import ASSOCIATIONS, Gateway, Json, chunked
from connectors.hubspot.fields import COMPANIES, CONTACTS, DEALS, MERGED, OUTCOME, Fields
from connectors.hubspot.history import histories
from connectors.hubspot.walk import Chunk, listed, next_page, stamp_of, walk
from connectors.mapping import narrowed, table
from core.facts import BY_NAME
from core.model import Outcome, Owner, Row

_PRIMARY = frozenset({1, 5})
"""Association types that say "primary company", of a contact and of a deal."""


def columns(records: Sequence[Json], mapping: Mapping[str, str]) -> dict[str, Any]:
    """Raw columns of records under their common names."""
    properties = [record["properties"] for record in records]
    raw = {column: _text([p.get(name) for p in properties]) for column, name in mapping.items()}
    return {"id": [record["id"] for record in records], **raw}


def _text(values: list[Any]) -> Any:
    """Property values are all text; a list stays where one is not, or is no proper Unicode."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowTypeError, UnicodeEncodeError):
        return values


def associated(
    gateway: Gateway, from_type: str, to_type: str, ids: Iterable[str]
) -> dict[str, list[str]]:
    """Ids of associated records, the primary one first, by id; one call for 1,000 records."""
    first: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    pending: list[Json] = [{"id": i} for i in ids]

    def batch(some: Sequence[Json]) -> list[Json]:
        return list(gateway.associations(from_type, to_type, some)["results"])

    while pending:
        asked, pending = chunked(pending, ASSOCIATIONS), []
        for result in chain.from_iterable(gateway.lanes.each(batch, asked)):
            source = str(result["from"]["id"])
            for target in result["to"]:
                types = {t["typeId"] for t in target["associationTypes"]}
                found = first if types & _PRIMARY else others
                found.setdefault(source, []).append(str(target["toObjectId"]))
            if after := next_page(result):
                pending.append({"id": source, "after": after})
    return {
        source: list(dict.fromkeys([*first.get(source, ()), *others.get(source, ())]))
        for source in {**first, **others}
    }


def people(
    gateway: Gateway, object_type: str, records: Sequence[Json]
) -> Iterator[tuple[Json, str, str | None]]:
    """Each record with each of its contacts (empty: none) and with its company."""
    ids = [record["id"] for record in records]
    contacts = associated(gateway, object_type, CONTACTS, ids)
    companies = associated(gateway, object_type, COMPANIES, ids)
    for record in records:
        company = next(iter(companies.get(record["id"], ())), None)
        for contact in contacts.get(record["id"]) or [""]:
            yield record, contact, company


class Records:
    """The streams of leads, accounts, owners and outcomes; `history`: with earlier versions."""

    def __init__(self, gateway: Gateway, fields: Fields, *, history: bool) -> None:
        self._gateway = gateway
        self._fields = fields
        self._history = history

    def versions(self, stream: Stream, cursor: Cursor | None, until: datetime) -> Iterator[Page]:
        """Contacts as leads, companies as accounts; those merged into one of them are removed."""
        mapping = self._mapping(stream)
        properties = _properties(stream, mapping)
        for chunk in walk(self._gateway, stream.name, properties, cursor, until):
            yield self._page(stream, mapping, chunk)

    def again(self, stream: Stream, ids: Sequence[str]) -> Page:
        """Contacts or companies by their ids."""
        mapping = self._mapping(stream)
        records = self._gateway.read(stream.name, ids, _properties(stream, mapping))
        return self._page(stream, mapping, Chunk(records, Cursor()))

    def _mapping(self, stream: Stream) -> dict[str, str]:
        fields = self._fields.lead() if stream.name == CONTACTS else self._fields.account()
        return narrowed(fields, stream.only)

    def _page(self, stream: Stream, mapping: Mapping[str, str], chunk: Chunk) -> Page:
        model = BY_NAME[stream.table].model
        raw = columns(chunk.records, mapping)
        raw["object_type"] = [stream.name] * len(chunk.records)
        mapped = table(model, raw)
        removed, undated = _gone(chunk.records, "updatedAt", _merged)
        rejected = (*mapped.rejected, *undated)
        past = self._earlier(stream, model, mapping, mapped.rows)
        return Page(stream, mapped.rows, chunk.cursor, removed, rejected, past)

    def _earlier(
        self, stream: Stream, model: type[Row], mapping: Mapping[str, str], rows: pa.Table
    ) -> pa.Table | None:
        if not self._history or stream.only:
            return None
        names = list(dict.fromkeys(traced(mapping).values()))
        told = histories(self._gateway, stream.name, rows["id"].to_pylist(), names)
        return earlier(model, rows, mapping, told)

    def archived(
        self, stream: Stream, object_type: str, cursor: Cursor | None, until: datetime
    ) -> Iterator[Page]:
        """Archived records: archiving moves no stamp, and search never shows them."""
        nothing = table(BY_NAME[stream.table].model, {"id": []}).rows
        walked = listed(self._gateway, object_type, [], cursor, until, archived=True)
        for chunk in walked:
            removed, undated = _gone(chunk.records, "archivedAt", _archived)
            yield Page(stream, nothing, chunk.cursor, removed, undated)

    def owners(self, stream: Stream, until: datetime) -> Iterator[Page]:
        """All owners, removed ones too; one without a user can no longer be given anything."""
        found: list[Json] = []
        for archived in (False, True):
            after = ""
            while True:
                page = self._gateway.owners(after, archived)
                found += page["results"]
                after = next_page(page)
                if not after:
                    break
        raw: dict[str, list[Any]] = {
            "id": [o["id"] for o in found],
            "object_type": ["owners"] * len(found),
            "kind": ["queue" if o.get("type") == "QUEUE" else "person" for o in found],
            "name": [_name(o) for o in found],
            "email": [o.get("email") for o in found],
            "active": [_active(o) for o in found],
            "modified_at": [o.get("updatedAt") for o in found],
        }
        mapped = table(Owner, raw)
        yield Page(stream, mapped.rows, Cursor(stamp=until), (), mapped.rejected)

    def deals(self, stream: Stream, cursor: Cursor | None, until: datetime) -> Iterator[Page]:
        """Deals as outcomes, one row for each contact."""
        properties = [*OUTCOME.values(), "hs_is_closed", "hs_is_closed_won"]
        for chunk in walk(self._gateway, DEALS, properties, cursor, until):
            rows = list(people(self._gateway, DEALS, chunk.records))
            records = [record for record, _, _ in rows]
            raw = columns(records, OUTCOME)
            raw["object_type"] = [DEALS] * len(rows)
            raw["lead_id"] = [contact for _, contact, _ in rows]
            raw["account_id"] = [company for _, _, company in rows]
            raw["result"] = [_result(record["properties"]) for record in records]
            mapped = table(Outcome, raw)
            yield Page(stream, mapped.rows, chunk.cursor, (), mapped.rejected)


def _properties(stream: Stream, mapping: Mapping[str, str]) -> list[str]:
    """What is asked of each record of a stream."""
    return list(dict.fromkeys([*mapping.values(), *(() if stream.only else (MERGED,))]))


def _archived(record: Json) -> dict[str, str | None]:
    return {record["id"]: None}


def _merged(record: Json) -> dict[str, str | None]:
    """What went into a record: the winner carries a new id, and lists all that did."""
    merged = (record["properties"].get(MERGED) or "").split(";")
    return {loser: record["id"] for loser in merged if loser and loser != record["id"]}


def _gone(
    records: Sequence[Json], stamp: str, whom: Callable[[Json], Mapping[str, str | None]]
) -> tuple[tuple[Removed, ...], tuple[RowProblem, ...]]:
    """Who is gone by what some records say, each with its survivor, and the records that do not
    say since when: who is gone by them stays for now."""
    removed: list[Removed] = []
    undated: list[RowProblem] = []
    for record in records:
        if going := whom(record):
            try:
                at = stamp_of(record, stamp)
                removed += [Removed(one, at, survivor) for one, survivor in going.items()]
            except values.Unreadable as unreadable:
                undated.append(RowProblem(record["id"], "removed_at", str(unreadable)))
    return tuple(removed), tuple(undated)


def _name(owner: Json) -> str:
    return f"{owner.get('firstName') or ''} {owner.get('lastName') or ''}".strip()


def _active(owner: Json) -> bool:
    """Deactivated users keep their owner record, without the user."""
    return not owner.get("archived") and (owner.get("type") == "QUEUE" or bool(owner.get("userId")))


def _result(properties: Json) -> str:
    if properties.get("hs_is_closed_won") == "true":
        return "won"
    return "lost" if properties.get("hs_is_closed") == "true" else "open"
