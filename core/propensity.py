"""Account propensity scores: a model over facts, as one relational expression for all accounts.

The score of an account (APS) is a whole number from 0 to 100 and the plain sum of its lines: what
the account is, its contacts under the roll-up, the roles of the buying committee that they fill,
what nobody in particular did in its name, and a last line that brings the sum to the scale. What
stands behind a contact's line is that contact's own score (`core.scoring`).
"""

from dataclasses import dataclass
from datetime import datetime

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import Table

from core.accounts import AccountRule, Anonymous, Committee, RollUp, readable
from core.behaviour import behaviour
from core.contributions import NO_EVENTS, matched
from core.decision import UNIT
from core.events import present
from core.facts import TIME, as_of
from core.known import Facts, belonging, companies, lead_columns
from core.matching import surviving
from core.past import Past
from core.points import units
from core.rules import Model
from core.scoring import limits
from core.verdict import Judged
from core.visitors import visits

LINES = ibis.schema(
    {
        "connection": "string",
        "account_id": "string",
        "rule": "string",
        "part": "string",
        "lead_id": "string",
        "events": "int64",
        "first": TIME,
        "last": TIME,
        "evidence": "string",
        "raw": "int64",
        "points": "int64",
        "shown_by": "string",
    }
)

_ACCOUNT = ("connection", "account_id")


@dataclass(frozen=True)
class Accounts:
    """What a model says of the accounts as of an instant; points in units of 1/10,000 point.

    `contributions`: connection, account_id, rule, part (fit, contact, committee, anonymous or
    scale), lead_id (of the contact that a line comes from), events, first, last and evidence (of
    anonymous activities, as in `core.scoring.Scored`), raw (what it would give by itself), points,
    and shown_by (the connection of a contact of the same company, where it is another). Every
    contact has a line, also one that the roll-up leaves out.

    `scores`: connection, account_id, target (null: not known), aps, raw (the sum before the
    scale), contacts, roles (how many of the committee's are filled), latest (when a contact or
    somebody unknown last earned points by something done), one row for each account.
    """

    contributions: Table
    scores: Table


def propensity(
    model: Model, judged: Judged, facts: Facts, at: datetime, past: Past | None = None
) -> Accounts:
    """Score every account by the facts as of `at`, and what was decided about its leads before.

    The model has a section `accounts`; `judged` is what each lead's own model says of it.
    """
    section = model.accounts
    assert section is not None, "only a model with accounts scores them"
    firms = companies(model, facts, at)
    accounts = firms.select("connection", account_id="id", target="target")
    people = belonging(facts, at)
    contacts = _contacts(section.rollup, people, judged)
    if facts.companies is not None:
        contacts = _everywhere(contacts, facts.companies)
    if facts.persons is not None:
        contacts = _once(contacts, facts.persons)
    contacts = contacts.semi_join(accounts, _ACCOUNT)
    parts = [_rolled_up(section.rollup, contacts)]
    if section.fit:
        parts.append(_fit(section.fit, firms, at))
    if section.committee:
        wide = lead_columns(_columns(section.committee), people, firms, at, past)
        parts.append(_filled(section.committee, wide, contacts))
    signals = [_signals(judged, contacts)]
    if section.anonymous:
        found = _anonymous(section.anonymous, model, facts, at)
        parts.append(found.semi_join(accounts, _ACCOUNT))
        signals.append(found.filter(found.points > 0).select(*_ACCOUNT, "last"))
    lines = ibis.union(*parts)
    latest = ibis.union(*signals)
    scores = _scores(accounts, lines, latest, units(section.top))
    return Accounts(contributions=lines.union(_scaled(scores)), scores=scores)


def _lines(table: Table, part: str, **columns: ibis.Value) -> Table:
    """The columns of LINES, some of them given; a line rests on no activity unless it says so."""
    given = {"part": ibis.literal(part), **columns}
    nothing = {**NO_EVENTS, "shown_by": ibis.null("string")}
    absent = {name: null for name, null in nothing.items() if name not in table.columns}
    return table.mutate(**absent, **given).select(*LINES).cast(LINES)


def _contacts(rollup: RollUp, people: Table, judged: Judged) -> Table:
    """The scored leads of each account: connection, account_id, lead_id, their `amount`, home
    (their own connection), and shown_by (the same, where it is not the account's)."""
    named = people.filter(people.account_id.notnull()).select(*_ACCOUNT, lead_id="id")
    found = named.join(judged.verdicts, ["connection", "lead_id"])
    return found.select(
        *_ACCOUNT,
        "lead_id",
        amount=found[rollup.of],
        home="connection",
        shown_by=ibis.null("string"),
    ).view()


def _everywhere(contacts: Table, companies: Table) -> Table:
    """The contacts, those of each account at every account of its company as well."""
    others = companies.select("company", to_connection="connection", to_account="account_id")
    rows = contacts.join(companies, _ACCOUNT).join(others, "company")
    given = rows.filter(rows.to_connection != rows.connection).mutate(
        connection=_.to_connection, account_id=_.to_account, shown_by=_.home
    )
    return contacts.union(given.select(contacts.columns)).view()


def _once(contacts: Table, persons: Table) -> Table:
    """The contacts, of each person in an account the one with most points, the account's own and
    the first by id among equals."""
    named = contacts.left_join(
        persons, [contacts.home == persons.connection, contacts.lead_id == persons.lead_id]
    )
    alone = contacts.home + " " + contacts.lead_id
    rows = named.select(contacts, person=persons.person.coalesce(alone))
    best_first = [rows.amount.desc(), rows.shown_by.notnull(), rows.lead_id, rows.home]
    place = ibis.row_number().over(group_by=[*_ACCOUNT, "person"], order_by=best_first)
    return rows.mutate(place=place).filter(_.place == 0).select(contacts.columns).view()


def _rolled_up(rollup: RollUp, contacts: Table) -> Table:
    """A line for each contact, with what it adds to its account.

    An average is told among the contacts so that their lines add up to it: each adds what the
    average, rounded down, grows by when its amount is added to those of the better ones.
    """
    # Two CRMs may call different people the same.
    best_first = [contacts.amount.desc(), contacts.lead_id, contacts.home]
    window = ibis.window(group_by=_ACCOUNT, order_by=best_first, preceding=None, following=0)
    points = contacts.amount
    if rollup.counted is not None:
        place = ibis.row_number().over(ibis.window(group_by=_ACCOUNT, order_by=best_first))
        points = (place < rollup.counted).ifelse(contacts.amount, 0)
    if rollup.method == "mean":
        upto = contacts.amount.sum().over(window)
        count = contacts.count().over(ibis.window(group_by=_ACCOUNT))
        points = upto // count - (upto - contacts.amount) // count
    rule = ibis.literal(rollup.name)
    return _lines(contacts, "contact", rule=rule, raw=contacts.amount, points=points)


def _fit(rules: tuple[AccountRule, ...], firms: Table, at: datetime) -> Table:
    """A line for each rule that holds of an account."""
    columns = frozenset[str]().union(*(rule.when.columns() for rule in rules))
    wide = readable(firms, columns, at).select("connection", *sorted(columns), account_id="id")
    signatures = wide.drop(*_ACCOUNT).distinct()
    holding = ([(rule.when.holds(signatures), number)] for number, rule in enumerate(rules))
    rows = [
        {"number": number, "rule": rule.id, "worth": units(rule.points)}
        for number, rule in enumerate(rules)
    ]
    kinds = pa.schema({"number": "int32", "rule": "string", "worth": "int64"})
    worth = ibis.memtable(pa.Table.from_pylist(rows, kinds))
    found = matched(wide, signatures, holding).join(worth, "number")
    nobody = ibis.null("string")
    return _lines(found, "fit", lead_id=nobody, raw=found.worth, points=found.worth)


def _columns(committee: Committee) -> frozenset[str]:
    return frozenset[str]().union(*(when.columns() for when in committee.roles.values()))


def _filled(committee: Committee, wide: Table, contacts: Table) -> Table:
    """A line for each role of an account that a contact fills, with the first such contact."""
    holding = ((when.holds(wide), f"role:{role}") for role, when in committee.roles.items())
    roles = wide.select("connection", "lead_id", rule=ibis.cases(*holding))
    roles = roles.filter(roles.rule.notnull()).rename(home="connection")
    filling = contacts.join(roles, ["home", "lead_id"])
    order = ibis.struct(
        {
            "elsewhere": filling.shown_by.notnull(),
            "lead_id": filling.lead_id,
            "home": filling.home,
        }
    )
    filled = filling.group_by(*_ACCOUNT, "rule").aggregate(
        lead_id=filling.lead_id.argmin(order),
        shown_by=filling.shown_by.coalesce("").argmin(order).nullif(""),
    )
    points = ibis.literal(units(committee.points), "int64")
    return _lines(filled, "committee", raw=points, points=points)


def _anonymous(anonymous: Anonymous, model: Model, facts: Facts, at: datetime) -> Table:
    """A line for each behaviour rule that an account's activities without a person match.

    They are put to the rules as if the account were a lead, and count in the points in which
    contacts count: those of a score, or those of behaviour before weighting.
    """
    assert model.accounts is not None
    events = facts.activities
    nobodys = events.filter(events.lead_id == "", events.account_id.notnull())
    if networks := model.accounts.networks:
        nobodys = nobodys.union(visits(networks, events, as_of(facts.accounts, at)))
    nobodys = surviving(nobodys, facts.aliases)
    if anonymous.when:
        wide = readable(nobodys, anonymous.when.columns(), at)
        nobodys = wide.filter(anonymous.when.holds(wide))
    own = nobodys.mutate(lead_id=nobodys.account_id).select(events.columns).cast(events.schema())
    lines = behaviour(model, own, present(own, at), at, None)
    lines = ibis.union(lines, *limits(model, "behaviour", lines))
    grain = model.grain
    raw, counted = lines.raw, lines.raw - lines.decay_loss - lines.cap_loss
    if model.accounts.rollup.of == "score":
        raw, counted = raw // grain.raw * grain.weighted, lines.points
    named = {"account_id": lines.lead_id, "lead_id": ibis.null("string")}
    return _lines(lines, "anonymous", **named, raw=raw, points=counted)


def _signals(judged: Judged, contacts: Table) -> Table:
    """When contacts earned points by something they did: connection, account_id, last."""
    lines = judged.contributions
    earned = lines.filter(lines.points > 0, lines["last"].notnull())
    found = contacts.join(earned.rename(home="connection"), ["home", "lead_id"])
    return found.select(*_ACCOUNT, "last")


def _scores(accounts: Table, lines: Table, latest: Table, top: int) -> Table:
    sums = lines.group_by(_ACCOUNT).aggregate(
        raw=lines.points.sum(),
        contacts=lines.count(where=lines.part == "contact"),
        roles=lines.count(where=lines.part == "committee"),
    )
    newest = latest.group_by(_ACCOUNT).aggregate(latest=latest["last"].max())
    found = accounts.left_join(sums, _ACCOUNT).select(
        accounts, **{name: sums[name].coalesce(0) for name in sums.columns[2:]}
    )
    rows = found.left_join(newest, _ACCOUNT).select(found, newest.latest)
    bounded = ibis.cases((rows.raw < 0, 0), (rows.raw > top, top), else_=rows.raw)
    aps = bounded * 100 // top * UNIT
    return rows.select(*_ACCOUNT, "target", "raw", "contacts", "roles", "latest", aps=aps).view()


def _scaled(scores: Table) -> Table:
    """What brings the sum of each account's lines to a whole number from 0 to 100."""
    rows = scores.filter(_.aps != _.raw)
    return _lines(
        rows,
        "scale",
        rule=ibis.literal("scale:100"),
        lead_id=ibis.null("string"),
        raw=ibis.literal(0, "int64"),
        points=rows.aps - rows.raw,
    )
