"""Which records are one person, told from handles; and what each of them is then worth."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis.expr.types import Table
from pydantic import ValidationError

from core.facts import as_of
from core.identity import CONTRADICTION, Identity, companies, persons
from core.known import Facts
from core.likeness import BLOCK, alike, alike_accounts
from core.model import Account, Lead
from core.persons import shared, shown_by
from core.propensity import propensity
from core.rules import Model, parse
from core.scoring import score
from core.segments import Segment
from core.verdict import judge
from tests.core.golden import T0, Elsewhere, World, account, activity, lead

EMAIL = Identity()
KEY = Identity(email=False, keys=({"marketing": "custom.sales_id", "crm": "id"},))
BOTH = Identity(keys=({"marketing": "custom.sales_id", "crm": "id"},))

Record = tuple[str, str]


def contact(id: str, **fields: Any) -> tuple[str, Lead]:
    """A contact of the other connection."""
    return "marketing", lead(id, object_type="contacts", **fields)


def people(identity: Identity, *records: Any) -> set[frozenset[str]]:
    """The groups of ids that are one person."""
    return grouped(World(records), identity)


def grouped(world: World, identity: Identity) -> set[frozenset[str]]:
    """The groups of ids that are one person in a world."""
    found = defaultdict(set)
    for row in world.rows(world.asked(_members, identity)):
        found[row["person"]].add(row["lead_id"])
    return {frozenset(ids) for ids in found.values()}


def _members(identity: Identity, facts: Facts, at: datetime) -> Table:
    return persons(identity, as_of(facts.leads, at)).members


def _unclear(identity: Identity, facts: Facts, at: datetime) -> Table:
    return persons(identity, as_of(facts.leads, at)).unclear


def _alike(identity: Identity, facts: Facts, at: datetime) -> Table:
    leads = as_of(facts.leads, at)
    return alike(leads, persons(identity, leads).members)


ADA = "ada@buyer.example"


@pytest.mark.parametrize(
    ("ours", "theirs", "one"),
    [
        (ADA, ADA, True),
        (ADA, " Ada@Buyer.Example ", True),
        (ADA, "ada@seller.example", False),
        (ADA, "ada+news@buyer.example", False),
        ("a.da@buyer.example", ADA, False),
        ("a.d.a+news@gmail.com", "ada@googlemail.com", True),
        ("ada@gmail.com", ADA, False),
        (None, None, False),
        ("none", "none", False),
        ("@", "@", False),
    ],
)
def test_an_address_is_a_mailbox(ours: str | None, theirs: str | None, *, one: bool) -> None:
    """Case and blanks tell no mailboxes apart, at Gmail neither do dots and tags; elsewhere they
    may, and what is no address joins nobody."""
    assert bool(people(EMAIL, lead("l", email=ours), contact("h", email=theirs))) is one


def test_a_lead_beside_a_contact_and_a_record_elsewhere_are_one() -> None:
    """One person across leads, contacts and both CRMs."""
    beside = lead("c", object_type="Contact", email=ADA)
    found = people(EMAIL, lead("l", email=ADA), beside, contact("h", email=ADA), lead("other"))
    assert found == {frozenset({"l", "c", "h"})}


def test_a_claimed_address_joins_nobody_and_is_said() -> None:
    """Two leads that claim one address: none of those who have it is joined by it."""
    world = World((lead("l1", email=ADA), lead("l2", email=ADA), contact("h", email=ADA)))
    assert grouped(world, EMAIL) == set()
    rows = world.rows(world.asked(_unclear, EMAIL))
    assert {(row["lead_id"], row["way"]) for row in rows} == {
        ("l1", "email"), ("l2", "email"), ("h", "email"),
    }  # fmt: skip
    assert len({row["claim"] for row in rows}) == 1


def test_keys_join_where_addresses_differ_and_go_before_them() -> None:
    """A key joins two whose addresses differ; where an address says another, the key counts."""
    ours = (lead("l1", email="a@x.example"), lead("l2", email="b@x.example"))
    theirs = contact("h", email="b@x.example", custom={"sales_id": "l1"})
    assert people(KEY, *ours, theirs) == {frozenset({"l1", "h"})}
    world = World((*ours, theirs))
    assert grouped(world, BOTH) == {frozenset({"l1", "h"})}
    said = {(row["lead_id"], row["way"]) for row in world.rows(world.asked(_unclear, BOTH))}
    assert said == {(id_, CONTRADICTION) for id_ in ("l1", "l2", "h")}


def test_what_is_alike_is_proposed_and_joins_nobody() -> None:
    """Fuzzy matches are proposed, never merged by themselves; a switchboard's number is none."""
    bo = {"first_name": "Bo", "last_name": "Ek", "company": "Fern"}
    records: list[Lead | Elsewhere] = [
        lead("l1", email="bo@fern.example", **bo),
        contact("h1", email="bo.ek@mail.example", **{**bo, "first_name": "BO"}),
        lead("l2", email="cy+news@fern.example"),
        contact("h2", email="cy@fern.example"),
        lead("l3", email="same@fern.example", **{**bo, "last_name": "Ny"}),
        contact("h3", email="same@fern.example", **{**bo, "last_name": "Ny"}),
        lead("l4", email="bo2@fern.example", **{**bo, "company": "Oak"}),
        lead("l5", email="di@fern.example", phone_number="+4930123456"),
        contact("h5", email="di@mail.example", phone_number="+4930123456"),
        lead("l6", email="ed@fern.example", phone_number="+4930999999"),
        *(contact(f"h{n}", email=f"{n}@f.example", phone_number="+4930999999") for n in (6, 7)),
    ]
    world = World(records)
    assert grouped(world, EMAIL) == {frozenset({"l3", "h3"})}
    rows = world.rows(world.asked(_alike, EMAIL))
    assert {(r["lead_id"], r["other_id"], r["because"]) for r in rows} == {
        ("l1", "h1", "name and company"), ("l2", "h2", "address but for a tag"),
        ("l5", "h5", "telephone number"),
    }  # fmt: skip


def _firms_alike(identity: Identity, facts: Facts, at: datetime) -> Table:
    firms = as_of(facts.accounts, at)
    known = companies(firms)
    return alike_accounts(firms, known if identity.accounts else known.limit(0))


def test_a_similar_name_at_one_company_is_proposed() -> None:
    """One letter in six may differ, whatever the alphabet, among people of one company, legal forms
    aside, or of one employer's domain; elsewhere, and in a crowd, nobody is compared."""

    def named(first: str, last: str, company: str | None) -> dict[str, Any]:
        return {"first_name": first, "last_name": last, "company": company}

    crowd = [f"{n:03}" for n in range(BLOCK)]
    records: list[Lead | Elsewhere] = [
        lead("l1", email="j.smith@fern.example", **named("John", "Smith", "Fern GmbH & Co. KG")),
        contact("h1", email="jon@mail.example", **named("Jon", "Smith", "FERN")),
        contact("h2", email="jo@mail.example", **named("Jo", "Schmidt", "Fern, Inc.")),
        contact("h3", email="john@fern.example", **named("John", "Smyth", None)),
        lead("l4", email="a@oak.example", **named("Jürgen", "Müller", "Oak")),
        contact("h4", email="b@oak.example", **named("Jürgen", "Möller", None)),
        contact("h5", email="x@gmail.com", **named("Jon", "Smith", "Limited")),
        lead("l6", email="y@gmail.com", **named("Anna", "Bell", "Crowd")),
        *(contact(f"c{n}", email=f"{n}@gmail.com", **named("Ann", "Bell", "Crowd")) for n in crowd),
        lead("l7", email=None, **named("Bo", "Ek", "Ash Ltd.")),
        contact("h7", email=None, **named("Bo", "Ek", "Ash")),
    ]
    world = World(records)
    rows = world.rows(world.asked(_alike, EMAIL))
    assert {(r["lead_id"], r["other_id"], r["because"]) for r in rows} == {
        ("l1", "h1", "similar name, and company"),
        ("l1", "h3", "similar name, and e-mail domain"),
        ("l4", "h4", "similar name, and e-mail domain"),
        ("l7", "h7", "name and company"),
    }


def test_accounts_that_are_alike_are_proposed() -> None:
    """The same domain, the same name but for its legal form, or a similar one; those that are known
    to be one company are not, where that is asked."""
    ours = [
        account("a1", name="Acme GmbH", domain="acme.example"),
        account("a2", name="Birch Systems Ltd."),
        account("a3", name="Cedar AG", domain="cedar.example"),
        account("a4", name="Dune"),
    ]
    theirs: list[Account | Elsewhere] = [
        ("marketing", account("b1", name="ACME, Inc.")),
        ("marketing", account("b2", name="Birch Sistems")),
        ("marketing", account("b3", name="Another", domain="cedar.example")),
        ("marketing", account("b4", name="Dunes")),
    ]
    world = World([], accounts=[*ours, *theirs])
    found = {
        asked: {
            (r["lead_id"], r["other_id"], r["because"])
            for r in world.rows(world.asked(_firms_alike, Identity(accounts=asked)))
        }
        for asked in (False, True)
    }
    told = {("a1", "b1", "name but for its legal form"), ("a2", "b2", "similar name")}
    assert found == {False: told | {("a3", "b3", "web domain")}, True: told}


HANDLES = st.sampled_from(["a@x.example", "b@x.example", "c@x.example", None])
WANTED = st.sampled_from(["0", "1", "2", "3", None])
RECORDS = st.lists(
    st.tuples(st.sampled_from(["Lead", "Contact", "contacts"]), HANDLES, WANTED), max_size=9
)


@pytest.mark.slow
@pytest.mark.parametrize("identity", [EMAIL, KEY, BOTH], ids=["email", "key", "both"])
@settings(max_examples=30, deadline=None)
@given(rows=RECORDS)
def test_groups_are_those_of_a_search_by_hand(
    identity: Identity, rows: list[tuple[str, str | None, str | None]]
) -> None:
    """Whatever records claim, the groups are those that a search from record to record finds."""
    records = [_record(str(n), *row) for n, row in enumerate(rows)]
    found = grouped(World(records), identity)
    assert found == {frozenset(id_ for _c, id_ in group) for group in by_hand(identity, records)}


def chain(length: int) -> list[tuple[str, Lead]]:
    """Leads and contacts in turn: each contact has the address of the lead before it, and the key
    of the one after it."""
    return [
        _record(f"{n:02}", "contacts" if n % 2 else "Lead", f"a{n // 2}@x.example",
                f"{n + 1:02}" if n % 2 else None)
        for n in range(length)
    ]  # fmt: skip


def test_links_add_up_as_far_as_they_go() -> None:
    """A lead, the contact elsewhere with its address, and the Contact that this one has the key of
    are one; a longer chain has two of a kind, wherever one looks at it, and keys alone count."""
    three = [*chain(2), _record("02", "Contact", "b@x.example", None)]
    assert grouped(World(three), BOTH) == {frozenset({"00", "01", "02"})}
    keys = {frozenset({f"{n:02}", f"{n + 1:02}"}) for n in range(1, 13, 2)}
    assert grouped(World(chain(14)), BOTH) == keys


def _record(id_: str, kind: str, email: str | None, key: str | None) -> tuple[str, Lead]:
    custom = {"sales_id": key} if key else None
    row = lead(id_, object_type=kind, email=email, custom=custom)
    return ("marketing" if kind == "contacts" else "crm"), row


def by_hand(identity: Identity, records: list[tuple[str, Lead]]) -> set[frozenset[Record]]:
    """The oracle: handles as sets, groups by visiting, contradictions by counting kinds."""
    kinds = {(c, row.id): (c, row.object_type) for c, row in records}
    by_email, by_key = defaultdict(set), defaultdict(set)
    for connection, row in records:
        who = (connection, row.id)
        if row.email:
            by_email[row.email].add(who)
        key = (row.custom or {}).get("sales_id") if connection == "marketing" else row.id
        if key:
            by_key[key].add(who)
    ways = ([by_email] if identity.email else []) + ([by_key] if identity.keys else [])
    good, bad = _visited(kinds, [claim for way in ways for claim in way.values()])
    if len(ways) > 1:
        again, _bad = _visited(kinds, [c & set().union(*bad) for c in _usable(kinds, by_key)])
        good |= again
    return good


def _usable(kinds: dict[Record, Any], way: dict[str, set[Record]]) -> list[set[Record]]:
    return [c for c in way.values() if len({kinds[r] for r in c}) == len(c)]


def _visited(
    kinds: dict[Record, Any], claims: Iterable[set[Record]]
) -> tuple[set[frozenset[Record]], set[frozenset[Record]]]:
    near: dict[Record, set[Record]] = defaultdict(set)
    for claim in claims:
        if len({kinds[record] for record in claim}) == len(claim):
            for one, other in combinations(claim, 2):
                near[one].add(other)
                near[other].add(one)
    good: set[frozenset[Record]] = set()
    bad: set[frozenset[Record]] = set()
    for start in near:
        group, waiting = set(), [start]
        while waiting:
            record = waiting.pop()
            if record not in group:
                group.add(record)
                waiting += near[record]
        clear = len({kinds[record] for record in group}) == len(group)
        (good if clear else bad).add(frozenset(group))
    return good, bad


FORM: dict[str, Any] = {
    "name": "t",
    "thresholds": {"mql": 10, "sql": 20},
    "tiers": {"A": 0},
    "behaviour": [
        {"id": "form", "points": 20, "count": "each", "when": {"type": "form"}},
        {"id": "call", "points": 5, "count": "each", "when": {"type": "call"}},
        {"id": "email", "points": 3, "count": "each", "when": {"type": ["email", "email_forward"]}},
    ],
}
PAIR = (lead("l", email=ADA), contact("h", email=ADA))


def theirs(*given: Any, **fields: Any) -> tuple[str, Any]:
    """Something the other connection shows."""
    return "marketing", activity(*given, **{"object_type": "calls", **fields})


def scores(world: World, model: dict[str, Any] = FORM) -> dict[str, int]:
    """The points of every lead, by id."""
    rows = world.rows(world.asked(_together, parse(model)))
    return {row["lead_id"]: row["score"] // 10_000 for row in rows}


def _together(model: Model, facts: Facts, at: datetime) -> Table:
    return score(model, shared(EMAIL, facts, at), at).scores


def test_what_was_done_in_one_counts_in_both() -> None:
    """Activities from one CRM score the lead in the other: both get the same points, a stranger
    none, and each activity is named with the connection that shows it."""
    did = (activity("t", "l", "call"), theirs("f", "h", "form", object_type="forms"))
    world = World((*PAIR, lead("other")), did)
    assert scores(world) == {"l": 25, "h": 25, "other": 0}
    shown = world.rows(world.asked(_shown, EMAIL))
    assert {(r["lead_id"], r["id"], r["by"]) for r in shown} == {
        ("l", "t", None), ("l", "f", "marketing"), ("h", "f", None), ("h", "t", "crm"),
    }  # fmt: skip


def _shown(identity: Identity, facts: Facts, at: datetime) -> Table:
    did = shared(identity, facts, at).activities
    return did.select("lead_id", "id", by=shown_by(did.object_type))


MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("first", "second", "points"),
    [
        ({"subject": "Demo"}, {"subject": " demo "}, 5),
        ({"subject": "Demo"}, {"subject": "Price"}, 10),
        ({}, {}, 5),
        ({"at": T0 - MINUTE}, {}, 10),
        ({"type": "email", "message_id": "<1>"}, {"type": "email", "message_id": "<1>"}, 3),
        ({"type": "email", "message_id": "<1>"}, {"type": "email", "message_id": "<2>"}, 6),
        (
            {"type": "email", "message_id": "<1>", "at": T0 - MINUTE},
            {"type": "email", "message_id": "<1>"},
            3,
        ),
        (
            {"type": "email_forward", "message_id": "<1>", "at": T0 - MINUTE},
            {"type": "email_forward", "message_id": "<1>"},
            3,
        ),
        ({"type": "form", "asset": "demo"}, {"type": "form", "campaign": "demo"}, 20),
        ({"type": "form", "asset": "demo"}, {"type": "form", "asset": "paper"}, 40),
    ],
)
def test_what_both_show_counts_once(
    first: dict[str, Any], second: dict[str, Any], points: int
) -> None:
    """S077 across CRMs: the same call, e-mail or form in both is one event for both."""
    did = (
        activity("t", "l", **{"type": "call", **first}),
        theirs("c", "h", **{"type": "call", **second}),
    )
    assert scores(World(PAIR, did)) == {"l": points, "h": points}


def test_one_activity_of_lead_and_contact_counts_once() -> None:
    """A Task of a Lead and of the Contact beside it is one event, for each of the person's three
    records; equal ids in two connections are two."""
    records = (*PAIR, lead("c", object_type="Contact", email=ADA))
    did = (
        activity("1", "l", "call"),
        activity("1", "c", "call"),
        theirs("1", "h", "call", at=T0 - MINUTE, object_type="Task"),
    )
    assert scores(World(records, did)) == {"l": 10, "c": 10, "h": 10}


def test_a_merged_record_counts_for_the_person() -> None:
    """What a record did that was merged into one of the person's counts for all of them, once."""
    did = [activity("1", "old", "call"), activity("2", "old", "call", T0 - MINUTE)]
    did.append(activity("2", "l", "call", T0 - MINUTE))
    world = World(PAIR, did, aliases=[("leads", "old", "l")])
    assert scores(world) == {"l": 10, "h": 10}


def test_a_record_without_contact_data_is_a_lead_where_its_person_acted() -> None:
    """A record that a key joins to a person is a lead by what the person did."""
    bare = lead("l", email=None)
    known = contact("h", custom={"sales_id": "l"})
    world = World((bare, known), [theirs("f", "h", "form")])
    rows = world.rows(world.asked(_by_key, parse(FORM)))
    assert {row["lead_id"]: row["score"] for row in rows} == {"l": 200_000, "h": 200_000}


def _by_key(model: Model, facts: Facts, at: datetime) -> Table:
    return score(model, shared(KEY, facts, at), at).scores


COMPANY = {"accounts": {"top": 100, "committee": {"points": 10, "roles": {
    "signs": {"title": {"contains": "CTO"}}, "uses": {"title": {"contains": "user"}},
}}}}  # fmt: skip


def test_an_account_counts_a_person_once() -> None:
    """A Lead beside its Contact in one account is one contact, and fills one role: the record
    that has more points stands for the person, of equal ones the first."""
    records = (
        lead("c", object_type="Contact", email=ADA, account_id="a", title="CTO"),
        lead("l", email=ADA, account_id="a", title="user"),
        lead("x", account_id="a"),
    )
    world = World(records, [activity("f", "l", "form")], [account("a")])
    rows = world.rows(world.asked(_accounts, parse({**FORM, **COMPANY})))
    assert [(r["rule"], r["lead_id"], r["points"]) for r in rows] == [
        ("role:signs", "c", 100_000), ("rollup:sum", "c", 200_000), ("rollup:sum", "x", 0),
    ]  # fmt: skip


def _accounts(model: Model, facts: Facts, at: datetime) -> Table:
    together = shared(EMAIL, facts, at)
    judged = judge((Segment(model),), together, at)
    lines = propensity(model, judged, together, at).contributions
    return lines.filter(lines.part != "scale").order_by("rule", "lead_id")


def firm(connection: str, id: str, **fields: Any) -> tuple[str, Account]:
    """An account of a connection."""
    return connection, account(id, **fields)


ON_X, ON_Y, ON_GMAIL = ({"domain": name} for name in ("x.example", "y.example", "gmail.com"))
FERN = {"name": "Fern"}


@pytest.mark.parametrize(
    ("accounts", "one"),
    [
        ([("crm", "a", ON_X), ("marketing", "b", ON_X)], True),
        ([("crm", "a", ON_GMAIL), ("marketing", "b", ON_GMAIL)], False),
        ([("crm", "a", {"name": "Fern "}), ("marketing", "b", {"name": "fern"})], True),
        ([("crm", "a", {**FERN, **ON_X}), ("marketing", "b", FERN)], True),
        ([("crm", "a", {**FERN, **ON_X}), ("marketing", "b", {**FERN, **ON_Y})], False),
        ([("crm", "a", ON_X), ("crm", "c", ON_X), ("marketing", "b", ON_X)], False),
        ([("crm", "a", ON_X), ("crm", "c", {**ON_X, "parent_id": "a"}), ("marketing", "b", ON_X)],
         True),
        ([("crm", "a", {}), ("marketing", "b", {})], False),
    ],
)  # fmt: skip
def test_accounts_of_one_company(accounts: list[Any], *, one: bool) -> None:
    """One account across both by domain, by name where domains do not differ, and by hierarchy:
    the top one of those that share a domain claims it; what two claim joins nobody."""
    world = World((), (), [firm(c, id_, **fields) for c, id_, fields in accounts])
    rows = world.rows(world.asked(_companies, EMAIL))
    assert {row["account_id"] for row in rows} == ({"a", "b"} if one else set())
    assert len({row["company"] for row in rows}) == int(one)


def _companies(_identity: Identity, facts: Facts, at: datetime) -> Table:
    return companies(as_of(facts.accounts, at))


def test_an_account_counts_the_contacts_of_its_company_in_both() -> None:
    """The contacts of the other connection's account count as well, each person once: in both
    accounts for as much; a line names the connection of a contact from elsewhere."""
    records = (
        lead("c", object_type="Contact", email=ADA, account_id="a", title="CTO"),
        contact("h", email=ADA, account_id="b", title="user"),
        contact("g", account_id="b", title="user"),
    )
    did: list[Any] = [activity("f", "c", "form"), theirs("k", "g", "call")]
    firms = [firm("crm", "a", domain="x.example"), firm("marketing", "b", domain="x.example")]
    world = World(records, did, firms)
    rows = world.rows(world.asked(_company, parse({**FORM, **COMPANY})))
    assert [(r["account_id"], r["rule"], r["lead_id"], r["shown_by"]) for r in rows] == [
        ("a", "role:signs", "c", None), ("a", "role:uses", "g", "marketing"),
        ("a", "rollup:sum", "c", None), ("a", "rollup:sum", "g", "marketing"),
        ("b", "role:uses", "g", None),
        ("b", "rollup:sum", "g", None), ("b", "rollup:sum", "h", None),
    ]  # fmt: skip
    assert (
        sum(r["points"] for r in rows if r["account_id"] == "a" and "rollup" in r["rule"])
        == sum(r["points"] for r in rows if r["account_id"] == "b" and "rollup" in r["rule"])
        == 250_000
    )


def _company(model: Model, facts: Facts, at: datetime) -> Table:
    together = shared(Identity(accounts=True), facts, at)
    judged = judge((Segment(model),), together, at)
    lines = propensity(model, judged, together, at).contributions
    return lines.filter(lines.part != "scale").order_by("account_id", "rule", "lead_id")


@pytest.mark.parametrize(
    "given", [{"email": False}, {"keys": [{"crm": "id"}]}, {"keys": [{"a": "id", "b": "name"}]}]
)
def test_a_section_that_joins_nobody_is_refused(given: dict[str, Any]) -> None:
    """Without any way to tell a person, or a key of one connection, the section is a mistake."""
    with pytest.raises(ValidationError):
        Identity.model_validate(given)
