"""The reference pages of docs/, made from the code: `python -m tests.reference` writes them.

`tests/test_docs.py` holds the pages to what is made here.
"""

from pathlib import Path
from typing import Any

from typer.main import get_command

from connectors import registry
from core.facts import TABLES, schema
from core.rules import Model
from sync.cli import app
from sync.config import Config
from sync.exits import MEANING
from tests.summary import summary

DOCS = Path(__file__).parent.parent / "docs"


def commands() -> str:
    """docs/commands.md: every command with its options, and the exit codes."""
    lines = ["# Commands", "", "Made from the code by `python -m tests.reference`.", ""]
    lines += ["Data goes to stdout, talk to stderr. `--json` prints data for machines.", ""]
    group: Any = get_command(app)
    for name, command in group.commands.items():
        lines += [f"## leadgauge {name}", "", " ".join((command.help or "").split()), ""]
        rows = [row for parameter in command.params if (row := _option(parameter))]
        if rows:
            lines += ["| option | meaning | default |", "| --- | --- | --- |", *rows, ""]
    lines += ["## Exit codes", "", "| code | meaning |", "| --- | --- |"]
    lines += [f"| {int(code)} | {meaning} |" for code, meaning in MEANING.items()]
    return "\n".join(lines) + "\n"


def _option(parameter: Any) -> str | None:
    if parameter.name == "help":
        return None
    name = (
        ", ".join(parameter.opts) if parameter.opts[0].startswith("-") else parameter.name.upper()
    )
    default = parameter.default
    shown = "" if default in (None, False) or parameter.required else f"`{default}`"
    return f"| `{name}` | {parameter.help} | {shown} |"


def configuration() -> str:
    """docs/configuration.md: every key of config.yaml."""
    lines = ["# Configuration", "", "Made from the code by `python -m tests.reference`.", ""]
    lines += [
        "`config.yaml` is checked whole when it is read: every mistake is reported at once, as",
        "file:line:column. Secrets come from the environment: `${NAME}` stands for a variable.",
        "[config.example.yaml](../config.example.yaml) shows every key in use.",
        "",
    ]
    lines += _sections("The file", Config.model_json_schema(by_alias=True))
    for settings in registry.settings_types():
        schema = settings.model_json_schema(by_alias=True)
        kind = schema["properties"]["kind"]["const"]
        lines += _sections(f"connections.NAME, kind: {kind}", schema)
    return "\n".join(lines) + "\n"


def model() -> str:
    """docs/model-reference.md: every key of model.yaml."""
    lines = ["# Model reference", "", "Made from the code by `python -m tests.reference`.", ""]
    return "\n".join(lines + _sections("The file", Model.model_json_schema(by_alias=True))) + "\n"


def common_model() -> str:
    """docs/common-model.md: every field of the common model."""
    lines = ["# The common model", "", "Made from the code by `python -m tests.reference`.", ""]
    lines += ["What a connector turns a CRM's records into, and what conditions may ask for.", ""]
    for table in TABLES:
        lines += [f"## {table.model.__name__} (table {table.name})", ""]
        lines += [str(table.model.__doc__).split("\n\n")[0].replace("\n", " "), ""]
        lines += ["| field | holds | meaning |", "| --- | --- | --- |"]
        columns = schema(table.model)
        for name, field in table.model.model_fields.items():
            kind = str(columns[name]).removeprefix("!").replace("('UTC', 6)", " (UTC)")
            lines.append(f"| `{name}` | {kind} | {field.description} |")
        lines.append("")
    return "\n".join(lines)


def _sections(title: str, schema: dict[str, Any]) -> list[str]:
    """A table for the type itself, and one for each type that it refers to."""
    lines: list[str] = []
    queue = [(title, schema)]
    named = {title}
    while queue:
        heading, node = queue.pop(0)
        if not node.get("properties"):
            continue
        lines += [f"## {heading}", ""]
        if heading != title and "description" in node:
            lines += [node["description"].split("\n\n")[0].replace("\n", " "), ""]
        lines += ["| key | holds | meaning | default |", "| --- | --- | --- | --- |"]
        for name, field in node["properties"].items():
            types = [schema["$defs"][reference] for reference in _references(field)]
            said = [text for t in (field, *types) if (text := t.get("description"))]
            meaning = "".join(said[:1]).split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
            lines.append(f"| `{name}` | {_holds(field)} | {meaning} | {_default(field)} |")
            for reference in _references(field):
                if reference not in named and reference not in KINDS:
                    named.add(reference)
                    queue.append((reference, schema["$defs"][reference]))
        lines.append("")
    return lines


KINDS = {settings.__name__ for settings in registry.settings_types()}
"""Types with a part of the page to themselves."""


def _holds(field: dict[str, Any]) -> str:
    """What a key holds, in a word or the names of its types."""
    references = list(dict.fromkeys(_references(field)))
    if references:
        many = "list of " if field.get("type") == "array" else ""
        return many + " or ".join(references)
    branches = [field, *field.get("anyOf", []), *field.get("oneOf", [])]
    kinds = [str(b["type"]) for b in branches if "type" in b and b["type"] != "null"]
    return " or ".join(dict.fromkeys(kinds))


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    if default in (None, "", [], {}) or isinstance(default, dict):
        return ""
    return f"`{default}`"


def _references(field: Any) -> list[str]:
    """The names of the types that a schema refers to directly."""
    if isinstance(field, dict):
        own = [field["$ref"].rsplit("/", 1)[1]] if "$ref" in field else []
        inner = (value for key, value in field.items() if key not in ("$ref", "discriminator"))
        return own + [reference for value in inner for reference in _references(value)]
    if isinstance(field, list):
        return [reference for item in field for reference in _references(item)]
    return []


PAGES = {
    "commands.md": commands,
    "configuration.md": configuration,
    "model-reference.md": model,
    "model-summary.md": summary,
    "common-model.md": common_model,
}


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
