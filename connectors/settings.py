"""What every connection in config.yaml has in common: the mapping, and what is written where."""

from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator

from core.decision import OPTIONAL, Output
from core.diff import Policy
from core.provenance import Origin


class Settings(BaseModel):
    """A part of the configuration: frozen, unknown keys forbidden, never repeats its input."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class WrittenField(Settings):
    """One output and the CRM field it is written to."""

    field: str = Field(description="The CRM's name of the field.")
    policy: Policy | None = Field(
        None,
        description="overwrite; respect_edits: leave a value that a human changed; "
        "fill_empty: write only into an empty field; never: do not write this output. "
        "Default: overwrite, and respect_edits for the owner.",
    )
    hold_days: int | None = Field(
        None,
        gt=0,
        description="With respect_edits: for how many days a human's value is left alone, from "
        "when it is first seen; not for the owner. Default: for ever.",
    )


class Source(Settings):
    """One of several CRM fields that may hold a value, and how it got there."""

    field: str = Field(description="The CRM's name of the field.")
    origin: Origin = Field(
        description="given: the person or the firm says so; observed: read from what they do; "
        "appended: bought or looked up."
    )


def _mapped_kind(value: object) -> str:
    return "sources" if isinstance(value, (list, tuple)) else "field"


MappedTo = Annotated[
    Annotated[str | None, Tag("field")] | Annotated[tuple[Source, ...], Tag("sources")],
    Discriminator(_mapped_kind),
]


def crm_fields(to: MappedTo) -> list[str]:
    """The CRM's fields that a common one is mapped to."""
    return [to] if isinstance(to, str) else [source.field for source in to or ()]


SINGLE = ("id", "modified_at", "account_id", "owner_id", "parent_id", "converted_to")
"""Stamps and references: what a record is, no statement about it that could be contradicted."""


class FieldMapping(Settings):
    """Common field -> CRM field, for what differs from or adds to the connector's defaults.

    A key is a field of the common model or `custom.<name>`; a value of null leaves it out. A list
    of sources, in order of precedence: the first that holds a readable value counts.
    """

    leads: dict[str, MappedTo] = Field({}, description="Fields of leads and contacts.")
    accounts: dict[str, MappedTo] = Field({}, description="Fields of accounts.")
    activities: dict[str, str | None] = Field({}, description="Fields of activities.")
    activity_types: dict[str, str] = Field(
        {}, description="What the CRM calls a kind of activity -> the canonical type."
    )
    unstamped: tuple[str, ...] = Field(
        (),
        description="Mapped CRM fields that change while the modified stamp of their record stays, "
        "beside those that the CRM says it calculates: `sync --refresh` reads them again.",
    )

    @field_validator("leads", "accounts")
    @classmethod
    def _sensible_sources(cls, mapping: dict[str, MappedTo]) -> dict[str, MappedTo]:
        for name, to in mapping.items():
            if isinstance(to, tuple):
                fields = crm_fields(to)
                if not fields:
                    raise ValueError(f"{name}: name at least one field")
                if name in SINGLE:
                    raise ValueError(f"{name} is mapped to one field, not to a list")
                if len(set(fields)) < len(fields):
                    raise ValueError(f"{name}: a field is listed twice")
        return mapping


class ConnectionSettings(Settings):
    """The settings that every kind of connection has."""

    mapping: FieldMapping = Field(FieldMapping(), description="Which CRM field means what.")
    write: dict[Output, WrittenField] = Field(
        {},
        description="Output -> CRM field and policy, where it differs from the defaults; "
        "area and buyer_stage are written only if they are named here.",
    )
    verify: bool = Field(
        False,
        description="Look at every record just before it is written, and read it back before the "
        "write counts, in every run and the daemon's too, as with `sync --verify`; owners are so "
        "anyway.",
    )

    def outputs(self) -> list[Output]:
        """What is written: never an output whose policy says so."""
        policies = self.policies()
        asked = [output for output in Output if output in self.write or output not in OPTIONAL]
        return [output for output in asked if policies[output] is not Policy.NEVER]

    def policies(self) -> dict[Output, Policy]:
        """The policy of every output."""
        policies = dict.fromkeys(Output, Policy.OVERWRITE) | {Output.OWNER: Policy.RESPECT_EDITS}
        return policies | {o: w.policy for o, w in self.write.items() if w.policy is not None}

    def holds(self) -> dict[Output, timedelta]:
        """For how long a human's value is left alone, where that has an end."""
        days = {output: written.hold_days for output, written in self.write.items()}
        return {output: timedelta(days=n) for output, n in days.items() if n is not None}

    @field_validator("write")
    @classmethod
    def _held_where_respected(cls, write: dict[Output, WrittenField]) -> dict[Output, WrittenField]:
        for output, written in write.items():
            if written.hold_days is None:
                continue
            if output is Output.OWNER:
                raise ValueError("owner: hold_days is not for it, an owner somebody chose stays")
            if written.policy is not Policy.RESPECT_EDITS:
                raise ValueError(f"{output}: hold_days goes with policy respect_edits alone")
        return write

    @field_validator("write")
    @classmethod
    def _one_output_a_field(cls, write: dict[Output, WrittenField]) -> dict[Output, WrittenField]:
        names = [w.field for w in write.values()]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"field {name} is written by two outputs: give it to one")
        return write


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine, where plain http is allowed."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
