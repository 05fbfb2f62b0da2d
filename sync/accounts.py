"""Accounts as of a date: ranked, explained to the last point, and as a lead's surroundings.

All of it reads facts alone, in the versions that were known by the date.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import ibis
from ibis import _
from ibis.expr.types import Table

from core.accounts import AccountScoring
from core.decision import UNIT, Decision
from core.explain import Explanation
from core.facts import as_of
from core.past import Past
from core.propensity import Accounts, propensity
from core.rules import Model
from core.scoring import Facts, belonging
from core.segments import scoring_accounts
from core.verdict import Judged, judge
from sync.decide import about, facts_of, past_of
from sync.replay import explain as explain_leads
from sync.session import Session
from sync.yaml_source import ConfigError


@dataclass(frozen=True)
class AccountScore:
    """An account and its score: `aps` from 0 to 100, `raw` the points before the scale.

    `contacts` are its scored leads; they fill `roles` of `asked` roles of the committee. `latest`
    is when somebody last earned points by something done, `target` None where it is not known.
    """

    connection: str
    account_id: str
    name: str | None
    target: bool | None
    aps: Decimal
    raw: Decimal
    contacts: int
    roles: int
    asked: int
    latest: datetime | None


@dataclass(frozen=True)
class AccountLine:
    """What one rule, contact or role adds to an account's score; see `core.propensity.Accounts`."""

    rule: str
    part: str
    lead_id: str | None
    raw: Decimal
    points: Decimal
    events: int | None
    last: datetime | None
    evidence: str | None


@dataclass(frozen=True)
class AccountExplanation:
    """Every point of an account, biggest first: the lines add up to its score.

    `contacts` explain each contact's own score, which stands behind its line as `raw`.
    """

    score: AccountScore
    lines: tuple[AccountLine, ...]
    contacts: tuple[tuple[Decision, Explanation], ...]


@dataclass(frozen=True)
class Colleague:
    """Another lead of the same account, and the points it has itself."""

    lead_id: str
    points: Decimal


@dataclass(frozen=True)
class Surroundings:
    """The account of a lead, found `by_domain` or named by the CRM, and who else is there.

    `aps` is None where the model scores no accounts. Colleagues come best first; their points are
    no part of the lead's score.
    """

    account_id: str
    by_domain: bool
    aps: Decimal | None
    colleagues: tuple[Colleague, ...]


def ranked(session: Session, at: datetime) -> list[AccountScore]:
    """All accounts by score, the one with the newest activity first among equals, then by id."""
    at = at.replace(microsecond=0)
    model, section = _scoring(session)
    facts = facts_of(session.facts, at)
    scores = _named(_propensity(session, model, facts, at), facts, at)
    rows = scores.filter(_.connection.isin(sorted(session.connectors))).order_by(
        ibis.desc("aps"), ibis.desc("latest", nulls_first=False), "account_id", "connection"
    )
    return [_account(row, section) for row in rows.to_pyarrow().to_pylist()]


def explain(session: Session, account_id: str, at: datetime) -> list[AccountExplanation]:
    """Every point of an account, in each connection that has it, down to its contacts' events."""
    at = at.replace(microsecond=0)
    model, section = _scoring(session)
    everything = facts_of(session.facts, at)
    known = as_of(everything.accounts, at)
    if not known.filter(known.id == account_id).count().to_pyarrow().as_py():
        return []
    people = belonging(everything, at)
    ids = people.filter(_.account_id == account_id).id.to_pyarrow().to_pylist()
    facts = about(everything, ids, [account_id])
    found = _propensity(session, model, facts, at, ids)
    mine = _named(found, facts, at).filter(
        _.account_id == account_id, _.connection.isin(sorted(session.connectors))
    )
    lines = found.contributions.filter(_.account_id == account_id).to_pyarrow().to_pylist()
    contacts = {
        (decision.connection, decision.lead_id): (decision, explanation)
        for decision, explanation in explain_leads(session, ids, at)
    }
    explained = []
    for row in mine.order_by("connection").to_pyarrow().to_pylist():
        own = [line for line in lines if line["connection"] == row["connection"]]
        own.sort(key=lambda line: (-abs(line["points"]), line["rule"], line["lead_id"] or ""))
        named = [(line["connection"], line["lead_id"]) for line in own if line["part"] == "contact"]
        explained.append(
            AccountExplanation(
                _account(row, section),
                tuple(_line(line) for line in own),
                tuple(contacts[key] for key in named),
            )
        )
    return explained


def surroundings(session: Session, decision: Decision) -> Surroundings | None:
    """The account of a decided lead, and its colleagues there; None: it belongs to none."""
    at, connection = decision.scored_at, decision.connection
    everything = facts_of(session.facts, at)
    people = belonging(everything, at).filter(_.connection == connection)
    rows = people.filter(_.id == decision.lead_id).to_pyarrow().to_pylist()
    account_id = rows[0]["account_id"] if rows else None
    if account_id is None:
        return None
    ids = people.filter(_.account_id == account_id).id.to_pyarrow().to_pylist()
    facts = about(everything, ids, [account_id])
    past = _past(session, at, ids)
    judged = judge(session.segments, facts, at, past)
    scores = judged.scores.filter(_.connection == connection, _.lead_id != decision.lead_id)
    colleagues = scores.order_by(ibis.desc("score"), "lead_id").to_pyarrow().to_pylist()
    return Surroundings(
        account_id,
        rows[0]["by_domain"],
        _aps(session, judged, facts, at, past, (connection, account_id)),
        tuple(Colleague(row["lead_id"], Decimal(row["score"]) / UNIT) for row in colleagues),
    )


def _aps(
    session: Session,
    judged: Judged,
    facts: Facts,
    at: datetime,
    past: Past | None,
    account: tuple[str, str],
) -> Decimal | None:
    """The score of an account; None: no model scores any, or it is not in the facts."""
    model = scoring_accounts(session.segments)
    if model is None:
        return None
    scores = propensity(model, judged, facts, at, past).scores
    found = scores.filter(_.connection == account[0], _.account_id == account[1])
    values = found.aps.to_pyarrow().to_pylist()
    return Decimal(values[0]) / UNIT if values else None


def _propensity(
    session: Session, model: Model, facts: Facts, at: datetime, leads: Collection[str] = ()
) -> Accounts:
    """What the model says of the accounts; of some leads if any are named, else of all."""
    past = _past(session, at, leads)
    return propensity(model, judge(session.segments, facts, at, past), facts, at, past)


def _past(session: Session, at: datetime, leads: Collection[str]) -> Past | None:
    return past_of(session.ledger, None, at, session.segments, leads)


def _scoring(session: Session) -> tuple[Model, AccountScoring]:
    """The model that says how accounts are scored, and what it says. Raises ConfigError."""
    model = scoring_accounts(session.segments)
    if model is None or model.accounts is None:
        raise ConfigError(["the model has no `accounts:` section: it does not score accounts"])
    return model, model.accounts


def _named(found: Accounts, facts: Facts, at: datetime) -> Table:
    """The scores of accounts, with their names."""
    names = as_of(facts.accounts, at).select("connection", "name", account_id="id")
    return found.scores.join(names, ["connection", "account_id"])


def _account(row: Mapping[str, Any], section: AccountScoring) -> AccountScore:
    points = {name: Decimal(row[name]) / UNIT for name in ("aps", "raw")}
    asked = len(section.committee.roles) if section.committee else 0
    return AccountScore(**{**row, **points}, asked=asked)


def _line(row: Mapping[str, Any]) -> AccountLine:
    return AccountLine(
        rule=row["rule"],
        part=row["part"],
        lead_id=row["lead_id"],
        raw=Decimal(row["raw"]) / UNIT,
        points=Decimal(row["points"]) / UNIT,
        events=row["events"],
        last=row["last"],
        evidence=row["evidence"],
    )
