"""What is worked out once for an explanation gives the same as each part by itself."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from ibis.expr.types import Table

from core.completeness import completeness
from core.known import Facts, placed, unkept
from core.profile import channels, parts
from core.ready import ready
from core.rules import Model
from core.scoring import checklists, score, unknown
from tests.core.golden import World, account, activity, lead, weighted

LISTED = [
    {"id": "big", "when": {"employees": {"at_least": 50}}},
    {"id": "known", "when": {"custom": {"budget": {"known": True}}}},
]

Part = Callable[[Model, Facts, datetime], Table]


def _areas(model: Model, facts: Facts, at: datetime) -> Table:
    return parts(model, facts, at)["areas"]


def _lines(model: Model, facts: Facts, at: datetime) -> Table:
    return score(model, facts, at).contributions


def _scores(model: Model, facts: Facts, at: datetime) -> Table:
    return score(model, facts, at).scores


def _ready(part: Part) -> Part:
    def asked(model: Model, facts: Facts, at: datetime) -> Table:
        known = replace(facts, places=placed(facts, at))
        return part(model, ready(model, known, at, None, unkept), at)

    return asked


@pytest.mark.parametrize(
    "part", [_lines, _scores, unknown, completeness, checklists, channels, _areas]
)
def test_a_part_says_the_same_of_what_was_worked_out_before(part: Part) -> None:
    """Further lead fields, settled events and accounts that are told change nothing."""
    did: Any = {"area": "cloud", "asset": "/pricing", "channel": "web"}
    mail: Any = {"message_id": "<1>", "channel": "email"}
    world = World(
        [lead("x", account_id="a", custom={"budget": "5"}), lead("y", seniority="executive"),
         lead("z", email="z@firm.example")],
        [activity("1", "x", "page_view", **did), activity("2", "y", "email_open", **mail),
         activity("3", "y", "email_click", **mail)],
        [account("a", domain="firm.example", industry="technology", employees=60)],
    )  # fmt: skip
    model = weighted(interest={"areas": True}, checklists={"bant": LISTED})
    alone = world.rows(world.asked(part, model))
    assert alone
    together = world.rows(world.asked(_ready(part), model))
    assert sorted(map(repr, alone)) == sorted(map(repr, together))
