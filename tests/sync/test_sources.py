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
