"""A lead's dossier: one page of Markdown for whoever is to call, as of an instant.

Who it is, where it stands and why, the criteria it met, what is still missing, what it did, what
people noted, how to work it, and who else is there. A part of which nothing is known says `none`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import ibis
from ibis import _
from ibis.expr.types import Table

from core.criteria import met
from core.decision import Decision
from core.events import until
from core.explain import Explanation
from core.facts import TIME
from sync.accounts import Surroundings, surroundings
from sync.decide import about
from sync.explain import explain
from sync.handoff_settings import Handoff
from sync.neighbours import Neighbours, Row, neighbours
from sync.session import Session

LATEST = 20
"""How many activities are told, the newest first."""

RECENT = timedelta(days=30)
NONE = "none"


def dossiers(session: Session, leads: Collection[str], at: datetime) -> dict[tuple[str, str], str]:
    """The dossiers of some leads, by connection and id, in each connection that has them."""
    models = {segment.model.label: segment.model for segment in session.segments}
    found = {}
    with neighbours(session, leads, at) as around:
        for decision, explanation in explain(around, leads):
            person, firm = _who(around, decision)
            events = _events(around, decision)
            parts = [
                _head(person, decision),
                _standing(decision, explanation),
                _criteria(met(models[decision.model], decision.stage, explanation)),
                _points(explanation),
                _deeds(events),
                _metrics(events, decision.scored_at),
                _notes(session.config.handoff, person, firm),
                _playbook(session.config.handoff, decision.tier),
                _account(surroundings(around, decision)),
            ]
            key = (decision.connection, decision.lead_id)
            found[key] = "\n\n".join("\n".join(lines) for lines in parts)
    return found


def _who(around: Neighbours, decision: Decision) -> tuple[Row, Row | None]:
    """The lead, and its account where there is one."""
    key = (decision.connection, decision.lead_id)
    person = next(p for p in around.people if (p["connection"], p["id"]) == key)
    account = (decision.connection, person["account_id"])
    return person, next((f for f in around.firms if (f["connection"], f["id"]) == account), None)


def _events(around: Neighbours, decision: Decision) -> Table:
    """All that the lead did."""
    facts = about(around.judged.facts, [decision.lead_id])
    events = until(facts.activities, decision.scored_at)
    return events.filter(_.connection == decision.connection, _.lead_id != "")


def _head(person: Row, decision: Decision) -> Iterator[str]:
    name = " ".join(filter(None, (person["first_name"], person["last_name"])))
    yield f"# {plain(name or decision.lead_id)}"
    what = filter(None, (person["title"], person["company"], person["industry"], person["country"]))
    yield ", ".join(map(plain, what)) or "nothing else is known of the person"
    yield ""
    yield (
        f"{decision.object_type} {decision.lead_id} in {decision.connection}, "
        f"as of {decision.scored_at:%Y-%m-%d %H:%M} UTC"
    )


def _standing(decision: Decision, found: Explanation) -> Iterator[str]:
    yield "## Where it stands"
    yield f"- {found.score} points, {decision.stage or 'no stage'}, tier {decision.tier or '-'}"
    yield f"- {decision.reason}"
    if found.flags:
        yield f"- flags: {', '.join(map(str, found.flags))}"
    if decision.probability is not None:
        yield f"- predicted probability {decision.probability:f}, not in the score"
    if found.next_stage:
        yield f"- {found.missing} points to {found.next_stage}"
    if found.unknown:
        yield f"- not known: {', '.join(found.unknown)}"
    yield from (f"- {checked}" for checked in found.checklists)
    yield from (f"- {line}" for line in str(found.profile or "").splitlines())
    if found.history and found.history.handoffs:
        yield f"- handed to sales: {', '.join(f'{at:%Y-%m-%d}' for at in found.history.handoffs)}"
    if found.history and found.history.surge:
        yield f"- surge: {found.history.surge}"
    if found.history and found.history.answer:
        yield f"- sales: {plain(str(found.history.answer))}"
    if decision.owner_reason:
        yield f"- owner: {decision.owner_reason}"


def _criteria(lines: Iterable[str]) -> Iterator[str]:
    yield "## Criteria met"
    yield from [f"- {plain(line)}" for line in lines] or [NONE]


def _points(found: Explanation) -> Iterator[str]:
    yield "## Why"
    lines = [
        (line.rule, f"{line.points:+}", str(line.events or ""), _day(line.last))
        for line in found.lines
    ]
    yield from _table(("rule", "points", "events", "last"), lines)


def _deeds(events: Table) -> Iterator[str]:
    yield "## What it did"
    latest = events.order_by(_.occurred_at.desc(), _.id).limit(LATEST).to_pyarrow().to_pylist()
    rows = [
        (_day(row["occurred_at"]), row["type"], row["asset"] or "", row["campaign"] or "")
        for row in latest
    ]
    yield from _table(("when", "what", "asset", "campaign"), rows)
    if more := int(events.count().to_pyarrow().as_py()) - len(latest):
        yield f"\n... and {more} before"


def _metrics(events: Table, at: datetime) -> Iterator[str]:
    yield "## Engagement"
    recent = _.occurred_at > ibis.literal(at - RECENT, type=TIME)
    counted = events.group_by("type").aggregate(
        times=_.count(), recent=_.count(where=recent), last=_.occurred_at.max()
    )
    found = counted.order_by(ibis.desc("times"), "type").to_pyarrow().to_pylist()
    rows = [(r["type"], str(r["times"]), str(r["recent"]), _day(r["last"])) for r in found]
    yield from _table(("what", "times", f"in {RECENT.days} days", "last"), rows)


def _notes(handoff: Handoff | None, person: Row, firm: Row | None) -> Iterator[str]:
    yield "## Qualification notes"
    noted = []
    for of, row in (("lead", person), ("account", firm)):
        custom = dict(row["custom"] or ()) if row else {}
        for name in handoff.notes if handoff else ():
            if custom.get(name):
                noted.append(f"- {name} ({of}): {plain(custom[name])}")
    yield from noted or [NONE]


def _playbook(handoff: Handoff | None, tier: str | None) -> Iterator[str]:
    yield "## Playbook"
    work = handoff.tiers.get(tier or "") if handoff else None
    yield (work and work.playbook) or NONE


def _account(around: Surroundings | None) -> Iterator[str]:
    yield "## The account"
    if around is None:
        yield NONE
        return
    how = "matched by e-mail domain" if around.by_domain else "named by the CRM"
    score = "" if around.aps is None else f", account score {around.aps:f}"
    yield f"{around.account_id} ({how}){score}"
    if around.colleagues:
        yield ""
        rows = [(c.lead_id, f"{c.points:f}") for c in around.colleagues[:LATEST]]
        yield from _table(("colleague", "points"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if not rows:
        yield NONE
        return
    for cells in (head, tuple("---" for _column in head), *rows):
        yield f"| {' | '.join(map(plain, cells))} |"


def plain(text: str) -> str:
    """Text of a CRM in one line of Markdown: it can end no cell and begin no markup."""
    return " ".join(text.replace("|", "/").replace("<", "(").replace(">", ")").split())


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
