"""Guards stop the implausible, name the override, and let the ordinary pass."""

from datetime import timedelta

import pytest

from connectors.base import Capabilities, Change
from core.decision import Output
from sync import guards
from sync.guards import Limits
from sync.plan import ConnectionPlan, PlannedChange

CAPABILITIES = Capabilities(
    objects=("Lead",), write_batch=200, read_back_batch=2000, lookback=timedelta(0)
)


def plan(changes: int, records: int) -> ConnectionPlan:
    planned = PlannedChange(Change("Lead", "1", {Output.SCORE: "1"}), {})
    found = ConnectionPlan("crm", CAPABILITIES, {}, {}, records=records)
    found.changes.extend([planned] * changes)
    return found


@pytest.mark.parametrize(
    ("changed", "records", "known", "limits", "says"),
    [
        (50, 100, True, Limits(0.5), None),
        (51, 100, True, Limits(0.5), "--max-change-share 0.52"),
        (100, 100, True, Limits(0.5), "--max-change-share 1.00"),
        (100, 100, True, Limits(1.0), None),
        (100, 100, False, Limits(0.5), None),
        (19, 19, True, Limits(0.5), None),
        (201, 1000, True, Limits(0.5, calls=2), None),
        (401, 1000, True, Limits(0.5, calls=2), "--max-calls 3"),
    ],
)
def test_changes(changed, records, known, limits, says):
    """Too large a share, or too many calls, is one finding that names its override."""
    found = guards.changes(plan(changed, records), known, limits, 0)
    assert (says is None) == (found == [])
    assert says is None or says in found[0]


def test_a_budget_of_calls():
    """U06: with a budget of 100 calls a plan of 100 passes, and one of 101 is refused."""
    limits = Limits(1, calls=100)
    assert guards.changes(plan(20_000, 20_000), True, limits, 0) == []
    (finding,) = guards.changes(plan(20_001, 20_001), True, limits, 0)
    assert "writing costs 101 calls (write 101) beside the 0 made, more than the budget" in finding
    assert "run again with --max-calls 101" in finding


def test_what_was_read_is_of_the_budget():
    """U06: calls made before count; a plan that needs none is never too expensive."""
    limits = Limits(1, calls=100)
    assert guards.changes(plan(2_000, 2_000), True, limits, 90) == []
    (finding,) = guards.changes(plan(2_000, 2_000), True, limits, 91)
    assert "beside the 91 made" in finding
    assert "run again with --max-calls 101" in finding
    assert guards.changes(plan(0, 2_000), True, limits, 101) == []


def test_both_findings_are_reported_at_once():
    """All the reasons, not the first."""
    assert len(guards.changes(plan(900, 1000), True, Limits(0.5, calls=1), 0)) == 2


@pytest.mark.parametrize(
    ("removed", "held", "stops"),
    [(0, 0, False), (19, 19, False), (50, 100, False), (51, 100, True)],
)
def test_removals(removed, held, stops):
    """A pull that takes away most leads stops the run."""
    assert bool(guards.removals("crm", removed, held, Limits(0.5))) == stops


@pytest.mark.parametrize(("live", "held", "stops"), [(0, 5, True), (1, 5, False), (0, 0, False)])
def test_an_emptied_source(live, held, stops):
    """A source that had leads and has none stops the run; one that never had any does not."""
    assert bool(guards.emptied("crm", live, held, Limits(0.5))) == stops


def test_the_override_lets_an_emptied_source_pass():
    """What the message names works."""
    assert guards.emptied("crm", 0, 5, Limits(1.0)) == []
    assert guards.removals("crm", 100, 100, Limits(1.0)) == []
