"""Flags: what stands out about a lead, such as intent, while a rule that names it gives points."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.rules import Model


@dataclass(frozen=True)
class Flag:
    """A mark of a lead, the rule that it comes from, and when that last counted something."""

    flag: str
    rule: str
    last: datetime

    def __str__(self) -> str:
        return f"{self.flag} ({self.rule}, {self.last:%Y-%m-%d %H:%M})"


def flagging(model: Model) -> Mapping[str, str]:
    """The rules of a model that flag leads, with what."""
    return {rule.id: rule.flag for rule in model.behaviour if rule.flag}


def flags(model: Model, contributions: Iterable[Mapping[str, Any]]) -> tuple[Flag, ...]:
    """The flags of one lead, the latest first, by its rows of `Scored.contributions`."""
    named = flagging(model)
    found = [
        Flag(named[row["rule"]], row["rule"], row["last"])
        for row in contributions
        if row["points"] > 0 and row["rule"] in named
    ]
    return tuple(sorted(found, key=lambda flag: (flag.last, flag.rule), reverse=True))
