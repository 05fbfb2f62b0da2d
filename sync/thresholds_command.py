"""The command that proposes a threshold from what became of leads."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync.command import DEFAULT_CONFIG, AsJson, ConfigPath, Only, opened, outside_of
from sync.model_commands import share_of
from sync.sources_command import percent
from sync.terminal import say, show

if TYPE_CHECKING:
    from core.thresholds import Candidate
    from sync.session import Session

Key = tuple[str, str]
"""Connection and id of a lead."""


@dataclass(frozen=True)
class Judged:
    """A lead's score, in units, by a model: of a customer as it was before it became one, or
    `late`, where nothing is held from that time, as it is now."""

    model: str
    score: int
    customer: bool = False
    late: bool = False


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
    from core.thresholds import candidates, suggested
    from sync.show import out

    with opened(ctx, config, only) as session:
        at = outside_of(ctx).clock().replace(microsecond=0)
        found = list(judged(session, at))
        models = [segment.model for segment in session.segments]
    said = []
    for model in models:
        mine = [one for one in found if one.model == model.label]
        won = sum(one.customer for one in mine)
        present = (model.thresholds.mql, model.thresholds.sql)
        table = candidates(((one.score, one.customer) for one in mine), present)
        best = suggested(table, len(mine), won, share)
        late = sum(one.late for one in mine)
        said.append({"model": model.name, "leads": len(mine), "customers": won, "late": late,
                     "present": present, "candidates": [_data(c, len(mine), won) for c in table],
                     "suggested": best.points if best else None})  # fmt: skip
    if as_json:
        show(said)
        return
    for one in said:
        out().print(_table(one))
        for line in _told(one, share):
            say(f"{one['model']}: {line}")


def judged(session: "Session", at: datetime) -> Iterator[Judged]:
    """Every lead that is scored as of `at`; a customer by what was known at the end of the day
    before it became one, so that nothing that came with the sale is in it."""
    from core.critical import customers
    from core.stages import UNSCORED
    from sync.decide import facts_of, past_of, with_gone
    from sync.replay import replay

    def scores(then: datetime, leads: frozenset[str] = frozenset()) -> Iterator[tuple[Key, Judged]]:
        whole = with_gone(facts_of(session.facts, then), leads)
        past = past_of(session.ledger, None, then, session.segments, whole)
        identity, named = session.config.identity, session.connectors.keys()
        for one in replay(session.facts, session.segments, then, named, leads, past, identity):
            if one.stage not in UNSCORED:
                yield (one.connection, one.lead_id), Judged(one.model, one.score)

    facts, outcomes = facts_of(session.facts, at), session.facts.table("outcomes")
    eves: dict[datetime, set[Key]] = defaultdict(set)
    for row in customers(facts, outcomes, at).to_pyarrow().to_pylist():
        eve = row["won_at"].replace(hour=0, minute=0, second=0, microsecond=0)
        eves[eve - timedelta(seconds=1)].add((row["connection"], row["lead_id"]))
    before: dict[Key, Judged] = {}
    for eve, won in sorted(eves.items()):
        found = scores(eve, frozenset(lead_id for _connection, lead_id in won))
        before |= {key: one for key, one in found if key in won}
    everyone = set[Key]().union(*eves.values())
    for key, one in scores(at):
        if key not in everyone:
            yield one
        elif then := before.get(key):
            yield Judged(then.model, then.score, customer=True)
        else:
            yield Judged(one.model, one.score, customer=True, late=True)


def _data(one: "Candidate", leads: int, customers: int) -> dict[str, Any]:
    return {"points": one.points, "leads": one.leads, "customers": one.customers,
            "converted": percent(one.customers, one.leads),
            "caught": percent(one.customers, customers),
            "passed": percent(one.leads, leads)}  # fmt: skip


def _table(said: Mapping[str, Any]) -> Any:
    from sync.show import table

    title = f"{said['model']}: {said['leads']} leads, {said['customers']} of them customers"
    made = table(title, "from points>", "leads>", "of all>", "customers>", "of these leads>",
                 "of all customers>", "")  # fmt: skip
    mql, sql = said["present"]
    for row in said["candidates"]:
        notes = {"mql": mql, "sql": sql, "suggested": said["suggested"]}
        marks = [note for note, points in notes.items() if points == row["points"]]
        cells = ("leads", "passed", "customers", "converted", "caught")
        made.add_row(f"{row['points']:f}", *(str(row[c] or 0) for c in cells), ", ".join(marks))
    return made


def _told(said: Mapping[str, Any], share: Decimal) -> Iterator[str]:
    from core.thresholds import FEWEST

    leads, won = said["leads"], said["customers"]
    if (best := said["suggested"]) is not None:
        yield f"suggested: {best:f}, the highest that {_per_cent(share)} % of the customers reached"
    elif min(won, leads - won) < FEWEST:
        yield (
            f"too little to suggest a threshold: {won} customers and {leads - won} others, and "
            f"{FEWEST} of each are needed"
        )
    else:
        yield f"no threshold above 0 is reached by {_per_cent(share)} % of the customers"
    if said["late"]:
        yield (
            f"{said['late']} of {won} customers count by their present score: nothing is held of "
            "them from before they became customers"
        )


def _per_cent(share: Decimal) -> str:
    """A share in per cent, without needless noughts."""
    return f"{(share * 100).normalize():f}"
