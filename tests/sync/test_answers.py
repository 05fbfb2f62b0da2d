"""What sales says of a lead, through the command line."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sync.exits import Exit
from tests.live import ANA, BEN, Live, live
from tests.sync.test_calls import MODEL, TIERS, lead, listing
from tests.sync.test_nurture import nurtured

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")


def refused(world: Live, *arguments: str) -> str:
    """What the command says to a mistake."""
    outcome = world.run("answer", *arguments)
    assert outcome.code == Exit.USAGE
    return outcome.err


@pytest.mark.slow
def test_sales_answers(tmp_path: Path) -> None:
    """S011 S186 S211: sales rejects a lead that the machine holds for an SQL; both verdicts stand
    side by side in explain, dossier, list and audit, and neither moves the other. A rejected lead
    is in no call list and on a nurture track until it is handed off anew. Stage, score with its
    tier, and owner are what a person says, cycle after cycle, and what was said is kept."""
    with live(tmp_path) as world:
        handoff = {"tiers": TIERS, "reasons": ["no budget", "wrong person"]}
        nurture = {"tracks": [{"name": "again", "steps": ["30 days"]}]}
        world.configure("sales", handoff=handoff, routing={"pool": [ANA]}, nurture=nurture)
        world.model(**MODEL)
        world.set_up()
        person, other = lead(world, "Hot", "CTO", ANA), lead(world, "Warm", "VP", ANA)
        hot, warm = world.sales.id(person), world.sales.id(other)
        world.sync()
        says = ("--by", "ana")
        assert "never handed to sales" in refused(world, warm, "--accept", *says)
        assert "say --accept or --reject" in refused(world, hot, *says)
        assert "one of handoff.reasons: no budget" in refused(
            world, hot, "--reject", "--reason", "bored", *says
        )
        assert "say who" in refused(world, hot, "--reject", "--reason", "no budget")
        assert world.run("answer", hot, "--accept", *says).code == Exit.DONE
        assert len(listing(world)) == 2
        assert hot not in nurtured(world)
        said = world.run("answer", hot, "--reject", "--reason", "no budget", *says)
        assert said.err == f"sales: {hot}: rejected, beside stage SQL\n"
        world.sync()
        shown = world.sales.shown(person)
        assert (shown["stage"], shown["score"]) == ("SQL", 120)
        (found,) = world.run("explain", hot, "--json").json
        answer = found["history"]["answer"]
        assert (found["stage"], answer["accepted"], answer["stage"]) == ("SQL", False, "SQL")
        both = "sales: rejected by ana: no budget; leadgauge then: SQL, 120 points"
        assert both in " ".join(world.run("explain", hot).out.split())
        assert "- sales: rejected by ana: no budget" in world.run("dossier", hot).out
        verdicts = [a["accepted"] for a in world.run("answer", hot, "--list", "--json").json]
        assert verdicts == [True, False]
        with world.ledger() as ledger:
            acts = [c.entry for c in ledger.audit.entries() if c.entry.act == "answered"]
            assert [entry.detail["accepted"] for entry in acts] == [True, False]
            assert "no budget" not in json.dumps([entry.detail for entry in acts])
        assert [each["lead_id"] for each in listing(world)] == [warm]
        (why,) = (e for e in listing(world, "--all") if e["lead_id"] == hot)
        assert why["call"]["not_called"] == "rejected by ana: no budget"
        said_why = "rejected by ana: no budget; on no other track"
        assert nurtured(world)[hot][:3] == ("again", said_why, 1)
        for title in ("Intern", "CTO"):
            world.clock.tick(days=1)
            world.sales.crm.update(person, {"title": title})
            world.sync("--max-change-share", "1")
        assert [each["lead_id"] for each in listing(world)] == [hot, warm]
        assert hot not in nurtured(world)
        world.sales.edit(person, "owner", world.sales.users[BEN].number)
        until = ("--until", "2026-12-31", "--reason", "met them", *says)
        assert world.run("override", hot, "--stage", "MQL", *until).code == Exit.DONE
        assert world.run("override", warm, "--score", "105", *until).code == Exit.DONE
        for _again in range(2):
            world.sync("--full", "--max-change-share", "1")
            shown = world.sales.shown(person)
            assert (shown["stage"], shown["owner"]) == ("MQL", BEN)
            assert world.sales.shown(other)["tier"] == "A"
        assert [o["value"] for o in world.run("override", "--list", "--json").json] == [
            "MQL",
            "105",
        ]


@pytest.mark.slow
def test_an_accepted_lead_is_an_sql_where_sales_vets_it(tmp_path: Path) -> None:
    """S040: 120 points without an acceptance are `SQL pending`; with it, from its time on, SQL, in
    whatever way it is asked, and for the contact that the lead becomes; rejected it waits anew.
    Whoever stands elsewhere is refused."""
    with live(tmp_path) as world:
        world.configure("sales")
        world.model(**MODEL, sql={"mode": "vetted"})
        world.set_up()
        person, other = lead(world, "Hot", "CTO", ANA), lead(world, "Warm", "VP", ANA)
        hot, warm = world.sales.id(person), world.sales.id(other)
        world.sync()
        assert world.sales.shown(person)["stage"] == "SQL pending"
        says = ("--by", "ana")
        assert "nor is it SQL pending" in refused(world, warm, "--accept", *says)
        said = world.run("answer", hot, "--accept", *says)
        assert (said.code, said.err) == (
            Exit.DONE,
            f"sales: {hot}: accepted, beside stage SQL pending\n",
        )
        accepted = world.clock()

        def stage(at: datetime) -> set[str]:
            asked = (hot, "--as-of", f"{at:%Y-%m-%dT%H:%M:%S}")
            (found,) = world.run("explain", *asked, "--json").json
            replayed = json.loads(world.run("replay", *asked, "--json").out)
            return {found["stage"], replayed["stage"]}

        done = world.sync()
        assert done.step("sales", "score")["out"] == 1
        assert world.sales.shown(person)["stage"] == "SQL"
        assert stage(accepted - timedelta(seconds=1)) == {"SQL pending"}
        assert stage(accepted) == {"SQL"}
        with world.ledger() as ledger:
            assert [given.lead_id for given in ledger.past.handoffs()] == [hot]
        assert world.sync("--full").step("sales", "write")["in"] == 0
        assert world.run("answer", hot, "--reject", "--reason", "no", *says).code == Exit.DONE
        world.sync()
        assert world.sales.shown(person)["stage"] == "SQL pending"
        assert world.run("answer", hot, "--accept", *says).code == Exit.DONE
        contact = world.sales.crm.convert(person)
        world.sync()
        assert world.sales.shown(contact)["stage"] == "SQL"
