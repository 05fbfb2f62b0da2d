"""API calls: of writing 2,000 changed leads, and of a second sync that finds nothing changed.

    python -m tests.bench.calls --leads 2000

Nothing is timed. The floor of writing is the fewest calls that the vendor's batch allows.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from connectors.base import Change
from connectors.sandbox.run import Sandbox
from core.decision import Output
from sync import templates
from sync.cycle import run_cycle
from sync.guards import Limits
from sync.sandbox import config_for
from sync.session import Outside, Session, open_session
from sync.stop import Stop
from tests.bench.measure import Line, show

MOST = {"sales": 11, "marketing": 20}
"""The calls that 2,000 changed leads may cost, by connection."""

STATED_FOR = 2_000
LIMITS = Limits(change_share=1.0)


@contextmanager
def opened(leads: int) -> Iterator[Session]:
    """A session with both sandbox CRMs, their fields created."""
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox.start(seed=1, leads=leads))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "config.yaml").write_text(config_for(sandbox), encoding="utf-8")
        templates.write(folder, "weighted")
        outside = Outside(sandbox.environment(), lambda: datetime.now(UTC))
        session = stack.enter_context(open_session(folder / "config.yaml", outside))
        for connector in session.connectors.values():
            connector.create_fields(connector.missing_fields())
        yield session


def writing(session: Session, leads: int) -> list[Line]:
    """Write a score to so many leads of each CRM."""
    found = []
    for name, connector in session.connectors.items():
        changes = [
            Change(row["object_type"], row["id"], {Output.SCORE: "7"})
            for stream in connector.streams()
            if stream.table == "leads"
            for page in connector.pull(stream, None, connector.now())
            for row in page.rows.to_pylist()
        ][:leads]
        before = dict(connector.usage.calls)
        results = list(connector.write(changes))
        after = connector.usage.calls
        calls = sum(after.get(kind, 0) - before.get(kind, 0) for kind in after)
        fewest = -(-len(changes) // connector.capabilities.write_batch)
        most = MOST[name]
        found.append(
            Line(
                f"{name}: calls to write {len(results):,} changed leads",
                str(calls),
                str(fewest),
                calls / fewest,
                *((f"<= {most}", calls <= most) if len(changes) == STATED_FOR else ()),
            )
        )
    return found


def idle(session: Session) -> list[Line]:
    """Sync twice; the calls of the second beside one for each stream that must be asked."""
    counted = []
    for _ in range(2):
        before = {name: c.usage.total for name, c in session.connectors.items()}
        run_cycle(session, kind="bench", stop=Stop(), progress=lambda *_: None, limits=LIMITS)
        totals = {name: c.usage.total - before[name] for name, c in session.connectors.items()}
        counted.append(totals)
    found = []
    for name, connector in session.connectors.items():
        calls, streams = counted[1][name], len(connector.streams())
        what = f"{name}: calls of a sync with nothing to do (the first took {counted[0][name]:,})"
        found.append(Line(what, str(calls), f"{streams} streams", calls / streams))
    return found


def lines(leads: int) -> list[Line]:
    """Both counts, each in a fresh pair of CRMs."""
    with opened(leads) as session:
        found = writing(session, leads)
    with opened(leads) as session:
        return found + idle(session)


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=STATED_FOR)
    show(lines(parser.parse_args().leads))


if __name__ == "__main__":
    main()
