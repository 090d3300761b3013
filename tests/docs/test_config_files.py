"""Every key of every config file that ships says what it is for."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [
    path.relative_to(ROOT)
    for conf in ("mml_core/config/conf", "plugins/*/src/*/conf", "examples/*/src/*/conf")
    for path in sorted(ROOT.glob(f"{conf}/**/*.yaml"))
    if path.parts[-3] != "hydra"  # Hydra documents those of its own groups
]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_comment_stands_above_each_key(file: Path) -> None:
    lines = (ROOT / file).read_text().splitlines()
    keys = [(above, line) for above, line in pairwise(lines) if re.match(r" *[a-z_]+:", line)]
    bare = [line.strip() for above, line in keys if not above.lstrip().startswith("#")]
    assert bare == []
