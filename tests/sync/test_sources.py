"""Where leads come from, through the command line on both CRMs."""

from pathlib import Path

import pytest

from connectors.sandbox.crm import Kind
from tests.live import live


@pytest.mark.slow
def test_sources_are_counted_and_the_unmapped_listed(tmp_path: Path) -> None:
    """S029: every lead is counted, by a kind or as unmapped; once said, a source has a kind."""
    with live(tmp_path) as world:
        for seller in world.sellers.values():
            for number, source in enumerate(("Web", "Web", "Broker 7", None)):
                values = {
                    "last_name": f"P{number}",
                    "company": "F",
                    "email": f"p{number}@f.example",
                }
                seller.crm.add(Kind.LEAD, {**values, "source": source})
        world.set_up()
        world.sync()
        found = world.run("sources", "--json").json
        counted = {row["kind"]: row["leads"] for row in found["sources"]}
        assert counted == {"inbound": 4, "unmapped": 2, "not given": 2}
        assert found["unmapped"] == {"Broker 7": 2}
        told = world.run("sources")
        assert "unmapped: Broker 7: 2 leads" in told.err
        world.configure(sources={"kinds": {"third_party": ["broker 7"]}})
        named = world.run("sources", "--json").json
        assert named["unmapped"] == {}
        assert {row["kind"]: row["family"] for row in named["sources"]}["third_party"] == "outbound"


@pytest.mark.slow
def test_conversion_by_kind_of_source(tmp_path: Path) -> None:
    """S047: of 20 inbound leads 2 became customers, of 10 referred ones 3: 10.0 % and 30.0 %."""
    with live(tmp_path) as world:
        world.configure("sales")
        crm = world.sales.crm
        firm = crm.add(Kind.ACCOUNT, {"name": "F"}).number
        for source, count, won in (("Web", 20, 2), ("Partner", 10, 3)):
            for number in range(count):
                values = {"last_name": f"{source}{number}", "account": firm, "source": source}
                person = crm.add(Kind.CONTACT, {**values, "email": f"{source}{number}@f.example"})
                deal = {"name": "Deal", "account": firm, "people": [person.number], "amount": 5}
                if number < won + 1:
                    ended = {"closed": True, "won": number < won, "closed_at": world.clock()}
                    stage = "Closed Won" if number < won else "Closed Lost"
                    crm.add(Kind.DEAL, {**deal, **ended, "stage": stage, "currency": "USD"})
        world.set_up()
        world.sync()
        rows = {row["kind"]: row for row in world.run("sources", "--json").json["sources"]}
        assert {kind: (row["leads"], row["won"], row["rate"]) for kind, row in rows.items()} == {
            "inbound": (20, 2, "10.0%"),
            "referral": (10, 3, "30.0%"),
        }
        assert "30.0%" in world.run("sources").out
