"""Overhead of an empty step, beside a bare sequence of write, fsync, link, unlink, fsync of the folder.

Run: `python benchmarks/steps.py [--steps 10000] [--tasks 1000]`. Bare sequences and steps alternate in one
run; the median of their ratios is the figure, for runs of 1 and of 1,000 tasks, which are installed. A tenth
as many steps that attach a path to the struct of one of the tasks show whether using tasks costs more with
more of them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from _common import Figure, bare_sequence, report
from _tasks import install_tasks
from omegaconf import OmegaConf

from mml_core.scheduling.base import AbstractBaseScheduler

AIM = 3.0
"""How many bare sequences an empty step may cost."""
SAME = 1.2
"""What is the same at 1 task and at 1,000, up to noise."""


class Steps(AbstractBaseScheduler):
    """Plans steps that each time one bare sequence, and then do nothing or attach a path to a struct."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg, available_subroutines=["empty", "attach"])
        self.bare_folder = self.fm.data / "bare"
        (self.bare_folder / "linked").mkdir(parents=True)
        self.marks: list[tuple[float, float]] = []

    def create_routine(self) -> None:
        """Plan as many steps as the config says, each for the next task."""
        for number in range(self.cfg.mode.steps):
            task = self.cfg.task_list[number % len(self.cfg.task_list)]
            self.add_step(self.subroutines[0], number, task)

    def empty(self, number: int, task: str) -> None:
        """Time a bare sequence; the rest until the next step's begin is overhead."""
        began = time.perf_counter()
        bare_sequence(self.bare_folder, number)
        self.marks.append((began, time.perf_counter()))

    def attach(self, number: int, task: str) -> None:
        """Do the same, and attach a path, which counts as overhead."""
        self.empty(number, task)
        self.get_struct(task).paths["bench"] = self.fm.project_path / str(number)


def measure(kind: str, steps: int, tasks: int, data: Path) -> list[float]:
    """Run so many steps over so many tasks, and return the ratio of each to its bare sequence."""
    with tempfile.TemporaryDirectory(dir=data) as results:
        cfg = OmegaConf.create(
            {
                "proj": "bench",
                "seed": 1,
                "task_list": sorted(path.name for path in (data / "tasks").iterdir())[:tasks],
                "paths": {"data": str(data), "results": results},
                "mode": {"name": "steps", "steps": steps, "subroutines": [kind]},
            }
        )
        scheduler = Steps(cfg)
        scheduler.run()
    return [(later[0] - after) / (after - began) for (began, after), later in pairwise(scheduler.marks)]


def figures(steps: int, tasks: int) -> Iterator[Figure]:
    """Yield overheads, and their growth with the number of tasks and of steps."""
    for kind, what, number_of_steps, aim in (
        ("empty", "an empty step", steps, AIM),
        ("attach", "a step that attaches a path to a struct", steps // 10, None),
    ):
        medians = []
        for number_of_tasks in (1, tasks):
            with tempfile.TemporaryDirectory(dir=".") as folder:
                data = Path(folder).resolve()
                install_tasks(data, number_of_tasks)
                os.sync()  # or the disk would still be at the tasks when the first steps ask it for theirs
                ratios = measure(kind, number_of_steps, number_of_tasks, data)
            medians.append(statistics.median(ratios))
            quarter = max(1, len(ratios) // 4)
            first, last = statistics.median(ratios[:quarter]), statistics.median(ratios[-quarter:])
            yield Figure(
                name=f"{what} over a bare sequence, {number_of_tasks} task(s) in the run",
                value=medians[-1],
                at_most=aim,
                note=f"{number_of_steps} steps; first quarter {first:.2f}, last quarter {last:.2f}",
            )
        yield Figure(name=f"{what}, {tasks} tasks over 1", value=medians[1] / medians[0], at_most=SAME)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--tasks", type=int, default=1_000)
    args = parser.parse_args()
    return report(figures(args.steps, args.tasks))


if __name__ == "__main__":
    sys.exit(main())
