"""What is known beside the rules, on the command line: critical behaviours, and a prediction."""

import csv
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.scenario import Did, Story, build, page
from sync.exits import Exit
from tests.live import Live, live

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")

DAY = timedelta(days=1)
TRIAL, PRICING = {"type": "trial_started"}, {"type": "page_view", "asset": "/pricing"}
RULES = [
    {"id": "trial", "points": 20, "when": TRIAL},
    {"id": "pricing", "points": 10, "when": PRICING},
]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Live]:
    """One CRM with two customers, won ten days ago, and somebody who has just begun a trial."""
    with live(tmp_path) as world:
        world.configure("marketing")
        world.model(behaviour=RULES, decays={})
        world.set_up()
        yield world


def customer(world: Live, name: str, *deeds: Did) -> None:
    """A contact of a company with a deal, won ten days ago."""
    crm, now = world.marketing.crm, world.clock()
    firm = crm.add(Kind.ACCOUNT, {"name": name})
    values = {"last_name": name, "email": f"{name}@x.example", "account": firm.number}
    person = build(crm, Story(values, deeds, Kind.CONTACT), at=now)
    deal: dict[str, Any] = {
        "name": name, "account": firm.number, "people": [person.number], "amount": 5,
        "currency": "EUR", "stage": "closedwon", "closed": True, "won": True,
        "closed_at": now - 10 * DAY, "owner": None,
    }  # fmt: skip
    crm.add(Kind.DEAL, deal)


@pytest.mark.slow
def test_what_customers_did_first(world: Live) -> None:
    """S106: read from the facts; a star from the share that is asked for."""
    outcome = world.run("critical")
    assert outcome.code == Exit.DONE
    assert "no lead in the facts has a won outcome" in outcome.err
    customer(world, "early", Did("trial_started", 11 * DAY), page("/pricing", ago=9 * DAY))
    customer(world, "late", Did("trial_started", 9 * DAY), page("/pricing", ago=9 * DAY))
    world.sync()
    outcome = world.run("critical", "--json")
    assert outcome.json == [
        {"model": "weighted", "rule": "trial", "did": 1, "customers": 2, "star": True},
        {"model": "weighted", "rule": "pricing", "did": 0, "customers": 2, "star": False},
    ]
    assert outcome.err == ""
    rows = [line.split() for line in world.run("critical").out.splitlines()]
    assert ["trial", "1", "2", "*"] in rows
    assert ["pricing", "0", "2"] in rows
    assert [row["star"] for row in world.run("critical", "--json", "--share", "0.6").json] == [
        False,
        False,
    ]


@pytest.mark.parametrize("share", ["1.1", "half", "0.00001"])
def test_a_share_is_from_0_to_1(world: Live, share: str) -> None:
    """S106: anything else is a mistake of usage."""
    outcome = world.run("critical", "--share", share)
    assert outcome.code == Exit.USAGE
    assert f"{share} is no share from 0 to 1" in outcome.err


READERS = {"name": "readers", "did": {"type": "page_view"}}
WIN = {"leads": {"custom.win": "website"}}


def predicted(world: Live, held: str | None) -> Record:
    """A contact with something in the field that a probability is read from."""
    values = {"last_name": "x", "email": "x@x.example", "company": "x", "opt_out": False}
    return build(
        world.marketing.crm,
        Story({**values, "website": held}, (page("/pricing"),)),
        at=world.clock(),
    )


@pytest.mark.slow
@pytest.mark.parametrize(("held", "shown"), [("0.82", "0.82"), ("1.5", None), (None, None)])
def test_a_prediction_stands_beside_the_score(
    world: Live, held: str | None, shown: str | None
) -> None:
    """S056: it is kept with the decision and told wherever that is, and no line, point, stage or
    reason changes by it; what is no probability is named by record and field, but not repeated."""
    lead = world.marketing.id(predicted(world, held))
    world.configure("marketing", marketing={"mapping": WIN})
    world.model(behaviour=RULES, decays={})
    world.sync()
    now = world.clock() + timedelta(seconds=1)
    asked = ("explain", lead, "--json", "--as-of", f"{now:%Y-%m-%dT%H:%M:%S}")
    (plain,) = world.run(*asked).json
    world.model(behaviour=RULES, decays={}, probability="win")
    ended = world.sync()
    (found,) = world.run(*asked).json
    assert (plain["probability"], found["probability"]) == (None, shown)
    misread = "custom.win" if held == "1.5" else None
    assert found["misread"] == misread
    same = {*found} - {"probability", "misread", "model"}
    assert {k: found[k] for k in same} == {k: plain[k] for k in same}
    said = "marketing: custom.win is no number from 0 to 1, so no probability is kept beside the "
    assert (f"{said}score: {lead}. Mend it" in ended.err) is bool(misread)
    assert "1.5" not in ended.err
    text = world.run("explain", lead).out
    assert ("predicted probability 0.82, not in the score" in text) is bool(shown)
    assert ("custom.win is no number from 0 to 1" in text) is bool(misread)
    with world.ledger() as ledger:
        kept = [one.decision for one in ledger.decisions("marketing", lead)]
    assert [one.probability for one in kept] == [None, shown and Decimal(shown)]
    assert kept[0].score == kept[1].score


@pytest.mark.slow
def test_a_prediction_is_told_with_every_score(world: Live) -> None:
    """S056: a new one is a decision of its own, rescored without its score moving and written to
    no CRM; replays of both dates, previews and open files each have the one of their time."""
    person = predicted(world, "0.5")
    lead = world.marketing.id(person)
    world.configure("marketing", marketing={"mapping": WIN}, nurture={"audiences": [READERS]})
    reached = {"thresholds": {"mql": 20, "sql": 50}, "tiers": {"A": 20, "B": 0}}
    world.model(behaviour=RULES, decays={}, probability="win", **reached)
    world.sync()
    then = world.clock() + timedelta(seconds=1)
    world.clock.tick(minutes=5)
    world.marketing.crm.update(person, {"website": "0.123456789"})
    (part,) = world.sync().json["connections"]
    assert [step["out"] for step in part["steps"] if step["step"] == "diff"] == [0]
    now = world.clock() + timedelta(seconds=1)
    for at, known in ((then, "0.5"), (now, "0.123456789")):
        asked = ("replay", lead, "--as-of", f"{at:%Y-%m-%dT%H:%M:%S}")
        assert json.loads(world.run(*asked, "--json").out)["probability"] == known
        (row,) = csv.DictReader(world.run(*asked).out.splitlines())
        assert (row["probability"], row["score"]) == (known, "10")
    text = (world.folder / "model.yaml").read_text()
    (world.folder / "new.yaml").write_text(text.replace("points: 10", "points: 11"))
    new = str(world.folder / "new.yaml")
    previewed = world.run("preview", new, "--json")
    assert previewed.code == Exit.DONE, previewed.err
    (mover,) = previewed.json["movers"]
    assert [mover[side]["probability"] for side in ("before", "after")] == ["0.123456789"] * 2
    assert "0.123456789" in world.run("preview", new).out
    (member,) = world.run("audience", "readers", "--json").json
    assert (member["probability"], member["score"]) == ("0.123456789", "10")
    assert "predicted probability 0.123456789" in world.run("dossier", lead).out
    assert world.run("export", str(world.folder / "open")).code == Exit.DONE
    kept = pq.read_table(world.folder / "open" / "decisions.parquet").to_pylist()
    assert [row["probability"] for row in kept] == [Decimal("0.5"), Decimal("0.123456789")]
    entries = world.run("audit", lead, "--json").json["entries"]
    assert entries[-1]["detail"]["changed"] == {"probability": ["0.5", "0.123456789"]}
