"""docs/model-summary.md: the grammar of the model file on one page, made from its types."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from pydantic import TypeAdapter

from core.operators import Clause, Span
from core.points import RuleId
from core.rules import Model

Node = dict[str, Any]
WIDTH = 100
HEAD = """# The model file on one page

Made from the code by `python -m tests.reference`. A key with * must be given; `[...]` is a list,
`NAME` a name of your own, and what stands between bars is a choice. In a test, a bare value or a
list is short for `equals`. What the keys mean is said in [model.md](model.md), and of each key in
[model-reference.md](model-reference.md).

```text
"""


def summary() -> str:
    """The whole grammar: the file, then conditions and tests."""
    schema = Model.model_json_schema(by_alias=True)
    grammar = _Grammar(schema["$defs"])
    lines = [*grammar.keys(schema, "")]
    for name in grammar.asked:
        clause = list(grammar.clause(name))
        short = len(clause) == 1 and not lines[-1].startswith(" ")
        lines += clause if short else ["", *clause]
    return HEAD + "\n".join(lines) + "\n```\n"


def _clauses(kind: type[Clause]) -> Iterator[str]:
    for inner in kind.__subclasses__():
        yield inner.__name__
        yield from _clauses(inner)


class _Grammar:
    """Writes types as text: what is long over several lines, but each type only once so."""

    def __init__(self, types: dict[str, Node]) -> None:
        self.types = types
        self.clauses = set(_clauses(Clause))
        self.written: set[str] = set()
        self.asked: list[str] = []
        """Conditions, tests and long choices that were named, to be written at the end."""

    def keys(self, node: Node, indent: str) -> Iterator[str]:
        """The keys of a type, each with what it holds."""
        for name, inner in node["properties"].items():
            star = "*" if name in node.get("required", ()) else ""
            yield from self.key(f"{name}{star}", inner, indent)

    def key(self, name: str, node: Node, indent: str) -> Iterator[str]:
        """One key: on one line if that holds it, else with its content below."""
        kinds = _kinds(node)
        line = f"{indent}{name}: {self.words(node)}"
        if len(line) <= WIDTH:
            yield line
        elif len(kinds) > 1:
            for kind in kinds:
                yield from self.key(name, kind, indent)
        elif "items" in kinds[0]:
            yield f"{indent}{name}:"
            for item in _kinds(kinds[0]["items"]):
                first, *rest = self.body(item, indent + "    ")
                yield f"{indent}  - {first.strip()}"
                yield from rest
        else:
            yield f"{indent}{name}:"
            yield from self.body(kinds[0], indent + "  ")

    def body(self, node: Node, indent: str) -> Iterator[str]:
        """What a type with keys, or a mapping of names, holds, line by line."""
        values = _values(node)
        if values is not None:
            yield from self.key("NAME", values, indent)
            return
        name = _name(node)
        self.written.add(name)
        yield from self.keys(self.types[name], indent)

    def words(self, node: Node) -> str:
        """What a value may be, in a line."""
        found = dict.fromkeys(self.word(kind) for kind in _kinds(node))
        if "number" in found:
            found.pop("text", None)  # A number may be written as text, to be exact.
        return " | ".join(found)

    def word(self, node: Node) -> str:
        """What a value of one kind is."""
        if name := _name(node):
            return self.named(name)
        if "enum" in node:
            return " | ".join(node["enum"])
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
        if name in self.written:
            return _spaced(name)
        required = node.get("required", ())
        items = (
            f"{key}{'*' if key in required else ''}: {self.words(inner)}"
            for key, inner in node["properties"].items()
        )
        return "{" + ", ".join(items) + "}"

    def clause(self, name: str) -> Iterator[str]:
        """A condition or a test: the keys that are asked alike stand together; or a long choice."""
        if words := self.types[name].get("enum"):
            head = f"{_spaced(name)}: "
            text = head + " | ".join(words)
            yield from wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
            return
        alike: dict[str, list[str]] = {}
        for key, node in self.types[name]["properties"].items():
            alike.setdefault(self.words(node), []).append(key)
        all_ = "; ".join(f"{', '.join(keys)}: {said}" for said, keys in alike.items())
        if len(line := f"{_spaced(name)}: {all_}") <= WIDTH:
            yield line
            return
        yield f"{_spaced(name)}:"
        for said, keys in alike.items():
            line = "  "
            for n, key in enumerate(keys):
                piece = key + (", " if n < len(keys) - 1 else f": {said}")
                if len(line + piece) > WIDTH:
                    yield line.rstrip()
                    line = "  "
                line += piece
            yield line


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
