"""Segments that are too small to be worth rules of their own."""

from collections.abc import Callable, Iterator

from ibis import _

from connectors.base import Problem
from core.mistakes import Place
from sync.decide import Decider, past_of
from sync.session import Session


def small_segments(session: Session, address: Callable[[Place], str]) -> Iterator[Problem]:
    """The models and territories that have fewer leads than `least_segment`, by the facts."""
    least, routing = session.config.least_segment, session.config.routing
    if least is None:
        return
    at = session.clock().replace(microsecond=0)
    past = past_of(session.ledger, routing, at, session.segments)
    identity, facts = session.config.identity, session.facts
    with Decider(session.segments, routing, facts, at, past, identity=identity) as decider:
        of_model, of_territory = (_counts(decider, name) for name in ("model", "territory"))
    found: list[tuple[Place, str, int]] = []
    if len(session.segments) > 1:
        for number, segment in enumerate(session.segments):
            count = of_model.get(segment.model.label, 0)
            found.append((("model", number), f"model {segment.model.name}", count))
    for number, territory in enumerate(routing.territories if routing else ()):
        count = of_territory.get(territory.name, 0)
        where = ("routing", "territories", number)
        found.append((where, f"territory {territory.name}", count))
    for place, name, count in found:
        if count < least:
            what = f"{name} has {count} leads, fewer than {least}"
            advice = "Join it with another, or lower `least_segment`."
            yield Problem("warning", address(place), what, advice)


def _counts(decider: Decider, column: str) -> dict[str, int]:
    rows = decider.decisions.group_by(column).aggregate(count=_.count()).to_pyarrow().to_pylist()
    return {row[column]: row["count"] for row in rows}
