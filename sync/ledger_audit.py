"""The audit chain: who or what changed which lead, and each act of a run, in one order for good.

Each entry carries a hash over its content and the hash of the entry before it, so that an entry
that was edited, deleted, inserted or moved no longer fits. The head, how many entries there are
and the hash of the last, is kept beside them: a cut tail is found as well. Whoever can write to
the database could compute the whole chain anew; who notes a head elsewhere finds that out too.

Entries are appended by the transaction that does what they tell of, and hold record ids and the
values that leadgauge decided; never a name, an address, or a free text.

A person who asks for it is erased from the chain, too, and the chain stays whole: it runs over a
digest of each entry, made with a nonce of the entry's own. Without its nonce an entry can no longer
be guessed from its digest; a later entry says which ones were erased.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from core.decision import UNIT, Decision
from sync.errors import StoreError
from sync.ledger_rows import CHANGES, CHUNK, SUBSTANCE
from sync.ledger_schema import AUDIT, AUDIT_HEAD


class Act(StrEnum):
    """What an entry tells of."""

    RUN_BEGAN = "run began"
    RUN_ENDED = "run ended"
    DECIDED = "decided"
    OVERWRITTEN = "overwritten"
    OVERRIDDEN = "overridden"
    OVERRIDE_ENDED = "override ended"
    SIGNED = "signed"
    ANSWERED = "answered"
    DENIED = "denied"
    ERASED = "erased"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True)
class Entry:
    """Something that was done: `detail` says what, in plain JSON types.

    Of a decision: `changed` has old and new of each of score (in points), tier, stage, owner_id
    and model that differ; `cause` the rules that make the score, and why it has its owner.
    Of a value that somebody else had put into a written field: `changed` has the one that was
    found and the one that was written, by output.
    """

    act: Act
    at: datetime
    detail: Mapping[str, Any]
    run_id: str | None = None
    connection: str | None = None
    lead_id: str | None = None


@dataclass(frozen=True)
class Head:
    """The end of the chain: how many entries it has, and the hash of the last."""

    entries: int
    hash: str

    def __str__(self) -> str:
        """As it is printed, noted elsewhere, and given back to `AuditLedger.fault`."""
        return f"{self.entries}:{self.hash}"


@dataclass(frozen=True)
class Chained:
    """An entry in its place in the chain, from 1. `nonce` is None once it was erased."""

    number: int
    entry: Entry
    hash: str
    digest: str
    nonce: str | None


def append(db: Connection, entries: Iterable[Entry]) -> None:
    """Chain entries to the last one, within a transaction; instances take turns at the head.

    Raises StoreError where somebody removed the head.
    """
    found = list(entries)
    if not found:
        return
    head = db.execute(select(AUDIT_HEAD).with_for_update()).one_or_none()
    if head is None:
        raise StoreError("ledger: the head of the audit chain was removed; restore a backup")
    number, last = head.entries, head.hash
    rows = []
    for entry in found:
        nonce = secrets.token_hex(16)
        digest = _digest(nonce, entry)
        number, last = number + 1, _hash(last, number + 1, digest)
        rows.append(
            {**vars(entry), "number": number, "hash": last, "digest": digest, "nonce": nonce}
        )
    db.execute(insert(AUDIT), rows)
    db.execute(update(AUDIT_HEAD).values(entries=number, hash=last))


def forget(db: Connection, numbers: Sequence[int], by: str, at: datetime) -> None:
    """Erase of whom some entries tell and what, and add one that says which ones these are."""
    for place in range(0, len(numbers), CHUNK):
        mine = AUDIT.c.number.in_(numbers[place : place + CHUNK])
        db.execute(update(AUDIT).where(mine).values(detail={}, lead_id=None, nonce=None))
    append(db, [Entry(Act.ERASED, at, {"by": by, "entries": list(numbers)})])


def decided(
    run_id: str,
    decisions: Iterable[Decision],
    before: Mapping[tuple[str, str], Sequence[Any]],
    owners: Mapping[str, str | None],
) -> Iterator[Entry]:
    """The entries of decisions that change something. `before`: the substance of each lead's last.

    `owners`: who has each lead in the CRM. An owner that is not given is left, so no change.
    """
    for decision in decisions:
        old = dict(
            zip(SUBSTANCE, before.get((decision.connection, decision.lead_id), ()), strict=False)
        )
        old["owner_id"] = owners.get(decision.lead_id)
        new = {name: getattr(decision, name) for name in CHANGES}
        given = new["owner_id"] is not None and new["owner_id"] != old["owner_id"]
        changed = {
            name: [_plain(name, old.get(name)), _plain(name, new[name])]
            for name in CHANGES
            if (given if name == "owner_id" else old.get(name) != new[name])
        }
        if not changed:
            continue
        cause = {"score": decision.reason} | ({"owner": decision.owner_reason} if given else {})
        detail = {"changed": changed, "cause": cause, "model": decision.model}
        yield Entry(
            Act.DECIDED,
            decision.scored_at,
            detail,
            run_id,
            decision.connection,
            decision.lead_id,
        )


class AuditLedger:
    """The part of a ledger that nobody changes any more. Every method is one transaction."""

    def __init__(self, readers: Engine) -> None:
        self._readers = readers

    def head(self) -> Head:
        """The end of the chain."""
        with self._readers.begin() as db:
            return _head(db)

    def entries(
        self, *, run_id: str | None = None, lead_id: str | None = None, limit: int | None = None
    ) -> list[Chained]:
        """The entries of a run, of a lead, or all; the latest `limit`, oldest first."""
        query = select(AUDIT).order_by(AUDIT.c.number.desc()).limit(limit)
        if run_id is not None:
            query = query.where(AUDIT.c.run_id == run_id)
        if lead_id is not None:
            query = query.where(AUDIT.c.lead_id == lead_id)
        with self._readers.begin() as db:
            return [_chained(row) for row in db.execute(query).mappings()][::-1]

    def fault(self, noted: Head | None = None) -> str | None:
        """The first place where the chain does not fit, in words; None: it is whole.

        `noted`: a head from before, which the chain must still contain.
        """
        with self._readers.begin() as db:
            head = _head(db)
            if noted is not None and noted.entries > head.entries:
                return f"the chain ends at entry {head.entries}, before the noted {noted.entries}"
            query = select(AUDIT).order_by(AUDIT.c.number).execution_options(yield_per=CHUNK)
            with db.execute(query) as rows:
                return _fault(map(_chained, rows.mappings()), head, noted)


def _fault(chain: Iterable[Chained], head: Head, noted: Head | None) -> str | None:
    number, last = 0, ""
    erased: set[int] = set()
    named: set[int] = set()
    for found in chain:
        number, before = number + 1, last
        if found.number != number:
            return f"entry {number} is missing: entry {found.number} follows {number - 1}"
        if found.nonce is None:
            erased.add(number)
        elif found.digest != _digest(found.nonce, found.entry):
            return f"entry {number} does not say what was written"
        if found.hash != (last := _hash(before, number, found.digest)):
            return f"entry {number} is not what was written after entry {number - 1}"
        if noted is not None and number == noted.entries and last != noted.hash:
            return f"entry {number} is another one than when its head was noted"
        if found.entry.act == Act.ERASED:
            named.update(found.entry.detail["entries"])
    if (number, last) != (head.entries, head.hash):
        return f"the chain ends at entry {number}, and its head is entry {head.entries}"
    if erased - named:
        return f"entry {min(erased - named)} was emptied, and no erasure tells of it"
    return None


def _head(db: Connection) -> Head:
    row = db.execute(select(AUDIT_HEAD)).one_or_none()
    return Head(row.entries, row.hash) if row else Head(0, "")


def _chained(row: Mapping[Any, Any]) -> Chained:
    chain = {name: row[name] for name in ("number", "hash", "digest", "nonce")}
    return Chained(entry=Entry(**{k: v for k, v in row.items() if k not in chain}), **chain)


def _digest(nonce: str, entry: Entry) -> str:
    """The digest of an entry: of canonical JSON, so that it is the same anywhere."""
    said = {**vars(entry), "nonce": nonce}
    said["at"] = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _hash(before: str, number: int, digest: str) -> str:
    """The hash of an entry in its place."""
    return hashlib.sha256(f"{before}:{number}:{digest}".encode()).hexdigest()


def _plain(name: str, value: Any) -> str | None:
    """A value of a decision as people read it: a score in points."""
    if name == "score" and value is not None:
        return format((Decimal(value) / UNIT).normalize(), "f")
    if name == "probability" and value is not None:
        return format(value, "f")
    return None if value is None else str(value)
