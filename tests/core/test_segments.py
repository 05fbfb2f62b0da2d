"""Several models: the first whose condition holds scores a lead, as if there were no other."""

from itertools import product
from typing import Any

import pytest

from core.conditions import LeadCondition
from core.rules import Model, parse
from core.segments import Segment, Segments, with_model
from tests.core.golden import World, account, activity, lead


def model(name: str, points: int) -> Model:
    """A model that gives points for a title, each visit and a demo."""
    return parse(
        {
            "name": name,
            "fit": [{"id": "cto", "points": points, "when": {"title": "CTO"}}],
            "behaviour": [
                {"id": "visit", "points": points, "count": "each", "when": {"type": "page_view"}}
            ],
            "thresholds": {"mql": 10, "sql": 100},
            "tiers": {name: 0},
        }
    )


CONSUMER = Segment(
    model("consumer", 1), LeadCondition.model_validate({"custom": {"segment": "consumer"}})
)
TRIALS = Segment(model("trials", 10), LeadCondition.model_validate({"account": {"type": "trial"}}))
REST = Segment(model("rest", 100))


def verdicts(world: World, segments: Segments) -> dict[str, tuple[int, str | None, str]]:
    """Points, stage and name of the model, by lead."""
    rows = world.rows(world.judged(*segments).verdicts)
    assert len({row["lead_id"] for row in rows}) == len(rows)
    assert all(row["tier"] == row["model"].split()[0] for row in rows)
    return {
        row["lead_id"]: (row["score"] // 10_000, row["stage"], row["model"].split()[0])
        for row in rows
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"custom": {"segment": "consumer"}}, (1, None, "consumer")),
        ({"custom": {"segment": "consumer"}, "account_id": "trial"}, (1, None, "consumer")),
        ({"account_id": "trial"}, (10, "MQL", "trials")),
        ({"custom": {"segment": "firm"}, "account_id": "trial"}, (10, "MQL", "trials")),
        ({}, (100, "SQL", "rest")),
        ({"custom": {"segment": "firm"}, "account_id": "old"}, (100, "SQL", "rest")),
    ],
)
def test_the_first_model_that_applies_counts(fields: Any, expected: Any) -> None:
    """S114: a lead of two segments is scored by the first one's model; an unknown segment is
    none, and the model without a condition takes what is left."""
    accounts = [account("trial", type="Trial"), account("old", type="Customer")]
    world = World([lead("x", title="CTO", **fields)], [], accounts)
    assert verdicts(world, (CONSUMER, TRIALS, REST)) == {"x": expected}


def test_a_lead_that_no_model_is_for_is_not_scored() -> None:
    """S114: it is told apart from what is no lead at all, which every share may hold."""
    world = World(
        [
            lead("in", custom={"segment": "consumer"}),
            lead("out", custom={"segment": "firm"}),
            lead("unknown"),
            lead("junk", email=None),
            lead("junk-in", email=None, custom={"segment": "consumer"}),
            lead("active", email=None),
        ],
        [activity("a", "active", "page_view")],
    )
    found = world.judged(CONSUMER)
    assert [row["lead_id"] for row in world.rows(found.verdicts)] == ["in"]
    assert found.outside is not None
    assert {row["lead_id"] for row in world.rows(found.outside)} == {"out", "unknown", "active"}
    assert {row["lead_id"] for row in world.rows(found.rejected)} == {"junk", "junk-in"}
    assert world.judged(CONSUMER, REST).outside is None


KINDS: tuple[str | None, ...] = ("consumer", "firm", None)


def test_each_share_scores_as_if_alone() -> None:
    """S114: each model says of its leads what it says of them where there is no other. Visits of
    a merged record count for the one that remains, whosever model that is; those of a record that
    is still a lead of its own stay its own, whichever model scores either."""
    people, visits, aliases = [], [], []
    kinds: dict[str, str | None] = {}
    for kind, visited, merged in product(KINDS, range(3), ("none", "gone", *KINDS)):
        who = f"{kind}-{visited}-{merged}"
        kinds[who] = kind
        sources = [who] * visited
        if merged != "none":
            aliases.append(("leads", f"was-{who}", who))
            sources.append(f"was-{who}")
            if merged != "gone":
                kinds[f"was-{who}"] = merged
        visits += [activity(f"{who}-{n}", of, "page_view") for n, of in enumerate(sources)]
    for who, kind in kinds.items():
        people.append(lead(who, title="CTO", custom={"segment": kind} if kind else None))
    world = World(people, visits, aliases=aliases)
    alone = {s.model.name: verdicts(world, (Segment(s.model),)) for s in (CONSUMER, REST)}
    assert verdicts(world, (CONSUMER, REST)) == {
        who: alone["consumer" if kind == "consumer" else "rest"][who] for who, kind in kinds.items()
    }
    assert alone["rest"]["firm-2-gone"] == (400, "SQL", "rest")
    assert alone["rest"]["firm-2-consumer"] == (300, "SQL", "rest")


def test_a_model_stands_in_for_its_namesake() -> None:
    """S114: of several, a changed model replaces the one of its name; of one, that one."""
    changed, stranger = model("trials", 11), model("stranger", 1)
    assert with_model((CONSUMER, TRIALS, REST), changed) == (
        CONSUMER, Segment(changed, TRIALS.when), REST,
    )  # fmt: skip
    assert with_model((REST,), stranger) == (Segment(stranger),)
    with pytest.raises(ValueError, match=r"called stranger .*consumer, trials, rest"):
        with_model((CONSUMER, TRIALS, REST), stranger)
