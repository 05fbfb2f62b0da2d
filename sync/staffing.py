"""What configured owners lack to be given leads: said by `check`, and by every run."""

from collections import Counter
from collections.abc import Iterator, Mapping, Set

from core.mistakes import Place
from core.roster import Pool
from sync.roster import Found
from sync.routing_settings import Routing

Said = Iterator[tuple[str, Place, str, str]]
"""Severity, place within `routing`, what is wrong, and what to do."""


def shortages(routing: Routing, found: Mapping[str, Found], every: Set[str]) -> Iterator[str]:
    """What a run warns of: how many owners are passed over, and pools that nobody covers. Who they
    are, `check` says: no address goes to the log."""
    counts = Counter(severity for severity, *_ in strangers(routing, found, every))
    said = {"error": "known to no CRM", "warning": "not active"}
    passed = ", ".join(f"{counts[key]} {what}" for key, what in said.items() if counts[key])
    if passed:
        yield f"routing: owners who are passed over: {passed}; `leadgauge check` says who"
    for _severity, _place, what, advice in unstaffed(routing, found):
        yield f"routing: {what}. {advice}"


def strangers(routing: Routing, found: Mapping[str, Found], every: Set[str]) -> Said:
    """Owners whom no CRM knows, where `every` connection was asked, and those who are inactive."""
    given = routing.named()
    named = [*given.items()]
    named += [(("unassigned_owners", n), o) for n, o in enumerate(routing.unassigned_owners)]
    for place, owner in named if found.keys() == every else ():
        if all(owner in one.unknown for one in found.values()):
            advice = "Mend the address, or remove the owner."
            yield "error", place, f"owner {owner} is known to no CRM", advice
    for place, owner in given.items():
        for name in (name for name, one in found.items() if owner in one.inactive):
            what = f"owner {owner} is not active in {name}, and gets no leads there"
            yield "warning", place, what, "Remove the owner, or activate the user."


def unstaffed(routing: Routing, found: Mapping[str, Found]) -> Said:
    """Pools none of whose owners can be given leads, in some or all CRMs."""
    numbers = {territory.name: n for n, territory in enumerate(routing.territories)}
    empty: dict[str, list[str]] = {}
    for name, one in found.items():
        for pool in one.roster.pools:
            if not any(share.owner_id in one.roster.active for share in pool.shares):
                empty.setdefault(pool.name, []).append(name)
    for pool_name, names in empty.items():
        place: Place = ("territories", numbers[pool_name]) if pool_name else ("pool",)
        what = f"territory {pool_name}" if pool_name else "the pool"
        severity = "error" if len(names) == len(found) else "warning"
        pools = [pool for pool in found[names[0]].roster.pools if pool.name == pool_name]
        said = f"{what} is covered by nobody in {', '.join(names)}: its leads {_end(pools[0])}"
        yield severity, place, said, "Name an active owner."


def _end(pool: Pool) -> str:
    if pool.passes_on:
        return "go to the general pool"
    return "go to its fallback" if pool.fallback else "wait, as `leadgauge status` shows"
