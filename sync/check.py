"""Check: what would fail in a run, found before it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

from connectors.base import Connector, Problem
from connectors.settings import crm_fields
from core.decision import Output
from core.facts import OWNERS
from core.mistakes import Place
from core.qualification import Stage
from sync import identity
from sync.check_model import suspicions
from sync.check_routing import routing_problems
from sync.check_segments import small_segments
from sync.config import read_config, segments
from sync.decide import facts_of
from sync.handoff_settings import Way
from sync.lint import absent, beside, mapped, mistaken
from sync.model_file import Salvage, salvaged
from sync.pull import Reader, pull
from sync.roster import Found, find
from sync.session import Outside, Session, Setup, admit, open_setup, with_file
from sync.sign_off import unsigned
from sync.stop import Stop

SEVERITIES = ("credentials", "error", "warning")
"""Worst first."""


def prove(path: Path, tried: Path | None, outside: Outside, stop: Stop) -> list[Problem]:
    """Everything wrong in a configuration and its model files; where nothing is, also what is
    suspicious, and what would fail by the CRMs. `tried` is a model file that is not configured.

    Raises ConfigError where nothing of the configuration can be read.
    """
    found = read_config(path, outside.env)
    if found.config is not None:
        admit(found.config, outside, "check")
    paths = [*found.models, *([tried] if tried else [])]
    files = {path.resolve(): salvaged(path) for path in paths}
    problems = mistaken(found, files.values(), outside.connect)
    if found.config is None or problems:
        return worst_first(problems)
    models = segments(found.config, [files[path.resolve()] for path in found.models])
    with open_setup(Setup(found.config, models), outside) as session:
        if tried:
            session = with_file(session, tried, files[tried.resolve()].whole)
        used = [files[file.model.resolve()] for file in session.config.model]
        problems = check(session, used, stop, found.address)
        if not tried:  # One that is only tried is not to be run yet.
            problems += unsigned(session.config, session.segments, session.ledger)
    return worst_first(problems)


def check(
    session: Session, models: Sequence[Salvage], stop: Stop, address: Callable[[Place], str]
) -> list[Problem]:
    """Log in to every CRM, compare fields, and look up the configured owners. Writes nothing.

    `models` are the files of the models; `address` says where a place of the configuration stands
    in its file.
    """
    fields = mapped(session.config, session.connectors)
    problems = [*suspicions(session, models, fields), *beside(session.config, fields, address)]
    problems += _claims(session)
    rosters: dict[str, Found] = {}
    lacking: dict[str, Mapping[str, Set[str]]] = {}
    for name, connector in session.connectors.items():
        found = [replace(p, where=_placed(name, p.where, address)) for p in connector.check()]
        problems += found
        if not found:
            problems += _choices(session, connector)
            lacking[name] = connector.lacks()
        problems += _fed_back(session, connector, address)
        problems += _unsaid(session, name)
        problems += _untold(session, connector)
        if session.config.routing and not any(p.severity == "credentials" for p in found):
            rosters[name] = _roster(session, connector, stop)
    if session.config.routing:
        problems += routing_problems(session, rosters, address)
    there = mapped(session.config, session.connectors, lacking)
    problems += absent(session.config, models, fields, there, address)
    problems += small_segments(session, address)
    problems += _unworked(session)
    return problems


def _placed(name: str, where: str, address: Callable[[Place], str]) -> str:
    """Where a connector finds something: a part of its mapping by its place in the file."""
    match where.split(".", 2):
        case "mapping", table, field:
            return f"{address(('connections', name, 'mapping', table, field))}: {name}"
    return f"{name}: {where}"


def worst_first(problems: Iterable[Problem]) -> list[Problem]:
    """Problems by their severity."""
    return sorted(problems, key=lambda problem: SEVERITIES.index(problem.severity))


def _claims(session: Session) -> list[Problem]:
    """Records of which it is not clear whether they are one person."""
    at = session.clock().replace(microsecond=0)
    return identity.problems(session.config.identity, facts_of(session.facts, at), at)


def _choices(session: Session, connector: Connector) -> Iterator[Problem]:
    """What the model gives that a choice field would refuse."""
    tiers = dict.fromkeys(tier for segment in session.segments for tier in segment.model.tiers)
    given = {Output.TIER: [*tiers], Output.STAGE: [*Stage]}
    for object_type in connector.capabilities.objects:
        for output, field in connector.written_fields(object_type).items():
            missing = [v for v in given.get(output, ()) if v not in field.choices]
            if field.choices and missing:
                yield Problem(
                    "error",
                    f"{connector.name}: {object_type}.{field.name}",
                    f"the {output} {', '.join(missing)} is none of the values that it accepts",
                    f"Add the value in the CRM, or name another field under write.{output}.",
                )


def _fed_back(
    session: Session, connector: Connector, address: Callable[[Place], str]
) -> Iterator[Problem]:
    """Fields that leadgauge writes, and reads as a fact: a score that feeds on itself."""
    written = {
        field.name.casefold(): output
        for object_type in connector.capabilities.objects
        for output, field in connector.written_fields(object_type).items()
        if output is not Output.OWNER
    }
    for name, to in session.config.connections[connector.name].mapping.leads.items():
        for source in crm_fields(to):
            if output := written.get(source.casefold()):
                yield Problem(
                    "error",
                    address(("connections", connector.name, "mapping", "leads", name)),
                    f"{source} is read as a fact, and the {output} is written to it",
                    f"Map another field, or name another one under write.{output}.",
                )


def _unsaid(session: Session, name: str) -> Iterator[Problem]:
    """Outputs to be written of which the model says nothing."""
    sections = {
        Output.AREA: ("interest", any(s.model.interest for s in session.segments)),
        Output.BUYER_STAGE: ("journey", any(s.model.journey for s in session.segments)),
    }
    for output in session.config.connections[name].outputs():
        section, given = sections.get(output, ("", True))
        if not given:
            yield Problem(
                "error",
                f"{name}: write.{output}",
                f"the model has no `{section}`: there is no {output} to write",
                f"Add `{section}` to the model, or remove the output.",
            )


def _untold(session: Session, connector: Connector) -> Iterator[Problem]:
    """Ways to tell of a hand-off that this CRM does not have."""
    told = {way for ways in session.config.told(connector.name).values() for way in ways}
    for way in sorted(told & {Way.TASK, Way.NOTE}):
        if not connector.capabilities.takes_entries:
            yield Problem(
                "warning",
                f"{connector.name}: handoff.{way}",
                f"there is no place for a {way}, and nobody is told that way",
                "Name the connections of which is told under handoff.connections.",
            )


def _unworked(session: Session) -> Iterator[Problem]:
    """Tiers that sales or nurture is to work, and that no model gives."""
    models = [segment.model for segment in session.segments]
    if any(model.matrix for model in models):
        return
    given = {tier for model in models for tier in model.tiers}
    handoff, nurture = session.config.handoff, session.config.nurture
    named = {f"handoff.tiers.{tier}": tier for tier in (handoff.tiers if handoff else ())}
    for audience in nurture.audiences if nurture else ():
        named |= {f"nurture.audiences.{audience.name} ({t})": t for t in audience.tiers or ()}
    for where, tier in named.items():
        if tier not in given:
            listed = ", ".join(sorted(given)) or "none"
            what = f"no model gives the tier {tier} (there are: {listed})"
            yield Problem("warning", where, what, "Correct the name, or remove it.")


def _roster(session: Session, connector: Connector, stop: Stop) -> Found:
    """The configured owners, found among those that the CRM now has."""
    routing = session.config.routing
    assert routing is not None, "only asked where there is routing"
    streams = [stream for stream in connector.streams() if stream.table == OWNERS.name]
    pull(Reader(connector, session.facts, session.clock, stop), streams)
    return find(routing, session.facts, connector.name, connector.capabilities)
