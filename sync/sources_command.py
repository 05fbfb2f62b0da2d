"""The command that shows where leads come from, and how well those of each source convert."""

from collections import Counter
from typing import Annotated, Any

import typer

from sync.command import DEFAULT_CONFIG, AsJson, ConfigPath, opened, outside_of
from sync.terminal import percent, say, show


def sources(
    ctx: typer.Context,
    config: ConfigPath = DEFAULT_CONFIG,
    limit: Annotated[int, typer.Option(min=0, help="Unmapped sources that are listed.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Where leads come from: leads and customers by kind of source; sources without a kind."""
    from core.sources import FAMILY, UNMAPPED, Kind, Sources, conversion, referrers
    from sync.decide import facts_of
    from sync.show import out, table

    with opened(ctx, config) as session:
        section = session.config.sources or Sources()
        at = outside_of(ctx).clock().replace(microsecond=0)
        facts, outcomes = facts_of(session.facts, at), session.facts.table("outcomes")
        found = conversion(section, facts, outcomes, at).to_pyarrow().to_pylist()
        referred = referrers(section, facts, at).to_pyarrow().to_pylist()
    leads, won = (_summed(found, name) for name in ("leads", "won"))
    rows = [
        {
            "kind": kind or "not given",
            "family": FAMILY[Kind(kind)] if kind in set(Kind) else None,
            "leads": leads[kind],
            "won": won[kind],
            "rate": percent(won[kind], leads[kind]),
        }
        for kind in sorted(leads, key=lambda kind: (-leads[kind], kind or ""))
    ]
    unmapped = {row["source"]: row["leads"] for row in found if row["kind"] == UNMAPPED}
    listed = sorted(unmapped.items(), key=lambda item: (-item[1], item[0]))
    if as_json:
        by = {row["referrer"]: row["leads"] for row in referred}
        show({"sources": rows, "unmapped": dict(listed), "referrers": by})
        return
    made = table("leads by kind of source", "kind", "family", "leads>", "won>", "rate>")
    for row in rows:
        made.add_row(*(str(value) if value is not None else "" for value in row.values()))
    out().print(made)
    for source, count in listed[:limit]:
        say(f"unmapped: {source}: {count} leads (name it under `sources` in the configuration)")


def _summed(found: list[dict[str, Any]], name: str) -> Counter[str | None]:
    total: Counter[str | None] = Counter()
    for row in found:
        total[row["kind"]] += row[name]
    return total
