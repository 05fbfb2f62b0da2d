"""Persons of several records in a run: which records these are, and who has the person.

All records of a person get one owner, as far as an owner can be told in another CRM: by its e-mail
address. Whom a person chose at one record counts first, then whom leadgauge gave: of several
the first by the order in which connections speak for a person (`Config.precedence`).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

import ibis
import pyarrow as pa
from ibis import _

from core.decision import Output
from core.facts import LEADS, TIME, as_of
from core.routing import FREED, KEPT, Assignment
from core.turns import Held
from core.verdict import KEY
from sync.aliases import Alias
from sync.config import Config
from sync.decide import Decider
from sync.ledger import Ledger
from sync.ledger_heirs import Holding
from sync.session import Session

Record = tuple[str, str]
"""Connection and id of a lead."""

SEEN_LATE = timedelta(days=1)
"""How long after it happened a merge may come to light."""


@dataclass(frozen=True)
class Kinsman:
    """One of several records of a person, and the owner that the CRM shows there."""

    person: str
    connection: str
    lead_id: str
    object_type: str
    owner_id: str | None

    @property
    def key(self) -> Record:
        """What names the record."""
        return self.connection, self.lead_id


class People:
    """The persons of several records of whom some record is in one of a configuration's stages for
    sales. `records` are all of theirs."""

    def __init__(self, decider: Decider, config: Config) -> None:
        self.order = config.precedence
        self._decider = decider
        self._config = config
        place = self.order.index
        found = _kinsmen(decider, config.handed)
        known = (one for one in found if one.connection in self.order)
        self.records = sorted(known, key=lambda k: (place(k.connection), k.object_type, k.lead_id))

    def beside(self, connection: str) -> dict[Record, tuple[Record, ...]]:
        """The other records of each person in a connection that may be told of in its stead: where
        sales is told of this connection's leads, only those that it is told of."""
        config = self._config
        speaking = {n for n in self.order if config.speaks(n) or not config.speaks(connection)}
        persons: defaultdict[str, list[Record]] = defaultdict(list)
        for one in self.records:
            if one.connection in speaking or one.connection == connection:
                persons[one.person].append(one.key)
        return {
            record: tuple(other for other in records if other != record)
            for records in persons.values()
            for record in records
            if record[0] == connection
        }

    def untold(self, ledger: Ledger, connection: str) -> set[Record]:
        """The leads of a connection of which is to be told after all: another record was in their
        stead, and is another person by now, or was not handed off in the end."""
        if self._config.identity is None:
            return set()
        stages = self._config.handed
        pairs = ledger.handoffs.followers(connection, stages)
        return ledger.handoffs.forsaken(connection, stages) | (
            _parted(self._decider, pairs) if pairs else set()
        )


def hand_down(session: Session, connection: str, run_id: str, at: datetime) -> None:
    """Let whoever stands for a lead that was merged or converted since the last run take over what
    that lead went through, so that sales is not told of it anew, and what we wrote to it."""
    last = session.ledger.past.scored().get(connection)
    if last is None:
        return
    aliases = session.facts.table("aliases").filter(
        _.connection == connection,
        _.table_name == LEADS.name,
        _.valid_to.isnull(),
        _.valid_from > ibis.literal(last - SEEN_LATE, type=TIME),
    )
    rows = aliases.select("id", "survivor", "valid_from").to_pyarrow().to_pylist()
    if rows:
        gone = [Alias(**row) for row in rows]
        session.ledger.heirs.hand_down(run_id, connection, gone, session.config.handed, at=at)
        session.ledger.heirs.hand_down_written(
            connection, gone, _holding(session, connection, gone)
        )


def _holding(session: Session, connection: str, gone: Sequence[Alias]) -> dict[str, Holding]:
    """What those hold that stand for leads by now, by id."""
    leads = session.facts.table(LEADS.name).filter(
        _.connection == connection,
        _.id.isin(sorted({alias.survivor for alias in gone})),
        _.valid_to.isnull(),
    )
    rows = leads.select("id", "object_type", "present").to_pyarrow().to_pylist()
    return {row["id"]: Holding(row["object_type"], dict(row["present"] or ())) for row in rows}


def _kinsmen(decider: Decider, stages: Collection[str]) -> list[Kinsman]:
    """All records of the persons of whom some record is in one of these stages."""
    people, at = decider.facts.persons, decider.at
    if people is None:
        return []
    hot = people.semi_join(decider.decisions.filter(_.stage.isin(sorted(stages))), KEY)
    records = people.semi_join(hot.view(), "person")
    owners = as_of(decider.facts.leads, at).select(
        "connection",
        lead_id="id",
        owner_id=_.present.get(Output.OWNER.value).coalesce(_.owner_id),
    )
    rows = records.join(owners, KEY).select("person", *KEY, "object_type", "owner_id")
    return [Kinsman(**row) for row in rows.to_pyarrow().to_pylist()]


def _parted(decider: Decider, pairs: Collection[tuple[Record, Record]]) -> set[Record]:
    """The first records of those pairs that are both decided about, and are not one person."""
    names = ("connection", "lead_id", "other_connection", "other_id")
    rows = [dict(zip(names, (*one, *other), strict=True)) for one, other in pairs]
    schema = pa.schema([(name, pa.string()) for name in names])
    asked = ibis.memtable(pa.Table.from_pylist(rows, schema))
    leads = as_of(decider.facts.leads, decider.at).select("connection", lead_id="id")
    theirs = leads.select(other_connection="connection", other_id="lead_id")
    both = asked.semi_join(leads, KEY).semi_join(theirs, names[2:])
    if decider.facts.persons is not None:
        whose = decider.facts.persons.select(*KEY, "person")
        others = whose.select(other_connection="connection", other_id="lead_id", other="person")
        one = both.join(whose, KEY).join(others, names[2:]).filter(_.person == _.other)
        both = both.anti_join(one.view(), names)
    return {(row["connection"], row["lead_id"]) for row in both.to_pyarrow().to_pylist()}


@dataclass(frozen=True)
class _Holder:
    """Who has a person: by which record, and whether a person chose so."""

    record: Record
    owner: Record | None
    chosen: bool = False
    waits: str | None = None


class Holders:
    """Who has each person, as the connections of a run are routed one after the other.

    `colleagues` are the e-mail addresses of the owners that may have leads, by connection and id.
    `late` are the owners that did not call in time, by record: they have nobody.
    """

    def __init__(
        self,
        people: People | None,
        ledger: Ledger,
        colleagues: Mapping[Record, str],
        late: Mapping[Record, Set[str]],
    ) -> None:
        self._order = people.order if people else ()
        records = people.records if people else []
        self._addresses = colleagues
        self._ids = {(c, address): id_ for (c, id_), address in sorted(colleagues.items())[::-1]}
        self.persons = {one.key: one.person for one in records}
        self._late: defaultdict[str, set[str]] = defaultdict(set)
        for record, owners in late.items():
            if record in self.persons:
                named = (colleagues.get((record[0], owner)) for owner in owners)
                self._late[self.persons[record]].update(filter(None, named))
        self._held: dict[str, _Holder] = {}
        for connection in self._order:
            mine = [one for one in records if one.connection == connection]
            self._find(mine, connection, ledger)
        for person, held in self._held.items():
            # Whom a person chose keeps the lead, called in time or not.
            if held.chosen and held.owner is not None:
                self._late[person].discard(self._addresses[held.owner])

    def _find(self, people: Sequence[Kinsman], connection: str, ledger: Ledger) -> None:
        ids = [one.lead_id for one in people]
        written = ledger.last_written(connection, ids) if ids else {}
        assigned = ledger.routing.assigned(connection) if ids else {}
        unsent = ledger.routing.unsent(connection) if ids else set()
        for one in people:
            ours = written.get(one.lead_id, {}).get(Output.OWNER)
            owner = one.owner_id
            if (connection, owner) not in self._addresses:
                pending = ours is None or one.lead_id in unsent
                owner = assigned.get(one.lead_id) if pending else None
            if owner is not None and (connection, owner) in self._addresses:
                chosen = owner == one.owner_id != ours
                self._hold(one.person, _Holder(one.key, (connection, owner), chosen))

    def _hold(self, person: str, found: _Holder) -> None:
        """Note who has a person, unless somebody has it who counts before."""
        assert found.owner is not None
        if self._addresses[found.owner] in self._late[person] and not found.chosen:
            return
        held = self._held.get(person)
        again = held is None or held.owner is None or held.record == found.record
        if again or (held is not None and self._rank(found) < self._rank(held)):
            self._held[person] = found

    def _rank(self, holder: _Holder) -> tuple[bool, int]:
        return not holder.chosen, self._order.index(holder.record[0])

    def late(self, connection: str, person: str) -> frozenset[str]:
        """The owners in a connection that did not call a person in time."""
        found = (self._ids.get((connection, a)) for a in self._late.get(person, ()))
        return frozenset(filter(None, found))

    def of(self, connection: str) -> dict[str, Held]:
        """Who has each person, as routing in a connection asks."""
        return {person: self._seen(held, connection) for person, held in self._held.items()}

    def _seen(self, held: _Holder, connection: str) -> Held:
        where, lead_id = held.record
        record = lead_id if where == connection else f"{where}:{lead_id}"
        if held.owner is None:
            return Held(record, waits=held.waits)
        if held.owner[0] == connection:
            return Held(record, held.owner[1])
        return Held(record, self._ids.get((connection, self._addresses[held.owner])))

    def note(self, connection: str, made: Iterable[Assignment], present: Mapping[str, str]) -> None:
        """Take in what was decided about the leads of a connection; `present` are their owners."""
        for one in made:
            record = (connection, one.lead_id)
            person = self.persons.get(record)
            if person is None or one.follows or one.waits == FREED:
                continue
            owner = one.owner_id or (present.get(one.lead_id) if one.reason == KEPT else None)
            if one.waits:
                self._held.setdefault(person, _Holder(record, None, waits=one.waits))
            elif owner is not None and (connection, owner) in self._addresses:
                self._hold(person, _Holder(record, (connection, owner)))
