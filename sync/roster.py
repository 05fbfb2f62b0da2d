"""Who can be given leads in one CRM: the configured owners, found among the CRM's own."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ibis import _

from connectors.base import Capabilities
from core.availability import Hours, Leave, Terms
from core.roster import Pool, Roster, Share
from core.timers import Sla
from sync import routing_settings as settings
from sync.facts_store import FactsStore
from sync.routing_settings import PASS_ON, WAIT, WEEK, Routing


@dataclass(frozen=True)
class Found:
    """A roster, and the configured owners that the CRM does not know or has inactive."""

    roster: Roster
    unknown: tuple[str, ...] = ()
    inactive: tuple[str, ...] = ()


def find(routing: Routing, store: FactsStore, connection: str, capabilities: Capabilities) -> Found:
    """Resolve e-mail addresses, names and ids to the owners of one connection.

    One configuration serves several CRMs, so an owner unknown to this one is not an error here:
    it is passed over, and reported.
    """
    rows = store.table("owners").filter(_.connection == connection).to_pyarrow().to_pylist()
    owners = _Owners(rows, queues_too=bool(capabilities.queue_objects))
    territories = {t.name: _pool(t, owners, routing, t.name) for t in routing.territories}
    general = _pool(routing.pool, owners, routing)
    named = {
        account.casefold() if "." in account else account: id_
        for one in routing.named_accounts
        for id_ in owners.ids([one.owner])
        for account in one.accounts
    }
    queues = {row["id"] for row in rows if row["kind"] == "queue"}
    free = set(owners.free(routing.unassigned_owners))
    roster = Roster(
        active=frozenset(owners.may_hold),
        pool=general,
        territories=territories,
        unassigned=frozenset(queues | free),
        queues=frozenset(queues),
        queue_objects=frozenset(capabilities.queue_objects),
        stages=frozenset(routing.stages),
        named=named,
        sticky=routing.sticky,
        terms=_terms(routing, owners),
        sla=Sla(**dict(routing.sla)) if routing.sla else None,
    )
    return Found(roster, tuple(owners.unknown), tuple(owners.inactive))


def colleagues(routing: Routing, store: FactsStore) -> dict[tuple[str, str], str]:
    """The active people who count as owners, by connection and id: their e-mail addresses in lower
    case, by which they are told in another CRM; who has none is a stranger there."""
    known = store.table("owners").filter(_.kind == "person", _.active)
    free = {name.strip().casefold() for name in routing.unassigned_owners}
    return {
        (row["connection"], row["id"]): (row["email"] or "").strip().casefold()
        or f"{row['id']} in {row['connection']}"
        for row in known.to_pyarrow().to_pylist()
        if not free & {str(row[name]).casefold() for name in ("id", "email", "name")}
    }


class _Owners:
    """The owners of one CRM by whatever they are called; who was asked for in vain is noted."""

    def __init__(self, rows: Iterable[Mapping[str, Any]], *, queues_too: bool) -> None:
        self._by_name: dict[str, list[str]] = {}
        self.may_hold: set[str] = set()
        self.unknown: dict[str, None] = {}
        self.inactive: dict[str, None] = {}
        for row in rows:
            for name in {row["id"], row["email"], (row["name"] or "").casefold() or None}:
                if name is not None:
                    self._by_name.setdefault(name.casefold(), []).append(row["id"])
            if row["active"] and (row["kind"] == "person" or queues_too):
                self.may_hold.add(row["id"])

    def called(self, name: str) -> list[str]:
        """All owners of a name, active or not."""
        return self._by_name.get(name.strip().casefold(), [])

    def ids(self, names: Iterable[str]) -> Iterator[str]:
        """The owner that each name stands for, the active one of several; none for a stranger."""
        for name in names:
            found = self.called(name)
            able = [id_ for id_ in found if id_ in self.may_hold]
            if not able:
                (self.inactive if found else self.unknown)[name] = None
            yield from (able or found)[:1]

    def free(self, names: Iterable[str]) -> Iterator[str]:
        """All owners of some names, who need not be able to be given anything."""
        for name in names:
            found = self.called(name)
            if not found:
                self.unknown[name] = None
            yield from found


def _pool(pool: settings.Pool, owners: _Owners, routing: Routing, name: str = "") -> Pool:
    weights: dict[str, int] = {}
    for member in pool.owners:
        for id_ in owners.ids([member.owner]):
            weights[id_] = weights.get(id_, 0) + member.weight
    ends = () if pool.fallback in (PASS_ON, WAIT) else (pool.fallback,)
    return Pool(
        tuple(Share(id_, weight) for id_, weight in weights.items()),
        name,
        pool.by,
        pool.daily_cap,
        pool.total_cap,
        routing.everyone.time_zone or "UTC",
        next(owners.ids(ends), None),
        pool.fallback == PASS_ON,
        pool.catch_up,
    )


def _terms(routing: Routing, owners: _Owners) -> dict[str, Terms]:
    """The terms of every owner that has any."""
    common, none = routing.everyone, settings.OwnerTerms()
    own = {id_: said for name, said in routing.owners.items() for id_ in owners.ids([name])}
    terms = {id_: _merged(common, own.get(id_, none)) for id_ in sorted(owners.may_hold)}
    return {id_: found for id_, found in terms.items() if found != Terms()}


def _merged(common: settings.Terms, own: settings.OwnerTerms) -> Terms:
    hours = own.hours or common.hours
    return Terms(
        zone=own.time_zone or common.time_zone or "UTC",
        hours=Hours(frozenset(map(WEEK.index, hours.days)), hours.start, hours.end)
        if hours
        else None,
        holidays=frozenset({*common.holidays, *own.holidays}),
        leave=tuple(Leave(one.start, one.end) for one in own.leave),
        daily=common.daily_cap if own.daily_cap is None else own.daily_cap,
        total=common.total_cap if own.total_cap is None else own.total_cap,
    )
