"""The budget of calls is a hard one: no run makes more, and where it ends the next one goes on."""

import re
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault
from sync.exits import Exit
from tests.live import Live, live

PEOPLE = 230
"""Two pages of HubSpot's search, three calls to write."""

MODEL: dict[str, Any] = {
    "fit": [{"id": "technology", "points": 100, "when": {"industry": "technology"}}],
    "behaviour": [],
    "decays": {},
}


def people(world: Live, name: str, count: int) -> None:
    """Leads in one CRM."""
    for n in range(count):
        named = {"last_name": f"P{n}", "email": f"p{n}@firm.example", "company": "Firm"}
        world.sellers[name].crm.add(Kind.LEAD, {**named, "industry": "Technology"})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sales", "marketing"])
def test_a_run_makes_no_call_beyond_its_budget(tmp_path: Path, name: str) -> None:
    """U06: reading what changed and writing together keep to `--max-calls`, whatever it is: the run
    ends with exit code 6, says which option it was, and what was read stays read. With enough, the
    next one reaches what an unbroken run does, and nothing is left to do."""
    with live(tmp_path) as world:
        seller = world.sellers[name]
        world.model(**MODEL)
        world.set_up()
        world.sync("--connection", name)
        people(world, name, PEOPLE)
        budget, rows = 0, list[int]()
        while True:
            before = len(seller.server.requests)
            given = ("--max-calls", str(budget), "--max-change-share", "1", "--json")
            outcome = world.run("sync", "--connection", name, *given)
            assert len(seller.server.requests) - before <= budget
            if outcome.code != Exit.GUARD:
                break
            assert "run again with" in outcome.err
            assert "--max-calls" in outcome.err
            with world.ledger() as ledger:
                assert ledger.runs(1)[0].status == "guarded"
                rows.append(ledger.runs(1)[0].counts[name]["steps"][0]["out"])
            budget += 3
        assert outcome.code == Exit.DONE, outcome.err
        assert sum(rows) >= PEOPLE, "what was read within a smaller budget was kept"
        assert outcome.step(name, "pull")["out"] == 0
        found = {r.values.get("email"): seller.shown(r) for r in seller.crm.records(Kind.LEAD)}
        assert {shown["stage"] for shown in found.values()} == {"SQL"}
        assert len(found) == PEOPLE
        assert world.sync("--connection", name).step(name, "write")["out"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("command", ["plan", "sync", "backfill"])
def test_the_option_that_a_message_names_is_the_command_s(tmp_path: Path, command: str) -> None:
    """U06: a first reading above the budget is not begun, and the same command with what its
    message says reads."""
    with live(tmp_path) as world:
        world.configure("sales", guards={"max_calls": 12})
        world.model(**MODEL)
        world.set_up()
        given = (command, "--yes") if command == "backfill" else (command,)
        refused = world.run(*given)
        assert refused.code == Exit.GUARD, refused.err
        (named,) = re.findall(r"run again with (--max-calls \d+)", refused.err)
        outcome = world.run(*given, *named.split())
        assert outcome.code == Exit.DONE, outcome.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sales", "marketing"])
def test_a_plan_above_the_budget_is_not_begun(tmp_path: Path, name: str) -> None:
    """U06: with a budget of 100 a plan of 101 calls (a batch, and a task for each of 100 leads)
    ends before the first write; the message names the option and the calls that it would take."""
    with live(tmp_path) as world:
        seller = world.sellers[name]
        world.configure(handoff={"task": {}, "most": 200}, guards={"max_calls": 100})
        world.model(**MODEL)
        world.set_up()
        people(world, name, 100)
        refused = world.run("sync", "--connection", name)
        assert refused.code == Exit.GUARD
        assert f"{name}: writing costs 101 calls (write 101) beside the" in refused.err
        assert "more than the budget of 100. To allow it, run again with --max-calls" in refused.err
        assert seller.writes() == 0
        outcome = world.run("sync", "--connection", name, "--max-calls", "200")
        assert outcome.code == Exit.DONE, outcome.err
        assert world.sellers[name].writes() >= 1


@pytest.mark.slow
def test_a_call_that_is_gone_without_ends_the_run_all_the_same(tmp_path: Path) -> None:
    """U06: where the last calls are missing for what a run can do without (reading back what it has
    written), it is kept as not known, the exit code is 6, and the next run settles it."""
    with live(tmp_path) as world:
        world.model(**MODEL)
        world.set_up()
        people(world, "sales", 3)
        world.run("plan")
        world.run("plan")
        with world.ledger() as ledger:
            reading = sum(ledger.runs(1)[0].calls["sales"].values())
        world.sales.server.faults.append(Fault("/composite/sobjects", "PATCH", drop="after"))
        options = ("--connection", "sales", "--verify")
        short = world.run("sync", *options, "--max-calls", str(reading + 3))
        assert short.code == Exit.GUARD, short.err
        assert world.sales.writes() == 1
        assert f"{reading + 3} calls are made of the budget of {reading + 3}" in short.err
        world.sync(*options)
        assert world.sales.writes() == 1
        with world.ledger() as ledger:
            assert len(ledger.last_written("sales")) == 3
