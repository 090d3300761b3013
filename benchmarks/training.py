"""What `mml run --mode=train` costs beside training itself: one task, one fold, the store present.

Run: `python benchmarks/training.py [--runs 5]`. A process imports torch, Lightning and MONAI and then runs
the command. Its overhead is its wall time less these imports, less the seconds inside of `Trainer.fit`,
`Trainer.predict` and the evaluation of the predictions. Beside it stands the overhead less what Python needs
to start and, with these libraries imported, to end, as a process shows that does nothing else. The cost of a
further step is the difference to a run of three folds, by its six further steps. Runs of one fold, of three
and of none alternate after one warm-up of each.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from _common import Figure, environment_in, report, run, spread

TASK = "digits"
SETTINGS = ["preprocessing=size32", "trainer.max_epochs=1", "trainer.accelerator=cpu"]
FOLDS, STEPS_PER_FOLD = 3, 3
Cost = dict[str, float]
"""Seconds of the clock (``wall``) and of the processor (``cpu``)."""
PROBE = """
import gc, json, sys, time
wall, cpu = time.perf_counter(), time.process_time()
import mml_core  # first, as in the command: the others may miss torchvision's operators
import torch, lightning.pytorch, monai.networks.nets.resnet
spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
if len(sys.argv) == 2:
    with open(sys.argv[1], "w") as file:
        json.dump(spent, file)
    gc.freeze()  # as the command does before it ends
    sys.exit()

def timed(owner, name):
    function = getattr(owner, name)
    def measured(*args, **kwargs):
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            spent["wall"] += time.perf_counter() - wall
            spent["cpu"] += time.process_time() - cpu
    setattr(owner, name, measured)

import mml_core.learning.evaluation
timed(lightning.pytorch.Trainer, "fit")
timed(lightning.pytorch.Trainer, "predict")
timed(mml_core.learning.evaluation, "measure")
from mml_core.cli.main import main
_, target, *sys.argv[1:] = sys.argv
code = main()
with open(target, "w") as file:
    json.dump(spent, file)
sys.exit(code)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="measured runs of either kind")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return report(measure(args.runs, Path(folder)))


def measure(runs: int, folder: Path) -> Iterator[Figure]:
    """Yield overheads in milliseconds, and the processor time of each as a note."""
    environment = prepare(folder)
    further = (FOLDS - 1) * STEPS_PER_FOLD
    rounds = []
    for number in range(runs + 1):
        one, several, bare = (overhead(folds, environment, folder) for folds in (1, FOLDS, 0))
        if number:  # the first round warms the disk up
            rounds.append((one, several, bare))

    def figure(name: str, values: list[Cost], at_most: float | None) -> Figure:
        wall, cpu = ([1000 * value[of] for value in values] for of in ("wall", "cpu"))
        note = f"{spread(wall, 0)} runs; {statistics.median(cpu):.0f} ms of processor time"
        return Figure(name=name, value=statistics.median(wall), unit="ms", at_most=at_most, note=note)

    yield figure(
        "a run, less fit, predict and test, less the imports", [one for one, _, _ in rounds], at_most=1000
    )
    yield figure(
        "the same, less the start and end of the interpreter",
        [less(one, bare) for one, _, bare in rounds],
        at_most=None,
    )
    yield figure(
        "a further step",
        [{of: spent / further for of, spent in less(several, one).items()} for one, several, _ in rounds],
        at_most=50,
    )


def less(cost: Cost, other: Cost) -> Cost:
    """Return by how much one cost exceeds another."""
    return {of: cost[of] - other[of] for of in cost}


def prepare(folder: Path) -> dict[str, str]:
    """Create the task and its store, and return the environment of the runs."""
    environment = environment_in(folder, OMP_NUM_THREADS="1")
    mml = str(Path(sys.executable).with_name("mml"))
    for mode, *settings in (["create", f"mode.num_folds={FOLDS}"], ["preprocess", SETTINGS[0]]):
        run([mml, "run", f"--mode={mode}", f"--tasks={TASK}", *settings], environment)
    return environment


def overhead(folds: int, environment: dict[str, str], folder: Path) -> Cost:
    """Run the command and return the seconds, of the clock and of the processor, that were not learning.

    With 0 folds the imports alone are run: what remains is the start and the end of the interpreter.
    """
    spent = folder / "spent.json"
    command = [sys.executable, "-c", PROBE, str(spent)]
    if folds:
        command += ["run", "--mode=train", f"--tasks={TASK}", f"mode.folds={folds}", *SETTINGS]
    wall, cpu = time.perf_counter(), cpu_of_children()
    run(command, environment)
    total = {"wall": time.perf_counter() - wall, "cpu": cpu_of_children() - cpu}
    return {of: total[of] - seconds for of, seconds in json.loads(spent.read_text()).items()}


def cpu_of_children() -> float:
    """Return the processor seconds of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
