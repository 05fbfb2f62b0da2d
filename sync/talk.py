"""What the daemon says, on stderr: as text for people, or as JSON lines for a log store.

It names runs, jobs, connections and records by their ids, and nothing about a person.
"""

import json
from collections.abc import Callable
from typing import Protocol

from sync.session import Clock


class Talk(Protocol):
    """Says what happened: an event in words, and what it is about as fields."""

    def __call__(self, event: str, **fields: object) -> None: ...


def as_text(say: Callable[[str], None]) -> Talk:
    """One line: the event, then name=value of each field."""

    def talk(event: str, **fields: object) -> None:
        shown = (f"{name}={value}" for name, value in fields.items())
        say(" ".join([event, *shown]))

    return talk


def as_json(say: Callable[[str], None], clock: Clock) -> Talk:
    """One JSON object: at, event, and the fields."""

    def talk(event: str, **fields: object) -> None:
        said = {"at": clock().isoformat(), "event": event, **fields}
        say(json.dumps(said, default=str))

    return talk
