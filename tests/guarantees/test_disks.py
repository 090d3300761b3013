"""Disks that are full, broken or read-only: a clear error, nothing lost, and the run goes on."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["mml_core.testing.fixtures"]

Tell = Callable[[str], None]


def mount(*arguments: str) -> None:
    """Mount, or skip the test where that cannot be done."""
    if sys.platform != "linux":
        pytest.skip("mounts are made on Linux only")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")


@contextmanager
def disk_of(kilobytes: int, folder: Path) -> Iterator[None]:
    """A disk of its own that has room for so much."""
    folder.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def is_one_clear_line(ended: Any, results: Path) -> bool:
    told = (f"'{results}" in ended.err, "no space left on device" in ended.err, ended.err.count("\n"))
    return told == (True, True, 1)


def fill_disks(lab: Any, sizes: list[int], tell: Tell) -> None:
    """Run on disks of some sizes (KiB), each too small, make each larger, and continue."""
    steps = ("draw", "big", "draw")
    assert lab.run(*steps, proj="whole").code == 0
    whole, value = lab.project.files("whole"), lab.told("whole")
    (lab.project.results / "whole").rename(lab.project.root / "whole")
    reached = set()
    for size in sizes:
        with disk_of(size, lab.project.results):
            ended = lab.run(*steps)
            assert ended.code in (1, 2), (size, ended)
            assert is_one_clear_line(ended, lab.project.results), (size, ended)
            reached.add(len(list(lab.project.results.glob("*/runs/*/steps/*.json"))))
            mount("-o", "remount,size=8m", str(lab.project.results))
            done = lab.run(*steps, options=("--continue",))
            assert done.code == 0, (size, done)
            assert lab.project.files() == whole, size
            assert lab.told() == value
    tell(f"{len(sizes)} disks, full after {sorted(reached)} of 4 steps")


def test_g14_a_run_on_a_full_disk_says_so_and_goes_on(lab: Any, chance: random.Random, tell: Tell) -> None:
    """Results on small disks (tmpfs): one line names file and cause; with more room the run goes on."""
    fill_disks(lab, [32, *chance.sample(range(40, 900, 4), 2)], tell)


@pytest.mark.long
def test_g14_a_run_on_a_disk_of_any_size_says_so_and_goes_on(lab: Any, tell: Tell) -> None:
    """The same on disks of 4 KiB to 900 KiB."""
    fill_disks(lab, [*range(4, 100, 4), *range(100, 900, 40)], tell)
