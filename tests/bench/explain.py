"""Explaining one lead of a large base, beside reading what it did out of the same file; and one
with an account, whose other leads are scored as well.

    python -m tests.bench.explain --leads 1000000

The base is that of `tests.bench.scoring`. Each side runs in processes of their own, as on the
command line, with the imports done and the stores open; the best of `--repeat` counts, in
processor time.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from core.facts import ACTIVITIES
from core.segments import Segment
from sync import accounts
from sync.config import Config
from sync.explain import explain
from sync.neighbours import neighbours
from sync.session import Outside, Session, Setup, open_setup
from tests.bench import scoring
from tests.bench.incremental import CONFIG, build
from tests.bench.measure import Line, show

MOST = 1.0
ALONE, EMPLOYED = (f"00Q{number:015d}" for number in (17, 19))


def hand(session: Session, lead: str) -> int:
    """How much a lead did, found by the one query that nothing can do without."""
    activities = session.facts.table(ACTIVITIES.name)
    return len(activities.filter(activities.lead_id == lead).to_pyarrow())


def ours(session: Session, lead: str) -> int:
    """How many lines explain a lead, with its account and colleagues."""
    with neighbours(session, [lead], scoring.AT) as around:
        ((decision, explanation),) = explain(around, [lead])
        accounts.surroundings(around, decision)
    return len(explanation.lines)


def run(side: str, lead: str, path: Path, rules: int) -> None:
    """Print the processor time of one side, and the seconds by the clock."""
    gc.set_threshold(250_000)  # as the command line does
    config = Config.model_validate({**CONFIG.model_dump(), "facts": path, "ledger": "sqlite://"})
    setup = Setup(config, (Segment(scoring.model_of(rules)),))
    with open_setup(setup, Outside({}, lambda: scoring.AT)) as session:
        # The last imports are made with the first answer.
        session.facts.table(ACTIVITIES.name).limit(0).to_pyarrow().to_pylist()
        seconds, worked = time.perf_counter(), time.process_time()
        found = {"hand": hand, "ours": ours}[side](session, lead)
        worked, seconds = time.process_time() - worked, time.perf_counter() - seconds
    assert found, f"nothing is known of {lead}"
    print(json.dumps([worked, seconds]))  # noqa: T201


def best(side: str, lead: str, path: Path, rules: int, repeat: int) -> tuple[float, float]:
    """The least processor time, and the least by the clock, of some processes."""
    command = [sys.executable, "-m", __spec__.name, "--run", side, "--lead", lead]
    command += ["--file", str(path), "--rules", str(rules)]
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(repeat)
    ]
    worked, seconds = zip(*runs, strict=True)
    return min(worked), min(seconds)


def lines(leads: int, rules: int, repeat: int, file: Path | None = None) -> list[Line]:
    """Both sides over one base, which is made unless `file` has it; of a lead without an account,
    and of one with."""
    with tempfile.TemporaryDirectory() as folder:
        path = file or Path(folder) / "facts.duckdb"
        if not path.exists():
            build(path, leads)
        name = f"explaining 1 of {leads:,} leads, {leads * 20:,} activities, {rules} rules"
        named = {ALONE: name, EMPLOYED: "the same with an account and its other leads"}
        return [_line(name, lead, path, rules, repeat) for lead, name in named.items()]


def _line(name: str, lead: str, path: Path, rules: int, repeat: int) -> Line:
    took = {side: best(side, lead, path, rules, repeat) for side in ("hand", "ours")}
    hand, ours = (f"{worked:.2f} s processor, {clock:.2f} s" for worked, clock in took.values())
    seconds = took["ours"][0]
    return Line(name, ours, hand, seconds / took["hand"][0], f"<= {MOST} s", seconds <= MOST)


def main() -> None:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=1_000_000)
    parser.add_argument("--rules", type=int, default=14)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--file", type=Path, help="a base to use, made if it is not there")
    parser.add_argument("--lead", help=argparse.SUPPRESS)
    parser.add_argument("--run", choices=["hand", "ours"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        run(given.run, given.lead, given.file, given.rules)
        return
    show(lines(given.leads, given.rules, given.repeat, given.file), "explain")


if __name__ == "__main__":
    main()
