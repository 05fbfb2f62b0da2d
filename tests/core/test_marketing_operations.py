"""The large public model, re-expressed: one test for each of its published facts."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
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
from core.rules import Model
from core.segments import Segment
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
Case = tuple[tuple[Did, ...], dict[str, Any]]


def did(*events: Did, **fields: Any) -> Case:
    """A lead with these fields, and `firm` as the type of its account, that did these things."""
    return events, fields


@dataclass(frozen=True)
class Found:
    """What became of a lead: its score and the points of every line, in points."""

    score: float
    stage: str | None
    tier: str | None
    reason: str
    lines: Mapping[str, float]


def told(*cases: Case, rules: Model = MODEL, known: Past | None = None) -> list[Found]:
    """The verdict on each of the leads L0, L1, ... of these cases."""
    leads, events, firms = [], [], []
    for n, (did, fields) in enumerate(cases):
        firms.append(account(f"a{n}", type=fields.get("firm")))
        given = {name: value for name, value in fields.items() if name != "firm"}
        leads.append(lead(f"L{n}", account_id=f"a{n}", **given))
        for m, (more, at) in enumerate(did):
            events.append(activity(f"e{n}-{m}", f"L{n}", at=at, **more))
    world = World(leads, events, firms)
    judged = world.judged(Segment(rules), past=known)
    lines: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for row in world.rows(judged.contributions):
        lines[row["lead_id"]][row["rule"]] = row["points"] / UNIT
    verdicts = {row["lead_id"]: row for row in world.rows(judged.verdicts)}
    found = []
    for n in range(len(cases)):
        row, mine = verdicts[f"L{n}"], lines[f"L{n}"]
        assert sum(mine.values()) == row["score"] / UNIT
        found.append(Found(row["score"] / UNIT, row["stage"], row["tier"], row["reason"], mine))
    return found


def scores(*cases: Case) -> list[float]:
    """The scores of these cases."""
    return [found.score for found in told(*cases)]


WHO: dict[str, Any] = {"seniority": "executive", "function": "security", "employees": 100,
                       "region": "europe"}  # fmt: skip
"""70 demographic points."""


def test_a_score_is_behaviour_and_demographic_and_100_make_an_mql() -> None:
    """Total = behaviour + demographic, which is capped at 70; MQL at 100, and not before."""
    click = ({"type": "email_click"}, T0)
    mql, less, capped = told(
        did((KEY, T0), click, **WHO), did((KEY, T0), **WHO), did(**{**WHO, "employees": 2000})
    )
    assert (mql.score, mql.stage, less.score, less.stage) == (100, "MQL", 95, None)
    assert mql.lines["key-pages"] + mql.lines["email-click"] == 30
    assert (capped.score, capped.lines["limit:fit"]) == (70, -10)


def test_behaviour_stops_counting_once_the_score_has_passed_300() -> None:
    """300 is not past 300; what comes after the instant of passing neither gives nor takes."""
    daily = [(CONTACT, T0 - n * DAY) for n in range(6, 0, -1)]
    bounced = [*daily, (BOUNCE, T0)]
    found = scores(
        did(*daily[:3]), did(*daily), did(*bounced), did(*daily, **WHO), did(*bounced, **WHO)
    )
    assert found == [300, 400, 400, 370, 370]


@pytest.mark.slow
def test_an_mql_at_once() -> None:
    """+100 makes an MQL by itself: once a day, in 90 days, in 6 months (184 days up to January).
    What sales asks for shows no intent."""
    table = [
        (CONTACT, HOUR, 100), (CONTACT, DAY, 200),
        (DEMO, 90 * DAY - HOUR, 100), (DEMO, 90 * DAY, 200),
        (MEETING, 90 * DAY - HOUR, 100), (MEETING, 90 * DAY, 200),
        (ASSESSMENT, 184 * DAY - HOUR, 100), (ASSESSMENT, 184 * DAY, 200),
    ]  # fmt: skip
    for found in told(*(did((event, T0)) for event, _apart, _paid in table)):
        assert (found.score, found.stage) == (100, "MQL")
    twice = told(*(did((event, T0 - apart), (event, T0)) for event, apart, _paid in table))
    for (event, apart, paid), found in zip(table, twice, strict=True):
        assert max(found.lines.values()) == paid, (event, apart)
    assert scores(did(({**MEETING, "direction": "outbound"}, T0))) == [0]


def test_towards_an_mql_and_away() -> None:
    """Key pages +25 once a week, unwanted pages (jobs, careers, unsubscribe) -10 once a day, a hard
    bounce -20 and a soft one nothing. T0 is a Thursday."""
    soft = {**BOUNCE, "outcome": "soft"}
    careers, leave = ({**JOBS, "asset": asset} for asset in ("/careers/berlin", "/unsubscribe"))
    table: list[tuple[int, list[dict[str, str]], list[int]]] = [
        (25, [KEY], [0, 1, 3]), (50, [KEY], [0, 4]),
        (-10, [JOBS, careers, leave], [0]), (-20, [JOBS], [0, 1]), (-20, [careers], [0, 1]),
        (-10, [leave], [0]), (-20, [BOUNCE], [0]), (0, [soft], [0]),
    ]  # fmt: skip
    cases = [
        did(
            (CONTACT, T0 - 9 * DAY),
            *((event, T0 - n * DAY - m * HOUR) for n in days for m, event in enumerate(events)),
        )
        for _given, events, days in table
    ]
    assert scores(*cases) == [100 + given for given, _events, _days in table]


def test_silence_costs_10_once_a_month() -> None:
    """30 days silent: -10, to the second. Twice in one October, it costs once there. What it took
    stays taken when they come back, and it begins anew; the e-mails that we send end none."""
    began = (CONTACT, T0 - 60 * DAY)
    cases = {
        100: did((CONTACT, T0 - 30 * DAY + timedelta(seconds=1))),
        90: did((CONTACT, T0 - 30 * DAY)),
        70: did((CONTACT, datetime(2025, 9, 1, 12, tzinfo=UTC))),
        80: did(began, ({"type": "email_sent"}, T0 - 50 * DAY)),
        115: did(began, (KEY, T0 - 10 * DAY)),
        105: did((CONTACT, T0 - 61 * DAY), (KEY, T0 - 30 * DAY)),
    }
    assert scores(*cases.values()) == list(cases)


def test_unsubscribing_leaves_the_demographic_part() -> None:
    """All behaviour before it is gone, what comes after it counts."""
    before = [(CONTACT, T0 - 2 * DAY), (UNSUBSCRIBED, T0 - DAY)]
    left, back = told(did(*before, **WHO), did(*before, (KEY, T0), **WHO))
    assert (left.score, left.lines["reset:unsubscribed"], back.score) == (70, 0, 95)


def test_former_mqls_are_boosted_while_they_are_nurtured() -> None:
    """+20 once a month while the status is Nurture and it was an MQL before; not of those who want
    no e-mail."""
    table: list[tuple[int, dict[str, Any], int]] = [
        (40, {"status": "Nurture"}, 1),
        (40, {"status": "Nurture", "email_opt_out": False}, 2),
        (0, {"status": "Nurture"}, 0),
        (0, {"status": "Open"}, 1),
        (0, {"status": "Nurture", "email_opt_out": True}, 1),
    ]
    since = T0 - 65 * DAY
    known = past([was(f"L{n}", None, since, mqls=row[2], qualified=since)
                  for n, row in enumerate(table)])  # fmt: skip
    found = told(*(did(**fields) for _boost, fields, _mqls in table), known=known)
    assert [one.lines.get("re-mql", 0) for one in found] == [row[0] for row in table]


def test_negatives_are_back_at_zero_every_night() -> None:
    """Below 0 there is only the day itself: from the next one on, points count from 0. Who somebody
    is never takes from what they do."""
    cases = [
        (0, did((BOUNCE, T0 - DAY))),
        (100, did((BOUNCE, T0 - DAY), (CONTACT, T0))),
        (80, did((BOUNCE, T0 - HOUR), (CONTACT, T0))),
        (0, did(email="x@gmail.example")),
        (15, did(email="x@hotmail.example", seniority="director")),
        (25, did((KEY, T0), email="x@gmail.example")),
    ]
    assert scores(*(case for _score, case in cases)) == [score for score, _case in cases]


@pytest.mark.parametrize("rules", [MODEL, TRIALS], ids=lambda rules: rules.name)
def test_who_is_left_out(rules: Model) -> None:
    """Whatever they do they are no MQL, and the reason says why."""
    table: list[tuple[str, dict[str, Any]]] = [
        ("own-domain", {"email": "me@example.com"}),
        ("competitor", {"firm": "Competitor"}),
        ("status", {"status": "Disqualified"}),
        ("status", {"status": "bad data"}),
        *(("no-real-company", {"company": name}) for name in ("Student", "personal", "Test")),
        ("partner-worked", {"custom": {"partner_worked": "true"}}),
    ]
    near = {"email": "me@elsewhere.example", "company": "Test Instruments", "firm": "Customer"}
    cases = (did((DEMO, T0), **fields) for fields in (*(f for _rule, f in table), near))
    *out, fine = told(*cases, rules=rules)
    for (rule, _fields), found in zip(table, out, strict=True):
        assert found.stage == "Disqualified"
        assert f"({rule})" in found.reason
    assert fine.stage == "MQL"


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
    pairs = list(product(fits, deeds))
    found = told(*(did(*deeds[number], **fits[letter]) for letter, number in pairs))
    assert [one.tier for one in found] == [letter + number for letter, number in pairs]


@pytest.mark.slow
def test_trials_are_mqls_at_25() -> None:
    """20 points of a trial make no MQL, 25 do; the model for all others gives them none for it."""
    kinds = ("trial_started", "invited_colleague", "product_used")
    started, invited, used = (({"type": kind}, T0) for kind in kinds)
    low, mql = told(did(started, invited), did(started, invited, used), rules=TRIALS)
    assert (low.score, low.stage, mql.score, mql.stage) == (20, None, 25, "MQL")
    assert scores(did(started, invited, used)) == [0]


def test_trials_say_how_they_are_used() -> None:
    """The head of the file has the lines for config.yaml: trials are scored by this model, and all
    others by the other one."""
    file = resources.files("core.presets").joinpath("marketing_operations_trials.yaml")
    lines = [line[1:] for line in file.read_text(encoding="utf-8").splitlines() if line[:1] == "#"]
    begin = next(n for n, line in enumerate(lines) if line.strip() == "model:")
    first, last = yaml.safe_load("\n".join(lines[begin : begin + 3]))["model"]
    assert (first["model"], last) == ("trials.yaml", {"model": "model.yaml"})
    trial = TypeAdapter(LeadCondition).validate_python(first["when"])
    people = [lead("trial", source="Trial"), lead("other", source="Web"), lead("unknown")]
    segments = (Segment(TRIALS, trial), Segment(MODEL))
    verdicts = (world := World(people)).rows(world.judged(*segments).verdicts)
    assert {row["lead_id"]: row["model"] for row in verdicts} == {
        "trial": TRIALS.label, "other": MODEL.label, "unknown": MODEL.label,
    }  # fmt: skip


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
