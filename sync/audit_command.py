"""The command that proves that the audit chain is whole, and lists it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync.command import DEFAULT_CONFIG, AsJson, ConfigPath, ends, settings
from sync.exits import Exit
from sync.terminal import say, show
from sync.yaml_source import ConfigError

if TYPE_CHECKING:
    from sync.ledger_audit import Chained, Head


def audit(
    ctx: typer.Context,
    lead: Annotated[
        str | None, typer.Argument(help="List the entries of this lead, by its record id.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", help="List the entries of this run.")] = None,
    noted: Annotated[
        str | None,
        typer.Option(help="A head that was noted before, as printed: the chain must contain it."),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="How many entries to list, the latest.")] = 20,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Prove that nothing in the audit chain was changed, and list it. Works while a sync runs."""
    from sync.ledger import Ledger

    head = _head(noted) if noted is not None else None
    with Ledger(settings(ctx, config).ledger) as ledger:
        fault = ledger.audit.fault(head)
        listed = ledger.audit.entries(run_id=run, lead_id=lead, limit=limit)
        end = ledger.audit.head()
    if as_json:
        entries = [{"number": c.number, **vars(c.entry), "hash": c.hash} for c in listed]
        show({"head": str(end), "fault": fault, "entries": entries})
    else:
        _list(listed)
    if fault:
        say(f"error: the audit chain was changed: {fault}. Restore a backup from before")
        ends(Exit.TAMPERED)
    say(f"the audit chain is whole; its head, to be noted elsewhere: {end}")


def _head(noted: str) -> "Head":
    from sync.ledger_audit import Head

    entries, _, hash_ = noted.partition(":")
    if not entries.isdecimal() or not hash_:
        raise ConfigError([f"--noted {noted}: give it as `leadgauge audit` printed it, COUNT:HASH"])
    return Head(int(entries), hash_)


def _list(listed: "list[Chained]") -> None:
    from sync.show import out, table

    made = table("audit", "number>", "at", "act", "run", "lead", "what")
    for chained in listed:
        entry = chained.entry
        lead = f"{entry.connection}: {entry.lead_id}" if entry.lead_id else ""
        what = "; ".join(f"{key} {_said(value)}" for key, value in _flat(entry.detail).items())
        at = f"{entry.at:%Y-%m-%d %H:%M:%S}"
        made.add_row(str(chained.number), at, entry.act, entry.run_id or "", lead, what)
    out().print(made)


def _flat(detail: Mapping[str, Any]) -> dict[str, Any]:
    """A detail's own keys, with what changed on their level."""
    return {**detail.get("changed", {}), **{k: v for k, v in detail.items() if k != "changed"}}


def _said(value: object) -> str:
    """A value in words: a change as old -> new."""
    if isinstance(value, list):
        return " -> ".join("none" if v is None else str(v) for v in value)
    if isinstance(value, dict):
        return ", ".join(f"{k}: {v}" for k, v in value.items())
    return str(value)
