"""Who can be given leads in one CRM: the configured owners, found among the CRM's own."""

from collections.abc import Iterable
from dataclasses import dataclass

from ibis import _

from connectors.base import Capabilities
from core.routing import Roster, Share
from sync.config import PoolOwner, Routing
from sync.facts_store import FactsStore


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
    by_name: dict[str, list[str]] = {}
    for row in rows:
        for name in {row["id"], row["email"], (row["name"] or "").casefold() or None}:
            if name is not None:
                by_name.setdefault(name.casefold(), []).append(row["id"])
    may_hold = {
        row["id"]
        for row in rows
        if row["active"] and (row["kind"] == "person" or capabilities.queue_objects)
    }
    unknown: list[str] = []
    inactive: list[str] = []

    def resolve(owner: str) -> str | None:
        found = by_name.get(owner.strip().casefold(), [])
        able = [id_ for id_ in found if id_ in may_hold]
        if not able:
            (inactive if found else unknown).append(owner)
        return next(iter(able or found), None)

    def shares(pool: Iterable[PoolOwner]) -> tuple[Share, ...]:
        resolved = ((resolve(member.owner), member.weight) for member in pool)
        return tuple(Share(id_, weight) for id_, weight in resolved if id_ is not None)

    queues = {row["id"] for row in rows if row["kind"] == "queue"}
    free = {id_ for name in routing.unassigned_owners for id_ in by_name.get(name.casefold(), [])}
    roster = Roster(
        active=frozenset(may_hold),
        pool=shares(routing.pool),
        territories={t.name: shares(t.owners) for t in routing.territories},
        unassigned=frozenset(queues | free),
        queues=frozenset(queues),
        queue_objects=frozenset(capabilities.queue_objects),
        stages=frozenset(routing.stages),
    )
    return Found(roster, tuple(dict.fromkeys(unknown)), tuple(dict.fromkeys(inactive)))
