"""What hygiene finds on leads, whom it holds out, and who stands for a duplicate."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.reachable import email_valid
from core.cleaning import findings
from core.duplicates import duplicates
from core.facts import as_of
from core.hygiene import Check, Standing, Usual
from core.model import Lead
from core.past import OVERRIDES, STAGES, Past
from core.propensity import propensity
from core.provenance import as_source
from core.rules import Model, parse
from core.segments import Segment
from tests.core.golden import FACTS, T0, World, account, activity, lead

BASE: dict[str, Any] = {
    "name": "m",
    "fit": [{"id": "cto", "points": 5, "when": {"title": "CTO"}}],
    "behaviour": [{"id": "call", "points": 7, "count": "each", "when": {"type": "call"}}],
    "thresholds": {"mql": 5, "sql": 12},
}


def model(hygiene: Any, **changes: Any) -> Model:
    """A small model with a section for hygiene."""
    return parse({**BASE, **changes, "hygiene": hygiene})


def found(world: World, hygiene: Any) -> dict[str, set[str]]:
    """The checks that find each lead."""
    rules = model(hygiene)
    assert rules.hygiene
    checks: defaultdict[str, set[str]] = defaultdict(set)
    for row in world.rows(world.asked(findings, rules.hygiene)):
        checks[row["lead_id"]].add(row["check"])
    return checks


def verdicts(world: World, rules: Model, past: Past | None = None) -> dict[str, dict[str, Any]]:
    """The verdict on every lead."""
    judged = world.judged(Segment(rules), past=past)
    return {row["lead_id"]: row for row in world.rows(judged.verdicts)}


def named(names: Sequence[tuple[str | None, str | None]]) -> World:
    """Leads of these first and last names, by number."""
    return World(lead(str(n), first_name=a, last_name=b) for n, (a, b) in enumerate(names))


JUNK = [
    ("Mickey", "Mouse"), (None, "mickey mouse"), ("Mouse", "Mickey"), ("MICKEY", " Mouse "),
    ("Test", "Test"), (None, "Test"), ("Mr", "Test"), ("Test", "User"), ("test", "123"),
    (None, "asdf"), ("Asdf", "Asdf"), ("Jane", "asdfgh"), (None, "asdfasdf"), ("qwerty", "Smith"),
    (None, "xxx"), ("aaa", "bbb"), (None, "12345"), ("Donald", "Duck"), ("John", "Doe"),
    ("Buy now", "http://spam.example"),
]  # fmt: skip
REAL = [
    ("Mickey", "Rourke"), ("Donald", "Tusk"), ("Minnie", "Driver"), ("Peter", "Test"),
    ("Testa", "Rossa"), ("Larry", "Wert"), (None, "Bar"), (None, "Foo"), ("Yo", "Na"),
    ("Wu", "Xi"), ("J", "J"), ("John", "Smith III"), ("Nguyễn", "Văn An"), ("李", "雷"),
    ("Олег", "Иванов"), ("محمد", "علي"), ("Ana", None), (None, None), (None, "Unknown"),
    ("O'Brien", "Null"), ("Clark", "Kent"), ("Mr", "Person"), (None, "[not provided]"),
]  # fmt: skip


def test_names_that_are_nobodys_and_names_that_are_somebodys() -> None:
    """S197 D68: Mickey Mouse, Test Test and keyboard runs are found; Mickey Rourke, rare names
    and those of any country or script are not, and a missing name is unknown, not junk."""
    assert found(named(JUNK), {}) == {str(n): {"junk-name"} for n in range(len(JUNK))}
    assert found(named(REAL), {}) == {}


def test_a_model_file_says_which_names_are_junk_and_which_are_real() -> None:
    """S197: lists are added to and exempted from, however they are typed."""
    world = named([("Mickey", "Mouse"), ("Karl", "Käfer"), ("KÄFER,", "karl"), ("Erika", "Musil")])
    names = {"junk": ["Karl Käfer"], "real": ["mickey  MOUSE"]}
    assert found(world, {"names": names}).keys() == {"1", "2"}
    assert found(world, {"ignore": ["junk-name"]}) == {}


ADDRESSES: dict[str, set[str]] = {
    "ana@acme.example": set(), "li.wei+news@sub.acme.example": set(), "x@ümlaut.example": set(),
    "test.pilot@acme.example": set(), "asdis@acme.example": set(), "o'brien@acme.example": set(),
    "ana@gmail.com": set(), "infoserv@acme.example": set(), "a@acme.example": set(),
    "ana": {"invalid-email"}, "ana@acme": {"invalid-email"}, "a na@acme.example": {"invalid-email"},
    "ana@@acme.example": {"invalid-email"}, "ana..b@acme.example": {"invalid-email"},
    "ana@acme..example": {"invalid-email"}, ".ana@acme.example": {"invalid-email"},
    "test@acme.example": {"junk-email"}, "asdf@gmail.com": {"junk-email"},
    "asdf12@gmail.com": {"junk-email"}, "a@a.com": {"junk-email"}, "xx@xx.de": {"junk-email"},
    "ana@example.com": {"junk-email"}, "ana@corp.local": {"junk-email"},
    "noreply@acme.example": {"junk-email"},
    "ana@mailinator.com": {"disposable-email"}, "ana@a.b.mailinator.com": {"disposable-email"},
    "ana@mailinator.example": set(), "ana@tmp.example": {"disposable-email"},
    "info@acme.example": {"role-email"}, "sales+eu@acme.example": {"role-email"},
    "presse@acme.example": {"role-email"},
    "bob@own.example": {"internal"}, "bob@eu.own.example": {"internal"}, "bob@known.example": set(),
    "eve@rival.example": {"competitor"}, "info@partner.example": set(),
    "info@mailinator.com": {"role-email", "disposable-email"},
}  # fmt: skip
LISTS = {
    "emails": {
        "disposable": ["tmp.example"],
        "role": ["presse"],
        "trusted": ["info@partner.example", "known.example"],
    },
    "internal": ["own.example"],
    "competitors": ["rival.example"],
}


def test_addresses_by_kind() -> None:
    """U15 D68: what is no address, made up, throw-away, of a role, of ourselves or of a competitor
    is told apart, sub-domains included; what the model trusts is not looked at."""
    world = World(lead(a, email=a, email_valid=email_valid(a)) for a in ADDRESSES)
    checks = found(world, LISTS)
    assert {address: checks.get(address, set()) for address in ADDRESSES} == ADDRESSES
    assert found(World([lead("none", email=None, phone="1")]), LISTS) == {}
    wrong = World([lead("one", phone="1", phone_valid=False)])
    assert found(wrong, {}) == {"one": {"invalid-phone"}}


def test_companies_behind_any_address() -> None:
    """U15: who works for a competitor, or for us, is found behind a private address as well: by the
    name of the company, by the web site and by the account, domain or name; a name that merely
    begins alike is not, and each lead is found once."""
    gmail = [
        ("name", {"company": " RIVAL Works "}), ("site", {"website": "https://www.Rival.example/a"}),
        ("sub", {"website": "eu.rival.example:443"}), ("domain", {"account_id": "r"}),
        ("firm", {"account_id": "n"}), ("ours", {"company": "Own Ltd"}),
        ("both", {"company": "Rival Works", "website": "rival.example", "account_id": "r"}),
        ("like", {"company": "Rival Works East", "website": "https://x.example/rival.example"}),
        ("other", {"website": "notrival.example", "account_id": "x"}), ("free", {}),
    ]  # fmt: skip
    people = [lead(name, email=f"{name}@gmail.com", **values) for name, values in gmail]
    people.append(lead("mail", email="a@rival.example", company="Rival Works"))
    firms = [
        account("r", domain="rival.example"), account("n", name="Rival works"),
        account("x", name="Fine", domain="fine.example"),
    ]  # fmt: skip
    lists = {"internal": ["Own Ltd"], "competitors": ["rival.example", "Rival Works"]}
    world = World(people, accounts=firms)
    rules = model(lists)
    assert rules.hygiene
    rows = [(r["lead_id"], r["check"]) for r in world.rows(world.asked(findings, rules.hygiene))]
    rivals = ("both", "domain", "firm", "mail", "name", "site", "sub")
    assert sorted(rows) == sorted(
        [*((name, "competitor") for name in rivals), ("ours", "internal")]
    )
    said = verdicts(world, rules)["name"]
    assert said["reason"] == "unusable (competitor): works for a competitor"


def test_free_mail_is_a_fact_and_no_defect() -> None:
    """U15: a rule may ask for it, without an address it is unknown, and no check finds it."""
    rule = {"id": "private", "points": -3, "when": {"free_mail": True}}
    work = {"id": "work", "points": 2, "when": {"free_mail": False}}
    world = World([lead("g", email="ana@gmail.com"), lead("w"), lead("n", email=None, phone="1")])
    scores = verdicts(world, model({}, fit=[rule, work]))
    assert {name: row["score"] for name, row in scores.items()} == {
        "g": -30_000,
        "w": 20_000,
        "n": 0,
    }


def test_what_is_found_holds_out_or_is_noted() -> None:
    """S060 S197 U15: a hard bounce and a verification that is too old are noted and may be given
    negative points; held out are what the model holds by: no points, no tier, and the reason."""
    ago = [T0 - timedelta(days=days) for days in (29, 30)]
    people = [
        lead("junk", first_name="Mickey", last_name="Mouse", title="CTO"),
        lead("bounced", bounced_at=T0, title="CTO"),
        *(lead(f"seen-{n}", custom={"verified": at.isoformat()}) for n, at in enumerate(ago)),
        lead("never", custom={"verified": "some day"}),
    ]
    world = World(people, [activity("a", "junk", "call")])
    hygiene: dict[str, Any] = {"stale": {"field": "verified", "after": "30 days"}}
    assert found(world, hygiene) == {
        "junk": {"junk-name"}, "bounced": {"bounced"}, "seen-1": {"stale"},
    }  # fmt: skip
    bounced = {"id": "bounced", "points": -9, "when": {"bounced_at": {"known": True}}}
    rules = model(hygiene, fit=[*BASE["fit"], bounced], tiers={"A": 0})
    said = verdicts(world, rules)
    assert said["bounced"]["score"] == -40_000
    assert said["seen-1"]["stage"] is None
    assert {k: v for k, v in said["junk"].items() if k not in ("connection", "lead_id")} == {
        "fit": 0, "behaviour": 0, "score": 0, "probability": None, "tier": None,
        "stage": "Unusable", "model": rules.label,
        "reason": "unusable (junk-name): nobody is called so",
    }  # fmt: skip
    judged = world.judged(Segment(rules))
    assert {row["lead_id"] for row in world.rows(judged.contributions)} == {"bounced"}
    strict = verdicts(world, model({**hygiene, "hold": ["bounced", "stale"]}))
    out = {name for name, row in strict.items() if row["stage"] == "Unusable"}
    assert out == {"bounced", "seen-1"}
    assert strict["junk"]["score"] == 120_000


def test_a_person_brings_a_lead_back() -> None:
    """U15: who finds a lead usable, or sets its score or stage, has the last word; points that are
    added leave it where it is. A duplicate that is brought back stands for itself."""
    people = [lead(n, last_name="Test", title="CTO") for n in ("usable", "points", "score")]
    people += [lead("first", email="a@x.example"), lead("again", email="a@x.example", title="CTO")]
    world = World(people, [activity("a", "again", "call")])
    said = [("usable", {}), ("points", {"points": 1}), ("score", {"score": 90_000}), ("again", {})]
    rows = [{"connection": "crm", "lead_id": id_, **value} for id_, value in said]
    overrides = ibis.memtable(pa.Table.from_pylist(rows, OVERRIDES.to_pyarrow()), schema=OVERRIDES)
    past = Past(ibis.memtable([], schema=STAGES), overrides)
    found = verdicts(world, model({}), past)
    assert {name: (row["score"], row["stage"]) for name, row in found.items()} == {
        "usable": (50_000, "MQL"), "points": (0, "Unusable"), "score": (90_000, "MQL"),
        "first": (0, None), "again": (120_000, "SQL"),
    }  # fmt: skip


def test_a_group_of_duplicates_and_who_stands_for_it() -> None:
    """S195: records of one mailbox are one group; a contact stands for it before a lead, then the
    oldest, then the smaller id. The others are linked to it and held out, and what they did counts
    for it, each event once; who was merged into one of them is its, too."""
    old, new = (T0 - timedelta(days=days) for days in (9, 2))
    people = [
        lead("l-old", email="ana.b@gmail.com", created_at=old),
        lead("c-new", email="AnaB+x@googlemail.com", object_type="Contact", created_at=new),
        lead("c-newer", email="anab@gmail.com", object_type="Contact", created_at=T0),
        lead("c-when", email="anab@gmail.com", object_type="Contact"),
        lead("tag", email="ana+b@x.example"), lead("tag-2", email="ana+c@x.example"),
        *(lead(name, email="z@x.example", created_at=old) for name in "zy"),
        lead("junk", email="z@x.example", last_name="Test", created_at=old - timedelta(days=1)),
        lead("no-1", email=None, phone="1"), lead("no-2", email=None, phone="1"),
    ]  # fmt: skip
    did = [("1", "l-old"), ("2", "c-new"), ("3", "merged"), ("2", "l-old"), ("4", "z")]
    events = [activity(id_, who, "call") for id_, who in did]
    world = World(people, events, aliases=[("leads", "merged", "l-old")])
    said = verdicts(world, model({}))
    reasons = {n: row["reason"] for n, row in said.items() if row["stage"] == "Duplicate"}
    why = "another record has the same e-mail address"
    assert reasons == {
        **dict.fromkeys(("l-old", "c-newer", "c-when"), f"duplicate of c-new: {why}"),
        "z": f"duplicate of y: {why}",
    }
    assert said["c-new"]["score"] == 3 * 70_000
    assert said["y"]["score"] == 70_000
    assert said["tag"]["stage"] is said["tag-2"]["stage"] is None
    assert not {"no-1", "no-2"} & reasons.keys()
    loose = verdicts(world, model({"ignore": ["duplicate"]}))
    assert loose["z"]["score"] == 70_000


MAILBOXES = ("a@x.example", "A@X.example", "b@x.example", "b.c@gmail.com", "bc@gmail.com",
             "bc+1@googlemail.com", None)  # fmt: skip
PEOPLE = st.lists(
    st.tuples(
        st.sampled_from(MAILBOXES),
        st.sampled_from(["Lead", "Contact"]),
        st.sampled_from([None, T0 - timedelta(days=2), T0 - timedelta(days=1)]),
    ),
    max_size=8,
)


def _key(address: str) -> str:
    local, _at, host = address.lower().partition("@")
    if host in ("gmail.com", "googlemail.com"):
        return local.partition("+")[0].replace(".", "") + "@gmail.com"
    return f"{local}@{host}"


TWINS = duplicates(as_of(FACTS.leads, T0))


@settings(deadline=None, max_examples=60)
@given(PEOPLE)
def test_the_same_group_by_hand(rows: list[tuple[str | None, str, Any]]) -> None:
    """S195: over random records, the groups and those who stand for them are what sorting each
    mailbox by hand gives: nobody is lost, and nobody that stands for others is a duplicate."""
    people = [
        lead(str(n), email=email, object_type=kind, created_at=made)
        for n, (email, kind, made) in enumerate(rows)
    ]
    groups: defaultdict[str, list[Lead]] = defaultdict(list)
    for person in people:
        if person.email:
            groups[_key(person.email)].append(person)
    expected: dict[str, str] = {}
    for group in groups.values():
        first, *others = sorted(
            group,
            key=lambda p: (p.object_type == "Lead", p.created_at is None, p.created_at or T0, p.id),
        )
        expected |= {other.id: first.id for other in others}
    world = World(people)
    assert {row["lead_id"]: row["survivor"] for row in world.rows(TWINS)} == expected


def test_sources_that_disagree_and_fields_that_are_missing() -> None:
    """U15: 50 given beside 5,000 appended is a finding, whose reason says which counts; equal
    answers are none. A lead that knows less than the floor's share of its key fields is found."""

    def told(*values: str) -> dict[str, str]:
        pairs = zip(("Size__c", "Size_Given__c"), values, strict=True)
        return {"employees": "".join(as_source(field, "given", value) for field, value in pairs)}

    people = [
        lead("torn", sources=told("50", "5000"), title="CTO", company="A"),
        lead("agreed", sources=told("50", "50"), title='The "best"', custom={"budget": "1"}),
        lead("bare"),
    ]
    world = World(people)
    complete = {"fields": ["title", "company", "custom.budget"], "at_least": "0.6667"}
    checks = found(world, {"complete": complete})
    assert checks == {"torn": {"conflict", "incomplete"}, "agreed": {"incomplete"},
                      "bare": {"incomplete"}}  # fmt: skip
    checks = found(world, {"complete": {**complete, "at_least": "0.6666"}})
    assert checks == {"torn": {"conflict"}, "bare": {"incomplete"}}
    rules = model({})
    assert rules.hygiene
    said = str(rules.hygiene.found(Check.CONFLICT, None))
    assert said == "conflict (sources): its sources disagree; the first one mapped counts"


def test_who_is_held_out_adds_nothing_to_its_account() -> None:
    """U15: neither its points nor its place in an average."""
    firms = {"accounts": {"rollup": {"method": "mean"}, "top": 10}}
    people = [lead("a", account_id="f", title="CTO"), lead("b", account_id="f", last_name="Test")]
    world = World(people, accounts=[account("f")])
    for hygiene, aps in (({}, 50), ({"ignore": ["junk-name"]}, 25)):
        rules = model(hygiene, **firms)
        judged = world.judged(Segment(rules))
        (row,) = world.rows(propensity(rules, judged, judged.facts, T0).scores)
        assert (row["aps"] // 10_000, row["contacts"]) == (aps, 50 // aps)


@pytest.mark.parametrize(
    ("held", "leads", "standing"),
    [
        (17, 100, Standing.USUAL), (14, 100, Standing.USUAL), (21, 100, Standing.USUAL),
        (5, 100, Standing.LOW), (139, 1000, Standing.LOW), (211, 1000, Standing.HIGH),
        (40, 100, Standing.HIGH), (0, 0, Standing.USUAL),
    ],
)  # fmt: skip
def test_the_share_beside_what_is_usual(held: int, leads: int, standing: Standing) -> None:
    """Both ends of the band belong to it; of no leads nothing is unusual."""
    assert Usual().standing(held, leads) is standing


@pytest.mark.parametrize(
    ("hygiene", "place", "said"),
    [
        ({"hold": ["junk"]}, ("hold", 0), "Input should be 'internal'"),
        ({"hold": ["stale"]}, ("hold", 0), "stale: say `stale:"),
        ({"hold": ["incomplete"]}, ("hold", 0), "incomplete: say `complete:"),
        ({"hold": ["bounced"], "ignore": ["bounced"]}, ("hold", 0), "both holds and is ignored"),
        ({"internal": [" "]}, ("internal", 0), "at least 1 character"),
        ({"complete": {"fields": ["titel"], "at_least": 1}}, ("complete", "fields", 0), "no field"),
        ({"usual": {"at_least": "0.3"}}, ("usual",), "at_most 0.21 is below at_least 0.3"),
        ({"names": {"fake": []}}, ("names", "fake"), "Extra inputs"),
    ],
)  # fmt: skip
def test_mistakes_are_named_at_their_place(hygiene: Any, place: Any, said: str) -> None:
    """U20: what a section for hygiene cannot mean."""
    with pytest.raises(ValidationError) as raised:
        model(hygiene)
    found = {error["loc"]: error["msg"] for error in raised.value.errors()}
    assert said in found["hygiene", *place], found
