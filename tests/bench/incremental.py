"""A cycle's decisions against the number of changed leads, over a small and a large base.

    python -m tests.bench.incremental --leads 10000 200000 --changed 1 100 1000

Selecting, scoring, qualifying and comparing: facts and ledger, no CRM. A quarter of an hour has
passed since the last cycle, so that a few events have aged past a boundary as well. The floor is
the same cycle over the smallest base: the cost follows what changed, not what there is.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import duckdb

from connectors.base import Capabilities
from core.facts import ACTIVITIES, LEADS
from core.rules import Model
from core.segments import Segment
from sync.config import Config
from sync.decide import Decider
from sync.facts_store import FactsStore
from sync.lead_numbers import NUMBER, numbered
from sync.ledger import Ledger
from sync.plan import ConnectionPlan
from sync.selection import chosen, select
from sync.session import Session
from tests.bench import scoring
from tests.bench.measure import Line, show

CRM, TICK = "crm", timedelta(minutes=15)
CAPABILITIES = Capabilities(objects=("Lead",), write_batch=200, read_back_batch=200, lookback=TICK)
MOST = 2.0
CONFIG = Config.model_validate(
    {"connections": {CRM: {"kind": "files", "folder": ".", "leads": "leads.csv"}}}
)


def build(path: Path, leads: int) -> None:
    """A base that was decided about once."""
    scoring.build(path, leads, leads * 20)
    with duckdb.connect(str(path)) as engine:
        engine.execute("ALTER TABLE aliases ADD COLUMN valid_from TIMESTAMPTZ DEFAULT '2025-01-01'")
        engine.execute("ALTER TABLE aliases ADD COLUMN valid_to TIMESTAMPTZ")
        number = numbered(ACTIVITIES).removeprefix(", ")
        engine.execute(f"ALTER TABLE activities ADD COLUMN {NUMBER} UINTEGER")
        engine.execute(f"UPDATE activities SET {NUMBER} = {number}")


def decide(store: FactsStore, ledger: Ledger, model: Model, changed: int | None) -> float:
    """Processor seconds of one cycle after so many leads changed; None: of a full one."""
    segments = (Segment(model),)
    session = Session(CONFIG, segments, store, ledger, {}, lambda: scoring.AT)
    for run, at in (("before", scoring.AT), ("now", scoring.AT + TICK)):
        began = time.process_time()
        planned = ConnectionPlan(CRM, CAPABILITIES, {}, {})
        full = changed is None or run == "before"
        selection = select(session, planned, None, at, None, run_id=run, full=full)
        if run == "before":
            store.touched.advance(CRM, selection.mark, _ids(store, changed or 0))
            continue
        with (
            chosen(store, [selection], at, segments) as leads,
            Decider(segments, None, store, at, leads=leads) as decider,
        ):
            for batch in decider.decided(CRM, {}):
                ledger.last_written(CRM, [item.decision.lead_id for item in batch])
    return time.process_time() - began


def _ids(store: FactsStore, count: int) -> list[str]:
    leads = store.table(LEADS.name).order_by("id").limit(count)
    return [str(id_) for id_ in leads.id.to_pyarrow().to_pylist()]


def lines(sizes: Sequence[int], changes: Sequence[int], repeat: int) -> list[Line]:
    """Each number of changes over each base, beside the smallest."""
    model, took = scoring.model_of(14), dict[tuple[int, int | None], float]()
    for leads in sizes:
        with tempfile.TemporaryDirectory() as folder:
            build(Path(folder) / "facts.duckdb", leads)
            with FactsStore(Path(folder) / "facts.duckdb") as store, Ledger("sqlite://") as ledger:
                ledger.start("before", "bench", model=model.label, at=scoring.AT)
                for changed in (*changes, None):
                    runs = (decide(store, ledger, model, changed) for _ in range(repeat + 1))
                    took[leads, changed] = min(list(runs)[1:])
    return [_line(sizes, leads, changed, took) for leads, changed in took if leads != min(sizes)]


def _line(
    sizes: Sequence[int],
    leads: int,
    changed: int | None,
    took: dict[tuple[int, int | None], float],
) -> Line:
    floor, figure = took[min(sizes), changed], took[leads, changed]
    name = "full" if changed is None else f"{changed:,} changed"
    return Line(
        f"cycle over {leads:,} leads, {name}",
        f"{figure:.2f} s of processor",
        f"{floor:.2f} s over {min(sizes):,}",
        figure / floor,
        "-" if changed is None else f"<= {MOST}",
        None if changed is None else figure / floor <= MOST,
    )


def main() -> None:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, nargs="+", default=[10_000, 200_000])
    parser.add_argument("--changed", type=int, nargs="+", default=[1, 100, 1_000])
    parser.add_argument("--repeat", type=int, default=2)
    given = parser.parse_args()
    show(lines(given.leads, given.changed, given.repeat), "incremental")


if __name__ == "__main__":
    main()
