"""Visits of nobody: which account they come from, by their IP address."""

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from core.changes import changes
from core.lint import lint
from core.networks import bounds, key
from core.propensity import propensity
from core.rules import Model, parse
from core.segments import Segment
from core.visitors import Link, Networks, spans
from tests.core.golden import T0, World, account, activity, lead

UNIT = 10_000
VIEW = {"id": "view", "points": 1, "count": "each", "when": {"type": "page_view"}}


def networks(*known: tuple[str, str, str], at_least: str = "0") -> dict[str, Any]:
    """The section with some links: network, account, confidence."""
    links = [{"network": n, "account": a, "confidence": c} for n, a, c in known]
    return {"address": "ip", "at_least": at_least, "known": links}


def model(section: dict[str, Any], **accounts: Any) -> Model:
    """A model that counts visits of nobody."""
    scored: dict[str, Any] = {"top": 100, "anonymous": {}, "networks": section, **accounts}
    thresholds = {"mql": 10, "sql": 20}
    return parse({"name": "m", "behaviour": [VIEW], "accounts": scored, "thresholds": thresholds})


LINKS = (
    ("203.0.113.0/24", "acme.example", "0.9"),
    ("203.0.113.7", "B", "0.8"),
    ("203.0.113.64/26", "https://www.both.example/x", "0.95"),
    ("203.0.113.128/25", "acme.example", "0.9"),
    ("203.0.113.128-203.0.113.255", "B", "0.9"),
    ("198.51.100.0/24", "B", "0.79"),
    ("2001:db8::/32", "B", "1"),
    ("2001:db8::/32", "acme.example", "0.99"),
)
FROM = (
    ("1", "203.0.113.1", "A"),
    ("2", "203.0.113.7", "B"),
    ("3", "203.0.113.64", None),  # two accounts have this domain
    ("4", "203.0.113.200", None),  # equal in size and confidence
    ("5", "198.51.100.1", None),  # below the limit
    ("6", "2001:DB8::1", "B"),  # of equal size the surer
    ("7", "::ffff:203.0.113.1", "A"),
    ("8", "garbled", None),
    ("9", None, None),
)


def test_a_visit_of_nobody_counts_for_the_account_of_its_network() -> None:
    """S206 S215: for the account and no person; the most specific network, then the surest, and
    nobody's where both are equal; below the limit ignored. What a lead did, or the CRM says whose
    it is, stays so."""
    visits = [
        activity(id_, "", "page_view", custom={"ip": ip} if ip else None) for id_, ip, _a in FROM
    ]
    visits.append(activity("own", "a", "page_view", custom={"ip": "203.0.113.7"}))
    visits.append(activity("named", "", "page_view", account_id="C1", custom={"ip": "203.0.113.7"}))
    firms = [
        account("A", domain="acme.example"),
        account("B"),
        account("C1", domain="both.example"),
        account("C2", domain="both.example"),
    ]
    world = World([lead("a", account_id="A")], visits, firms)
    rules = model(networks(*LINKS, at_least="0.8"))
    found = propensity(rules, world.judged(Segment(rules)), world.facts, T0)
    rows = [row for row in world.rows(found.contributions) if row["part"] == "anonymous"]
    assert {row["account_id"]: row["events"] for row in rows} == {"A": 2, "B": 2, "C1": 1}
    assert all(row["lead_id"] is None for row in rows)
    assert world.scores(rules) == {"a": UNIT}


def test_a_span_says_what_its_most_specific_and_surest_links_say() -> None:
    """S215: held to each address put to every link, one by one."""
    of = Random(215)
    for _n in range(40):
        links = []
        for _m in range(of.randrange(1, 9)):
            low = of.randrange(30)
            high = of.choice((low, low + of.randrange(12)))
            text = f"192.0.2.{low}-192.0.2.{high}"
            sure = of.choice(("0.5", "0.7", "0.9"))
            links.append(Link(network=text, account=of.choice("ABC"), confidence=Decimal(sure)))
        section = Networks(address="ip", at_least=Decimal("0.7"), known=tuple(links))
        told = {n: s.account for s in spans(section) for n in range(s.low, s.high + 1)}
        for address in range(45):
            number = int(key(f"192.0.2.{address}") or "", 16)
            best: list[tuple[int, Decimal, str]] = []
            for link in links:
                low, high = (int(end, 16) for end in bounds(link.network))
                if low <= number <= high and link.confidence >= section.at_least:
                    best.append((high - low, -link.confidence, link.account))
            names = {one[2] for one in best if one[:2] == min(best)[:2]}
            assert told.get(number) == (names.pop() if len(names) == 1 else None)


def test_what_is_disputed_is_warned_of() -> None:
    """S215: links that are several accounts' alike, with where they stand."""
    rules = model(networks(*LINKS, at_least="0.8"))
    found = [f for f in lint(rules) if f.place == ("accounts", "networks")]
    (what,) = (f.what for f in found)
    assert "203.0.113.128/25 of acme.example and 203.0.113.128-203.0.113.255 of B" in what


def test_another_link_is_another_model() -> None:
    """S215: and a preview says which."""
    old, new = model(networks(LINKS[0])), model(networks(LINKS[0], LINKS[1]))
    assert old.version != new.version
    assert changes(old, new) == ["model: accounts networks known 203.0.113.7/32 of B none -> 0.8"]


@pytest.mark.parametrize(
    ("section", "more", "said"),
    [
        ({"address": "ip"}, {}, "say known, file, or both"),
        (networks(("203.0.113.7/24", "a", "1")), {}, "did you mean 203.0.113.0/24?"),
        (networks(("203.0.113.7", "a", "80")), {}, "less than or equal to 1"),
        (networks(LINKS[0]), {"anonymous": None}, "add `anonymous: {}`"),
    ],
)
def test_networks_that_cannot_mean_what_they_say(section: Any, more: Any, said: str) -> None:
    """S215: a mistake says what to write."""
    with pytest.raises(ValidationError, match=said.replace("?", "[?]").replace("{}", "[{][}]")):
        model(section, **more)
