"""A lead's dossier: one page of Markdown for whoever is to call, as of an instant.

Who it is, where it stands and why, what is still missing, what it did, and who else is there.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ibis import _

from core.decision import Decision
from core.events import until
from core.explain import Explanation
from sync.accounts import Surroundings, surroundings
from sync.decide import about
from sync.explain import explain
from sync.neighbours import Neighbours, neighbours
from sync.session import Session

LATEST = 20
"""How many activities are told, the newest first."""


def dossiers(session: Session, lead_id: str, at: datetime) -> list[str]:
    """The dossier of a lead in each connection that has it; empty where none does."""
    found = []
    with neighbours(session, lead_id, at) as around:
        for decision, explanation in explain(around, [lead_id]):
            person, did, more = _known(around, decision)
            parts = [
                _head(person, decision),
                _standing(decision, explanation),
                _points(explanation),
                _deeds(did, more),
            ]
            if account := surroundings(around, decision):
                parts.append(_account(account))
            found.append("\n\n".join("\n".join(lines) for lines in parts))
    return found


def _known(
    around: Neighbours, decision: Decision
) -> tuple[Mapping[str, Any], list[dict[str, Any]], int]:
    """Who the lead is, its latest activities, and how many there are besides."""
    at, connection = decision.scored_at, decision.connection
    facts = about(around.judged.facts, [decision.lead_id])
    of_lead = (p for p in around.people if p["id"] == decision.lead_id)
    person = next(p for p in of_lead if p["connection"] == connection)
    events = until(facts.activities, at).filter(_.connection == connection, _.lead_id != "")
    total = int(events.count().to_pyarrow().as_py())
    latest = events.order_by(_.occurred_at.desc(), _.id).limit(LATEST)
    return person, latest.to_pyarrow().to_pylist(), total - min(total, LATEST)


def _head(person: Mapping[str, Any], decision: Decision) -> Iterator[str]:
    name = " ".join(filter(None, (person["first_name"], person["last_name"])))
    yield f"# {_plain(name or decision.lead_id)}"
    what = filter(None, (person["title"], person["company"], person["industry"], person["country"]))
    yield ", ".join(map(_plain, what)) or "nothing else is known of the person"
    yield ""
    yield (
        f"{decision.object_type} {decision.lead_id} in {decision.connection}, "
        f"as of {decision.scored_at:%Y-%m-%d %H:%M} UTC"
    )


def _standing(decision: Decision, found: Explanation) -> Iterator[str]:
    yield "## Where it stands"
    yield f"- {found.score} points, {decision.stage or 'no stage'}, tier {decision.tier or '-'}"
    yield f"- {decision.reason}"
    if found.next_stage:
        yield f"- {found.missing} points to {found.next_stage}"
    if found.unknown:
        yield f"- not known: {', '.join(found.unknown)}"
    yield from (f"- {checked}" for checked in found.checklists)
    yield from (f"- {line}" for line in str(found.profile or "").splitlines())
    if found.history and found.history.handoffs:
        yield f"- handed to sales: {', '.join(f'{at:%Y-%m-%d}' for at in found.history.handoffs)}"
    if decision.owner_reason:
        yield f"- owner: {decision.owner_reason}"


def _points(found: Explanation) -> Iterator[str]:
    yield "## Why"
    lines = [
        (line.rule, f"{line.points:+}", str(line.events or ""), _day(line.last))
        for line in found.lines
    ]
    yield from _table(("rule", "points", "events", "last"), lines)


def _deeds(did: Iterable[Mapping[str, Any]], more: int) -> Iterator[str]:
    yield "## What it did"
    rows = [
        (_day(row["occurred_at"]), row["type"], row["asset"] or "", row["campaign"] or "")
        for row in did
    ]
    yield from _table(("when", "what", "asset", "campaign"), rows)
    if more:
        yield f"\n... and {more} before"


def _account(around: Surroundings) -> Iterator[str]:
    yield "## The account"
    how = "matched by e-mail domain" if around.by_domain else "named by the CRM"
    score = "" if around.aps is None else f", account score {around.aps:f}"
    yield f"{around.account_id} ({how}){score}"
    if around.colleagues:
        yield ""
        rows = [(c.lead_id, f"{c.points:f}") for c in around.colleagues[:LATEST]]
        yield from _table(("colleague", "points"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (head, tuple("---" for _column in head), *rows):
        yield f"| {' | '.join(map(_plain, cells))} |"


def _plain(text: str) -> str:
    """Text of a CRM in one line of Markdown: it can end no cell and begin no markup."""
    return " ".join(text.replace("|", "/").replace("<", "(").replace(">", ")").split())


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
