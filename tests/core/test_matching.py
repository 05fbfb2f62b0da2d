"""Which account a lead belongs to: the one it names, or the one of its e-mail domain."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import ibis

from core.known import belonging
from core.matching import FREE_MAIL
from core.rules import parse
from tests.core.golden import T0, World, account, lead

DAY = timedelta(days=1)
FIRMS = (
    account("acme", domain="acme.com", industry="technology"),
    account("twin1", domain="twin.com"),
    account("twin2", domain="twin.com"),
    account("post", domain="gmail.com"),
    account("none"),
)


BELONGING: dict[str, tuple[dict[str, Any], str | None, bool]] = {
    "domain": ({"email": "jane@acme.com"}, "acme", True),
    "untidy": ({"email": " Jane@ACME.com "}, "acme", True),
    "named": ({"email": "jane@acme.com", "account_id": "none"}, "none", False),
    "away": ({"email": "jane@acme.com", "account_id": "away"}, "away", False),
    "free": ({"email": "jane@gmail.com"}, None, False),
    "shared": ({"email": "jane@twin.com"}, None, False),
    "other": ({"email": "jane@notacme.com"}, None, False),
    "below": ({"email": "jane@mail.acme.com"}, None, False),
    "nowhere": ({"email": "acme.com"}, None, False),
    "silent": ({"email": None, "phone": "+1 555 0100"}, None, False),
}
"""Leads, the account each belongs to, and whether that is told by its domain."""


def test_a_lead_belongs_to_the_one_account_of_its_domain() -> None:
    """S012: an e-mail domain finds the account, whose facts then speak for the lead; a free-mail
    or shared one finds none."""
    people = [lead(who, **fields) for who, (fields, _firm, _how) in BELONGING.items()]
    world = World(people, accounts=FIRMS)
    rows = world.rows(belonging(world.facts, T0))
    assert {row["id"]: (row["account_id"], row["by_domain"]) for row in rows} == {
        who: (firm, how) for who, (_fields, firm, how) in BELONGING.items()
    }
    rule = {"id": "tech", "points": 5, "when": {"industry": "technology"}}
    rules = parse({"name": "m", "thresholds": {"mql": 50, "sql": 100}, "fit": [rule]})
    earned = {who for who, points in world.scores(rules).items() if points}
    assert earned == {"domain", "untidy"}


def test_an_account_that_is_gone_shares_its_domain_with_nobody() -> None:
    """S012: what counts are the accounts there were at the time."""
    world = World([lead("x", email="a@twin.com")], accounts=FIRMS)
    table = world.facts.accounts
    ended = ibis.ifelse(table.id == "twin1", ibis.literal(T0, type=table.valid_to.type()), None)
    facts = replace(world.facts, accounts=table.mutate(valid_to=ended).cast(table.schema()))
    assert world.rows(belonging(facts, T0))[0]["account_id"] == "twin2"
    assert world.rows(belonging(facts, T0 - DAY))[0]["account_id"] is None


def test_matching_compares_no_pairs() -> None:
    """Leads and accounts meet by hashes of their domains: cost grows with either, not both."""
    world = World([lead("x")], accounts=FIRMS)
    query = ibis.to_sql(belonging(world.facts, T0), dialect="duckdb")
    ((_, plan),) = world.connection.execute(f"EXPLAIN {query}").fetchall()
    assert set(re.findall(r"[A-Z_]*JOIN", plan)) == {"HASH_JOIN"}


def test_free_mail_providers_are_domains() -> None:
    """Each once, and the best known among them."""
    assert len(set(FREE_MAIL)) == len(FREE_MAIL)
    assert {"gmail.com", "yahoo.co.uk", "outlook.com", "gmx.de", "qq.com", "t-online.de"} <= set(
        FREE_MAIL
    )
