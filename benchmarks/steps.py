"""Overhead of an empty step, beside a bare sequence of write, fsync, link, unlink, fsync of the folder.

Bare sequences and steps alternate in one run; the median of their ratios is printed, for runs of 1 and of
1,000 tasks. Run: ``python benchmarks/steps.py [STEPS]``.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.scheduling.runner import run_scheduler

AIM = 3.0


class EmptySteps(AbstractBaseScheduler):
    """Plans empty steps; each notes when it begins and times one bare sequence."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg, available_subroutines=[])
        self.bare_folder = Path(cfg.paths.results) / "bare"
        (self.bare_folder / "linked").mkdir(parents=True)
        self.marks: list[tuple[float, float]] = []

    def create_routine(self) -> None:
        """Plan as many steps as the config says."""
        for number in range(self.cfg.mode.steps):
            self.add_step("nothing", number)

    def nothing(self, number: int) -> None:
        """Time a bare sequence; the rest until the next step's begin is overhead."""
        began = time.perf_counter()
        bare_sequence(self.bare_folder, number)
        self.marks.append((began, time.perf_counter()))


def bare_sequence(folder: Path, number: int) -> None:
    """Write, fsync, link, unlink, fsync of the folder, by plain system calls."""
    private, final = f"{folder}/{number}", f"{folder}/linked/{number}"
    descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(descriptor, b"x" * 500)
    os.fsync(descriptor)
    os.close(descriptor)
    os.link(private, final)
    os.unlink(private)  # noqa: PTH108 (the bare call is what is measured)
    descriptor = os.open(f"{folder}/linked", os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def measure(steps: int, tasks: int) -> float:
    """Run and return the median ratio."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        root = Path(folder).resolve()
        cfg = OmegaConf.create(
            {
                "proj": "bench",
                "seed": 1,
                "task_list": [f"task{number}" for number in range(tasks)],
                "paths": {"data": str(root / "data"), "results": str(root / "results")},
                "mode": {"name": "empty", "steps": steps},
            }
        )
        scheduler = EmptySteps(cfg)
        outcome = run_scheduler(scheduler)
        assert outcome.state == "done", outcome.message
        marks = scheduler.marks
    bare = [after - before for before, after in marks[:-1]]
    overhead = [later[0] - earlier[1] for earlier, later in pairwise(marks)]
    ratios = [over / alone for over, alone in zip(overhead, bare, strict=True)]
    ratio = statistics.median(ratios)
    quarter = len(ratios) // 4
    print(
        f"{steps} steps, {tasks} task(s): bare {statistics.median(bare) * 1e6:.0f} us, overhead "
        f"{statistics.median(overhead) * 1e6:.0f} us, median ratio {ratio:.2f} (first quarter "
        f"{statistics.median(ratios[:quarter]):.2f}, last {statistics.median(ratios[-quarter:]):.2f})"
    )
    return ratio


def main() -> int:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    ratios = [measure(steps, tasks) for tasks in (1, 1000)]
    met = max(ratios) <= AIM
    print(f"aim: at most {AIM:.1f}: {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
