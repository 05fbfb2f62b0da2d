"""config.yaml: connections, stores, mapping, written fields, routing, guards and service."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from sync.model_file import Salvage, salvaged
from sync.nurture_settings import Nurture
from sync.retention_settings import Retention
from sync.routing_settings import Routing
from sync.service_settings import Alerts, Metrics, Schedule
from sync.yaml_source import ConfigError, Reading, Wrong, in_order, read_file

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


MODEL = Path("model.yaml")
"""The scoring model file where the configuration names none."""


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
        (ModelFile(model=MODEL),),
        description="The scoring model file; or several, each with the leads that it is for, in "
        "order of precedence: the first whose condition holds scores a lead.",
        json_schema_extra={"default": str(MODEL)},
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


@dataclass(frozen=True)
class ConfigFile:
    """A configuration file as it was read: None where something is wrong in it, and what that is;
    the model files that it names, as far as it does, and where each of its places stands."""

    config: Config | None
    mistakes: Sequence[Wrong]
    models: Sequence[Path]
    address: Callable[[Place], str]


def read_config(path: Path, env: Mapping[str, str]) -> ConfigFile:
    """The configuration in a file. Raises ConfigError where nothing of it can be read."""
    reading = read_file(path, Config, env)
    folder = path.resolve().parent
    if reading.content is None:
        models = [folder / name for name in _named(reading, folder)]
        return ConfigFile(None, in_order(reading.wrong), models, reading.address)
    config = _within(folder, reading.content)
    return ConfigFile(config, (), [file.model for file in config.model], reading.address)


def load(path: Path, env: Mapping[str, str]) -> Config:
    """The configuration in a file. Raises ConfigError with all its mistakes."""
    found = read_config(path, env)
    if found.config is None:
        raise ConfigError(list(map(str, found.mistakes)))
    return found.config


def _within(folder: Path, config: Config) -> Config:
    """A configuration whose paths are meant from a folder."""
    ledger = config.ledger
    relative = re.fullmatch(r"sqlite:///(?!/)(.+)", ledger)
    if relative and relative[1] != ":memory:":
        ledger = f"sqlite:///{folder / relative[1]}"
    models = tuple(f.model_copy(update={"model": folder / f.model}) for f in config.model)
    return config.model_copy(
        update={"model": models, "facts": folder / config.facts, "ledger": ledger}
    )


def _named(reading: Reading[Config], folder: Path) -> Iterator[str]:
    """The model files that a configuration names in which something is wrong. The one by default
    only where it is there: the key may be what is wrong."""
    data = reading.data if isinstance(reading.data, dict) else {}
    default = str(MODEL) if (folder / MODEL).is_file() else None
    said = data.get("model", default)
    files: dict[Place, Any] = {("model",): said}
    if isinstance(said, list):
        entries = [entry if isinstance(entry, dict) else {} for entry in said]
        files = {("model", n, "model"): entry.get("model") for n, entry in enumerate(entries)}
    wrong = {one.place for one in reading.wrong}
    for place, name in files.items():
        if isinstance(name, str) and name and place not in wrong:
            yield name


def read_models(config: Config) -> Segments:
    """The configured models, each with its condition.

    Raises ConfigError with all the mistakes of all files, and where two models share a name.
    """
    return segments(config, [salvaged(file.model) for file in config.model])


def segments(config: Config, files: Sequence[Salvage]) -> Segments:
    """The models in the files of a configuration, each with its condition.

    Raises ConfigError with all the mistakes of all files, and where two models share a name.
    """
    problems = [*dict.fromkeys(str(wrong) for found in files for wrong in found.mistakes)]
    models = [found.rest for found in files if found.rest is not None and not found.mistakes]
    names = [model.name for model in models]
    problems += [f"two models are called {n}" for n in sorted({*names}) if names.count(n) > 1]
    if problems:
        raise ConfigError(problems)
    return tuple(
        Segment(model, file.when) for model, file in zip(models, config.model, strict=True)
    )


def replacing(segments: Segments, model: Model, said: object) -> Segments:
    """The models with another one in the place of its namesake, or of the only one; `said` is what
    it was given as. Raises ConfigError where no model has its name.
    """
    try:
        return with_model(segments, model)
    except ValueError as error:
        raise ConfigError([f"{said}: {error}"]) from None
