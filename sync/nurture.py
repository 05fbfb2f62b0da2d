"""Leads that are not ready: which nurture track each is on, and who belongs to an audience.

Both rest on what the last cycle decided, and on what the facts say now.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import ibis
from ibis import _
from ibis.expr.types import Table

from core.criteria import text
from core.decision import UNIT
from core.events import matches, present
from core.known import Facts, belonging, known_columns, settled_events
from core.past import Answer
from core.persons import shared
from core.stages import QUALIFIED, UNSCORED, Stage
from core.verdict import KEY, admitted
from sync.decide import facts_of, past_of
from sync.nurture_settings import Audience, Track
from sync.session import Session

OUT = (Stage.INELIGIBLE, Stage.DISQUALIFIED, *UNSCORED)
OPTED_OUT, BOUNCED = "email_opt_out", "bounced_at"


@dataclass(frozen=True)
class Nurtured:
    """A lead on its one track, and why; `next_step` is when it is due, None: the track is done."""

    connection: str
    lead_id: str
    track: str
    reason: str
    step: int
    next_step: datetime | None


@dataclass(frozen=True)
class Member:
    """A lead of an audience."""

    connection: str
    lead_id: str
    email: str | None
    account_id: str | None
    score: Decimal
    tier: str | None
    stage: str | None
    probability: Decimal | None


def nurtured(session: Session, at: datetime) -> list[Nurtured]:
    """Every lead that is not ready, nor out, nor opted out, with the track it is on."""
    nurture = session.config.nurture
    tracks = nurture.tracks if nurture else ()
    if not tracks:
        return []
    wanted = frozenset[str]().union(*(t.when.columns() for t in tracks if t.when))
    wide = _wide(session, facts_of(session.facts, at), wanted, at)
    cases = [(track.when.holds(wide), n) for n, track in enumerate(tracks) if track.when]
    last = ibis.literal(len(tracks) - 1)
    place = ibis.cases(*cases, else_=last) if cases else last
    reached = ~wide[OPTED_OUT].fill_null(False) & wide[BOUNCED].isnull()
    open_ = wide.filter(reached).select(*KEY, place=place)
    places = {tuple(row.values())[:2]: row["place"] for row in open_.to_pyarrow().to_pylist()}
    return list(_placed(session, tracks, places, at))


def _placed(
    session: Session,
    tracks: tuple[Track, ...],
    places: Mapping[tuple[Any, ...], int],
    at: datetime,
) -> Iterator[Nurtured]:
    ready = {*QUALIFIED, *session.config.handed}
    for connection in session.connectors:
        rejected = session.ledger.answers.rejected(connection)
        for row in session.ledger.past.standing(connection):
            place = places.get((connection, row["lead_id"]))
            answer = rejected.get(row["lead_id"])
            if place is None or row["stage"] in OUT or (row["stage"] in ready and not answer):
                continue
            entered = answer.at if answer else row["entered"]
            step, due = next_step(tracks[place].steps, entered, at)
            reason = _reason(tracks[place], row["stage"], answer)
            yield Nurtured(connection, row["lead_id"], tracks[place].name, reason, step, due)


def next_step(
    steps: tuple[timedelta, ...], entered: datetime, at: datetime
) -> tuple[int, datetime | None]:
    """The number, from 1, and the instant of the first step after `at`; None: there is none."""
    for number, step in enumerate(steps, start=1):
        if entered + step > at:
            return number, entered + step
    return len(steps), None


def _reason(track: Track, stage: str | None, answer: Answer | None) -> str:
    """Why a lead is nurtured, and why on this track."""
    why = f"{answer}" if answer else stage or "below every threshold"
    if track.when is None:
        return f"{why}; on no other track"
    said = text(track.when.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    return f"{why}; {said}"


def members(session: Session, audience: Audience, at: datetime) -> list[Member]:
    """The leads of an audience, by what may count (`core.verdict.admitted`). Who opted out, or is
    not known not to have, or whose e-mail bounced, is in none."""
    past = past_of(session.ledger, None, at, session.segments)
    facts = shared(session.config.identity, facts_of(session.facts, at), at)
    facts = admitted(session.segments, facts, at, past).facts
    wanted = audience.when.columns() if audience.when else frozenset[str]()
    wide = _wide(session, facts, wanted, at)
    holds = audience.when.holds(wide) if audience.when else ibis.literal(True)
    reached = ~wide[OPTED_OUT].fill_null(True) & wide[BOUNCED].isnull()
    rows = wide.filter(reached & holds.fill_null(False)).select(*KEY)
    if audience.did:
        events = settled_events(facts, at)
        did = matches(present(facts.activities, at), events, [audience.did])
        rows = rows.semi_join(did, KEY)
    people = belonging(facts, at).select("connection", "email", "account_id", lead_id="id")
    known = people.semi_join(rows, KEY).to_pyarrow().to_pylist()
    standing = {
        (name, row["lead_id"]): row
        for name in session.connectors
        for row in session.ledger.past.standing(name)
    }
    return [
        Member(
            **person,
            score=Decimal(row["score"]) / UNIT,
            tier=row["tier"],
            stage=row["stage"],
            probability=row["probability"],
        )
        for person in sorted(known, key=lambda p: (p["connection"], p["lead_id"]))
        if (row := standing.get((person["connection"], person["lead_id"])))
        and (audience.tiers is None or row["tier"] in audience.tiers)
    ]


def _wide(session: Session, facts: Facts, wanted: frozenset[str], at: datetime) -> Table:
    """The leads with the columns that conditions read, and whether e-mail may, and does, reach."""
    past = session.ledger.past.before(at)
    wide = known_columns(wanted | {OPTED_OUT, BOUNCED}, facts, at, past)
    return wide.filter(_.connection.isin(sorted(session.connectors)))
