"""Whose networks are whose: which account a visit of nobody comes from, by its IP address.

An IP-lookup export says of networks which company they belong to, and how sure that is. Of several
links that hold an address the most specific one counts (that of the fewest addresses), of equal
ones the surest; where those name several accounts it is nobody's. That is settled here, once for
all visits: what is left to the facts are spans that do not overlap.
"""

import heapq
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, NamedTuple, Self

import ibis
import pyarrow as pa
from ibis.expr.types import Table
from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from core import normalise
from core.matching import sure
from core.networks import Network, bounds, keyed
from core.points import CustomName, Part

Sure = Annotated[Decimal, Field(ge=0, le=1)]


def _account(text: str) -> str:
    """A domain as facts have it; anything else is a record id."""
    return (normalise.domain(text) if "." in text else None) or text.strip()


class Link(Part):
    """A network, and the account that it belongs to."""

    network: Network = Field(
        description="A network (203.0.113.0/24, 2001:db8::/32), an address, or a range "
        "(203.0.113.5-203.0.113.9)."
    )
    account: Annotated[str, Field(min_length=1), AfterValidator(_account)] = Field(
        description="The account: its web domain, or its record id in the CRM."
    )
    confidence: Sure = Field(Decimal(1), description="How sure that is, from 0 to 1.")
    _place: str = PrivateAttr("")

    def placed(self, place: str) -> Self:
        """This link, which stands at a place of a file."""
        self._place = place
        return self

    def __str__(self) -> str:
        return f"{self.network} of {self.account}"

    @property
    def told(self) -> str:
        """What it says, and where."""
        return f"{self} ({self._place})" if self._place else str(self)


class Networks(Part):
    """Networks of accounts: an activity without a person or an account counts for the account that
    its IP address belongs to."""

    address: CustomName = Field(description="Custom field of activities that holds the IP address.")
    at_least: Sure = Field(
        Decimal(0), description="Links with less confidence than this are ignored."
    )
    known: tuple[Link, ...] = Field((), description="Networks, and whose they are.")
    file: str | None = Field(
        None,
        min_length=1,
        description="More of them: a CSV file with the columns network, account and confidence, "
        "beside the model file.",
    )

    @model_validator(mode="after")
    def _names_some(self) -> Self:
        if not self.known and self.file is None:
            raise ValueError(
                "say known, file, or both: known: [{network: 203.0.113.0/24, account: acme.com}]"
            )
        return self


class Span(NamedTuple):
    """All addresses from one to another, as numbers, and the links that say most of them.

    Of several links none counts, unless all name one account.
    """

    low: int
    high: int
    links: tuple[Link, ...]

    @property
    def account(self) -> str | None:
        """Whose they are; None: two say so alike."""
        accounts = {link.account for link in self.links}
        return accounts.pop() if len(accounts) == 1 else None


def spans(networks: Networks) -> Iterator[Span]:
    """Every address that a link is sure enough of, once, in the order of addresses."""
    sure_of = [link for link in networks.known if link.confidence >= networks.at_least]
    ends = [tuple(int(end, 16) for end in bounds(link.network)) for link in sure_of]
    beginning = sorted(range(len(ends)), key=lambda n: ends[n])
    marks = sorted({mark for low, high in ends for mark in (low, high + 1)})
    open_: list[tuple[int, Decimal, int]] = []
    begun = 0
    for place, low in enumerate(marks[:-1]):
        while begun < len(beginning) and ends[beginning[begun]][0] == low:
            number = beginning[begun]
            size = ends[number][1] - ends[number][0]
            heapq.heappush(open_, (size, -sure_of[number].confidence, number))
            begun += 1
        best: list[tuple[int, Decimal, int]] = []
        while open_ and (not best or open_[0][:2] == best[0][:2]):
            entry = heapq.heappop(open_)
            if ends[entry[2]][1] >= low:
                best.append(entry)
        for entry in best:
            heapq.heappush(open_, entry)
        if best:
            yield Span(low, marks[place + 1] - 1, tuple(sure_of[entry[2]] for entry in best))


def disputed(networks: Networks) -> list[tuple[Link, ...]]:
    """Links that are equally specific and sure of some address, and name several accounts."""
    found = [span.links for span in spans(networks) if span.account is None]
    return list(dict.fromkeys(found))


def visits(networks: Networks, activities: Table, accounts: Table) -> Table:
    """The activities that name neither a person nor an account, with the `account_id` of the one
    whose network they come from; both are the rows of one instant."""
    nobodys = activities.filter(activities.lead_id == "", activities.account_id.isnull())
    nobodys = nobodys.mutate(address=nobodys.custom.get(networks.address))
    said = nobodys.select("address").distinct()
    said = said.mutate(key=keyed(said.address)).view()
    table = _table(networks)
    found = said.join(table, [said.key >= table.low, said.key <= table.high])
    found = found.select("address", "account").view()
    domains = sure(accounts.select("connection", "id", "domain")).rename(account="domain")
    rows = nobodys.join(found, "address").left_join(domains, ["connection", "account"])
    columns = {name: rows[name] for name in activities.columns if name != "account_id"}
    known = rows.select(**columns, account_id=rows.found.coalesce(rows.account))
    return known.select(activities.columns).cast(activities.schema()).view()


def _table(networks: Networks) -> Table:
    """The spans that are somebody's: the keys of their ends (`core.networks`), and account."""
    rows = [
        {"low": f"{span.low:x}", "high": f"{span.high:x}", "account": span.account}
        for span in spans(networks)
        if span.account is not None
    ]
    kinds = pa.schema({"low": "string", "high": "string", "account": "string"})
    return ibis.memtable(pa.Table.from_pylist(rows, kinds))
