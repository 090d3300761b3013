"""Plugins that ship, and the examples, live by the public API alone, as those of strangers do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PUBLIC = ("mml_core.api", "mml_core.plugins", "mml_core.testing")
SOURCES = sorted(
    [
        *ROOT.glob("plugins/*/src/**/*.py"),
        *ROOT.glob("plugins/*/examples/**/*.py"),
        *ROOT.glob("examples/**/*.py"),
    ]
)


def modules_of_mml(source: str) -> Iterator[str]:
    """The modules of mml that a file imports, at its top or in a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            # ``from mml_core import api`` imports a module, too
            whole = node.module == "mml_core"
            found = [f"mml_core.{each.name}" for each in node.names] if whole else [str(node.module)]
        else:
            continue
        yield from (name for name in found if name.partition(".")[0] == "mml_core")


def is_public(module: str) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in PUBLIC)


def test_there_are_files_of_plugins_and_examples_to_look_at():
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == {"plugins", "examples"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_plugin_imports_what_is_public(source):
    private = [name for name in modules_of_mml(source.read_text(encoding="utf-8")) if not is_public(name)]
    assert not private, f"{source.relative_to(ROOT)} imports {', '.join(private)}"


@pytest.mark.parametrize(
    "line",
    ["import mml_core.errors", "from mml_core import files", "def f():\n    from mml_core.tasks import x"],
)
def test_a_private_import_is_seen(line):
    assert not all(map(is_public, modules_of_mml(line)))
