"""The command that proposes a threshold from what became of leads."""

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync.command import DEFAULT_CONFIG, AsJson, ConfigPath, Only, opened, outside_of, share_of
from sync.terminal import percent, say, show

if TYPE_CHECKING:
    from sync.thresholds import Proposal


def thresholds(
    ctx: typer.Context,
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    share: Annotated[
        Decimal,
        typer.Option(
            parser=share_of, metavar="SHARE", help="The share of customers that it is to catch."
        ),
    ] = "0.8",  # type: ignore[assignment]
    as_json: AsJson = False,
) -> None:
    """Thresholds, and how many leads and later customers reach each; one is suggested."""
    from sync.show import out
    from sync.thresholds import proposals

    with opened(ctx, config, only) as session:
        found = proposals(session, outside_of(ctx).clock().replace(microsecond=0), share)
    if as_json:
        show([_data(one) for one in found])
        return
    for one in found:
        out().print(_table(one))
        for line in _told(one, share):
            say(f"{one.model.name}: {line}")


def _data(found: "Proposal") -> dict[str, Any]:
    now, best = found.model.thresholds, found.suggested
    return {"model": found.model.name, "leads": found.leads, "customers": found.customers,
            "late": found.late, "present": (now.mql, now.sql), "candidates": list(_rows(found)),
            "suggested": best.points if best else None}  # fmt: skip


def _rows(found: "Proposal") -> Iterator[dict[str, Any]]:
    for one in found.candidates:
        yield {"points": one.points, "leads": one.leads, "customers": one.customers,
               "converted": percent(one.customers, one.leads),
               "caught": percent(one.customers, found.customers),
               "passed": percent(one.leads, found.leads)}  # fmt: skip


def _table(found: "Proposal") -> Any:
    from sync.show import table

    title = f"{found.model.name}: {found.leads} leads, {found.customers} of them customers"
    made = table(title, "from points>", "leads>", "of all>", "customers>", "of these leads>",
                 "of all customers>", "")  # fmt: skip
    now, best = found.model.thresholds, found.suggested
    notes = {"mql": now.mql, "sql": now.sql, "suggested": best.points if best else None}
    for row in _rows(found):
        marks = [note for note, points in notes.items() if points == row["points"]]
        cells = ("leads", "passed", "customers", "converted", "caught")
        made.add_row(f"{row['points']:f}", *(str(row[c] or 0) for c in cells), ", ".join(marks))
    return made


def _told(found: "Proposal", share: Decimal) -> Iterator[str]:
    from core.thresholds import FEWEST

    won, others = found.customers, found.leads - found.customers
    part = f"{(share * 100).normalize():f} %"
    if found.suggested is not None:
        best = found.suggested.points
        yield f"suggested: {best:f}, the highest that {part} of the customers reached"
    elif min(won, others) < FEWEST:
        yield (
            f"too little to suggest a threshold: {won} customers and {others} others, and "
            f"{FEWEST} of each are needed"
        )
    else:
        yield f"no threshold above 0 is reached by {part} of the customers"
    if found.late:
        yield (
            f"{found.late} of {won} customers count by their present score: nothing is held of "
            "them from before they became customers"
        )
