"""The scoring model, and what makes one valid: sections that mean something together."""

from typing import Self

from pydantic import ValidationInfo, model_validator

from core.coherence import incoherent
from core.mistakes import refuse
from core.sections import Sections


class Model(Sections):
    """A scoring model."""

    @model_validator(mode="after")
    def _holds_together(self, info: ValidationInfo) -> Self:
        refuse(incoherent(self, info.context or frozenset()))
        return self


def parse(data: object) -> Model:
    """The model that the content of a model file describes.

    Raises `pydantic.ValidationError` with the place and reason of every mistake.
    """
    return Model.model_validate(data)
