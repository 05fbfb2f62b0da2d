"""The networks of accounts that a model names a file of: an IP-lookup export, as CSV."""

import csv
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from core.rules import Model
from core.visitors import Link
from sync.yaml_source import ConfigError

COLUMNS = tuple(Link.model_fields)
_REQUIRED = {name for name, field in Link.model_fields.items() if field.is_required()}


def with_networks(model: Model, path: Path) -> Model:
    """The model in the file `path`, with the networks of the file that it names beside it.

    Raises ConfigError with every mistake, by file and line. What the file says is part of the
    model: another content is another version of it.
    """
    section = model.accounts
    if section is None or section.networks is None or section.networks.file is None:
        return model
    links = read(path.parent / section.networks.file)
    networks = section.networks.model_copy(update={"known": (*section.networks.known, *links)})
    return model.model_copy(update={"accounts": section.model_copy(update={"networks": networks})})


def read(path: Path) -> list[Link]:
    """The links of a CSV file. Raises ConfigError with every mistake."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            wrong = list(_columns(path, rows.fieldnames or ()))
            if wrong:
                raise ConfigError(wrong)
            found = list(_links(path, rows))
    except OSError as error:
        said = f"{path}: {error.strerror}: accounts.networks.file names it beside the model file"
        raise ConfigError([said]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 text (byte {error.start})"]) from None
    except csv.Error as error:
        raise ConfigError([f"{path}:{rows.line_num}: not CSV: {error}"]) from None
    if wrong := [one for one in found if isinstance(one, str)]:
        raise ConfigError(wrong)
    return [one for one in found if isinstance(one, Link)]


def _columns(path: Path, names: Sequence[str]) -> Iterator[str]:
    """What is wrong with the names of the columns; further ones are left alone."""
    for missing in sorted(_REQUIRED - {*names}):
        near = get_close_matches(missing, names, 1)
        hint = f" (is it {near[0]}?)" if near else ""
        yield (
            f"{path}:1: there is no column {missing}{hint}: the first line names the columns, "
            f"{', '.join(COLUMNS)}"
        )


def _links(path: Path, rows: "csv.DictReader[str]") -> Iterator[Link | str]:
    """Each link, or what is wrong with it; a confidence that is left out is 1."""
    for row in rows:
        place = f"{path.name}:{rows.line_num}"
        given = {name: row[name].strip() for name in COLUMNS if row.get(name)}
        try:
            yield Link.model_validate(given).placed(place)
        except ValidationError as error:
            for item in error.errors(include_input=False, include_url=False):
                column = str(item["loc"][0])
                reason = "is missing" if item["type"] == "missing" else item["msg"]
                said = reason.removeprefix("Value error, ")
                yield f"{path}:{rows.line_num}: {column}: {said}"
