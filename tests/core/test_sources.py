"""Lead sources: kinds, families, conversion, and what nobody mapped."""

from collections.abc import Sequence
from typing import Any

import ibis
import pyarrow as pa
import pytest
from pydantic import ValidationError

from core.facts import OUTCOMES
from core.model import Outcome
from core.sources import FAMILY, UNMAPPED, Kind, Sources, conversion, kinds, referrers
from tests.core.golden import T0, World, lead

NOTHING = Sources()


def kind(source: str | None, section: Sources = NOTHING) -> Any:
    world = World([lead("L", source=source)])
    (row,) = world.rows(world.facts.leads.select(kind=kinds(section, world.facts.leads.source)))
    return row["kind"]


@pytest.mark.parametrize(
    ("sources", "found", "family"),
    [
        (("Web Form", "Download", "Webinar", "Organic search"), Kind.INBOUND, "inbound"),
        (("Cold Call", "Direct Mail", "E-mail", "Trade Show"), Kind.OUTBOUND, "outbound"),
        (("LinkedIn Form", "forum", "Community"), Kind.SOCIAL, "inbound"),
        (("Purchased List", "Data Provider"), Kind.THIRD_PARTY, "outbound"),
        (("Customer Referral", "Partner"), Kind.REFERRAL, "inbound"),
        (("Managed Services",), Kind.MANAGED, "managed services"),
    ],
)
def test_common_sources_have_a_kind_and_a_family(
    sources: Sequence[str], found: Kind, family: str
) -> None:
    """S029, S042, S043, S044, S045: forms, downloads, webinars, search; calls, mail, e-mail and
    events; social networks; bought lists. Each kind is of one of three families."""
    assert {kind(source) for source in sources} == {found.value}
    assert FAMILY[found] == family
    assert set(FAMILY) == set(Kind)
    assert len(set(FAMILY.values())) == 3


def test_a_source_that_nobody_mapped_is_unmapped_until_somebody_does() -> None:
    """S029: it is never dropped; none given is none."""
    assert kind("Spring Fair 2026") == UNMAPPED
    section = Sources(kinds={Kind.OUTBOUND: ("spring fair 2026",)})
    assert kind("Spring Fair 2026", section) == Kind.OUTBOUND
    assert kind("Web", section) == Kind.INBOUND
    assert kind(None) is None
    ours = Sources(kinds={Kind.REFERRAL: ("Web",)})
    assert kind("web", ours) == Kind.REFERRAL
    with pytest.raises(ValidationError, match="of two kinds"):
        Sources(kinds={Kind.REFERRAL: ("Fair",), Kind.OUTBOUND: ("fair",)})


def customers(*ids: str) -> ibis.Table:
    """Outcomes: the leads of these ids were won, twice; another is open."""
    rows = [
        Outcome(
            id=f"{id_}-{n}", object_type="Opportunity", lead_id=id_, result=result, modified_at=T0
        )
        for id_ in ids
        for n, result in enumerate(("won", "won", "lost"))
    ]
    listed = [{"connection": "crm", **row.model_dump()} for row in rows]
    return ibis.memtable(pa.Table.from_pylist(listed, OUTCOMES.schema.to_pyarrow()))


def test_conversion_by_kind() -> None:
    """S047: 2 of 20 inbound and 3 of 10 referred leads became customers; a merged one counts."""
    people = [lead(f"i{n}", source="Web") for n in range(20)]
    people += [lead(f"r{n}", source="Partner") for n in range(10)] + [lead("x", source="Fair")]
    world = World(people, aliases=[("leads", "old", "r2")])
    won = customers("i0", "i1", "r0", "r1", "old")
    found = world.rows(conversion(Sources(), world.facts, won, T0))
    assert {(row["kind"], row["leads"], row["won"]) for row in found} == {
        ("inbound", 20, 2),
        ("referral", 10, 3),
        (UNMAPPED, 1, 0),
    }


def test_who_referred_a_lead_is_kept() -> None:
    """S046: a recommendation of a customer or a partner is a referral, with who it was."""
    people = [lead(f"r{n}", source="Customer referral", custom={"by": "003A"}) for n in range(2)]
    people += [lead("r9", source="Partner"), lead("w", source="Web", custom={"by": "003B"})]
    world = World(people)
    section = Sources(referrer="by")
    assert world.rows(referrers(section, world.facts, T0)) == [{"referrer": "003A", "leads": 2}]
    assert world.rows(referrers(Sources(), world.facts, T0)) == []
