"""Accounts as of a date: ranked, explained to the last point, and as a lead's surroundings.

All of it reads facts alone, in the versions that were known by the date.
"""

from collections import defaultdict
from collections.abc import Mapping
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
from core.known import Facts
from core.persons import shared
from core.profile import ACCOUNT_KEY, Profile, account_parts, profile
from core.propensity import Accounts, propensity
from core.segments import scoring_accounts
from core.stages import HELD_OUT
from core.verdict import Judged, judge
from sync.decide import facts_of, past_of
from sync.explain import explain as explain_leads
from sync.neighbours import Neighbours
from sync.session import Session
from sync.yaml_source import ConfigError

Key = tuple[str, str]


@dataclass(frozen=True)
class AccountScore:
    """An account and its score: `aps` from 0 to 100, `raw` the points before the scale.

    `contacts` are its scored leads; they fill `roles` of `asked` roles of the committee. `latest`
    is when somebody last earned points by something done, `target` None where it is not known.
    `profile` is what its leads together are interested in; None where no model asks for it.
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
    profile: Profile | None


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
    shown_by: str | None = None


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
    model, section = scoring_accounts(session.segments), _section(session)
    if model is None or section is None:
        raise ConfigError(["the model has no `accounts:` section: it does not score accounts"])
    facts = shared(session.config.identity, facts_of(session.facts, at), at)
    past = past_of(session.ledger, None, at, session.segments)
    judged = judge(session.segments, facts, at, past)
    found = propensity(model, judged, judged.facts, at, past)
    profiles = _profiles(session, judged, found.contributions, at)
    rows = (
        _named(found, facts, at)
        .filter(_.connection.isin(sorted(session.connectors)))
        .order_by(
            ibis.desc("aps"), ibis.desc("latest", nulls_first=False), "account_id", "connection"
        )
    )
    return [_account(row, section, profiles) for row in rows.to_pyarrow().to_pylist()]


def explain(around: Neighbours, record: str) -> list[AccountExplanation]:
    """Every point of an account of the neighbourhood, in each connection that has it, down to its
    contacts' events.

    Empty where the record is no account, or no model scores accounts.
    """
    section = _section(around.session)
    known = any(firm["id"] == record for firm in around.firms)
    if around.accounts is None or section is None or not known:
        return []
    mine = _.account_id == record
    named = _named(around.accounts, around.facts, around.at).filter(
        mine, _.connection.isin(sorted(around.session.connectors))
    )
    rows = named.order_by("connection").to_pyarrow().to_pylist()
    lines = around.accounts.contributions.filter(mine).to_pyarrow().to_pylist()
    ids = [line["lead_id"] for line in lines if line["part"] == "contact"]
    contacts = {
        (decision.connection, decision.lead_id): (decision, explanation)
        for decision, explanation in explain_leads(around, ids)
    }
    profiles = _profiles(around.session, around.judged, around.accounts.contributions, around.at)
    explained = []
    for row in rows:
        own = [line for line in lines if line["connection"] == row["connection"]]
        own.sort(key=lambda line: (-abs(line["points"]), line["rule"], line["lead_id"] or ""))
        keys = [
            (line["shown_by"] or line["connection"], line["lead_id"])
            for line in own
            if line["part"] == "contact"
        ]
        explained.append(
            AccountExplanation(
                _account(row, section, profiles),
                tuple(_line(line) for line in own),
                tuple(contacts[key] for key in keys),
            )
        )
    return explained


def surroundings(around: Neighbours, decision: Decision) -> Surroundings | None:
    """The account of a decided lead, and its colleagues there; None: it belongs to none."""
    connection = decision.connection
    people = {p["id"]: p for p in around.people if p["connection"] == connection}
    account_id, by_domain = (people[decision.lead_id][c] for c in ("account_id", "by_domain"))
    if account_id is None:
        return None
    others = {id_ for id_, person in people.items() if person["account_id"] == account_id}
    colleagues = [
        row
        for row in sorted(around.verdicts, key=lambda row: (-row["score"], row["lead_id"]))
        if row["connection"] == connection
        and row["lead_id"] in others - {decision.lead_id}
        and row["stage"] not in HELD_OUT
    ]
    return Surroundings(
        account_id,
        by_domain,
        _aps(around.accounts, connection, account_id),
        tuple(Colleague(row["lead_id"], Decimal(row["score"]) / UNIT) for row in colleagues),
    )


def _aps(accounts: Accounts | None, connection: str, account_id: str) -> Decimal | None:
    """The score of an account; None: no model scores any, or it is not in the facts."""
    if accounts is None:
        return None
    found = accounts.scores.filter(_.connection == connection, _.account_id == account_id)
    values = found.aps.to_pyarrow().to_pylist()
    return Decimal(values[0]) / UNIT if values else None


def _section(session: Session) -> AccountScoring | None:
    """What the model that scores accounts says of them."""
    model = scoring_accounts(session.segments)
    return model.accounts if model else None


def _named(found: Accounts, facts: Facts, at: datetime) -> Table:
    """The scores of accounts, with their names."""
    names = as_of(facts.accounts, at).select("connection", "name", account_id="id")
    return found.scores.join(names, ["connection", "account_id"])


def _profiles(
    session: Session, judged: Judged, lines: Table, at: datetime
) -> Mapping[Key, Profile] | None:
    """What the contacts of each account are interested in together, by connection and account;
    None where no model asks for it. `lines` are those of the accounts."""
    if not any(segment.model.interest for segment in session.segments):
        return None
    mine = lines.filter(_.part == "contact").select(
        *ACCOUNT_KEY, "lead_id", home=_.shown_by.coalesce(_.connection)
    )
    own = [(s.model, judged.shares[s.model.label]) for s in session.segments]
    contacts = ibis.memtable(mine.to_pyarrow())
    found: defaultdict[Key, dict[str, list[dict[str, Any]]]] = defaultdict(dict)
    for name, table in account_parts(own, contacts, at).items():
        for row in table.to_pyarrow().to_pylist():
            found[row["connection"], row["account_id"]].setdefault(name, []).append(row)
    return {key: profile(rows) for key, rows in found.items()}


def _account(
    row: Mapping[str, Any], section: AccountScoring, profiles: Mapping[Key, Profile] | None
) -> AccountScore:
    points = {name: Decimal(row[name]) / UNIT for name in ("aps", "raw")}
    asked = len(section.committee.roles) if section.committee else 0
    shown = None
    if profiles is not None:
        shown = profiles.get((row["connection"], row["account_id"]), Profile({}))
    return AccountScore(**{**row, **points}, asked=asked, profile=shown)


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
        shown_by=row["shown_by"],
    )
