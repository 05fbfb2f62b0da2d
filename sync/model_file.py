"""A scoring model file: read whole, or as far as it goes where something in it is wrong; and the
versions that the ledger keeps."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from core import salvage
from core.mistakes import Place
from core.rules import Model
from sync import networks_file
from sync.ledger_models import ModelsLedger, Version
from sync.networks_file import Listed
from sync.yaml_source import (
    ConfigError,
    Reading,
    UnreadableError,
    Wrong,
    composed,
    in_order,
    read,
    text_in,
    without,
)

Networks = Callable[[Path], bytes | None]
"""The content of the file of networks that a model names; None: it was not kept."""


@dataclass(frozen=True)
class Salvage:
    """What is wrong with a model file, and the rest of it without that; None where nothing can be
    made of the rest. `broken` are the sections that are not whole in it.

    `text` is what the file says, and `networks` what the file of networks says that it names.
    """

    mistakes: Sequence[Wrong]
    rest: Model | None
    broken: Set[str]
    address: Callable[[Place], str]
    text: str
    networks: Listed | None

    @property
    def whole(self) -> Model:
        """The model. Raises ConfigError with all that is wrong with it."""
        if self.rest is None or self.mistakes:
            raise ConfigError(list(map(str, self.mistakes)))
        return self.rest

    def says(self, model: Model) -> bool:
        """Whether that is what the file says."""
        return not self.mistakes and self.rest is not None and self.rest.version == model.version


def salvaged(path: Path) -> Salvage:
    """The model in a file, as far as it goes."""
    try:
        return _salvaged(text_in(path), path, Path.read_bytes)
    except UnreadableError as error:
        return Salvage([error.wrong], None, frozenset(), lambda _: str(path), "", None)


def _salvaged(text: str, path: Path, networks: Networks) -> Salvage:
    """The model that a text says, as far as it goes; its places are told as those of `path`.

    What is wrong is left out and the rest looked at once more, until nothing in it is wrong: so
    what is wrong with the whole is found beside what is wrong with a part.
    """
    node, wrong, broken = composed(text, path), list[Wrong](), set[str]()
    whole = reading = read(node, path, Model, {})
    while True:
        wrong += reading.wrong
        cuts = {salvage.cut(one.place) for one in reading.wrong}
        if not cuts or () in cuts:
            break
        node, broken = without(node, cuts), broken | salvage.broken(cuts)
        stand_ins = {key: salvage.STAND_INS[key] for key in broken & salvage.STAND_INS.keys()}
        reading = read(node, path, Model, {}, stand_ins, broken)
    listed, unlisted = _listed(whole, path, networks)
    return Salvage(
        [*in_order([*wrong, *unlisted]), *(listed.wrong if listed else ())],
        listed.within(reading.content) if listed and reading.content else reading.content,
        broken,
        reading.address,
        text,
        listed,
    )


def _listed(
    reading: Reading[Model], path: Path, networks: Networks
) -> tuple[Listed | None, Sequence[Wrong]]:
    """What the file of networks says that a model names; or why that cannot be read."""
    name = networks_file.named(reading.data)
    if name is None or any(one.place == networks_file.PLACE for one in reading.wrong):
        return None, ()
    file = path.parent / name
    try:
        content = networks(file)
    except OSError as error:
        what = f"{file}: {error.strerror}: accounts.networks.file names it beside the model file"
        return None, [reading.at(networks_file.PLACE, what)]
    return (None if content is None else networks_file.read(content, file)), ()


def read_model(path: Path) -> Model:
    """The scoring model in a file. Raises ConfigError with all its mistakes."""
    return salvaged(path).whole


def named(said: str, kept: Sequence[Version]) -> Salvage:
    """The model in a file, as far as it goes, or that of a version that was kept.

    Raises ConfigError where there is neither.
    """
    if (path := Path(said)).is_file():
        return salvaged(path)
    version = version_of(said, kept)
    networks = None if version.networks is None else version.networks.encode()
    found = _salvaged(version.text, Path(version.label), lambda _: networks)
    if found.whole.version != version.version:
        raise ConfigError([f"{said}: its file of networks was not kept: give the model's file"])
    return found


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


def keep(found: Salvage, models: ModelsLedger, *, account: str, at: datetime) -> None:
    """Keep what the files of a model say, and who used it."""
    networks = found.networks.text if found.networks else None
    models.keep(found.whole, found.text, networks, account=account, at=at)
