"""The documentation is held to the code: pages made from it are fresh, and links lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from connectors.registry import KINDS
from core.lint import lint
from core.rules import Model
from sync.cli import app
from sync.exits import MEANING, Exit
from sync.model_file import read_model
from tests.reference import DOCS, PAGES

ROOT = DOCS.parent
COMMANDS = vars(get_command(app))["commands"]
PAGES_WRITTEN = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")])


@pytest.mark.parametrize("name", PAGES)
def test_reference_pages_are_fresh(name):
    """After a change of a command, an exit code or a key: `python -m tests.reference`."""
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name]()


def test_the_whole_grammar_of_models_stands_on_one_page():
    """Every key of every type, and every word that a key takes, on a page of 95 short lines."""
    page = (DOCS / "model-summary.md").read_text(encoding="utf-8")
    assert len(page.splitlines()) <= 95
    assert max(map(len, page.splitlines())) <= 100
    grammar = page.partition("```text")[2]
    for word in _words(Model.model_json_schema(by_alias=True)):
        assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", grammar), word


def _words(schema: object) -> set[str]:
    """The keys, and the words to choose from, that a schema holds at any depth."""
    if isinstance(schema, list):
        return set().union(*map(_words, schema))
    if not isinstance(schema, dict):
        return set()
    chosen = [*schema.get("enum", ()), schema.get("const")]
    own = {*schema.get("properties", ()), *(word for word in chosen if isinstance(word, str))}
    return own.union(*map(_words, schema.values()))


def test_every_command_and_option_has_a_help_text():
    """A command line explains itself."""
    assert len(COMMANDS) == 34
    for name, command in COMMANDS.items():
        assert command.help, name
        for parameter in command.params:
            assert parameter.help, f"{name} {parameter.name}"


def test_the_readme_names_every_command_exit_code_and_connector():
    """The README is complete."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"`{name}`" in readme, name
    for code in Exit:
        assert f"| {int(code)} | {MEANING[code]} |" in readme, code
    for kind in KINDS:
        assert kind in readme.lower(), kind


def whole_models() -> Iterator[tuple[Path, str]]:
    """Every model that a page shows whole, as it would be saved: those that have a name."""
    for page in PAGES_WRITTEN:
        blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
        for block in blocks:
            if block.startswith("name: "):
                yield page, block


def test_models_that_are_shown_whole_can_be_run(tmp_path: Path):
    """Saved as they are they have no mistake and no error; the first that is met, no warning."""
    shown = [*whole_models()]
    assert {page.name for page, _ in shown} == {"README.md", "model.md"}
    for page, block in shown:
        path = tmp_path / "model.yaml"
        path.write_text(block, encoding="utf-8")
        found = lint(read_model(path))
        severe = found if page.name == "README.md" else [f for f in found if f.severity == "error"]
        assert severe == [], page.name


@pytest.mark.parametrize("page", PAGES_WRITTEN, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    """Every relative link of a page is a file of the repository."""
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
