"""What is suspicious in a model by itself, and by what the connections fill; no fact is asked."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from connectors.base import Connector, Problem
from connectors.countries import country_code
from connectors.mapping import filled
from connectors.settings import ConnectionSettings
from core.facts import SCORED
from core.findings import Finding
from core.lint import lint
from core.rules import Model
from core.unmapped import Mapped, unmapped
from core.vocabulary import CLOSED, Words
from sync.config import Config
from sync.networks_file import with_networks
from sync.session import Session
from sync.yaml_source import placed_yaml


def in_itself(config: Config, fields: Mapped, model: Model) -> list[Finding]:
    """Everything suspicious in a model; `fields` are those that the connections fill."""
    return [*lint(model, _words(config)), *unmapped(model, fields)]


def linted(
    path: Path, config: Config, connect: Callable[[str, ConnectionSettings], Connector]
) -> list[Problem]:
    """Everything suspicious in a model file. Raises ConfigError with its mistakes."""
    model, address = placed_yaml(path, Model, {})
    model = with_networks(model, path)
    with ExitStack() as stack:
        connectors = {
            name: stack.enter_context(closing(connect(name, settings)))
            for name, settings in config.connections.items()
        }
        findings = in_itself(config, mapped(config, connectors), model)
    return [Problem(f.severity, address(f.place), f.what, f.advice) for f in findings]


def doubts(session: Session) -> list[str]:
    """The models of a run in which something is an error, a line for each."""
    # What the connections that are left out of a run fill is not known.
    whole = session.connectors.keys() == session.config.connections.keys()
    fields = mapped(session.config, session.connectors) if whole else None
    said = []
    for segment in session.segments:
        found = lint(segment.model, _words(session.config))
        found += unmapped(segment.model, fields) if fields is not None else []
        errors = [finding for finding in found if finding.severity == "error"]
        if errors:
            more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
            what = f"model {segment.model.name}: {errors[0].what}{more}"
            said.append(f"{what}: `leadgauge check` says where, and what to do")
    return said


def _words(config: Config) -> Words:
    """What the mappings say of the words in facts."""
    mappings = [connection.mapping for connection in config.connections.values()]
    own = {name for m in mappings for name, to in {**m.accounts, **m.leads}.items() if to}
    types = {type_ for m in mappings for type_ in m.activity_types.values()}
    own = own & CLOSED.keys() | ({"type"} if any(len(t.split()) > 1 for t in types) else set())
    return Words(country_code, own)


def mapped(config: Config, connectors: Mapping[str, Connector]) -> dict[str, set[str]]:
    """The fields of each facts table that some connection fills: what its connector does by
    itself, with what its mapping adds and leaves out.

    One that is mapped to several sources has an origin as well.
    """
    fields: dict[str, set[str]] = {table.name: set() for table in SCORED}
    for name, connector in connectors.items():
        for table in SCORED:
            given = getattr(config.connections[name].mapping, table.name)
            left_out = {field for field, to in given.items() if to is None}
            by_itself = connector.capabilities.fills.get(table.name, frozenset())
            named = filled(table.model, {*by_itself, *given} - left_out)
            several = {f"origins.{field}" for field, to in given.items() if isinstance(to, tuple)}
            fields[table.name] |= named | several
    return fields
