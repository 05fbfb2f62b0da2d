"""Guards: what is implausible stops before the first write, and says what overrides it."""

from collections.abc import Iterable
from dataclasses import dataclass

from connectors.base import Connector, Price
from sync.plan import ConnectionPlan
from sync.price import in_words

FLOOR = 20
"""Shares of fewer records than this say nothing: a small change is never implausible."""


class GuardStopError(Exception):
    """A guard stopped the run before its first write; `findings` are all the reasons."""

    def __init__(self, findings: Iterable[str]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(self.findings))


@dataclass(frozen=True)
class Limits:
    """How much a run may do.

    `change_share` is of the records compared; `calls` are all API calls to each connection;
    `quota_share` is of a CRM's daily calls, those of other programs counted.
    """

    change_share: float
    calls: int | None = None
    quota_share: float | None = None


def removals(connection: str, removed: int, held: int, limits: Limits) -> list[str]:
    """Whether a pull took away more leads than is plausible; `held` are those before it."""
    if removed < FLOOR or removed <= held * limits.change_share:
        return []
    return [
        f"{connection}: the pull removed {removed} of {held} leads, more than "
        f"{limits.change_share:.0%}. If that is right, run again with --max-change-share 1"
    ]


def vanished(connection: str, table: str, gone: int, held: int, limits: Limits) -> list[str]:
    """Whether a CRM that was read whole lacks more of a facts table than is plausible."""
    few = gone < FLOOR and gone < held
    if not gone or few or gone <= held * limits.change_share:
        return []
    return [
        f"{connection}: {gone} of {held} {table} are no longer in the CRM, more than "
        f"{limits.change_share:.0%}; none was taken away. Check what the CRM user may see; if "
        "that is right, run again with --max-change-share 1"
    ]


def emptied(connection: str, live: int, held: int, limits: Limits) -> list[str]:
    """Whether a source that had leads has none any more."""
    if live or not held or limits.change_share >= 1:
        return []
    return [
        f"{connection}: no lead is left of {held}. Check what the CRM user may see; if that is "
        f"right, run again with --max-change-share 1"
    ]


def forgotten(connection: str, what: str, due: int, held: int, limits: Limits) -> list[str]:
    """Whether retention would erase more of what is held (leads, activities) than is plausible."""
    if due < FLOOR or due <= held * limits.change_share:
        return []
    return [
        f"{connection}: retention would erase {due} of the {held} {what} that are held, more "
        f"than {limits.change_share:.0%}; none was erased. Look whether the CRM lost them by "
        "mistake, and at `retention` in the configuration; if that is right, run again with "
        "--max-change-share 1"
    ]


def changes(plan: ConnectionPlan, known: bool, limits: Limits, made: int) -> list[str]:
    """Whether a plan changes too many records or costs too many calls, beside those `made`.

    The share is not asked of a connection that no run has written to its end (`known` False): the
    first changes everything by nature, and what goes on where it broke off changes the rest.
    """
    found = []
    count = len(plan.changes)
    if known and count >= FLOOR and count > plan.known * limits.change_share:
        found.append(
            f"{plan.connection}: the plan changes {count} of {plan.known} records, more than "
            f"{limits.change_share:.0%}. Look at it first (`leadgauge plan`, or the undo without "
            "--yes); if it is right, run again with "
            f"--max-change-share {min(1.0, count / plan.known + 0.01):.2f}"
        )
    return found + budget(plan.connection, "writing", plan.price, limits, made)


def keep(connectors: Iterable[Connector], limits: Limits) -> None:
    """From now on, make no call beyond the budget, nor the share of a CRM's daily quota."""
    for connector in connectors:
        connector.usage.budget, connector.usage.share = limits.calls, limits.quota_share


def budget(connection: str, what: str, price: Price, limits: Limits, made: int) -> list[str]:
    """Whether something costs more calls than there may be, beside those `made` in the run."""
    needed = made + price.total
    if limits.calls is None or not price.total or needed <= limits.calls:
        return []
    return [
        f"{connection}: {what} costs {in_words(price)} beside the {made} made, more than the "
        f"budget of {limits.calls}. To allow it, run again with --max-calls {needed}, or raise "
        "guards.max_calls in the configuration"
    ]
