"""The direction of imports: core knows nobody, connectors know core, sync knows both."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("core", "connectors", "sync")
MAY_IMPORT = {"core": {"core"}, "connectors": {"core", "connectors"}, "sync": set(PACKAGES)}
VENDOR = {
    "simple_salesforce": "connectors/salesforce/client.py",
    "hubspot": "connectors/hubspot/client.py",
}
VENDOR_NAMES = ("salesforce", "hubspot")


def imports(source: str) -> set[str]:
    """Every module that a source text imports, at any depth, by its dotted name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return found


def breaches(path: str, source: str) -> list[str]:
    """What a module at `path` imports although it must not."""
    package = path.split("/")[0]
    found = []
    for module in sorted(imports(source)):
        top = module.split(".")[0]
        if top in PACKAGES and top not in MAY_IMPORT[package]:
            found.append(f"{path} imports {module}")
        if top in VENDOR and VENDOR[top] != path:
            found.append(f"{path} imports {module}: only {VENDOR[top]} may")
        if package == "core" and top in {"requests", "urllib3", "sqlalchemy", "random", "time"}:
            found.append(f"{path} imports {module}: core does no I/O and reads no clock")
    return found


SOURCES = {
    str(path.relative_to(ROOT)): path.read_text()
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


def test_imports_follow_the_layers():
    """No module imports against the direction, and each vendor library is imported once."""
    assert len(SOURCES) > 20
    assert [b for path, source in SOURCES.items() for b in breaches(path, source)] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("core/scoring.py", "from connectors.base import Page"),
        ("core/scoring.py", "def f():\n    import sync.ledger"),
        ("core/scoring.py", "import time"),
        ("connectors/mapping.py", "from sync.config import Config"),
        ("connectors/salesforce/pull.py", "import simple_salesforce.api"),
        ("sync/cycle.py", "from hubspot.crm.contacts import ApiException"),
    ],
)
def test_a_breach_is_seen(path, source):
    """The rule above bites on each kind of breach."""
    assert len(breaches(path, source)) == 1


def test_core_reads_no_clock():
    """Time is an argument in core: nothing asks for now or today."""
    for path, source in SOURCES.items():
        if path.startswith("core/"):
            calls = {n.attr for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Attribute)}
            assert not calls & {"now", "utcnow", "today"}, path


def test_sync_names_no_vendor():
    """What a CRM can do is read from its capabilities: no vendor is named in sync's code.

    The sandbox and its demo are the exception: they exist to show these two.
    """
    for path, source in SOURCES.items():
        if path.startswith("sync/") and "demo" not in path and "sandbox" not in path:
            strings = {
                node.value.lower()
                for node in ast.walk(ast.parse(source))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            code = [s for s in strings if s in VENDOR_NAMES]
            assert not code, path


def test_no_cycle_between_modules():
    """No ring of modules that import each other."""
    graph = {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): imports(source)
        for path, source in SOURCES.items()
    }
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail[trail.index(module) :], module))
        if module not in done:
            for target in graph[module] & graph.keys():
                visit(target, (*trail, module))
            done.add(module)

    sys.setrecursionlimit(10_000)
    for module in graph:
        visit(module, ())
    assert len(done) == len(graph)
