"""The SOQL of the sandbox: what it finds, in what order, and what it refuses where."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simple_salesforce.format import format_soql

from connectors.sandbox.crm import Crm, Kind
from connectors.sandbox.salesforce import soql
from connectors.sandbox.salesforce.customs import Customs
from connectors.sandbox.salesforce.errors import ApiError
from connectors.sandbox.salesforce.evaluate import bind
from connectors.sandbox.salesforce.ids import full_id, parse_id, record_id
from connectors.sandbox.salesforce.objects import standard_objects
from connectors.sandbox.salesforce.org import Org

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def world() -> Crm:
    """Three leads, one of them owned by a queue, and an account with two contacts."""
    crm = Crm(lambda: NOW)
    user = crm.add(Kind.USER, {"name": "Ada Quill", "email": "ada@vendor.example"})
    crm.integration_user = user.number
    queue = crm.add(Kind.QUEUE, {"name": "Web"})
    day = timedelta(days=1)
    lead: dict[str, Any] = {"company": "Firm"}
    crm.add(Kind.LEAD, {**lead, "last_name": "Åström", "email": "A@x.example", "employees": 10,
                        "owner": queue.number}, at=NOW - day)  # fmt: skip
    crm.add(Kind.LEAD, {**lead, "last_name": "bell", "email": "b_1@x.example", "employees": 200,
                        "opt_out": True}, at=NOW - 40 * day)  # fmt: skip
    crm.add(Kind.LEAD, {**lead, "last_name": "Chen", "title": "50% owner's"}, at=NOW - 40 * day)
    account = crm.add(Kind.ACCOUNT, {"name": "Acme"})
    for name in ("Dee", "Eve"):
        crm.add(Kind.CONTACT, {"last_name": name, "account": account.number})
    crm.add(Kind.CONTACT, {"last_name": "Fay"})
    return crm


def ask(crm: Crm, source: str) -> list[Any]:
    """The first column of what a query finds."""
    customs = Customs(crm)
    found = [*standard_objects(Org(crm), customs.visible), *customs.objects()]
    plan = bind(soql.parse(source), {s.name.lower(): s for s in found}, NOW, hidden=False)
    rows = plan.choose(list(plan.sobject.rows()))
    return [plan.columns[0].value(row) for row in rows]


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("LastName = 'BELL'", ["bell"]),
        ("LastName != 'bell'", ["Chen", "Åström"]),
        ("Email != 'a@x.example'", ["bell", "Chen"]),
        ("Email = null", ["Chen"]),
        ("Email = ''", ["Chen"]),
        ("Email != null", ["bell", "Åström"]),
        ("NumberOfEmployees > 10", ["bell"]),
        ("NumberOfEmployees >= 10.0", ["bell", "Åström"]),
        ("NumberOfEmployees < 1000", ["bell", "Åström"]),
        ("NumberOfEmployees IN (10, 7)", ["Åström"]),
        ("NumberOfEmployees NOT IN (10)", ["bell", "Chen"]),
        ("HasOptedOutOfEmail = null", ["Chen", "Åström"]),
        ("HasOptedOutOfEmail = true", ["bell"]),
        ("NOT LastName = 'bell'", ["Chen", "Åström"]),
        ("Email LIKE 'B\\_1%'", ["bell"]),
        ("Email LIKE '_@%.example'", ["Åström"]),
        ("Title LIKE '50\\% owner\\'s'", ["Chen"]),
        ("Owner.Name = 'web'", ["Åström"]),
        ("Owner.Type = 'Queue'", ["Åström"]),
        ("SystemModstamp > 2026-02-28T11:59:59Z", ["Åström"]),
        ("SystemModstamp >= 2026-02-28T13:00:00+01:00", ["Åström"]),
        ("CreatedDate = LAST_N_DAYS:7", ["Åström"]),
        ("CreatedDate < LAST_N_DAYS:7", ["bell", "Chen"]),
        ("CreatedDate = YESTERDAY", ["Åström"]),
        ("CreatedDate = TODAY", []),
        ("(LastName = 'bell' AND NumberOfEmployees = 200) OR LastName = 'chen'", ["bell", "Chen"]),
        ("lead.lastname = 'bell'", ["bell"]),
        ("OwnerId IN (SELECT Id FROM Group WHERE Type = 'Queue')", ["Åström"]),
    ],
)
def test_where(where: str, names: list[str]) -> None:
    """Conditions choose as Salesforce's do: text without case, empty never compares."""
    found = ask(world(), f"SELECT LastName FROM Lead WHERE {where} ORDER BY LastName")
    assert found == names


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("LastName", ["bell", "Chen", "Åström"]),
        ("LastName DESC", ["Åström", "Chen", "bell"]),
        ("NumberOfEmployees", ["Chen", "Åström", "bell"]),
        ("NumberOfEmployees NULLS LAST", ["Åström", "bell", "Chen"]),
        ("NumberOfEmployees DESC NULLS LAST", ["bell", "Åström", "Chen"]),
        ("SystemModstamp, Id DESC", ["Chen", "bell", "Åström"]),
        ("SystemModstamp ASC, Id ASC LIMIT 2", ["bell", "Chen"]),
        ("LastName LIMIT 5 OFFSET 2", ["Åström"]),
    ],
)
def test_order(order: str, names: list[str]) -> None:
    """Text sorts without case, empty comes first, later keys settle ties."""
    assert ask(world(), f"SELECT LastName FROM Lead ORDER BY {order}") == names


def test_without_order_ids_do_not_rise() -> None:
    """A client that relies on an order it did not ask for finds none."""
    found = ask(world(), "SELECT Id FROM Lead")
    assert found == sorted(found, reverse=True)


def test_ids_of_15_characters_find_the_record() -> None:
    """An id compares in both its forms."""
    crm = world()
    [identity] = ask(crm, "SELECT Id FROM Lead WHERE LastName = 'bell'")
    assert ask(crm, f"SELECT Id FROM Lead WHERE Id = '{identity[:15]}'") == [identity]


@pytest.mark.parametrize(
    ("source", "code", "message"),
    [
        (
            "SELECT Id, Foo FROM Lead",
            "INVALID_FIELD",
            "\nSELECT Id, Foo FROM Lead\n           ^\nERROR at Row:1:Column:12\nNo such column "
            "'Foo' on entity 'Lead'. If you are attempting to use a custom field, be sure to "
            "append the '__c' after the custom field name. Please reference your WSDL or the "
            "describe call for the appropriate names.",
        ),
        ("SELECT Id FROM Foo", "INVALID_TYPE", "sObject type 'Foo' is not supported."),
        ("SELECT Id FROM Name", "INVALID_TYPE", "sObject type 'Name' is not supported."),
        ("SELECT Foo.Name FROM Lead", "INVALID_FIELD", "Didn't understand relationship 'Foo'"),
        ("SELECT (SELECT Id FROM Foos) FROM Lead", "INVALID_TYPE", "relationship 'Foos' in FROM"),
        ("SELECT Id FROM Lead WHERE", "MALFORMED_QUERY", "Column:26\nunexpected token: '<EOF>'"),
        (
            "SELECT Id FROM Lead WHERE Id IN ()",
            "MALFORMED_QUERY",
            "Column:34\nunexpected token: ')",
        ),
        ("SELECT Id FROM Lead GROUP BY Id", "MALFORMED_QUERY", "unexpected token: 'GROUP'"),
        ("SELECT FROM Lead", "MALFORMED_QUERY", "Column:8\nunexpected token: 'FROM'"),
        ("SELECT Id, Id FROM Lead", "INVALID_FIELD", "duplicate field selected: Id"),
        (
            "SELECT Id FROM Lead WHERE Name = 'a' OR Name = 'b' AND Name = 'c'",
            "MALFORMED_QUERY",
            "unexpected token: 'AND'",
        ),
        (
            "SELECT Id FROM Lead\nWHERE Name == 'a'",
            "MALFORMED_QUERY",
            "ERROR at Row:2:Column:13\nunexpected token: '='",
        ),
        ("SELECT Id FROM Lead WHERE Name = 'a\\qb'", "MALFORMED_QUERY", "invalid escape sequence"),
        ("SELECT Id FROM Lead WHERE Name = 'a\\_b'", "MALFORMED_QUERY", "invalid escape sequence"),
        ("SELECT Id FROM Lead WHERE Name = 'a", "MALFORMED_QUERY", "at character '''"),
        (
            "SELECT Id FROM Lead WHERE CreatedDate > '2026-01-01T00:00:00Z'",
            "INVALID_FIELD",
            "'CreatedDate' must be of type dateTime and should not be enclosed in quotes",
        ),
        (
            "SELECT Id FROM Lead WHERE CreatedDate > 2026-01-01",
            "INVALID_FIELD",
            "must be of type dateTime",
        ),
        (
            "SELECT Id FROM Lead WHERE Email = 5",
            "INVALID_FIELD",
            "must be of type string and should be enclosed in quotes",
        ),
        ("SELECT Id FROM Lead WHERE NumberOfEmployees = '5'", "INVALID_FIELD", "type int and"),
        ("SELECT Id FROM Lead WHERE Id = 'abc'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID"),
        ("SELECT Id FROM Task WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Task ORDER BY Description", "INVALID_FIELD", "can not be sorted"),
        ("SELECT Id FROM Lead LIMIT 1 OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"),
        ("SELECT Id FROM Lead " + " " * 100_000, "MALFORMED_QUERY", "longer than 100000"),
    ],
)
def test_refusals(source: str, code: str, message: str) -> None:
    """A query that Salesforce refuses is refused in its words, with the place."""
    with pytest.raises(ApiError) as refused:
        ask(world(), source)
    assert (refused.value.status, refused.value.code) == (400, code)
    assert message in refused.value.message


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1))
def test_quoted_text_comes_back(text: str) -> None:
    """What the library's formatter quotes, the parser reads as it was."""
    query = soql.parse(format_soql("SELECT Id FROM Lead WHERE Name = {}", text))
    assert isinstance(query.where, soql.Comparison)
    assert query.where.value == text


@given(st.text("ab%_\\'", min_size=1, max_size=6))
def test_escaped_like_matches_only_itself(text: str) -> None:
    """A pattern escaped by the library's formatter has no wildcards left."""
    query = soql.parse(format_soql("SELECT Id FROM Lead WHERE Name LIKE '{:like}'", text))
    assert isinstance(query.where, soql.Comparison)
    pattern: Any = query.where.value
    assert pattern.fullmatch(text)
    assert not pattern.fullmatch(text + "b")
    assert not pattern.fullmatch(text[:-1])


@given(st.integers(0, 62**12 - 1), st.integers(0, 62**12 - 1))
def test_ids(one: int, other: int) -> None:
    """Ids are 18 characters, reversible, sort like their numbers, and survive losing case."""
    first, second = record_id("00Q", one), record_id("00Q", other)
    assert len(first) == 18
    assert parse_id(first) == parse_id(first[:15]) == ("00Q", one)
    assert (first < second) == (one < other)
    assert (first.lower() == second.lower()) == (one == other)


def test_id_checksum() -> None:
    """The checksum marks upper-case letters in groups of five, first character lowest."""
    assert full_id("00Q000000000001") == "00Q000000000001EAA"
    assert full_id("00Q00000000000A") == "00Q00000000000AEAQ"
