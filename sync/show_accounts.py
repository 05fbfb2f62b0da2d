"""Accounts as text tables: ranked, explained, and as a lead's surroundings."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.table import Table

from sync.accounts import AccountExplanation, AccountScore, Surroundings
from sync.show import SHOWN, explanation, table
from sync.show import explained as explained_lead


def ranked(accounts: Sequence[AccountScore], limit: int) -> Iterable[Table]:
    """The best accounts, with how many people of which committee are known there, and the first
    area of interest where a model asks for it."""
    asked = any(account.profile for account in accounts)
    made = table(
        f"{len(accounts)} accounts, best first",
        "account", "name", "score>", "contacts>", "roles>", "target",
        *(["area"] if asked else []), "last intent",
    )  # fmt: skip
    for account in accounts[:limit]:
        made.add_row(
            f"{account.connection}: {account.account_id}",
            account.name or "",
            f"{account.aps:f}",
            str(account.contacts),
            _coverage(account),
            "yes" if account.target else "",
            *([next(iter(account.profile.areas), "")] if account.profile else []),
            _day(account.latest),
        )
    yield made
    if len(accounts) > limit:
        more = table("")
        more.add_column(f"... and {len(accounts) - limit} more (--limit shows them)")
        yield more


def explained(found: AccountExplanation) -> Iterable[Table]:
    """Every point of an account, adding up to its score, and then of each of its contacts."""
    account = found.score
    target = ", a target account" if account.target else ""
    roles = f", roles {_coverage(account)}" if account.asked else ""
    made = table(
        f"account {account.account_id} in {account.connection}: {account.name or 'no name'}\n"
        f"{account.aps:f} of 100{target}, contacts {account.contacts}{roles}",
        "rule", "part", "contact", "points>", "by itself>", "events>", "last", "evidence",
    )  # fmt: skip
    for line in found.lines:
        made.add_row(
            line.rule,
            line.part,
            f"{line.lead_id or ''}{f' in {line.shown_by}' if line.shown_by else ''}",
            f"{line.points:+}",
            str(line.raw),
            str(line.events or ""),
            _day(line.last),
            line.evidence or "",
        )
    made.add_row("sum", "", "", f"{sum(line.points for line in found.lines):+}")
    yield made
    if said := str(account.profile or ""):
        notes = table("")
        notes.add_column(said)
        yield notes
    for decision, contact in found.contacts[:SHOWN]:
        yield from explanation(decision, contact)


def data(found: AccountExplanation) -> dict[str, Any]:
    """The same for machines."""
    contacts = [explained_lead(d, e) for d, e in found.contacts]
    lines = [asdict(line) for line in found.lines]
    return {**asdict(found.score), "lines": lines, "explained": contacts}


def surroundings(found: Surroundings) -> Iterable[Table]:
    """The account of a lead and its colleagues, whose points are not the lead's."""
    how = "matched by e-mail domain" if found.by_domain else "named by the CRM"
    aps = "" if found.aps is None else f", account score {found.aps:f}"
    head = table("")
    head.add_column(f"\naccount {found.account_id} ({how}){aps}")
    yield head
    made = table("", "colleague", "points>")
    for colleague in found.colleagues[:SHOWN]:
        made.add_row(colleague.lead_id, f"{colleague.points:f}")
    if len(found.colleagues) > SHOWN:
        made.add_row(f"... and {len(found.colleagues) - SHOWN} more", "")
    yield made


def _coverage(account: AccountScore) -> str:
    return f"{account.roles}/{account.asked}" if account.asked else ""


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
