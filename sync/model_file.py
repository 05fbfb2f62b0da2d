"""A scoring model file: read whole, or as far as it goes where something in it is wrong."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from core import salvage
from core.mistakes import Place
from core.rules import Model
from sync.yaml_source import ConfigError, Wrong, composed, in_order, read, without


@dataclass(frozen=True)
class Salvage:
    """What is wrong with a model file, and the rest of it without that; None where nothing can be
    made of the rest. `broken` are the sections that are not whole in it."""

    mistakes: Sequence[Wrong]
    rest: Model | None
    broken: Set[str]
    address: Callable[[Place], str]


def salvaged(path: Path) -> Salvage:
    """The model in a file, as far as it goes. Raises ConfigError where it is no YAML.

    What is wrong is left out and the rest looked at once more, until nothing in it is wrong: so
    what is wrong with the whole is found beside what is wrong with a part.
    """
    node, wrong, broken = composed(path), list[Wrong](), set[str]()
    while True:
        stand_ins = {key: salvage.STAND_INS[key] for key in broken & salvage.STAND_INS.keys()}
        reading = read(node, path, Model, {}, stand_ins, broken)
        wrong += reading.wrong
        cuts = {salvage.cut(one.place) for one in reading.wrong}
        if not cuts or () in cuts:
            return Salvage(in_order(wrong), reading.content, broken, reading.address)
        node, broken = without(node, cuts), broken | salvage.broken(cuts)


def read_model(path: Path) -> Model:
    """The scoring model in a file. Raises ConfigError with all its mistakes."""
    found = salvaged(path)
    if found.mistakes or found.rest is None:
        raise ConfigError(list(map(str, found.mistakes)))
    return found.rest


def text_of(path: Path, model: Model) -> str | None:
    """The text of a model's file; None where it does not say that any more."""
    try:
        text, said = path.read_text(encoding="utf-8"), read_model(path)
    except (OSError, UnicodeDecodeError, ConfigError):
        return None
    return text if said.version == model.version else None
