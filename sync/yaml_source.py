"""YAML files as pydantic types, with every mistake addressed as file:line:column.

YAML guesses: `NO` becomes false, `on:` a true key, `12:30` 750, `0012` 10, and of two equal keys
the last one wins. Here only true, false, null and plain decimal numbers are anything but text,
and a second equal key is a mistake. `${NAME}` stands for an environment variable.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from core.mistakes import Place, dotted

M = TypeVar("M", bound=BaseModel)


class ConfigError(Exception):
    """Mistakes in a configuration file: `problems` are all of them, one line each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True)
class Wrong:
    """Something that is wrong in a file, and where; with no line, in the file as such."""

    path: Path
    place: Place
    line: int
    column: int
    what: str

    @property
    def where(self) -> str:
        """Where it stands, as file:line:column."""
        return f"{self.path}:{self.line}:{self.column}" if self.line else str(self.path)

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class UnreadableError(ConfigError):
    """A file of which nothing can be read: it is not there, or no YAML."""

    def __init__(self, path: Path, what: str, line: int = 0, column: int = 0) -> None:
        self.wrong = Wrong(path, (), line, column, what)
        super().__init__([str(self.wrong)])


_WRITTEN_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_REFERENCE = re.compile("\ue000\ue001([A-Za-z_][A-Za-z0-9_]*)\ue002")
"""What a reference is read as: braces would end a flow mapping. As long, so columns stay right."""

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass
class _Source:
    """A file as it is read: its data, where each value and key stands, and what is wrong."""

    path: Path
    env: Mapping[str, str]
    marks: dict[Place, yaml.Mark] = field(default_factory=dict)
    problems: list[Wrong] = field(default_factory=list)
    unset: set[Place] = field(default_factory=set)

    def data(self, node: yaml.Node, place: Place = ()) -> Any:
        self.marks.setdefault(place, node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.data(item, (*place, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in values:
                twice = f"{name} is given twice"
                self.problems.append(self.wrong((*place, name), key.start_mark, twice))
                continue
            self.marks[*place, name] = key.start_mark
            values[name] = self.data(value, (*place, name))
        return values

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        text = str(node.value)
        if "\0" in text:
            # No database takes it, as a value or in a query.
            said = "a text holds the character NUL"
            self.problems.append(self.wrong(place, node.start_mark, said))
        if isinstance(node, yaml.ScalarNode) and node.style is None:
            if text in _WORDS:
                return _WORDS[text]
            if _INTEGER.fullmatch(text):
                return int(text)
            if _DECIMAL.fullmatch(text):
                return Decimal(text)
        return _REFERENCE.sub(lambda match: self._referenced(match[1], node, place), text)

    def _referenced(self, name: str, node: yaml.Node, place: Place) -> str:
        if name not in self.env:
            self.unset.add(place)
            unset = f"environment variable {name} is not set"
            self.problems.append(self.wrong(place, node.start_mark, unset))
        return self.env.get(name, "")

    def wrong(self, place: Place, mark: yaml.Mark, what: str) -> Wrong:
        return Wrong(self.path, place, mark.line + 1, mark.column + 1, what)

    def at(self, place: Place, what: str) -> Wrong:
        """Something wrong at a place; where it is not in the file, at what it would be in."""
        return self.wrong(place, _locate(place, self)[1], what)


@dataclass(frozen=True)
class Reading(Generic[M]):
    """A file as a type. Of one in which something is `wrong` there is no content; `data` is what
    it says, whether that is right or not, and `at` says that something is wrong at a place."""

    content: M | None
    wrong: Sequence[Wrong]
    data: Any
    at: Callable[[Place, str], Wrong]

    def address(self, place: Place) -> str:
        """Where a place stands, as file:line:column."""
        return self.at(place, "").where


def read_file(path: Path, model: type[M], env: Mapping[str, str]) -> Reading[M]:
    """The content of a file as a type. Raises UnreadableError where it is no YAML."""
    return read(composed(text_in(path), path), path, model, env)


def text_in(path: Path) -> str:
    """The text of a file. Raises UnreadableError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        what = f"{error.strerror}: run `leadgauge init` to make one"
        raise UnreadableError(path, what) from None
    except UnicodeDecodeError as error:
        raise UnreadableError(path, f"not UTF-8 text (byte {error.start})") from None


def composed(text: str, path: Path) -> yaml.Node:
    """A file's text, taken apart. Raises UnreadableError where it is no YAML."""
    text = _WRITTEN_REFERENCE.sub("\ue000\ue001\\1\ue002", text)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or yaml.Mark(str(path), 0, 0, 0, None, 0)
        what = f"not YAML: {error.problem}"
        raise UnreadableError(path, what, mark.line + 1, mark.column + 1) from None
    if node is None:
        raise UnreadableError(path, "the file is empty", 1, 1)
    return node


def read(
    node: yaml.Node,
    path: Path,
    model: type[M],
    env: Mapping[str, str],
    stand_ins: Mapping[str, Any] = MappingProxyType({}),
    broken: Set[str] = frozenset(),
) -> Reading[M]:
    """A file's content as `model`, with `stand_ins` for sections that it does not have.

    A model is told which sections are `broken`: something was left out of them.
    """
    source = _Source(path, env)
    data = source.data(node)
    if isinstance(data, dict):
        data = {**stand_ins, **data}
    content, found = None, source.problems
    try:
        content = model.model_validate(data, context=broken)
    except ValidationError as error:
        found = [*found, *(source.wrong(*one) for one in _explained(error, source, model))]
    return Reading(None if found else content, found, data, source.at)


def without(node: yaml.Node, places: Set[Place]) -> yaml.Node:
    """A file's content without what stands at some places."""
    if not isinstance(node, yaml.CollectionNode):
        return node
    kept: list[Any] = []
    for number, item in enumerate(node.value):
        pair = isinstance(item, tuple)
        step = str(item[0].value) if pair else number
        below = {place[1:] for place in places if place[0] == step}
        if () not in below:
            kept.append((item[0], without(item[1], below)) if pair else without(item, below))
    return type(node)(node.tag, kept, node.start_mark, node.end_mark)


def in_order(wrong: Iterable[Wrong]) -> list[Wrong]:
    """What is wrong, each thing once, in the order of the file."""
    return sorted(dict.fromkeys(wrong), key=lambda one: (one.line, one.column))


def _explained(
    error: ValidationError, source: _Source, model: type[BaseModel]
) -> Iterator[tuple[Place, yaml.Mark, str]]:
    errors = error.errors(include_input=False, include_url=False)
    for item in errors:
        loc, kind = item["loc"], item["type"]
        if kind == "too_short" and sum(e["loc"][: len(loc)] == loc for e in errors) > 1:
            continue  # Items that are wrong, as is said of each, were not counted.
        if kind == "missing":
            place, mark = _locate(loc[:-1], source)
            yield (*place, loc[-1]), mark, f"{dotted(place) or 'the file'}: {loc[-1]} is missing"
            continue
        place, mark = _locate(loc, source)
        if place in source.unset:
            continue  # Said already: the variable is not set.
        if kind in ("model_type", "tuple_type"):
            keys = ", ".join(f"{key}: ..." for key in _known(model, (*place, ""))[:3])
            said = f"keys under it: {{{keys}}}" if kind == "model_type" else "a list: [...]"
            yield place, mark, f"{dotted(place) or 'the file'}: there must be {said}"
        elif kind == "union_tag_invalid":
            key, given = item["ctx"]["discriminator"].strip("'"), item["ctx"]["tag"]
            known = re.findall("'(.*?)'", item["ctx"]["expected_tags"])
            place, mark = _locate((*loc, key), source)
            yield place, mark, f"{dotted(place)}: there is no {key} {given}{_meant(given, known)}"
        elif kind == "extra_forbidden":
            meant = _meant(str(loc[-1]), _known(model, loc))
            yield place, mark, f"{dotted(place)}: unknown key{meant}"
        else:
            text = item["msg"].removeprefix("Value error, ")
            yield place, mark, f"{dotted(place) or 'the file'}: {text[:1].lower()}{text[1:]}"


def _locate(loc: Place, source: _Source) -> tuple[Place, yaml.Mark]:
    """The place in the file that a pydantic location means, and its mark.

    Names of union branches stand in a location, but not in the file: they are passed over.
    """
    place: Place = ()
    for step in loc:
        if (*place, step) in source.marks:
            place = (*place, step)
    return place, source.marks[place]


def _meant(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f" (did you mean {close[0]}?)"
    return f" (known: {', '.join(known)})" if known else ""


def _known(model: type[BaseModel], loc: Place) -> list[str]:
    """The keys that are valid where an unknown one stands, by walking the JSON schema."""
    schema = model.model_json_schema()
    nodes = [schema]
    for step in loc[:-1]:
        nodes = [after for node in nodes for after in _step(_resolved(node, schema), step, schema)]
    branches = [branch for node in nodes for branch in _branches(_resolved(node, schema), schema)]
    names = [name for branch in branches for name in branch.get("properties", {})]
    return list(dict.fromkeys(names))


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return node


def _step(node: dict[str, Any], step: str | int, schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas that may stand one step below a schema, whatever union it is."""
    branches = _branches(node, schema)
    found: list[dict[str, Any]] = []
    for branch in branches:
        if isinstance(step, int) and "items" in branch:
            found.append(branch["items"])
        elif step in branch.get("properties", {}):
            found.append(branch["properties"][step])
        elif isinstance(branch.get("additionalProperties"), dict):
            found.append(branch["additionalProperties"])
    tagged = [b for b in branches if _is_branch(b, step)]
    return found or tagged or [b for b in branches if b is not node]


def _branches(node: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """A schema and, where it is a union, its parts."""
    unions = ("anyOf", "oneOf", "allOf")
    return [node, *(_resolved(part, schema) for union in unions for part in node.get(union, []))]


def _is_branch(branch: dict[str, Any], tag: str | int) -> bool:
    properties = branch.get("properties", {})
    return any(p.get("const") == tag for p in properties.values()) or branch.get("title") == tag
