"""The part of config.yaml that says how long what is held of people is kept."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from connectors.settings import Settings
from sync.service_settings import Interval

AT_ONCE = "at once"


def _at_once(value: object) -> object:
    return timedelta(0) if value == AT_ONCE else value


Span = Annotated[Interval, BeforeValidator(_at_once)]
"""How long something is kept: `90 days`, or `at once` for no longer."""


class Retention(Settings):
    """How long what is held of a person outlives the CRM's record, before it is erased by itself.

    The facts go, and what the ledger says of the person, as by `leadgauge erase`.
    """

    removed: Span | None = Field(
        None,
        description="After the CRM removed the last record of a person: 90 days, or `at once`; "
        "left out: kept until it is erased by hand.",
    )
    purged: Span | None = Field(
        None,
        description="After the CRM erased a record for good (a GDPR delete in HubSpot, which a "
        "reconciliation finds out): `at once`, or 30 days; left out: as if it was removed.",
    )

    @model_validator(mode="after")
    def _forgets_something(self) -> Self:
        if self.removed is None and self.purged is None:
            raise ValueError("say how long what was removed, or purged, is kept")
        return self
