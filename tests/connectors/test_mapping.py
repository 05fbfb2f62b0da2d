"""Raw columns of both CRMs become rows of the common model."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import columns, values
from connectors.base import FieldKind, RowProblem
from connectors.countries import country_code
from connectors.mapping import CHANNELS, Mapped, field_map, table
from core.facts import arrow_schema
from core.model import Account, Activity, Lead, Outcome, Owner, Row

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEAST: Mapping[type[Row], Mapping[str, Any]] = {
    Lead: {"id": "1", "object_type": "Lead", "modified_at": NOON},
    Account: {"id": "1", "object_type": "Account", "modified_at": NOON},
    Activity: {
        "id": "1",
        "object_type": "Task",
        "modified_at": NOON,
        "occurred_at": NOON,
        "type": "call",
    },
    Outcome: {"id": "1", "object_type": "deals", "modified_at": NOON, "result": "won"},
    Owner: {"id": "1", "object_type": "User", "modified_at": NOON, "active": True, "kind": "queue"},
}


def mapped(model: type[Row], **cells: Any) -> Mapped:
    """One record, given by cells; dots in names are written as two underscores."""
    named = {name.replace("__", "."): cell for name, cell in cells.items()}
    return table(model, {name: [cell] for name, cell in {**LEAST[model], **named}.items()})


def row(model: type[Row], **cells: Any) -> dict[str, Any]:
    """The only row that one record became."""
    found = mapped(model, **cells)
    assert found.rejected == ()
    rows: list[dict[str, Any]] = found.rows.to_pylist(maps_as_pydicts="strict")
    (only,) = rows
    return only


@pytest.mark.parametrize(
    ("model", "field", "raw", "value"),
    [
        (Lead, "last_name", "  Łuczak ", "Łuczak"),
        (Lead, "last_name", "a\0b", "ab"),
        (Lead, "last_name", " \u00a0 ", None),
        (Lead, "last_name", "half \ud800", "half ?"),
        (Lead, "phone", 4912345, "4912345"),
        (Lead, "phone", 49123456789.0, "49123456789"),
        (Lead, "email", " Ada@Buyer.EXAMPLE", "ada@buyer.example"),
        (Lead, "employees", 12, 12),
        (Lead, "employees", 12.0, 12),
        (Lead, "employees", "12", 12),
        (Lead, "employees", " 12.0 ", 12),
        (Lead, "employees", "", None),
        (Lead, "revenue", 0.1, Decimal("0.10")),
        (Lead, "revenue", 1e15, Decimal("1000000000000000.00")),
        (Lead, "revenue", 1.005, Decimal("1.01")),
        (Lead, "revenue", "1200.50", Decimal("1200.50")),
        (Lead, "revenue", "1.2E7", Decimal("12000000.00")),
        (Lead, "revenue", Decimal("3.14159"), Decimal("3.14")),
        (Lead, "revenue", 7, Decimal("7.00")),
        (Lead, "email_opt_out", True, True),
        (Lead, "email_opt_out", "true", True),
        (Lead, "email_opt_out", "FALSE", False),
        (Lead, "email_opt_out", 0, False),
        (Lead, "created_at", "2026-03-01T12:00:00.000+0000", NOON),
        (Lead, "created_at", "2026-03-01T12:00:00.000Z", NOON),
        (Lead, "created_at", "2026-03-01T14:00:00+02:00", NOON),
        (Lead, "created_at", "2026-03-01", NOON - timedelta(hours=12)),
        (Lead, "created_at", date(2026, 3, 1), NOON - timedelta(hours=12)),
        (Lead, "created_at", NOON.astimezone(timezone(timedelta(hours=5))), NOON),
        (Lead, "created_at", "2026-03-01 12:00", NOON),
        (Lead, "created_at", "2026-03-01T14+02", NOON),
        (Lead, "created_at", "2026-03-01T12:00:00.0000001Z", NOON),
        (Lead, "created_at", 1772366400000, NOON),
        (Lead, "created_at", "1772366400000", NOON),
        (Lead, "created_at", "1772366400000.0", NOON),
        (Lead, "created_at", 1772366400000.0, NOON),
        (Lead, "technologies", "Salesforce; AWS;;aws", ["salesforce", "aws"]),
        (Lead, "technologies", ["Salesforce ", None, "AWS"], ["salesforce", "aws"]),
        (Lead, "technologies", "", None),
        (Lead, "industry", "Technology ", "technology"),
        (Lead, "industry", "COMPUTER_SOFTWARE", "technology"),
        (Lead, "country", "United States", "US"),
        (Lead, "revenue", float("nan"), None),
        (Lead, "last_name", {"b": 1, "a": "ä"}, '{"a": "ä", "b": 1}'),
        (Lead, "country", "gb", "GB"),
        (Lead, "country", "NA", "NA"),
        (Account, "domain", "https://www.Buyer.example/about", "buyer.example"),
        (Activity, "asset", "https://www.seller.example/pricing?utm=1", "/pricing"),
        (Activity, "asset", "Product datasheet", "Product datasheet"),
        (Activity, "lead_id", None, ""),
        (Outcome, "amount", "1200.5", Decimal("1200.50")),
        (Owner, "email", "Rep@Seller.example", "rep@seller.example"),
        (Owner, "active", "false", False),
    ],
)
def test_values(model: type[Row], field: str, raw: object, value: object) -> None:
    """Each form in which a CRM gives a value is read as that value."""
    assert row(model, **{field: raw})[field] == value


@pytest.mark.parametrize(
    ("model", "field", "raw", "reason"),
    [
        (Lead, "employees", "about 12", "is not a number"),
        (Lead, "employees", 12.5, "is not a whole number"),
        (Lead, "employees", "9223372036854775808", "is too large"),
        (Lead, "employees", 2**80, "is too large"),
        (Lead, "employees", NOON, "is not a number"),
        (Lead, "revenue", "$ 12", "is not a number"),
        (Lead, "revenue", "1e18", "is too large"),
        (Lead, "revenue", True, "is not a number"),
        (Lead, "email_opt_out", "maybe", "is not true or false"),
        (Lead, "created_at", "01/03/2026", "is not a date or time"),
        (Lead, "created_at", "2026-02-30", "is not a time that exists"),
        (Lead, "created_at", "0000-01-01", "is not a time that exists"),
        (Lead, "created_at", 10**18, "is not a time that exists"),
        (Lead, "created_at", 10**15, "is not a time that exists"),
        (Lead, "created_at", True, "is not a date or time"),
        (Lead, "country", "Nowhereland", "is not a known country"),
        (Account, "domain", "see above", "is not a web address"),
    ],
)
def test_unreadable_values(model: type[Row], field: str, raw: object, reason: str) -> None:
    """A value that cannot be read is null, and reported by record and field, without the value."""
    found = mapped(model, **{field: raw})
    assert found.rejected == (RowProblem("1", field, reason),)
    assert found.rows[field].to_pylist() == [None]


def test_one_bad_cell_leaves_its_neighbours() -> None:
    """A bad cell in a column of good ones is the only one that is lost."""
    raw = {
        "id": ["1", "2", "3"],
        "object_type": ["Lead"] * 3,
        "modified_at": ["2026-03-01T12:00:00.000Z", "2026-03-01", "1772366400000"],
        "employees": ["10", "ten", "30.0"],
    }
    found = table(Lead, raw)
    assert found.rows["employees"].to_pylist() == [10, None, 30]
    assert found.rows["modified_at"].to_pylist() == [NOON, NOON - timedelta(hours=12), NOON]
    assert found.rejected == (RowProblem("2", "employees", "is not a number"),)


def test_rows_without_what_is_required() -> None:
    """A row without an id or another required column is left out and reported."""
    raw: dict[str, list[Any]] = {
        "id": ["1", None, "3", "4"],
        "object_type": ["Lead"] * 4,
        "modified_at": [NOON, NOON, None, "soon"],
    }
    found = table(Lead, raw)
    assert found.rows["id"].to_pylist() == ["1"]
    assert {(problem.record_id, problem.field) for problem in found.rejected} == {
        ("", "id"),
        ("3", "modified_at"),
        ("4", "modified_at"),
    }


@pytest.mark.parametrize("model", LEAST)
def test_schema(model: type[Row]) -> None:
    """Rows have the schema of their facts table, also where there are none, or none are left."""
    assert table(model, {name: [cell] for name, cell in LEAST[model].items()}).rows.schema == (
        arrow_schema(model)
    )
    assert table(model, {}).rows.schema == arrow_schema(model)
    assert table(model, {"id": ["1"]}).rows.num_rows == 0


@pytest.mark.parametrize("name", ["emial", "custom.", "present.colour", "custom", "type"])
def test_unknown_columns(name: str) -> None:
    """A column that the model does not have is a mistake of the connector."""
    with pytest.raises(ValueError, match=name.partition(".")[2] or name):
        mapped(Lead, **{name.replace(".", "__"): "x"})


def test_columns_of_different_length() -> None:
    """Columns of one table are equally long."""
    with pytest.raises(ValueError, match="same length"):
        table(Lead, {"id": ["1"], "object_type": []})


def test_what_follows_from_other_columns() -> None:
    """S141, S143: rank and line of work follow from the title, the region from the country."""
    lead = row(Lead, title="Assistant to the CEO", country="Mexico", state="California")
    assert (lead["seniority"], lead["function"]) == ("staff", "administration")
    assert (lead["region"], lead["state"]) == ("north_america", "California")
    assert row(Lead, title="CTO", seniority="staff")["seniority"] == "staff"
    assert row(Lead, country="USA", state="California")["state"] == "CA"
    unknown = row(Lead, country=None, title=" ")
    assert (unknown["region"], unknown["seniority"]) == (None, None)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"country": "US", "state": "Ohio"}, "midwest"),
        ({"country": "US", "state": "ny"}, "northeast"),
        ({"country": "US", "state": "Puerto Rico"}, "territory"),
        ({"country": "US", "state": "somewhere"}, None),
        ({"country": "US"}, None),
        ({"country": "Germany", "state": "IN"}, "abroad"),
        ({"country": "Germany"}, "abroad"),
        ({"state": "OH"}, None),
        ({"country": "US", "state": "OH", "us_region": "rust belt"}, "rust belt"),
    ],
)
@pytest.mark.parametrize("kind", [Lead, Account])
def test_the_region_within_the_us(kind: Any, given: dict[str, str], found: str | None) -> None:
    """S023: it follows from country and state, unless it is given; no guess without both."""
    assert row(kind, **given)["us_region"] == found


@pytest.mark.parametrize(("type", "channel"), [*CHANNELS.items(), ("note", None)])
def test_channel_follows_from_type(type: str, channel: str | None) -> None:
    """The channel follows from the type of activity, unless the CRM names one."""
    assert row(Activity, type=type)["channel"] == channel
    assert row(Activity, type=type, channel="partner")["channel"] == "partner"
    assert row(Activity, type=type, channel="")["channel"] == channel


def test_custom_and_present() -> None:
    """Further fields and written fields are kept as canonical text; empty ones are left out."""
    lead = row(
        Lead,
        custom__plan=" Gold ",
        custom__seats=5.0,
        custom__vip=True,
        custom__zip="01234",
        custom__none=None,
        present__score="98.50",
        present__tier="1.0",
        present__scored_at="2026-03-01T12:00:00.123+0000",
        present__stage="",
    )
    assert lead["custom"] == {"plan": "Gold", "seats": "5", "vip": "true", "zip": "01234"}
    assert lead["present"] == {"score": "98.5", "tier": "1.0", "scored_at": "2026-03-01T12:00:00Z"}
    assert row(Lead)["present"] is None
    assert row(Lead, present__tier=None)["present"] == {}


def test_maps_stay_with_their_rows() -> None:
    """Each row has its own entries, whichever of its neighbours are empty."""
    raw = {
        "id": ["1", "2", "3"],
        "object_type": ["Lead"] * 3,
        "modified_at": [NOON] * 3,
        "custom.a": [None, "x", "y"],
        "custom.b": ["z", None, "w"],
    }
    found = table(Lead, raw).rows["custom"].to_pylist(maps_as_pydicts="strict")
    assert found == [{"b": "z"}, {"a": "x"}, {"a": "y", "b": "w"}]


@pytest.mark.parametrize(
    ("rest", "bulk", "kept"),
    [
        (5.0, "5.0", "5"),
        (1e7, "1.0E7", "10000000"),
        ("2024-09-24T03:26:07.000+0000", "2024-09-24T03:26:07.000Z", "2024-09-24T03:26:07Z"),
        ("2024-09-24", "2024-09-24", "2024-09-24"),
        (False, "false", "false"),
        ("v1.2.3", "v1.2.3", "v1.2.3"),
    ],
)
def test_custom_is_equal_by_rest_and_by_bulk(rest: object, bulk: str, kept: str) -> None:
    """A further field has one text, whichever interface gave it."""
    assert row(Lead, custom__x=rest)["custom"] == {"x": kept}
    as_text = table(
        Lead,
        {**{n: [c] for n, c in LEAST[Lead].items()}, "custom.x": pa.array([bulk])},
    )
    assert as_text.rows["custom"].to_pylist(maps_as_pydicts="strict") == [{"x": kept}]


def equal_rows(model: type[Row], *records: Mapping[str, Any]) -> dict[str, Any]:
    """The one row that all records become, but for id, object and stamp."""
    found = []
    for record in records:
        cells = row(model, **record)
        for own in ("id", "object_type", "modified_at"):
            del cells[own]
        found.append(cells)
    assert all(cells == found[0] for cells in found)
    return found[0]


def test_one_firm_in_both_crms() -> None:
    """S048: an Account and a company of one firm are equal in the common model."""
    firm = equal_rows(
        Account,
        {
            "object_type": "Account",
            "modified_at": "2026-03-01T12:00:00.000+0000",
            "created_at": "2026-01-05T08:00:00.000+0000",
            "name": "Buyer AG",
            "domain": "https://www.buyer.example",
            "industry": "Technology",
            "employees": 250,
            "revenue": 12500000.5,
            "country": "Germany",
            "state": "Bavaria",
            "technologies": "Salesforce;AWS",
        },
        {
            "object_type": "companies",
            "modified_at": "2026-03-01T12:00:00.123Z",
            "created_at": "2026-01-05T08:00:00Z",
            "name": "Buyer AG",
            "domain": "buyer.example",
            "industry": "COMPUTER_SOFTWARE",
            "employees": "250",
            "revenue": "12500000.50",
            "country": "DE",
            "state": "Bavaria",
            "technologies": "salesforce;aws",
        },
    )
    assert (firm["industry"], firm["employees"]) == ("technology", 250)
    assert (firm["revenue"], firm["region"]) == (Decimal("12500000.50"), "europe")


def test_one_person_in_both_crms() -> None:
    """S049: a Lead, a Contact and a HubSpot contact of one person are equal."""
    person = {"first_name": "Ada", "last_name": "Brandt", "phone": "+49 30 1"}
    title = "Chief Technology Officer"
    found = equal_rows(
        Lead,
        {**person, "object_type": "Lead", "email": "Ada@Buyer.example", "title": title},
        {**person, "object_type": "Contact", "email": "ada@buyer.example", "title": title},
        {**person, "object_type": "contacts", "email": "ada@buyer.example ", "title": f" {title}"},
    )
    assert (found["email"], found["seniority"]) == ("ada@buyer.example", "executive")


def test_one_visit_in_both_crms() -> None:
    """S050: a page visit has one type, one page, one channel and a time in UTC in both CRMs."""
    found = equal_rows(
        Activity,
        {
            "object_type": "Task",
            "type": "page_view",
            "asset": "/pricing",
            "occurred_at": "2026-03-01T12:00:00.000+0000",
        },
        {
            "object_type": "events",
            "type": "page_view",
            "asset": "https://www.seller.example/pricing",
            "occurred_at": "2026-03-01T12:00:00.000Z",
        },
    )
    assert (found["asset"], found["channel"], found["occurred_at"]) == ("/pricing", "web", NOON)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (FieldKind.NUMBER, 98.5, "98.5"),
        (FieldKind.NUMBER, "107.0000", "107"),
        (FieldKind.NUMBER, Decimal("1E+2"), "100"),
        (FieldKind.NUMBER, "-0.0", "0"),
        (FieldKind.NUMBER, 0, "0"),
        (FieldKind.NUMBER, "n/a", "n/a"),
        (FieldKind.NUMBER, "", None),
        (FieldKind.DATETIME, "2026-03-01T12:00:00.999Z", "2026-03-01T12:00:00Z"),
        (FieldKind.DATETIME, "2026-03-01T14:00:00.000+0200", "2026-03-01T12:00:00Z"),
        (FieldKind.DATETIME, "1772366400000", "2026-03-01T12:00:00Z"),
        (FieldKind.DATETIME, NOON, "2026-03-01T12:00:00Z"),
        (FieldKind.TEXT, " 1.0 ", "1.0"),
        (FieldKind.TEXT, "  ", None),
        (FieldKind.TEXT, None, None),
        (FieldKind.REFERENCE, 17, "17"),
    ],
)
def test_canonical_text(kind: FieldKind, value: object, text: str | None) -> None:
    """A written value has one text, whichever form the CRM gives it in."""
    assert values.canonical(kind, value) == text


@given(
    st.lists(st.one_of(st.none(), st.datetimes(timezones=st.just(UTC)))),
    st.lists(st.one_of(st.none(), st.decimals(-(10**17), 10**17, places=2))),
    st.lists(st.one_of(st.none(), st.integers(-(2**63) + 1, 2**63 - 1))),
)
def test_at_once_and_one_by_one_agree(
    times: list[datetime | None], amounts: list[Decimal | None], numbers: list[int | None]
) -> None:
    """Whole columns are read as their single values are, and both as what was written."""
    for wanted, kind, read in (
        (times, columns.TIME, values.moment),
        (amounts, columns.MONEY, values.amount),
        (numbers, pa.int64(), values.integer),
    ):
        texts = pa.array([None if v is None else str(v) for v in wanted], pa.string())
        at_once = columns.convert(texts, kind)
        assert at_once.values.to_pylist() == wanted
        assert columns.by_distinct(texts, read, kind).values.to_pylist() == wanted


@given(st.lists(st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.booleans())))
def test_any_cell_is_taken(cells: list[object]) -> None:
    """Whatever cells a column holds, every row arrives; what cannot be read is reported."""
    count = len(cells)
    raw: dict[str, list[Any]] = {
        "id": [str(n) for n in range(count)],
        "object_type": ["Lead"] * count,
        "modified_at": [NOON] * count,
    }
    fields = ("last_name", "employees", "revenue", "created_at", "email_opt_out", "country")
    found = table(Lead, {**raw, **dict.fromkeys((*fields, "technologies", "custom.x"), cells)})
    assert found.rows.num_rows == count
    lost = {(problem.record_id, problem.field) for problem in found.rejected}
    for name in fields:
        for number, cell in enumerate(found.rows[name].to_pylist()):
            assert cell is None or (str(number), name) not in lost


def test_field_map() -> None:
    """An admin's mapping adds to a connector's defaults, replaces them, or takes them away."""
    defaults = {"id": "Id", "phone": "Phone", "email": "Email"}
    changes = {"phone": "MobilePhone", "email": None, "custom.plan": "Plan__c"}
    assert field_map(Lead, defaults, changes) == {
        "id": "Id",
        "phone": "MobilePhone",
        "custom.plan": "Plan__c",
    }


@pytest.mark.parametrize(
    ("name", "field", "message"),
    [
        ("emial", "Email", "did you mean email?"),
        ("custom.", "X", "custom.<name>"),
        ("present.score", "X", "is not a field of lead"),
        ("xyzzy", "X", "it may be id, object_type"),
        ("id", None, "cannot be left out"),
    ],
)
def test_field_map_refuses(name: str, field: str | None, message: str) -> None:
    """A common field that does not exist is named with its nearest valid name."""
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        field_map(Lead, {}, {name: field})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("US", "US"),
        ("usa", "US"),
        ("U.S.A.", "US"),
        ("United States of America", "US"),
        ("UK", "GB"),
        ("Great Britain", "GB"),
        ("Germany", "DE"),
        ("Deutschland", "DE"),
        ("DEU", "DE"),
        ("Namibia", "NA"),
        ("Türkiye", "TR"),
        ("Greece", "GR"),
        ("Atlantis", None),
        ("New Mexico", None),
        ("XX", None),
        ("Germany and France", None),
    ],
)
def test_country_code(text: str, code: str | None) -> None:
    """S143: a country by name or code, in English or as its people call it."""
    assert country_code(text) == code
