"""The networks of accounts that a model names a file of: an IP-lookup export, as CSV."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.mistakes import Place
from core.rules import Model
from core.visitors import Link
from sync.yaml_source import Wrong

PLACE: Place = ("accounts", "networks", "file")
"""Where a model names the file."""

COLUMNS = tuple(Link.model_fields)
_REQUIRED = {name for name, field in Link.model_fields.items() if field.is_required()}
_CELL = re.compile(r' *((?:"(?:[^"]|"")*"?)?[^,\r\n]*),?')
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Listed:
    """The links of a file of networks, and what is wrong in the rest of it."""

    links: Sequence[Link]
    wrong: Sequence[Wrong]

    def within(self, model: Model) -> Model:
        """A model with these links beside its own: another content is another version of it."""
        section = model.accounts
        if section is None or section.networks is None or section.networks.file is None:
            return model
        known = (*section.networks.known, *self.links)
        networks = section.networks.model_copy(update={"known": known})
        accounts = section.model_copy(update={"networks": networks})
        return model.model_copy(update={"accounts": accounts})

    @property
    def text(self) -> str:
        """The links as such a file, without its further columns."""
        file = StringIO(newline="")
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows([getattr(link, name) for name in COLUMNS] for link in self.links)
        return file.getvalue()


def named(data: Any) -> str | None:
    """The file that a model names, whatever else is wrong in it; `data` is what its file says."""
    for step in PLACE:
        data = data.get(step) if isinstance(data, dict) else None
    return data if isinstance(data, str) and data else None


def read(content: bytes, path: Path) -> Listed:
    """The links of a CSV file, and every mistake in it."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode()
        what = f"not UTF-8 text (byte {error.start})"
        return Listed((), [_Row(path, 1, before, ()).wrong_at(len(before), what)])
    if "\0" in text:
        row = _Row(path, 1, text, ())
        return Listed((), [row.wrong_at(text.index("\0"), "the file holds the character NUL")])
    found = list(_links(_rows(text, path)))
    links = [one for one in found if isinstance(one, Link)]
    return Listed(links, [one for one in found if isinstance(one, Wrong)])


@dataclass(frozen=True)
class _Row:
    """A row of the file: the line that it begins at, its text, which may have several lines, and
    its cells."""

    path: Path
    line: int
    text: str
    cells: Sequence[str]

    def wrong(self, cell: int, what: str) -> Wrong:
        """Something wrong in a cell; of one that is not there, at the end of the row."""
        starts = [match.start(1) for match in _CELL.finditer(self.text)][: len(self.cells)]
        end = len(self.text.rstrip("\r\n"))
        return self.wrong_at(starts[cell] if cell < len(starts) else end, what)

    def wrong_at(self, offset: int, what: str) -> Wrong:
        """Something wrong at an offset of the text."""
        lines = _LINE_END.split(self.text[:offset])
        line, column = self.line + len(lines) - 1, len(lines[-1]) + 1
        return Wrong(self.path, (), line, column, what)


def _rows(text: str, path: Path) -> Iterator[_Row | Wrong]:
    """The rows that are not blank, at least one; or why there are no more."""
    lines = StringIO(text, newline="").readlines()
    rows, ended = csv.reader(lines, skipinitialspace=True, strict=True), 0
    try:
        for cells in rows:
            if cells or not ended:
                yield _Row(path, ended + 1, "".join(lines[ended : rows.line_num]), cells)
            ended = rows.line_num
    except csv.Error as error:
        yield Wrong(path, (), ended + 1, 1, f"not CSV: {error}")
    if not lines:
        yield _Row(path, 1, "", ())


def _links(rows: Iterable[_Row | Wrong]) -> Iterator[Link | Wrong]:
    """Each link, or what is wrong with it; the first row names the columns."""
    columns: dict[str, int] = {}
    for row in rows:
        if isinstance(row, Wrong):
            yield row
        elif columns:
            yield from _link(row, columns)
        else:
            columns = {name: number for number, name in enumerate(row.cells)}
            if wrong := list(_lacking(row, columns)):
                yield from wrong
                return


def _lacking(header: _Row, columns: dict[str, int]) -> Iterator[Wrong]:
    """The columns that are not named; further ones are left alone."""
    for missing in sorted(_REQUIRED - columns.keys()):
        near = get_close_matches(missing, columns, 1)
        hint = f" (is it {near[0]}?)" if near else ""
        yield header.wrong(
            columns[near[0]] if near else 0,
            f"there is no column {missing}{hint}: the first line names the columns, "
            f"{', '.join(COLUMNS)}",
        )


def _link(row: _Row, columns: dict[str, int]) -> Iterator[Link | Wrong]:
    """The link in a row, or all that is wrong with it; a confidence that is left out is 1."""
    cells = {name: row.cells[n] for name, n in columns.items() if n < len(row.cells)}
    given = {name: cells[name].strip() for name in COLUMNS if cells.get(name)}
    try:
        yield Link.model_validate(given).placed(f"{row.path.name}:{row.line}")
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            column = str(item["loc"][0])
            reason = "is missing" if item["type"] == "missing" else item["msg"]
            said = f"{column}: {reason.removeprefix('Value error, ')}"
            yield row.wrong(columns.get(column, len(row.cells)), said)
