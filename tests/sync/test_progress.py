"""What is said of how far a run is, where there is no terminal."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.sandbox.crm import Kind
from sync import progress
from sync.facts_store import FactsStore
from sync.progress import HowFar, now_and_then
from tests.live import live
from tests.sync.test_facts_store import LEADS, T0, lead, page


class Seconds:
    """A clock that is told the time."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def at_pace(
    said: list[HowFar], clock: Seconds
) -> Callable[[float, str, int, int | None], list[HowFar]]:
    """What is said when a stage is so far at a second."""
    reporter = now_and_then(said.append, clock)

    def reach(second: float, stage: str, done: int, total: int | None) -> list[HowFar]:
        clock.now, before = second, len(said)
        reporter(stage, done, total)
        return said[before:]

    return reach


def test_the_remaining_time_is_that_of_the_pace_so_far() -> None:
    """D17: a line in half a minute at most; what is left goes by what came since the stage began,
    and is not stated where nothing is known, or more came than was counted."""
    reach = at_pace([], Seconds())
    assert reach(1, "leads", 1_000, 10_000) == []
    assert reach(29, "leads", 2_000, 10_000) == []
    (line,) = reach(31, "leads", 4_000, 10_000)
    assert line.left == timedelta(seconds=60)
    assert str(line) == "leads: 4,000 of 10,000, about 0:01:00 left"
    assert reach(60, "leads", 5_000, 10_000) == []
    assert [str(line) for line in reach(61, "tasks", 7, None)] == ["tasks: 7"]
    assert [str(line) for line in reach(92, "leads", 10_001, 10_000)] == ["leads: 10,001"]
    (line,) = reach(200, "calls", 5, 10)
    assert line.left is None, "nothing has come since it began"


def test_what_has_come_is_not_left() -> None:
    """D17: what an interrupted backfill stored is taken off what the next one says is left; of
    other streams nothing is, and where more came than was counted nothing is left."""
    with FactsStore(":memory:") as facts:
        facts.backlog.keep("crm", {"Lead": 3, "Task": 9})
        for ids, left in ((("L1", "L2"), 1), (("L3", "L4"), 0)):
            facts.store("crm", page(LEADS, *map(lead, ids)), at=T0)
            assert facts.backlog.of("crm") == {"Lead": left, "Task": 9}


@pytest.mark.slow
def test_a_backfill_knows_how_much_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D17: of what the CRM counted, in both CRMs."""
    monkeypatch.setattr(progress, "EVERY", -1.0)
    with live(tmp_path) as world:
        world.set_up()
        for seller in world.sellers.values():
            for n in range(3):
                named = {"last_name": f"P{n}", "email": f"p{n}@firm.example", "company": "Firm"}
                seller.crm.add(Kind.LEAD, named)
        said = world.run("backfill", "--yes").err
        assert "sales: pull Lead: 3 of 3" in said
        assert "marketing: pull contacts: 3 of 3" in said
