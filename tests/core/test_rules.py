"""The model file: what is refused, and what a model's version depends on."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from core.rules import Model, parse
from tests.core.golden import golden, weighted

RULE = {"id": "pricing", "points": 20, "when": {"type": "page_view"}}
FIT = {"id": "tech", "points": 20, "when": {"industry": "technology"}}
WEB = {**RULE, "group": "web"}
BY_WEEK = {"web": {"cap": 40, "per": "week"}}
BASE: dict[str, Any] = {"name": "m", "thresholds": {"mql": 50, "sql": 100}, "fit": [FIT]}


def refusal(data: object) -> str:
    """Places and reasons of everything wrong with a model."""
    with pytest.raises(ValidationError) as caught:
        parse(data)
    return "\n".join(f"{e['loc']} {e['msg']}" for e in caught.value.errors())


VIEWS = {"id": "views", "count": {"type": "page_view"}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"thresholds": {"mql": 50}}, "('thresholds', 'sql') Field required"),
        ({"thresholds": {"mql": 100, "sql": 100}}, "sql 100 must be above mql 100"),
        ({"fit": []}, "a model needs at least one rule"),
        ({"fit": [FIT, FIT]}, "two rules are called tech"),
        ({"fit": [{**FIT, "point": 1}]}, "'point') Extra inputs"),
        ({"fit": [{**FIT, "decay": "x"}]}, "'decay') decay is for behaviour rules"),
        ({"fit": [{**FIT, "id": "Two words"}]}, "'id') String should match"),
        ({"fit": [{**FIT, "points": "0.00001"}]}, "not a whole number of 1/10,000 point"),
        ({"fit": [{**FIT, "when": {"industri": "x"}}]}, "'industri') Extra inputs"),
        ({"fit": [{**FIT, "when": {"modified_at": {"known": True}}}]}, "'modified_at') Extra"),
        ({"fit": [{"best_of": [FIT]}]}, "'best_of') Tuple should have at least 2 items"),
        ({"behaviour": [{**RULE, "count": "each", "cap": 19}]}, "below the 20 points"),
        ({"behaviour": [{**RULE, "cap": 40}]}, "cap needs count: each"),
        ({"behaviour": [{**RULE, "within": "90"}]}, "such as 30 days"),
        ({"behaviour": [{**RULE, "within": "0 days"}]}, "greater than 0"),
        ({"behaviour": [{**RULE, "within": "36501 days"}]}, "less than or equal to 36500 days"),
        ({"cool_down": "99999999999999 days"}, "such as 30 days"),
        ({"measures": [{**VIEWS, "steps": {"0.3333333": 1}}]}, "more than 6 decimal places"),
        ({"behaviour": [{**RULE, "decay": "slow"}]}, "no decay is called slow"),
        ({"behaviour": [{**RULE, "count": {"per": "hour"}}]}, "'day', 'week'"),
        ({"behaviour": [{**RULE, "count": "each", "at": {"nth": 3}}]}, "at needs count: once"),
        ({"behaviour": [{**RULE, "at": {"nth": 1}}]}, "greater than or equal to 2"),
        ({"behaviour": [{**RULE, "group": "web"}]}, "no group is called web (there are: none)"),
        ({"groups": {"web": {"cap": 40}}}, "group web: no rule belongs to it"),
        ({"behaviour": [WEB], "groups": {"web": {"cap": 19}}}, "cap 19 is below the points of"),
        ({"behaviour": [WEB], "groups": {"web": {"cap": 40, "per": "week"}}}, "count: each, {per:"),
        (
            {"behaviour": [{**WEB, "count": {"per": "month"}}], "groups": BY_WEEK},
            "rule pricing: group web is capped by the week",
        ),
        (
            {"behaviour": [{**WEB, "count": "each", "cap": 40}], "groups": BY_WEEK},
            "and no cap of its own",
        ),
        ({"decays": {"slow": {"half_life": "12 hours"}}}, "a whole number of days"),
        ({"decays": {"slow": {"over": "9 days", "factor": 1}}}, "Extra inputs"),
        ({"limits": {"fit": {"cap": -1}}}, "greater than or equal to 0"),
        (
            {"limits": {"fit": {"cap": "0.0001"}}, "weights": {"fit": "0.5"}},
            "limits.fit: 0.0001 x weight 0.5 is finer",
        ),
        ({"decays": {"slow": {"after": "30 days"}}}, "either factor or minus"),
        ({"decays": {"slow": {"after": "30 days", "factor": 1}}}, "less than 1"),
        ({"weights": {"fit": "0.33333", "behaviour": 1}}, "not a whole number of 1/10,000"),
        ({"tiers": {"A": 50, "B": 50}}, "listed best first"),
        ({"sql": {"mode": "vettd"}}, "'score' or 'vetted'"),
    ],
)
def test_a_model_that_cannot_mean_what_it_says_is_refused(change: Any, said: str) -> None:
    assert said in refusal({**BASE, **change})


def test_a_model_without_thresholds_is_an_error_not_a_default() -> None:
    """S093: there is no benchmark without thresholds, and none is made up."""
    said = refusal({key: value for key, value in BASE.items() if key != "thresholds"})
    assert said == "('thresholds',) Field required"


def test_points_that_would_need_rounding_are_refused() -> None:
    rule = {**RULE, "points": "0.0001", "decay": "half"}
    decays = {"half": {"after": "30 days", "factor": 0.5}}
    assert "finer than 1/10,000" in refusal({**BASE, "behaviour": [rule], "decays": decays})
    weights = {"fit": "0.5", "behaviour": 1}
    assert "rule tech: 0.0001 x weight 0.5" in refusal(
        {**BASE, "fit": [{**FIT, "points": "0.0001"}], "weights": weights}
    )


def test_equal_content_has_an_equal_version_and_changed_points_a_new_one() -> None:
    """S020: a changed weight is a new model version, which the label carries."""
    model = parse(BASE)
    same = parse({**BASE, "fit": [{**FIT, "points": "20.0"}], "weights": {"fit": 1}})
    other = parse({**BASE, "fit": [{**FIT, "points": 21}]})
    assert model.version == same.version != other.version
    assert model.label == f"m {model.version}"
    assert model.version != parse({**BASE, "weights": {"fit": "0.6"}}).version


@pytest.mark.parametrize(
    ("decay", "left"),
    [({"factor": 0.5}, "8.5"), ({"minus": 10}, "7"), ({"minus": 20}, "0"), ({"factor": 0}, "0")],
)
def test_what_a_decay_leaves(decay: dict[str, Any], left: str) -> None:
    rule = {**RULE, "points": 17, "decay": "d"}
    model = parse({**BASE, "behaviour": [rule], "decays": {"d": {"after": "12 hours", **decay}}})
    assert model.left(model.behaviour[0]) == Decimal(left)


def test_the_preset_is_a_model() -> None:
    model: Model = weighted()
    assert model.name == "weighted"
    assert [rule.id for rule in model.fit_rules][3:5] == [
        "title-decision-maker",
        "title-influencer",
    ]


def _examples() -> list[dict[str, Any]]:
    """The models of the guide; each one after the first changes some of its sections."""
    guide = Path(__file__).parents[2].joinpath("docs", "model.md").read_text(encoding="utf-8")
    first, *rest = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL))
    return [first, *({**first, **example} for example in rest)]


@pytest.mark.slow
def test_the_examples_of_the_guide_score_leads() -> None:
    """Each is a model of its own, of which every lead has a score that adds up."""
    examples = [parse(example) for example in _examples()]
    assert len({model.version for model in examples}) == len(examples) > 5
    world = golden()
    for model in examples:
        scores = dict.fromkeys(("cto", "manager"), 0)
        for (who, _rule), row in world.contributions(model).items():
            scores[who] += row["points"]
        assert world.scores(model) == scores
        assert any(scores.values())
