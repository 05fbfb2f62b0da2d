"""What is suspicious in a model by itself, and by what the connections fill; no fact is asked."""

from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import ExitStack, closing
from functools import partial
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
from sync.config import Config, ConfigFile
from sync.model_file import Salvage
from sync.session import Session
from sync.yaml_source import Wrong

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


def linted(found: Salvage, config: Config, connect: Connect) -> list[Problem]:
    """Everything wrong or suspicious in a model file; of one with mistakes, in its rest as well."""
    return _linted(found, config, _filled(config, connect))


def _linted(found: Salvage, config: Config, fields: Mapped) -> list[Problem]:
    problems = _refused(found.mistakes)
    if found.rest is not None:
        suspicious = in_itself(config, fields, found.rest, found.broken)
        problems += addressed(suspicious, found.address)
    return problems


def mistaken(configured: ConfigFile, models: Iterable[Salvage], connect: Connect) -> list[Problem]:
    """All that is wrong or suspicious in a configuration and its model files, where one of them has
    mistakes; else nothing.

    Beside a mistake in the configuration nothing is suspicious: what the connections fill is not
    known.
    """
    models, config = [*models], configured.config
    if config is None:
        wrong = (one for found in models for one in found.mistakes)
        return _refused(dict.fromkeys([*configured.mistakes, *wrong]))
    if not any(found.mistakes for found in models):
        return []
    fields = _filled(config, connect)
    problems = [problem for found in models for problem in _linted(found, config, fields)]
    return [*dict.fromkeys(problems), *beside(config, fields, configured.address)]


def _refused(mistakes: Iterable[Wrong]) -> list[Problem]:
    return [Problem("error", one.where, one.what) for one in mistakes]


def beside(config: Config, fields: Mapped, address: Address) -> list[Problem]:
    """Everything suspicious in the conditions of the configuration: which leads a model, a
    territory, a track or an audience is for."""
    conditions = list(placed_conditions(config))
    findings = [*hopeless(conditions, _words(config)), *unfilled(conditions, fields)]
    return addressed(findings, address)


def absent(
    config: Config, models: Iterable[Salvage], fields: Mapped, there: Mapped, address: Address
) -> list[Problem]:
    """What models and the configuration ask for, that is mapped by default, and that no CRM has a
    field for: `there` are those of the `fields` that the CRMs have."""
    asking: list[tuple[Callable[[Mapped], Iterable[Finding]], Address]] = [
        (partial(unmapped, found.whole), found.address) for found in models
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


def addressed(findings: Iterable[Finding], address: Address) -> list[Problem]:
    """What was found, with where it stands."""
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
