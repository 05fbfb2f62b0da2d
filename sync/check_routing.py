"""What is wrong or suspicious in `routing`, with its place in the configuration file."""

from collections.abc import Callable, Mapping
from datetime import date
from itertools import combinations

from ibis import _

from connectors.base import Problem
from core.allowed import exclude
from core.covering import covers
from core.known import known_columns
from core.mistakes import Place
from sync.decide import facts_of, past_of
from sync.roster import Found
from sync.routing_settings import Leave, Routing, Territory
from sync.session import Session
from sync.staffing import Said, strangers, unstaffed


def routing_problems(
    session: Session, found: Mapping[str, Found], address: Callable[[Place], str]
) -> list[Problem]:
    """Everything suspicious; `found` are the rosters of the connections that could be asked."""
    routing = session.config.routing
    assert routing is not None, "only asked where there is routing"
    parts = (
        strangers(routing, found, session.config.connections.keys()),
        unstaffed(routing, found),
        _named_twice(routing),
        _unreachable(session, routing),
        _overlapping(session, routing),
        _past_days(routing, session.clock().date()),
    )
    return [
        Problem(severity, address(("routing", *place)), what, advice)
        for part in parts
        for severity, place, what, advice in part
    ]


def _named_twice(routing: Routing) -> Said:
    owners: dict[str, str] = {}
    for number, one in enumerate(routing.named_accounts):
        for place, account in enumerate(one.accounts):
            first = owners.setdefault(account.casefold(), one.owner)
            if first != one.owner:
                what = f"account {account} is named for {first} as well"
                where = ("named_accounts", number, "accounts", place)
                yield "error", where, what, "Leave it with one of them."


def _unreachable(session: Session, routing: Routing) -> Said:
    """Territories that no lead can come to, and names that no model has."""
    models = [segment.model for segment in session.segments]
    names = {model.name for model in models}
    sections = [model.interest.areas for model in models if model.interest]
    areas = {name for listed in sections if listed is not True for name in listed}
    for number, territory in enumerate(routing.territories):
        place = ("territories", number)
        for one in sorted({*territory.models} - names):
            what = f"territory {territory.name}: no model is called {one}"
            yield "error", (*place, "models"), what, f"There are: {', '.join(sorted(names))}."
        for one in () if True in sections else sorted({*territory.areas} - areas):
            what = f"territory {territory.name}: no model has an area {one}"
            known = f"There are: {', '.join(sorted(areas))}." if areas else "No model has areas."
            yield "error", (*place, "areas"), what, known
        for better in routing.territories[:number]:
            if _covers(better, territory):
                what = f"territory {territory.name} is never reached: {better.name} comes first"
                yield "error", place, what, "Put it first, or narrow the other."
                break


def _covers(wide: Territory, narrow: Territory) -> bool:
    if wide.when is not None and (narrow.when is None or not covers(wide.when, narrow.when)):
        return False
    sides = ((wide.models, narrow.models), (wide.areas, narrow.areas))
    return all(not those or (these and {*these} <= {*those}) for those, these in sides)


def _overlapping(session: Session, routing: Routing) -> Said:
    """Territories that fit the same leads, as the facts now are; of those that are reached. Where
    no lead was read yet, those whose conditions do not exclude each other may."""
    every = routing.territories
    with_when = {
        number: one
        for number, one in enumerate(every)
        if one.when is not None and not any(_covers(better, one) for better in every[:number])
    }
    pairs = [
        (one, other)
        for one, other in combinations(with_when, 2)
        if _may_meet(with_when[one], with_when[other])
    ]
    if not pairs:
        return
    at = session.clock().replace(microsecond=0)
    wanted = frozenset[str]().union(*(when.columns() for when in routing.conditions))
    past = past_of(session.ledger, routing, at, session.segments)
    wide = known_columns(wanted, facts_of(session.facts, at), at, past)
    holds = {n: t.when.holds(wide) for n, t in with_when.items() if t.when is not None}
    both = {f"{one}_{other}": (holds[one] & holds[other]).fill_null(False) for one, other in pairs}
    flags = wide.select(**both)
    sums = {name: _[name].sum() for name in both}
    counts = flags.aggregate(leads=_.count(), **sums).to_pyarrow().to_pylist()[0]
    for one, other in pairs:
        first, second = with_when[one].name, with_when[other].name
        if count := counts[f"{one}_{other}"]:
            what = f"territories {first} and {second} overlap: {count} leads fit both, and go to "
            advice = "Narrow one of them, unless that is meant."
            yield "warning", ("territories", other), what + first, advice
        elif not counts["leads"]:
            what = f"territories {first} and {second} may overlap: no lead was read yet to tell"
            yield "warning", ("territories", other), what, "Check again after the first sync."


def _may_meet(one: Territory, other: Territory) -> bool:
    if one.when is not None and other.when is not None and exclude(one.when, other.when):
        return False
    sides = ((one.models, other.models), (one.areas, other.areas))
    return all(not a or not b or {*a} & {*b} for a, b in sides)


def _past_days(routing: Routing, today: date) -> Said:
    """Holidays and leave that are over, and leave that overlaps."""
    terms: dict[Place, tuple[date, ...]] = {("everyone",): routing.everyone.holidays}
    terms |= {("owners", owner): said.holidays for owner, said in routing.owners.items()}
    for place, holidays in terms.items():
        for number, day in enumerate(holidays):
            if day < today:
                what = f"the holiday {day} is in the past"
                yield "warning", (*place, "holidays", number), what, "Remove it, or mend the year."
    for owner, said in routing.owners.items():
        for number, leave in enumerate(said.leave):
            place = ("owners", owner, "leave", number)
            if leave.end < today:
                what = f"leave of {owner} to {leave.end} is in the past"
                yield "warning", place, what, "Remove it, or mend the year."
            if any(_meet(leave, earlier) for earlier in said.leave[:number]):
                what = f"leave of {owner} from {leave.start} overlaps an earlier entry"
                yield "warning", place, what, "Make one entry of them."


def _meet(one: Leave, other: Leave) -> bool:
    return one.start <= other.end and other.start <= one.end
