"""Who is one person, whose claims contradict each other, and who may be one: as of an instant."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ibis.expr.types import Table

from connectors.base import Problem
from core.facts import as_of
from core.identity import CONTRADICTION, Identity, Persons, companies, handles, persons
from core.known import Facts
from core.likeness import alike, alike_accounts

SHOWN = 5
"""Records that a message names one by one."""


@dataclass(frozen=True, order=True)
class Member:
    """A record, by the connection that has it."""

    connection: str
    object_type: str
    lead_id: str

    def __str__(self) -> str:
        return f"{self.object_type} {self.lead_id} in {self.connection}"


@dataclass(frozen=True)
class Person:
    """Records that are one person, and by which ways they are known to be: `email`, or keys."""

    records: tuple[Member, ...]
    by: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """Records that a way (or links that contradict each other) would join, and does not."""

    way: str
    records: tuple[Member, ...]

    def __str__(self) -> str:
        named = ", ".join(map(str, self.records[:SHOWN]))
        more = f" and {len(self.records) - SHOWN} more" if len(self.records) > SHOWN else ""
        if self.way == CONTRADICTION:
            return f"their links contradict each other: {named}{more}"
        what = "e-mail address" if self.way == "email" else self.way
        return f"several of one kind claim one {what}: {named}{more}"


@dataclass(frozen=True)
class Proposal:
    """Two records that may be one person, or one company, and what they have in common."""

    one: Member
    other: Member
    because: str


@dataclass(frozen=True)
class Found:
    """Everybody who has several records, or may have; and the accounts that may be one company."""

    persons: tuple[Person, ...]
    claims: tuple[Claim, ...]
    proposals: tuple[Proposal, ...]
    accounts: tuple[Proposal, ...] = ()


def find(identity: Identity, facts: Facts, at: datetime) -> Found:
    """Who is whom among the leads as of an instant; proposals are listed, and never used."""
    leads = as_of(facts.leads, at)
    told = persons(identity, leads)
    firms = as_of(facts.accounts, at)
    known_firms = companies(firms) if identity.accounts else companies(firms).limit(0)
    return Found(
        tuple(known(identity, leads, told.members)),
        tuple(_claims(told)),
        _proposals(leads, alike(leads, told.members)),
        _proposals(firms, alike_accounts(firms, known_firms)),
    )


def _proposals(records: Table, alike: Table) -> tuple[Proposal, ...]:
    """The pairs of records that are alike, in order."""
    pairs = _listed(alike)
    kinds = {(r["connection"], r["id"]): r["object_type"] for r in _kinds(records, pairs)}

    def member(connection: str, lead_id: str) -> Member:
        return Member(connection, kinds[connection, lead_id], lead_id)

    proposals = (
        Proposal(
            member(row["connection"], row["lead_id"]),
            member(row["other_connection"], row["other_id"]),
            row["because"],
        )
        for row in pairs
    )
    return tuple(sorted(proposals, key=lambda p: (p.one, p.other)))


def known(identity: Identity, leads: Table, members: Table) -> Iterator[Person]:
    """The persons that some of `members` are, with the ways by which they are told."""
    groups: defaultdict[str, list[Member]] = defaultdict(list)
    whose: dict[tuple[str, str], str] = {}
    for row in _listed(members):
        groups[row["person"]].append(_member(row))
        whose[row["connection"], row["lead_id"]] = row["person"]
    mine = handles(identity, leads).semi_join(members, ["connection", "lead_id"])
    sharing: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for row in _listed(mine):
        person = whose[row["connection"], row["lead_id"]]
        sharing[person, row["way"], row["handle"]] += 1
    ways: defaultdict[str, set[str]] = defaultdict(set)
    for (person, way, _handle), records in sharing.items():
        if records > 1:
            ways[person].add(way)
    for person in sorted(groups):
        yield Person(tuple(sorted(groups[person])), tuple(sorted(ways[person])))


def problems(identity: Identity | None, facts: Facts, at: datetime) -> list[Problem]:
    """What somebody should look into, as `check` tells it: who claims what another claims."""
    if identity is None:
        return []
    claims = list(_claims(persons(identity, as_of(facts.leads, at))))
    advice = "Merge duplicates, or mend the address or key; until then nothing joins them."
    found = [Problem("warning", "identity", str(claim), advice) for claim in claims[:SHOWN]]
    if more := len(claims) - len(found):
        what = f"{more} more claims"
        found.append(Problem("warning", "identity", what, "`leadgauge identity` lists them."))
    return found


def _claims(told: Persons) -> Iterator[Claim]:
    found: defaultdict[tuple[str, str], list[Member]] = defaultdict(list)
    for row in _listed(told.unclear):
        found[row["way"], row["claim"]].append(_member(row))
    claims = (Claim(way, tuple(sorted(records))) for (way, _claim), records in found.items())
    return iter(sorted(claims, key=lambda claim: (claim.records, claim.way)))


def _kinds(leads: Table, pairs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    ids = {id_ for pair in pairs for id_ in (pair["lead_id"], pair["other_id"])}
    rows = leads.filter(leads.id.isin(sorted(ids))).select("connection", "object_type", "id")
    return _listed(rows)


def _member(row: Mapping[str, Any]) -> Member:
    return Member(row["connection"], row["object_type"], row["lead_id"])


def _listed(table: Table) -> list[dict[str, Any]]:
    return list(table.to_pyarrow().to_pylist())
