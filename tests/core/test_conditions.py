"""Conditions: every operator on every kind of field, with unknown as the third value."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import ibis
import pytest
from pydantic import ValidationError

from core.conditions import ActivityCondition, LeadCondition
from core.facts import MONEY, TIME

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def decided(when: object, **columns: Any) -> bool | None:
    """What a condition says of one lead with these columns."""
    kinds = {"revenue": MONEY, "created_at": TIME, "employees": "int64", "email_opt_out": "boolean"}
    kinds |= {"technologies": "array<string>"}
    values = {
        name: ibis.literal(value, type=kinds.get(name, "string"))
        if value is not None
        else ibis.null(kinds.get(name, "string"))
        for name, value in columns.items()
    }
    engine = ibis.duckdb.connect()
    engine.raw_sql("SET TimeZone = 'UTC'")
    table = engine.create_table("one", ibis.range(1).unnest().name("n").as_table()).mutate(**values)
    condition = LeadCondition.model_validate(when)
    (answer,) = engine.to_pyarrow(table.select(answer=condition.holds(table)))["answer"].to_pylist()
    return None if answer is None else bool(answer)


@pytest.mark.parametrize(
    ("when", "value", "answer"),
    [
        ("technology", "  TechNology ", True),
        (["retail", "Energy"], "energy", True),
        ("technology", "retail", False),
        ("technology", None, None),
        ({"contains": "NOLO"}, "Technology", True),
        ({"contains": ["x", "tech"]}, "Technology", True),
        ({"contains": "x"}, None, None),
        ({"starts_with": "tech"}, "Technology", True),
        ({"starts_with": "nology"}, "technology", False),
        ({"known": True}, None, False),
        ({"known": False}, None, True),
        ({"known": True, "contains": "z"}, "technology", False),
        ({"in_network": "203.0.113.0/25"}, "203.0.113.127", True),
        ({"in_network": "203.0.113.0/25"}, "203.0.113.128", False),
        ({"in_network": "203.0.113.0/25"}, "203.0.113", None),
        ({"in_network": "203.0.113.0/25"}, "203.0.113.1280", None),
        ({"in_network": "203.0.113.0/25"}, "203.0.113.256", None),
        ({"in_network": "203.0.113.0/25"}, "::1", False),
        ({"in_network": "203.0.113.0/25"}, "::FFFF:203.0.113.7", True),
        ({"in_network": "203.0.113.0/25"}, "0:0:0:0:0:ffff:cb00:7107", True),
        ({"in_network": "203.0.113.5-203.0.113.9"}, "203.0.113.9", True),
        ({"in_network": "203.0.113.5-203.0.113.9"}, "203.0.113.10", False),
        ({"in_network": "2001:db8::/32"}, "2001:0DB8:0:0::1", True),
        ({"in_network": "2001:db8::/32"}, "2001:db9::", False),
        ({"in_network": "2001:db8::/32"}, "203.0.113.9", False),
        ({"in_network": "2001:db8::/32"}, "2001:db8", None),
        ({"in_network": "2001:db8::/32"}, "2001:db8::1::2", None),
        ({"in_network": "2001:db8::/32"}, "2001:db8::12345", None),
        ({"in_network": ["::1", "2001:db8::5-2001:db8::ffff"]}, "2001:db8::a", True),
        ({"in_network": "::/0"}, "::ffff:1.2.3.4", False),
        ({"in_network": "::/0"}, "64:ff9b::1.2.3.4", True),
    ],
)
def test_text(when: object, value: str | None, answer: bool | None) -> None:
    """S026: of networks, both versions of IP in any spelling; what is no address is not known."""
    assert decided({"industry": when}, industry=value) is answer


@pytest.mark.parametrize(
    ("when", "value", "answer"),
    [
        (50, 50, True),
        ([1, 2], 50, False),
        ({"at_least": 50}, 50, True),
        ({"above": 50}, 50, False),
        ({"at_most": 50}, 50, True),
        ({"below": 50}, 50, False),
        ({"at_least": 49.5, "below": "50.5"}, 50, True),
        ({"at_least": 1}, None, None),
    ],
)
def test_number(when: object, value: int | None, answer: bool | None) -> None:
    assert decided({"employees": when}, employees=value) is answer


def test_money_is_compared_exactly() -> None:
    value = Decimal("1000000.01")
    assert decided({"revenue": {"above": 1000000}}, revenue=value) is True
    assert decided({"revenue": {"above": "1000000.01"}}, revenue=value) is False


@pytest.mark.parametrize(
    ("when", "answer"),
    [
        ({"since": "2026-03-01"}, True),
        ({"since": "2026-03-01T00:00:01Z"}, False),
        ({"since": "2026-03-01T01:00:00+01:00"}, True),
        ({"before": "2026-03-01"}, False),
        ({"since": "2026-01-01", "before": "2026-03-02"}, True),
    ],
)
def test_time(when: object, answer: bool) -> None:
    assert decided({"created_at": when}, created_at=DAY) is answer


@pytest.mark.parametrize(
    ("value", "answer"),
    [(["sap", "jira"], True), (["jira"], False), ([], False), (None, None)],
)
def test_list(value: list[str] | None, answer: bool | None) -> None:
    assert decided({"technologies": {"contains": ["SAP", "x"]}}, technologies=value) is answer


@pytest.mark.parametrize(
    ("when", "value", "answer"),
    [
        ("gold", " Gold", True),
        ({"at_least": 5}, "10", True),
        ({"at_least": 5}, "many", None),
        (10, "10.0", True),
        (True, "true", True),
        ({"before": "2026-03-02"}, "2026-03-01T12:00:00Z", True),
        ("gold", None, None),
    ],
)
def test_a_custom_field_is_read_as_what_it_is_compared_with(
    when: object, value: str | None, answer: bool | None
) -> None:
    assert decided({"custom": {"plan": when}}, **{"custom.plan": value}) is answer


YES, NO, UNKNOWN = {"industry": "a"}, {"industry": "b"}, {"title": "x"}


@pytest.mark.parametrize(
    ("when", "answer"),
    [
        ({"all": [YES, YES]}, True),
        ({"all": [YES, UNKNOWN]}, None),
        ({"all": [NO, UNKNOWN]}, False),
        ({"any": [NO, UNKNOWN]}, None),
        ({"any": [YES, UNKNOWN]}, True),
        ({"not": YES}, False),
        ({"not": UNKNOWN}, None),
        ({"not": {"any": [NO, NO]}}, True),
        ({**YES, "not": {"title": {"known": True}}}, True),
    ],
)
def test_unknown_is_not_false(when: object, answer: bool | None) -> None:
    assert decided(when, industry="a", title=None) is answer


@pytest.mark.parametrize(
    "when",
    [
        {},
        {"industry": {}},
        {"industry": 5},
        {"industry": []},
        {"employees": {"contains": "5"}},
        {"employees": "many"},
        {"employees": {"above": "0.0000000001"}},
        {"employees": {"at_most": 10**18}},
        {"technologies": "sap"},
        {"technologies": {"at_least": 5}},
        {"email_opt_out": "perhaps"},
        {"created_at": {"at_least": 5}},
        {"any": [{"industri": "x"}]},
        {"account": {"email": "x"}},
        {"present": {"score": "5"}},
    ],
)
def test_what_cannot_be_asked_is_refused(when: object) -> None:
    with pytest.raises(ValidationError):
        LeadCondition.model_validate(when)


def test_the_columns_a_condition_reads() -> None:
    when = {"type": "call", "any": [{"duration": {"at_least": 60}}, {"custom": {"plan": "gold"}}]}
    condition = ActivityCondition.model_validate(when)
    assert condition.columns() == {"type", "duration", "custom.plan"}
    account = LeadCondition.model_validate({"account": {"type": "customer"}})
    assert account.columns() == {"account.type"}
