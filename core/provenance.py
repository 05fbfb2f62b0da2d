"""Where a value comes from, where several sources may disagree; and what it was before.

A field that is mapped to several sources takes the value of the first that holds one. The others
stay beside it, for explanations: `Lead.sources` and `Account.sources` hold them by field.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ibis.expr.types import StringValue

_BOOKKEEPING = ("id", "object_type", "modified_at", "present", "origins", "sources", "custom")


class Origin(StrEnum):
    """How a value got there."""

    GIVEN = "given"
    OBSERVED = "observed"
    APPENDED = "appended"


@dataclass(frozen=True)
class Answer:
    """What one CRM field says, as canonical text."""

    field: str
    origin: str
    value: str


@dataclass(frozen=True)
class Sourced:
    """A field of a lead, or of its account, that has several sources.

    `counts` is the first answer; `overruled` are those after it that say something else.
    """

    field: str
    counts: Answer
    overruled: tuple[Answer, ...]

    def __str__(self) -> str:
        def said(answer: Answer) -> str:
            return f"{answer.value} ({answer.origin}, {answer.field})"

        others = ", ".join(map(said, self.overruled))
        return f"{self.field}: {said(self.counts)}" + (f", not {others}" if others else "")


def as_source(field: str, origin: str, value: str) -> str:
    """One answer as it stands in a `sources` column: a JSON object on a line of its own."""
    return json.dumps({"field": field, "origin": origin, "value": value}) + "\n"


def value_of(line: StringValue) -> StringValue:
    """What a line of `as_source` says, still escaped: equal where the values are."""
    return line.re_extract(r'"value": "(.*)"\}$', 1)


def sourced(sources: Iterable[tuple[str, str]] | None, of: str = "") -> tuple[Sourced, ...]:
    """The content of a `sources` column; `of` stands before every name (`account.`)."""
    found = []
    for name, text in sorted(sources or ()):
        first, *others = (Answer(**json.loads(line)) for line in text.split("\n") if line)
        overruled = tuple(answer for answer in others if answer.value != first.value)
        found.append(Sourced(of + name, first, overruled))
    return tuple(found)


@dataclass(frozen=True)
class Said:
    """A value of a field that changed, since when it held, and the lead's stage at that time.

    A value of None is an answer that was taken back. `stage` is None for no stage too.
    """

    field: str
    value: str | None
    since: datetime
    stage: str | None


def changed_answers(
    versions: Iterable[Mapping[str, Any]],
    stages: Iterable[tuple[datetime, str | None]],
    seen: datetime | None = None,
) -> tuple[Said, ...]:
    """Every value of the fields that changed over a lead's versions, by field and time.

    `versions` are rows of the facts, `stages` what was decided and when; both oldest first. A
    field that has held one value since the first version is left out. Where a CRM's history tells
    of versions from before the lead was `seen`, a value that first shows then is no change.
    """
    decided = list(stages)
    said: dict[str, list[Said]] = {}
    for number, row in enumerate(versions):
        at = row["valid_from"]
        stage = next((stage for when, stage in reversed(decided) if when <= at), None)
        values = _values(row)
        for name in sorted({*values, *said}):
            first = number == 0 or at == seen
            past = said.setdefault(name, [] if first else [Said(name, None, at, None)])
            if not past or past[-1].value != values.get(name):
                past.append(Said(name, values.get(name), at, stage))
    return tuple(
        one
        for name in sorted(said)
        if len(said[name]) > 1
        for place, one in enumerate(said[name])
        if place or one.value is not None
    )


def _values(row: Mapping[str, Any]) -> dict[str, str]:
    """What a version says, as text by field; what is not known is absent."""
    plain = {
        name: ", ".join(value) if isinstance(value, list) else str(value)
        for name, value in row.items()
        if value is not None and name not in (*_BOOKKEEPING, "connection", "valid_from", "valid_to")
    }
    return plain | {f"custom.{name}": value for name, value in row["custom"] or ()}
