"""The dossier of a lead, through the command line."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.sandbox.crm import Kind
from connectors.sandbox.scenario import Did, Story, page
from sync.dossier import LATEST
from sync.exits import Exit
from tests.live import Live, live

DAY = timedelta(days=1)
PERSON = {"first_name": "Ada", "last_name": "Hot | Cold", "title": "CTO", "email": "a@firm.example"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """One CRM."""
    with live(tmp_path) as world:
        world.configure("marketing")
        world.set_up()
        yield world


@pytest.mark.slow
def test_one_page_about_a_lead(world: Live) -> None:
    """Who, where it stands, every point, the latest of what it did, and the account; what is text
    of the CRM breaks no table. As of a date it says what was known then."""
    crm = world.marketing.crm
    firm = crm.add(Kind.ACCOUNT, {"name": "Firm", "website": "firm.example"})
    crm.add(Kind.CONTACT, {"last_name": "Other", "email": "o@firm.example", "account": firm.number})
    deeds = [page("/pricing", ago=2 * DAY), Did("webinar_attended", DAY)]
    deeds += [page(f"/blog/{n}", ago=(3 + n) * DAY) for n in range(LATEST)]
    story = Story({**PERSON, "account": firm.number}, tuple(deeds), Kind.CONTACT)
    told = world.tell(story)["marketing"]
    record = world.marketing.id(told)
    world.sync()
    outcome = world.run("dossier", record)
    assert outcome.code == Exit.DONE
    said = outcome.out
    assert said.startswith("# Ada Hot / Cold\nCTO")
    (explained,) = world.run("explain", record, "--json").json
    assert f"- {explained['reason']}" in said
    assert f"{explained['score'].rstrip('0').rstrip('.')} points" in said
    for line in explained["lines"]:
        assert f"| {line['rule']} |" in said
    latest = said[said.index("## What it did") : said.index("## Engagement")]
    assert latest.count("| page_view |") + latest.count("| webinar_attended |") == LATEST
    assert latest.index("webinar_attended") < latest.index("/pricing")
    assert "... and 2 before" in said
    assert "## The account" in said
    assert "| colleague | points |" in said
    missing = world.run("dossier", "no-such-lead")
    assert missing.code == Exit.USAGE
    assert "no lead no-such-lead in the facts" in missing.err
