"""The large public model, re-expressed: one test for each of its published facts."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import product
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from core.conditions import LeadCondition
from core.decision import UNIT
from core.lint import lint
from core.past import Past
from core.verdict import judge
from tests.core.golden import T0, World, account, activity, lead
from tests.core.test_past import past, was
from tests.core.test_presets import preset

MODEL = preset("marketing_operations")
TRIALS = preset("marketing_operations_trials")
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

CONTACT = {"type": "form_submission", "asset": "/contact-sales"}
DEMO = {"type": "demo_requested"}
MEETING = {"type": "meeting", "direction": "inbound"}
ASSESSMENT = {"type": "form_submission", "asset": "/assessment"}
KEY = {"type": "page_view", "asset": "/pricing"}
JOBS = {"type": "page_view", "asset": "/jobs/1"}
BOUNCE = {"type": "email_bounced", "outcome": "hard"}
UNSUBSCRIBED = {"type": "unsubscribed"}
DOWNLOAD = {"type": "download"}

Did = tuple[dict[str, str], datetime]


def told(
    *did: Did, at: datetime = T0, rules: Any = MODEL, known: Past | None = None, **fields: Any
) -> tuple[Mapping[str, Any], dict[str, float]]:
    """The verdict on a lead that did these things, and the points of every line of it."""
    events = [activity(f"e{n}", "x", at=when, **more) for n, (more, when) in enumerate(did)]
    firm = account("a", type=fields.pop("firm", None))
    world = World([lead("x", **{"account_id": "a", **fields})], events, [firm])
    judged = judge(rules, world.facts, at, known)
    (verdict,) = world.rows(judged.verdicts)
    lines = world.rows(judged.scored.contributions)
    assert sum(line["points"] for line in lines) == verdict["score"]
    given = {line["rule"]: line["points"] / UNIT for line in lines}
    return {**verdict, "score": verdict["score"] / UNIT}, given


def points(*did: Did, **more: Any) -> float:
    """The score of `told`."""
    score: float = told(*did, **more)[0]["score"]
    return score


WHO: dict[str, Any] = {"seniority": "executive", "function": "security", "employees": 100,
                       "region": "europe"}  # fmt: skip
"""70 demographic points."""


def test_a_score_is_behaviour_and_demographic_and_100_make_an_mql() -> None:
    """Total = behaviour + demographic; MQL at 100, and not before."""
    click = ({"type": "email_click"}, T0)
    verdict, lines = told((KEY, T0), click, **WHO)
    assert (verdict["score"], verdict["stage"]) == (100, "MQL")
    assert (lines["key-pages"] + lines["email-click"], sum(lines.values())) == (30, 100)
    verdict, _lines = told((KEY, T0), **WHO)
    assert (verdict["score"], verdict["stage"]) == (95, None)


def test_demographic_points_are_capped_at_70() -> None:
    """80 points of who somebody is count as 70."""
    verdict, lines = told(**{**WHO, "employees": 2000})
    assert (verdict["score"], lines["limit:fit"]) == (70, -10)


def test_behaviour_stops_counting_once_the_score_has_passed_300() -> None:
    """300 is not past 300; what comes after the instant of passing neither gives nor takes."""
    daily = [(CONTACT, T0 - n * DAY) for n in range(6, 0, -1)]
    assert points(*daily[:3]) == 300
    assert points(*daily) == points(*daily, (BOUNCE, T0)) == 400
    assert points(*daily, **WHO) == points(*daily, (BOUNCE, T0), **WHO) == 370


@pytest.mark.parametrize(
    ("event", "rule", "apart", "paid"),
    [
        (CONTACT, "contact-sales", HOUR, 1),
        (CONTACT, "contact-sales", DAY, 2),
        (DEMO, "demo", 89 * DAY, 1),
        (DEMO, "demo", 90 * DAY, 2),
        (MEETING, "inbound-meeting", 89 * DAY, 1),
        (MEETING, "inbound-meeting", 90 * DAY, 2),
        (ASSESSMENT, "assessment", 183 * DAY, 1),
        (ASSESSMENT, "assessment", 184 * DAY, 2),
    ],
)
def test_an_mql_at_once(event: dict[str, str], rule: str, apart: timedelta, paid: int) -> None:
    """+100 makes an MQL by itself: once a day, in 90 days, in 6 months (184 days up to January)."""
    verdict, lines = told((event, T0))
    assert (verdict["score"], verdict["stage"]) == (100, "MQL")
    _verdict, lines = told((event, T0 - apart), (event, T0))
    assert lines[rule] == 100 * paid


def test_only_a_meeting_that_they_asked_for_makes_an_mql() -> None:
    """What sales asks for shows no intent."""
    assert points(({**MEETING, "direction": "outbound"}, T0)) == 0


@pytest.mark.parametrize(
    ("event", "rule", "days", "given"),
    [
        (KEY, "key-pages", (0, 1, 3), 25),          # T0 is a Thursday
        (KEY, "key-pages", (0, 4), 50),
        (JOBS, "unwanted-pages", (0, 0), -10),
        (JOBS, "unwanted-pages", (0, 1), -20),
        (BOUNCE, "hard-bounce", (0,), -20),
    ],
)  # fmt: skip
def test_towards_an_mql_and_away(
    event: dict[str, str], rule: str, days: tuple[int, ...], given: int
) -> None:
    """Key pages +25 once a week, unwanted pages -10 once a day, a hard bounce -20."""
    did = [(event, T0 - n * DAY - m * HOUR) for m, n in enumerate(days)]
    _verdict, lines = told((CONTACT, T0 - 9 * DAY), *did)
    assert lines[rule] == given


@pytest.mark.parametrize("asset", ["/jobs", "/careers/berlin", "/unsubscribe"])
def test_unwanted_pages(asset: str) -> None:
    """Jobs, careers and unsubscribe; a soft bounce is none of what is unwanted."""
    soft = ({"type": "email_bounced", "outcome": "soft"}, T0)
    page = ({"type": "page_view", "asset": asset}, T0)
    assert points((CONTACT, T0), page, soft) == 90


def january(day: int, hour: int = 12) -> datetime:
    """A time in January; its first day is the thirtieth after the second of December."""
    return datetime(2026, 1, day, hour, tzinfo=UTC)


def test_silence_costs_10_once_a_month() -> None:
    """30 days silent: -10, to the second; twice in one month it costs once."""
    began = (CONTACT, january(1) - 30 * DAY)
    assert points(began, at=january(1) - timedelta(seconds=1)) == 100
    assert points(began, at=january(1)) == 90
    assert points(began, at=january(31)) == 90
    assert points(began, at=january(31) + 30 * DAY) == 80


def test_who_comes_back_gets_nothing_back() -> None:
    """What a silence took stays taken, and it begins anew; the e-mails that we send end none."""
    began, sent = (CONTACT, T0 - 60 * DAY), ({"type": "email_sent"}, T0 - 50 * DAY)
    assert points(began, sent) == 80
    assert points(began, (KEY, T0 - 10 * DAY)) == 100 - 10 + 25
    assert points(began, (KEY, T0 - 30 * DAY - HOUR)) == 100 + 25 - 10


def test_unsubscribing_leaves_the_demographic_part() -> None:
    """All behaviour before it is gone, what comes after it counts."""
    verdict, lines = told((CONTACT, T0 - 2 * DAY), (UNSUBSCRIBED, T0 - DAY), **WHO)
    assert (verdict["score"], lines["reset:unsubscribed"]) == (70, 0)
    later = (KEY, T0)
    assert points((CONTACT, T0 - 2 * DAY), (UNSUBSCRIBED, T0 - DAY), later, **WHO) == 95


@pytest.mark.parametrize(
    ("fields", "mqls", "boost"),
    [
        ({"status": "Nurture"}, 1, 40),
        ({"status": "Nurture", "email_opt_out": False}, 2, 40),
        ({"status": "Nurture"}, 0, 0),
        ({"status": "Open"}, 1, 0),
        ({"status": "Nurture", "email_opt_out": True}, 1, 0),
    ],
)
def test_former_mqls_are_boosted_while_they_are_nurtured(
    fields: dict[str, Any], mqls: int, boost: int
) -> None:
    """+20 once a month while the status is Nurture and it was an MQL before."""
    known = past([was("x", None, T0 - 65 * DAY, mqls=mqls, qualified=T0 - 65 * DAY)])
    _verdict, lines = told(known=known, **fields)
    assert lines.get("re-mql", 0) == boost


def test_negatives_are_back_at_zero_every_night() -> None:
    """Below 0 there is only the day itself: from the next one on, points count from 0."""
    today, yesterday = T0 - HOUR, T0 - DAY
    assert points((BOUNCE, yesterday)) == 0
    assert points((BOUNCE, yesterday), (CONTACT, T0)) == 100
    assert points((BOUNCE, today), (CONTACT, T0)) == 80
    assert points(email="x@gmail.example") == points(email="x@hotmail.example") == 0
    assert points(email="x@gmail.example", seniority="director") == 15
    assert points((KEY, T0), email="x@gmail.example") == 25


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("own-domain", {"email": "me@example.com"}),
        ("competitor", {"firm": "Competitor"}),
        ("status", {"status": "Disqualified"}),
        ("status", {"status": "bad data"}),
        *(("no-real-company", {"company": name}) for name in ("Student", "personal", "Test")),
        ("partner-worked", {"custom": {"partner_worked": "true"}}),
    ],
)
def test_who_is_left_out(rule: str, fields: dict[str, Any]) -> None:
    """Whatever they do they are no MQL, and the reason says why."""
    for rules in (MODEL, TRIALS):
        verdict, _lines = told((DEMO, T0), (CONTACT, T0), rules=rules, **fields)
        assert verdict["stage"] == "Disqualified"
        assert f"({rule})" in verdict["reason"]
    near = {"email": "me@elsewhere.example", "company": "Test Instruments", "firm": "Customer"}
    assert told((DEMO, T0), status="Open", **near)[0]["stage"] == "MQL"


def test_classes() -> None:
    """A to D by who they are, 1 to 4 by what they do: all sixteen."""
    fits = {"A": {**WHO}, "B": {"seniority": "executive", "region": "europe"},
            "C": {"seniority": "director"}, "D": {"seniority": "manager"}}  # fmt: skip
    deeds: dict[str, list[Did]] = {
        "1": [(CONTACT, T0)],
        "2": [(KEY, T0), (KEY, T0 - 7 * DAY)],
        "3": [(KEY, T0)],
        "4": [(DOWNLOAD, T0)],
    }
    for (letter, fields), (number, did) in product(fits.items(), deeds.items()):
        assert told(*did, **fields)[0]["tier"] == letter + number


@pytest.mark.parametrize(
    ("did", "stage"),
    [
        (["trial_started", "invited_colleague"], None),
        (["trial_started", "invited_colleague", "product_used"], "MQL"),
        (["demo_requested"], "MQL"),
    ],
)
def test_trials_are_mqls_at_25(did: list[str], stage: str | None) -> None:
    """20 points of a trial make no MQL, 25 do; the model for all others gives them none for it."""
    events = [({"type": kind}, T0) for kind in did]
    assert told(*events, rules=TRIALS)[0]["stage"] == stage
    assert told(({"type": "trial_started"}, T0))[0]["score"] == 0


def test_trials_say_how_they_are_used() -> None:
    """The head of the file has the lines for config.yaml: trials first, then all others."""
    file = resources.files("core.presets").joinpath("marketing_operations_trials.yaml")
    lines = [line[1:] for line in file.read_text(encoding="utf-8").splitlines() if line[:1] == "#"]
    begin = next(n for n, line in enumerate(lines) if line.strip() == "model:")
    first, last = yaml.safe_load("\n".join(lines[begin : begin + 3]))["model"]
    TypeAdapter(LeadCondition).validate_python(first["when"])
    assert (first["model"], last) == ("trials.yaml", {"model": "model.yaml"})


ALONE = {
    "marketing_operations": {
        "contact-sales", "demo", "inbound-meeting", "assessment", "key-pages", "webinar",
        "trade-show", "download", "email-click",
    },
    "marketing_operations_trials": {
        "trial", "invited-colleague", "product-use", "pricing-page", "contact-sales",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ALONE)
def test_lint_finds_only_what_is_meant(name: str) -> None:
    """Events are limited by the period and not in all, so that each of them alone makes an MQL:
    some at once, which is what they are for, the others if they go on for long enough."""
    found = [finding.what for finding in lint(preset(name))]
    assert {what.split(" ")[1] for what in found} == ALONE[name]
    assert len(found) == len(ALONE[name])
    assert all("alone reaches mql" in what for what in found)
