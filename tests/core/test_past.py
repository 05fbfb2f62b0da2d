"""What rests on our own past decisions: kept stages, cool-down, ageing, overrides."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest
from pydantic import ValidationError

from core import ageing
from core.conditions import LeadCondition
from core.decision import UNIT
from core.due import Span
from core.due import due as all_due
from core.facts import TIME
from core.past import OVERRIDES, SPELLS, STAGES, History, Past, due
from core.rules import Model, parse
from core.scoring import versions
from core.segments import Segment
from core.verdict import judge
from tests.core.golden import LONG_AGO, T0, World, lead, weighted

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
Row = Mapping[str, Any]


def past(
    stages: Iterable[Row] = (),
    overrides: Iterable[Row] = (),
    spells: Iterable[Row] | None = None,
) -> Past:
    """A past of these rows; what a row leaves out is null, and nothing ever happened."""

    def table(rows: Iterable[Row], schema: ibis.Schema, **defaults: Any) -> Any:
        filled = [{**defaults, "connection": "crm", **row} for row in rows]
        return ibis.memtable(pa.Table.from_pylist(filled, schema.to_pyarrow()), schema=schema)

    rows = list(overrides)
    return Past(
        table(stages, STAGES, mqls=0),
        table(rows, OVERRIDES) if rows else None,
        None if spells is None else table(spells, SPELLS, mqls=0),
    )


def was(lead_id: str, stage: str | None, since: datetime, **more: Any) -> Row:
    """The last decided stage of a lead."""
    return {"lead_id": lead_id, "stage": stage, "since": since, **more}


def by_employees(**content: Any) -> Model:
    """A model by which every lead has as many points as its company has employees, 0 to 120."""
    steps = [
        {"id": f"e{n}", "points": n, "when": {"employees": n}}
        for n in (20, 35, 40, 45, 50, 60, 85, 90, 95, 100, 120)
    ]
    return weighted(fit=steps, behaviour=[], decays={}, **content)


def verdicts(world: World, model: Model, known: Past | None, at: datetime = T0) -> dict[str, Row]:
    """The verdict on every lead."""
    return {
        r["lead_id"]: r
        for r in world.rows(world.judged(Segment(model), at=at, past=known).verdicts)
    }


KEPT = {"mql": 50, "sql": 100, "keep": {"mql": 40, "sql": 90}}


def test_a_stage_is_kept_until_the_score_falls_below_keep() -> None:
    """U14: who had the stage keeps it down to `keep`, inclusive; who had none gets none; a lead
    that falls out of one stage keeps the one below."""
    cases = [
        ("MQL", 45, "MQL"), ("MQL", 40, "MQL"), ("MQL", 35, None), (None, 45, None),
        ("IQL", 45, None), ("PQL", 45, "MQL"), ("SQL", 95, "SQL"), ("SQL", 90, "SQL"),
        ("SQL", 85, "MQL"), ("SQL", 45, "MQL"), ("SQL", 35, None), ("MQL", 95, "MQL"),
        ("SQL pending", 95, "SQL"), ("Pending", 45, None), (None, 50, "MQL"),
    ]  # fmt: skip
    world = World([lead(f"L{n}", employees=points) for n, (_s, points, _) in enumerate(cases)])
    known = past([was(f"L{n}", stage, T0 - DAY) for n, (stage, _p, _e) in enumerate(cases)])
    found = verdicts(world, by_employees(thresholds=KEPT), known)
    for n, (had, points, expected) in enumerate(cases):
        assert found[f"L{n}"]["stage"] == expected, (had, points)
    fresh = verdicts(world, by_employees(thresholds=KEPT), None)
    assert {row["stage"] for row in fresh.values()} == {None, "MQL"}


def test_a_lead_cools_down_before_it_comes_back() -> None:
    """U14: 30 days after it left, to the second, it may be qualified again; until then its reason
    says so, and nothing is said of a lead that would not be qualified anyway."""
    left = T0 - 30 * DAY
    cases = {
        "soon": (60, left + SECOND, None, " cooling down until 2026-01-01"),
        "ready": (60, left, "MQL", ""),
        "low": (35, left + DAY, None, ""),
        "never": (60, None, "MQL", ""),
    }
    world = World([lead(name, employees=case[0]) for name, case in cases.items()])
    rows = [
        was(name, None, when or T0 - DAY, left=when, mqls=1)
        for name, (_, when, *_r) in cases.items()
    ]
    rows.append(was("stays", "MQL", left, left=T0 - DAY, mqls=2))
    model = by_employees(cool_down="30 days")
    found = verdicts(world, model, past(rows))
    for name, (points, _left, stage, note) in cases.items():
        assert found[name]["stage"] == stage, name
        assert found[name]["reason"] == f"{points}{note}: e{points} +{points}"
    engaged = World([lead("stays", employees=60)])
    assert verdicts(engaged, model, past(rows))["stays"]["stage"] == "MQL"


def test_everything_at_once() -> None:
    """Vetted SQLs, kept stages, cool-down, gates and overrides do not stand in each other's way."""
    cases = [
        (95, "SQL pending", None, None, "SQL pending"), (95, "SQL", None, T0, "SQL"),
        (60, None, T0 - DAY, None, None), (60, None, T0 - DAY, T0, None),
        (45, "MQL", None, T0, "MQL"), (85, "MQL", None, None, "Disqualified"),
        (20, None, T0 - DAY, None, "PQL"),
    ]  # fmt: skip
    names = [f"L{n}" for n in range(len(cases))]
    world = World(
        [
            lead(name, employees=points, accepted_at=accepted)
            for name, (points, _s, _left, accepted, _e) in zip(names, cases, strict=True)
        ]
    )
    rows = [
        was(name, stage, T0 - DAY, left=left, mqls=1)
        for name, (_p, stage, left, _a, _e) in zip(names, cases, strict=True)
    ]
    known = past(rows, [{"lead_id": "L6", "stage": "PQL"}])
    out = {"id": "out", "when": {"employees": 85}}
    vetted = {"sql": {"mode": "vetted"}, "thresholds": KEPT, "disqualify": [out]}
    found = verdicts(world, by_employees(**vetted, cool_down="2 days"), known)
    assert [found[name]["stage"] for name in names] == [expected for *_rest, expected in cases]


def test_a_model_that_asks_for_no_past_says_the_same_with_any() -> None:
    """The same expression is built: history costs nothing where nothing asks for it."""
    model = by_employees(thresholds={"mql": 50, "sql": 100})
    world = World([lead("x", employees=60)])
    known = past([was("x", "SQL", T0, mqls=3, left=T0)])
    said = [
        ibis.to_sql(judge((Segment(model),), world.facts, T0, p).verdicts) for p in (known, None)
    ]
    plain, other = (re.sub(r"_memtable_\w+", "memtable", text) for text in said)
    assert plain == other
    assert not model.recalls


@pytest.mark.parametrize(
    "section",
    [
        {"fit": [{"id": "back", "points": 5, "when": {"past": {"mqls": {"above": 0}}}}]},
        {"icp": {"company": {"type": "prospect"}, "persona": {"past": {"stage": "SQL"}}}},
        {"roles": {"infer": {"user": {"when": {"past": {"stage": "SQL"}}, "confidence": 1}}}},
        {"accounts": {"committee": {"roles": {"user": {"past": {"stage": "SQL"}}}, "points": 5},
                      "top": 100}},
    ],
)  # fmt: skip
def test_whatever_condition_on_leads_asks_for_the_past_has_it(section: Any) -> None:
    """U11: a role of a committee is filled by what was decided before as a fit rule is met by it:
    the past is read for each of them."""
    plain = {"name": "m", "fit": [{"id": "f", "points": 1, "when": {"industry": "retail"}}]}
    thresholds = {"mql": 5, "sql": 9}
    assert parse({**plain, "thresholds": thresholds, **section}).recalls
    assert not parse({**plain, "thresholds": thresholds}).recalls


BOOSTER = {"id": "booster", "points": 20, "every": "30 days", "cap": 50,
           "when": {"status": "Nurture", "past": {"mqls": {"above": 0}}}}  # fmt: skip
STALE = {"id": "stale", "points": -30, "after": "90 days", "when": {"past": {"stage": "SQL"}}}
NEEDS = {"id": "needs", "points": -10, "after": "90 days", "when": {"status": "Needs Nurturing"}}


def ages(*rules: Any, **content: Any) -> Model:
    """A model of ageing rules."""
    return parse({"name": "m", "ageing": rules, "thresholds": {"mql": 5, "sql": 9}, **content})


class Versions(World):
    """Leads in versions: by lead, instants and the status from each on (None: removed)."""

    def __init__(
        self, history: Mapping[str, list[tuple[datetime, str | None]]], **gone: str
    ) -> None:
        """`gone`: who was merged or converted, and into whom."""
        super().__init__(
            [lead(name) for name in history],
            aliases=[("leads", name, survivor) for name, survivor in gone.items()],
        )
        rows = []
        for name, steps in history.items():
            ends = [at for at, _status in steps[1:]] + [None]
            for (begins, status), end in zip(steps, ends, strict=True):
                if status is not None:
                    dates = {"valid_from": begins, "valid_to": end}
                    rows.append(
                        {"connection": "crm", **lead(name, status=status).model_dump(), **dates}
                    )
        table = pa.Table.from_pylist(rows, self.facts.leads.schema().to_pyarrow())
        self.connection.register("leads", table)

    def aged(self, model: Model, at: datetime, known: Past | None = None) -> dict[Any, float]:
        """Points by lead and rule, in points."""
        lines = self.rows(self.judged(Segment(model), at=at, past=known).contributions)
        return {(line["lead_id"], line["rule"]): line["points"] / UNIT for line in lines}


def test_ageing_counts_the_unbroken_time_that_a_condition_held() -> None:
    """D64: 90 days of `Needs Nurturing`, counted anew after a break or a removal, to the second; a
    change of another field is no break."""
    begun = T0 - 90 * DAY
    world = Versions(
        {
            "held": [(LONG_AGO, "New"), (begun, "Needs Nurturing")],
            "same": [(begun, "Needs Nurturing"), (begun + DAY, "needs nurturing")],
            "young": [(begun + SECOND, "Needs Nurturing")],
            "broken": [
                (LONG_AGO, "Needs Nurturing"),
                (begun, "New"),
                (T0 - DAY, "Needs Nurturing"),
            ],
            "restored": [
                (LONG_AGO, "Needs Nurturing"),
                (begun, None),
                (T0 - DAY, "Needs Nurturing"),
            ],
            "over": [(LONG_AGO, "Needs Nurturing"), (T0 - DAY, "New")],
            "later": [(begun, "New"), (T0 + DAY, "Needs Nurturing")],
            "earlier": [(begun, "Needs Nurturing"), (T0 + DAY, "New")],
        }
    )
    due_ones = {("held", "needs"): -10, ("same", "needs"): -10, ("earlier", "needs"): -10}
    assert world.aged(ages(NEEDS), T0) == due_ones
    assert ("young", "needs") in world.aged(ages(NEEDS), T0 + SECOND)


def test_a_time_that_begins_within_a_second_is_over_in_the_whole_second_after_it() -> None:
    """D64: what began half a second late is not 90 days old in the very second, and is in the next;
    what then ends half a second too soon never was."""
    half, begun = SECOND / 2, T0 - 90 * DAY
    world = Versions({"late": [(begun + half, "Needs Nurturing")]})
    assert world.aged(ages(NEEDS), T0) == {}
    assert world.aged(ages(NEEDS), T0 + SECOND) == {("late", "needs"): -10}
    lasting = [
        {"lead_id": name, "stage": stage, "since": since, "until": until}
        for name, began, end in (
            ("just", half, half),
            ("late", half, SECOND),
            ("short", half, -half),
        )
        for stage, since, until in (("SQL", begun + began, T0 + end), (None, T0 + end, None))
    ]
    world = Versions({name: [(LONG_AGO, "New")] for name in ("just", "late", "short")})
    found = [world.aged(ages(STALE), T0 + n * SECOND, past(spells=lasting)) for n in (0, 1, 9)]
    assert found == [{}, {("late", "stale"): -30}, {("late", "stale"): -30}]


def test_ageing_of_a_stage_and_the_booster() -> None:
    """D64: -30 after 90 days as SQL; +20 for every 30 days of Nurture of a lead that was an MQL,
    counted from when it last became one, at most 50; each a line of its own."""
    rows = [
        was("old", "SQL", T0 - 90 * DAY, mqls=1, qualified=T0 - 100 * DAY),
        was("new", "SQL", T0 - 90 * DAY + SECOND, mqls=1, qualified=T0 - 100 * DAY),
        was("mql", "MQL", T0 - 99 * DAY, mqls=1, qualified=T0 - 59 * DAY),
        was("twice", None, T0 - 99 * DAY, mqls=2, qualified=T0 - 60 * DAY),
        was("none", None, T0 - 99 * DAY),
    ]
    names = ("old", "new", "mql", "twice", "none", "stranger")
    world = Versions({name: [(T0 - 95 * DAY, "Nurture")] for name in names})
    assert world.aged(ages(STALE, BOOSTER), T0, past(rows)) == {
        ("old", "stale"): -30, ("old", "booster"): 50, ("new", "booster"): 50,
        ("mql", "booster"): 20, ("twice", "booster"): 40,
    }  # fmt: skip
    assert world.aged(ages(STALE, BOOSTER), T0) == {}
    lines = world.rows(judge((Segment(ages(BOOSTER)),), world.facts, T0, past(rows)).contributions)
    (old,) = (line for line in lines if line["lead_id"] == "old")
    assert (old["raw"], old["cap_loss"], old["part"]) == (60 * UNIT, 10 * UNIT, "ageing")


def had(lead_id: str, *path: tuple[float, str | None]) -> list[Row]:
    """The stages that a lead had, each from so many days before T0 on."""
    instants = [T0 - days * DAY for days, _stage in path]
    return [
        {"lead_id": lead_id, "stage": stage, "since": since, "until": until, "mqls": n}
        for n, (since, (_d, stage), until) in enumerate(
            zip(instants, path, [*instants[1:], None], strict=True)
        )
    ]


def test_what_a_stage_took_stays_taken() -> None:
    """D64: every spell of 90 days as SQL takes the points, those that are over too and however the
    lead fares since, also where the facts were pulled anew; one that was a second shorter takes
    nothing, and `cap` is the end of it."""
    paths: dict[str, list[Any]] = {
        "runs": [(90, "SQL")], "over": [(200, "SQL"), (110, "MQL")],
        "back": [(200, "SQL"), (110, "MQL"), (50, "SQL")], "young": [(80, "SQL")],
        "twice": [(300, "MQL"), (290, "SQL"), (200, None), (190, "SQL"), (95, "Ineligible")],
        "short": [(200, "SQL"), (110 + SECOND / DAY, None)], "other": [(300, "MQL")],
    }  # fmt: skip
    spells = [row for name, path in paths.items() for row in had(name, *path)]
    pulled: Any = {name: [(T0 - 91 * DAY, "New")] for name in [*paths, "stranger"]}
    world, known = Versions(pulled), past(spells=spells)
    taken = {"runs": -30, "over": -30, "back": -30, "twice": -60}
    found = world.aged(ages(STALE), T0, known)
    assert {name: points for (name, _rule), points in found.items()} == taken
    capped = world.aged(ages({**STALE, "cap": 30}), T0, known)
    assert {name: points for (name, _rule), points in capped.items()} == dict.fromkeys(taken, -30)
    often = {"id": "more", "points": 1, "every": "40 days",
             "when": {"past": {"stage": "SQL", "mqls": {"at_least": 1}}}}  # fmt: skip
    found = world.aged(ages({**often, "cap": 99}), T0, known)
    assert {name: points for (name, _rule), points in found.items()} == {"back": 1, "twice": 4}


def test_who_stands_for_a_lead_keeps_what_its_stages_took() -> None:
    """D64: what spells of a converted or merged lead took stays taken from its survivor, whose own
    count beside them; what goes on at the survivor is one unbroken time, and a time in which both
    had the stage counts once. So it is where the facts hold nothing any more of who is gone."""
    rule = {**STALE, "after": None, "every": "40 days"}
    was: Any = {
        # Converted at 60: over long before, still going on then, and a lead without a stage.
        "over": ([(200, "SQL"), (110, "MQL"), (60, None)], [(60, "MQL")], -60),
        "runs": ([(90, "SQL"), (60, None)], [(60, "SQL")], -60),
        "plain": ([(60, None)], [(60, "SQL")], -30),
        # Merged at 60 into who had a past of its own: apart, at the same time, overlapping.
        "apart": ([(200, "SQL"), (155, None)], [(110, "SQL")], -90),
        "same": ([(110, "SQL"), (60, None)], [(110, "SQL"), (60, "MQL")], -30),
        "across": ([(150, "SQL"), (90, "MQL"), (60, None)], [(100, "SQL"), (65, None)], -60),
    }  # fmt: skip
    gone = {f"{name}_gone": name for name in was}
    known = past(
        spells=[
            row
            for name, (theirs, mine, _points) in was.items()
            for row in (*had(f"{name}_gone", *theirs), *had(name, *mine))
        ]
    )
    heirs: Any = {name: [(T0 - 60 * DAY, "New")] for name in was}
    left: Any = {name: [(T0 - 210 * DAY, "New"), (T0 - 60 * DAY, None)] for name in gone}
    expected = {name: points for name, (*_spells, points) in was.items()}
    for held in (heirs | left, heirs):
        found = Versions(held, **gone).aged(ages(rule), T0, known)
        assert {name: points for (name, _rule), points in found.items()} == expected
    assert {n for n, _rule in Versions(heirs | left).aged(ages(rule), T0, known)} != set(expected)


def test_a_condition_on_stage_and_field_of_who_is_gone() -> None:
    """D64: what the converted lead was while it had the stage decides, not what its contact is;
    also where each model has leads of its own."""
    when = {"status": "Nurture", "past": {"stage": "SQL"}}
    rule = {"id": "both", "points": -5, "after": "30 days", "when": when}
    left: Any = {"l1": [(T0 - 99 * DAY, "Nurture"), (T0 - 60 * DAY, None)]}
    left["l2"] = [(T0 - 99 * DAY, "New"), (T0 - 60 * DAY, None)]
    heirs: Any = {"c1": [(T0 - 60 * DAY, "New")], "c2": [(T0 - 60 * DAY, "Nurture")]}
    spells = [row for name in left for row in had(name, (99, "SQL"), (60, None))]
    world, known = Versions(left | heirs, l1="c1", l2="c2"), past(spells=spells)
    assert world.aged(ages(rule), T0, known) == {("c1", "both"): -5}
    everybody = Segment(ages(rule), LeadCondition.model_validate({"object_type": "Lead"}))
    segments = (everybody, Segment(weighted(name="others")))
    lines = world.rows(judge(segments, world.facts, T0, known).contributions)
    assert {(line["lead_id"], line["points"] / UNIT) for line in lines} == {("c1", -5)}


def test_who_stands_for_a_duplicate_is_due_when_their_stages_together_were_long_enough() -> None:
    """U12 D64: 60 days as SQL of the old record and 30 of the contact that stands for it are 90
    without a break: due just then, whichever model asks for hygiene."""
    people = [
        lead("old", email="a@x.example"),
        lead("new", email="a@x.example", object_type="Contact"),
    ]
    world, model = World(people), ages(STALE, hygiene={})
    known = past(spells=[*had("old", (60, "SQL"), (0, "Duplicate")), *had("new", (0, "SQL"))])
    aliases = world.facts.aliases.mutate(
        valid_from=ibis.literal(LONG_AGO, TIME), valid_to=ibis.null(TIME)
    )
    facts = replace(world.facts, aliases=aliases)
    for days, expected in ((29, 0), (30, -30)):
        at = T0 + days * DAY
        assert verdicts(world, model, known, at)["new"]["score"] == expected * UNIT
        span = Span(at - DAY, at)
        found = {
            row["id"]
            for row in world.rows(all_due(ages(STALE), facts, span, (), known, model.hygiene))
        }
        assert found == ({"new"} if expected else set())


def test_a_condition_on_stage_and_field_must_hold_of_one_time() -> None:
    """D64: what the lead was while it had the stage decides, not what it is now."""
    when = {"status": "Nurture", "past": {"stage": "SQL"}}
    rule = {"id": "both", "points": -5, "after": "30 days", "when": when}
    steps: Any = [(T0 - 100 * DAY, "New"), (T0 - 60 * DAY, "Nurture"), (T0 - 29 * DAY, "New")]
    world = Versions({"in": steps, "out": steps, "late": steps})
    spells = [*had("in", (99, "SQL"), (30, "MQL")), *had("out", (99, "SQL"), (31, "MQL")),
              *had("late", (59, "SQL"))]  # fmt: skip
    known = past(spells=spells)
    assert world.aged(ages(rule), T0, known) == {("in", "both"): -5, ("late", "both"): -5}


def test_conditions_on_the_past_are_never_unknown() -> None:
    """A lead that was never decided about has stage `none` and no cycle, not an unknown one."""
    fit = [
        {"id": "fresh", "points": 1, "when": {"past": {"stage": "none"}}},
        {"id": "returned", "points": 2, "when": {"past": {"mqls": {"above": 1}}}},
        {
            "id": "not-sql",
            "points": 4,
            "when": {"not": {"past": {"stage": ["SQL", "SQL pending"]}}},
        },
    ]
    world = World([lead("new"), lead("back"), lead("sql")])
    known = past([was("back", None, T0, mqls=2), was("sql", "SQL", T0, mqls=2)])
    model = weighted(fit=fit, behaviour=[], decays={})
    assert model.recalls
    found = verdicts(world, model, known)
    assert {name: row["score"] // UNIT for name, row in found.items()} == {
        "new": 5, "back": 7, "sql": 2,
    }  # fmt: skip


def test_an_override_is_a_line_and_the_score_adds_up() -> None:
    """D53: points are added, a score is set, a stage is set; the lines still add up to the score,
    also on a scale, and nobody else is touched."""
    said: list[Row] = [
        {"lead_id": "more", "points": -5 * UNIT}, {"lead_id": "set", "score": 70 * UNIT},
        {"lead_id": "stage", "stage": "SQL"}, {"lead_id": "gone", "points": UNIT},
    ]  # fmt: skip
    world = World([lead(name, employees=60) for name in ("more", "set", "stage", "other")])
    for model, plain in ((by_employees(), 60), (by_employees(scale={"top": 120}), 50)):
        judged = judge((Segment(model),), world.facts, T0, past(overrides=said))
        found = {row["lead_id"]: row for row in world.rows(judged.verdicts)}
        assert {name: row["score"] // UNIT for name, row in found.items()} == {
            "more": plain - 5, "set": 70, "stage": plain, "other": plain,
        }  # fmt: skip
        lines = world.rows(judged.contributions)
        for name, row in found.items():
            assert sum(x["points"] for x in lines if x["lead_id"] == name) == row["score"]
        by_hand = {x["lead_id"]: x["points"] // UNIT for x in lines if x["rule"] == "override"}
        assert by_hand == {"more": -5, "set": 70 - plain, "stage": 0}
        assert (found["stage"]["stage"], found["set"]["stage"]) == ("SQL", "MQL")
    assert "override -5" in found["more"]["reason"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"thresholds": {"mql": 50, "sql": 100, "keep": {"mql": 50}}}, "keep.mql 50 must be below"),
        ({"thresholds": {"mql": 50, "sql": 100, "keep": {"sql": 50}}}, "keep.sql 50 must be above"),
        ({"thresholds": {"mql": 50, "sql": 100, "keep": {"mql": 40, "sql": 30}}}, "must be above"),
        ({"ageing": [{**NEEDS, "every": "1 day"}]}, "either after or every"),
        ({"ageing": [{**BOOSTER, "every": None}]}, "either after or every"),
        ({"ageing": [{**NEEDS, "cap": 20}]}, "cap needs every"),
        ({"ageing": [{**BOOSTER, "cap": 10}]}, "cap 10 is below the 20 points of one span"),
        ({"ageing": [{**NEEDS, "points": 0}]}, "needs points"),
        ({"ageing": [NEEDS, NEEDS]}, "two rules are called needs"),
        ({"ageing": [{**NEEDS, "when": {"past": {"stage": "SLQ"}}}]}, "past.stage"),
        ({"scale": {}, "ageing": [{**BOOSTER, "cap": None}]}, "points without end"),
    ],
)
def test_what_cannot_be_meant_is_refused(content: Any, said: str) -> None:
    """A clear message for each mistake."""
    with pytest.raises(ValidationError) as refused:
        by_employees(**content)
    assert said in str(refused.value)


def test_when_time_alone_changes_something() -> None:
    """Every lead whose verdict differs between two instants without a new fact is named, and of
    those whose instants lie elsewhere none: the boundaries are exact."""
    model = ages(STALE, BOOSTER, cool_down="30 days")
    since, at = T0 - DAY, T0
    rows = [
        was("cooled", None, T0 - 30 * DAY, left=T0 - 30 * DAY, mqls=1),
        was("cool-before", None, T0 - 31 * DAY, left=T0 - 31 * DAY, mqls=1),
        was("cool-later", None, T0 - 29 * DAY, left=T0 - 30 * DAY + SECOND, mqls=1),
        was("stale", "SQL", T0 - 90 * DAY, mqls=0),
        was("stale-before", "SQL", T0 - 91 * DAY, mqls=0),
        was("decided", "MQL", since, mqls=1, qualified=since),
    ]
    known = past(rows)
    found = [
        {r["lead_id"] for r in World([]).rows(leads)}
        for leads in due(known.stages, model.cool_down, since, at, asked=True)
    ]
    assert found == [{"decided"}, {"cooled"}]
    assert not [*due(known.stages, None, since, at, asked=False)]
    history: dict[str, list[tuple[datetime, str | None]]] = {
        row["lead_id"]: [(LONG_AGO, "New")] for row in rows
    }
    history |= {"nurtured": [(T0 - 60 * DAY, "Nurture")], "young": [(T0 - 59 * DAY, "Nurture")]}
    world = Versions(history)
    mqls = [was(n, None, T0 - 99 * DAY, mqls=1, qualified=LONG_AGO) for n in ("nurtured", "young")]
    known = past([*rows, *mqls])
    read = versions(model, world.facts, at, known)
    ended = ageing.due(model.ageing, read, world.facts.aliases, since, at, known)
    aged = {r["lead_id"] for r in world.rows(ended)}
    assert aged == {"stale", "nurtured"}


def test_a_cool_down_is_over_at_its_end() -> None:
    """What is told of it agrees with what holds: at the end itself the lead may come back."""
    day, second = timedelta(days=1), timedelta(seconds=1)
    assert History(left=T0).cooled(day, T0 + day - second).cooling == T0 + day
    assert History(left=T0).cooled(day, T0 + day).cooling is None
