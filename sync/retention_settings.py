"""The part of config.yaml that says how long what is held of people is kept."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from connectors.settings import Settings
from sync.service_settings import Interval

AT_ONCE = "at once"


def _span(value: object, interval: ValidatorFunctionWrapHandler) -> object:
    if value == AT_ONCE:
        return timedelta(0)
    try:
        return interval(value)
    except ValueError as error:
        raise ValueError(f"say how long something is kept: 90 days, or `{AT_ONCE}`") from error


Span = Annotated[Interval, WrapValidator(_span)]
"""How long something is kept: `90 days`, or `at once` for no longer."""


class Retention(Settings):
    """How long what is held of people is kept, before it is erased by itself.

    Of a person who is removed or purged the facts go, and what the ledger says, as by `leadgauge
    erase`.
    """

    removed: Span | None = Field(
        None,
        description="After the CRM removed the last record of a person: 90 days, or `at once`; "
        "left out: kept until it is erased by hand.",
    )
    purged: Span | None = Field(
        None,
        description="After the CRM erased a record for good (a GDPR delete, which a "
        "reconciliation finds out): `at once`, or 30 days; left out: as if it was removed.",
    )

    activities: Interval | None = Field(
        None,
        description="How old activities get before the facts forget them: 1095 days; what they "
        "earned goes with them; left out: they are kept.",
    )

    @model_validator(mode="after")
    def _forgets_something(self) -> Self:
        if self.removed is None and self.purged is None and self.activities is None:
            raise ValueError("say how long to keep what is removed, or purged, or activities")
        return self
