"""The in-memory CRM behind the sandbox: vendor-neutral records with a CRM's own habits.

Both HTTP faces and the in-memory connector stand on this store. It stamps every write, also
one that changes nothing; keeps deleted, merged and converted records; and can hold a record
back (a late commit). Values are neutral names to Python values; a face knows its vendor's
names and forms. Custom fields live among the values under the vendor's own name.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The machine's clock: by default the sandbox lives in real time."""
    return datetime.now(UTC)


class Kind(StrEnum):
    """What a record is. Faces map these to their objects; HubSpot has no leads apart."""

    LEAD = "lead"
    CONTACT = "contact"
    ACCOUNT = "account"
    ACTIVITY = "activity"
    DEAL = "deal"
    USER = "user"
    QUEUE = "queue"
    INDIVIDUAL = "individual"


@dataclass(frozen=True, slots=True)
class Edit:
    """When a record was changed, by whom, and what the changed values were before."""

    at: datetime
    by: int | None
    before: Mapping[str, Any]


@dataclass(slots=True)
class Record:
    """One record. `number` is unique in the CRM; each face derives its own id from it.

    Neutral values by kind:
    LEAD, CONTACT: first_name, last_name, email, phone, title, company, website, industry,
    employees, revenue, country, state, technologies (list), source, status, opt_out,
    bounced_at, accepted_at, account (number), owner (number), converted_at, converted_to
    (number of the contact), deal (number), individual (number), legal_basis (list).
    ACCOUNT: name, website, industry, employees, revenue, country, state, technologies, type,
    parent (number), owner.
    ACTIVITY: type, at, people (list of numbers), account, asset, url, area, campaign, channel,
    direction, outcome, duration (seconds), subject, message_id, owner, deal.
    DEAL: name, account, people, amount, currency, stage, closed, won, closed_at, owner.
    USER: name, email, active.  QUEUE: name.
    INDIVIDUAL (what a person said about privacy; Salesforce's alone): first_name, last_name, owner,
    and as true or false no_tracking, no_profiling, no_processing, no_solicit, no_geo_tracking,
    forget, export, store_elsewhere.
    """

    kind: Kind
    number: int
    values: dict[str, Any]
    created: datetime
    modified: datetime
    modified_by: int | None = None
    deleted_at: datetime | None = None
    survivor: int | None = None
    visible_from: datetime | None = None
    created_by: int | None = None
    edits: tuple[Edit, ...] = ()

    def states(self) -> Iterator["Record"]:
        """The record as each edit left it, `modified` then and by whom; newest first, the last is
        as it was created."""
        values = self.values
        for edit in reversed(self.edits):
            yield replace(self, values=values, modified=edit.at, modified_by=edit.by)
            values = {**values, **edit.before}
        yield replace(self, values=values, modified=self.created, modified_by=self.created_by)


@dataclass
class Crm:
    """The store. All access is under `lock`; `revision` grows with every change.

    `custom` holds the definitions of custom fields by kind and vendor name, in the form of the
    face that made them. `integration_user` is the number of the user that API writes are by.
    """

    clock: Clock
    revision: int = 0
    integration_user: int | None = None
    custom: dict[Kind, dict[str, dict[str, Any]]] = field(
        default_factory=lambda: {kind: {} for kind in Kind}
    )
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _records: dict[Kind, dict[int, Record]] = field(
        default_factory=lambda: {kind: {} for kind in Kind}, repr=False
    )
    _next: int = 1

    def now(self) -> datetime:
        """The time by the CRM's clock, which may be another one later."""
        return self.clock()

    def add(self, kind: Kind, values: Mapping[str, Any], *, at: datetime | None = None) -> Record:
        """Create a record, stamped `at` (default: now)."""
        with self.lock:
            stamp = at or self.clock()
            user = self.integration_user
            record = Record(kind, self._next, dict(values), stamp, stamp, user, created_by=user)
            self._next += 1
            self._records[kind][record.number] = record
            self.revision += 1
            return record

    def update(
        self,
        record: Record,
        values: Mapping[str, Any],
        *,
        by: int | None = None,
        at: datetime | None = None,
    ) -> None:
        """Set values; the stamp moves even when nothing differs, as in both vendors' CRMs."""
        with self.lock:
            record.modified = at or self.clock()
            record.modified_by = by if by is not None else self.integration_user
            before = {
                k: record.values.get(k) for k, v in values.items() if record.values.get(k) != v
            }
            if before:
                record.edits += (Edit(record.modified, record.modified_by, before),)
            record.values.update(values)
            self.revision += 1

    def delete(self, record: Record, *, bump: bool = True) -> None:
        """Delete softly. `bump`: move the stamp too (Salesforce does, HubSpot does not)."""
        with self.lock:
            record.deleted_at = self.clock()
            if bump:
                record.modified = record.deleted_at
            self.revision += 1

    def restore(self, record: Record) -> None:
        """Bring a deleted record back under its old id."""
        with self.lock:
            record.deleted_at = record.survivor = None
            record.modified = self.clock()
            self.revision += 1

    def merge(self, winner: Record, loser: Record) -> None:
        """Merge `loser` into `winner`: activities and deals move, without being stamped."""
        with self.lock:
            self.delete(loser)
            loser.survivor = winner.number
            for kind in (Kind.ACTIVITY, Kind.DEAL):
                for record in self._records[kind].values():
                    people = record.values.get("people", [])
                    if loser.number in people:
                        moved = [winner.number if p == loser.number else p for p in people]
                        record.values["people"] = list(dict.fromkeys(moved))
            known = {k: v for k, v in loser.values.items() if v is not None}
            self.update(winner, {k: v for k, v in known.items() if winner.values.get(k) is None})

    def convert(self, lead: Record, account: Record | None = None) -> Record:
        """Convert a lead: a contact at an account takes over; the lead stays, read-only."""
        with self.lock:
            values = {k: v for k, v in lead.values.items() if k not in self.custom[Kind.LEAD]}
            if account is None:
                company = {
                    k: values.get(k)
                    for k in (
                        "website",
                        "industry",
                        "employees",
                        "revenue",
                        "country",
                        "state",
                        "technologies",
                        "owner",
                    )
                }
                account = self.add(Kind.ACCOUNT, {"name": values.get("company"), **company})
            contact = self.add(Kind.CONTACT, {**values, "account": account.number})
            for record in self._records[Kind.ACTIVITY].values():
                people = record.values.get("people", [])
                if lead.number in people:
                    record.values["people"] = [
                        contact.number if p == lead.number else p for p in people
                    ]
            self.update(lead, {"converted_at": self.clock(), "converted_to": contact.number})
            return contact

    def get(self, kind: Kind, number: int) -> Record | None:
        """A record by number, deleted ones too; None when there is none, or not yet visible."""
        record = self._records[kind].get(number)
        return record if record is not None and self._visible(record) else None

    def records(self, *kinds: Kind, deleted: bool = False) -> Iterator[Record]:
        """The visible records of some kinds in order of number; `deleted` adds those too."""
        for kind in kinds:
            for record in list(self._records[kind].values()):
                if self._visible(record) and (deleted or record.deleted_at is None):
                    yield record

    def next_commit(self) -> datetime | None:
        """When the next held-back record comes to light; None when none is held back."""
        now = self.clock()
        held = (r.visible_from for kind in Kind for r in self._records[kind].values())
        return min((at for at in held if at is not None and at > now), default=None)

    def _visible(self, record: Record) -> bool:
        return record.visible_from is None or record.visible_from <= self.clock()
