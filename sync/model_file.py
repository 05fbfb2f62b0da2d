"""A scoring model file: read whole, or as far as it goes where something in it is wrong; and the
versions that the ledger keeps."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from core import salvage
from core.mistakes import Place
from core.rules import Model
from sync.ledger_models import Version
from sync.networks_file import with_networks
from sync.yaml_source import ConfigError, Wrong, composed, in_order, read, text_in, without


@dataclass(frozen=True)
class Salvage:
    """What is wrong with a model file, and the rest of it without that; None where nothing can be
    made of the rest. `broken` are the sections that are not whole in it."""

    mistakes: Sequence[Wrong]
    rest: Model | None
    broken: Set[str]
    address: Callable[[Place], str]


def salvaged(path: Path) -> Salvage:
    """The model in a file, as far as it goes. Raises ConfigError where it is no YAML."""
    return _salvaged(text_in(path), path)


def _salvaged(text: str, path: Path) -> Salvage:
    """The model that a text says, as far as it goes; its places are told as those of `path`.

    What is wrong is left out and the rest looked at once more, until nothing in it is wrong: so
    what is wrong with the whole is found beside what is wrong with a part.
    """
    node, wrong, broken = composed(text, path), list[Wrong](), set[str]()
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
    return with_networks(_whole(salvaged(path)), path)


def _whole(found: Salvage) -> Model:
    if found.rest is None or found.mistakes:
        raise ConfigError(list(map(str, found.mistakes)))
    return found.rest


def named(said: str, kept: Sequence[Version]) -> Model:
    """The model in a file, or that of a version that was kept.

    Raises ConfigError with all its mistakes, or where there is neither.
    """
    if (path := Path(said)).is_file():
        return read_model(path)
    version = version_of(said, kept)
    model = _whole(_salvaged(version.text, Path(version.label)))
    if model.version != version.version:
        raise ConfigError([f"{said}: its file of networks was not kept: give the model's file"])
    return model


def version_of(said: str, kept: Sequence[Version]) -> Version:
    """The version that is called so or, alone, begins so, its model's name before it or not.

    Raises ConfigError where there is none, or more than one.
    """
    names = {one.label: (one.version, one.label) for one in kept}
    found = [one for one in kept if said in names[one.label]] or [
        one for one in kept if any(name.startswith(said) for name in names[one.label])
    ]
    if not found:
        unknown = "no model that was run or signed is called so, nor a file: see `leadgauge models`"
        raise ConfigError([f"{said}: {unknown}"])
    if len(found) > 1:
        labels = ", ".join(one.label for one in found)
        raise ConfigError([f"{said}: several versions begin so, say more of it: {labels}"])
    return found[0]


def text_of(path: Path, model: Model) -> str | None:
    """The text of a model's file; None where it does not say that any more."""
    try:
        text, said = path.read_text(encoding="utf-8"), read_model(path)
    except (OSError, UnicodeDecodeError, ConfigError):
        return None
    return text if said.version == model.version else None
