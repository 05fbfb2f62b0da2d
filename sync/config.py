"""config.yaml: connections, stores, mapping, written fields, routing, guards and service."""

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, Union

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from connectors import registry
from connectors.settings import ConnectionSettings, Settings, crm_fields
from core.conditions import LeadCondition
from core.identity import Identity
from core.mistakes import Place
from core.rules import Model
from core.segments import Segment, Segments, with_model
from core.sources import Sources
from core.stages import Stage
from sync.access import Access
from sync.handoff_settings import Handoff
from sync.model_file import read_model
from sync.nurture_settings import Nurture
from sync.retention_settings import Retention
from sync.routing_settings import Routing
from sync.service_settings import Alerts, Metrics, Schedule
from sync.yaml_source import ConfigError, load_yaml, placed_yaml

if TYPE_CHECKING:
    Connection = ConnectionSettings
else:
    # The kinds are known at run time only.
    Connection = Annotated[Union[registry.settings_types()], Field(discriminator="kind")]  # noqa: UP007


class Guards(Settings):
    """What stops a run: before its first write, or at its budget of calls."""

    max_change_share: float = Field(
        0.5, ge=0, le=1, description="Largest share of records one run may change or lose."
    )
    max_calls: int | None = Field(
        None,
        ge=0,
        description="Most API calls to each connection in one run, whatever they are for: at the "
        "next one the run stops, and what is predicted to cost more is not begun.",
    )
    daily_quota_share: float = Field(
        0.8, gt=0, le=1, description="Share of a CRM's daily API calls after which runs stop."
    )
    backfill_quota_share: float = Field(
        0.5, gt=0, le=1, description="The same for a backfill, which leaves more to other runs."
    )


class ModelFile(Settings):
    """A scoring model file, and the leads that it is for."""

    model: Path = Field(description="The scoring model file.")
    when: LeadCondition | None = Field(
        None,
        description="Which leads it scores, of those that no earlier one does; unknown is not "
        "true. Left out (in the last one only): all that are left.",
    )


def _as_files(value: object) -> object:
    return [{"model": value}] if isinstance(value, (str, Path)) else value


def _each_reached(files: tuple[ModelFile, ...]) -> tuple[ModelFile, ...]:
    if not files:
        raise ValueError("name at least one model")
    for number, file in enumerate(files[:-1], start=1):
        if file.when is None:
            raise ValueError(f"model {number} has no `when`, so no later one scores any lead")
    return files


ModelFiles = Annotated[
    tuple[ModelFile, ...],
    AfterValidator(_each_reached),
    BeforeValidator(_as_files, json_schema_input_type=Path | tuple[ModelFile, ...]),
]


class SignOff(StrEnum):
    """What a model without the sign-off of both teams means for a run that writes."""

    REQUIRED = "required"
    WARN = "warn"
    NONE = "none"


class Config(Settings):
    """The whole of config.yaml; paths are absolute, relative ones meant from its folder."""

    connections: dict[str, Connection] = Field(
        min_length=1, description="The CRMs, by a name of your own."
    )
    model: ModelFiles = Field(
        (ModelFile(model=Path("model.yaml")),),
        description="The scoring model file; or several, each with the leads that it is for, in "
        "order of precedence: the first whose condition holds scores a lead.",
        json_schema_extra={"default": "model.yaml"},
    )
    model_signoff: SignOff = Field(
        SignOff.NONE,
        description="Sign-off of a model by marketing and sales: required, or nothing is written; "
        "warn; none: not asked for.",
    )
    facts: Path = Field(Path("facts.duckdb"), description="File that holds what the CRMs said.")
    facts_memory: int = Field(
        512,
        ge=256,
        description="Memory in MB for working on the facts, with a core for each 256; beyond it "
        "they take disk space beside their file.",
    )
    ledger: str = Field(
        "sqlite:///ledger.db", description="Database that holds what was decided and written."
    )
    identity: Identity | None = Field(
        None, description="What makes records one person; left out: every record is its own."
    )
    routing: Routing | None = Field(None, description="Who gets hot leads; none: nobody.")
    least_segment: int | None = Field(
        None,
        gt=0,
        description="`check` warns of a model or a territory with fewer leads; left out: of none.",
    )
    handoff: Handoff | None = Field(
        None, description="Who is told of a lead that is handed to sales; left out: nobody."
    )
    nurture: Nurture | None = Field(
        None, description="What happens to leads that are not ready; left out: nothing."
    )
    sources: Sources | None = Field(
        None, description="What further words for lead sources mean; left out: those known count."
    )
    guards: Guards = Field(Guards(), description="What stops a run before its first write.")
    schedule: Schedule = Field(Schedule(), description="When the daemon does what.")
    metrics: Metrics | None = Field(
        None, description="Where the daemon shows how it is; left out: nowhere."
    )
    alerts: Alerts | None = Field(None, description="Who is told of trouble; left out: nobody.")
    access: Access | None = Field(
        None, description="Which accounts of the machine may run what; left out: all, everything."
    )
    retention: Retention | None = Field(
        None,
        description="How long what is held of people is kept before it is erased by itself; left "
        "out: until somebody erases it.",
    )
    export_salt: SecretStr | None = Field(
        None, min_length=16, description="What hashes the ids of anonymous exports."
    )

    @property
    def handed(self) -> tuple[str, ...]:
        """The stages in which a lead is handed to sales."""
        return self.routing.stages if self.routing else (Stage.SQL.value,)

    @property
    def precedence(self) -> tuple[str, ...]:
        """The connections in the order in which their records speak for a person: first those of
        whose leads is told."""
        first = (self.handoff.connections or ()) if self.handoff else ()
        return (*first, *(name for name in self.connections if name not in first))

    def speaks(self, connection: str) -> bool:
        """Whether sales is told of a connection's leads."""
        return self.handoff is None or self.handoff.concerns(connection)

    def told(self, connection: str) -> Mapping[str, Sequence[str]]:
        """By which ways is told that a lead of a connection was handed off, by its stage."""
        if self.handoff is None:
            return dict.fromkeys(self.handed, ())
        return self.handoff.told(connection, self.handed)

    @model_validator(mode="after")
    def _told_of_what_there_is(self) -> Self:
        if self.handoff is None:
            return self
        for name in self.handoff.connections or ():
            if name not in self.connections:
                known = ", ".join(self.connections)
                raise ValueError(f"handoff: no connection is called {name} (there are: {known})")
        for way, told in self.handoff.ways():
            for stage in told.stages or ():
                if stage not in self.handed:
                    handed = ", ".join(self.handed)
                    raise ValueError(
                        f"handoff.{way}: no lead is handed off as {stage}; by routing.stages, "
                        f"leads are as {handed}"
                    )
        return self

    @model_validator(mode="after")
    def _people_keep_their_fields(self) -> Self:
        """No output goes to a field in which people say what they make of a lead."""
        notes = self.handoff.notes if self.handoff else ()
        for name, connection in self.connections.items():
            outputs = {written.field: output for output, written in connection.write.items()}
            for common in ("accepted_at", *(f"custom.{note}" for note in notes)):
                to = connection.mapping.leads.get(common)
                for taken in outputs.keys() & set(crm_fields(to)):
                    raise ValueError(
                        f"connections.{name}.write.{outputs[taken]}: people write into {taken} "
                        f"({common}); give the output a field of its own"
                    )
        return self

    @field_validator("connections")
    @classmethod
    def _plain_names(cls, connections: dict[str, Any]) -> dict[str, Any]:
        for name in connections:
            if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
                raise ValueError(f"connection name {name}: lower-case letters, digits, - and _")
        return connections

    @field_validator("identity")
    @classmethod
    def _known_keys(cls, identity: Identity | None, info: ValidationInfo) -> Identity | None:
        connections = info.data.get("connections", {})
        named = {name for key in identity.keys for name in key} if identity else set()
        for name in sorted(named - {*connections}) if connections else ():
            raise ValueError(f"keys name {name}, which is no connection: {', '.join(connections)}")
        return identity


def load(path: Path, env: Mapping[str, str]) -> Config:
    """The configuration in a file. Raises ConfigError with all its mistakes."""
    config = load_yaml(path, Config, env)
    folder = path.resolve().parent
    ledger = config.ledger
    relative = re.fullmatch(r"sqlite:///(?!/)(.+)", ledger)
    if relative and relative[1] != ":memory:":
        ledger = f"sqlite:///{folder / relative[1]}"
    models = tuple(f.model_copy(update={"model": folder / f.model}) for f in config.model)
    return config.model_copy(
        update={"model": models, "facts": folder / config.facts, "ledger": ledger}
    )


def addresses(path: Path, env: Mapping[str, str]) -> Callable[[Place], str]:
    """Where each place of the configuration stands in its file, as file:line:column."""
    return placed_yaml(path, Config, env)[1]


def read_models(config: Config) -> Segments:
    """The configured models, each with its condition.

    Raises ConfigError with all the mistakes of all files, and where two models share a name.
    """
    segments, problems = [], []
    for file in config.model:
        try:
            segments.append(Segment(read_model(file.model), file.when))
        except ConfigError as error:
            problems += error.problems
    names = [segment.model.name for segment in segments]
    problems += [f"two models are called {n}" for n in sorted({*names}) if names.count(n) > 1]
    if problems:
        raise ConfigError(problems)
    return tuple(segments)


def replacing(segments: Segments, model: Model, said: object) -> Segments:
    """The models with another one in the place of its namesake, or of the only one; `said` is what
    it was given as. Raises ConfigError where no model has its name.
    """
    try:
        return with_model(segments, model)
    except ValueError as error:
        raise ConfigError([f"{said}: {error}"]) from None
