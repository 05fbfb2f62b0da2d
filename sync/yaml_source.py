"""YAML files as pydantic types, with every mistake addressed as file:line:column.

YAML guesses: `NO` becomes false, `on:` a true key, `12:30` 750, `0012` 10, and of two equal keys
the last one wins. Here only true, false, null and plain decimal numbers are anything but text,
and a second equal key is a mistake. `${NAME}` stands for an environment variable.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from core.mistakes import Place, dotted

M = TypeVar("M", bound=BaseModel)


class ConfigError(Exception):
    """Mistakes in a configuration file: `problems` are all of them, one line each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


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
    problems: list[tuple[yaml.Mark, str]] = field(default_factory=list)
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
                self.problems.append((key.start_mark, f"{name} is given twice"))
                continue
            self.marks[*place, name] = key.start_mark
            values[name] = self.data(value, (*place, name))
        return values

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        text = str(node.value)
        if "\0" in text:
            # No database takes it, as a value or in a query.
            self.problems.append((node.start_mark, "a text holds the character NUL"))
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
            self.problems.append((node.start_mark, f"environment variable {name} is not set"))
        return self.env.get(name, "")

    def says(self, mark: yaml.Mark, text: str) -> str:
        return f"{self.path}:{mark.line + 1}:{mark.column + 1}: {text}"

    def address(self, place: Place) -> str:
        """Where a place stands; where it is not in the file, what it would be in."""
        mark = _locate(place, self)[1]
        return f"{self.path}:{mark.line + 1}:{mark.column + 1}"


def load_yaml(path: Path, model: type[M], env: Mapping[str, str]) -> M:
    """The content of a file as `model`. Raises ConfigError with every mistake, addressed."""
    return placed_yaml(path, model, env)[0]


def placed_yaml(
    path: Path, model: type[M], env: Mapping[str, str]
) -> tuple[M, Callable[[Place], str]]:
    """The content of a file, and where each of its places stands, as file:line:column."""
    source = _Source(path, env)
    try:
        text = path.read_text(encoding="utf-8")
        text = _WRITTEN_REFERENCE.sub("\ue000\ue001\\1\ue002", text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}: run `leadgauge init` to make one"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 text (byte {error.start})"]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or yaml.Mark(str(path), 0, 0, 0, None, 0)
        raise ConfigError([source.says(mark, f"not YAML: {error.problem}")]) from None
    if node is None:
        raise ConfigError([f"{path}:1:1: the file is empty"])
    data = source.data(node)
    found = [source.says(mark, text) for mark, text in source.problems]
    try:
        loaded = model.model_validate(data)
    except ValidationError as error:
        found += [source.says(mark, text) for mark, text in _explained(error, source, model)]
    else:
        if not found:
            return loaded, source.address
    raise ConfigError(sorted(dict.fromkeys(found), key=_by_place))


def _by_place(problem: str) -> tuple[int, ...]:
    numbers = re.search(r":(\d+):(\d+): ", problem)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def _explained(
    error: ValidationError, source: _Source, model: type[BaseModel]
) -> Iterator[tuple[yaml.Mark, str]]:
    errors = error.errors(include_input=False, include_url=False)
    for item in errors:
        loc, kind = item["loc"], item["type"]
        if kind == "too_short" and sum(e["loc"][: len(loc)] == loc for e in errors) > 1:
            continue  # Items that are wrong, as is said of each, were not counted.
        if kind == "missing":
            place, mark = _locate(loc[:-1], source)
            yield mark, f"{dotted(place) or 'the file'}: {loc[-1]} is missing"
            continue
        place, mark = _locate(loc, source)
        if place in source.unset:
            continue  # Said already: the variable is not set.
        if kind in ("model_type", "tuple_type"):
            keys = ", ".join(f"{key}: ..." for key in _known(model, (*place, ""))[:3])
            said = f"keys under it: {{{keys}}}" if kind == "model_type" else "a list: [...]"
            yield mark, f"{dotted(place) or 'the file'}: there must be {said}"
        elif kind == "extra_forbidden":
            yield mark, f"{dotted(place)}: unknown key{_meant(str(loc[-1]), _known(model, loc))}"
        else:
            text = item["msg"].removeprefix("Value error, ")
            yield mark, f"{dotted(place) or 'the file'}: {text[:1].lower()}{text[1:]}"


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
