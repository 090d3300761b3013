"""Every key of every config file that ships says what it is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from mml_core.testing.contracts.config_files import bare_keys

ROOT = Path(__file__).parents[2]
FILES = [
    path.relative_to(ROOT)
    for conf in ("mml_core/config/conf", "plugins/*/src/*/conf", "examples/*/src/*/conf")
    for path in sorted(ROOT.glob(f"{conf}/**/*.yaml"))
    if path.parts[-3] != "hydra"  # Hydra documents those of its own groups
]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_comment_stands_above_each_key(file: Path) -> None:
    assert bare_keys((ROOT / file).read_text()) == []
