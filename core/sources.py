"""Lead sources: which kind and family a source is of, and how well the leads of each convert.

CRMs hold sources as text of their users' choosing. The words that are common are known here, others
are said in the configuration; what is neither is listed, and its leads are counted as unmapped.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import StringValue, Table
from pydantic import Field, field_validator

from core.facts import LEADS, as_of
from core.junk import plain, words
from core.known import Facts
from core.points import Part


class Kind(StrEnum):
    """How a lead came to be known."""

    INBOUND = "inbound"
    SOCIAL = "social"
    REFERRAL = "referral"
    OUTBOUND = "outbound"
    THIRD_PARTY = "third_party"
    MANAGED = "managed"


FAMILY: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.INBOUND: "inbound",
        Kind.SOCIAL: "inbound",
        Kind.REFERRAL: "inbound",
        Kind.OUTBOUND: "outbound",
        Kind.THIRD_PARTY: "outbound",
        Kind.MANAGED: "managed services",
    }
)
"""The family of each kind: it came to us, we went to it, or somebody does that for us."""

UNMAPPED = "unmapped"

_KNOWN: Mapping[Kind, str] = {
    Kind.INBOUND: "web|website|web site|web form|form|contact form|download|content download|"
    "white paper|webinar|search|organic search|paid search|direct traffic|chat|blog|newsletter|"
    "phone inquiry|inbound|inbound call|email inquiry|trial|demo request",
    Kind.SOCIAL: "social|social media|organic social|paid social|linkedin|linkedin form|"
    "linkedin lead gen form|facebook|instagram|x|twitter|youtube|forum|forums|community|"
    "communities",
    Kind.REFERRAL: "referral|referrals|customer referral|employee referral|external referral|"
    "partner|partner referral|word of mouth",
    Kind.OUTBOUND: "call|calls|cold call|outbound|outbound call|direct mail|mailing|e mail|email|"
    "email marketing|cold email|event|events|trade show|conference|seminar|advertisement|abm",
    Kind.THIRD_PARTY: "purchased list|bought list|list|data provider|list purchase|third party|"
    "offline sources|intent data",
    Kind.MANAGED: "managed services|managed service|agency|outsourced|sdr agency",
}


class Sources(Part):
    """What the words of a CRM mean beside those that are known."""

    kinds: dict[Kind, tuple[str, ...]] = Field(
        {}, description="Kind -> further sources of it, as the CRMs write them."
    )
    referrer: str | None = Field(
        None, description="Custom field with the record id of whoever referred a lead."
    )

    @field_validator("kinds")
    @classmethod
    def _once(cls, kinds: dict[Kind, tuple[str, ...]]) -> dict[Kind, tuple[str, ...]]:
        said = [plain(source) for sources in kinds.values() for source in sources]
        for source in sorted({source for source in said if said.count(source) > 1}):
            raise ValueError(f"{source} is said to be of two kinds: give it to one")
        return kinds

    def of(self) -> dict[str, Kind]:
        """The kind of every source that is known, by its words in plain form."""
        known = {source: kind for kind, text in _KNOWN.items() for source in text.split("|")}
        return known | {plain(s): kind for kind, sources in self.kinds.items() for s in sources}


def kinds(section: Sources, source: StringValue) -> StringValue:
    """The kind of a source; `unmapped` where it is not known, null where none is given."""
    known: dict[Kind, list[str]] = {}
    for name, kind in section.of().items():
        known.setdefault(kind, []).append(name)
    said = words(source)
    cases = [(said.isin(names), kind.value) for kind, names in known.items()]
    return ibis.cases((source.isnull(), ibis.null("string")), *cases, else_=UNMAPPED)


def conversion(section: Sources, facts: Facts, outcomes: Table, at: datetime) -> Table:
    """How many leads each source brought as of `at`, and how many of them became customers.

    Columns: kind (null: no source is given), source, leads, won. A lead has become a customer when
    an outcome of it, or of a record that was merged into it, was won; `outcomes` are the facts'.
    """
    won = outcomes.filter(_.result == "won", _.lead_id != "").select("connection", "lead_id")
    gone = facts.aliases.filter(_.table_name == LEADS.name)
    named = won.left_join(gone, ["connection", ("lead_id", "id")])
    customers = named.select(
        connection=won.connection, lead_id=gone.survivor.coalesce(won.lead_id)
    ).distinct()
    leads = as_of(facts.leads, at).select("connection", "source", lead_id="id")
    joined = leads.left_join(customers.mutate(won=1), ["connection", "lead_id"])
    rows = joined.select(leads.source, won=_.won.coalesce(0))
    grouped = rows.group_by(kind=kinds(section, rows.source), source=rows.source)
    return grouped.aggregate(leads=_.count(), won=_.won.sum())


def referrers(section: Sources, facts: Facts, at: datetime) -> Table:
    """Who referred how many leads: referrer, leads; nobody where no field says so."""
    people = as_of(facts.leads, at)
    if section.referrer is None:
        nobody = pa.schema({"referrer": pa.string(), "leads": pa.int64()})
        return ibis.memtable(nobody.empty_table())
    mine = people.filter(kinds(section, people.source) == Kind.REFERRAL.value)
    named = mine.mutate(referrer=mine.custom.get(section.referrer))
    return named.filter(_.referrer.notnull()).group_by("referrer").aggregate(leads=_.count())
