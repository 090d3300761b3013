"""The README's tour and plugin work as they are written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

pytest_plugins = ["mml_core.testing.fixtures"]

README = (Path(__file__).parents[2] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The README's code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def columns(line: str) -> list[str]:
    """The words of a line that do not change from run to run."""
    return [word for word in line.split() if not re.search(r"[\d/]", word)]


def test_the_tour_runs_line_by_line(mml_process):
    typed = 0
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            result = mml_process(*shlex.split(command)[1:])
            assert result.code == 0, f"{command}: {result.err}"
            typed += 1
            printed = " ".join((result.out + result.err).split())
            if shown and not re.search(r"\d", shown[0]):
                heading = columns(shown[0])
                assert all(word in printed for word in heading), f"{command} prints no {heading}"
    assert typed >= 6


def test_the_ten_line_plugin_runs(inline_plugin, mml):
    plugin, scheduler = blocks("python")
    inline_plugin("hello", plugin, {"scheduler.py": scheduler})
    assert mml("run", "--mode=create", "--tasks", "digits").code == 0
    result = mml("run", "--mode=hello", "--tasks", "digits")
    assert result.code == 0, result.err


def test_the_table_of_plugins_names_every_first_party_distribution():
    root = Path(__file__).parents[2]
    homes = [
        *sorted((root / "plugins").glob("*/pyproject.toml")),
        root / "examples/minimal_plugin/pyproject.toml",
    ]
    assert homes
    for home in homes:
        name = re.search(r'^name = "(.+)"', home.read_text(), re.MULTILINE)
        assert name is not None
        assert f"[`{name[1]}`]({home.parent.relative_to(root).as_posix()})" in README
