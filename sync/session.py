"""What one command works with: configuration, model, stores and connectors, opened and closed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from connectors import registry
from connectors.base import Connector
from connectors.settings import ConnectionSettings
from core.segments import Segments
from sync.config import Config, load, read_models
from sync.facts_store import FactsStore
from sync.ledger import Ledger
from sync.yaml_source import ConfigError

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Outside:
    """What a command takes from the world: its environment, the clock, and the way to a CRM."""

    env: Mapping[str, str]
    clock: Clock
    connect: Callable[[str, ConnectionSettings], Connector] = registry.open


@dataclass(frozen=True)
class Session:
    """Everything that a command needs, open.

    `segments` are the configured models, `connectors` are by connection name.
    """

    config: Config
    segments: Segments
    facts: FactsStore
    ledger: Ledger
    connectors: Mapping[str, Connector]
    clock: Clock


@contextmanager
def open_session(
    path: Path, outside: Outside, only: Sequence[str] | None = None
) -> Iterator[Session]:
    """Open what the configuration names; `only` restricts it to some connections.

    Raises ConfigError for a mistake in any file, StoreError when a store cannot be used.
    Nothing is asked of a CRM before the first verb of its connector.
    """
    config = load(path, outside.env)
    segments = read_models(config)
    names = list(config.connections) if not only else list(only)
    unknown = [name for name in names if name not in config.connections]
    if unknown:
        known = ", ".join(config.connections)
        raise ConfigError([f"no connection is called {n} (there are: {known})" for n in unknown])
    with ExitStack() as stack:
        ledger = stack.enter_context(closing(Ledger(config.ledger)))
        facts = stack.enter_context(closing(FactsStore(config.facts)))
        connectors: dict[str, Connector] = {}
        for name in names:
            connector = outside.connect(name, config.connections[name])
            stack.callback(connector.close)
            connectors[name] = connector
        yield Session(config, segments, facts, ledger, connectors, outside.clock)
