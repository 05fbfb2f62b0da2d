"""Of which of a person's records sales is told, whatever becomes of the others and of runs."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from connectors.base import Change
from core.decision import Decision, Output
from sync.aliases import Alias
from sync.ledger import Ledger
from sync.ledger_handoffs import Kin, Record
from tests.sync.test_facts_store import T0

SALES, MARKETING = ("sales", "S"), ("marketing", "M")
KIN: Kin = {SALES: (MARKETING,), MARKETING: (SALES,)}
TOLD = {"SQL": ("webhook",)}


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """A ledger with some runs."""
    with Ledger("sqlite://") as ledger:
        for run in ("r1", "r2"):
            ledger.start(run, "sync", model="m", at=T0)
        yield ledger


def decide(ledger: Ledger, run: str, minutes: int, *stages: tuple[Record, str | None]) -> None:
    """A run decides about records of a person, one after the other."""
    at = T0 + timedelta(minutes=minutes)
    for (connection, lead_id), stage in stages:
        made = Decision(
            connection=connection, lead_id=lead_id, object_type="Lead", score=0, tier=None,
            stage=stage, reason="", model="m", scored_at=at, owner_id=None, owner_reason="",
        )  # fmt: skip
        ledger.decide(run, [made], TOLD, kin=KIN)


def told(ledger: Ledger) -> list[Record]:
    """Of which records is to be told, by every way."""
    return [(notice.connection, notice.lead_id) for notice in ledger.notices.waiting()]


def untold(ledger: Ledger) -> set[Record]:
    """The followers in marketing whose other record is not handed off."""
    return ledger.handoffs.forsaken("marketing", ("SQL",))


def test_one_record_is_told_of_in_a_cycle(ledger: Ledger) -> None:
    """S066 U14: the second record that comes to sales follows the first as long as that is there;
    one that comes after both had left is a qualification anew."""
    decide(ledger, "r1", 0, (SALES, "SQL"), (MARKETING, "MQL"))
    decide(ledger, "r1", 1, (MARKETING, "SQL"))
    assert told(ledger) == [SALES]
    assert ledger.handoffs.followers("marketing", ("SQL",)) == [(MARKETING, SALES)]
    decide(ledger, "r1", 2, (SALES, None))
    decide(ledger, "r1", 3, (SALES, "SQL"))
    assert told(ledger) == [SALES]
    decide(ledger, "r1", 4, (SALES, None), (MARKETING, None))
    decide(ledger, "r1", 5, (MARKETING, "SQL"), (SALES, "SQL"))
    assert told(ledger) == [SALES, MARKETING]
    assert ledger.handoffs.followers("sales", ("SQL",)) == [(SALES, MARKETING)]


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_run_that_ends_early_leaves_nobody_untold(ledger: Ledger, comes_back: bool) -> None:
    """S066 U14: killed after the one connection was written and before the other, whose hand-off
    nobody saw: the next run tells of it again, or, where it has left by then, of the other."""
    decide(ledger, "r1", 0, (SALES, "SQL"), (MARKETING, "SQL"))
    ledger.intend("r1", "marketing", [(Change("Lead", "M", {Output.STAGE: "SQL"}), None)], at=T0)
    ledger.close_dead_runs(at=T0)
    assert told(ledger) == []
    assert untold(ledger) == {MARKETING}
    ledger.start("r3", "sync", model="m", at=T0)
    decide(ledger, "r3", 1, (SALES, "SQL" if comes_back else None), (MARKETING, "SQL"))
    assert untold(ledger) == (set() if comes_back else {MARKETING})
    later = T0 + timedelta(minutes=1)
    for record in untold(ledger):
        assert ledger.handoffs.tell_instead(record, TOLD, at=later)
    assert told(ledger) == ([SALES] if comes_back else [MARKETING])


def test_who_is_gone_hands_down_once(ledger: Ledger) -> None:
    """U14: the survivor has the stage, the cycle and the hand-off as if it had been there; handing
    down again, also after the survivor left, changes nothing."""
    heir = ("sales", "H")
    decide(ledger, "r1", 0, (SALES, "SQL"), (heir, "MQL"))
    gone = [Alias("S", "H", T0 + timedelta(minutes=1))]

    def inherit(minutes: int) -> None:
        at = T0 + timedelta(minutes=minutes)
        ledger.heirs.hand_down("r2", "sales", gone, ("SQL",), at=at)

    def went_through(record: Record, minutes: int) -> tuple[str | None, int, int]:
        found = ledger.past.history(*record, T0 + timedelta(minutes=minutes))
        return found.stage, found.mqls, len(found.handoffs)

    assert told(ledger) == [SALES]
    for _ in range(2):
        inherit(5)
        assert told(ledger) == [heir]
        assert (went_through(heir, 5), went_through(SALES, 5)) == (("SQL", 1, 1), (None, 1, 1))
    decide(ledger, "r2", 5, (heir, "SQL"))
    decide(ledger, "r2", 6, (heir, None))
    inherit(7)
    assert went_through(heir, 7) == (None, 1, 1)
    decide(ledger, "r2", 8, (heir, "SQL"))
    assert went_through(heir, 9) == ("SQL", 2, 2)


def test_what_the_heir_went_through_counts_as_well(ledger: Ledger) -> None:
    """U14: of a survivor that was at sales twice and left, and a lead that is there now, the cycle
    is the higher one, in which nobody is handed off again; it left when the last of them did."""
    heir = ("sales", "H")
    decide(ledger, "r1", 0, (heir, "SQL"), (SALES, "SQL"))
    for minutes, stage in enumerate((None, "SQL", None), start=1):
        decide(ledger, "r1", minutes, (heir, stage))
    gone = [Alias("S", "H", T0 + timedelta(minutes=4))]
    ledger.heirs.hand_down("r2", "sales", gone, ("SQL",), at=T0 + timedelta(minutes=5))
    found = ledger.past.history(*heir, T0 + timedelta(minutes=5))
    assert (found.stage, found.mqls, len(found.handoffs)) == ("SQL", 2, 2)
    assert found.left == T0 + timedelta(minutes=3)
    decide(ledger, "r2", 5, (heir, "SQL"))
    assert told(ledger).count(heir) == 2
