"""docs/model-summary.md: the grammar of the model file on one page, made from its types."""

import json
import re
from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Any

from pydantic import TypeAdapter

from core.conditions import Fields
from core.operators import Clause, Span
from core.points import RuleId
from core.rules import Model

Node = dict[str, Any]
WIDTH = 100
HEAD = """# The model file on one page

Made from the code by `python -m tests.reference`; explained in [model.md](model.md), key by key in
[model-reference.md](model-reference.md). Keys that hold the same stand before one colon, and `;`
parts keys as a new line does. A key with * must be given; `[...]` is a list, `NAME` a name of your
own, `|` a choice. In a test, a bare value or a list is short for `equals`.

```text
"""


def summary() -> str:
    """The whole grammar: the file, then conditions and tests."""
    schema = Model.model_json_schema(by_alias=True)
    grammar = _Grammar(schema["$defs"])
    lines = [line for keys, node in grammar.pieces(schema) for line in grammar.section(keys, node)]
    for clause in sorted(grammar.named_ones(), key=_is_short):
        lines += clause if _is_short(clause) else ["", *clause]
    return HEAD + "\n".join(lines) + "\n```\n"


def _is_short(clause: list[str]) -> bool:
    return len(clause) < 3


def _below(kind: type[Clause]) -> Iterator[str]:
    for inner in kind.__subclasses__():
        yield inner.__name__
        yield from _below(inner)


class _Grammar:
    """Writes types as text: what is long over several lines, but each type only once so."""

    def __init__(self, types: dict[str, Node]) -> None:
        self.types = types
        self.clauses = set(_below(Clause))
        self.written: set[str] = set()
        self.asked: list[str] = []
        """Conditions, tests and long choices that were named, to be written at the end."""

    def pieces(self, node: Node) -> list[tuple[str, Node]]:
        """The keys of a type, those that hold the same together, each with what it holds."""
        alike: dict[str, list[tuple[str, Node]]] = {}
        for key, inner in node["properties"].items():
            star = "*" if key in node.get("required", ()) else ""
            alike.setdefault(self.words(inner), []).append((f"{key}{star}", inner))
        return [(", ".join(key for key, _ in keys), keys[0][1]) for keys in alike.values()]

    def said(self, node: Node) -> list[str]:
        """The keys of a type with what they hold."""
        return [f"{keys}: {self.words(inner)}" for keys, inner in self.pieces(node)]

    def section(self, name: str, node: Node) -> Iterator[str]:
        """Keys of the file that hold the same: on one line if that holds it, else with its
        content below."""
        kinds = _kinds(node)
        line = f"{name}: {self.words(node)}"
        if len(line) <= WIDTH:
            yield line
            return
        yield f"{name}:"
        if "items" in kinds[0]:
            for item in _kinds(kinds[0]["items"]):
                first, *rest = self.body(item, "    ")
                yield f"  - {first.strip()}"
                yield from rest
        else:
            yield from self.body(kinds[0], "  ")

    def body(self, node: Node, indent: str) -> Iterator[str]:
        """What a type with keys, or a mapping of names, holds."""
        values = _values(node)
        if values is not None:
            yield from (f"{indent}NAME: {self.word(kind)}" for kind in _kinds(values))
            return
        name = _name(node)
        self.written.add(name)
        yield from _filled(self.said(self.types[name]), indent)

    def words(self, node: Node) -> str:
        """What a value may be, in a line."""
        found = dict.fromkeys(self.word(kind) for kind in _kinds(node))
        if "number" in found:
            found.pop("text", None)  # A number may be written as text, to be exact.
        tests = [kind.removesuffix(" test") for kind in found]
        return " | ".join(found) if tests == [*found] else f"{' | '.join(tests)} test"

    def word(self, node: Node) -> str:
        """What a value of one kind is."""
        if name := _name(node):
            return self.named(name)
        if choice := node.get("enum", [node["const"]] if "const" in node else None):
            return " | ".join(
                word if isinstance(word, str) else json.dumps(word) for word in choice
            )
        if "items" in node:
            return f"[{self.words(node['items'])}]"
        values = _values(node)
        return _scalar(node) if values is None else f"{{NAME: {self.words(values)}}}"

    def named(self, name: str) -> str:
        """A type: by its name if it is written elsewhere, else with its keys."""
        node = self.types[name]
        choice = len(" | ".join(node.get("enum", ()))) > WIDTH - 20
        if name in self.clauses or choice:
            if name not in self.asked:
                self.asked.append(name)
            return _spaced(name)
        if "properties" not in node:
            return self.word(node)
        return _spaced(name) if name in self.written else f"{{{'; '.join(self.said(node))}}}"

    def named_ones(self) -> Iterator[list[str]]:
        """Everything that was named, on lines of its own; what is written alike together."""
        alike: dict[tuple[str, ...], list[str]] = {}
        for name in self.asked:
            alike.setdefault(tuple(self.clause(name)), []).append(_spaced(name))
        for said, names in alike.items():
            head = f"{', '.join(names)}:"
            first, *rest = _filled([f"{head} {said[0]}", *said[1:]], "  ")
            short = [first.strip(), *rest]
            yield short if _is_short(short) else [head, *_filled(said, "  ")]

    def clause(self, name: str) -> list[str]:
        """What a condition, a test or a long choice is; tests that have a name of their own are
        named, and what it nests of its own kind is `the same`."""
        node = self.types[name]
        if words := node.get("enum"):
            return [" | ".join(words)]
        fields = {*_below(Fields)} & {*self.asked}
        parts = [part for part in fields if self.keys(part) < self.keys(name)]
        told = {key for part in parts for key, _ in self.keys(part)}
        own = {key: inner for key, inner in node["properties"].items() if key not in told}
        said = self.said({**node, "properties": own})
        itself = _spaced(name)
        return [*map(_spaced, parts), *(one.replace(itself, "the same") for one in said)]

    def keys(self, name: str) -> set[tuple[str, str]]:
        """The keys of a type, each with what it holds."""
        return {(key, self.words(inner)) for key, inner in self.types[name]["properties"].items()}


def _filled(pieces: Iterable[str], indent: str) -> list[str]:
    """Pieces in as few lines as take them; only one that is longer than a line is broken within."""
    ends = {piece: r"(?<![,|]) " if len(indent + piece) > WIDTH else " " for piece in pieces}
    glued = "; ".join(re.sub(end, "\0", piece) for piece, end in ends.items())
    folds = wrap(
        glued, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
    return [fold.removesuffix(";").replace("\0", " ") for fold in folds]


def _kinds(node: Node) -> list[Node]:
    """The kinds of value that a key may hold, nothing left out but null."""
    branches = node.get("anyOf") or node.get("oneOf")
    if branches is None:
        return [] if node.get("type") == "null" else [node]
    return [kind for branch in branches for kind in _kinds(branch)]


def _values(node: Node) -> Node | None:
    """What the names of a mapping stand for; None: it is no mapping."""
    patterns = node.get("patternProperties", {})
    values: Any = next(iter(patterns.values()), node.get("additionalProperties"))
    return values if isinstance(values, dict) else None


def _name(node: Node) -> str:
    return str(node.get("$ref", "")).rpartition("/")[2]


def _pattern(kind: Any) -> str:
    return str(TypeAdapter(kind).json_schema()["pattern"])


def _scalar(node: Node) -> str:
    """A value without parts, in a word or two."""
    formats = {"duration": "30 days", "date-time": "time", "ip-network": "network"}
    patterns = {_pattern(RuleId): "id", _pattern(Span): "30 days"}
    kinds = {"integer": "whole number", "boolean": "true | false", "string": "text"}
    known = formats.get(node.get("format", "")) or patterns.get(node.get("pattern", ""))
    return str(known or kinds.get(node["type"], node["type"]))


def _spaced(name: str) -> str:
    """`LeadCondition` -> `lead condition`."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()
