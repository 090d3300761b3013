"""The README works from top to bottom: its tour, its plugin and its table of plugins."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def test_the_readme_works_from_top_to_bottom(follow: Callable[[Path], list[str]]) -> None:
    assert len(follow(README)) >= 13


def test_the_table_of_plugins_names_every_first_party_distribution() -> None:
    homes = [
        *sorted((ROOT / "plugins").glob("*/pyproject.toml")),
        ROOT / "examples/minimal_plugin/pyproject.toml",
    ]
    assert homes
    for home in homes:
        name = re.search(r'^name = "(.+)"', home.read_text(), re.MULTILINE)
        assert name is not None
        assert f"[`{name[1]}`]({home.parent.relative_to(ROOT).as_posix()})" in README.read_text()
