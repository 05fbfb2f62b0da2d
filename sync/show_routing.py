"""What people read of routing: leads that nobody works, and why a lead is whose it is."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from rich.markup import escape
from rich.table import Table

from core.timers import Called, Timer
from core.turns import UNIT, Standing
from sync.fairness import Turn, Way
from sync.orphans import Kind, Orphan
from sync.show import table


def orphans(found: Sequence[Orphan], limit: int) -> Iterator[Table]:
    """The leads that nobody works: how many of each kind, and the first of them."""
    counts = Counter(one.kind for one in found)
    summary = table("leads that nobody works", "why", "leads>")
    for kind in Kind:
        summary.add_row(kind, str(counts[kind]))
    yield summary
    if found:
        listed = table("", "lead", "hot", "why", "owner", "since", "what")
        for one in found[:limit]:
            since = f"{one.since:%Y-%m-%d %H:%M}" if one.since else ""
            lead, hot = f"{one.connection}: {one.lead_id}", "yes" if one.hot else ""
            listed.add_row(lead, hot, one.kind, one.owner_id or "", since, one.reason)
        yield listed


def calls(timers: Iterable[Timer], at: datetime) -> Table:
    """How soon sales called the leads that were handed over."""
    made = table("calls", "connection", "in time>", "late>", "open>", "speed to lead (median)")
    for name, found in calls_data(timers, at).items():
        minutes = found["median_minutes"]
        speed = "" if minutes is None else f"{minutes:g} minutes"
        made.add_row(name, *(str(found[one]) for one in Called), speed)
    return made


def calls_data(timers: Iterable[Timer], at: datetime) -> dict[str, dict[str, Any]]:
    """How many calls came in time, late, or may still come, and the median speed, by connection."""
    by_name: dict[str, list[Timer]] = {}
    for timer in timers:
        by_name.setdefault(timer.connection, []).append(timer)
    found = {}
    for name, mine in sorted(by_name.items()):
        counts = Counter(timer.stands(at) for timer in mine)
        speeds = [t.speed_to_lead / timedelta(minutes=1) for t in mine if t.speed_to_lead]
        middle = round(median(speeds), 1) if speeds else None
        found[name] = {one: counts[one] for one in Called} | {"median_minutes": middle}
    return found


def way(found: Way, at: datetime) -> Iterator[Table]:
    """One lead's way: each owner it was given to and why, and when a person chose another; when it
    was called; why it waits."""
    for turn in found.turns:
        yield from _turn(turn)
    for choice in found.chosen:
        owner = f"with {choice.owner_id}" if choice.owner_id else "with nobody"
        seen = f"seen at {choice.at:%Y-%m-%d %H:%M:%S} UTC"
        yield _line(f"{choice.connection}: {choice.reason}, {seen}: {owner}")
    if found.timers:
        made = table("\ncalls", "owner", "since", "due", "first call", "")
        for timer in found.timers:
            moments = (timer.started_at, timer.due_at, timer.called_at)
            shown = (f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in moments)
            made.add_row(timer.owner_id, *shown, timer.stands(at))
        yield made
    for one in found.waiting:
        yield _line(f"{one.connection}: waits since {one.since:%Y-%m-%d %H:%M} UTC as number "
                    f"{one.rank}: {one.reason}")  # fmt: skip


def _turn(turn: Turn) -> Iterator[Table]:
    given = turn.given
    head = f"{given.connection}: given to {given.owner_id} at {given.at:%Y-%m-%d %H:%M:%S} UTC"
    if not turn.standings:
        yield _line(f"{head}: {given.reason}")
        return
    made = table(
        f"\n{head}: {given.reason}; the lowest turn is next, of equals the first",
        "owner", "weight>", "turn>", "today>", "of>", "open>", "of>", "",
    )  # fmt: skip
    for one in turn.standings:
        made.add_row(*_cells(one), "<- given" if one.owner_id == given.owner_id else one.why_not)
    yield made


def _line(text: str) -> Table:
    """A line by itself: of a table without columns not even the title is printed."""
    made = table("", "")
    made.add_row(escape(text))
    return made


def _cells(one: Standing) -> Iterator[str]:
    numbers = (one.in_day, one.daily, one.open, one.total)
    yield from (one.owner_id, str(one.weight), f"{one.level / UNIT:.2f}")
    yield from ("" if number is None else str(number) for number in numbers)


def orphans_data(found: Sequence[Orphan], timers: Iterable[Timer], at: datetime) -> dict[str, Any]:
    """The leads that nobody works, and the calls, as plain data."""
    return {"orphans": [asdict(one) for one in found], "calls": calls_data(timers, at)}
