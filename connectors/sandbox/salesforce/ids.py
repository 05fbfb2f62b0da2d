"""Salesforce record ids: a key prefix, a number in base 62, and a checksum of letter case."""

import re
from functools import lru_cache

from connectors.sandbox.salesforce.errors import RowError

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""In ASCII order, so that ids of one object sort as their numbers do."""
_VALUE = {digit: value for value, digit in enumerate(_DIGITS)}
_CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")


@lru_cache(maxsize=1_000_000)
def record_id(prefix: str, number: int) -> str:
    """The 18-character id of record `number` of the object with this key prefix."""
    digits = []
    while number:
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    short = prefix + "".join(reversed(digits)).rjust(12, "0")
    return short + _checksum(short)


def full_id(text: str) -> str:
    """An id of 15 or 18 characters in its 18-character form. RowError MALFORMED_ID otherwise."""
    if not _ID.fullmatch(text):
        raise RowError("MALFORMED_ID", f"malformed id {text}", ("Id",))
    full = text[:15] + _checksum(text[:15])
    if len(text) == 18 and text != full:
        raise RowError("MALFORMED_ID", f"malformed id {text}", ("Id",))
    return full


def parse_id(text: str) -> tuple[str, int]:
    """The key prefix and the number of an id. RowError MALFORMED_ID when it is none."""
    full = full_id(text)
    number = 0
    for digit in full[3:15]:
        number = number * 62 + _VALUE[digit]
    return full[:3], number


def _checksum(short: str) -> str:
    groups = (short[i : i + 5] for i in (0, 5, 10))
    return "".join(
        _CHECKSUM[sum(1 << bit for bit, char in enumerate(group) if "A" <= char <= "Z")]
        for group in groups
    )
