"""config.yaml: connections, stores, mapping, written fields, routing, guards and service."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator

from connectors import registry
from connectors.settings import ConnectionSettings, Settings
from core.conditions import LeadCondition
from core.rules import Model
from core.segments import Segment, Segments, with_model
from sync.access import Access
from sync.service_settings import Alerts, Metrics, Schedule
from sync.yaml_source import ConfigError, load_yaml

if TYPE_CHECKING:
    Connection = ConnectionSettings
else:
    # The kinds are known at run time only.
    Connection = Annotated[Union[registry.settings_types()], Field(discriminator="kind")]  # noqa: UP007


def _share(value: object) -> object:
    return {"owner": value} if isinstance(value, str) else value


class PoolOwner(Settings):
    """An owner who is given leads: e-mail address or CRM id, and a weight."""

    owner: str = Field(description="E-mail address of the owner, or its id in the CRM.")
    weight: int = Field(1, gt=0, description="Share of the leads: 2 gets twice what 1 gets.")


def _somebody(pool: tuple[PoolOwner, ...]) -> tuple[PoolOwner, ...]:
    if not pool:
        raise ValueError("name at least one owner")
    return pool


Pool = Annotated[
    tuple[Annotated[PoolOwner, BeforeValidator(_share)], ...], AfterValidator(_somebody)
]


class Territory(Settings):
    """Leads for which a condition holds go to owners of their own."""

    name: str = Field(description="Name of the territory, as reasons show it.")
    when: LeadCondition = Field(description="Which leads are in it; the first match counts.")
    owners: Pool = Field(description="Who gets its leads.")


class Routing(Settings):
    """Who is given leads: the account's owner, else the territory's, else the pool's."""

    stages: tuple[str, ...] = Field(("SQL",), description="Stages whose leads get an owner.")
    pool: Pool = Field(description="Who gets leads that nobody else has a claim to.")
    territories: tuple[Territory, ...] = Field((), description="Pools by condition.")
    unassigned_owners: tuple[str, ...] = Field(
        (),
        description="Owners (e-mail, name or id) whose leads count as nobody's, such as the "
        "integration user; queues always do.",
    )


class Guards(Settings):
    """What stops a run before its first write."""

    max_change_share: float = Field(
        0.5, ge=0, le=1, description="Largest share of records one run may change or lose."
    )
    max_calls: int | None = Field(
        None,
        ge=0,
        description="Most API calls that reading everything, or writing, may cost in one run.",
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
    ledger: str = Field(
        "sqlite:///ledger.db", description="Database that holds what was decided and written."
    )
    routing: Routing | None = Field(None, description="Who gets hot leads; none: nobody.")
    guards: Guards = Field(Guards(), description="What stops a run before its first write.")
    schedule: Schedule = Field(Schedule(), description="When the daemon does what.")
    metrics: Metrics | None = Field(
        None, description="Where the daemon shows how it is; left out: nowhere."
    )
    alerts: Alerts | None = Field(None, description="Who is told of trouble; left out: nobody.")
    access: Access | None = Field(
        None, description="Which accounts of the machine may run what; left out: all, everything."
    )
    export_salt: SecretStr | None = Field(
        None, min_length=16, description="What hashes the ids of anonymous exports."
    )

    @field_validator("connections")
    @classmethod
    def _plain_names(cls, connections: dict[str, Any]) -> dict[str, Any]:
        for name in connections:
            if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
                raise ValueError(f"connection name {name}: lower-case letters, digits, - and _")
        return connections


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


def replacing(segments: Segments, path: Path) -> Segments:
    """The models with the one in a file in the place of its namesake, or of the only one.

    Raises ConfigError with all its mistakes, or where no model has its name.
    """
    try:
        return with_model(segments, read_model(path))
    except ValueError as error:
        raise ConfigError([f"{path}: {error}"]) from None


def read_model(path: Path) -> Model:
    """The scoring model in a file. Raises ConfigError with all its mistakes."""
    return load_yaml(path, Model, {})
