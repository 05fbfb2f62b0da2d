"""What one command works with: configuration, model, stores and connectors, opened and closed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from connectors import registry
from connectors.base import Connector
from connectors.settings import ConnectionSettings
from core.rules import Model
from core.segments import Segments
from sync.access import DeniedError, account, needed
from sync.config import Config, load, read_models, replacing
from sync.facts_store import FactsStore
from sync.gate import gate
from sync.ledger import Ledger
from sync.pace import Pace
from sync.yaml_source import ConfigError

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Outside:
    """What a command takes from the world: its environment, the clock, the way to a CRM, and the
    account that runs it."""

    env: Mapping[str, str]
    clock: Clock
    connect: Callable[[str, ConnectionSettings], Connector] = registry.open
    account: str = field(default_factory=account)


@dataclass(frozen=True)
class Session:
    """Everything that a command needs, open.

    `segments` are the configured models, `connectors` are by connection name; `account` runs the
    command.
    """

    config: Config
    segments: Segments
    facts: FactsStore
    ledger: Ledger
    connectors: Mapping[str, Connector]
    clock: Clock
    account: str = field(default_factory=account)


def with_file(session: Session, path: Path, model: Model) -> Session:
    """A session with the model of a file in the place of its namesake, or of the only one.

    Raises ConfigError where no model has its name.
    """
    segments = replacing(session.segments, model, path)
    files = zip(session.config.model, session.segments, segments, strict=True)
    models = tuple(
        file if before is after else file.model_copy(update={"model": path})
        for file, before, after in files
    )
    config = session.config.model_copy(update={"model": models})
    return replace(session, config=config, segments=segments)


@dataclass(frozen=True)
class Setup:
    """The configuration and the models that it names, read and found to be without a mistake."""

    config: Config
    segments: Segments


def read_setup(path: Path, outside: Outside) -> Setup:
    """Read what a configuration file says. Raises ConfigError for a mistake in any file."""
    config = load(path, outside.env)
    return Setup(config, read_models(config))


class _OnUse(Mapping[str, Connector]):
    """Connectors by name, each opened when it is first asked for: what reads the stores alone
    (explain, replay, preview) loads no client library."""

    def __init__(self, connect: Mapping[str, Callable[[], Connector]]) -> None:
        self._connect = connect
        self.opened: dict[str, Connector] = {}

    def __getitem__(self, name: str) -> Connector:
        if name not in self.opened:
            self.opened[name] = self._connect[name]()
        return self.opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._connect)

    def __len__(self) -> int:
        return len(self._connect)

    def close(self) -> None:
        """Close those that were opened."""
        with ExitStack() as stack:
            for connector in self.opened.values():
                stack.callback(connector.close)


def admit(config: Config, outside: Outside, command: str) -> None:
    """Let the account run a command, where the configuration says who may.

    Raises DeniedError where it may not; the ledger's audit chain tells of it.
    """
    if config.access is None:
        return
    role, least = config.access.role(outside.account), needed(command)
    if role is not None and role.reaches(least):
        return
    with closing(Ledger(config.ledger)) as ledger:
        ledger.people.denied(outside.account, command, at=outside.clock())
    raise DeniedError(
        f"{outside.account} may not run `leadgauge {command}`: it takes the role {least}, and "
        f"this account is {role or 'in none'} (`access` in the configuration)"
    )


def open_session(
    path: Path, outside: Outside, only: Sequence[str] | None = None
) -> AbstractContextManager[Session]:
    """Read a configuration, and open what it names: `read_setup`, then `open_setup`."""
    return open_setup(read_setup(path, outside), outside, only)


@contextmanager
def open_setup(
    setup: Setup, outside: Outside, only: Sequence[str] | None = None
) -> Iterator[Session]:
    """Open what the configuration names; `only` restricts it to some connections.

    Raises ConfigError for an unknown connection, StoreError when a store cannot be used. Nothing
    is asked of a CRM before the first verb of its connector.
    """
    config = setup.config
    names = list(config.connections) if not only else list(only)
    unknown = [name for name in names if name not in config.connections]
    if unknown:
        known = ", ".join(config.connections)
        raise ConfigError([f"no connection is called {n} (there are: {known})" for n in unknown])
    with ExitStack() as stack:
        ledger = stack.enter_context(closing(Ledger(config.ledger)))
        facts = stack.enter_context(FactsStore(config.facts, config.facts_memory))
        facts.gate = gate(setup.segments, config.retention)
        settings = config.connections
        connectors = stack.enter_context(
            closing(_OnUse({n: partial(_connect, outside, ledger, n, settings[n]) for n in names}))
        )
        yield Session(
            config, setup.segments, facts, ledger, connectors, outside.clock, outside.account
        )


def _connect(
    outside: Outside, ledger: Ledger, name: str, settings: ConnectionSettings
) -> Connector:
    """The way to a CRM, at the pace of all who share the ledger."""
    connector = outside.connect(name, settings)
    if ledger.pace.common:
        connector.usage.shared = Pace(ledger.pace, name, outside.clock)
    return connector
