"""`mml report` of mml-plugin-report: 200 models, of 100 tiny tasks with two folds, each trained for a step.

Run: `python benchmarks/report.py [--tasks 100]`. The project is made first, which takes about a minute. The
aim: 5 s from the command to the page, the start of Python and the import of torch within, and 10 MB. The
processor time beside it says how busy the machine was.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from _common import Figure, environment_in, report, run, seconds

FOLDS = 2
MAKE = """
import sys
from pathlib import Path
import mml_core.api as api
from mml_core.plugins import TaskSpec
from mml_core.tasks.creation import create_task
from mml_core.tasks.finishing import CreationOptions
from mml_core.testing.tiny_tasks import create_tiny_task

data, types = Path(sys.argv[1]), ("classification", "regression", "multilabel", "semantic_segmentation")
known = [create_tiny_task(data, each) for each in types]
names = []
for number in range(int(sys.argv[2])):
    like = known[number % len(known)]
    spec = TaskSpec(
        name=f"tiny_{number:03d}",
        dataset=like.dataset,
        create="mml_core.testing.tiny_tasks:describe",
        task_type=like.task_type.value,
    )
    create_task(spec, data, CreationOptions(num_folds=int(sys.argv[3])))
    names.append(spec.name)
api.run(
    "train",
    names,
    preprocessing="none",
    trainer={"max_steps": 1, "accelerator": "cpu"},
    **{"loader.batch_size": 8, "metrics.intervals.resamples": 20},
)
"""


def figures(folder: Path, tasks: int) -> Iterator[Figure]:
    """Train the tasks, then write the page by the command, in a process of its own."""
    environment = environment_in(folder)
    run([sys.executable, "-c", MAKE, str(folder / "data"), str(tasks), str(FOLDS)], environment)
    page = folder / "page.html"
    command = [str(Path(sys.executable).with_name("mml")), "report", "-o", str(page)]
    before = processor_seconds()
    took = seconds(lambda: run(command, environment))
    models = f"{tasks * FOLDS} models of {tasks} tasks"
    yield Figure(name="report, the command", value=took, unit="s", at_most=5, note=models)
    yield Figure(name="report, processor time", value=processor_seconds() - before, unit="s")
    yield Figure(name="report, the page", value=page.stat().st_size / 1e6, unit="MB", at_most=10, note=models)


def processor_seconds() -> float:
    """Return what processes that have ended took of the processors."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100)
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(report(figures(Path(folder), parser.parse_args().tasks)))
