"""What the whole suite runs with."""

import gc
from collections import Counter
from collections.abc import Callable

import pytest

# Expressions are large trees that live long: looking through them again and again for garbage
# takes a sixth of the suite's time.
gc.set_threshold(50_000, 20, 50)

PROVEN = ("faults injected", "kills survived", "writes lost", "writes doubled")
"""What the proofs of reliability count."""

Prove = Callable[..., None]


@pytest.fixture
def prove(record_property: Callable[[str, object], None]) -> Prove:
    """Adds to what the proofs of reliability came to, in the order of PROVEN."""

    def counted(*counts: int) -> None:
        for name, count in zip(PROVEN, counts, strict=True):
            record_property(name, count)

    return counted


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the proofs of reliability came to, if any ran."""
    total = Counter[str]()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                total.update({k: n for k, n in report.user_properties if k in PROVEN})
    if total:
        said = ", ".join(f"{name} {total[name]}" for name in PROVEN)
        terminalreporter.write_line(f"proofs of reliability: {said}")
