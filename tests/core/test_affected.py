"""Which leads a change can affect."""

import ibis
import pyarrow as pa
import pytest

from core.affected import CHANGED, affected, only
from core.rules import parse
from core.scoring import score
from tests.core.golden import T0, World, account, lead

MODEL = parse(
    {
        "name": "m",
        "fit": [{"id": "tech", "points": 20, "when": {"industry": "technology"}}],
        "thresholds": {"mql": 50, "sql": 100},
    }
)


@pytest.mark.parametrize("changed", ["gone", "left"])
def test_a_lead_that_names_a_merged_account_hangs_on_the_one_that_remains(changed: str) -> None:
    """U12: its points are by the industry of the account that remains, so a change of either is one
    of its own."""
    people = [lead("old", account_id="gone"), lead("new", account_id="left"), lead("other")]
    firms = [account("left", industry="technology"), account("other")]
    world = World(people, [], firms, [("accounts", "gone", "left")])
    rows = [{"connection": "crm", "table_name": "accounts", "id": changed}]
    named = ibis.memtable(pa.Table.from_pylist(rows, CHANGED.to_pyarrow()))
    found = affected(named, world.facts, T0)
    theirs = {row["lead_id"] for row in world.rows(found)}
    assert theirs == ({"old"} if changed == "gone" else {"old", "new"})
    scores = world.rows(score(MODEL, only(world.facts, found), T0).scores)
    assert {row["lead_id"]: row["score"] for row in scores} == dict.fromkeys(theirs, 200_000)
