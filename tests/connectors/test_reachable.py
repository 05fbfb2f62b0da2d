"""What an e-mail address and a telephone number are, as a mapped page tells of them."""

from typing import Any

import pytest

from connectors.mapping import table
from core.model import Lead


def read(**raw: list[Any]) -> list[dict[str, Any]]:
    """Leads of these raw columns."""
    count = len(next(iter(raw.values())))
    fixed = {"id": [str(n) for n in range(count)], "object_type": ["Lead"] * count}
    stamps = {"modified_at": ["2026-03-01T12:00:00Z"] * count}
    return list(table(Lead, {**fixed, **stamps, **raw}).rows.to_pylist())


@pytest.mark.parametrize(
    ("phone", "country", "number", "valid"),
    [
        ("030 1234567", "DE", "+49301234567", True),
        ("+49 (0)30 1234567", None, "+49301234567", True),
        ("00 49 30 1234567", "DE", "+49301234567", True),
        ("+44 20 7946 0958 ext. 5", "US", "+442079460958", True),
        ("(212) 555-0100", "US", "+12125550100", True),
        # It may be one, of a country or a town that nobody names.
        ("030 1234567", None, None, None),
        ("555-0100", "US", None, True),
        ("call me", "US", None, False),
        ("0", None, None, False),
        ("+999 1234567", None, None, False),
        ("212-555-0100 / 212-555-0101", "US", None, False),
        (None, "US", None, None),
    ],
)
def test_telephone_numbers(
    phone: str | None, country: str | None, number: str | None, valid: bool | None
) -> None:
    """A number is read with the country of its lead, and what cannot be one is known for it;
    unknown is not false."""
    (row,) = read(phone=[phone], country=[country])
    assert (row["phone_number"], row["phone_valid"]) == (number, valid)
    assert row["phone"] == phone


def test_each_row_has_its_own_verdict() -> None:
    """Values are read once each, and every row gets those of its own phone, country and address."""
    rows = read(
        phone=["030 1234567", "030 1234567", None, "030 1234567"],
        country=["DE", None, "DE", "AT"],
        email=["a@x.example", None, "b@@x.example", "a@x.example"],
    )
    assert [row["phone_number"] for row in rows] == ["+49301234567", None, None, "+43301234567"]
    assert [row["email_valid"] for row in rows] == [True, None, False, True]
