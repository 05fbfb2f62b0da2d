"""Consent: whose activities may count, and who may be scored at all, as the model file says it.

What is not known is no consent: a condition must hold, and one that misses a fact does not. The
activities of a person without consent to be followed count for nothing and nobody, the account's
score included; a person without consent to be scored has no score.
"""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from core.conditions import LeadCondition
from core.mistakes import Mistake, refuse
from core.past import asks
from core.points import Part

GATES = ("score", "pull")
"""Where consent to be followed can be asked for; who is asked at the pull is at the score too."""


class Consent(Part):
    """What people must have agreed to, as conditions on their records."""

    behaviour: LeadCondition | None = Field(
        None, description="Whose activities may count; left out: everybody's."
    )
    scoring: LeadCondition | None = Field(
        None, description="Who may be scored; left out: everybody."
    )
    withdrawn: Literal["clear", "freeze"] = Field(
        "clear",
        description="What becomes of the written fields of a person who may not be scored: "
        "cleared, or left as they are.",
    )
    gate: Literal["score", "pull"] = Field(
        "score",
        description="Where activities are held back: when scores are made, or already when they "
        "are read, so that they are not even stored.",
    )

    @model_validator(mode="after")
    def _asks(self) -> Self:
        refuse(self._problems())
        return self

    def _problems(self) -> Iterator[Mistake]:
        if self.behaviour is None and self.scoring is None:
            yield (), "say who may be followed (behaviour), or who may be scored (scoring)"
        if self.gate == "pull" and self.behaviour is None:
            yield ("gate",), "there is nothing to hold back: say whose activities may count"
        for name in ("behaviour", "scoring"):
            condition = getattr(self, name)
            if condition and asks([condition]):
                yield (name,), "consent does not hang on what was decided before"
