"""What is suspicious in a model by itself, and by what the connections fill; no fact is asked."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from types import MappingProxyType

from connectors.base import Connector, Problem
from connectors.countries import country_code
from connectors.mapping import filled
from connectors.settings import ConnectionSettings
from core.facts import SCORED
from core.findings import Finding, placed_conditions
from core.lint import hopeless, lint
from core.mistakes import Place
from core.rules import Model
from core.unmapped import Mapped, unfilled, unmapped
from core.vocabulary import CLOSED, Words
from sync.config import Config
from sync.model_file import salvaged
from sync.session import Session
from sync.yaml_source import placed_yaml

Connect = Callable[[str, ConnectionSettings], Connector]
"""The way to a CRM."""

Address = Callable[[Place], str]
"""Where a place stands in its file."""


def in_itself(
    config: Config, fields: Mapped, model: Model, broken: Set[str] = frozenset()
) -> list[Finding]:
    """Everything suspicious in a model; `fields` are those that the connections fill, `broken` the
    sections of it that are not whole."""
    return [*lint(model, _words(config), broken), *unmapped(model, fields)]


def linted(path: Path, config: Config, connect: Connect) -> list[Problem]:
    """Everything wrong or suspicious in a model file; of one with mistakes, in its rest as well."""
    model = salvaged(path)
    problems = [Problem("error", wrong.where, wrong.what, "") for wrong in model.mistakes]
    if model.rest is None:
        return problems
    findings = in_itself(config, _filled(config, connect), model.rest, model.broken)
    return [*problems, *_addressed(findings, model.address)]


def mistaken(
    paths: Sequence[Path], config: Config, connect: Connect, address: Address
) -> list[Problem]:
    """All that is wrong or suspicious in model files of which one has mistakes, and beside them in
    the configuration; else nothing."""
    if not any(salvaged(path).mistakes for path in paths):
        return []
    problems = [problem for path in paths for problem in linted(path, config, connect)]
    return problems + beside(config, _filled(config, connect), address)


def beside(config: Config, fields: Mapped, address: Address) -> list[Problem]:
    """Everything suspicious in the conditions of the configuration: which leads a model, a
    territory, a track or an audience is for."""
    conditions = list(placed_conditions(config))
    findings = [*hopeless(conditions, _words(config)), *unfilled(conditions, fields)]
    return _addressed(findings, address)


def absent(config: Config, fields: Mapped, there: Mapped, address: Address) -> list[Problem]:
    """What models and the configuration ask for, that is mapped by default, and that no CRM has a
    field for: `there` are those of the `fields` that the CRMs have."""
    models = [placed_yaml(file.model, Model, {}) for file in config.model]
    asking: list[tuple[Callable[[Mapped], Iterable[Finding]], Address]] = [
        (partial(unmapped, model), of_model) for model, of_model in models
    ]
    asking.append((partial(unfilled, list(placed_conditions(config))), address))
    problems = []
    for find, where in asking:
        known = {(finding.place, finding.what) for finding in find(fields)}
        for finding in find(there):
            if (finding.place, finding.what) not in known:
                what = f"{finding.what} to a field that its CRM has"
                problems.append(Problem("warning", where(finding.place), what, finding.advice))
    return problems


def _addressed(findings: Iterable[Finding], address: Address) -> list[Problem]:
    return [Problem(f.severity, address(f.place), f.what, f.advice) for f in findings]


def _filled(config: Config, connect: Connect) -> Mapped:
    """The fields that the connections of a configuration fill."""
    with ExitStack() as stack:
        connectors = {
            name: stack.enter_context(closing(connect(name, settings)))
            for name, settings in config.connections.items()
        }
        return mapped(config, connectors)


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


def mapped(
    config: Config,
    connectors: Mapping[str, Connector],
    lacking: Mapping[str, Mapping[str, Set[str]]] = MappingProxyType({}),
) -> dict[str, set[str]]:
    """The fields of each facts table that some connection fills: what its connector does by
    itself, with what its mapping adds and leaves out.

    One that is mapped to several sources has an origin as well. `lacking` is what the CRMs of some
    connections have no field for.
    """
    fields: dict[str, set[str]] = {table.name: set() for table in SCORED}
    for name, connector in connectors.items():
        for table in SCORED:
            given = getattr(config.connections[name].mapping, table.name)
            left_out = {field for field, to in given.items() if to is None}
            by_itself = connector.capabilities.fills.get(table.name, frozenset())
            by_itself -= lacking.get(name, {}).get(table.name, frozenset())
            named = filled(table.model, {*by_itself, *given} - left_out)
            several = {f"origins.{field}" for field, to in given.items() if isinstance(to, tuple)}
            fields[table.name] |= named | several
    return fields
