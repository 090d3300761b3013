"""Every index and cache is disposable: deleted, cut, emptied or damaged, it changes no answer."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mml_core.data.preprocessing import Preprocessing
from mml_core.data.statistics import cached_statistics
from mml_core.tasks.index import TaskIndex

SMALL = Preprocessing(id="small", height=5, width=5, interpolation="bilinear", channels=None, fit="stretch")

HARMS: dict[str, Callable[[Path, random.Random], object]] = {
    "deleted": lambda path, chance: path.unlink(),
    "emptied": lambda path, chance: path.write_bytes(b""),
    "cut": lambda path, chance: path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)]),
    "overwritten": lambda path, chance: path.write_bytes(chance.randbytes(path.stat().st_size)),
    "flipped": lambda path, chance: flip(path, chance),
}


def flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def caches(lab: Any) -> list[Path]:
    """Every index, cache and hint of the data folder and of all projects."""
    hints = lab.project.results.glob("*/.mml/numbers/*/*/newest")
    return sorted(path for path in (*lab.project.data.glob("cache/**/*"), *hints) if path.is_file())


def settle(lab: Any) -> None:
    """Let headers look older than what the index takes to be still changing."""
    for path in lab.project.data.glob("*/**/task.json"):
        os.utime(path, (1_000_000_000, 1_000_000_000))


def answers(lab: Any, mml: Any) -> list[Any]:
    """What is asked of the tasks and of the project."""
    asked = (("tasks", "--json"), ("run", "--mode=info"), ("files", "list", "--json"))
    index = TaskIndex(lab.project.data)
    statistics = cached_statistics(lab.project.data, index.headers()["dots"], SMALL)
    return [*(mml(*arguments) for arguments in asked), index.variants("dots"), statistics]


@pytest.mark.parametrize("harm", HARMS)
def test_g19_no_answer_and_no_number_depends_on_a_cache(
    lab: Any, dots: str, mml: Any, harm: str, chance: random.Random
) -> None:
    """All caches at once are deleted, emptied, cut, overwritten, or flipped."""
    assert mml("run", "--mode=preprocess", f"--tasks={dots}", "preprocessing=size224").code == 0
    for _ in range(3):
        assert mml(*lab.arguments("free", "attach", "use", options=(f"mode.task={dots}",))).code == 0
    settle(lab)
    answers(lab, mml)
    before = answers(lab, mml)
    found = caches(lab)
    assert len(found) == 4
    for path in found:
        HARMS[harm](path, chance)
    assert answers(lab, mml) == before
    assert mml(*lab.arguments("free", "attach", "use", options=(f"mode.task={dots}",))).code == 0
    files = lab.project.files()
    assert {f"DRAWN/{name}/drawn_0004.txt" for name in ("free", dots)} <= files.keys()
    assert sum(path.startswith("DRAWN/") for path in files) == 8
