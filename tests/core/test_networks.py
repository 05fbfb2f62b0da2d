"""Addresses and networks of both versions of IP are what Python's own reader says they are."""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from random import Random

import ibis
import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from core.networks import Network, bounds, key, keyed

_SPELLINGS: tuple[Callable[[IPv6Address], str], ...] = (
    str,
    lambda address: address.exploded.upper(),
    lambda address: ":".join(f"{int(group, 16):x}" for group in address.exploded.split(":")),
    lambda address: f"{address.exploded[:30]}{IPv4Address(int(address) % 2**32)}",
)
ODD = (
    "1.2.3.256", "01.2.3.4", "1.2.3", "::", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:8::", ":::",
    "::1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "::1::", "12345::", "fe80::1%eth0", "1.2.3.4:80",
    "[::1]", "1:2:3:4:5:6:7:1.2.3.4", "::ffff:1.2.3.400", ":1", "1:", "", "::ffff:0:1.2.3.4",
)  # fmt: skip


def texts(of: Random) -> Iterator[str | None]:
    """Addresses with runs of zeros in every spelling, some of them garbled, and what is none."""
    for _n in range(200):
        zeros = ((1 << of.randrange(100)) - 1) << of.randrange(28)
        address = IPv6Address(of.getrandbits(128) & ~zeros)
        yield from (spelling(address) for spelling in _SPELLINGS)
        yield str(IPv4Address(of.getrandbits(32)))
        text = str(address)
        yield text.replace(of.choice(text), of.choice((":", ".", "0", "g", "")), 1)
        yield "".join(of.choices(":::.0fg1", k=of.randrange(9)))
    yield from (*ODD, None)


def test_a_text_is_the_address_that_python_reads() -> None:
    """S026: in any spelling; what Python does not read is unknown, and so is an empty field."""
    given = list(texts(Random(26)))
    table = ibis.memtable(pa.table({"text": pa.array(given, pa.string())}))
    found = table.select("text", key=keyed(table.text)).to_pyarrow().to_pylist()
    assert [(row["text"], row["key"]) for row in found] == [
        (text, None if text is None else key(text)) for text in given
    ]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("203.0.113.0/24", "4cb007100", "4cb0071ff"),
        ("203.0.113.7", "4cb007107", "4cb007107"),
        (" 203.0.113.5 - 203.0.113.9 ", "4cb007105", "4cb007109"),
        ("2001:DB8::/126", f"620010db8{'0' * 24}", f"620010db8{'0' * 23}3"),
        ("::1-::ffff", f"6{'0' * 31}1", f"6{'0' * 28}ffff"),
        ("::ffff:203.0.113.0/120", "4cb007100", "4cb0071ff"),
    ],
)
def test_a_network_has_a_first_and_a_last_address(text: str, first: str, last: str) -> None:
    """S026: as a network, as one address or as a range; IPv4 within IPv6 is IPv4."""
    assert bounds(TypeAdapter(Network).validate_python(text)) == (first, last)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("203.0.113.7/24", "names an address within a network: did you mean 203.0.113.0/24?"),
        ("2001:db8::1/32", "did you mean 2001:db8::/32?"),
        ("203.0.113.0/33", "is no IP network: give an address, a network such as"),
        ("office", "is no IP network"),
        ("::fffe:0:0/95", "holds addresses of both versions of IP"),
        ("203.0.113.9-203.0.113.5", "did you mean 203.0.113.5-203.0.113.9?"),
        ("203.0.113.9-::1", "begins in one version of IP and ends in the other"),
        ("203.0.113.9-20", "is no range of IP addresses"),
    ],
)
def test_what_is_no_network_is_said_with_what_to_write(text: str, said: str) -> None:
    """S026: a mistake in a model names what was probably meant."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Network).validate_python(text)
    assert said in str(caught.value)
