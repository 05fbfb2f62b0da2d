"""A month of the daemon with everything going on; `python -m tests.soak` runs any length of it."""

from pathlib import Path

import pytest

from tests.conftest import Prove
from tests.postgres import Ledgers
from tests.soak import soak


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("ledgers", "days"), [("sqlite", 30), ("postgresql", 3)], indirect=["ledgers"], scope="module"
)
def test_unattended_days_end_consistent(
    tmp_path: Path, ledgers: Ledgers, days: int, prove: Prove
) -> None:
    """S175: thirty days of changes, faults and kills on both CRMs need nobody. At the end each lead
    holds what its CRM's own records come to, people's edits stand, and nothing was written twice.
    The ledger may be on a server.
    """
    with soak(tmp_path, seed=5, ledgers=ledgers) as run:
        run.run(days)
        lost, doubled = run.lost(), sum(run.written.idle.values())
        prove(run.tally.faults.total(), run.tally.kills, len(lost), doubled)
        assert run.tally.daemons
        assert run.tally.kills > run.tally.daemons
        assert run.ends().keys() <= {"done", "refused", "failed", "died"}
        assert len(run.tally.faults) > 3
        assert run.tally.bulk
        assert {"edit", "refuse", "mend", "lock", "restore"} <= run.events.keys()
        assert (lost, doubled) == ([], 0)
