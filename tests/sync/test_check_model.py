"""Check shows what is suspicious in the model, where it stands, and what the facts say to it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.scenario import GOLDEN_107, Did, Story
from sync.exits import Exit
from tests.live import Live, live

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """Both CRMs, empty."""
    with live(tmp_path) as world:
        yield world


def suspicious(world: Live, code: Exit) -> dict[str, tuple[str, int]]:
    """What check says of the model: severity and line by finding."""
    outcome = world.run("check", "--json")
    assert outcome.code == code, outcome.err
    found: list[dict[str, Any]] = [p for p in outcome.json if "model.yaml" in p["where"]]
    lines = {p["what"]: re.search(r"model\.yaml:(\d+):\d+$", p["where"]) for p in found}
    return {p["what"]: (p["severity"], int(lines[p["what"]][1])) for p in found}  # type: ignore[index]


def test_smells_are_shown_with_their_place(world: Live) -> None:
    """U20 S147 S104: file, line and column; warnings stop nothing, and before the first pull
    nothing is said of facts. After it, unscored types and rules that fire for nobody are."""
    world.set_up()
    text = (world.folder / "model.yaml").read_text().splitlines()
    line = next(n for n, said in enumerate(text, start=1) if "id: blog" in said)
    found = suspicious(world, Exit.DONE)
    assert found["rule blog alone reaches mql 50: 10 events do"] == ("warning", line)
    assert not [what for what in found if "seen" in what or "fires for no lead" in what]
    call = Did("call", more={"duration": 60, "subject": "Call"})
    world.tell(GOLDEN_107)
    world.tell(Story({"last_name": "C", "company": "C", "email": "c@c.example"}, (call,)))
    world.sync()
    found = suspicious(world, Exit.DONE)
    assert found["no rule scores call, seen 2 times"][0] == "warning"
    assert "rule industry-education fires for no lead" in found
    assert "rule pricing-page fires for no lead" not in found


def test_what_cannot_be_meant_is_an_error(world: Live) -> None:
    """U20: a threshold out of reach, and a condition on a field that no connection maps."""
    world.set_up()
    fit = [{"id": "rich", "points": 60, "when": {"custom": {"budget": {"at_least": 5}}}}]
    world.model(fit=fit, behaviour=[], decays={})
    found = suspicious(world, Exit.USAGE)
    assert found["threshold sql 100 is out of reach: all rules together give 60"][0] == "error"
    asked = "rule rich asks for custom.budget, which no connection maps"
    assert found[asked][0] == "error"
    mapping = {"leads": {"custom.budget": "AnnualRevenue"}}
    world.configure("sales", sales={"mapping": mapping})
    world.model(fit=fit, behaviour=[], decays={}, thresholds={"mql": 30, "sql": 60})
    assert asked not in suspicious(world, Exit.DONE)
