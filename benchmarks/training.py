"""What `mml run --mode=train` costs beside training itself: one task, one fold, the store present.

Run: `python benchmarks/training.py [--runs 5]`. The overhead is the wall time of a process that imports
torch, Lightning and MONAI and then runs the command, less these imports, less the seconds inside of
`Trainer.fit`, `Trainer.predict` and the evaluation of the predictions,
and less what Python needs to start and, with these
libraries imported, to end, measured in turn by a process that does nothing else. The cost of a further step
is the difference to a run of three folds, by its six further steps. Runs of one fold, of three and of none
alternate after one warm-up of each; medians are compared with the aims.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AIMS = {"overhead of a run": 1000, "further step": 50}
"""What is measured → milliseconds it may cost."""

TASK = "digits"
SETTINGS = ["preprocessing=size32", "trainer.max_epochs=1", "trainer.accelerator=cpu"]
FOLDS, STEPS_PER_FOLD = 3, 3
PROBE = """
import json, sys, time
wall, cpu = time.perf_counter(), time.process_time()
import torch, lightning.pytorch, monai.networks.nets.resnet
spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
if len(sys.argv) == 2:
    with open(sys.argv[1], "w") as file:
        json.dump(spent, file)
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

import mml_core.learning.predictions
timed(lightning.pytorch.Trainer, "fit")
timed(lightning.pytorch.Trainer, "predict")
timed(mml_core.learning.predictions, "evaluate")
from mml_core.cli.main import main
code = main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    json.dump(spent, file)
sys.exit(code)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="measured runs of either kind")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = prepare(Path(folder))
        found: dict[tuple[str, str], list[float]] = {
            (name, of): [] for name in AIMS for of in ("wall", "cpu")
        }
        further = (FOLDS - 1) * STEPS_PER_FOLD
        for number in range(args.runs + 1):
            one = overhead(1, environment, Path(folder))
            several = overhead(FOLDS, environment, Path(folder))
            bare = overhead(0, environment, Path(folder))
            for of in ("wall", "cpu") if number else ():  # the first pair warms the disk up
                found["overhead of a run", of].append(1000 * (one[of] - bare[of]))
                found["further step", of].append(1000 * (several[of] - one[of]) / further)
    print(f"{args.runs} runs of one and of {FOLDS} folds in turn, milliseconds; the aims are for wall time")
    print(f"{'':26}{'median':>8}{'least':>8}{'most':>8}{'aim':>6}")
    met = True
    for (name, of), values in found.items():
        median = statistics.median(values)
        missed = of == "wall" and median > AIMS[name]
        met &= not missed
        figures = f"{median:8.0f}{min(values):8.0f}{max(values):8.0f}{AIMS[name]:6d}"
        print(f"{name + ', ' + of:26}{figures}{'  missed' if missed else ''}")
    return 0 if met else 1


def prepare(folder: Path) -> dict[str, str]:
    """Create the task and its store, and return the environment of the runs."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MML_")},
        "MML_DATA_PATH": str(folder / "data"),
        "MML_RESULTS_PATH": str(folder / "results"),
        "OMP_NUM_THREADS": "1",
    }
    mml = str(Path(sys.executable).with_name("mml"))
    for mode, *settings in (["create", f"mode.num_folds={FOLDS}"], ["preprocess", SETTINGS[0]]):
        run([mml, "run", f"--mode={mode}", f"--tasks={TASK}", *settings], environment)
    return environment


def overhead(folds: int, environment: dict[str, str], folder: Path) -> dict[str, float]:
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


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run a command that has to succeed."""
    done = subprocess.run(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()}")


if __name__ == "__main__":
    sys.exit(main())
