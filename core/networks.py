"""IP addresses and networks of both versions, as text whose order is that of the addresses.

An address is compared by its key: `4` and 8 hexadecimal digits, or `6` and 32. However an address
is spelled it has one key; an IPv4 address within IPv6 (`::ffff:192.0.2.1`) is the IPv4 address.
"""

from collections.abc import Callable
from functools import reduce
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from operator import add
from typing import Annotated

import ibis
from ibis.expr.types import StringValue, Value
from pydantic import AfterValidator, WithJsonSchema

from core.folding import folded

Address = IPv4Address | IPv6Address

_WANTED = (
    "give an address, a network such as 203.0.113.0/24 or 2001:db8::/32, or a range such as "
    "203.0.113.5-203.0.113.9"
)


def _network(text: str) -> str:
    """A network or a range in its one spelling. Raises ValueError where it is none."""
    text = text.strip()
    first, dash, last = text.partition("-")
    if dash:
        ends = _address(first, text), _address(last, text)
        keys = [_sortable(end) for end in ends]
        if keys[0][0] != keys[1][0]:
            raise ValueError(f"{text!r} begins in one version of IP and ends in the other")
        if keys[0] > keys[1]:
            raise ValueError(f"{text!r} ends before it begins: did you mean {ends[1]}-{ends[0]}?")
        return f"{ends[0]}-{ends[1]}"
    try:
        found = ip_network(text)
    except ValueError:
        pass
    else:
        if _sortable(found[0])[0] != _sortable(found[-1])[0]:
            raise ValueError(f"{text!r} holds addresses of both versions of IP: {_WANTED}")
        return str(found)
    try:
        near = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no IP network: {_WANTED}") from None
    raise ValueError(f"{text!r} names an address within a network: did you mean {near}?")


def _address(text: str, whole: str) -> Address:
    try:
        return ip_address(text.strip())
    except ValueError:
        raise ValueError(f"{whole!r} is no range of IP addresses: {_WANTED}") from None


Network = Annotated[
    str, AfterValidator(_network), WithJsonSchema({"type": "string", "format": "ip-network"})
]
"""A network, one address, or a range from one address to another; IPv4 or IPv6."""


def bounds(network: str) -> tuple[str, str]:
    """The keys of the first and the last address of a network or a range."""
    first, dash, last = network.partition("-")
    if dash:
        return _sortable(ip_address(first)), _sortable(ip_address(last))
    known = ip_network(network)
    return _sortable(known[0]), _sortable(known[-1])


def key(text: str) -> str | None:
    """The key of an address; None: it is none."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    return None if getattr(address, "scope_id", None) else _sortable(address)


def _sortable(address: Address) -> str:
    """The key of an address: a text, by whose order the addresses of a version are sorted."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return f"{address.version}{address.packed.hex()}"


_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_DOTTED = "[.]".join([_BYTE] * 4)
_GROUPS = "[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*"
_SHORT = f"^({_GROUPS})?::({_GROUPS})?$"
_MAPPED = "0" * 20 + "ffff"


def keyed(text: StringValue) -> StringValue:
    """The key of the address that a text is; NULL where it is none."""
    return once(folded(text), lambda address: once(_bytes(address), _of(address)))


def once(value: Value, use: Callable[[Value], Value]) -> Value:
    """`use` of a value that it reads more than once: engines get a value as often as it is read.

    The name of the parameter must be another one than those around it.
    """
    return ibis.array([value]).map(use)[0]


def _of(address: StringValue) -> Callable[[Value], Value]:
    """The key of an address, by the four bytes at its end that are written as numbers, if any."""

    def key_of(bytes_: Value) -> Value:
        head = address.re_extract(f"^([0-9a-f:]*:){_DOTTED}$", 1)
        spelled = (head != "").ifelse(head + bytes_.left(4) + ":" + bytes_.right(4), address)
        return ibis.cases(
            (address.re_search(f"^{_DOTTED}$"), ibis.literal("4") + bytes_),
            else_=once(spelled, _six),
        )

    return key_of


def _six(spelled: Value) -> Value:
    """The key of an address in groups."""
    full, short = spelled.re_search(f"^{_GROUPS}$"), spelled.re_search(_SHORT)
    left = _digits(full.ifelse(spelled, spelled.re_extract(_SHORT, 1)))
    right = _digits(spelled.re_extract(_SHORT, 2))

    def filled(halves: Value) -> Value:
        whole = (full & (halves.length() == 33)) | (short & (halves.length() <= 29))
        zeros = ibis.literal("0" * 32).left(33 - halves.length())
        return whole.ifelse(halves.replace("-", zeros), ibis.null("string"))

    def told(digits: Value) -> Value:
        return digits.startswith(_MAPPED).ifelse(
            ibis.literal("4") + digits.right(8), ibis.literal("6") + digits
        )

    return once(once(left + "-" + right, filled), told)


def _bytes(text: StringValue) -> StringValue:
    """The four bytes at the end of a text that are written as numbers, in hexadecimal digits."""
    digits = ibis.literal([*"0123456789abcdef"])

    def hexadecimal(byte: Value) -> Value:
        # Spark takes no larger number for a place.
        high, low = (half.cast("int32") for half in (byte // 16, byte % 16))
        return digits[high] + digits[low]

    numbers = (text.re_extract(f"^(?:[0-9a-f:]*:)?{_DOTTED}$", n) for n in range(1, 5))
    return reduce(add, (once(number.try_cast("int64"), hexadecimal) for number in numbers))


def _digits(groups: StringValue) -> StringValue:
    """Groups of an IPv6 address in four digits each, put together."""
    padded = groups.split(":").map(lambda group: group.lpad(4, "0")).join("")
    return (groups == "").ifelse("", padded)
