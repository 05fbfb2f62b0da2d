"""Mistakes of a model that is well formed, but cannot mean what it says."""

from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Place = tuple[str | int, ...]
"""Keys and indexes from the top of a checked value down to a part of it; none: all of it."""

Mistake = str | tuple[Place, str]
"""What is wrong, and the place of it where that is not the whole."""


def dotted(place: Place) -> str:
    """A place in words: icp.company, fit[0].when."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return text.removeprefix(".")


def refuse(mistakes: Iterable[Mistake]) -> None:
    """Raise `pydantic.ValidationError` with every mistake at its place, unless there is none.

    Raised in a validator of a type, it becomes part of what is wrong with the value around it.
    """
    placed = [((), said) if isinstance(said, str) else said for said in mistakes]
    if placed:
        errors = [
            InitErrorDetails(type=PydanticCustomError("mistake", text), loc=place, input=None)
            for place, text in placed
        ]
        raise ValidationError.from_exception_data("mistakes", errors)
