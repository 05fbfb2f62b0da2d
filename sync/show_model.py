"""What a change of the model would do, as text tables and as plain data."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import groupby, islice
from typing import Any

from rich.table import Table

from sync.preview import Mover, Preview, Standing
from sync.show import table


def preview(found: Preview, limit: int) -> Iterable[Table]:
    """How the models differ, how many leads change their stage, and who moves by which rule."""
    differences = table(f"{found.old} -> {found.new}", "")
    for line in found.changes or ["the models say the same"]:
        differences.add_row(line)
    yield differences
    stages = table("\nstages", "connection", "from", "to", "leads>")
    for move in found.stages():
        same = "(stays)" if move.before == move.after else move.after or "-"
        stages.add_row(move.connection, move.before or "-", same, str(move.leads))
    yield stages
    listed = list(islice(found.movers(), limit + 1))
    predicted = any(
        side.probability is not None for mover in listed for side in (mover.before, mover.after)
    )
    beside = ["probability"] if predicted else []
    movers = table("\nleads that move", "lead", "score", "tier", "stage", "owner", *beside, "by")
    for mover in listed[:limit]:
        movers.add_row(*_row(mover, predicted=predicted))
    yield movers
    if len(listed) > limit:
        more = table("")
        more.add_column("... and more (--limit and --json show them)")
        yield more


def critical(found: Iterable[Mapping[str, Any]]) -> Iterator[Table]:
    """What customers did before they became customers: a table for each model, in its order."""
    for name, rows in groupby(found, lambda row: row["model"]):
        made = table(name, "rule", "customers who did it>", "of>", "")
        for row in rows:
            star = "*" if row["star"] else ""
            made.add_row(row["rule"], str(row["did"]), str(row["customers"]), star)
        yield made


def _row(mover: Mover, *, predicted: bool) -> list[str]:
    sides = [_side(side, predicted=predicted) for side in (mover.before, mover.after)]
    cells = [
        (a or "-") if a == b else f"{a or '-'} -> {b or '-'}" for a, b in zip(*sides, strict=True)
    ]
    by = ", ".join(f"{m.rule} {m.before:f} -> {m.after:f}" for m in mover.rules)
    return [f"{mover.connection}: {mover.lead_id}", *cells, by or "threshold, tier or turn"]


def _side(side: Standing, *, predicted: bool) -> list[str | None]:
    told = [f"{side.score:f}", side.tier, side.stage, side.owner]
    beside = None if side.probability is None else f"{side.probability:f}"
    return [*told, beside] if predicted else told


def preview_data(found: Preview) -> dict[str, Any]:
    """The same for machines: `agree` counts the leads whose stage is equal in both."""
    stages, movers = found.stages(), list(found.movers())
    return {
        "from": found.old,
        "to": found.new,
        "changes": found.changes,
        "stages": [asdict(move) for move in stages],
        "agree": sum(move.leads for move in stages if move.before == move.after),
        "disagree": [
            f"{m.connection}: {m.lead_id}" for m in movers if m.before.stage != m.after.stage
        ],
        "movers": [asdict(mover) for mover in movers],
    }
